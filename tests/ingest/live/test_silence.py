"""A symbol that says nothing: quiet, stalled or counted anew; its bars wait until it is known."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest

from core.errors import ExchangeError
from core.types import Trade
from ingest.live.backfill import Backfill
from ingest.live.pipeline import Pipeline
from ingest.live.silence import SilenceWatch
from ingest.store import market
from ingest.store.transaction import Writer
from tests.support.market import listing

T = TypeVar("T")
NAME, BUSY = "AAAUSDT", "BBBUSDT"
START = 1_700_000_040_000
MINUTE = 60_000


class Watched:
    """A symbol on the store beside a busy one, its market, and a clock that the test turns."""

    def __init__(self, writer: Writer, market: Any) -> None:
        self.writer = writer
        self.market = market
        self.asked: list[int] = []
        self.light: list[int] = []
        self.resubscribed: list[Sequence[str]] = []
        self.now_s = 0.0
        self.busy_id = 0
        self.start()

    def start(self) -> None:
        self.pipeline = Pipeline(self.writer, self.now_ms)
        self.pipeline.start(listing(name[:3]) for name in (NAME, BUSY))
        self.backfill = Backfill(self, self.store, self.pipeline, [NAME], days=1)
        self.watch = SilenceWatch(
            self,
            self.store,
            self.pipeline,
            self.now_ms,
            lambda: self.now_s,
            self.resubscribed.append,
            lambda symbol: self.backfill.rejoin(symbol, self.now_ms()),
        )

    def now_ms(self) -> int:
        made = self.market.trades[: self.market.made]
        return int((made[-1].trade_time_ms if made else START) + self.now_s * 1_000)

    async def store(self, work: Callable[[], T], /) -> T:
        return work()

    async def agg_trades(self, symbol: str, from_id: int | None = None, **more: Any) -> Any:
        self.asked.append(from_id or 0)
        return await self.market.agg_trades(symbol, from_id=from_id, **more)

    async def klines(self, *asked: Any, **more: Any) -> Any:
        return await self.market.klines(*asked, **more)

    async def newest_raw_ids(self, symbols: Sequence[str]) -> dict[str, int]:
        self.light.append(len(symbols))
        found = {BUSY: self.busy_id} if BUSY in symbols else {}
        return found | (await self.market.newest_raw_ids([NAME]))

    def trade_elsewhere(self) -> None:
        """Let the busy symbol trade now, so that the market doesn't stand still."""
        self.busy_id += 1
        now_ms = self.now_ms()
        ids = (self.busy_id, self.busy_id)
        self.pipeline.ingest([Trade(BUSY, self.busy_id, 1.0, 1.0, now_ms, now_ms, *ids, True)])

    def look(self, *silent: str) -> None:
        self.trade_elsewhere()
        asyncio.run(self.watch.run_once(silent))
        self.pipeline.close_bars(self.now_ms())

    def bars(self, length: int = 1_000) -> list[Any]:
        with self.writer.transaction() as tx:
            found = market.bars_between(tx, self.pipeline.chains[NAME].symbol_id, length, 0, 2**60)
        return [bar for bar, _ in found]

    @property
    def newest(self) -> Trade:
        return self.market.trades[self.market.made - 1]  # type: ignore[no-any-return]


@pytest.fixture
def watched(writer: Writer, plain_market: Any) -> Watched:
    watched = Watched(writer, plain_market(NAME, 5, START, 4_000))
    watched.pipeline.ingest(watched.market.make(10))
    return watched


def test_a_quiet_symbols_bars_close_within_twelve_seconds_by_light_questions(
    watched: Watched,
) -> None:
    first = watched.bars()
    latest_s = 0.0
    for half in range(2, 244):
        watched.now_s = half / 2
        if half % 4 == 0:
            watched.look()
        opened_ms = [bar.open_time_ms for bar in watched.bars()]
        if opened_ms:
            latest_s = max(latest_s, (watched.now_ms() - opened_ms[-1] - 1_000) / 1_000)
    assert first == []
    assert 5.0 < latest_s <= 12.0
    assert watched.asked == []  # nothing beside the light ones
    assert watched.resubscribed == []
    assert all(bar.complete for bar in watched.bars()[1:])


def test_silence_alone_closes_no_bar(watched: Watched) -> None:
    for watched.now_s in range(2, 60):
        watched.trade_elsewhere()
        watched.pipeline.close_bars(watched.now_ms())
    last_ms = watched.newest.trade_time_ms
    assert all(bar.open_time_ms + 1_000 <= last_ms for bar in watched.bars())


def test_a_trade_that_was_never_told_is_in_its_bar_before_that_closes(watched: Watched) -> None:
    """The silent ten seconds that used to close as flat and complete."""
    (missed,) = watched.market.make(1)
    for watched.now_s in range(2, 30, 2):
        watched.look()
    bar = next(
        bar for bar in watched.bars() if bar.open_time_ms == missed.trade_time_ms // 1_000 * 1_000
    )
    assert bar.close == missed.price
    assert watched.pipeline.chains[NAME].last_id == missed.trade_id


def test_a_stalled_symbol_is_fed_by_request_until_its_stream_is_back(watched: Watched) -> None:
    watched.market.make(2_500)
    watched.now_s = 12.0
    watched.look(NAME)
    assert watched.watch.stalled == {NAME}
    assert watched.resubscribed == [[NAME]]
    chain = watched.pipeline.chains[NAME]
    assert chain.last_id == watched.newest.trade_id
    watched.market.make(50)
    watched.now_s = 20.0
    watched.look(NAME)
    assert chain.last_id == watched.newest.trade_id
    assert watched.resubscribed == [[NAME]]  # once a minute is enough
    watched.pipeline.ingest(watched.market.make(1))
    watched.look()
    assert watched.watch.stalled == set()


