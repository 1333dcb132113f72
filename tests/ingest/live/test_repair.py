"""What the live feed missed: the screen's bars first, then every trade; faults are no gaps."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from core.types import Trade
from ingest.binance.answers import Rows
from ingest.files.importer import ImportedSymbol
from ingest.live import ports
from ingest.live.backfill import Backfill
from ingest.live.clock import ExchangeClock
from ingest.live.intake import Intake
from ingest.live.pipeline import Pipeline
from ingest.live.repair import Repair
from ingest.live.silence import SilenceWatch
from ingest.store import market
from ingest.store.transaction import Writer

T = TypeVar("T")
NAME = "AAAUSDT"
MINUTE, HOUR = 60_000, 3_600_000
START = 1_700_000_040_000


class Desk:
    """A pipeline whose feed is away for a while, and its repair."""

    def __init__(self, writer: Writer, market: Any) -> None:
        self.writer = writer
        self.market = market
        self.asked: list[str] = []
        self.pipeline = Pipeline(writer, self.now_ms)
        self.pipeline.start([ImportedSymbol(NAME, "AAA", "USDT", "TRADING")])
        self.backfill = Backfill(self, self.store, self.pipeline, [NAME], days=1)
        self.repair = Repair(
            self,
            self.store,
            self.pipeline,
            self.now_ms,
            lambda: 0.0,
            24 * HOUR,
            self.backfill.bridge,
        )

        self.watch = SilenceWatch(
            self,
            self.store,
            self.pipeline,
            lambda: self.now_ms() + MINUTE,
            lambda: 0.0,
            lambda symbols: None,
            lambda symbol: None,
        )

    def now_ms(self) -> int:
        made = self.market.made
        return self.market.trades[made - 1].trade_time_ms if made else START  # type: ignore[no-any-return]

    async def store(self, work: Callable[[], T], /) -> T:
        return work()

    async def agg_trades(self, *asked: Any, **more: Any) -> Any:
        self.asked.append("trades")
        return await self.market.agg_trades(*asked, **more)

    async def newest_raw_ids(self, symbols: Any) -> Any:
        return await self.market.newest_raw_ids(symbols)

    async def klines(self, *asked: Any, **more: Any) -> Any:
        self.asked.append("klines")
        return await self.market.klines(*asked, **more)

    def tell(self, count: int) -> None:
        self.pipeline.ingest(self.market.make(count))

    def bars(self, length: int) -> list[Any]:
        with self.writer.transaction() as tx:
            found = market.bars_between(tx, self.pipeline.chains[NAME].symbol_id, length, 0, 2**60)
        return [bar for bar, _ in found]


@pytest.fixture
def desk(writer: Writer, plain_market: Any) -> Desk:
    return Desk(writer, plain_market(NAME, 9, START, 30_000))


def test_after_an_outage_the_minutes_are_there_before_the_trades(desk: Desk) -> None:
    desk.tell(200)
    desk.pipeline.close_bars(desk.now_ms())
    away_from = desk.now_ms()
    desk.market.make(20_000)
    back_at = desk.now_ms()
    assert back_at - away_from > HOUR
    desk.tell(400)
    asyncio.run(desk.repair.run_once())
    first_trades = desk.asked.index("trades")
    assert first_trades >= 1
    assert set(desk.asked[:first_trades]) == {"klines"}
    assert "klines" not in desk.asked[first_trades:]
    assert not desk.pipeline.chains[NAME].gaps
    desk.pipeline.close_bars(desk.now_ms())
    twin = desk.market.bars(MINUTE, desk.now_ms())
    assert desk.bars(MINUTE)[1:] == twin[1:]
    assert all(bar.complete for bar in desk.bars(1_000)[1:])


def test_minutes_over_an_outage_stand_while_its_trades_cannot_be_had(desk: Desk) -> None:
    desk.tell(200)
    desk.pipeline.close_bars(desk.now_ms())
    desk.market.make(9_000)
    desk.tell(400)
    desk.pipeline.close_bars(desk.now_ms())

    async def nothing(*asked: Any, **more: Any) -> list[Trade]:
        return []

    desk.agg_trades = nothing  # type: ignore[method-assign]
    asyncio.run(desk.repair.run_once())
    assert desk.pipeline.chains[NAME].gaps
    minutes = desk.bars(MINUTE)
    twin = {bar.open_time_ms: bar for bar in desk.market.bars(MINUTE, desk.now_ms())}
    complete = [bar for bar in minutes if bar.complete]
    assert len(complete) >= 30
    assert all(bar == twin[bar.open_time_ms] for bar in complete)


def test_a_full_page_is_not_the_live_edge_whatever_a_page_holds(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "PAGE_LIMIT", 10)
    desk.tell(50)
    desk.market.make(25)  # the stream brings none of them
    chain = desk.pipeline.chains[NAME]
    asyncio.run(desk.watch.run_once(()))
    assert chain.last_id == desk.market.trades[74].trade_id
    desk.pipeline.close_bars(desk.now_ms())
    closed_ms = chain.known_until(0)
    assert desk.bars(1_000)[1:] == desk.market.bars(1_000, closed_ms)[1:]


def test_the_first_minute_is_whole_however_many_pages_it_takes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "PAGE_LIMIT", 10)
    desk.market.make(35)
    asyncio.run(desk.backfill._join(NAME, START))
    asyncio.run(desk.watch.run_once(()))
    chain = desk.pipeline.chains[NAME]
    assert chain.last_id == desk.market.trades[34].trade_id
    desk.pipeline.close_bars(desk.now_ms())
    assert desk.bars(1_000) == desk.market.bars(1_000, chain.known_until(0))


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_a_row_that_cannot_be_used_stays_a_gap_of_its_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, odd: int
) -> None:
    """At either end of the hole or inside: the others' ids are filled, it is asked for again."""
    desk.tell(50)
    hole = [trade.trade_id for trade in desk.market.make(3)]
    desk.tell(50)
    plain = desk.market.agg_trades
    is_odd = True

    async def without_one(*asked: Any, **more: Any) -> Any:
        found = await plain(*asked, **more)
        rows = Rows(trade for trade in found if not is_odd or trade.trade_id != hole[odd])
        rows.odd = ("absurd",) if len(rows) < len(found) else ()
        return rows

    monkeypatch.setattr(desk.market, "agg_trades", without_one)
    for _ in range(3):
        desk.repair._waits.clear()
        asyncio.run(desk.repair.run_once())
    chain = desk.pipeline.chains[NAME]
    assert [(gap.from_id, gap.to_id) for gap in chain.gaps] == [(hole[odd], hole[odd])]
    assert chain.unfillable == []
    is_odd = False
    desk.repair._waits.clear()
    asyncio.run(desk.repair.run_once())
    assert chain.gaps == []
    desk.pipeline.close_bars(desk.now_ms())
    assert desk.bars(1_000)[1:] == desk.market.bars(1_000, chain.known_until(0))[1:]


