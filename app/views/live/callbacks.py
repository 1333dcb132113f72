"""The clock of the Live view: a screen for new parameters, a delta for every second."""

from typing import Any

import structlog
from dash import Dash, Input, Output, State, no_update

from app.services import Desk
from app.views.links import query_of, read_query
from app.views.live import ids, parameters, scripts
from app.views.live.client_cursor import read_cursor
from app.views.live.screen import asked_of, newer, whole_screen
from app.views.live.worth import RUNS, expectancy_figure, expectancy_note, noise_texts
from core.errors import ParameterErrors
from core.pair_spec import PairSpec

QUICK = (f"{ids.DELTA}.data", f"{ids.SCREEN}.data")
"""The clock's callback, and that of a whole screen, of whose hundred thousand numbers dash would
look at each: see `answer_quickly`."""

log = structlog.get_logger()


def read_request(request: object, desk: Desk) -> tuple[PairSpec, str] | None:
    """What the page keeps of its request: parameters and a note; None for anything unusable."""
    query = request.get("query") if isinstance(request, dict) else None
    if not isinstance(request, dict) or not isinstance(query, str):
        return None
    try:
        spec = read_query(query, desk.settings)
    except ParameterErrors:
        return None
    note = request.get("note")
    return spec, note[:1_000] if isinstance(note, str) else ""


def load_screen(desk: Desk, request: object) -> Any:
    """A whole screen for the request; no update when it can't be one of this page."""
    asked = read_request(request, desk)
    return no_update if asked is None else whole_screen(desk, *asked)


def load_newer(desk: Desk, request: object, raw_cursor: object) -> Any:
    """What is newer than the cursor; no update when nothing is."""
    asked, cursor = read_request(request, desk), read_cursor(raw_cursor)
    if asked is None or cursor is None:
        return no_update
    spec, note = asked
    change = newer(desk, spec, cursor, note)
    return no_update if change is None else change


def load_expectancy(desk: Desk, request: object) -> Any:
    """The chart of other entries; no update when it can't be asked for."""
    asked = read_request(request, desk)
    if asked is None:
        return no_update
    spec, key = asked[0], query_of(asked[0], desk.settings)
    told, failure = asked_of(desk.worth.expectancy, spec)
    found, reason = (told.value, told.reason) if told else (None, failure)
    return {
        "key": key,
        "texts": {"expectancy-note": expectancy_note(found, reason)},
        "figure": expectancy_figure(spec, found, key),
    }


def load_noise(desk: Desk, request: object) -> Any:
    """What noise gives beside each number; no update when it can't be asked for."""
    asked = read_request(request, desk)
    if asked is None:
        return no_update
    spec = asked[0]
    told, failure = asked_of(lambda spec: desk.worth.placebo(spec, RUNS), spec)
    found, reason = (told.value, told.reason) if told else (None, failure)
    return {"key": query_of(spec, desk.settings), "texts": noise_texts(spec, found, reason)}


def register(app: Dash, desk: Desk) -> None:
    """Bind everything that makes the view live."""
    parameters.register(app, desk)
    scripts.register(app)

    # All asked by assets/desk_live.js, past dash's renderer: nothing sets their inputs there.
    @app.callback(
        Output(ids.SCREEN, "data"),
        Input(ids.REQUEST, "data"),
        Input(ids.RELOAD, "data"),
        prevent_initial_call=True,
    )
    def screen(request: object, reload: object) -> Any:
        return load_screen(desk, request)

    @app.callback(
        Output(ids.DELTA, "data"),
        Input(ids.CURSOR, "data"),
        State(ids.REQUEST, "data"),
        prevent_initial_call=True,
    )
    def delta(cursor: object, request: object) -> Any:
        try:
            return load_newer(desk, request, cursor)
        except Exception as error:
            # The page keeps its last state and asks again.
            log.error("callback failed", error=repr(error), exc_info=error)
            return no_update

    @app.callback(
        Output(ids.EXPECTANCY, "data"), Input(ids.WORTH, "data"), prevent_initial_call=True
    )
    def expectancy(request: object) -> Any:
        return load_expectancy(desk, request)

    @app.callback(Output(ids.NOISE, "data"), Input(ids.WORTH, "data"), prevent_initial_call=True)
    def noise(request: object) -> Any:
        return load_noise(desk, request)
