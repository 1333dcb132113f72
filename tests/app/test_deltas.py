"""A tick brings what a screen lacks, small, once and in order, or has it begin anew."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from dash import Dash, no_update

from app.services import Desk
from app.services.turns import Turns
from app.views.links import read_query
from app.views.live.callbacks import load_newer, load_screen
from app.views.live.client_cursor import ClientCursor, read_cursor
from core.types import Bar, Origin
from ingest.store import market, process
from ingest.store.transaction import Writer
from tests.app.conftest import LAST_OPEN_MS, MINUTE, minute_bars
from tests.support.screens import REQUEST, as_sent

HOUR = 60 * MINUTE


@pytest.fixture
def close_bar(
    own_services: Desk,
    own_desk: tuple[Dash, dict[str, float]],
    own_writer: Writer,
    own_ids: dict[str, int],
) -> Callable[[float], None]:
    """Closes the next minute of both legs; A moves by the given share."""

    def close(move: float) -> None:
        with own_writer.transaction() as tx:
            for symbol, share in (("BTCUSDT", move), ("ETHUSDT", 0.0)):
                stored = own_services.market.bars(symbol, MINUTE, limit=1)
                last, open_ms = float(stored.close[-1]), int(stored.open_time_ms[-1]) + MINUTE
                price = last * (1 + share)
                bar = Bar(
                    open_ms,
                    last,
                    max(last, price),
                    min(last, price),
                    price,
                    1.0,
                    price,
                    3,
                    0.5,
                    True,
                )
                market.upsert_bars(tx, own_ids[symbol], MINUTE, [bar], Origin.TRADES)
            own_desk[1]["now"] += 60
            now_ms = int(own_desk[1]["now"] * 1000)
            feed = {"state": "live", "last_frame_ms": now_ms - 250, "trades_per_s": 12.5}
            process.save_status(tx, "worker", 4242, "running", now_ms - 800, {"feed": feed})

    return close


def test_nothing_new_costs_nothing(services: Desk) -> None:
    screen = as_sent(load_screen(services, REQUEST))
    assert load_newer(services, REQUEST, screen["cursor"]) is no_update


def test_new_bar_is_a_small_delta(own_services: Desk, close_bar: Callable[[float], None]) -> None:
    cursor = as_sent(load_screen(own_services, REQUEST))["cursor"]
    close_bar(1e-4)
    delta = as_sent(load_newer(own_services, REQUEST, cursor))
    assert len(json.dumps(delta, separators=(",", ":"), ensure_ascii=False).encode()) < 2_400
    assert delta["after"] == cursor["last_ms"]
    assert delta["last"] == cursor["last_ms"] + MINUTE
    assert {len(values) for values in delta["rows"].values()} == {1}
    view = own_services.pairs.view(read_query(REQUEST["query"], own_services.settings))
    assert view.result is not None
    assert delta["rows"]["z"][0] == pytest.approx(view.result.chosen.zscore[-1], abs=6e-4)
    assert load_newer(own_services, REQUEST, cursor | delta["cursor"]) is no_update


def test_rewritten_bars_ask_for_a_whole_screen(
    own_services: Desk,
    own_desk: tuple[Dash, dict[str, float]],
    own_writer: Writer,
    own_ids: dict[str, int],
) -> None:
    cursor = as_sent(load_screen(own_services, REQUEST))["cursor"]
    rewritten = minute_bars(np.array([1_234.5]), LAST_OPEN_MS - 30 * MINUTE)
    with own_writer.transaction() as tx:
        market.upsert_bars(tx, own_ids["ETHUSDT"], MINUTE, rewritten, Origin.TRADES)
        market.rise_revision(tx, own_ids["ETHUSDT"])
    own_desk[1]["now"] += 0.25
    assert load_newer(own_services, REQUEST, cursor)["reload"] is True


def test_screens_that_all_clients_need_at_once_are_spread_and_what_is_newest_is_not(
    own_services: Desk,
    close_bar: Callable[[float], None],
    own_writer: Writer,
    own_ids: dict[str, int],
) -> None:
    clock = {"s": 0.0}
    desk = replace(own_services, screens=Turns(lambda: clock["s"], a_second=2.0, at_once=3.0))
    cursors = [as_sent(load_screen(desk, REQUEST))["cursor"]] * 8
    rewritten = minute_bars(np.array([1_234.5]), LAST_OPEN_MS - 30 * MINUTE)
    with own_writer.transaction() as tx:
        market.upsert_bars(tx, own_ids["ETHUSDT"], MINUTE, rewritten, Origin.TRADES)
        market.rise_revision(tx, own_ids["ETHUSDT"])
    close_bar(1e-3)
    told = []
    while cursors:
        deltas = [as_sent(load_newer(desk, REQUEST, cursor)) for cursor in cursors]
        waiting = [
            cursor | delta["cursor"]
            for cursor, delta in zip(cursors, deltas, strict=True)
            if "reload" not in delta
        ]
        told.append(len(cursors) - len(waiting))
        cursors = waiting
        view = desk.pairs.view(read_query(REQUEST["query"], desk.settings))
        assert view.result is not None
        newest = [delta["rows"]["z"] for delta in deltas if "reload" not in delta]
        assert newest == [[round(float(view.result.chosen.zscore[-1]), 3)]] * len(cursors)
        clock["s"] += 1.0
        close_bar(-1e-3)
    assert told == [3, 2, 2, 1]


def test_bars_rewritten_where_a_screen_does_not_look_leave_it_as_it_is(
    own_services: Desk,
    own_desk: tuple[Dash, dict[str, float]],
    own_writer: Writer,
    own_ids: dict[str, int],
    close_bar: Callable[[float], None],
) -> None:
    """History of other timeframes comes in for minutes after a start; so do late trades of 1s."""
    cursor = as_sent(load_screen(own_services, REQUEST))["cursor"]
    hours = minute_bars(np.array([1_234.5]), LAST_OPEN_MS // HOUR * HOUR - 30 * HOUR)
    with own_writer.transaction() as tx:
        market.upsert_bars(tx, own_ids["ETHUSDT"], HOUR, hours, Origin.KLINE)
        market.rise_revision(tx, own_ids["ETHUSDT"])
    own_desk[1]["now"] += 0.25
    assert load_newer(own_services, REQUEST, cursor) is no_update
    close_bar(1e-4)
    delta = as_sent(load_newer(own_services, REQUEST, cursor))
    assert delta["last"] == cursor["last_ms"] + MINUTE
    after = cursor | delta["cursor"]
    assert after["revision_b"] == cursor["revision_b"] + 1
    assert after["drawn"] == load_screen(own_services, REQUEST)["cursor"]["drawn"]


def test_open_round_trip_is_updated_and_not_added_twice(
    own_services: Desk, close_bar: Callable[[float], None]
) -> None:
    screen = as_sent(load_screen(own_services, REQUEST))
    cursor, trips = screen["cursor"], {row["id"]: row for row in screen["trips"]}
    for move in (0.02, 0.0, -0.01, -0.01, 0.0, -0.02, 0.0):
        close_bar(move)
        delta = as_sent(load_newer(own_services, REQUEST, cursor))
        cursor |= delta["cursor"]
        news = {"update": [], "add": [], **delta.get("trips", {})}
        for row in news["update"]:
            assert row["id"] in trips
            trips[row["id"]] = row
        for row in news["add"]:
            assert row["id"] not in trips
            trips[row["id"]] = row
    whole = as_sent(load_screen(own_services, REQUEST))["trips"]
    assert len(whole) > len(screen["trips"])
    assert list(trips.values()) == whole


def test_entry_is_news_only_while_it_is_fresh(
    own_services: Desk, close_bar: Callable[[float], None]
) -> None:
    request = REQUEST | {"query": f"{REQUEST['query']}&entry_z=4"}
    cursor = as_sent(load_screen(own_services, request))["cursor"]
    close_bar(0.03)
    first = load_newer(own_services, request, cursor)["news"]
    assert first["heading"].startswith("▼ short spread · z +")
    assert "BTC sold, ETH bought" in first["words"]
    close_bar(0.0)
    assert load_screen(own_services, request)["news"]["id"] == first["id"]
    close_bar(0.0)
    assert load_screen(own_services, request)["news"] is None


def test_each_entry_of_the_signal_is_news_once_and_nothing_else_is(
    own_services: Desk, close_bar: Callable[[float], None]
) -> None:
    request = REQUEST | {"query": f"{REQUEST['query']}&entry_z=1&exit_z=0.5&stop_z=2"}
    spec = read_query(request["query"], own_services.settings)
    cursor = as_sent(load_screen(own_services, request))["cursor"]
    told = set()
    rng = np.random.default_rng(3)
    for move in rng.normal(0.0, 2e-3, 60):
        close_bar(float(move))
        delta = as_sent(load_newer(own_services, request, cursor))
        cursor |= delta["cursor"]
        if "news" in delta:
            told.add(int(delta["news"]["id"].rpartition("@")[2]))
    result = own_services.pairs.view(spec).result
    assert result is not None
    entered = (result.position != 0) & (np.diff(result.position, prepend=0) != 0)
    times = result.rows.open_time_ms[entered]
    assert told == set(times[times > cursor["last_ms"] - 60 * MINUTE].tolist())
    assert len(told) > 2
    beyond = (np.abs(result.chosen.zscore[-60:]) >= 1).astype(int)
    assert np.count_nonzero(np.diff(beyond) > 0) > len(told), "crossings alone would do as well"


@pytest.mark.parametrize(
    "change",
    [
        {"start_ms": 7},
        {"first_ms": 0},
        {"first_ms": 1 << 52},
        {"last_ms": 1 << 52},
        {"last_ms": 12_345},
    ],
)
def test_cursor_of_another_result_gets_a_new_screen_and_no_rows(
    services: Desk, change: dict[str, int]
) -> None:
    cursor = as_sent(load_screen(services, REQUEST))["cursor"]
    delta = load_newer(services, REQUEST, cursor | change)
    assert delta["reload"] is True


@pytest.mark.parametrize(
    "raw",
    [
        None,
        7,
        [],
        {},
        {"key": 3},
        dict.fromkeys(ClientCursor.__dataclass_fields__, -1),
        dict.fromkeys(ClientCursor.__dataclass_fields__, True),
        dict.fromkeys(ClientCursor.__dataclass_fields__, float("nan")),
    ],
)
def test_what_is_no_cursor_is_ignored(services: Desk, raw: Any) -> None:
    assert read_cursor(raw) is None
    assert load_newer(services, REQUEST, raw) is no_update
