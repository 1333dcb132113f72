"""What a client asks of the Alerts view: order, filters, page, and what is taken apart."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from app.requests.rules import AlertsParameters
from app.services.found import EpisodeQuery, Subject
from core.errors import ParameterErrors

Sort = Literal["distance", "state", "pair"]
SORTS: tuple[Sort, ...] = ("distance", "state", "pair")


class Asked(NamedTuple):
    """All of it; the view shows its newest, sorted by distance, unless asked otherwise."""

    sort: Sort = "distance"
    page: EpisodeQuery = EpisodeQuery()
    subject: Subject = Subject()


def read_asked(raw: object) -> Asked:
    """Judge what a client sent by the API's own schema; what can't be used is not asked for."""
    given = raw if isinstance(raw, Mapping) else {}
    a, _, b = str(given.get("pair") or "").partition("/")
    wanted: dict[str, Any] = {"kind": given.get("kind"), "before": given.get("before")}
    wanted |= {"symbol_a": a, "symbol_b": b} if a and b else {}
    asked = _judged({name: value for name, value in wanted.items() if value is not None})
    symbols = (asked["symbol_a"], asked["symbol_b"]) if asked.get("symbol_a") else None
    sort = given.get("sort")
    return Asked(
        sort=next((name for name in SORTS if name == sort), "distance"),
        page=EpisodeQuery(asked.get("kind"), symbols, asked.get("before")),
        subject=Subject(_number(given.get("alert")), _number(given.get("rule"))),
    )


def _judged(wanted: Mapping[str, Any]) -> dict[str, Any]:
    load: Callable[[Any], dict[str, Any]] = AlertsParameters().load
    try:
        return load(dict(wanted))
    except ParameterErrors:
        return {}


def _number(value: object) -> int | None:
    """An id; None for anything that isn't one."""
    if type(value) is not int:
        return None
    return value if 0 < value < 2**31 else None
