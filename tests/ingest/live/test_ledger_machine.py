"""Whatever is lost, repeated, reordered or interrupted: at rest the store is the ledger."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from core.errors import StoreError
from ingest.files.importer import ImportedSymbol
from ingest.live.pipeline import GRACE_MS, Pipeline
from ingest.live.repair import Repair
from ingest.live.silence import SilenceWatch
from ingest.store import gaps
from ingest.store.engine import open_engine
from ingest.store.market import bars_between, trades_around
from ingest.store.transaction import Transaction, Writer
from tests.support.machines import tell_stories

T = TypeVar("T")
START = 1_700_000_100_000 - 1_700_000_100_000 % 3_600_000 + 55 * 60_000
SYMBOLS = ("AAAUSDT", "BBBUSDT")
MINUTE = 60_000


class Interrupted(StoreError):
    """The transaction that the test wanted to fail."""


class FailingWriter(Writer):
    """Fails the transaction after so many more, before or after its statements."""

    left: int | None = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with super().transaction() as tx:
            yield tx
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    self.left = None
                    raise Interrupted("as the test wanted")


class LedgerMachine(RuleBasedStateMachine):
    """One store, two symbols, and everything that can happen to their frames."""

    folder: Path
    empty: bytes
    market: Any
    count = 0
    waited_s = 0.0

    @initialize(seed=st.integers(0, 10**6))
    def begin(self, seed: int) -> None:
        type(self).count += 1
        path = self.folder / f"{self.count}.db"
        path.write_bytes(self.empty)
        self.path = path
        self.foreign: list[str] = []
        self.writer = FailingWriter(open_engine(f"sqlite:///{path}"))
        self.markets = {
            name: self.market(name, seed + i, START, 2_000) for i, name in enumerate(SYMBOLS)
        }
        self.start()
        for name in SYMBOLS:
            self.attempt(lambda name=name: self.pipeline.ingest(self.markets[name].make(1)))

    def start(self) -> None:
        self.writer.left = None
        self.pipeline = Pipeline(self.writer, self.now_ms)
        # Minutes pass while it waits: whatever has no trade is quiet by then.
        self.watch = SilenceWatch(
            self,
            self.store,
            self.pipeline,
            lambda: self.now_ms() + int(self.waited_s * 1_000),
            lambda: self.waited_s,
            lambda symbols: None,
            self.foreign.append,
        )
        self.pipeline.start(ImportedSymbol(name, name[:3], "USDT", "TRADING") for name in SYMBOLS)

    def now_ms(self) -> int:
        return max(
            (market.trades[market.made - 1].trade_time_ms for market in self.markets.values()),
            default=START,
        )

    def attempt(self, work: Callable[[], object]) -> None:
        """Do what the writing thread does: after a failure start again from what is stored."""
        try:
            work()
        except Interrupted:
            self.start()

    async def store(self, work: Callable[[], T]) -> T:
        return work()

    async def agg_trades(self, symbol: str, **asked: Any) -> Any:
        return await self.markets[symbol].agg_trades(symbol, **asked)

    async def newest_raw_ids(self, symbols: list[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for symbol in symbols:
            found |= await self.markets[symbol].newest_raw_ids([symbol])
        return found

    # -- what can happen ----------------------------------------------------------------------

    @rule(name=st.sampled_from(SYMBOLS), count=st.integers(1, 120))
    def tell(self, name: str, count: int) -> None:
        trades = self.markets[name].make(count)
        self.attempt(lambda: self.pipeline.ingest(trades))

    @rule(name=st.sampled_from(SYMBOLS), count=st.integers(1, 250))
    def lose(self, name: str, count: int) -> None:
        self.markets[name].make(count)

    @rule(name=st.sampled_from(SYMBOLS), back=st.integers(1, 200), count=st.integers(1, 60))
    def tell_again(self, name: str, back: int, count: int) -> None:
        market = self.markets[name]
        first = max(0, market.made - back)
        old = market.trades[first : min(first + count, market.made)]
        self.attempt(lambda: self.pipeline.ingest(old))

    @rule(count=st.integers(2, 100), depth=st.integers(1, 50), seed=st.integers(0, 999))
    def tell_out_of_order(self, count: int, depth: int, seed: int) -> None:
        rng = random.Random(seed)
        trades = [trade for market in self.markets.values() for trade in market.make(count)]
        order = sorted(range(len(trades)), key=lambda at: at + rng.uniform(0, depth))
        half = len(order) // 2
        for part in (order[:half], order[half:]):
            self.attempt(lambda part=part: self.pipeline.ingest([trades[at] for at in part]))

    @rule()
    def close_bars(self) -> None:
        self.attempt(lambda: self.pipeline.close_bars(self.pipeline.event_time_ms - GRACE_MS))
        self.check_gaps()

    def check_gaps(self) -> None:
        """A bar over missing trades may look complete only if nothing of it is missing."""
        self.writer.left = None
        for chain in self.pipeline.chains.values():
            for gap in chain.gaps:
                with self.writer.transaction() as tx:
                    bars = bars_between(tx, chain.symbol_id, 1_000, gap.from_ms, gap.to_ms + 1)
                if any(bar.complete for bar, _ in bars):
                    # Dying between a repair's bars and its note that they are repaired.
                    end_ms = bars[-1][0].open_time_ms + 1_000
                    twin = self.markets[chain.symbol].bars(1_000, end_ms)
                    assert {bar for bar, _ in bars if bar.complete} <= set(twin)

    @rule()
    def crash(self) -> None:
        self.start()

    @rule(after=st.integers(0, 6))
    def fail_a_transaction(self, after: int) -> None:
        self.writer.left = after

    @rule(lag=st.sampled_from((0, 3, 80)))
    def repair(self, lag: int) -> None:
        for market in self.markets.values():
            market.lag = lag
        self.attempt(lambda: asyncio.run(self.repaired()))
        for market in self.markets.values():
            market.lag = 0

    async def repaired(self) -> None:
        repair = Repair(self, self.store, self.pipeline, self.now_ms, lambda: 0.0, 86_400_000)
        self.waited_s += 60.0
        await repair.run_once()
        await self.watch.run_once(())

    @rule()
    def rest(self) -> None:
        """Let everything come to rest, and compare."""
        self.writer.left = None
        for _ in range(20):
            asyncio.run(self.repaired())
            if not any(self.is_missing(chain) for chain in self.pipeline.chains.values()):
                break
        self.pipeline.close_bars(self.now_ms())
        for name, chain in self.pipeline.chains.items():
            self.compare(name, chain)

    def is_missing(self, chain: Any) -> bool:
        market = self.markets[chain.symbol]
        return bool(chain.gaps) or chain.last_id != market.trades[market.made - 1].trade_id

    def compare(self, name: str, chain: Any) -> None:
        assert not self.is_missing(chain)
        assert self.foreign == []
        market = self.markets[name]
        with self.writer.transaction() as tx:
            stored = trades_around(tx, chain.symbol_id, 0, 2**60, chain.last_id)
            assert [gap for gap in gaps.in_state(tx, "open") if gap.symbol == name] == []
            bars = {
                length: bars_between(tx, chain.symbol_id, length, 0, 2**60)
                for length in (1_000, MINUTE, 5 * MINUTE)
            }
        assert stored
        expected = [t for t in market.trades[: market.made] if t.trade_id >= stored[0].trade_id]
        assert [(*t[:5], *t[6:]) for t in stored] == [(*t[:5], *t[6:]) for t in expected]
        closed = chain.builder.closed_until_ms
        for length, found in bars.items():
            start = -(-chain.whole_from_ms // length) * length
            twin = [bar for bar in market.bars(length, closed) if bar.open_time_ms >= start]
            assert [bar for bar, _ in found if bar.open_time_ms >= start] == twin, (name, length)

    def teardown(self) -> None:
        if hasattr(self, "pipeline"):
            self.rest()
            self.writer.close()
            self.path.unlink()


@pytest.fixture
def machine(
    tmp_path: Path, empty_database: bytes, plain_market: Any
) -> type[RuleBasedStateMachine]:
    class Machine(LedgerMachine):
        folder, empty, market = tmp_path, empty_database, plain_market

    return Machine


def test_at_rest_the_store_is_the_ledger(machine: type[RuleBasedStateMachine]) -> None:
    tell_stories(machine, examples=100, steps=15, steady=True)


@pytest.mark.soak
def test_at_rest_the_store_is_the_ledger_after_thousands_of_stories(
    machine: type[RuleBasedStateMachine], soak_times: Callable[[int], int]
) -> None:
    tell_stories(machine, examples=soak_times(2_500), steps=30, steady=False)
