"""What the pipeline stores equals the plain ledger, whatever the feed did to the trades."""

import random
from collections.abc import Callable, Sequence
from math import fsum
from typing import Any

import pytest

from core.types import Bar, Origin, Trade
from ingest.files.importer import ImportedSymbol
from ingest.live.chain import SKIP_MS, TradePage, Verdict
from ingest.live.pipeline import BARS_PER_TRANSACTION, GRACE_MS, Pipeline
from ingest.store import market, pruning
from ingest.store.reader import Reader
from ingest.store.transaction import Transaction, Writer
from tests.support.gaps import missing_ids

MINUTE = 60_000
START = 1_700_000_100_000 - 1_700_000_100_000 % 3_600_000 + 55 * MINUTE
SYMBOLS = ("AAAUSDT", "BBBUSDT")


def make_trades(symbol: str, seed: int, seconds: int, start_ms: int = START) -> list[Trade]:
    """A busy symbol with bursts of one time, silences, and aggregates over several raw trades."""
    rng = random.Random(seed)
    trades: list[Trade] = []
    time_ms, trade_id, raw_id, price = start_ms, 1_000, 5_000, 100.0
    while time_ms < start_ms + seconds * 1_000:
        price = round(price * (1 + rng.gauss(0, 1e-4)), 2)
        raws = rng.choice((1, 1, 1, 4))
        trades.append(
            Trade(
                symbol,
                trade_id,
                price,
                round(rng.uniform(0.001, 3), 5),
                time_ms,
                time_ms + rng.choice((0, 1)),
                raw_id,
                raw_id + raws - 1,
                rng.random() < 0.5,
            )
        )
        trade_id += 1
        raw_id += raws
        time_ms += rng.choice((0, 0, 3, 40, 200, 900, 5_200 if rng.random() < 0.1 else 70))
    return trades


def plain_bars(trades: Sequence[Trade], length_ms: int, end_ms: int) -> list[Bar]:
    """The slow twin: every bar straight from its trades, dense, without any roll-up."""
    bars: list[Bar] = []
    close: float | None = None
    first = trades[0].trade_time_ms
    for open_time in range(first - first % length_ms, end_ms - length_ms + 1, length_ms):
        own = [
            trade
            for trade in trades
            if open_time <= trade.trade_time_ms < open_time + length_ms and trade.quantity > 0
        ]
        prices = [trade.price for trade in own] or [close or 0.0]
        close = prices[-1]
        bars.append(
            Bar(
                open_time,
                prices[0],
                max(prices),
                min(prices),
                close,
                round(fsum(trade.quantity for trade in own), 8),
                round(fsum(trade.price * trade.quantity for trade in own), 8),
                sum(trade.last_id - trade.first_id + 1 for trade in own),
                round(fsum(trade.quantity for trade in own if not trade.buyer_is_maker), 8),
                open_time > first,
            )
        )
    return bars


def stored_bars(writer: Writer, pipeline: Pipeline, symbol: str, length_ms: int) -> list[Bar]:
    with writer.transaction() as tx:
        found = market.bars_between(tx, pipeline.chains[symbol].symbol_id, length_ms, 0, 2**60)
    return [bar for bar, _ in found]


def stored_trades(writer: Writer, pipeline: Pipeline, symbol: str) -> list[tuple[int, float]]:
    chain = pipeline.chains[symbol]
    with writer.transaction() as tx:
        found = market.trades_around(tx, chain.symbol_id, 0, 2**60, chain.last_id or 0)
    return [(trade.trade_id, trade.price) for trade in found]


def repair(pipeline: Pipeline, ledger: dict[str, list[Trade]], page: int = 40) -> None:
    """What the repair job does, with the ledger as the exchange."""
    for symbol, chain in pipeline.chains.items():
        while chain.gaps:
            gap = chain.gaps[0]
            answer = [t for t in ledger[symbol] if t.trade_id >= gap.from_id][:page]
            assert pipeline.missing.fill(symbol, gap.gap_id, gap.from_id, answer)


def disturbed(trades: Sequence[Trade], rng: random.Random) -> list[Trade]:
    """Lose some stretches, repeat some trades, and let some overtake others."""
    lost = {
        trade_id
        for _ in range(4)
        for start in [rng.choice(trades[5:-5]).trade_id]
        for trade_id in range(start, start + rng.randint(1, 60))
    }
    lost.discard(trades[-1].trade_id)
    kept = [trade for trade in trades if trade.trade_id not in lost]
    for _ in range(30):
        kept.insert(rng.randrange(3, len(kept) - 1), kept[rng.randrange(3, len(kept) - 1)])
    for _ in range(10):
        at = rng.randrange(3, len(kept) - 6)
        kept[at : at + 5] = rng.sample(kept[at : at + 5], 5)
    return kept


