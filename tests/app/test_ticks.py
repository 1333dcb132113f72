"""The clock of the page at its own address: answered from memory, each delta made once."""

import itertools
import json
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from dash import Dash, no_update
from flask.testing import FlaskClient

from app.api import limits
from app.services import Desk, pairs
from app.services.cache import ResultCache
from app.views.live import screen as screens
from app.views.live.callbacks import load_newer, load_screen
from core.pair import analyse_pair
from core.types import Origin
from ingest.store import market
from ingest.store.transaction import Writer
from tests.app.conftest import LAST_OPEN_MS, MINUTE, minute_bars
from tests.support.screens import REQUEST
from tests.support.waiting import HANG_S, wait_until


def tick_body(cursor: Any, request: Any = REQUEST) -> dict[str, Any]:
    """A tick as the page sends it."""
    return {
        "output": "live-delta.data",
        "outputs": {"id": "live-delta", "property": "data"},
        "inputs": [{"id": "live-cursor", "property": "data", "value": cursor}],
        "changedPropIds": ["live-cursor.data"],
        "state": [{"id": "live-request", "property": "data", "value": request}],
    }


@pytest.fixture
def close_minute(
    own_desk: tuple[Dash, dict[str, float]], own_writer: Writer, own_ids: dict[str, int]
) -> Callable[[], None]:
    """Closes the next minute of both legs, and lets the desk look again."""
    open_ms = [LAST_OPEN_MS]

    def close() -> None:
        open_ms[0] += MINUTE
        with own_writer.transaction() as tx:
            for symbol, price in (("BTCUSDT", 30_000.0), ("ETHUSDT", 2_000.0)):
                bars = minute_bars(np.array([price]), open_ms[0])
                market.upsert_bars(tx, own_ids[symbol], MINUTE, bars, Origin.TRADES)
        own_desk[1]["now"] += 60

    return close


class CountedAnalyses:
    """Lets each analysis begin only when told to, and counts them."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Event()
        self.count = 0

    def __call__(self, *args: Any) -> Any:
        self.count += 1
        self.begun.release()
        assert self.may_end.wait(HANG_S)
        return analyse_pair(*args)


def test_ticks_get_the_state_before_while_one_computes_the_next(
    own_services: Desk, close_minute: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = load_screen(own_services, REQUEST)["cursor"]
    load_newer(own_services, REQUEST, cursor)
    analyses = CountedAnalyses()
    monkeypatch.setattr(pairs.pairs, "analyse_pair", analyses)
    close_minute()
    first: list[Any] = []
    thread = threading.Thread(
        target=lambda: first.append(load_newer(own_services, REQUEST, cursor))
    )
    thread.start()
    assert analyses.begun.acquire(timeout=HANG_S)
    meanwhile = [load_newer(own_services, REQUEST, cursor) for _ in range(50)]
    analyses.may_end.set()
    thread.join(HANG_S)
    assert all("rows" not in delta and "reload" not in delta for delta in meanwhile)
    assert first[0]["last"] == LAST_OPEN_MS + MINUTE
    assert load_newer(own_services, REQUEST, cursor)["last"] == LAST_OPEN_MS + MINUTE
    assert analyses.count == 1


def test_a_bar_that_ticks_did_not_wait_for_is_ready_when_they_ask_again(
    own_services: Desk, close_minute: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a close there are hundreds of pairs to compute, and whole results of some 16 kept."""
    cursor = load_screen(own_services, REQUEST)["cursor"]
    load_newer(own_services, REQUEST, cursor)
    close_minute()
    service = own_services.pairs
    with service._tick_turn:
        assert "rows" not in load_newer(own_services, REQUEST, cursor)
    wait_until(lambda: not service._later.is_busy, "the new bar was computed")
    monkeypatch.setattr(service, "_results", ResultCache())
    monkeypatch.setattr(pairs.pairs, "analyse_pair", None)
    delta = load_newer(own_services, REQUEST, cursor)
    assert delta["last"] == LAST_OPEN_MS + MINUTE
    assert len(delta["rows"]["z"]) == 1


