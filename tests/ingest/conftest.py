"""What tests of the worker's side share: a store each, and a clock to turn."""

import asyncio
import heapq
import random
from collections.abc import Iterator, Sequence
from math import fsum

import pytest

from core.timeframes import TIMEFRAMES
from core.types import Bar, Trade
from ingest.store.engine import open_engine
from ingest.store.reader import Reader
from ingest.store.transaction import Writer


@pytest.fixture
def writer(database_url: str) -> Iterator[Writer]:
    writer = Writer(open_engine(database_url))
    yield writer
    writer.close()


@pytest.fixture
def reader(database_url: str) -> Iterator[Reader]:
    reader = Reader(database_url)
    yield reader
    reader.close()


class VirtualTime:
    """A clock that only the test moves: hours of waiting pass in milliseconds.

    `clock` and `sleep` stand in for the monotonic clock and `asyncio.sleep`, `wall_clock` for
    `time.time`; its epoch is the start of a minute.
    """

    epoch_s = 1_700_000_040.0

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def clock(self) -> float:
        return self.now

    def wall_clock(self) -> float:
        return self.epoch_s + self.now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        # At least a moment passes, as with a real clock: rounding must not stop time.
        heapq.heappush(self._sleepers, (self.now + max(seconds, 1e-6), self._count, future))
        await future

    async def settle(self) -> None:
        """Let everything run that waits for nothing but the event loop."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        while loop._ready:  # type: ignore[attr-defined]
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking each sleeper at its own moment."""
        end = self.now + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            await self._wake_next()
        self.now = end

    async def finish(self, task: asyncio.Task[object]) -> None:
        """Let as much time pass as a task needs."""
        await self.settle()
        while not task.done():
            assert self._sleepers, "the task waits for something that no passing time brings"
            await self._wake_next()

    async def _wake_next(self) -> None:
        at, _, future = heapq.heappop(self._sleepers)
        if not future.done():
            self.now = max(self.now, at)
            future.set_result(None)
            await self.settle()


@pytest.fixture
def virtual_time() -> VirtualTime:
    return VirtualTime()


class PlainMarket:
    """Trades of one symbol made up in plain lists, and the exchange's answers about them.

    What has been made so far is all that the exchange knows, less what its database lags.
    """

    def __init__(self, symbol: str, seed: int, start_ms: int, count: int) -> None:
        rng = random.Random(seed)
        self.symbol = symbol
        self.made = 0
        self.lag = 0
        self.trades: list[Trade] = []
        time_ms, raw_id, price = start_ms, 5_000, 100.0
        for trade_id in range(1_000, 1_000 + count):
            price = round(price * (1 + rng.gauss(0, 1e-4)), 2)
            raws = rng.choice((1, 1, 1, 4))
            volume = round(rng.uniform(0.001, 3), 5)
            ids = (raw_id, raw_id + raws - 1)
            event_ms = time_ms + rng.choice((0, 1))
            self.trades.append(
                Trade(symbol, trade_id, price, volume, time_ms, event_ms, *ids, rng.random() < 0.5)
            )
            raw_id += raws
            time_ms += rng.choice((0, 0, 3, 40, 200, 900, 5_200 if rng.random() < 0.1 else 70))

    def make(self, count: int) -> list[Trade]:
        """Let the next trades happen."""
        new = self.trades[self.made : self.made + count]
        self.made += len(new)
        return new

    @property
    def known(self) -> list[Trade]:
        return self.trades[: max(0, self.made - self.lag)]

    async def agg_trades(
        self,
        symbol: str,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 1_000,
    ) -> list[Trade]:
        assert symbol == self.symbol
        if from_id is None and start_ms is None:
            return self.known[-limit:]
        last_ms = 2**60 if end_ms is None else end_ms
        found = [
            trade
            for trade in self.known
            if trade.trade_id >= (from_id or 0)
            and (start_ms or 0) <= trade.trade_time_ms <= last_ms
        ]
        return found[:limit]

    async def newest_raw_ids(self, symbols: Sequence[str]) -> dict[str, int]:
        """The ticker comes of the exchange's memory: nothing lags."""
        assert list(symbols) == [self.symbol]
        return {self.symbol: self.trades[self.made - 1].last_id} if self.made else {}

    async def klines(
        self,
        symbol: str,
        timeframe: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 1_000,
    ) -> list[Bar]:
        now_ms = self.known[-1].trade_time_ms if self.known else 0
        bars = self.bars(TIMEFRAMES[timeframe], now_ms)
        return [bar for bar in bars if bar.open_time_ms >= (start_ms or 0)][:limit]

    def bars(self, length_ms: int, end_ms: int) -> list[Bar]:
        """The slow twin: every bar straight from its trades, dense, without any roll-up."""
        seconds: dict[int, list[Trade]] = {}
        for trade in self.trades[: self.made]:
            opens = trade.trade_time_ms - trade.trade_time_ms % length_ms
            seconds.setdefault(opens, []).append(trade)
        bars: list[Bar] = []
        first = min(seconds)
        for opens in range(first, end_ms - length_ms + 1, length_ms):
            own = seconds.get(opens, [])
            prices = [trade.price for trade in own] or [bars[-1].close]

            def sums(terms: Sequence[float]) -> float:
                return round(fsum(terms), 8)

            bars.append(
                Bar(
                    opens,
                    prices[0],
                    max(prices),
                    min(prices),
                    prices[-1],
                    sums([trade.quantity for trade in own]),
                    sums([trade.price * trade.quantity for trade in own]),
                    sum(trade.last_id - trade.first_id + 1 for trade in own),
                    sums([trade.quantity for trade in own if not trade.buyer_is_maker]),
                    True,
                )
            )
        return bars


@pytest.fixture(scope="session")
def plain_market() -> type[PlainMarket]:
    return PlainMarket
