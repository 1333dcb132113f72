"""History at a start: what was never fetched and what was missed, newest first.

A cold start and a restart are the same plan: pages of the exchange's own bars, of which those
that are stored already are passed over. What can't be had is set aside and tried again later.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.errors import ExchangeError, RequestRefused, StoreError, UnknownSymbols
from core.pair_spec import read_pair_spec
from core.settings import Settings
from core.timeframes import DAY_MS, LONGER, TIMEFRAMES
from ingest.live.pipeline import Pipeline
from ingest.live.ports import PAGE_LIMIT, Exchange, Store, ask_trades
from ingest.live.stored_bars import floor_to
from ingest.schedule import every

log = structlog.get_logger()

PAGE = PAGE_LIMIT - 1
"""Bars of a page: one less than asked for, since only a bar with a later one behind it is final."""
SECONDS_BACK = 7_200
CONCURRENCY = 8
RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits between the tries at a page, before others have their turn."""
AWAY_S = 60.0
"""An exchange that has answered nothing for so long fails for all, not for one page."""
LATER_EVERY_S = 5.0
FIRST_LATER_S, LONGEST_LATER_S = 30.0, 3_600.0
TAIL_S = (1.0, 1.0, 2.0, 3.0, 5.0, 10.0)
LOG_EVERY = 100
COMPLETE = "complete"


