"""What keeps the store in order: retention, bars that came late, symbols that have changed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.errors import ExchangeError
from core.settings import Settings
from core.timeframes import DAY_MS, HOUR_MS, LONGER, TIMEFRAMES
from ingest.live.backfill import Backfill
from ingest.live.pipeline import Pipeline
from ingest.live.ports import SymbolList, odd_rows
from ingest.live.stored_bars import floor_to
from ingest.live.writing_thread import WritingThread
from ingest.schedule import every
from ingest.store import market, pruning
from ingest.store.transaction import Transaction, Writer

log = structlog.get_logger()

PRUNE_EVERY_S, MEND_EVERY_S, REFRESH_EVERY_S = 60.0, 120.0, 60.0
PRUNE_ROWS = 2_000
PRUNE_STEPS = 200
MEND_BARS = 120
MEND_DELAY_MS = 90_000
FAILURES_IN_A_ROW = 4
"""Then it isn't a symbol that can't be asked for, but the exchange."""
UNLISTED = "UNLISTED"
"""Status of a symbol that the exchange no longer lists; our own word."""


@dataclass(slots=True)
class Upkeep:
    """Prunes, mends and refreshes, a little at a time.

    Parameters
    ----------
    clock_ms : the exchange's time.
    """

    settings: Settings
    writer: Writer
    writing: WritingThread
    pipeline: Pipeline
    backfill: Backfill
    exchange: SymbolList
    clock_ms: Callable[[], int]

    def schedule(self, scheduler: AsyncIOScheduler) -> None:
        """Do each at its own interval."""
        every(scheduler, "prune", PRUNE_EVERY_S, self.prune)
        every(scheduler, "mend bars", MEND_EVERY_S, self.mend_bars)
        every(scheduler, "refresh symbols", REFRESH_EVERY_S, self.refresh_symbols)

    async def prune(self) -> None:
        """Delete what retention no longer covers, a little at a time."""
        now_ms = self.clock_ms()
        trades_before = now_ms - self.settings.retain_trades_hours * HOUR_MS
        for chain in list(self.pipeline.chains.values()):
            await self._in_steps(
                partial(
                    pruning.prune_trades,
                    symbol_id=chain.symbol_id,
                    before_ms=trades_before,
                    limit=PRUNE_ROWS,
                )
            )
        for length in TIMEFRAMES.values():
            days = (
                self.settings.retain_1s_days if length == 1_000 else self.settings.retain_bars_days
            )
            await self._in_steps(
                partial(
                    pruning.prune_bars,
                    timeframe_ms=length,
                    before_ms=now_ms - days * DAY_MS,
                    limit=PRUNE_ROWS,
                )
            )

    async def _in_steps(self, step: Callable[[Transaction], int]) -> None:
        def work() -> int:
            with self.writer.transaction() as tx:
                deleted = step(tx)
            self.writing.pause()
            return deleted

        for _ in range(PRUNE_STEPS):
            if await self.writing.call(work) == 0:
                return

    async def mend_bars(self) -> None:
        """Fetch the exchange's own bars for newer ones that are missing or incomplete."""
        if not self.backfill.progress.is_complete:
            return
        failed = 0
        for timeframe in ("1m", *LONGER):
            end_ms = floor_to(self.clock_ms() - MEND_DELAY_MS, TIMEFRAMES[timeframe])
            for row in self.backfill.pages(timeframe, end_ms, MEND_BARS):
                for page in row:
                    try:
                        await self.backfill.fetch(page)
                        failed = 0
                    except ExchangeError as error:
                        log.warning("bars can't be had", symbol=page.symbol, reason=str(error))
                        failed += 1
                    if failed == FAILURES_IN_A_ROW:
                        return

    async def refresh_symbols(self) -> None:
        """Follow what the exchange lists of the symbols, such as a halt."""
        names = list(self.pipeline.chains)
        listings = await self.exchange.exchange_info(names)
        # An entry that can't be read may be any symbol's.
        gone = (
            set() if odd_rows(listings) else set(names).difference(item.symbol for item in listings)
        )

        def save() -> None:
            with self.writer.transaction() as tx:
                before = market.statuses(tx)
                market.ensure_symbols(tx, listings)
                market.set_status(tx, gone, UNLISTED)
                after = market.statuses(tx)
            self.writing.pause()
            for name in names:
                if before.get(name) != after.get(name):
                    log.warning("a symbol's status has changed", symbol=name, status=after[name])

        await self.writing.call(save)
