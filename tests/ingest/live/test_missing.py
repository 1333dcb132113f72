"""What was missed is filled in or named as lost, and the bars over it follow."""

from core.types import Origin
from ingest.files.importer import ImportedSymbol
from ingest.live.chain import SKIP_MS
from ingest.live.pipeline import Pipeline
from ingest.store import market, pruning
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.support.gaps import missing_ids
from tests.support.plain_ledger import (
    MINUTE,
    START,
    SYMBOLS,
    close_known,
    make_trades,
    plain_bars,
    repair,
    start,
    stored_bars,
)


def test_bars_with_missing_ids_are_incomplete_until_repaired_and_then_raise_the_revision(
    writer: Writer, pipeline: Pipeline, reader: Reader
) -> None:
    name = SYMBOLS[0]
    trades = make_trades(name, 2, 130)
    hole = [t for t in trades if START + 70_000 <= t.trade_time_ms < START + 73_000]
    pipeline.ingest([t for t in trades if t not in hole])
    close_known(pipeline, START + 125_000)
    (gap,) = reader.gaps([name], ("open",))
    assert (gap.from_id, gap.to_id) == (hole[0].trade_id, hole[-1].trade_id)
    assert missing_ids(reader)[name].missing == len(hole)
    seconds = {bar.open_time_ms: bar for bar in stored_bars(writer, pipeline, name, 1_000)}
    assert not any(seconds[START + second * 1_000].complete for second in (70, 71, 72))
    assert seconds[START + 60_000].complete
    assert seconds[START + 90_000].complete
    minutes = {bar.open_time_ms: bar for bar in stored_bars(writer, pipeline, name, MINUTE)}
    assert not minutes[START + MINUTE].complete
    before = reader.symbol(name)
    repair(pipeline, {name: trades})
    after = reader.symbol(name)
    assert before is not None
    assert after is not None
    assert after.revision > before.revision
    assert stored_bars(writer, pipeline, name, 1_000) == plain_bars(trades, 1_000, START + 125_000)
    assert missing_ids(reader).get(name, (0, 0, 0))[:2] == (0, 0)


def test_a_gap_that_shows_only_after_bars_were_closed_takes_their_completeness_back(
    writer: Writer, pipeline: Pipeline
) -> None:
    name = SYMBOLS[0]
    trades = make_trades(name, 3, 200)
    early = [t for t in trades if t.trade_time_ms < START + 61_000]
    pipeline.ingest(early)
    # Nothing comes; the exchange's clock closes seconds as flat ones.
    close_known(pipeline, START + 70_000)
    assert stored_bars(writer, pipeline, name, 1_000)[-1].complete
    last = next(t for t in trades if t.trade_time_ms >= START + 72_000)
    pipeline.ingest([last])
    closed = stored_bars(writer, pipeline, name, 1_000)
    flat = [bar for bar in closed if bar.open_time_ms >= START + 61_000]
    assert flat
    assert not any(bar.complete for bar in flat)