@pytest.fixture
def pipeline(writer: Writer) -> Pipeline:
    return start(writer)


def start(writer: Writer, clock_ms: Callable[[], int] = lambda: START) -> Pipeline:
    pipeline = Pipeline(writer, clock_ms)
    pipeline.start(ImportedSymbol(name, name[:3], "USDT", "TRADING") for name in SYMBOLS)
    return pipeline


def close_known(pipeline: Pipeline, until_ms: int) -> None:
    """Close what ends by then, as if the exchange had told that nothing else was traded."""
    pipeline.close_recording(until_ms)


@pytest.mark.parametrize("seed", [0, 7, 11])
def test_lost_repeated_and_reordered_trades_end_in_the_bars_of_the_plain_ledger(
    writer: Writer, pipeline: Pipeline, seed: int
) -> None:
    rng = random.Random(seed)
    ledger = {name: make_trades(name, seed * 7 + i, 700) for i, name in enumerate(SYMBOLS)}
    feed = sorted(
        (trade for trades in ledger.values() for trade in trades), key=lambda t: t.trade_time_ms
    )
    heads = [trades[0] for trades in ledger.values()]
    pipeline.ingest(heads)
    feed = disturbed([trade for trade in feed if trade not in heads], rng)
    at = 0
    while at < len(feed):
        size = rng.choice((1, 7, 60, 300))
        pipeline.ingest(feed[at : at + size])
        pipeline.close_bars(pipeline.event_time_ms - GRACE_MS)
        at += size
        if rng.random() < 0.2:
            repair(pipeline, ledger)
        if rng.random() < 0.05:
            pipeline = start(writer)  # a crash: only what is stored goes on
    for trades in ledger.values():
        pipeline.ingest([trades[-1]])
    repair(pipeline, ledger)
    end_ms = START + 690_000
    close_known(pipeline, end_ms)
    for name, trades in ledger.items():
        assert stored_trades(writer, pipeline, name) == [(t.trade_id, t.price) for t in trades]
        assert not pipeline.chains[name].gaps
        for length in (1_000, MINUTE, 5 * MINUTE):
            stored = [
                bar
                for bar in stored_bars(writer, pipeline, name, length)
                if bar.open_time_ms + length <= end_ms
            ]
            assert stored == plain_bars(trades, length, end_ms), (name, length)


def test_duplicates_alone_change_nothing(
    writer: Writer, pipeline: Pipeline, reader: Reader
) -> None:
    trades = make_trades(SYMBOLS[0], 1, 90)
    pipeline.ingest(trades)
    close_known(pipeline, START + 80_000)
    before = stored_bars(writer, pipeline, SYMBOLS[0], 1_000)
    pipeline.ingest(trades)
    pipeline.ingest(trades[10:20])
    close_known(pipeline, START + 80_000)
    assert stored_bars(writer, pipeline, SYMBOLS[0], 1_000) == before
    assert len(stored_trades(writer, pipeline, SYMBOLS[0])) == len(trades)
    stored = reader.symbol(SYMBOLS[0])
    assert stored is not None
    assert stored.revision == 0
    assert reader.gaps(None, ("open", "filled", "unfillable")) == []


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


def test_screens_are_drawn_anew_only_for_fetched_bars_that_they_have_passed(
    pipeline: Pipeline, reader: Reader
) -> None:
    """A start fetches the newest bars again and again: each time every screen began anew."""
    name = SYMBOLS[0]
    minutes = plain_bars(make_trades(name, 4, 1_200), MINUTE, START + 1_200_000)
    hours = [
        bar._replace(open_time_ms=START + 60 * number * MINUTE)
        for number, bar in enumerate(minutes)
    ]
    revisions = []
    for page in (
        hours[5:10],
        hours[5:10],
        hours[8:12],
        hours[:5],
        hours[:5],
        [hours[11]._replace(close=1.0, low=1.0)],
    ):
        pipeline.store_klines(name, "1h", page)
        symbol = reader.symbol(name)
        assert symbol is not None
        revisions.append(symbol.revision)
    assert revisions == [0, 0, 0, 1, 1, 2]


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


def test_a_stop_longer_than_trades_are_kept_starts_the_chain_anew(
    writer: Writer, pipeline: Pipeline, reader: Reader
) -> None:
    name = SYMBOLS[0]
    pipeline.ingest(make_trades(name, 6, 60))
    two_days = START + 2 * 86_400_000
    pipeline = start(writer, lambda: two_days)
    later = [
        trade._replace(trade_id=trade.trade_id + 10**6)
        for trade in make_trades(name, 6, 60, two_days)
    ]
    pipeline.ingest(later)
    assert reader.gaps(None, ("open",)) == []
    assert pipeline.chains[name].whole_from_ms > two_days


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


