"""The ledger: what a client is judged by must itself be without a gap or a contradiction."""

from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest

from core.types import Trade
from ingest.simulator.ledger import DAY_MS, TRADE_DAYS, Ledger
from ingest.simulator.listing import LISTINGS
from ingest.simulator.market import BLOCK_MS
from tests.support.simulator import Clock

NOW_MS = 1_788_000_123_456


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_MS)


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(7, 1.0, clock)


def slow_bar(trades: list[Trade]) -> dict[str, Decimal]:
    prices = [Decimal(str(trade.price)) for trade in trades]
    sizes = [Decimal(str(trade.quantity)) for trade in trades]
    taken = [q for t, q in zip(trades, sizes, strict=True) if not t.buyer_is_maker]
    return {
        "open": prices[0],
        "high": max(prices),
        "low": min(prices),
        "close": prices[-1],
        "volume": sum(sizes, Decimal()),
        "quote_volume": sum((p * q for p, q in zip(prices, sizes, strict=True)), Decimal()),
        "trade_count": Decimal(sum(trade.raw_count for trade in trades)),
        "taker_buy_volume": sum(taken, Decimal()),
    }


def test_a_restart_continues_the_same_market(ledger: Ledger, clock: Clock) -> None:
    span = (NOW_MS - 2 * BLOCK_MS, NOW_MS)
    before = ledger.trades_between("ETHUSDT", *span)
    again = Ledger(7, 1.0, clock)
    again.bars("ETHUSDT", 3_600_000, NOW_MS - 10 * DAY_MS, NOW_MS)
    assert again.trades_between("ETHUSDT", *span) == before
    assert Ledger(8, 1.0, clock).trades_between("ETHUSDT", *span) != before


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ATOMUSDT"])
def test_ids_leave_no_hole_and_time_never_falls(ledger: Ledger, symbol: str) -> None:
    trades = ledger.trades_between(symbol, NOW_MS - 3 * BLOCK_MS, NOW_MS)
    first = trades[0].trade_id
    assert [trade.trade_id for trade in trades] == list(range(first, first + len(trades)))
    for one, following in pairwise(trades):
        assert following.first_id == one.last_id + 1
        assert following.trade_time_ms >= one.trade_time_ms
        assert following.event_time_ms >= one.event_time_ms
    assert all(0 <= trade.event_time_ms - trade.trade_time_ms <= 3 for trade in trades)
    assert all(trade.raw_count >= 1 and trade.quantity > 0 for trade in trades)
    assert max(trade.last_id for trade in trades) < 2**53


def test_the_tape_has_bursts_silences_and_wide_aggregates(ledger: Ledger) -> None:
    trades = ledger.trades_between("DOTUSDT", NOW_MS - 4 * BLOCK_MS, NOW_MS)
    gaps = np.diff([trade.trade_time_ms for trade in trades])
    assert np.mean(gaps == 0) > 0.2
    assert gaps.max() > 5_000
    assert max(trade.raw_count for trade in trades) >= 10
    sellers = np.mean([trade.buyer_is_maker for trade in trades])
    assert 0.3 < sellers < 0.7


def test_trades_by_id_are_the_trades_by_time(ledger: Ledger) -> None:
    trades = ledger.trades_between("SOLUSDT", NOW_MS - 2 * BLOCK_MS, NOW_MS)
    assert ledger.trades("SOLUSDT", trades[100].trade_id, 3_000) == trades[100:3_100]
    assert ledger.newest_trades("SOLUSDT", 700, NOW_MS) == trades[-700:]
    assert ledger.trades_from_raw("SOLUSDT", trades[50].last_id, 2) == trades[50:52]


