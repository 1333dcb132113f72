"""What the pipeline stores equals the plain ledger, whatever the feed did to the trades."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from core.types import Bar, Origin, Trade
from ingest.files.importer import ImportedSymbol
from ingest.live.chain import TradePage
from ingest.live.pipeline import BARS_PER_TRANSACTION, GRACE_MS, Pipeline
from ingest.store import market
from ingest.store.reader import Reader
from ingest.store.transaction import Transaction, Writer
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
    stored_trades,
)


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


@pytest.mark.parametrize("behind_ms", [0, 400])
def test_while_no_symbol_trades_bars_wait_for_the_exchanges_own(
    writer: Writer, behind_ms: int
) -> None:
    """Live as in imported history, also by a clock that is behind: a bar that the exchange has
    none of is missing."""
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
    now_ms = START + 260_000
    pipeline = start(writer, lambda: now_ms)
    pipeline.ingest([t for t in feed if t.trade_time_ms < stop[0]])
    market_ms = pipeline.stops.market_ms
    for chain in (pipeline.chains[name] for name in names):
        chain.tell_until(stop[1] - 5_000)  # REST: nothing is missing
    pipeline.close_bars(stop[1])
    for name in names:
        last = stored_bars(writer, pipeline, name, 1_000)[-1]
        assert last.open_time_ms + 1_000 <= market_ms
    after = [t for t in feed if t.trade_time_ms >= stop[1]]
    if behind_ms:
        now_ms = after[0].trade_time_ms - behind_ms
        pipeline.ingest(after[:1])
        now_ms = START + 260_000
    pipeline.ingest(after[1 if behind_ms else 0 :])
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
