"""One look at the store for all clients of a process."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from dash import Dash, no_update
from sqlalchemy import Engine, event

from app.services import Desk, open_desk
from app.services.looks import SharedLook
from app.views.live.callbacks import load_newer, load_screen
from core.errors import StoreError
from core.settings import Settings
from core.types import Origin
from ingest.store import market
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.app.conftest import LAST_OPEN_MS, MINUTE, minute_bars
from tests.support.waiting import HANG_S

PAIRS = ("symbol_a=BTCUSDT&symbol_b=ETHUSDT", "symbol_a=ETHUSDT&symbol_b=BTCUSDT&window=60")


class Moments:
    """Both clocks of a look, and how often it was taken."""

    def __init__(self) -> None:
        self.monotonic_s, self.now_ms, self.taken = 100.0, 1_795_401_000_000, 0
        self.failure: str | None = None

    def read(self) -> int:
        self.taken += 1
        if self.failure:
            raise StoreError(self.failure)
        return self.taken

    def look(self) -> SharedLook[int]:
        return SharedLook(self.read, lambda: self.now_ms, 250, lambda: self.monotonic_s)


def test_everyone_shares_a_look_until_it_is_a_quarter_of_a_second_old() -> None:
    moments = Moments()
    look = moments.look()
    assert [look.value() for _ in range(500)] == [1] * 500
    moments.monotonic_s += 0.249
    assert look.value() == 1
    moments.monotonic_s += 0.001
    assert [look.value() for _ in range(500)] == [2] * 500


def test_a_bar_that_is_stored_early_in_its_second_is_seen_at_the_next_quarter() -> None:
    """Asked every 10 ms for three seconds, it looks right behind 0.05, 0.3, 0.55 and 0.8 s."""
    moments = Moments()
    look = moments.look()
    began_ms, seen = moments.now_ms, dict[int, int]()
    for waited_ms in range(4, 3_000, 10):
        moments.now_ms, moments.monotonic_s = began_ms + waited_ms, 100.0 + waited_ms / 1_000
        seen.setdefault(look.value(), waited_ms)
    first, *later = seen.values()
    assert first == 4
    assert later == [1_000 * second + at for second in range(3) for at in (54, 304, 554, 804)]


@pytest.mark.parametrize("step_ms", [-3_600_000, 3_600_000])
def test_a_clock_that_is_set_does_not_keep_an_old_look_alive(step_ms: int) -> None:
    moments = Moments()
    look = moments.look()
    assert look.value() == 1
    moments.now_ms += step_ms
    assert look.value() == 2
    assert look.value() == 2


def test_a_store_that_fails_is_asked_no_more_often_and_tried_again() -> None:
    moments = Moments()
    look = moments.look()
    moments.failure = "the disk is gone"
    for _ in range(3):
        with pytest.raises(StoreError, match="the disk is gone"):
            look.value()
    assert moments.taken == 1
    moments.failure = None
    moments.monotonic_s += 0.25
    assert look.value() == 2


def test_nobody_waits_for_a_slow_look_who_has_the_one_before() -> None:
    moments = Moments()
    reading, release = threading.Event(), threading.Event()

    def slow() -> int:
        moments.taken += 1
        if moments.taken == 2:
            reading.set()
            assert release.wait(HANG_S)
        return moments.taken

    look = SharedLook(slow, lambda: moments.now_ms, 250, lambda: moments.monotonic_s)
    assert look.value() == 1
    moments.monotonic_s += 1
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(look.value()))
    thread.start()
    assert reading.wait(HANG_S)
    assert look.value() == 1
    release.set()
    thread.join(HANG_S)
    assert (seen, look.value(), moments.taken) == ([2], 2, 2)


def test_the_first_look_is_taken_once_however_many_ask_for_it() -> None:
    moments = Moments()
    entered, release = threading.Semaphore(0), threading.Event()

    def slow() -> int:
        assert release.wait(HANG_S)
        return moments.read()

    look = SharedLook(slow, lambda: moments.now_ms, 250, lambda: moments.monotonic_s)
    seen: list[int] = []

    def ask() -> None:
        entered.release()
        seen.append(look.value())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert entered.acquire(timeout=HANG_S)
    release.set()
    for thread in threads:
        thread.join(HANG_S)
    assert seen == [1] * 8


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every statement that any engine of this process runs, as it runs."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


def ticks(desk: Desk, cursors: dict[str, Any], clients: int) -> list[Any]:
    return [
        load_newer(desk, {"query": query, "note": ""}, cursor)
        for _ in range(clients)
        for query, cursor in cursors.items()
    ]


def test_an_idle_tick_makes_no_sql_and_a_look_costs_the_same_for_any_number_of_clients(
    market_url: str, settings: Settings, statements: list[str]
) -> None:
    moments = Moments()
    reader = Reader(market_url)
    desk = open_desk(
        settings,
        reader,
        clock=lambda: moments.now_ms / 1_000,
        monotonic=lambda: moments.monotonic_s,
    )
    cursors = {query: load_screen(desk, {"query": query, "note": ""})["cursor"] for query in PAIRS}
    statements.clear()
    assert ticks(desk, cursors, 50) == [no_update] * 100
    assert statements == []
    looks = []
    for clients in (1, 50):
        moments.monotonic_s += 1
        statements.clear()
        assert ticks(desk, cursors, clients) == [no_update] * (2 * clients)
        looks.append(len(statements))
    assert looks[0] == looks[1] > 0
    reader.close()


def test_what_is_newer_is_told_with_the_next_look(
    own_desk: tuple[Dash, dict[str, float]], own_writer: Writer, own_ids: dict[str, int]
) -> None:
    desk, clock = own_desk[0].server.extensions["pairdesk"], own_desk[1]
    request = {"query": PAIRS[0], "note": ""}
    cursor = load_screen(desk, request)["cursor"]
    rewritten = minute_bars(np.array([31_234.5]), LAST_OPEN_MS - 30 * MINUTE)
    with own_writer.transaction() as tx:
        market.upsert_bars(tx, own_ids["BTCUSDT"], MINUTE, rewritten, Origin.TRADES)
        market.rise_revision(tx, own_ids["BTCUSDT"])
    clock["now"] += 0.25
    assert load_newer(desk, request, cursor)["reload"] is True
