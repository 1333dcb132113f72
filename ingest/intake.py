"""What comes in right now: the exchange's clock, trades per second, and how late they are."""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from core.types import Trade
from ingest.writing import WritingThread

FAR_MS = 3_600_000
"""A live trade dated this far off is a fault: it would close every bar until then, or rewrite
bars long past. What it was meant to be is fetched by its id."""
LAG_SAMPLES = 2_000
RATE_S = 5.0
_HAS_BOOTTIME = hasattr(time, "CLOCK_BOOTTIME")


def steady_s() -> float:
    """Seconds on a clock that never jumps and, unlike the monotonic one, counts sleep too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if _HAS_BOOTTIME else time.monotonic()


def quantiles(samples: Sequence[float]) -> tuple[float | None, float | None]:
    """Median and 99th percentile; None without samples."""
    if not samples:
        return None, None
    ordered = sorted(samples)
    return float(ordered[len(ordered) // 2]), float(ordered[len(ordered) * 99 // 100])


class ExchangeClock:
    """The exchange's time, carried on by a steady clock of ours: the wall clock may jump."""

    def __init__(
        self, wall_clock: Callable[[], float] = time.time, steady: Callable[[], float] = steady_s
    ) -> None:
        self._steady = steady
        self._offset_ms = (wall_clock() - steady()) * 1_000.0

    async def compare(self, server_time: Callable[[], Awaitable[int]]) -> None:
        """Ask the exchange, and believe that it answered halfway between question and answer."""
        asked_at = self._steady()
        server_ms = await server_time()
        self._offset_ms = server_ms - (asked_at + self._steady()) / 2.0 * 1_000.0

    def now_ms(self) -> int:
        """The exchange's time, to within the network's delay."""
        return int(self._steady() * 1_000.0 + self._offset_ms)


class Intake:
    """Takes trades from the stream to the writing thread and measures on the way."""

    def __init__(
        self,
        writing: WritingThread,
        clock: ExchangeClock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writing = writing
        self._clock = clock
        self._monotonic = monotonic
        self._lags: deque[int] = deque(maxlen=LAG_SAMPLES)
        self._counts: deque[tuple[float, int]] = deque([(monotonic(), 0)])
        self.count = 0
        self.last_at = -float("inf")
        self.absurd = 0
        self._earliest_ms = self._latest_ms = 0
        # Quiet symbols may have missed trades that no later id has shown yet.
        self.is_doubted = True

    def note_connected(self) -> None:
        """The feed is there (again): what it missed meanwhile has to be asked for."""
        self.is_doubted = True

    def take(self, trade: Trade, received_ms: int) -> None:
        """Queue a live trade; called by the read loop, which must not wait."""
        self.count += 1
        if self.count % 64 == 0 or self._monotonic() - self.last_at > 0.1:
            self._measure(trade, received_ms)
        if (
            self._earliest_ms <= trade.event_time_ms <= self._latest_ms
            and self._earliest_ms <= trade.trade_time_ms <= self._latest_ms
        ):
            self._writing.put(trade)
        else:
            self.absurd += 1

    def _measure(self, trade: Trade, received_ms: int) -> None:
        self.last_at = self._monotonic()
        now_ms = self._clock.now_ms()
        self._earliest_ms, self._latest_ms = now_ms - FAR_MS, now_ms + FAR_MS
        lag_ms = received_ms - trade.event_time_ms
        self._lags.append(lag_ms)
        self._writing.mark(lag_ms)

    def is_recent(self, within_s: float) -> bool:
        """Whether a trade came within that time."""
        return self._monotonic() - self.last_at <= within_s

    def rate(self) -> float:
        """Trades per second over the last seconds; called once a second."""
        now = self._monotonic()
        self._counts.append((now, self.count))
        while len(self._counts) > 2 and now - self._counts[0][0] > RATE_S:
            self._counts.popleft()
        since, before = self._counts[0]
        return round((self.count - before) / max(now - since, 0.001), 1)

    def lags(self) -> tuple[float | None, float | None]:
        """Median and 99th percentile of receive time minus event time, then forgotten."""
        samples = list(self._lags)
        self._lags.clear()
        return quantiles(samples)