def longer_history(settings: Settings) -> dict[str, int]:
    """How many bars of the longer timeframes are fetched: what default pairs need, if kept."""
    asked = read_pair_spec({}, settings)
    needed = asked.bars + 10 * asked.hedge_window + 2 * asked.window
    kept_ms = settings.retain_bars_days * DAY_MS
    return {timeframe: min(needed, kept_ms // TIMEFRAMES[timeframe]) for timeframe in LONGER}


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


@dataclass(frozen=True, slots=True)
class FirstMinute:
    """Trades of one symbol from a minute's start on, to be joined to the live feed."""

    symbol: str
    start_ms: int


@dataclass(slots=True)
class Backfill:
    """Fetches history of every timeframe for all symbols.

    Parameters
    ----------
    days : of minutes.
    longer : how many bars of each longer timeframe; without it the newest page.
    sleep, monotonic : how waiting is done; retries are the only waits.
    """

    exchange: Exchange
    store: Store
    pipeline: Pipeline
    symbols: Sequence[str]
    days: int
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    progress: HistoryProgress = field(default_factory=HistoryProgress)
    longer: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(LONGER, PAGE))
    monotonic: Callable[[], float] = time.monotonic
    _answered_at: float = -float("inf")
    # Pages and trades that the exchange has given.
    _answers: int = 0
    _tails: list[asyncio.Task[None]] = field(default_factory=list)
    # What was set aside: when it is due, and how long to wait after that.
    _later: dict[Page | FirstMinute, tuple[float, float]] = field(default_factory=dict)

    async def run(self, start_ms: int) -> None:
        """Fetch everything before the minute `start_ms`, and that minute's trades.

        The order is what the screen needs first: minutes and the running minute's trades of all
        symbols, then the newest bars of the other timeframes, those of the first symbols first,
        and only then what lies deeper.
        """
        started = self.monotonic()
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
        log.info(
            "history is complete",
            requests=self.progress.done,
            seconds=self._since(started),
            set_aside=len(self._later),
        )

    def _log_progress(self) -> None:
        progress = self.progress
        share = progress.done / max(progress.total, 1)
        log.info(f"history {share:4.0%}", requests=progress.done, doing=progress.message)  # noqa: G004

    def _since(self, started: float) -> float:
        return round(self.monotonic() - started, 1)

    def _stages(self, start_ms: int) -> list[tuple[str, list[Page]]]:
        rows = {
            timeframe: self.pages(
                timeframe, floor_to(start_ms, TIMEFRAMES[timeframe]), self._count(timeframe)
            )
            for timeframe in ("1m", "1s", *LONGER)
        }
        minutes, *others = (pages[0] for pages in rows.values())
        newest = [
            ("the newest 1m bars", minutes),
            # Symbol by symbol: a pair of the first ones has a z of every timeframe in seconds.
            ("the newest bars of other timeframes", [*itertools.chain(*zip(*others, strict=True))]),
        ]
        # Level by level: what a scan reads is there long before the last week of minutes.
        levels = itertools.zip_longest(*(pages[1:] for pages in rows.values()), fillvalue=())
        older = [
            (f"older bars, page {number}", [page for row in level for page in row])
            for number, level in enumerate(levels, 2)
        ]
        return [(words, pages) for words, pages in (*newest, *older) if pages]

    def _count(self, timeframe: str) -> int:
        """How many bars of a timeframe there are to be."""
        if timeframe == "1s":
            return SECONDS_BACK
        if timeframe == "1m":
            return self.days * DAY_MS // TIMEFRAMES["1m"]
        return self.longer[timeframe]

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
                await self._persist(page, partial(self._fetch_page, page))
                self.progress.done += 1
                if self.progress.done % LOG_EVERY == 0:
                    self._log_progress()

        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(work())

    async def _persist(
        self, what: Page | FirstMinute, attempt: Callable[[], Awaitable[bool]]
    ) -> None:
        """Try for a while; what is refused, or fails while others don't, is set aside for later.

        While the exchange is away altogether there is nothing better to do than to wait.
        """
        answers = self._answers
        for tries in itertools.count():
            try:
                if await attempt():
                    self._answered_at = self.monotonic()
                    return
            except (RequestRefused, UnknownSymbols) as error:
                log.warning("history is refused", symbol=what.symbol, reason=str(error))
                self._answered_at = self.monotonic()
                break
            except (ExchangeError, StoreError) as error:
                told = error.public if isinstance(error, StoreError) else error
                self.progress.message = f"waiting for the exchange: {told}"
                log.warning("history has to wait", symbol=what.symbol, reason=str(error))
            is_away = self.monotonic() - self._answered_at > AWAY_S
            # Where others have been answered meanwhile it is not the exchange that fails.
            is_alone = tries > 0 and self._answers > answers
            if is_alone or (tries >= len(RETRY_S) and not is_away):
                break
            await self.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
        self._set_aside(what)

    def _set_aside(self, what: Page | FirstMinute, wait_s: float = FIRST_LATER_S) -> None:
        self._later[what] = (
            self.monotonic() + wait_s,
            min(max(wait_s, FIRST_LATER_S) * 2, LONGEST_LATER_S),
        )

    def doubt(self, symbol: str, timeframe: str, end_ms: int) -> None:
        """Look again later whether a symbol's bars before a time are all there."""
        end_ms = floor_to(end_ms, TIMEFRAMES[timeframe])
        for row in self.pages(timeframe, end_ms, self._count(timeframe)):
            for page in row:
                is_known = any(
                    isinstance(other, Page)
                    and (other.symbol, other.timeframe) == (symbol, timeframe)
                    and other.start_ms < page.end_ms
                    and page.start_ms < other.end_ms
                    for other in self._later
                )
                if page.symbol == symbol and not is_known:
                    self._set_aside(replace(page, is_newest=False))

    def rejoin(self, symbol: str, now_ms: int) -> None:
        """Begin a symbol's trades anew from the running minute's start on, as soon as may be."""
        self._set_aside(FirstMinute(symbol, floor_to(now_ms, TIMEFRAMES["1m"])), 0.0)

    def schedule(self, scheduler: AsyncIOScheduler) -> None:
        """Try again what was set aside."""
        every(scheduler, "fetch what was set aside", LATER_EVERY_S, self.try_again)

    async def try_again(self) -> None:
        """Go once over what was set aside and is due; each by itself."""
        now = self.monotonic()
        for what, (due, wait_s) in tuple(self._later.items()):
            if due > now:
                continue
            del self._later[what]
            try:
                if isinstance(what, FirstMinute):
                    is_done = await self._join(what.symbol, what.start_ms)
                else:
                    await self.fetch(what)
                    is_done = await self._is_whole(what)
            except (ExchangeError, StoreError) as error:
                log.info("set aside again", symbol=what.symbol, reason=str(error))
                is_done = False
            if not is_done:
                self._set_aside(what, wait_s)

    async def _is_whole(self, page: Page) -> bool:
        stored = await self.store(
            lambda: self.pipeline.count_bars(
                page.symbol, page.timeframe, page.start_ms, page.end_ms
            )
        )
        return stored >= (page.end_ms - page.start_ms) // TIMEFRAMES[page.timeframe]

    async def fetch(self, page: Page) -> bool:
        """Fetch one page unless it is stored whole; False when its newest bar isn't there yet."""
        length = TIMEFRAMES[page.timeframe]
        count = (page.end_ms - page.start_ms) // length
        if await self._is_whole(page):
            return True
        bars = await self.exchange.klines(
            page.symbol, page.timeframe, start_ms=page.start_ms, limit=count + 1
        )
        self._answers += 1
        bars = [bar for bar in bars if page.start_ms <= bar.open_time_ms < page.end_ms]
        if bars:
            await self.store(lambda: self.pipeline.store_klines(page.symbol, page.timeframe, bars))
        return bool(bars) and bars[-1].open_time_ms + length >= page.end_ms

    async def bridge(self, symbol: str, start_ms: int, end_ms: int, timeframe: str = "1m") -> None:
        """Fetch the bars over an outage, newest first: the screen has them before the trades."""
        length = TIMEFRAMES[timeframe]
        start, end = floor_to(start_ms, length), floor_to(end_ms, length) + length
        start = max(start, end - self._count(timeframe) * length)
        while end > start:
            first = max(start, end - PAGE * length)
            await self.fetch(Page(symbol, timeframe, first, end, is_newest=False))
            end = first

    async def _fetch_page(self, page: Page) -> bool:
        if not await self.fetch(page) and page.is_newest:
            self._tails.append(asyncio.create_task(self._fetch_tail(page)))
        return True

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
        first = FirstMinute(symbol, start_ms)
        await self._persist(first, partial(self._join, symbol, start_ms))
        self.progress.done += 1

    async def _join(self, symbol: str, start_ms: int) -> bool:
        if not await self.store(lambda: self.pipeline.edge.needs_first_minute(symbol)):
            return True
        page = await ask_trades(self.exchange, symbol, start_ms=start_ms)
        self._answers += 1
        newest = None if page.trades else (await self.exchange.agg_trades(symbol, limit=1))[-1:]
        last = newest[0] if newest else None
        return await self.store(
            lambda: self.pipeline.edge.add_first_minute(symbol, start_ms, page, last)
        )
