"""A chain meets the exchange's without a hole: first minute, newest trade, quiet symbols."""

from ingest.live.chain import IdVerdict, TradePage
from ingest.live.pipeline import GRACE_MS, Pipeline
from ingest.store.transaction import Writer
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


def test_the_first_minute_is_whole_once_its_earlier_trades_are_fetched(
    writer: Writer, pipeline: Pipeline
) -> None:
    name = SYMBOLS[0]
    trades = make_trades(name, 8, 400, START - 100_000)
    live = [t for t in trades if t.trade_time_ms >= START + 20_000]
    klines = [bar._replace(complete=True) for bar in plain_bars(trades, MINUTE, START)]
    pipeline.ingest(live[:50])
    pipeline.close_bars(pipeline.event_time_ms - GRACE_MS)
    pipeline.store_klines(name, "1m", klines)
    assert pipeline.edge.needs_first_minute(name)
    assert not pipeline.edge.add_first_minute(
        name, START, TradePage([], True), None
    )  # the database lags
    page = [t for t in trades if t.trade_time_ms >= START][:30]
    assert pipeline.edge.add_first_minute(name, START, TradePage(page, True), None)
    repair(pipeline, {name: trades})
    pipeline.ingest(live[50:])
    close_known(pipeline, START + 299_000)
    assert not pipeline.edge.needs_first_minute(name)
    expected = [
        bar for bar in plain_bars(trades, MINUTE, START + 299_000) if bar.open_time_ms >= START
    ]
    stored = [
        bar for bar in stored_bars(writer, pipeline, name, MINUTE) if bar.open_time_ms >= START
    ]
    assert stored == expected
    assert stored[0].complete


def test_a_symbol_that_does_not_trade_still_gets_its_flat_bars(
    writer: Writer, pipeline: Pipeline
) -> None:
    name = SYMBOLS[0]
    newest = make_trades(name, 10, 1, START - 500_000)[-1]
    assert pipeline.edge.add_first_minute(name, START, TradePage([], True), newest)
    close_known(pipeline, START + 65_000)
    stored = stored_bars(writer, pipeline, name, 1_000)
    assert len(stored) == 65
    assert {bar.close for bar in stored} == {newest.price}
    assert all(bar.complete and bar.volume == 0 for bar in stored)
    (minute,) = stored_bars(writer, pipeline, name, MINUTE)
    assert minute.complete


def test_bars_close_no_further_than_a_trade_of_the_symbol_or_an_answer_tells(
    writer: Writer, pipeline: Pipeline
) -> None:
    name, busy = SYMBOLS[:2]
    trades = make_trades(name, 13, 100)
    seen = [t for t in trades if t.trade_time_ms < START + 30_000]
    told = [t for t in trades if START + 30_000 <= t.trade_time_ms < START + 60_000]
    pipeline = start(writer, lambda: START + 99_000)
    pipeline.ingest([*seen, *make_trades(busy, 3, 99)])
    known_ms = seen[-1].trade_time_ms // 1_000 * 1_000
    pipeline.close_bars(START + 90_000)
    builder = pipeline.chains[name].builder
    assert builder is not None
    assert builder.closed_until_ms == known_ms
    assert pipeline.chains[busy].builder.closed_until_ms > START + 80_000  # type: ignore[union-attr]
    until = told[-1].trade_time_ms + 2_000
    pipeline.edge.prove(name, seen[-1].trade_id, TradePage([seen[-1], *told], True), until)
    pipeline.close_bars(START + 90_000)
    assert builder.closed_until_ms == until - until % 1_000
    pipeline.ingest([t for t in trades if t.trade_id > told[-1].trade_id])
    pipeline.close_bars(START + 99_000)
    closed_ms = builder.closed_until_ms
    assert closed_ms > START + 90_000
    assert stored_bars(writer, pipeline, name, 1_000) == plain_bars(trades, 1_000, closed_ms)


def test_an_answer_without_our_newest_trade_closes_nothing(
    writer: Writer, pipeline: Pipeline
) -> None:
    """The blocker of old: an exchange that counts anew has nothing above the old ids."""
    name = SYMBOLS[0]
    trades = make_trades(name, 13, 100)
    pipeline.ingest(trades)
    pipeline.close_bars(START + 99_000)
    before = stored_bars(writer, pipeline, name, 1_000)
    pipeline.stops.market_ms = START + 600_000
    last_id = trades[-1].trade_id
    for newest in (None, trades[-5]):
        verdict = pipeline.edge.prove(name, last_id, TradePage([], True), START + 500_000, newest)
        assert verdict is IdVerdict.UNSURE
        pipeline.close_bars(START + 600_000)
        assert stored_bars(writer, pipeline, name, 1_000) == before


def test_a_first_page_that_is_full_closes_no_further_than_its_own_trades(
    writer: Writer, pipeline: Pipeline
) -> None:
    name = SYMBOLS[0]
    trades = make_trades(name, 13, 100)
    pipeline.stops.market_ms = START + 99_000
    assert pipeline.edge.add_first_minute(name, START, TradePage(trades[:10], False), None)
    for known in (10, 20):
        pipeline.close_bars(START + 90_000)
        closed_ms = trades[known - 1].trade_time_ms // 1_000 * 1_000
        twin = plain_bars(trades, 1_000, closed_ms)
        assert stored_bars(writer, pipeline, name, 1_000) == [
            bar._replace(complete=True) for bar in twin
        ]
        page = TradePage(trades[known - 1 : known + 10], False)
        pipeline.edge.prove(name, trades[known - 1].trade_id, page, START + 90_000)
    pipeline.edge.prove(name, trades[29].trade_id, TradePage(trades[29:], True), START + 90_000)
    pipeline.close_bars(START + 90_000)
    assert stored_bars(writer, pipeline, name, 1_000) == [
        bar._replace(complete=True) for bar in plain_bars(trades, 1_000, START + 90_000)
    ]


def test_a_minute_whose_trades_are_not_told_yet_is_not_begun_behind_them(
    writer: Writer, pipeline: Pipeline
) -> None:
    """No live trade, an empty page of a database that lags, and then a newest trade inside it."""
    name = SYMBOLS[0]
    trades = [t for t in make_trades(name, 8, 120) if t.trade_time_ms > START]
    assert not pipeline.edge.add_first_minute(name, START, TradePage([], True), trades[4])
    assert pipeline.edge.add_first_minute(name, START, TradePage(trades[:30], True), None)
    pipeline.ingest(trades[4:])
    close_known(pipeline, START + 110_000)
    seconds = stored_bars(writer, pipeline, name, 1_000)
    assert sum(bar.trade_count for bar in seconds if bar.open_time_ms < START + 100_000) == sum(
        t.raw_count for t in trades if t.trade_time_ms < START + 100_000
    )


def test_a_cancelled_aggregate_is_no_price_to_begin_with(
    writer: Writer, pipeline: Pipeline
) -> None:
    name = SYMBOLS[0]
    first = make_trades(name, 8, 1)[0]
    cancelled = first._replace(
        price=0.0, quantity=0.0, first_id=-1, last_id=-1, trade_time_ms=START - 5_000
    )
    assert pipeline.edge.add_first_minute(name, START, TradePage([], True), cancelled)
    close_known(pipeline, START + 30_000)
    assert stored_bars(writer, pipeline, name, 1_000) == []


def test_a_symbol_that_has_never_traded_holds_nothing_up(pipeline: Pipeline) -> None:
    assert pipeline.edge.add_first_minute(SYMBOLS[0], START, TradePage([], True), None)
