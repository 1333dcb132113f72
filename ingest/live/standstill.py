"""When no symbol trades: the exchange may stand still, and has bars of that time or none."""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.errors import ExchangeError
from core.timeframes import TIMEFRAMES
from ingest.live.backfill import Backfill
from ingest.live.pipeline import Pipeline
from ingest.live.ports import SETTLE_MS
from ingest.live.stops import STOP_MS
from ingest.schedule import every

log = structlog.get_logger()

EVERY_S = 5.0
ASKED_A_S = 4
"""Symbols a second at most: each costs two requests of weight 2, a sixth of what may be spent."""


@dataclass(slots=True)
class Standstill:
    """Fetches the exchange's own bars of times in which no symbol traded for long.

    Ours are incomplete there: live and history agree that a bar that the exchange has none of is
    missing.

    Parameters
    ----------
    clock_ms : the exchange's time.
    monotonic : clock of the waits between two rounds.
    """

    pipeline: Pipeline
    backfill: Backfill
    clock_ms: Callable[[], int]
    monotonic: Callable[[], float]
    _done: set[tuple[int, int]] = field(default_factory=set)
    _not_before: float = 0.0

    def schedule(self, scheduler: AsyncIOScheduler) -> None:
        """Look whether the market stands still, or has."""
        every(scheduler, "fetch bars of a standstill", EVERY_S, self.run_once)

    async def run_once(self) -> None:
        """Fetch what has settled of the running standstill, and of those that are over."""
        if self.monotonic() < self._not_before:
            return
        self._not_before = self.monotonic() + len(self.pipeline.chains) / ASKED_A_S
        settled_ms, market_ms = self.clock_ms() - SETTLE_MS, self.pipeline.stops.market_ms
        stops = tuple(self.pipeline.stops.spans)
        self._done.intersection_update(stops)
        for stop in stops:
            is_settled = stop[1] + TIMEFRAMES["1m"] < settled_ms
            if is_settled and stop not in self._done and await self._fetch(*stop):
                self._done.add(stop)
        if market_ms and settled_ms - market_ms > STOP_MS:
            await self._fetch(market_ms, settled_ms)

    async def _fetch(self, from_ms: int, to_ms: int) -> bool:
        """Fetch seconds and minutes of all symbols; False when some have to be asked for again."""
        is_done = True
        for symbol in tuple(self.pipeline.chains):
            for timeframe in ("1s", "1m"):
                try:
                    await self.backfill.bridge(symbol, from_ms, to_ms, timeframe)
                except ExchangeError as error:
                    log.info("bars of a standstill have to wait", symbol=symbol, reason=str(error))
                    is_done = False
        return is_done