def test_a_client_ahead_of_a_process_is_not_told_to_start_anew(
    own_services: Desk, close_minute: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes serve one page: the other one may have computed the new bar already."""
    cursor = load_screen(own_services, REQUEST)["cursor"]
    load_newer(own_services, REQUEST, cursor)
    analyses = CountedAnalyses()
    monkeypatch.setattr(pairs.pairs, "analyse_pair", analyses)
    close_minute()
    thread = threading.Thread(target=lambda: load_newer(own_services, REQUEST, cursor))
    thread.start()
    assert analyses.begun.acquire(timeout=HANG_S)
    ahead = cursor | {"last_ms": LAST_OPEN_MS + MINUTE}
    assert load_newer(own_services, REQUEST, ahead) is no_update
    analyses.may_end.set()
    thread.join(HANG_S)
    assert "reload" not in load_newer(own_services, REQUEST, ahead)


def test_ticks_do_not_wait_for_what_callers_of_the_api_compute(
    own_services: Desk, close_minute: Callable[[], None]
) -> None:
    cursor = load_screen(own_services, REQUEST)["cursor"]
    load_newer(own_services, REQUEST, cursor)
    close_minute()
    for _ in range(pairs.MOST_ANALYSES):
        own_services.pairs._turns.acquire()
    assert load_newer(own_services, REQUEST, cursor)["last"] == LAST_OPEN_MS + MINUTE


def test_ticks_after_opening_compute_nothing_though_no_whole_result_is_kept(
    own_services: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of pairs on screen, whole results of some 16 in memory."""
    cursor = load_screen(own_services, REQUEST)["cursor"]
    monkeypatch.setattr(own_services.pairs, "_results", ResultCache())

    def refuse(*args: Any) -> Any:
        raise AssertionError("computed again")

    monkeypatch.setattr(pairs.pairs, "analyse_pair", refuse)
    for _ in range(3):
        assert load_newer(own_services, REQUEST, cursor) is no_update


def test_a_delta_that_several_clients_need_is_made_once(
    own_services: Desk, close_minute: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = load_screen(own_services, REQUEST)["cursor"]
    made: list[int] = []
    make = screens.newer_rows

    def counted(*args: Any) -> Any:
        made.append(1)
        return make(*args)

    monkeypatch.setattr(screens, "newer_rows", counted)
    close_minute()
    deltas = [load_newer(own_services, REQUEST, dict(cursor)) for _ in range(100)]
    assert all(delta["rows"] == deltas[0]["rows"] for delta in deltas)
    assert deltas[0]["last"] == LAST_OPEN_MS + MINUTE
    assert len(made) == 1


def test_a_tick_answers_what_dash_itself_would(
    own_desk: tuple[Dash, dict[str, float]],
    own_services: Desk,
    close_minute: Callable[[], None],
    open_client: Callable[[Dash], FlaskClient],
) -> None:
    dash, client = own_desk[0], open_client(own_desk[0])
    cursor = json.loads(json.dumps(load_screen(own_services, REQUEST)["cursor"]))
    close_minute()
    behind = {**cursor, "notices": 1, "strip": 1}
    answers = {}
    for name, at in (("newer", behind), ("nothing", None)):
        quick = client.post("/_dash-update-component", json=tick_body(at))
        with dash.server.test_request_context(
            "/_dash-update-component", method="POST", json=tick_body(at)
        ):
            own = dash.server.view_functions["/_dash-update-component"]()
        assert (quick.status_code, quick.mimetype) == (own.status_code, own.mimetype)
        assert quick.get_json() == own.get_json()
        answers[name] = quick.get_json()["response"]
    delta = answers["newer"]["live-delta"]["data"]
    assert delta["rows"]["z"]
    assert delta["notices"][0]["type"] == "Div"
    assert answers["nothing"] == {}


def test_a_whole_screen_is_what_dash_itself_would_answer(
    own_desk: tuple[Dash, dict[str, float]], open_client: Callable[[Dash], FlaskClient]
) -> None:
    dash, client = own_desk[0], open_client(own_desk[0])
    for window in (60, 2_000):  # with all rows, and with too few for any z
        query = REQUEST["query"].replace("window=60", f"window={window}")
        query = query.replace("hedge_window=120", f"hedge_window={2 * window}")
        body = {
            "output": "live-screen.data",
            "outputs": {"id": "live-screen", "property": "data"},
            "inputs": [
                {"id": "live-request", "property": "data", "value": {"query": query, "note": ""}},
                {"id": "live-reload", "property": "data", "value": None},
            ],
            "changedPropIds": ["live-request.data"],
        }
        quick = client.post("/_dash-update-component", json=body)
        with dash.server.test_request_context("/_dash-update-component", method="POST", json=body):
            own = dash.server.view_functions["/_dash-update-component"]()
        assert (quick.status_code, quick.mimetype) == (own.status_code, own.mimetype)
        assert quick.get_json() == own.get_json()
        traces = quick.get_json()["response"]["live-screen"]["data"]["figures"]["pair"]["data"]
        z = next(trace["y"]["steps"] for trace in traces if trace["name"] == "z")
        assert (None in z, all(value is None for value in z)) == (True, window == 2_000)


def test_a_tick_that_fails_inside_leaves_the_page_as_it_is(
    desk: Dash, services: Desk, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = load_screen(services, REQUEST)["cursor"]
    monkeypatch.setattr(screens, "notices", None)
    answer = client.post("/_dash-update-component", json=tick_body(cursor))
    assert (answer.status_code, answer.get_json()["response"]) == (200, {})


def test_ticks_are_not_counted_against_the_limit_of_the_api(
    services: Desk, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A hundred a second, within one minute.
    moments = (6_000 + count / 100 for count in itertools.count())
    clock = SimpleNamespace(time=lambda: next(moments), thread_time=time.thread_time)
    monkeypatch.setattr(limits, "time", clock)
    body = tick_body(load_screen(services, REQUEST)["cursor"])
    answers = {client.post("/_dash-update-component", json=body).status_code for _ in range(1_300)}
    assert answers == {200}
    assert client.get("/api/symbols").status_code == 200
