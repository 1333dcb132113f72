"""What comes in right now: trades on their way to the writing thread, how many and how late."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from core.types import Trade
from ingest.live.clock import ExchangeClock
from ingest.live.trade_queue import TradeQueue

FAR_MS = 3_600_000
"""A live trade dated this far back is a fault: it would rewrite bars long past. What it was meant
to be is fetched by its id."""
AHEAD_MS = 60_000
"""So far ahead of the exchange's clock no trade can be either, while ours is out by seconds."""
LAG_SAMPLES = 2_000
RATE_S = 5.0


def quantiles(samples: Sequence[float]) -> tuple[float | None, float | None]:
    """Median and 99th percentile; None without samples."""
    if not samples:
        return None, None
    ordered = sorted(samples)
    return float(ordered[len(ordered) // 2]), float(ordered[len(ordered) * 99 // 100])


class Intake:
    """Takes trades from the stream to the writing thread and measures on the way."""

    def __init__(
        self,
        queue: TradeQueue,
        clock: ExchangeClock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._monotonic = monotonic
        self._lags: deque[int] = deque(maxlen=LAG_SAMPLES)
        self._counts: deque[tuple[float, int]] = deque([(monotonic(), 0)])
        self.count = 0
        self.last_at = -float("inf")
        self.absurd = 0
        self._earliest_ms = self._latest_ms = 0

    def take(self, trade: Trade, _received_ms: int) -> None:
        """Queue a live trade; called by the read loop, which must not wait."""
        self.count += 1
        if self.count % 64 == 0 or self._monotonic() - self.last_at > 0.1:
            self._measure(trade)
        if (
            self._earliest_ms <= trade.event_time_ms <= self._latest_ms
            and self._earliest_ms <= trade.trade_time_ms <= self._latest_ms
        ):
            self._queue.put(trade)
        else:
            self.absurd += 1

    def _measure(self, trade: Trade) -> None:
        self.last_at = self._monotonic()
        now_ms = self._clock.now_ms()
        self._earliest_ms, self._latest_ms = now_ms - FAR_MS, now_ms + AHEAD_MS
        lag_ms = now_ms - trade.event_time_ms
        self._lags.append(lag_ms)
        self._queue.mark(lag_ms)

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
