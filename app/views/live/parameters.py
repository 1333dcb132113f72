"""Controls and link: whichever changes, the other follows, and what is valid goes on screen."""

from collections.abc import Mapping, Sequence
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, ctx, no_update

from app.services import Desk
from app.views import ids
from app.views.controls import FIELDS
from app.views.links import control_values, listed_symbols, query_of, read_controls, read_link
from app.views.live.ids import REQUESTED, URL
from app.views.text import in_words
from core.errors import ParameterErrors
from core.pair_spec import PairSpec

CONTRADICTIONS = {
    "entry_z": ("exit_z", "Must be above exit z ({})"),
    "symbol_a": ("symbol_b", "Must differ from leg B ({})"),
}
"""By field: the one that the schema blames when this one was changed, and what to say instead."""


def follow_link(desk: Desk, search: object, shown: object) -> dict[str, Any]:
    """Set every control from a link; what can't be used is said and replaced by its default."""
    symbols = listed_symbols(desk)
    asked = search if isinstance(search, str) else ""
    link = read_link(asked, desk, symbols)
    values = control_values(link.spec, desk.settings)
    valid = _valid(desk, link.spec, shown, "; ".join(link.complaints))
    return {
        "search": no_update,
        "controls": values,
        **valid,
        "judged": _judged(asked, values, query_of(link.spec, desk.settings)),
    }


def follow_controls(
    desk: Desk,
    values: Mapping[str, Any],
    shown: object,
    *,
    swap: bool,
    search: object = "",
    changed_field: str = "",
) -> dict[str, Any]:
    """Put what the controls say on screen and into the link, or say what they must not hold.

    Where two fields contradict each other it is said at the one that was changed.
    """
    given = dict(values)
    if swap:
        given["symbol_a"], given["symbol_b"] = given["symbol_b"], given["symbol_a"]
    unchanged = dict.fromkeys(FIELDS, no_update)
    try:
        spec = read_controls(given, desk.settings)
    except ParameterErrors as errors:
        messages = {error.field: _sentence(in_words(error.message)) for error in errors.errors}
        told_at, words = CONTRADICTIONS.get(changed_field, ("", ""))
        if told_at in messages and changed_field not in messages:
            del messages[told_at]
            messages[changed_field] = words.format(given[told_at])
        return {
            "search": no_update,
            "controls": unchanged,
            "errors": {field: messages.get(field, "") for field in FIELDS},
            "looks": {field: _look(field in messages) for field in FIELDS},
            "request": no_update,
            "judged": _judged(search, given, None, list(messages)),
        }
    legs = {"symbol_a": spec.symbol_a, "symbol_b": spec.symbol_b} if swap else {}
    valid = _valid(desk, spec, shown, "")
    changed, query = valid["request"] is not no_update, query_of(spec, desk.settings)
    return {
        "search": f"?{query}" if changed else no_update,
        "controls": unchanged | legs,
        **valid,
        "judged": _judged(f"?{query}" if changed else search, given, query),
    }


def _valid(desk: Desk, spec: PairSpec, shown: object, note: str) -> dict[str, Any]:
    request = {"query": query_of(spec, desk.settings), "note": note}
    return {
        "errors": dict.fromkeys(FIELDS, ""),
        "looks": dict.fromkeys(FIELDS, _look(False)),
        "request": no_update if request == shown else request,
    }


def _judged(
    search: object, values: Mapping[str, Any], query: str | None, refused: Sequence[str] = ()
) -> dict[str, Any]:
    """What was judged and what came of it, for the browser to compare with what is on screen."""
    return {"search": search, "values": dict(values), "query": query, "refused": list(refused)}


def told_anew(answer: dict[str, Any], judged: object) -> dict[str, Any]:
    """Leave out what controls go on saying: for each text every component looks for changes."""
    told = judged.get("refused") if isinstance(judged, dict) else None
    refused = [*answer["judged"]["refused"], *(told if isinstance(told, list) else [])]
    quiet = {field: no_update for field in FIELDS if field not in refused}
    return answer | {part: answer[part] | quiet for part in ("errors", "looks")}


def _look(bad: bool) -> str:
    return "f bad" if bad else "f"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def register(app: Dash, desk: Desk) -> None:
    """Bind link and controls in one callback: each is input and output."""

    @app.callback(
        output={
            "search": Output(URL, "search"),
            "controls": {field: Output(ids.control(field), "value") for field in FIELDS},
            "errors": {field: Output(ids.control_error(field), "children") for field in FIELDS},
            "looks": {field: Output(ids.control_field(field), "className") for field in FIELDS},
            "request": Output(REQUESTED, "data"),
            "judged": Output(ids.JUDGED, "data"),
        },
        inputs={
            "search": Input(URL, "search"),
            "swap": Input(ids.SWAP, "n_clicks"),
            "retry": Input(ids.RETRY, "data"),
            "values": {field: Input(ids.control(field), "value") for field in FIELDS},
        },
        state={"shown": State(REQUESTED, "data"), "judged": State(ids.JUDGED, "data")},
    )
    def parameters(
        search: object,
        swap: object,
        retry: object,
        values: dict[str, Any],
        shown: object,
        judged: object,
    ) -> dict[str, Any]:
        again = ctx.triggered_id == ids.RETRY
        if again:
            shown = None  # what was asked for before has not come
        of_link = isinstance(retry, dict) and retry.get("link") is True
        if ctx.triggered_id in (None, URL) or (again and of_link):
            return told_anew(follow_link(desk, search, shown), judged)
        swapped = ctx.triggered_id == ids.SWAP
        by_id = {ids.control(field): field for field in FIELDS}
        changed = by_id.get(ctx.triggered_id, "") if isinstance(ctx.triggered_id, str) else ""
        answer = follow_controls(
            desk, values, shown, swap=swapped, search=search, changed_field=changed
        )
        return told_anew(answer, judged)

    app.clientside_callback(
        ClientsideFunction(namespace="desk_controls", function_name="follow"),
        Output(ids.ASKED, "hidden"),
        Input(URL, "search"),
        Input(ids.JUDGED, "data"),
        *(Input(ids.control(field), "value") for field in FIELDS),
        State(ids.LABELS, "data"),
    )
    app.clientside_callback(
        ClientsideFunction(namespace="desk_controls", function_name="back"),
        Output(ids.GO_BACK, "hidden"),
        Input(ids.GO_BACK, "n_clicks"),
        prevent_initial_call=True,
    )