def test_a_bar_over_klines_and_trades_is_a_complete_roll_up(
    writer: Writer, pipeline: Pipeline
) -> None:
    name = SYMBOLS[0]
    trades = make_trades(name, 9, 700, START - 5 * MINUTE)
    begin = START - 2 * MINUTE
    klines = [bar._replace(complete=True) for bar in plain_bars(trades, MINUTE, begin)]
    pipeline.store_klines(name, "1m", klines)
    page = [t for t in trades if t.trade_time_ms >= begin]
    assert pipeline.edge.add_first_minute(name, begin, TradePage(page[:10], True), None)
    pipeline.ingest(page[10:])
    close_known(pipeline, START + 350_000)
    with writer.transaction() as tx:
        found = market.bars_between(
            tx, pipeline.chains[name].symbol_id, 5 * MINUTE, START - 5 * MINUTE, START
        )
    ((bar, origin),) = found
    assert bar == plain_bars(trades, 5 * MINUTE, START)[0]._replace(complete=True)
    assert origin is Origin.ROLL_UP


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


def test_a_silence_of_many_hours_leaves_no_flood_of_flat_bars_and_loses_no_trade(
    writer: Writer, pipeline: Pipeline
) -> None:
    name = SYMBOLS[0]
    trades = make_trades(name, 14, 60)
    pipeline.ingest(trades)
    close_known(pipeline, START + 50_000)
    close_known(pipeline, START + 20 * 3_600_000)
    stored = stored_bars(writer, pipeline, name, 1_000)
    assert len(stored) < 70
    last_second = trades[-1].trade_time_ms // 1_000 * 1_000
    expected = plain_bars(trades, 1_000, last_second + 1_000)
    assert stored[: len(expected)] == expected
    assert stored[-1].open_time_ms == START + 20 * 3_600_000 - 1_000


def test_a_trade_later_than_the_grace_rewrites_its_bars(
    writer: Writer, pipeline: Pipeline, reader: Reader
) -> None:
    name = SYMBOLS[0]
    trades = make_trades(name, 11, 130)
    held_back = [t for t in trades if START + 58_000 <= t.trade_time_ms < START + 62_000]
    pipeline.ingest([t for t in trades if t.trade_time_ms < START + 58_000])
    close_known(pipeline, START + 62_000)
    pipeline.ingest([t for t in trades if t.trade_time_ms >= START + 58_000])
    assert held_back
    close_known(pipeline, START + 125_000)
    for length in (1_000, MINUTE):
        expected = plain_bars(trades, length, START + 125_000)
        assert stored_bars(writer, pipeline, name, length) == expected
    stored = reader.symbol(name)
    assert stored is not None
    assert stored.revision > 0


def test_cancelled_aggregates_keep_the_chain_and_make_no_bar(
    writer: Writer, pipeline: Pipeline, reader: Reader
) -> None:
    name = SYMBOLS[0]
    trades = make_trades(name, 12, 70)
    at = len(trades) // 2
    trades[at] = trades[at]._replace(price=0.0, quantity=0.0, first_id=-1, last_id=-1)
    pipeline.ingest(trades)
    close_known(pipeline, START + 65_000)
    assert reader.gaps(None, ("open",)) == []
    stored = stored_bars(writer, pipeline, name, 1_000)
    assert stored == plain_bars(trades, 1_000, START + 65_000)
    assert min(bar.low for bar in stored) > 0


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
        assert verdict is Verdict.UNSURE
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


def test_while_no_symbol_trades_bars_wait_for_the_exchanges_own(
    writer: Writer, pipeline: Pipeline
) -> None:
    """Live as in imported history: a bar that the exchange has none of is missing."""
    names = SYMBOLS[:2]
    ledger = {name: make_trades(name, 5 + i, 260) for i, name in enumerate(names)}
    stop = START + 70_000, START + 190_000
    for name, trades in ledger.items():
        running = [t for t in trades if not stop[0] <= t.trade_time_ms < stop[1]]
        first_id, raw_id = running[0].trade_id, running[0].first_id
        ledger[name] = [
            t._replace(trade_id=first_id + i, first_id=raw_id + i, last_id=raw_id + i)
            for i, t in enumerate(running)
        ]
    feed = sorted((t for own in ledger.values() for t in own), key=lambda t: t.trade_time_ms)
    pipeline = start(writer, lambda: START + 260_000)
    pipeline.ingest([t for t in feed if t.trade_time_ms < stop[0]])
    market_ms = pipeline.stops.market_ms
    for chain in (pipeline.chains[name] for name in names):
        chain.tell_until(stop[1] - 5_000)  # REST: nothing is missing
    pipeline.close_bars(stop[1])
    for name in names:
        last = stored_bars(writer, pipeline, name, 1_000)[-1]
        assert last.open_time_ms + 1_000 <= market_ms
    pipeline.ingest([t for t in feed if t.trade_time_ms >= stop[1]])
    ((first_ms, last_ms),) = pipeline.stops.spans
    assert (first_ms, last_ms) == (
        market_ms,
        min(t.trade_time_ms for t in feed if t.trade_time_ms >= stop[1]),
    )
    pipeline.close_bars(START + 250_000)
    kline = Bar(START + 120_000, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0, 0.0, True)
    pipeline.store_klines(names[0], "1m", [kline])
    for name in names:
        for bar in stored_bars(writer, pipeline, name, 1_000):
            is_inside = first_ms <= bar.open_time_ms and bar.open_time_ms + 1_000 <= last_ms
            assert bar.complete is not is_inside or bar.open_time_ms < START + 1_000
        minutes = {bar.open_time_ms: bar for bar in stored_bars(writer, pipeline, name, MINUTE)}
        assert minutes[START + 120_000].complete is (name == names[0])