def test_nothing_is_told_before_its_time(ledger: Ledger, clock: Clock) -> None:
    assert all(t.trade_time_ms <= NOW_MS for t in ledger.newest_trades("BTCUSDT", 5))
    newest = ledger.newest_trades("BTCUSDT", 1)[0]
    assert ledger.trades("BTCUSDT", newest.trade_id + 1, 10) == []
    assert ledger.trades("BTCUSDT", 2**62, 10) == []
    assert ledger.trades_between("BTCUSDT", NOW_MS + 1, NOW_MS + 60_000) == []
    forming = ledger.bars("BTCUSDT", 3_600_000, NOW_MS - 3_600_000, NOW_MS + 3_600_000)[-1]
    assert not forming.complete
    clock.now_ms += 60_000
    following = ledger.trades("BTCUSDT", newest.trade_id, 2)
    assert following[0] == newest
    assert following[1].trade_time_ms > NOW_MS
    assert ledger.bars("BTCUSDT", 3_600_000, NOW_MS - 3_600_000, NOW_MS + 1)[-1] != forming


@pytest.mark.parametrize(
    ("symbol", "timeframe_ms", "count"),
    [("BTCUSDT", 1_000, 40), ("ARBUSDT", 60_000, 30), ("XRPUSDT", 900_000, 40)],
)
def test_bars_are_folds_of_the_very_same_trades(
    ledger: Ledger, symbol: str, timeframe_ms: int, count: int
) -> None:
    # The stretch lies over edges of blocks and, in the long one, of the chunks bars are made in.
    end = (NOW_MS // BLOCK_MS * BLOCK_MS + 20_000) // timeframe_ms * timeframe_ms
    bars = ledger.bars(symbol, timeframe_ms, end - count * timeframe_ms, end)
    assert len(bars) == count
    close = None
    for i, bar in enumerate(bars):
        open_ms = end - (count - i) * timeframe_ms
        trades = ledger.trades_between(symbol, open_ms, open_ms + timeframe_ms)
        assert bar.open_time_ms == open_ms
        if trades:
            expected = {name: float(value) for name, value in slow_bar(trades).items()}
            assert {name: getattr(bar, name) for name in expected} == expected
        else:
            assert bar.volume == bar.trade_count == 0
            assert close is None or bar.open == bar.high == bar.low == bar.close == close
        close = bar.close


def test_a_second_cut_by_the_edge_of_a_block_is_one_bar(clock: Clock) -> None:
    busy = Ledger(7, 50.0, clock)
    edge = NOW_MS // BLOCK_MS * BLOCK_MS
    for open_ms in (edge // 1_000 * 1_000, (edge - BLOCK_MS) // 1_000 * 1_000):
        trades = busy.trades_between("BTCUSDT", open_ms, open_ms + 1_000)
        bars = busy.bars("BTCUSDT", 1_000, open_ms, open_ms + 1)
        assert [bar.trade_count for bar in bars] == [sum(t.raw_count for t in trades)]
        assert bars[0].volume == float(slow_bar(trades)["volume"])


def test_raw_ids_of_a_bar_cover_its_trades(ledger: Ledger) -> None:
    end = NOW_MS // 60_000 * 60_000
    rows = ledger.rows("LTCUSDT", 60_000, end - 3_600_000, end)
    trades = ledger.trades_between("LTCUSDT", end - 3_600_000, end)
    assert int(rows.first_raw_id[0]) == trades[0].first_id
    traded = rows.trade_count > 0
    assert int(rows.first_raw_id[traded][-1] + rows.trade_count[traded][-1]) - 1 == (
        trades[-1].last_id
    )
    assert np.array_equal(
        rows.first_raw_id[traded][1:],
        (rows.first_raw_id + rows.trade_count)[traded][:-1],
    )


def test_a_bar_is_the_same_as_long_as_its_trades_are_served(ledger: Ledger, clock: Clock) -> None:
    start = NOW_MS // 3_600_000 * 3_600_000 - 7_200_000
    early = ledger.bars("UNIUSDT", 3_600_000, start, start + 7_200_000)
    clock.now_ms += TRADE_DAYS * DAY_MS
    late = Ledger(7, 1.0, clock).bars("UNIUSDT", 3_600_000, start, start + 7_200_000)
    assert late == early
    assert len(late) == 2


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ADAUSDT", "UNIUSDT"])
def test_old_bars_are_of_the_very_market_that_traded(
    ledger: Ledger, clock: Clock, symbol: str
) -> None:
    start = NOW_MS // DAY_MS * DAY_MS - 2 * DAY_MS
    traded = ledger.rows(symbol, 60_000, start, start + DAY_MS)
    clock.now_ms += 60 * DAY_MS
    old = Ledger(7, 1.0, clock).rows(symbol, 60_000, start, start + DAY_MS)
    assert np.array_equal(old.open_time_ms, traded.open_time_ms)
    assert (old.low <= np.minimum(old.open, old.close)).all()
    assert (old.high >= np.maximum(old.open, old.close)).all()
    assert (old.taker_buy_volume <= old.volume).all()
    for name in ("open", "close", "high", "low"):
        off = np.abs(getattr(old, name) / getattr(traded, name) - 1.0)
        assert np.median(off) < 5e-4
        assert off.max() < 5e-3
    ranges = (old.high - old.low).mean() / (traded.high - traded.low).mean()
    assert 0.8 < ranges < 1.25
    assert old.trade_count.sum() == pytest.approx(traded.trade_count.sum(), rel=0.01)
    for name in ("volume", "quote_volume", "taker_buy_volume"):
        assert getattr(old, name).sum() == pytest.approx(getattr(traded, name).sum(), rel=0.1)


def test_old_bars_of_every_length_are_of_the_same_minutes_whoever_asks(clock: Clock) -> None:
    start = NOW_MS // DAY_MS * DAY_MS - 300 * DAY_MS
    ledger, other = Ledger(7, 1.0, clock), Ledger(7, 1.0, clock)
    other.bars("ETHUSDT", 60_000, start + DAY_MS // 2, start + DAY_MS // 2 + 60_000)
    minutes = ledger.bars("ETHUSDT", 60_000, start, start + DAY_MS)
    for length in (300_000, 900_000, 3_600_000):
        bars = other.bars("ETHUSDT", length, start, start + DAY_MS)
        assert len(bars) == DAY_MS // length
        for bar in bars:
            inside = [m for m in minutes if 0 <= m.open_time_ms - bar.open_time_ms < length]
            assert len(inside) == length // 60_000
            assert bar.open == inside[0].open
            assert bar.close == inside[-1].close
            assert bar.high == max(minute.high for minute in inside)
            assert bar.low == min(minute.low for minute in inside)
            assert bar.trade_count == sum(minute.trade_count for minute in inside)


def test_the_archive_and_the_trades_meet_without_a_hole(ledger: Ledger) -> None:
    edge = ledger.archived_until_ms()
    rows = ledger.rows("LTCUSDT", 60_000, edge - 7_200_000, edge + 7_200_000)
    assert np.diff(rows.open_time_ms).tolist() == [60_000] * 239
    jumps = np.abs(rows.open[1:] / rows.close[:-1] - 1.0)
    assert jumps[119] < 1e-3
    oldest = ledger.trades("LTCUSDT", 1, 1)[0]
    assert oldest.trade_time_ms >= edge  # no bar is drawn whose trades can be had


def test_old_trades_are_pruned_and_asking_for_them_answers_later_ones(ledger: Ledger) -> None:
    oldest = ledger.trades("BTCUSDT", 1, 1)[0]
    age_ms = NOW_MS - oldest.trade_time_ms
    assert TRADE_DAYS * DAY_MS - BLOCK_MS <= age_ms <= TRADE_DAYS * DAY_MS + BLOCK_MS
    assert oldest.trade_id == ledger.oldest_id("BTCUSDT") > 1
    assert ledger.trades_between("BTCUSDT", 0, NOW_MS, 1) == [oldest]


def test_rate_multiplies_the_trades(clock: Clock) -> None:
    one, ten = (
        len(Ledger(7, rate, clock).trades_between("ETHUSDT", NOW_MS - 600_000, NOW_MS))
        for rate in (1.0, 10.0)
    )
    assert ten / one == pytest.approx(10, rel=0.15)
    assert one / 600 == pytest.approx(LISTINGS["ETHUSDT"].aggregates_per_s, rel=0.2)


def test_a_burst_shifts_later_ids_and_nothing_told_before(ledger: Ledger, clock: Clock) -> None:
    before = ledger.trades_between("BTCUSDT", NOW_MS - 60_000, NOW_MS + 1)
    plain = Ledger(7, 1.0, clock)
    total, start_ms = ledger.burst(5_000, 4, ["BTCUSDT", "ETHUSDT"])
    assert total == 20_000
    assert start_ms > NOW_MS
    assert ledger.trades_between("BTCUSDT", NOW_MS - 60_000, NOW_MS + 1) == before
    ledger.burst(500, 1, ["BTCUSDT"])  # a second one over the first

    clock.now_ms += 2 * BLOCK_MS
    extra = 0
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
        own = plain.trades_between(symbol, NOW_MS - 60_000, NOW_MS + 3 * BLOCK_MS)
        burst = ledger.trades_between(symbol, NOW_MS - 60_000, NOW_MS + 3 * BLOCK_MS)
        extra += len(burst) - len(own)
        assert [t.trade_id for t in burst] == list(
            range(own[0].trade_id, own[0].trade_id + len(burst))
        )
        assert all(
            b.first_id == a.last_id + 1 and b.trade_time_ms >= a.trade_time_ms
            for a, b in pairwise(burst)
        )
        assert [t.price for t in burst[-500:]] == [t.price for t in own[-500:]]
        assert ledger.trades(symbol, burst[-5].trade_id, 5) == burst[-5:]
        assert ledger.trades_from_raw(symbol, burst[-5].first_id, 1) == [burst[-5]]
        minute = start_ms // 60_000 * 60_000
        bar = ledger.bars(symbol, 60_000, minute, minute + 1)[0]
        expected = slow_bar(ledger.trades_between(symbol, minute, minute + 60_000))
        assert bar.trade_count == expected["trade_count"]
        assert bar.volume == float(expected["volume"])
    assert extra == 20_500


def test_a_standstill_has_no_trade_and_no_bar_and_costs_no_id(ledger: Ledger, clock: Clock) -> None:
    plain = Ledger(7, 1.0, clock)
    ledger.burst(50, 30, ["BTCUSDT"])
    # Longer than a block, so that one of them is empty.
    start_ms, end_ms = ledger.stand_still(2 * BLOCK_MS / 1_000, ["BTCUSDT", "ETHUSDT"])
    assert (start_ms > NOW_MS, end_ms - start_ms) == (True, 2 * BLOCK_MS)
    clock.now_ms = end_ms - 1
    last = ledger.newest_trades("BTCUSDT", 1)[0]
    assert last.trade_time_ms < start_ms
    assert ledger.price_before("BTCUSDT", end_ms) == round(last.price * 100)
    ledger.burst(20, 60, ["BTCUSDT"])
    clock.now_ms = end_ms + 2 * BLOCK_MS
    for symbol, stopped in (("BTCUSDT", True), ("ETHUSDT", True), ("SOLUSDT", False)):
        trades = ledger.trades_between(symbol, NOW_MS - 60_000, clock.now_ms)
        first = trades[0].trade_id
        assert [t.trade_id for t in trades] == list(range(first, first + len(trades)))
        assert all(b.first_id == a.last_id + 1 for a, b in pairwise(trades))
        assert any(start_ms <= t.trade_time_ms < end_ms for t in trades) is not stopped
        for trade in (trades[0], trades[len(trades) // 2], trades[-1]):
            assert ledger.trades(symbol, trade.trade_id, 1) == [trade]
            assert ledger.trades_from_raw(symbol, trade.last_id, 1) == [trade]
        before = [t for t in trades if t.trade_time_ms < NOW_MS]
        assert before == plain.trades_between(symbol, NOW_MS - 60_000, NOW_MS)
        opens = [bar.open_time_ms for bar in ledger.bars(symbol, 60_000, NOW_MS, clock.now_ms)]
        minutes = range(-(-NOW_MS // 60_000) * 60_000, clock.now_ms, 60_000)
        assert opens == [
            open_ms
            for open_ms in minutes
            if not stopped or open_ms < start_ms or open_ms + 60_000 > end_ms
        ]