def test_an_id_that_no_chain_can_have_reached_is_a_fault_and_no_gap(desk: Desk) -> None:
    desk.tell(50)
    last = desk.market.trades[desk.market.made - 1]
    desk.pipeline.ingest([last._replace(trade_id=2**53 - 1)])
    chain = desk.pipeline.chains[NAME]
    assert chain.last_id == last.trade_id
    assert chain.gaps == []
    assert desk.pipeline.absurd == 1
    desk.tell(50)
    assert chain.gaps == []


class _Kept:
    """Stands in for the writing thread."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []

    def put(self, trade: Trade) -> None:
        self.trades.append(trade)

    def mark(self, lag_ms: float) -> None:
        """Lags are of no interest here."""


@pytest.mark.parametrize("off_ms", [-3 * HOUR, 3 * HOUR, -(10**12), 10**12])
def test_trades_dated_far_off_never_reach_a_bar(plain_market: Any, off_ms: int) -> None:
    now_s = START / 1_000
    kept: Any = _Kept()
    intake = Intake(kept, ExchangeClock(lambda: now_s, lambda: 0.0))
    good = plain_market(NAME, 1, START, 1).trades[0]
    for change in ({"trade_time_ms": START + off_ms}, {"event_time_ms": START + off_ms}):
        intake.take(good._replace(**change), START)
    intake.take(good, START)
    assert kept.trades == [good]
    assert intake.absurd == 2


@pytest.fixture(params=["Europe/Berlin", "America/New_York"])
def local_time(request: pytest.FixtureRequest, in_time_zone: Any) -> Iterator[str]:
    with in_time_zone(request.param):
        yield request.param


# One hour before the clocks change, in UTC: Berlin and New York, spring and autumn of 2026.
NIGHTS = (1_774_742_400_000, 1_792_886_400_000, 1_772_949_600_000, 1_793_509_200_000)


@pytest.mark.parametrize("night_ms", NIGHTS)
def test_nights_when_the_clocks_change_have_neither_a_missing_nor_a_double_bar(
    writer: Writer, plain_market: Any, local_time: str, night_ms: int
) -> None:
    desk = Desk(writer, plain_market(NAME, 4, night_ms, 24_000))
    while desk.market.made < 23_000:
        desk.tell(500)
        desk.pipeline.close_bars(desk.now_ms())
    assert desk.now_ms() > night_ms + HOUR
    for length in (1_000, MINUTE, HOUR):
        opens = [bar.open_time_ms for bar in desk.bars(length)]
        closed = desk.pipeline.chains[NAME].builder.closed_until_ms  # type: ignore[union-attr]
        first = night_ms - night_ms % length
        assert opens == list(range(first, closed - length + 1, length))


def test_a_full_page_of_which_a_row_is_odd_is_not_the_live_edge(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "PAGE_LIMIT", 10)
    desk.market.make(10)
    plain = desk.market.agg_trades

    async def but_one(*asked: Any, **more: Any) -> Any:
        rows = Rows((await plain(*asked, **more))[:-1])
        rows.odd = ("absurd",)
        return rows

    desk.market.agg_trades = but_one
    page = asyncio.run(ports.ask_trades(desk, NAME, from_id=0))
    assert (len(page.trades), page.odd, page.is_edge) == (9, 1, False)
