import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bars import BarBuilder, align, break_rows, flat_bar, fold_trades, roll_up
from core.types import Bar, Bars, Trade


def trade(trade_id, time_ms, price=100.0, quantity=1.0, maker=False, raw=1):
    last = trade_id * 10 + raw - 1
    return Trade("AAAUSDT", trade_id, price, quantity, time_ms, time_ms, trade_id * 10, last, maker)


def bars_of(times, close, complete=None):
    n = len(times)
    close = np.asarray(close, dtype=float)
    zero = np.zeros(n)
    return Bars(
        np.asarray(times, dtype=np.int64), close, close, close, close, zero, zero,
        np.ones(n, dtype=np.int64), zero,
        np.ones(n, dtype=bool) if complete is None else np.asarray(complete), np.zeros(n, bool),
    )  # fmt: skip


def test_bar_equals_a_plain_pandas_resample_of_its_trades():
    rng = np.random.default_rng(3)
    times = np.sort(rng.integers(0, 60_000, 500))
    trades = [
        trade(i, int(t), round(100 + rng.normal(), 2), round(rng.exponential(), 5),
              bool(rng.random() < 0.5), int(rng.integers(1, 5)))
        for i, t in enumerate(times)
    ]  # fmt: skip
    builder = BarBuilder(0, None)
    assert all(builder.add(t) for t in trades)
    bars = builder.close_until(60_000, 0)

    frame = pd.DataFrame(trades)
    frame["raw"] = frame["last_id"] - frame["first_id"] + 1
    grouped = frame.groupby(frame["trade_time_ms"] // 1000)
    for second, rows in grouped:
        bar = next(b for b in bars if b.open_time_ms == second * 1000)
        assert (bar.open, bar.close) == (rows["price"].iloc[0], rows["price"].iloc[-1])
        assert (bar.high, bar.low) == (rows["price"].max(), rows["price"].min())
        assert bar.volume == pytest.approx(rows["quantity"].sum(), abs=1e-8)
        assert bar.quote_volume == pytest.approx((rows["price"] * rows["quantity"]).sum(), abs=1e-7)
        taker = rows.loc[~rows["buyer_is_maker"], "quantity"].sum()
        assert bar.taker_buy_volume == pytest.approx(taker, abs=1e-8)
        assert bar.trade_count == rows["raw"].sum()


def test_seconds_without_trades_are_flat_bars_of_the_last_close():
    builder = BarBuilder(0, None)
    builder.add(trade(1, 1_500, 10.0))
    builder.add(trade(2, 4_200, 12.0))
    bars = builder.close_until(6_000, 0)
    assert [bar.open_time_ms for bar in bars] == [1000, 2000, 3000, 4000, 5000]
    assert [bar.close for bar in bars] == [10.0, 10.0, 10.0, 12.0, 12.0]
    assert [bar.trade_count for bar in bars] == [1, 0, 0, 1, 0]
    assert bars[1] == flat_bar(2000, 10.0, True)


def test_forming_second_is_never_closed():
    builder = BarBuilder(0, None)
    builder.add(trade(1, 1_999))
    assert builder.close_until(1_999, 0) == []
    assert len(builder.close_until(2_000, 0)) == 1


def test_late_trade_is_refused_so_that_its_bar_gets_rebuilt():
    builder = BarBuilder(0, None)
    builder.add(trade(1, 1_000))
    builder.close_until(3_000, 0)
    assert not builder.add(trade(2, 2_999))
    assert builder.add(trade(3, 3_000))


def test_seconds_before_the_feed_was_whole_are_incomplete():
    builder = BarBuilder(0, None)
    for i in range(3):
        builder.add(trade(i, i * 1000))
    assert [bar.complete for bar in builder.close_until(3_000, 1_000)] == [False, True, True]


def test_tombstone_makes_no_bar():
    builder = BarBuilder(0, 5.0)
    assert builder.add(trade(1, 500, 0.0, 0.0))
    assert builder.close_until(1_000, 0) == [flat_bar(0, 5.0, True)]


@given(st.permutations(range(8)))
def test_order_of_arrival_does_not_change_a_bar(order):
    rng = random.Random(5)
    trades = [trade(i, 100 + i, rng.uniform(1, 9), rng.uniform(0, 1e3)) for i in range(8)]
    straight, shuffled = BarBuilder(0, None), BarBuilder(0, None)
    for i in range(8):
        straight.add(trades[i])
        shuffled.add(trades[order[i]])
    assert straight.close_until(1000, 0) == shuffled.close_until(1000, 0)


def test_roll_up_takes_no_high_or_low_from_bars_without_trades():
    bars = [
        flat_bar(0, 50.0, True),
        Bar(1000, 10.0, 12.0, 9.0, 11.0, 2.0, 21.0, 3, 1.0, True),
        flat_bar(2000, 11.0, True),
    ]
    rolled = roll_up(bars, 0, 3)
    assert rolled == Bar(0, 10.0, 12.0, 9.0, 11.0, 2.0, 21.0, 3, 1.0, True)


def test_roll_up_is_incomplete_when_a_bar_is_missing_or_incomplete():
    whole = [flat_bar(i * 1000, 1.0, True) for i in range(3)]
    assert roll_up(whole, 0, 3).complete
    assert not roll_up(whole[:2], 0, 3).complete
    assert not roll_up([*whole[:2], flat_bar(2000, 1.0, False)], 0, 3).complete
    assert roll_up([], 0, 3) is None


def test_rolling_up_twice_equals_folding_all_trades():
    rng = np.random.default_rng(8)
    trades = [
        trade(i, i * 40, round(rng.uniform(90, 110), 2), round(rng.exponential(), 5))
        for i in range(1500)
    ]
    builder = BarBuilder(0, None)
    for t in trades:
        builder.add(t)
    assert roll_up(builder.close_until(60_000, 0), 0, 60) == fold_trades(trades, 0, True)


def test_legs_are_aligned_by_time_and_never_by_position():
    a = bars_of([0, 1000, 3000], [1, 2, 4])
    b = bars_of([1000, 2000, 3000], [20, 30, 40], [True, True, True])
    rows = align(a, b, 1000, 0, 4000)
    assert rows.open_time_ms.tolist() == [0, 1000, 2000, 3000]
    np.testing.assert_array_equal(rows.close_a, [np.nan, 2, np.nan, 4])
    np.testing.assert_array_equal(rows.close_b, [np.nan, 20, np.nan, 40])


def test_incomplete_bar_of_one_leg_blanks_the_whole_row():
    a = bars_of([0, 1000], [1, 2])
    b = bars_of([0, 1000], [10, 20], [True, False])
    rows = align(a, b, 1000, 0, 2000)
    for column in (rows.open_a, rows.close_a, rows.open_b, rows.close_b):
        assert np.isnan(column).tolist() == [False, True]


@pytest.mark.parametrize(
    ("price", "is_break"), [(50.0, True), (49.9, False), (2.0, True), (2.01, False)]
)
def test_prices_begin_anew_from_a_factor_of_five_on_in_either_leg_and_over_a_hole(price, is_break):
    moved = bars_of([0, 1000, 3000], [10.0, 10.0, price], [True] * 3)
    calm = bars_of([0, 1000, 2000, 3000], [7.0] * 4, [True] * 4)
    for legs in ((moved, calm), (calm, moved)):
        found = break_rows(align(*legs, 1000, 0, 4000))
        assert found.tolist() == [False, False, False, is_break]
