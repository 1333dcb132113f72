"""History at the start: what ends the asking, and what doesn't."""

import asyncio

import pytest

from core.errors import ExchangeError, RequestRefused, UnknownSymbols
from ingest.live.backfill import Backfill
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

    def count_bars(self, symbol, timeframe, start_ms, end_ms):
        return 0 if timeframe == "1m" else 10_000

    def needs_first_minute(self, symbol, start_ms):
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
