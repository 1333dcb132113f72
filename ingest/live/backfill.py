"""History at a start: what was never fetched and what was missed, newest first.

A cold start and a restart are the same plan: pages of the exchange's own bars, of which those
that are stored already are passed over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from core.errors import ExchangeError, RequestRefused, StoreError, UnknownSymbols
from core.types import TIMEFRAMES
from ingest.binance.rest import PAGE_LIMIT
from ingest.live.pipeline import Pipeline
from ingest.live.ports import Exchange, Store, ask_trades
from ingest.live.stored_bars import floor_to

log = structlog.get_logger()

PAGE = PAGE_LIMIT - 1
"""Bars of a page: one less than asked for, since only a bar with a later one behind it is final."""
SECONDS_BACK = 7_200
CONCURRENCY = 8
RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
TAIL_S = (1.0, 1.0, 2.0, 3.0, 5.0, 10.0)
DAY_MS = 86_400_000
LOG_EVERY = 100
COMPLETE = "complete"


@dataclass(slots=True)
class HistoryProgress:
    """How far the history has got."""

    done: int = 0
    total: int = 0
    message: str = "waiting for the exchange"

    @property
    def is_complete(self) -> bool:
        """Whether all of it is stored."""
        return self.message == COMPLETE


@dataclass(frozen=True, slots=True)
class Page:
    """Bars of one symbol that open in [start, end)."""

    symbol: str
    timeframe: str
    start_ms: int
    end_ms: int
    is_newest: bool


@dataclass(slots=True)
class Backfill:
    """Fetches history of every timeframe for all symbols.

    Parameters
    ----------
    sleep : how waiting is done; retries are the only waits.
    """

    exchange: Exchange
    store: Store
    pipeline: Pipeline
    symbols: Sequence[str]
    days: int
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    progress: HistoryProgress = field(default_factory=HistoryProgress)
    _tails: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self, start_ms: int) -> None:
        """Fetch everything before the minute `start_ms`, and that minute's trades.

        The order is what the screen needs first: minutes and the running minute's trades of all
        symbols, then 5m and 15m bars, two hours of seconds, the older minutes, and 1h bars.
        """
        started = time.monotonic()
        stages = self._stages(start_ms)
        self.progress.total = sum(len(pages) for _, pages in stages) + len(self.symbols)
        first_minutes: list[asyncio.Task[None]] = []
        try:
            for message, pages in stages:
                self.progress.message = f"fetching {message}"
                self._log_progress()
                await self._fetch_all(pages)
                if not first_minutes:
                    log.info("newest minutes are there", seconds=self._since(started))
                    first_minutes = [
                        asyncio.create_task(self._first_minute(symbol, start_ms))
                        for symbol in self.symbols
                    ]
            self.progress.message = "fetching the first minute's trades"
            await asyncio.gather(*first_minutes, *self._tails)
        finally:
            for task in (*first_minutes, *self._tails):
                task.cancel()
        self.progress.message = COMPLETE
        log.info("history is complete", requests=self.progress.done, seconds=self._since(started))

    def _log_progress(self) -> None:
        progress = self.progress
        share = progress.done / max(progress.total, 1)
        log.info(f"history {share:4.0%}", requests=progress.done, doing=progress.message)  # noqa: G004

    @staticmethod
    def _since(started: float) -> float:
        return round(time.monotonic() - started, 1)

    def _stages(self, start_ms: int) -> list[tuple[str, list[Page]]]:
        newest = {name: floor_to(start_ms, length) for name, length in TIMEFRAMES.items()}
        minutes = self.pages("1m", start_ms, self.days * DAY_MS // TIMEFRAMES["1m"])
        seconds = self.pages("1s", start_ms, SECONDS_BACK)
        stages = [("the newest minutes", minutes[0])]
        longer = {
            timeframe: self.pages(timeframe, newest[timeframe], PAGE)[0]
            for timeframe in ("5m", "15m", "1h")
        }
        stages.append(("5m bars", longer["5m"]))
        stages.append(("15m bars", longer["15m"]))
        stages.append(("two hours of seconds", [page for row in seconds for page in row]))
        stages.append(("older minutes", [page for row in minutes[1:] for page in row]))
        # Last: a simulated exchange folds six weeks of trades for them.
        stages.append(("1h bars", longer["1h"]))
        return stages

    def pages(self, timeframe: str, end_ms: int, count: int) -> list[list[Page]]:
        """Cut the newest `count` bars before `end_ms` into pages of each symbol, newest first."""
        length = TIMEFRAMES[timeframe]
        oldest = end_ms - count * length
        rows: list[list[Page]] = []
        while end_ms > oldest:
            start_ms = max(oldest, end_ms - PAGE * length)
            is_newest = not rows
            rows.append(
                [Page(name, timeframe, start_ms, end_ms, is_newest) for name in self.symbols]
            )
            end_ms = start_ms
        return rows

    async def _fetch_all(self, pages: Sequence[Page]) -> None:
        waiting = iter(pages)

        async def work() -> None:
            for page in waiting:
                await self._persist(page.symbol, partial(self._fetch_page, page))
                self.progress.done += 1
                if self.progress.done % LOG_EVERY == 0:
                    self._log_progress()

        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(work())

    async def _persist(self, symbol: str, attempt: Callable[[], Awaitable[None]]) -> bool:
        """Try until it works; only a refusal of the request itself ends it, with False."""
        tries = 0
        while True:
            try:
                await attempt()
                return True
            except (RequestRefused, UnknownSymbols) as error:
                log.warning("history is refused", symbol=symbol, reason=str(error))
                return False
            except (ExchangeError, StoreError) as error:
                delay = RETRY_S[min(tries, len(RETRY_S) - 1)]
                told = error.public if isinstance(error, StoreError) else error
                self.progress.message = f"waiting for the exchange: {told}"
                log.warning("history has to wait", symbol=symbol, reason=str(error), delay_s=delay)
                tries += 1
                await self.sleep(delay)

    async def fetch(self, page: Page) -> bool:
        """Fetch one page unless it is stored whole; False when its newest bar isn't there yet."""
        length = TIMEFRAMES[page.timeframe]
        count = (page.end_ms - page.start_ms) // length
        stored = await self.store(
            lambda: self.pipeline.count_bars(
                page.symbol, page.timeframe, page.start_ms, page.end_ms
            )
        )
        if stored >= count:
            return True
        bars = await self.exchange.klines(
            page.symbol, page.timeframe, start_ms=page.start_ms, limit=count + 1
        )
        bars = [bar for bar in bars if page.start_ms <= bar.open_time_ms < page.end_ms]
        if bars:
            await self.store(lambda: self.pipeline.store_klines(page.symbol, page.timeframe, bars))
        return bool(bars) and bars[-1].open_time_ms + length >= page.end_ms

    async def bridge(self, symbol: str, start_ms: int, end_ms: int) -> None:
        """Fetch the minutes over an outage, newest first: the screen has them before the trades."""
        length = TIMEFRAMES["1m"]
        start, end = floor_to(start_ms, length), floor_to(end_ms, length) + length
        while end > start:
            first = max(start, end - PAGE * length)
            await self.fetch(Page(symbol, "1m", first, end, is_newest=False))
            end = first

    async def _fetch_page(self, page: Page) -> None:
        if not await self.fetch(page) and page.is_newest:
            self._tails.append(asyncio.create_task(self._fetch_tail(page)))

    async def _fetch_tail(self, page: Page) -> None:
        """Ask again for the newest bars: the database behind them lags by some seconds."""
        for delay in TAIL_S:
            await self.sleep(delay)
            try:
                if await self.fetch(page):
                    return
            except (ExchangeError, StoreError) as error:
                log.info("newest bars have to wait", symbol=page.symbol, reason=str(error))

    async def _first_minute(self, symbol: str, start_ms: int) -> None:
        """Join the trades since the minute's start to the live feed, which may take some tries."""
        tries = 0
        joined = False

        async def attempt() -> None:
            nonlocal joined
            joined = await self._join(symbol, start_ms)

        while not joined and await self._persist(symbol, attempt):
            if not joined:
                await self.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1
        self.progress.done += 1

    async def _join(self, symbol: str, start_ms: int) -> bool:
        if not await self.store(lambda: self.pipeline.needs_first_minute(symbol, start_ms)):
            return True
        page = await ask_trades(self.exchange, symbol, start_ms=start_ms)
        newest = None if page.trades else (await self.exchange.agg_trades(symbol, limit=1))[-1:]
        last = newest[0] if newest else None
        return await self.store(
            lambda: self.pipeline.add_first_minute(symbol, start_ms, page, last)
        )