def test_one_symbol_whose_answers_fail_holds_up_no_other(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught: list[str] = []

    async def catch_up(self: SilenceWatch, symbol: str) -> int:
        if symbol == "S3USDT":
            raise ExchangeError("not this one")
        caught.append(symbol)
        return 0

    monkeypatch.setattr(SilenceWatch, "_catch_up", catch_up)
    watched.watch._others.update(f"S{number}USDT" for number in range(10))
    asyncio.run(watched.watch.ask_others(()))
    assert len(caught) == 9


def test_four_hundred_quiet_symbols_cost_a_quarter_of_the_weight(writer: Writer) -> None:
    pipeline = Pipeline(writer, lambda: START)
    names = [f"S{number}USDT" for number in range(400)]
    pipeline.start(listing(name.removesuffix("USDT")) for name in names)
    pipeline.ingest([Trade(name, 7, 1.0, 1.0, START, START, 7, 7, True) for name in names])
    weight = 0

    class Quiet:
        async def newest_raw_ids(self, symbols: Sequence[str]) -> dict[str, int]:
            nonlocal weight
            assert len(symbols) <= 20
            weight += 2
            return dict.fromkeys(symbols, 7)

    async def store(work: Callable[[], T], /) -> T:
        return work()

    now_s = 0.0
    watch = SilenceWatch(
        Quiet(),  # type: ignore[arg-type]
        store,
        pipeline,
        lambda: int(START + now_s * 1_000),
        lambda: now_s,
        lambda symbols: None,
        lambda symbol: None,
    )
    for now_s in range(0, 60, 2):
        asyncio.run(watch.run_once(()))
        chains = pipeline.chains.values()
        known = min(chain.known_until(2**60) for chain in chains)
        assert START + now_s * 1_000 - known <= 9_000
    assert 400 <= weight <= 6_000 / 4


def test_a_trade_that_may_be_on_its_way_is_no_stall(watched: Watched) -> None:
    watched.market.make(1)
    watched.now_s = 1.0
    watched.look(NAME)
    assert watched.watch.stalled == set()
    assert watched.resubscribed == []


class BegunAgain:
    """A market whose ids have begun again at 1: the exchange knows nothing of the old ones."""

    def __init__(self, plain_market: Any, start_ms: int) -> None:
        fresh = plain_market(NAME, 9, start_ms, 4_000)
        shift, raw = fresh.trades[0].trade_id - 1, fresh.trades[0].first_id - 1
        fresh.trades = [
            trade._replace(
                trade_id=trade.trade_id - shift,
                first_id=trade.first_id - raw,
                last_id=trade.last_id - raw,
            )
            for trade in fresh.trades
        ]
        self.market = fresh


@pytest.mark.parametrize("is_told", [True, False], ids=["by its stream", "by nobody"])
@pytest.mark.parametrize("restarts", [False, True])
def test_ids_that_begin_again_close_no_bar_until_a_new_chain_is_proven(
    watched: Watched, plain_market: Any, is_told: bool, restarts: bool
) -> None:
    old_ms = watched.newest.trade_time_ms
    watched.market = BegunAgain(plain_market, START + 10 * MINUTE).market
    fresh = watched.market.make(300)
    if restarts:
        watched.start()
    watched.trade_elsewhere()
    if is_told:
        watched.pipeline.ingest(fresh)
        assert watched.pipeline.unjudged == [NAME]
    watched.pipeline.close_bars(watched.now_ms())
    assert all(bar.open_time_ms < old_ms for bar in watched.bars())
    for watched.now_s in range(8, 30, 2):
        watched.look()
        asyncio.run(watched.backfill.try_again())
        asyncio.run(watched.watch.ask_quiet())
    chain = watched.pipeline.chains[NAME]
    assert watched.pipeline.unjudged == []
    assert chain.last_id == watched.newest.trade_id
    watched.pipeline.close_bars(watched.now_ms())
    begun_ms = watched.newest.trade_time_ms // MINUTE * MINUTE
    complete = [bar for bar in watched.bars() if bar.complete and bar.open_time_ms > old_ms]
    assert complete[0].open_time_ms >= begun_ms
    twin = {bar.open_time_ms: bar for bar in watched.market.bars(1_000, watched.now_ms())}
    assert len(complete) > 3
    assert all(twin[bar.open_time_ms] == bar for bar in complete)
    with watched.writer.transaction() as tx:
        ids = [
            trade.trade_id
            for trade in market.trades_around(tx, chain.symbol_id, 0, 2**60, chain.last_id)
        ]
    assert ids == list(range(ids[0], watched.newest.trade_id + 1))


def test_an_absurd_first_trade_of_all_does_not_shut_out_the_real_ones(
    writer: Writer, plain_market: Any
) -> None:
    watched = Watched(writer, plain_market(NAME, 5, START, 4_000))
    real = watched.market.make(400)
    watched.pipeline.ingest([real[200]._replace(trade_id=2**53 - 1)])
    watched.pipeline.ingest(real[201:])
    watched.backfill.rejoin(NAME, START)
    for watched.now_s in range(0, 60, 2):
        watched.look()
        asyncio.run(watched.backfill.try_again())
    chain = watched.pipeline.chains[NAME]
    assert chain.last_id == real[-1].trade_id
    assert not chain.gaps
    closed_ms = chain.known_until(2**60)
    twin = watched.market.bars(1_000, closed_ms)
    assert watched.bars()[: len(twin)] == twin
