"""History at the start: what ends the asking, and what doesn't."""

import asyncio
from collections import Counter

import pytest

from core.errors import ExchangeError, RequestRefused, UnknownSymbols
from core.settings import Settings
from core.timeframes import TIMEFRAMES
from ingest.live.backfill import Backfill, longer_history
from tests.support.waiting import HANG_S

START_MS = 1_795_400_040_000


class Delisted:
    """An exchange that fails for one symbol and has nothing of the others."""

    def __init__(self, symbol, *failures):
        self.symbol = symbol
        self.failures = failures
        self.asked = 0

    async def klines(self, symbol, timeframe, start_ms=None, end_ms=None, limit=1000):
        return self._answer(symbol)

    async def agg_trades(self, symbol, from_id=None, start_ms=None, end_ms=None, limit=1000):
        return self._answer(symbol)

    def _answer(self, symbol):
        if symbol == self.symbol:
            self.asked += 1
            raise self.failures[min(self.asked, len(self.failures)) - 1]
        return []


class Stored:
    """A pipeline that has every bar but the newest minutes, and no trade."""

    def __init__(self, joined):
        self.joined = joined
        self.edge = self

    def count_bars(self, symbol, timeframe, start_ms, end_ms):
        return 0 if timeframe == "1m" else 10_000

    def needs_first_minute(self, symbol):
        return symbol not in self.joined

    def add_first_minute(self, symbol, start_ms, page, newest):
        return True


async def run(exchange, naps):
    async def store(work):
        return work()

    async def sleep(seconds):
        naps.append(seconds)
        await asyncio.sleep(0)

    backfill = Backfill(exchange, store, Stored({"BTCUSDT"}), ["BTCUSDT", "GONEUSDT"], 1, sleep)
    async with asyncio.timeout(HANG_S):
        await backfill.run(START_MS)
    return backfill.progress


@pytest.mark.parametrize(
    "refusal", [UnknownSymbols("Invalid symbol."), RequestRefused("-1100", -1100)]
)
def test_a_symbol_delisted_since_the_start_does_not_hold_up_the_others_history(refusal):
    exchange = Delisted("GONEUSDT", refusal)
    progress = asyncio.run(run(exchange, []))
    assert progress.message == "complete"
    assert progress.done == progress.total
    assert exchange.asked <= progress.total


def test_an_exchange_that_is_away_is_asked_until_it_answers():
    naps = []
    exchange = Delisted(
        "GONEUSDT", ExchangeError("away"), ExchangeError("away"), RequestRefused("no", -1100)
    )
    asyncio.run(run(exchange, naps))
    assert exchange.asked > 3
    assert naps.count(0.5) >= 1


class OnePageFails(Delisted):
    """Its minutes can't be had for a while; all else, and of others, is answered."""

    async def klines(self, symbol, timeframe, start_ms=None, end_ms=None, limit=1000):
        self.order.append((symbol, timeframe))
        if symbol == self.symbol and timeframe == "1m" and self.is_odd:
            raise ExchangeError("the answer is not the exchange's")
        return []

    is_odd = True

    def __init__(self, symbol):
        super().__init__(symbol, ExchangeError("away"))
        self.order = []

    def _answer(self, symbol):
        return []


class Nothing(Stored):
    """A pipeline without any bar."""

    def count_bars(self, symbol, timeframe, start_ms, end_ms):
        return 0

    def needs_first_minute(self, symbol):
        return False


