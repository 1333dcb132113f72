"""The screen's parameters as a link, as controls and as a spec."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

import structlog

from app.services import Desk
from app.views.controls import FIELDS, MAIN_FIELDS
from app.views.text import in_words
from core.errors import ParameterErrors, StoreError
from core.pair_spec import PAIR_PARAMETERS, PairSpec, read_pair_spec
from core.parameters import Choice, printable
from core.settings import Settings
from core.symbols import split_symbol

MAX_LINK = 2_000
KNOWN_QUERIES = 1_000
"""Queries and their specs, kept because every tick brings its own along."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Link:
    """What a link asks for, and in words what of it could not be used."""

    spec: PairSpec
    complaints: tuple[str, ...]


def listed_symbols(desk: Desk) -> tuple[str, ...]:
    """Symbols to choose from; none while the store can't be read."""
    try:
        return tuple(stored.symbol for stored in desk.market.symbols())
    except StoreError as error:
        log.warning("symbols not listed", error=str(error))
        return ()


def pickable(symbols: Sequence[str]) -> list[tuple[str, str]]:
    """Coin and money of each symbol, as the page's pickers take them, in alphabetical order."""
    return [split_symbol(symbol) for symbol in sorted(symbols)]


def default_spec(desk: Desk, symbols: Sequence[str]) -> PairSpec:
    """The schema's defaults; a desk without their symbols begins with its own first two."""
    spec = read_pair_spec({}, desk.settings)
    if len(symbols) < 2 or {spec.symbol_a, spec.symbol_b} <= set(symbols):
        return spec
    legs = {"symbol_a": symbols[0], "symbol_b": symbols[1]}
    return read_pair_spec(legs, desk.settings)


def read_link(search: str, desk: Desk, symbols: Sequence[str]) -> Link:
    """Read a query string; what is bad in it gives way to the default and is told."""
    default = default_spec(desk, symbols)
    given, complaints = _parse(search)
    given = {"symbol_a": default.symbol_a, "symbol_b": default.symbol_b} | given
    for field in ("symbol_a", "symbol_b"):
        known = given[field].upper() in symbols or not symbols
        if not known and given[field].upper() != getattr(default, field):
            complaints.append(f"{_label(field)}: {printable(given[field], 40)} is not on this desk")
            given[field] = getattr(default, field)
    if given["symbol_a"] == given["symbol_b"] and symbols:
        complaints.append("Leg B: must differ from leg A")
        given["symbol_b"] = next(
            (name for name in (default.symbol_b, *symbols) if name != given["symbol_a"]),
            default.symbol_b,
        )
    # Every round drops at least one value, or all that are left.
    while True:
        try:
            spec = read_pair_spec(given, desk.settings)
        except ParameterErrors as errors:
            bad = [error for error in errors.errors if error.field in given]
            complaints += [
                f"{_label(error.field)}: {in_words(error.message)}" for error in errors.errors
            ]
            given = {
                key: value
                for key, value in given.items()
                if bad and key not in {error.field for error in bad}
            }
        else:
            return Link(spec, tuple(complaints))


def read_controls(values: Mapping[str, Any], settings: Settings) -> PairSpec:
    """Validate what the controls hold; empty optional ones take their defaults.

    Raises
    ------
    ParameterErrors
        Names every bad field and what it allows.
    """
    given: dict[str, Any] = {}
    for field in FIELDS:
        value = values.get(field)
        text = value.strip() if isinstance(value, str) else value
        if field in MAIN_FIELDS or text not in ("", None):
            given[field] = text
    return read_pair_spec(given, settings)


def read_query(query: str, settings: Settings) -> PairSpec:
    """Validate the query that the page keeps for what it shows.

    Raises
    ------
    ParameterErrors
        Names every bad field and what it allows.
    """
    return _read_query(query[:MAX_LINK], settings)


@lru_cache(maxsize=KNOWN_QUERIES)
def _read_query(query: str, settings: Settings) -> PairSpec:
    return read_pair_spec(dict(parse_qsl(query)), settings)


def control_values(spec: PairSpec, settings: Settings) -> dict[str, str]:
    """What the controls show for a spec; numbers of "More" are empty where the default is meant."""
    said = _said(spec, settings)
    return {
        field: _text(getattr(spec, field)) if field in said or isinstance(parameter, Choice) else ""
        for field, parameter in PAIR_PARAMETERS.items()
    }


@lru_cache(maxsize=KNOWN_QUERIES)
def query_of(spec: PairSpec, settings: Settings) -> str:
    """The shortest query that says all of a spec: the main fields always, others if not default."""
    return urlencode([(field, _text(getattr(spec, field))) for field in _said(spec, settings)])


def _said(spec: PairSpec, settings: Settings) -> list[str]:
    """The fields that have to be said."""
    main = {field: getattr(spec, field) for field in MAIN_FIELDS}
    default = read_pair_spec(main, settings)
    return [
        field
        for field in FIELDS
        if field in MAIN_FIELDS or getattr(spec, field) != getattr(default, field)
    ]


def _parse(search: str) -> tuple[dict[str, str], list[str]]:
    if len(search) > MAX_LINK:
        return {}, ["The link is too long to be one of this page"]
    given: dict[str, str] = {}
    complaints: list[str] = []
    for key, value in parse_qsl(search.removeprefix("?"), keep_blank_values=True):
        if key not in FIELDS:
            complaints.append(f"{printable(key, 40)}: is not a parameter of this page")
        elif key in given:
            complaints.append(f"{_label(key)}: given twice")
        else:
            given[key] = value
    return given, complaints


def _label(field: str) -> str:
    return PAIR_PARAMETERS[field].label if field in PAIR_PARAMETERS else field


def _text(value: Any) -> str:
    """A value as it is typed: whole numbers without a fraction, no digit lost."""
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else repr(value)
    return str(value)