@pytest.mark.parametrize("outcome", ["stood still", "was away", "lost"])
def test_whether_the_exchange_stood_still_or_we_were_away_is_told_by_what_was_missing(
    writer: Writer, outcome: str
) -> None:
    """A connection that breaks in a standstill comes back with the first trades after it missed."""
    names = SYMBOLS[:2]
    stop = START + 70_000, START + 120_000
    ledger = {name: make_trades(name, 5 + i, 260) for i, name in enumerate(names)}
    inside = ledger[names[0]][0]
    for name, trades in ledger.items():
        running = [t for t in trades if not stop[0] <= t.trade_time_ms < stop[1]]
        if outcome == "was away" and name == names[0]:
            running.append(inside._replace(trade_time_ms=START + 95_000))
            running.sort(key=lambda t: t.trade_time_ms)
        first_id, raw_id = trades[0].trade_id, trades[0].first_id
        ledger[name] = [
            t._replace(trade_id=first_id + i, first_id=raw_id + i, last_id=raw_id + i)
            for i, t in enumerate(running)
        ]
    pipeline = start(writer, lambda: START + 260_000)
    feed = sorted((t for own in ledger.values() for t in own), key=lambda t: t.trade_time_ms)
    before = [t for t in feed if t.trade_time_ms < stop[0]]
    after = [t for t in feed if t.trade_time_ms >= stop[1] + 5_000 or t.symbol != names[0]]
    pipeline.ingest(before)
    pipeline.ingest([t for t in after if t.trade_time_ms >= stop[1]])
    pipeline.close_bars(START + 250_000)
    assert pipeline.stops.spans == []
    chain = pipeline.chains[names[0]]
    (gap,) = chain.gaps
    known = [t for t in ledger[names[0]] if t.trade_id >= gap.from_id]
    if outcome == "lost":
        known = [t for t in known if t.trade_id > gap.to_id]
    assert pipeline.missing.fill(names[0], gap.gap_id, gap.from_id, known)
    assert chain.gaps == []
    counted = {"stood still": (0, 0), "was away": (49, 49), "lost": (0, 49)}
    for name, count in zip(names, counted[outcome], strict=True):
        bars = stored_bars(writer, pipeline, name, 1_000)
        still = [b.complete for b in bars if stop[0] <= b.open_time_ms < stop[1] - 1_000]
        assert (len(still), sum(still)) == (49, count)


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


def test_ids_that_begin_again_are_counted_as_absurd_and_not_as_repeated(
    pipeline: Pipeline,
) -> None:
    name = SYMBOLS[0]
    trades = make_trades(name, 3, 60)
    pipeline.ingest(trades)
    again = [t._replace(trade_time_ms=t.trade_time_ms + 3_600_000) for t in trades[:50]]
    pipeline.ingest(again)
    assert pipeline.absurd == 50
    assert pipeline.chains[name].last_id == trades[-1].trade_id
    pipeline.ingest(trades[:50])
    assert pipeline.absurd == 50


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


def test_bars_of_a_long_silence_of_many_symbols_close_in_short_transactions(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"S{number:02d}USDT" for number in range(40)]
    rows: list[int] = []
    pipeline = Pipeline(writer, lambda: START, lambda: rows.append(0))
    pipeline.start([ImportedSymbol(name, name[:3], "USDT", "TRADING") for name in names])
    for name in names:
        pipeline.ingest([t._replace(symbol=name) for t in make_trades("X", 1, 2)])
    inner = market.upsert_bars

    def counting(tx: Transaction, *args: Any, **options: Any) -> Any:
        rows[-1] += len(args[2])
        return inner(tx, *args, **options)

    monkeypatch.setattr(market, "upsert_bars", counting)
    rows[:] = [0]
    close_known(pipeline, START + 600_000)
    assert sum(rows) >= 40 * 599
    assert max(rows) <= 2 * BARS_PER_TRANSACTION
