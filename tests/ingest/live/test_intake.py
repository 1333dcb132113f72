"""The exchange's clock, and live trades dated far off."""

import asyncio
from typing import Any

import pytest

from core.types import Trade
from ingest.live.clock import ExchangeClock
from ingest.live.intake import AHEAD_MS, FAR_MS, Intake

NOW_MS = 1_700_000_040_000


class Steady:
    """A clock that the exchange's answers move."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def compared(waited_s: float, network_s: float) -> int:
    """By how much the clock is ahead after an answer that had to wait before it was asked for."""
    steady = Steady()
    clock = ExchangeClock(lambda: NOW_MS / 1_000 - 3_600.0, steady)

    async def server_time() -> int:
        steady.now_s += waited_s + network_s / 2
        told_ms = NOW_MS + round((waited_s + network_s / 2) * 1_000)
        steady.now_s += network_s / 2
        return told_ms

    asyncio.run(clock.compare(server_time))
    return clock.now_ms() - (NOW_MS + round((waited_s + network_s) * 1_000))


def test_clock_is_right_after_a_prompt_answer() -> None:
    assert abs(compared(0.0, 0.2)) <= 1


@pytest.mark.parametrize("waited_s", [2.0, 60.0, 300.0])
def test_clock_is_never_ahead_after_a_question_that_had_to_wait(waited_s: float) -> None:
    """It would close bars before their time, as complete."""
    assert -600 <= compared(waited_s, 1.0) <= 0


class Kept:
    put_count = written_count = 0

    def __init__(self) -> None:
        self.trades: list[Trade] = []

    def put(self, trade: Trade) -> None:
        self.trades.append(trade)

    def mark(self, lag_ms: float) -> None:
        self.lag_ms = lag_ms


def test_a_trade_of_the_future_is_set_aside_and_the_lag_is_by_the_exchanges_clock() -> None:
    kept: Any = Kept()
    clock = ExchangeClock(lambda: NOW_MS / 1_000, lambda: 0.0)
    intake = Intake(kept, clock)
    trade = Trade("AAAUSDT", 1, 1.0, 1.0, NOW_MS - 80, NOW_MS - 80, 1, 1, False)
    intake.take(trade, NOW_MS + 3_600_000)  # our own wall clock may be an hour off
    far_ms = NOW_MS + AHEAD_MS + 1_000
    for odd in (
        trade._replace(event_time_ms=far_ms, trade_time_ms=far_ms),
        # Either time alone: the one makes bars, the other freshness.
        trade._replace(event_time_ms=far_ms),
        trade._replace(trade_time_ms=far_ms),
        trade._replace(event_time_ms=NOW_MS - FAR_MS - 1_000),
    ):
        intake.take(odd, NOW_MS)
    assert kept.trades == [trade]
    assert intake.absurd == 4
    assert kept.lag_ms == 80
