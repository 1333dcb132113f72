"""A symbol whose stream has stalled is found out, fed by request and asked for anew."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest

from ingest.files.importer import ImportedSymbol
from ingest.live.pipeline import Pipeline
from ingest.live.repair import Repair
from ingest.live.silence import SilenceWatch
from ingest.store.transaction import Writer

T = TypeVar("T")
NAME = "AAAUSDT"
START = 1_700_000_040_000


class Watched:
    """A symbol on the store, its market, and a clock that the test turns."""

    def __init__(self, writer: Writer, market: Any) -> None:
        self.market = market
        self.asked: list[int] = []
        self.resubscribed: list[Sequence[str]] = []
        self.now_s = 0.0
        self.pipeline = Pipeline(writer, self.now_ms)
        self.pipeline.start([ImportedSymbol(NAME, "AAA", "USDT", "TRADING")])
        self.watch = SilenceWatch(
            self,  # type: ignore[arg-type]
            self.store,
            self.pipeline,
            self.now_ms,
            lambda: self.now_s,
            self.resubscribed.append,
        )

    def now_ms(self) -> int:
        return int(self.market.trades[self.market.made - 1].trade_time_ms + self.now_s * 1_000)

    async def store(self, work: Callable[[], T], /) -> T:
        return work()

    async def agg_trades(self, symbol: str, from_id: int, **more: Any) -> Any:
        self.asked.append(from_id)
        return await self.market.agg_trades(symbol, from_id=from_id, **more)

    def look(self, *silent: str) -> None:
        asyncio.run(self.watch.run_once(silent))


@pytest.fixture
def watched(writer: Writer, plain_market: Any) -> Watched:
    watched = Watched(writer, plain_market(NAME, 5, START, 4_000))
    watched.pipeline.ingest(watched.market.make(10))
    return watched


def test_a_quiet_symbol_costs_a_request_in_ten_seconds_and_no_new_subscription(
    watched: Watched,
) -> None:
    for watched.now_s in range(12, 612, 2):
        watched.look(NAME)
    assert len(watched.asked) == 60
    assert watched.resubscribed == []
    assert watched.watch.stalled == set()
    assert watched.pipeline.chains[NAME].is_proven


def test_a_stalled_symbol_is_fed_by_request_until_its_stream_is_back(watched: Watched) -> None:
    watched.market.make(2_500)
    watched.now_s = 12.0
    watched.look(NAME)
    assert watched.watch.stalled == {NAME}
    assert watched.resubscribed == [[NAME]]
    chain = watched.pipeline.chains[NAME]
    assert chain.last_id == watched.market.trades[watched.market.made - 1].trade_id
    assert not chain.is_proven  # only what was told is known
    repair = Repair(
        watched,  # type: ignore[arg-type]
        watched.store,
        watched.pipeline,
        watched.now_ms,
        lambda: watched.now_s,
        86_400_000,
    )
    asked = len(watched.asked)
    asyncio.run(repair.prove())
    assert len(watched.asked) == asked  # nobody else asks about it meanwhile
    watched.market.make(50)
    watched.now_s = 20.0
    watched.look(NAME)
    assert chain.last_id == watched.market.trades[watched.market.made - 1].trade_id
    assert watched.resubscribed == [[NAME]]  # once a minute is enough
    watched.pipeline.ingest(watched.market.make(1))
    assert chain.is_proven
    watched.look()
    assert watched.watch.stalled == set()
    watched.pipeline.stall(NAME)
    watched.pipeline.doubt()  # a new connection
    asyncio.run(repair.prove())
    assert chain.is_proven


def test_many_silent_symbols_are_asked_about_within_a_quarter_of_the_weight(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def catch_up(symbol: str) -> int:
        asked.append(symbol)
        return 0

    monkeypatch.setattr(SilenceWatch, "_catch_up", lambda self, symbol: catch_up(symbol))
    names = [f"S{number}USDT" for number in range(600)]
    for watched.now_s in range(12, 12 + 240, 2):
        watched.look(*names)
    assert len(asked) <= 600 + 240 * 5


def test_a_trade_that_may_be_on_its_way_is_no_stall(watched: Watched) -> None:
    watched.market.make(1)
    watched.now_s = 1.0
    watched.look(NAME)
    assert watched.watch.stalled == set()
    assert watched.resubscribed == []
