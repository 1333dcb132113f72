"""Symbols that have gone silent: are they quiet, or has their stream stalled?"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.errors import ExchangeError
from ingest.binance.rest import SETTLE_MS
from ingest.live.pipeline import Pipeline
from ingest.live.ports import Exchange, Store, ask_trades
from ingest.schedule import every

log = structlog.get_logger()

EVERY_S = 2.0
CONCURRENCY = 4
STALLED_MS = 3_000
"""A trade this old should have come by the stream; a younger one may be on its way."""
WAIT_S, STALLED_WAIT_S = 10.0, 4.0
ASKED_A_S = 5
"""Questions a second at most, a quarter of the request weight: many silent symbols wait longer."""
RESUBSCRIBE_S = 60.0


@dataclass(slots=True)
class SilenceWatch:
    """Asks the exchange for what comes after a silent symbol's last id.

    A symbol that only trades seldom costs a request every ten seconds. One whose stream has
    stalled is named in `stalled`, subscribed to anew, and fed by request until its stream is back.

    Parameters
    ----------
    clock_ms : the exchange's time.
    monotonic : clock of the waits between two questions.
    resubscribe : asks for the streams of symbols anew.
    """

    exchange: Exchange
    store: Store
    pipeline: Pipeline
    clock_ms: Callable[[], int]
    monotonic: Callable[[], float]
    resubscribe: Callable[[Sequence[str]], None]
    stalled: set[str] = field(default_factory=set)
    # When a symbol may be asked about, and be subscribed to anew, again.
    _ask_at: dict[str, float] = field(default_factory=dict)
    _resubscribe_at: dict[str, float] = field(default_factory=dict)

    def schedule(
        self, scheduler: AsyncIOScheduler, silent_symbols: Callable[[], Sequence[str]]
    ) -> None:
        """Look at the symbols without a trade for a while."""
        every(scheduler, "ask silent symbols", EVERY_S, lambda: self.run_once(silent_symbols()))

    async def run_once(self, silent: Sequence[str]) -> None:
        """Ask about those of the silent symbols whose turn it is."""
        for later in (self._ask_at, self._resubscribe_at):
            for name in later.keys() - set(silent):
                del later[name]
        for name in self.stalled.difference(silent):
            log.info("a stalled symbol is back", symbol=name)
        self.stalled.intersection_update(silent)
        now = self.monotonic()
        due = [name for name in silent if self._ask_at.get(name, 0.0) <= now]
        wait_s = max(WAIT_S, len(silent) / ASKED_A_S)
        slots = asyncio.Semaphore(CONCURRENCY)

        async def one(symbol: str) -> None:
            async with slots:
                try:
                    await self._ask(symbol, wait_s)
                except ExchangeError as error:
                    log.info("a silent symbol has to wait", symbol=symbol, reason=str(error))

        await asyncio.gather(*(one(name) for name in due))

    async def _ask(self, symbol: str, wait_s: float) -> None:
        missed = await self._catch_up(symbol)
        now = self.monotonic()
        if not missed:
            self._ask_at[symbol] = now + wait_s
            return
        self._ask_at[symbol] = now + STALLED_WAIT_S
        if symbol not in self.stalled:
            log.warning("a symbol's stream has stalled", symbol=symbol, missed=missed)
        self.stalled.add(symbol)
        await self.store(lambda: self.pipeline.stall(symbol))
        if self._resubscribe_at.get(symbol, 0.0) <= now:
            self._resubscribe_at[symbol] = now + RESUBSCRIBE_S
            self.resubscribe([symbol])

    async def _catch_up(self, symbol: str) -> int:
        """Fetch from the last known id to the live edge; how many trades the stream kept back."""
        missed = 0
        while True:
            last_id = await self.store(lambda: self._doubted_from(symbol))
            if last_id is None:
                return missed
            told_until_ms = self.clock_ms() - SETTLE_MS
            page = await ask_trades(self.exchange, symbol, from_id=last_id + 1)
            await self.store(partial(self.pipeline.prove, symbol, last_id, page, told_until_ms))
            overdue_ms = self.clock_ms() - STALLED_MS
            missed += sum(trade.trade_time_ms < overdue_ms for trade in page.trades)
            if page.is_edge:
                return missed

    def _doubted_from(self, symbol: str) -> int | None:
        """Hold the symbol's bars open until the answer; None while its first trade is awaited."""
        self.pipeline.doubt([symbol])
        return self.pipeline.chains[symbol].last_id