def test_a_page_that_never_can_be_used_holds_up_nobody_and_is_tried_again_later():
    exchange, now = OnePageFails("ODDUSDT"), 0.0

    async def store(work):
        return work()

    async def sleep(seconds):
        await asyncio.sleep(0)

    names = ["BTCUSDT", "ODDUSDT"]
    pipeline = Nothing(set(names))
    backfill = Backfill(exchange, store, pipeline, names, 1, sleep, monotonic=lambda: now)

    async def story():
        nonlocal now
        async with asyncio.timeout(HANG_S):
            await backfill.run(START_MS)
        assert backfill.progress.is_complete
        assert ("BTCUSDT", "1h") in exchange.order
        exchange.order.clear()
        await backfill.try_again()
        assert exchange.order == []  # not yet
        now += 60.0
        await backfill.try_again()
        assert set(exchange.order) == {("ODDUSDT", "1m")}
        exchange.order.clear()
        now += 30.0
        await backfill.try_again()
        assert exchange.order == []  # waits longer and longer
        exchange.is_odd = False
        pipeline.count_bars = lambda symbol, timeframe, start_ms, end_ms: 10_000
        now += 3_600.0
        await backfill.try_again()
        now += 36_000.0
        exchange.order.clear()
        await backfill.try_again()
        assert exchange.order == []

    asyncio.run(story())


@pytest.mark.parametrize("source", ["binance", "simulated"])
def test_the_newest_thousand_bars_of_all_come_before_anything_deeper(source):
    names = ["BTCUSDT", "ETHUSDT"]
    settings = Settings(source=source)
    backfill = Backfill(
        None, None, None, names, settings.backfill_days, longer=longer_history(settings)
    )
    stages = backfill._stages(START_MS)
    newest = [pages for words, pages in stages if words.startswith("the newest")]
    assert [stage for _, stage in stages[: len(newest)]] == newest
    assert {(page.timeframe, page.symbol) for pages in newest for page in pages} == {
        (timeframe, name) for timeframe in TIMEFRAMES for name in ("BTCUSDT", "ETHUSDT")
    }
    bars = Counter()
    for _, pages in stages:
        for page in pages:
            length = TIMEFRAMES[page.timeframe]
            bars[page.symbol, page.timeframe] += (page.end_ms - page.start_ms) // length
    of_each = {"1s": 7_200, "1m": 10_080, "5m": 10_560, "15m": 10_560, "1h": 400 * 24}
    assert bars == {
        (name, timeframe): count
        for name in ("BTCUSDT", "ETHUSDT")
        for timeframe, count in of_each.items()
    }


def test_a_scan_s_bars_are_there_before_a_week_of_minutes():
    backfill = Backfill(None, None, None, ["BTCUSDT"], 7, longer=longer_history(Settings()))
    pages = [page for _, stage in backfill._stages(START_MS) for page in stage]
    had = Counter()
    for page in pages[: 2 * len(TIMEFRAMES)]:
        had[page.timeframe] += (page.end_ms - page.start_ms) // TIMEFRAMES[page.timeframe]
    assert all(had[timeframe] >= 1_440 for timeframe in TIMEFRAMES)


def test_a_pair_of_the_first_symbols_has_a_z_of_every_timeframe_seconds_after_the_minutes():
    names = [f"S{number:02d}USDT" for number in range(20)]
    backfill = Backfill(None, None, None, names, 7, longer=longer_history(Settings()))
    pages = [page for _, stage in backfill._stages(START_MS) for page in stage]
    asked = [(page.timeframe, page.symbol) for page in pages]
    assert {timeframe for timeframe, _ in asked[:20]} == {"1m"}
    of_the_pair = {(name, symbol) for name in TIMEFRAMES for symbol in names[:2]}
    assert of_the_pair <= set(asked[:28])
    assert len(set(asked[:100])) == 100  # and all others have theirs before anything deeper


class OneSymbolFails(Delisted):
    """Nothing of it can be had, and it takes a while to say so; others are answered."""

    async def klines(self, symbol, timeframe, start_ms=None, end_ms=None, limit=1000):
        await asyncio.sleep(0)
        return self._answer(symbol)


def test_a_symbol_that_fails_while_others_are_answered_waits_aside_and_holds_up_nobody():
    exchange = OneSymbolFails("GONEUSDT", ExchangeError("HTTP 404"))
    progress = asyncio.run(run(exchange, []))
    assert progress.message == "complete"
    pages = Backfill(None, None, None, ["GONEUSDT"], 1)._stages(START_MS)
    minutes = sum(page.timeframe == "1m" for _, stage in pages for page in stage)
    # Its pages and first minute are asked for until others have been answered: six times each else.
    assert exchange.asked <= 3 * (minutes + 1)
