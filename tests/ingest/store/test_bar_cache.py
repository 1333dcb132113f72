from collections.abc import Callable

import numpy as np
import pytest

from core.types import Leg
from ingest.store import bar_cache
from ingest.store.bar_cache import BarCache

MINUTE = 60_000


class Shelf:
    """A reader of made-up bars that notes what it was asked for."""

    def __init__(self) -> None:
        self.closes = np.arange(100.0)
        self.asked: list[tuple[int | None, int | None]] = []

    def leg(self, symbol: str, timeframe_ms: int, start_ms: int, end_ms: int) -> Leg:
        self.asked.append((start_ms, end_ms))
        times = np.arange(len(self.closes), dtype=np.int64) * timeframe_ms
        keep = (times >= start_ms) & (times < end_ms)
        column = self.closes[keep]
        flags = np.ones(len(column), bool)
        return Leg(times[keep], column, column, flags.astype(np.int64), flags, flags)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def cached(shelf: Shelf) -> Callable[..., list[float]]:
    cache = BarCache(shelf)

    def closes(start: int, end: int, revision: int = 1, symbol: str = "AAAUSDT") -> list[float]:
        leg = cache.leg(symbol, MINUTE, start * MINUTE, end * MINUTE, revision)
        assert (leg.open_time_ms // MINUTE).tolist() == list(range(start, end))
        return leg.close.tolist()

    return closes


def test_a_new_bar_costs_one_row_and_not_the_history(shelf, cached):
    cached(10, 90)
    assert cached(10, 91) == list(range(10, 91))
    assert cached(20, 91) == list(range(20, 91))
    assert shelf.asked == [(10 * MINUTE, 90 * MINUTE), (89 * MINUTE + 1, 91 * MINUTE)]


def test_rewritten_bars_are_read_again(shelf, cached):
    cached(0, 50)
    shelf.closes[7] = -1.0
    assert cached(0, 50)[7] == 7.0  # the same revision promises the same bars
    assert cached(0, 50, revision=2)[7] == -1.0


def test_older_history_than_kept_is_read(shelf, cached):
    cached(50, 90)
    assert cached(10, 90) == list(range(10, 90))


def test_symbols_are_kept_apart_and_memory_is_bounded(shelf):
    cache = BarCache(shelf, kept_rows=120)
    for symbol in ("AAAUSDT", "BBBUSDT", "AAAUSDT"):
        cache.leg(symbol, MINUTE, 0, 50 * MINUTE, 1)
    assert len(shelf.asked) == 2
    cache.leg("CCCUSDT", MINUTE, 0, 50 * MINUTE, 1)  # B, the longest unused, has to go
    cache.leg("AAAUSDT", MINUTE, 0, 50 * MINUTE, 1)
    assert len(shelf.asked) == 3
    cache.leg("BBBUSDT", MINUTE, 0, 50 * MINUTE, 1)
    assert len(shelf.asked) == 4


def test_symbol_without_bars_is_asked_for_again(shelf, cached):
    shelf.closes = np.empty(0)
    cache = BarCache(shelf)
    assert len(cache.leg("AAAUSDT", MINUTE, 0, 3 * MINUTE, 1)) == 0
    shelf.closes = np.arange(3.0)
    assert len(cache.leg("AAAUSDT", MINUTE, 0, 3 * MINUTE, 1)) == 3


def test_a_desk_left_open_for_months_does_not_keep_every_bar(shelf, monkeypatch):
    monkeypatch.setattr(bar_cache, "LONGEST_LEG", 50)
    cache = BarCache(shelf)
    for end in range(10, 101):
        cache.leg("AAAUSDT", MINUTE, max(0, end - 20) * MINUTE, end * MINUTE, 1)
    assert sum(len(kept.leg) for kept in cache._kept.values()) == 50
    assert len(cache.leg("AAAUSDT", MINUTE, 0, 100 * MINUTE, 1)) == 100  # read again
