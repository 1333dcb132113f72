"""When bars close: as event time passes, or the exchange's clock where no trade tells."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.bars import SECOND_MS
from ingest.binance.rest import SETTLE_MS
from ingest.live.clock import ExchangeClock
from ingest.live.intake import Intake
from ingest.live.pipeline import GRACE_MS, Pipeline
from ingest.live.ports import Store
from ingest.live.trade_queue import TradeQueue
from ingest.schedule import every

EVERY_S = 0.25
CLOCK_GRACE_MS = 1_000
"""Where no trade tells that a second is over, the exchange's clock does, this much later."""
QUIET_S = 5.0
PROOF_AFTER_S = SETTLE_MS / 1_000 + 1.0
"""The exchange's database lags: asked sooner it may not know yet what a short absence cost."""


@dataclass(slots=True)
class Closing:
    """Hands doubts on to the pipeline, and closes bars up to where trades may be trusted.

    Parameters
    ----------
    is_live : whether the stream is connected and brings trades.
    """

    queue: TradeQueue
    pipeline: Pipeline
    intake: Intake
    clock: ExchangeClock
    is_live: Callable[[], bool]
    monotonic: Callable[[], float] = time.monotonic
    _doubted_at: float = field(init=False)
    _closed_second: int = 0

    def __post_init__(self) -> None:
        self._doubted_at = self.monotonic()

    def schedule(self, scheduler: AsyncIOScheduler, store: Store) -> None:
        """Close four times a second what has ended by then."""

        async def run() -> None:
            if not self.is_live():
                self.intake.doubt()
            await store(self._close)

        every(scheduler, "close bars", EVERY_S, run)

    def is_settled(self) -> bool:
        """Whether the feed lives and its trades have had the time to answer the last doubt.

        The first trades after a reconnect answer for most symbols without a request.
        """
        return self.is_live() and self.monotonic() - self._doubted_at > PROOF_AFTER_S

    # -- in the writing thread ----------------------------------------------------------------

    def after_batch(self) -> None:
        """Close a second as soon as a stored trade tells that it is over."""
        second = (self.pipeline.event_time_ms - GRACE_MS) // SECOND_MS
        if second > self._closed_second:
            self._closed_second = second
            self._close()

    def _close(self) -> None:
        self._take_doubts()
        if not self.is_live():
            return
        now_ms = self.clock.now_ms()
        until = self.pipeline.event_time_ms - GRACE_MS
        # A connection that brings nothing may be dead: of what has passed since only REST can tell.
        if self.intake.is_recent(QUIET_S) and not self.queue:
            until = max(until, now_ms - CLOCK_GRACE_MS)
        self.pipeline.close_bars(min(until, now_ms))

    def _take_doubts(self) -> None:
        """Apply each doubt from its place in the queue on: trades before it prove nothing of it."""
        if dropped := self.queue.take_dropped():
            self.pipeline.doubt(dropped)
            self._doubted_at = self.monotonic()
        if self.intake.take_doubt():
            self.pipeline.doubt()
            self._doubted_at = self.monotonic()
