"""A second in which the ids began again: it has trades of two chains, and one of them is gone."""

import random

import pytest

from core.types import Trade
from ingest.live.chain import IdVerdict, TradePage
from ingest.live.pipeline import Pipeline
from ingest.store import market
from ingest.store.transaction import Writer
from tests.support.market import listing

NAME, BUSY = "AAAUSDT", "BBBUSDT"
MINUTE = 1_700_000_040_000
CHANGED = MINUTE + 20_400
NOW = MINUTE + 40_000


def chain_of(first_id: int, from_ms: int, until_ms: int) -> list[Trade]:
    rng = random.Random(first_id)
    times = sorted(rng.randrange(from_ms, until_ms) for _ in range((until_ms - from_ms) // 80))
    return [
        Trade(NAME, first_id + i, 100.0 + i, 1.0, t, t, first_id + i, first_id + i, True)
        for i, t in enumerate(times)
    ]


OLD = chain_of(5_000, MINUTE - 30_000, CHANGED)
NEW = chain_of(1, CHANGED, NOW)


def start(writer: Writer) -> Pipeline:
    pipeline = Pipeline(writer, lambda: NOW)
    pipeline.start(listing(name[:3]) for name in (NAME, BUSY))
    return pipeline


@pytest.mark.parametrize("was_killed", [False, True])
@pytest.mark.parametrize(
    "live_from",
    [None, 0, 20, len(NEW) - 40],
    ids=["by request alone", "its first trade live", "soon live", "late live"],
)
def test_no_second_of_two_chains_counts(
    writer: Writer, live_from: int | None, was_killed: bool
) -> None:
    pipeline = start(writer)
    assert pipeline.edge.add_first_minute(NAME, MINUTE - 60_000, TradePage(OLD, True), None)
    pipeline.close_bars(CHANGED)
    pipeline.ingest(NEW[:40])
    assert pipeline.unjudged == [NAME]
    for _ in range(1 + was_killed):
        chain = pipeline.chains[NAME]
        last_id = chain.last_id
        assert last_id == OLD[-1].trade_id
        verdict = pipeline.edge.prove(NAME, last_id, TradePage([], True), NOW, NEW[39])
        assert verdict is IdVerdict.FOREIGN
        if was_killed:
            pipeline = start(writer)  # before a trade of the new chain came
    if was_killed:
        pipeline.edge.prove(NAME, OLD[-1].trade_id, TradePage([], True), NOW, NEW[39])
    if live_from is not None:
        pipeline.ingest(NEW[live_from:])
    assert pipeline.edge.needs_first_minute(NAME)
    assert pipeline.edge.add_first_minute(NAME, MINUTE, TradePage(NEW, True), None)
    pipeline.ingest([Trade(BUSY, 1, 1.0, 1.0, NOW, NOW, 1, 1, True)])
    chain = pipeline.chains[NAME]
    assert chain.last_id == NEW[-1].trade_id
    chain.tell_until(NOW)
    pipeline.close_bars(NOW)
    with writer.transaction() as tx:
        bars = [bar for bar, _ in market.bars_between(tx, chain.symbol_id, 1_000, 0, 2**60)]
        minutes = market.bars_between(tx, chain.symbol_id, 60_000, MINUTE, 2**60)
    whole = [bar for bar in bars if bar.complete]
    traded = [trade.trade_time_ms for trade in OLD + NEW]
    for bar in whole:
        own = [t for t in traded if bar.open_time_ms <= t < bar.open_time_ms + 1_000]
        assert bar.trade_count == len(own)
    after = {bar.open_time_ms for bar in whole if bar.open_time_ms > CHANGED}
    assert after == set(range(CHANGED + 600, NOW, 1_000))
    assert not any(bar.complete for bar, _ in minutes)