def test_pruned_trades_leave_incomplete_bars_for_good_and_say_why(
    writer: Writer, pipeline: Pipeline, reader: Reader
) -> None:
    name = SYMBOLS[0]
    trades = make_trades(name, 4, 200)
    hole = [t for t in trades if START + 70_000 <= t.trade_time_ms < START + 80_000]
    pipeline.ingest([t for t in trades if t not in hole])
    close_known(pipeline, START + 190_000)
    gap = pipeline.chains[name].gaps[0]
    kept = hole[len(hole) // 2 :]
    answer = [t for t in trades if t.trade_id >= kept[0].trade_id]
    assert pipeline.missing.fill(name, gap.gap_id, hole[0].trade_id, answer)
    assert not pipeline.chains[name].gaps
    (lost,) = reader.gaps([name], ("unfillable",))
    assert (lost.from_id, lost.to_id) == (hole[0].trade_id, kept[0].trade_id - 1)
    assert "no longer has" in lost.reason
    minute = plain_bars(trades, MINUTE, START + 190_000)[1]._replace(complete=True)
    pipeline.store_klines(name, "1m", [minute])
    minutes = {bar.open_time_ms: bar for bar in stored_bars(writer, pipeline, name, MINUTE)}
    assert not minutes[minute.open_time_ms].complete
    assert minutes[minute.open_time_ms + MINUTE].complete
    restarted = start(writer)
    close_known(restarted, START + 195_000)
    seconds = {bar.open_time_ms: bar for bar in stored_bars(writer, restarted, name, 1_000)}
    assert not seconds[START + 70_000].complete
    assert seconds[START + 82_000].complete


def test_after_a_long_stop_klines_stand_in_until_the_trades_are_back(
    writer: Writer, pipeline: Pipeline, reader: Reader
) -> None:
    name = SYMBOLS[0]
    trades = make_trades(name, 5, 600)
    away = (START + 100_000, START + 400_000)
    assert away[1] - away[0] > SKIP_MS
    pipeline.ingest([t for t in trades if t.trade_time_ms < away[0]])
    close_known(pipeline, START + 99_000)
    pipeline = start(writer)
    pipeline.ingest([t for t in trades if t.trade_time_ms >= away[1]])
    close_known(pipeline, START + 590_000)
    plain = plain_bars(trades, MINUTE, START + 590_000)
    klines = [bar._replace(complete=True) for bar in plain[:7]]
    pipeline.store_klines(name, "1m", klines)
    stored = {bar.open_time_ms: bar for bar in stored_bars(writer, pipeline, name, MINUTE)}
    assert all(stored[bar.open_time_ms].complete for bar in klines)
    repair(pipeline, {name: trades}, page=1_000)
    assert stored_bars(writer, pipeline, name, 1_000) == plain_bars(trades, 1_000, START + 590_000)
    with writer.transaction() as tx:
        found = market.bars_between(
            tx, pipeline.chains[name].symbol_id, MINUTE, START + MINUTE, 2**60
        )
    assert {origin for _, origin in found} == {Origin.TRADES}
    assert missing_ids(reader).get(name, (0, 0, 0))[0] == 0


def test_a_rebuild_leaves_bars_alone_whose_trades_have_been_pruned(
    writer: Writer, pipeline: Pipeline
) -> None:
    name = SYMBOLS[0]
    trades = make_trades(name, 21, 120)
    lost = next(i for i, t in enumerate(trades) if t.trade_time_ms >= START + 90_000)
    pipeline.ingest(trades[:lost])
    pipeline.ingest(trades[lost + 1 :])
    close_known(pipeline, START + 119_000)
    before = stored_bars(writer, pipeline, name, 1_000)
    with writer.transaction() as tx:
        symbol_id = pipeline.chains[name].symbol_id
        kept_from_ms = trades[lost - 1].trade_time_ms + 1
        while pruning.prune_trades(tx, symbol_id, kept_from_ms, 1_000):
            pass
    (gap,) = pipeline.chains[name].gaps
    assert pipeline.missing.fill(name, gap.gap_id, gap.from_id, trades[lost : lost + 1])
    after = stored_bars(writer, pipeline, name, 1_000)
    twin = plain_bars(trades, 1_000, START + 119_000)
    changed = [new for old, new in zip(before, after, strict=True) if old[1:9] != new[1:9]]
    assert all(bar in twin for bar in changed)
    assert [bar[1:9] for bar in after[:80]] == [bar[1:9] for bar in twin[:80]]


def test_an_old_gap_of_a_symbol_that_left_is_given_up(
    writer: Writer, pipeline: Pipeline, reader: Reader
) -> None:
    name = SYMBOLS[0]
    trades = make_trades(name, 3, 60)
    pipeline.ingest([t for t in trades if t.trade_id != trades[40].trade_id])
    assert len(reader.gaps([name], ("open",))) == 1
    later = Pipeline(writer, lambda: START + 2 * 86_400_000)
    later.start([ImportedSymbol(SYMBOLS[1], "BBB", "USDT", "TRADING")])
    assert reader.gaps([name], ("open",)) == []
    (gap,) = reader.gaps([name], ("unfillable",))
    assert "24 h" in gap.reason
