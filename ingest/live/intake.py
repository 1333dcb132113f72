"""What comes in right now: the exchange's clock, trades per second, and how late they are."""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from core.types import Trade
from ingest.live.writing_thread import WritingThread

FAR_MS = 3_600_000
"""A live trade dated this far back is a fault: it would rewrite bars long past. What it was meant
to be is fetched by its id."""
AHEAD_MS = 60_000
"""So far ahead of the exchange's clock no trade can be either, while ours is out by seconds."""
PROMPT_S = 1.0
"""A question to the exchange that took longer had to wait somewhere before it was asked."""
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
        # How often the feed was away, and how many trades had been queued the last time: a quiet
        # symbol may have missed trades then that no later id has shown yet.
        self._doubt = (1, 0)
        self._taken = 0

    def doubt(self) -> None:
        """The feed is away or back again: what was missed meanwhile has to be asked for."""
        self._doubt = (self._doubt[0] + 1, self._writing.put_count)

    def take_doubt(self) -> bool:
        """Whether there was a doubt and all is written that was queued before it; once."""
        number, queued_before = self._doubt
        if number == self._taken or queued_before > self._writing.written_count:
            return False
        self._taken = number
        return True

    def take(self, trade: Trade, _received_ms: int) -> None:
        """Queue a live trade; called by the read loop, which must not wait."""
        self.count += 1
        if self.count % 64 == 0 or self._monotonic() - self.last_at > 0.1:
            self._measure(trade)
        if (
            self._earliest_ms <= trade.event_time_ms <= self._latest_ms
            and self._earliest_ms <= trade.trade_time_ms <= self._latest_ms
        ):
            self._writing.put(trade)
        else:
            self.absurd += 1

    def _measure(self, trade: Trade) -> None:
        self.last_at = self._monotonic()
        now_ms = self._clock.now_ms()
        self._earliest_ms, self._latest_ms = now_ms - FAR_MS, now_ms + AHEAD_MS
        lag_ms = now_ms - trade.event_time_ms
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
