"""The exchange's clock."""

import time
from collections.abc import Awaitable, Callable
from functools import partial

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from ingest.schedule import every

EVERY_S = 60.0
PROMPT_S = 1.0
"""A question to the exchange that took longer had to wait somewhere before it was asked."""
_HAS_BOOTTIME = hasattr(time, "CLOCK_BOOTTIME")


def steady_s() -> float:
    """Seconds on a clock that never jumps and, unlike the monotonic one, counts sleep too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if _HAS_BOOTTIME else time.monotonic()


class ExchangeClock:
    """The exchange's time, carried on by a steady clock of ours: the wall clock may jump."""

    def __init__(
        self, wall_clock: Callable[[], float] = time.time, steady: Callable[[], float] = steady_s
    ) -> None:
        self._wall_clock = wall_clock
        self._steady = steady
        self._offset_ms = (wall_clock() - steady()) * 1_000.0
        self.is_measured = False

    def schedule(
        self, scheduler: AsyncIOScheduler, server_time: Callable[[], Awaitable[int]]
    ) -> None:
        """Compare once a minute: clocks drift, and ours may be set."""
        every(scheduler, "compare clocks", EVERY_S, partial(self.compare, server_time))

    async def compare(self, server_time: Callable[[], Awaitable[int]]) -> None:
        """Ask the exchange, and believe that it answered halfway between question and answer.

        A question that took long had to wait for its turn: then it was answered at its end, and
        the clock errs to the late side. One that is ahead would close bars before their time.
        """
        asked_at = self._steady()
        server_ms = await server_time()
        answered_at = self._steady()
        took_s = answered_at - asked_at
        told_at = answered_at - (took_s / 2.0 if took_s <= PROMPT_S else 0.0)
        self._offset_ms = server_ms - told_at * 1_000.0
        self.is_measured = True

    def follow(self, host_ahead_ms: int) -> None:
        """Take over what another process of this machine has measured; see `host_ahead_ms`."""
        self._offset_ms = (self._wall_clock() - self._steady()) * 1_000.0 - host_ahead_ms
        self.is_measured = True

    def now_ms(self) -> int:
        """The exchange's time, to within the network's delay."""
        return int(self._steady() * 1_000.0 + self._offset_ms)

    def now_s(self) -> float:
        """The same in seconds, for whoever asks as of a wall clock."""
        return self._steady() + self._offset_ms / 1_000.0

    def host_ahead_ms(self) -> int:
        """How far this machine's own clock is ahead of the exchange's, or behind it."""
        return round((self._wall_clock() - self.now_s()) * 1_000.0)
