"""Compares our minutes with the exchange's own bars; what differs is mended or reported."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isclose

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.errors import ExchangeError
from core.timeframes import MINUTE_MS
from core.types import Bar, Trade
from ingest.live.backfill import PAGE
from ingest.live.pipeline import Pipeline
from ingest.live.ports import PAGE_LIMIT, Exchange, Store, ask_trades, odd_rows
from ingest.live.stored_bars import floor_to
from ingest.schedule import every

log = structlog.get_logger()

EVERY_S = 300.0
SETTLED_MS = 90_000
"""Minutes that ended this long ago are final on both sides."""
LOOK_BACK = 240
"""Minutes compared at the first look after a start."""
KEPT_FINDINGS = 20


@dataclass(slots=True)
class Findings:
    """How our minutes have compared since the start."""

    checked: int = 0
    repaired: int = 0
    disagreed: int = 0
    # The newest disagreements, in words.
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Reconciliation:
    """Goes over the minutes that were built from complete ids, each once.

    Parameters
    ----------
    clock_ms : the exchange's time.
    """

    exchange: Exchange
    store: Store
    pipeline: Pipeline
    clock_ms: Callable[[], int]
    findings: Findings = field(default_factory=Findings)
    _checked_until: dict[str, int] = field(default_factory=dict)

    def schedule(self, scheduler: AsyncIOScheduler) -> None:
        """Look every five minutes."""
        every(scheduler, "reconcile", EVERY_S, self.run_once)

    async def run_once(self) -> None:
        """Compare what has settled since the last look, symbol by symbol."""
        end_ms = floor_to(self.clock_ms() - SETTLED_MS, MINUTE_MS)
        for symbol in tuple(self.pipeline.chains):
            try:
                await self._one_symbol(symbol, end_ms)
            except ExchangeError as error:
                log.info("reconciliation has to wait", symbol=symbol, reason=str(error))

    async def _one_symbol(self, symbol: str, end_ms: int) -> None:
        start_ms = self._checked_until.get(symbol, end_ms - LOOK_BACK * MINUTE_MS)
        while start_ms < end_ms:
            stop_ms = min(end_ms, start_ms + PAGE * MINUTE_MS)
            start_ms = await self._compare(symbol, start_ms, stop_ms)
            self._checked_until[symbol] = start_ms
            if start_ms < stop_ms:
                return  # the exchange's database lags; the rest is for the next look

    async def _compare(self, symbol: str, start_ms: int, end_ms: int) -> int:
        """Compare the minutes of [start, end); the time up to which that was possible."""
        own = await self.store(lambda: self.pipeline.own_minutes(symbol, start_ms, end_ms))
        if not own:
            return end_ms
        count = (end_ms - own[0].open_time_ms) // MINUTE_MS
        answer = await self.exchange.klines(
            symbol, "1m", start_ms=own[0].open_time_ms, limit=min(count + 1, PAGE_LIMIT)
        )
        klines = {bar.open_time_ms: bar for bar in answer}
        until_ms = max(klines, default=start_ms - MINUTE_MS) + MINUTE_MS
        none_of: list[Bar] = []
        for bar in own:
            if bar.open_time_ms >= until_ms:
                break  # not there yet
            kline = klines.get(bar.open_time_ms)
            if kline is None:
                none_of.append(bar)
            elif not agrees(bar, kline):
                await self._mend(symbol, bar, kline)
            self.findings.checked += 1
        if none_of and not odd_rows(answer):
            await self._follow(symbol, none_of)
        return min(end_ms, until_ms)

    async def _follow(self, symbol: str, bars: Sequence[Bar]) -> None:
        """Minutes between others that the exchange has no bar of: the symbol stood still.

        Where nothing traded ours are missing then, as they are in fetched and imported history.
        Those with trades stand, their ids prove them, and are told.
        """
        for bar in bars:
            if bar.trade_count:
                self._note(f"{symbol} {bar.open_time_ms}: ours {_shown(bar)}, exchange none")
        still = [bar.open_time_ms for bar in bars if not bar.trade_count]
        for start_ms, end_ms in _runs(still):
            await self.store(partial(self.pipeline.miss, symbol, start_ms, end_ms))
        if still:
            log.warning("minutes that the exchange has none of", symbol=symbol, minutes=len(still))

    async def _mend(self, symbol: str, bar: Bar, kline: Bar) -> None:
        """Fetch the minute's trades again and build it anew; report what still differs."""
        trades = await self._fetch(symbol, bar.open_time_ms)
        mended = await self.store(
            lambda: self.pipeline.mend_minute(symbol, bar.open_time_ms, trades)
        )
        if mended is not None and agrees(mended, kline):
            self.findings.repaired += 1
            log.warning("a minute is mended", symbol=symbol, before=bar, after=mended)
            return
        self._note(
            f"{symbol} {bar.open_time_ms}: ours {_shown(mended or bar)}, exchange {_shown(kline)}"
        )

    def _note(self, words: str) -> None:
        self.findings.disagreed += 1
        self.findings.examples = [*self.findings.examples, words][-KEPT_FINDINGS:]
        log.error("a minute differs from the exchange's own bar", reason=words)

    async def _fetch(self, symbol: str, open_ms: int) -> list[Trade]:
        end_ms = open_ms + MINUTE_MS
        page = await ask_trades(self.exchange, symbol, start_ms=open_ms, end_ms=end_ms - 1)
        found = list(page.trades)
        while not page.is_edge:
            page = await ask_trades(self.exchange, symbol, from_id=found[-1].trade_id + 1)
            inside = [trade for trade in page.trades if trade.trade_time_ms < end_ms]
            found += inside
            if len(inside) < len(page.trades):
                break
        return found


def agrees(own: Bar, kline: Bar) -> bool:
    """Whether two bars of one interval say the same; sums may differ in their last decimal."""
    return (
        own[1:5] == kline[1:5]
        and own.trade_count == kline.trade_count
        and all(
            isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-6)
            for mine, theirs in (
                (own.volume, kline.volume),
                (own.quote_volume, kline.quote_volume),
                (own.taker_buy_volume, kline.taker_buy_volume),
            )
        )
    )


def _runs(opens: Sequence[int]) -> list[tuple[int, int]]:
    """Minutes that follow each other, as from when until when."""
    runs: list[tuple[int, int]] = []
    for open_ms in opens:
        if runs and runs[-1][1] == open_ms:
            runs[-1] = (runs[-1][0], open_ms + MINUTE_MS)
        else:
            runs.append((open_ms, open_ms + MINUTE_MS))
    return runs


def _shown(bar: Bar) -> str:
    return (
        f"{bar.open:g}/{bar.high:g}/{bar.low:g}/{bar.close:g}"
        f" of {bar.trade_count} trades, volume {bar.volume:g}"
    )
