"""Controls and link: whichever changes, the other follows, and what is valid goes on screen."""

from collections.abc import Mapping
from typing import Any

from dash import Dash, Input, Output, State, ctx, no_update

from app.services import Desk
from app.views import ids
from app.views.controls import FIELDS, symbol_options
from app.views.links import control_values, listed_symbols, query_of, read_controls, read_link
from app.views.live.ids import REQUEST, URL
from core.errors import ParameterErrors
from core.pair_spec import PairSpec


def follow_link(desk: Desk, search: object, shown: object) -> dict[str, Any]:
    """Set every control from a link; what can't be used is said and replaced by its default."""
    symbols = listed_symbols(desk)
    link = read_link(search if isinstance(search, str) else "", desk, symbols)
    return {
        "search": no_update,
        "controls": control_values(link.spec, desk.settings),
        **_valid(desk, link.spec, shown, "; ".join(link.complaints)),
        "options": [symbol_options(symbols, link.spec.symbol_a, link.spec.symbol_b)] * 2,
    }


def follow_controls(
    desk: Desk, values: Mapping[str, Any], shown: object, *, swap: bool
) -> dict[str, Any]:
    """Put what the controls say on screen and into the link, or say what they must not hold."""
    given = dict(values)
    if swap:
        given["symbol_a"], given["symbol_b"] = given["symbol_b"], given["symbol_a"]
    unchanged = dict.fromkeys(FIELDS, no_update)
    try:
        spec = read_controls(given, desk.settings)
    except ParameterErrors as errors:
        messages = {error.field: _capital(error.message) for error in errors.errors}
        return {
            "search": no_update,
            "controls": unchanged,
            "errors": {field: messages.get(field, "") for field in FIELDS},
            "looks": {field: _look(field in messages) for field in FIELDS},
            "request": no_update,
            "options": [no_update] * 2,
        }
    legs = {"symbol_a": spec.symbol_a, "symbol_b": spec.symbol_b} if swap else {}
    valid = _valid(desk, spec, shown, "")
    changed = valid["request"] is not no_update
    return {
        "search": f"?{query_of(spec, desk.settings)}" if changed else no_update,
        "controls": unchanged | legs,
        **valid,
        "options": [no_update] * 2,
    }


def _valid(desk: Desk, spec: PairSpec, shown: object, note: str) -> dict[str, Any]:
    request = {"query": query_of(spec, desk.settings), "note": note}
    return {
        "errors": dict.fromkeys(FIELDS, ""),
        "looks": dict.fromkeys(FIELDS, _look(False)),
        "request": no_update if request == shown else request,
    }


def _look(bad: bool) -> str:
    return "f bad" if bad else "f"


def _capital(message: str) -> str:
    return message[:1].upper() + message[1:]


def register(app: Dash, desk: Desk) -> None:
    """Bind link and controls in one callback: each is input and output."""

    @app.callback(
        output={
            "search": Output(URL, "search"),
            "controls": {field: Output(ids.control(field), "value") for field in FIELDS},
            "errors": {field: Output(ids.control_error(field), "children") for field in FIELDS},
            "looks": {field: Output(ids.control_field(field), "className") for field in FIELDS},
            "request": Output(REQUEST, "data"),
            "options": [
                Output(ids.control("symbol_a"), "options"),
                Output(ids.control("symbol_b"), "options"),
            ],
        },
        inputs={
            "search": Input(URL, "search"),
            "swap": Input(ids.SWAP, "n_clicks"),
            "values": {field: Input(ids.control(field), "value") for field in FIELDS},
        },
        state={"shown": State(REQUEST, "data")},
    )
    def parameters(
        search: object, swap: object, values: dict[str, Any], shown: object
    ) -> dict[str, Any]:
        if ctx.triggered_id in (None, URL):
            return follow_link(desk, search, shown)
        return follow_controls(desk, values, shown, swap=ctx.triggered_id == ids.SWAP)
