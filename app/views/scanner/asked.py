"""What a client asks of the Scanner view: filters, order, block and the pair it has chosen."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from app.requests.scan import ScanParameters, asked_of
from core.errors import ParameterErrors
from core.scan_query import ScanQuery

_FIELDS = ("timeframe", "bars", "max_q", "max_median", "max_half_life", "flags", "find", "offset")
_MILLION = 1e6


class ScannerView(NamedTuple):
    """What is shown: the newest hourly scan, the least bad order first, unless asked otherwise."""

    asked: ScanQuery
    offset: int = 0
    """Of a block: where it begins."""
    chosen: tuple[str, str] | None = None
    refused: str = ""
    """What of it could not be used, and why."""


def read_asked(raw: object) -> ScannerView:
    """Judge what a client sent by the API's own schema; what can't be used is told."""
    given = raw if isinstance(raw, Mapping) else {}
    wanted: dict[str, Any] = {
        name: given[name] for name in _FIELDS if given.get(name) not in (None, "")
    }
    sort = str(given.get("sort") or "")
    if sort:
        wanted["sort"] = sort.removeprefix("-")
        wanted["order"] = "desc" if sort.startswith("-") else "asc"
    try:
        if given.get("volume") is not None:
            wanted["min_quote_volume"] = float(given["volume"]) * _MILLION
    except (TypeError, ValueError):
        wanted["min_quote_volume"] = given["volume"]
    a, _, b = str(given.get("row") or "").partition("/")
    values, refused = _judged(wanted)
    return ScannerView(asked_of(values), values["offset"], (a, b) if a and b else None, refused)


def _judged(wanted: dict[str, Any]) -> tuple[dict[str, Any], str]:
    load: Callable[[Any], dict[str, Any]] = ScanParameters().load
    try:
        return load(wanted), ""
    except ParameterErrors as refused:
        bad = {error.field for error in refused.errors}
        kept = {name: value for name, value in wanted.items() if name not in bad}
        return load(kept), str(refused)
