"""When bars close: as soon as a trade or an answer of the exchange tells that one is over."""

from dataclasses import dataclass

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from ingest.live.clock import ExchangeClock
from ingest.live.pipeline import GRACE_MS, Pipeline
from ingest.live.ports import Store
from ingest.schedule import every

EVERY_S = 0.25
STEP_MS = 100
"""How often at most the trades that come in are asked what has ended."""
CLOCK_GRACE_MS = 1_000
"""Where no trade tells the time, the exchange's clock does, this much later."""


@dataclass(slots=True)
class Closing:
    """Closes bars up to where trades are known, but none before the exchange's clock has."""

    pipeline: Pipeline
    clock: ExchangeClock
    _closed_step: int = 0

    def schedule(self, scheduler: AsyncIOScheduler, store: Store) -> None:
        """Close four times a second what has become known by then."""

        async def run() -> None:
            await store(self._close)

        every(scheduler, "close bars", EVERY_S, run)

    # -- in the writing thread ----------------------------------------------------------------

    def after_batch(self) -> None:
        """Close as soon as a stored trade tells that a second is over."""
        step = (self.pipeline.event_time_ms - GRACE_MS) // STEP_MS
        if step > self._closed_step:
            self._closed_step = step
            self._close()

    def _close(self) -> None:
        now_ms = self.clock.now_ms()
        # A trade that is overtaken on its way comes within the grace: it would rewrite its bar.
        until_ms = max(self.pipeline.event_time_ms - GRACE_MS, now_ms - CLOCK_GRACE_MS)
        self.pipeline.close_bars(min(until_ms, now_ms))
