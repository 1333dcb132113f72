import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.backtest import COLUMNS, FLAT, Book, fill_rows, run_backtest
from core.regression import rolling_hedge
from core.signals import BREAK, EXIT_REASONS, conditions, decide_positions
from core.types import HedgeSeries, Inherited, PairRows


def backtest_of(spec, rows, hedge, breaks=(), first=0):
    """Decide and trade: the backtest, its reasons, the conditions, positions and exit codes."""
    n = len(rows)
    broken = np.zeros(n, bool)
    broken[list(breaks)] = True
    y, x = np.log(rows.close_a), np.log(rows.close_b)
    given = conditions(spec, rows, np.ones(n), broken)
    position, code = decide_positions(spec, y, x, hedge, given)
    told = run_backtest(spec, rows, y, x, hedge, given, position, code, first)
    return *told, given, position, code


def make_rows(n, seed, missing=0.0, timeframe_ms=60_000, idle=0.0):
    rng = np.random.default_rng(seed)
    close_a = 100 * np.exp(np.cumsum(rng.normal(0, 2e-3, n)))
    close_b = 50 * np.exp(np.cumsum(rng.normal(0, 2e-3, n)))
    open_a, open_b = close_a * np.exp(rng.normal(0, 1e-3, n)), close_b * 1.0
    gone = rng.random(n) < missing
    for column in (open_a, close_a, open_b, close_b):
        column[gone] = np.nan
    traded = rng.random((2, n)) >= idle
    rows = PairRows(
        np.arange(n, dtype=np.int64) * timeframe_ms, open_a, close_a, open_b, close_b, *traded
    )
    z = np.clip(rng.normal(0, 2, n).cumsum() * 0.3, -5, 5)
    z[gone] = np.nan
    fill = rng.uniform(-0.5, 2, n)
    std = rng.uniform(1e-3, 5e-3, n)
    return rows, HedgeSeries(fill, fill, fill, fill, std, z)


def twin(spec, rows, hedge, given, position, code, first=0):
    """One order at a time in plain Python, with a list of fills instead of running sums."""
    rate, n = (spec.fee_bps + spec.slippage_bps) / 1e4, len(rows)
    trips, equity, open_trip, cash = [], [], None, spec.notional
    mark = last = (0.0, 0.0)
    last_row, decided_at, left_at = 0, None, None

    def leave(row, price, left, reason):
        nonlocal cash, open_trip
        q = open_trip["q"]
        cost = rate * (abs(q[0]) * price[0] + abs(q[1]) * price[1])
        cash += q[0] * price[0] + q[1] * price[1] - cost
        gross = sum(q[i] * (price[i] - open_trip["price"][i]) for i in (0, 1))
        open_trip |= {"exit": row, "left": left, "gross": gross, "reason": reason}
        open_trip["costs"] += cost
        trips.append(open_trip)
        open_trip = None

    for row in range(first, n):
        target = position[row - 1] if row and decided_at is not None else 0
        price = rows.open_a[row], rows.open_b[row]
        if given.breaks[row]:
            if open_trip:
                leave(last_row, last, row, "break")
        elif given.tradable[row]:
            if open_trip and target != open_trip["side"]:
                leave(row, price, left_at, EXIT_REASONS[code[left_at]])
            if open_trip is None and target:
                b = hedge.hedge_ratio[decided_at]
                q = (target * spec.notional / ((1 + abs(b)) * price[0]),
                     -target * b * spec.notional / ((1 + abs(b)) * price[1]))  # fmt: skip
                cost = rate * (abs(q[0]) * price[0] + abs(q[1]) * price[1])
                cash -= q[0] * price[0] + q[1] * price[1] + cost
                open_trip = {"side": target, "q": q, "price": price, "entry": row,
                             "decided": decided_at, "costs": cost}  # fmt: skip
        if given.tradable[row]:
            last_row, last = row, (rows.close_a[row], rows.close_b[row])
        if not math.isnan(rows.close_a[row]):
            mark = rows.close_a[row], rows.close_b[row]
        held = open_trip["q"][0] * mark[0] + open_trip["q"][1] * mark[1] if open_trip else 0.0
        equity.append(cash + held)
        if position[row] != (position[row - 1] if row else 0):
            if open_trip and target == open_trip["side"]:
                left_at = row
            decided_at = row
    return np.array(equity), trips, open_trip


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    missing=st.sampled_from([0.0, 0.05, 0.4]),
    idle=st.sampled_from([0.0, 0.3]),
    breaks=st.sampled_from([0.0, 0.05]),
    stop_z=st.sampled_from([None, 3.5]),
    max_hold=st.sampled_from([None, 5]),
    n=st.integers(1, 400),
    share=st.sampled_from([0.0, 0.3]),
)
def test_equity_and_trades_equal_a_plain_ledger(
    spec_fixture, seed, missing, idle, breaks, stop_z, max_hold, n, share
):
    spec, first = spec_fixture(stop_z=stop_z, max_hold_bars=max_hold), int(n * share)
    rows, hedge = make_rows(n, seed, missing, idle=idle)
    broken = np.flatnonzero(np.random.default_rng(seed + 1).random(n) < breaks)
    backtest, _, given, position, code = backtest_of(spec, rows, hedge, broken, first)
    equity, trips, open_trip = twin(spec, rows, hedge, given, position, code, first)
    np.testing.assert_allclose(backtest.equity, equity, rtol=0, atol=1e-7)
    assert len(backtest.round_trips) == len(trips) + (open_trip is not None)
    for got, expected in zip(backtest.round_trips, trips, strict=False):
        assert got.pnl == pytest.approx(expected["gross"] - expected["costs"], abs=1e-8)
        assert got.costs == pytest.approx(expected["costs"])
        assert (got.quantity_a, got.quantity_b) == pytest.approx(expected["q"])
        assert got.entry_time_ms == rows.open_time_ms[expected["entry"]]
        assert got.exit_time_ms == rows.open_time_ms[expected["exit"]]
        assert got.bars == expected["exit"] - expected["entry"]
        assert got.exit_reason == expected["reason"]
        assert got.entry_z == hedge.zscore[expected["decided"]]
    # What equity moved is what the trades made, the open mark included.
    moved = backtest.equity[-1] - backtest.equity[0]
    assert moved == pytest.approx(sum(t.pnl for t in backtest.round_trips), abs=1e-9)
    assert backtest.metrics.costs == pytest.approx(sum(t.costs for t in backtest.round_trips))


def simple(n=8):
    """Prices that are easy to check by hand: A doubles at row 4's open, B stands still."""
    open_a = np.array([10.0, 10, 10, 10, 20, 20, 20, 20][:n])
    rows = PairRows(np.arange(n, dtype=np.int64) * 60_000, open_a, open_a.copy(),
                    np.full(n, 5.0), np.full(n, 5.0), *np.ones((2, n), bool))  # fmt: skip
    one = np.ones(n)
    z = np.array([0.0, -2.5, -1, -0.4, 0, 0, 0, 0][:n])
    return rows, HedgeSeries(one, one, one, one, one * 0.01, z)


def test_decision_fills_at_the_next_open_and_pays_four_fills(spec):
    parameters = spec(fee_bps=8.0, slippage_bps=2.0)
    rows, hedge = simple()
    backtest = backtest_of(parameters, rows, hedge)[0]
    (trip,) = backtest.round_trips
    assert (trip.entry_time_ms, trip.exit_time_ms) == (2 * 60_000, 4 * 60_000)
    assert (trip.quantity_a, trip.quantity_b) == (500.0, -1000.0)
    assert trip.costs == pytest.approx(1e-3 * (5000 + 5000 + 10_000 + 5000))
    assert trip.pnl == pytest.approx(5000 - trip.costs)
    assert backtest.equity[1] == 10_000.0
    assert backtest.equity[2] == pytest.approx(10_000 - 10)
    assert (trip.entry_z, trip.exit_z, trip.bars) == (-2.5, -0.4, 2)
    assert backtest.metrics.turnover == pytest.approx(2.5)
    assert backtest.metrics.exposure == 2 / 8
    promised = 10_000 * 0.01 * (2.5 - 0.5) / 2
    assert backtest.metrics.reversion_capture == pytest.approx(5000 / promised)


def test_fill_waits_for_a_row_complete_in_both_legs(spec):
    rows, hedge = simple()
    for column in (rows.open_a, rows.close_a, rows.open_b, rows.close_b):
        column[2] = np.nan
    hedge.zscore[2] = np.nan
    backtest = backtest_of(spec(), rows, hedge)[0]
    assert backtest.round_trips[0].entry_time_ms == 3 * 60_000


@pytest.mark.parametrize("leg", ["traded_a", "traded_b"])
def test_an_old_price_of_a_bar_without_trades_is_never_a_fill(spec, leg):
    rows, hedge = simple()
    getattr(rows, leg)[2] = False  # the entry's bar
    getattr(rows, leg)[4] = False  # the exit's
    (trip,) = backtest_of(spec(), rows, hedge)[0].round_trips
    assert (trip.entry_time_ms, trip.exit_time_ms) == (3 * 60_000, 5 * 60_000)


def test_decision_taken_back_before_it_could_fill_costs_nothing(spec):
    n = 12
    rows, hedge = make_rows(n, 1)
    for column in (rows.open_a, rows.close_a, rows.open_b, rows.close_b):
        column[3:10] = np.nan
    z = np.array([0, 0, 2.5, *[np.nan] * 7, 1, 1], dtype=float)
    hedge = HedgeSeries(*(getattr(hedge, name) for name in hedge.__slots__[:-1]), z)
    backtest, _, _, position, _ = backtest_of(spec(), rows, hedge)
    assert position.any()
    assert backtest.round_trips == ()
    assert (backtest.equity == 10_000.0).all()


def test_position_still_open_is_marked_and_listed_last(spec):
    rows, hedge = simple(3)
    backtest, reasons, *_ = backtest_of(spec(), rows, hedge)
    (trip,) = backtest.round_trips
    assert (trip.exit_reason, trip.exit_time_ms, trip.bars) == ("open", None, 1)
    assert math.isnan(trip.exit_z)
    assert backtest.metrics.total_trades == 0
    assert backtest.metrics.total_pnl == pytest.approx(trip.pnl)
    assert trip.pnl == pytest.approx(-12.0)
    assert "win_rate" in reasons


def test_repricing_with_a_new_hedge_ratio_makes_no_profit_while_prices_stand_still(spec):
    """Differencing y − b·x would book −x·Δb; frozen quantities can't."""
    n = 50
    flat = np.full(n, 100.0)
    traded = np.ones((2, n), bool)
    rows = PairRows(np.arange(n), flat, flat.copy(), flat.copy(), flat.copy(), *traded)
    one = np.ones(n)
    z = np.where(np.arange(n) < 40, -3.0, 0.0)
    hedge = HedgeSeries(np.linspace(0.5, 2, n), one, one, one, one * 0.01, z)
    free = spec(fee_bps=0.0, slippage_bps=0.0)
    backtest = backtest_of(free, rows, hedge)[0]
    assert len(backtest.round_trips) == 1
    assert (backtest.equity == 10_000.0).all()


def test_running_it_twice_gives_the_same_bits(spec):
    rows, hedge = make_rows(500, 3, 0.05)
    first, second = (backtest_of(spec(), rows, hedge)[0] for _ in range(2))
    np.testing.assert_array_equal(first.equity, second.equity)
    assert repr(first.round_trips) == repr(second.round_trips)


def test_rows_fed_one_by_one_give_the_bits_of_the_whole_run(spec):
    rows, hedge = make_rows(400, 11, 0.1, idle=0.1)
    _, _, given, position, code = backtest_of(
        spec(stop_z=3.5, max_hold_bars=6), rows, hedge, range(50, 400, 90)
    )

    def run(start, end, book, equity, table):
        prices = (getattr(rows, name) for name in ("open_a", "close_a", "open_b", "close_b"))
        columns = (*prices, given.tradable, given.breaks, position, code, hedge.hedge_ratio)
        return fill_rows(
            *(c[start:end] for c in columns), 1e4, 1.2e-3, book, equity[start:end], table
        )

    whole, stepped = np.empty(400), np.empty(400)
    table, stepped_table = np.zeros((202, COLUMNS)), np.zeros((202, COLUMNS))
    final = run(0, 400, FLAT, whole, table)
    book = FLAT
    for row in range(400):
        # What it closes comes first in the table that it is given.
        book = run(row, row + 1, book, stepped, stepped_table[Book(*book).trips :])
    assert tuple(book) == tuple(final)
    assert BREAK in table[:, 5]
    np.testing.assert_array_equal(stepped, whole)
    np.testing.assert_array_equal(stepped_table, table)


def test_what_is_held_over_a_break_was_left_at_the_last_price_before_it(spec):
    """Leg A is redenominated 1:1000 at row 3: its rise of the others is nobody's profit."""
    rows, hedge = simple()
    hedge.zscore[:] = [0, -2.5, -2.5, np.nan, np.nan, np.nan, np.nan, np.nan]
    rows.close_a[2] = 11.0
    for column in (rows.open_a, rows.close_a):
        column[3:] = 10_000.0
    free = spec(fee_bps=0.0, slippage_bps=0.0)
    backtest = backtest_of(free, rows, hedge, breaks=[3])[0]
    (trip,) = backtest.round_trips
    assert (trip.exit_reason, trip.entry_time_ms, trip.exit_time_ms) == ("break", 120_000, 120_000)
    assert trip.pnl == pytest.approx(500.0)  # 500 A, bought at 10 and worth 11 at the last close
    assert math.isnan(trip.exit_z)
    assert backtest.equity.tolist() == [10_000.0, 10_000.0] + [10_500.0] * 6


def test_an_order_that_a_break_overtakes_is_never_filled(spec):
    rows, hedge = simple()
    hedge.zscore[:] = [0, 0, -2.5, np.nan, np.nan, np.nan, np.nan, np.nan]
    backtest, _, _, position, code = backtest_of(spec(), rows, hedge, breaks=[3])
    assert (position.tolist(), code[3]) == ([0, 0, 1, 0, 0, 0, 0, 0], BREAK)
    assert backtest.round_trips == ()


def test_a_halted_leg_is_left_at_the_first_price_that_it_trades_at_again(spec):
    n = 40
    price = np.full(n, 10.0)
    price[30:] = 5.0
    traded = np.ones(n, bool)
    traded[4:30] = False
    rows = PairRows(np.arange(n) * 60_000, price, price.copy(), np.full(n, 5.0), np.full(n, 5.0),
                    traded, np.ones(n, bool))  # fmt: skip
    one = np.ones(n)
    hedge = HedgeSeries(one, one, one, one, one * 0.01, np.full(n, -2.5))
    hedge.zscore[30:] = 0.0
    backtest, _, given, position, _ = backtest_of(spec(), rows, hedge)
    (trip,) = backtest.round_trips
    assert given.halted[23:30].all()
    assert np.flatnonzero(position).tolist() == list(range(23))
    assert (trip.exit_reason, trip.exit_time_ms) == ("halted", 30 * 60_000)
    assert trip.pnl < -2_400


def test_what_was_decided_before_the_first_row_is_shown_and_not_counted(spec):
    rows, hedge = make_rows(300, 8)
    whole, _, _, position, _ = backtest_of(spec(), rows, hedge)
    held = np.flatnonzero(position[1:] & (position[1:] == position[:-1])) + 1
    first = int(held[len(held) // 2])
    decided = int(np.flatnonzero(np.diff(position[: first + 1]))[-1]) + 1
    ends = first + int(np.flatnonzero(position[first:] == 0)[0])
    part = backtest_of(spec(), rows, hedge, first=first)[0]
    side = "long_spread" if position[first] > 0 else "short_spread"
    assert part.inherited == Inherited(side, (decided + 1) * 60_000)
    assert (part.since_ms, len(part.equity)) == (first * 60_000, 300 - first)
    assert (part.equity[: ends - first + 1] == 10_000.0).all()
    later = [trip for trip in whole.round_trips if trip.entry_time_ms > ends * 60_000]
    assert part.round_trips == tuple(later)
    assert whole.inherited is None


def test_an_anchored_trip_shows_the_z_that_it_was_left_by(spec):
    rows, hedge = make_rows(300, 5)
    y, x = np.log(rows.close_a), np.log(rows.close_b)
    alpha, beta = np.full(300, y[0] - x[0]), np.ones(300)
    s = y - alpha - x
    hedge = HedgeSeries(beta, alpha, s, np.zeros(300), np.full(300, 0.01), s / 0.01)
    hedge.spread_mean[:] = np.linspace(-0.03, 0.03, 300)
    hedge.zscore[:] = (s - hedge.spread_mean) / 0.01
    anchored = spec(exit_rule="anchored")
    backtest, _, _, position, _ = backtest_of(anchored, rows, hedge)
    closed = [trip for trip in backtest.round_trips if trip.exit_reason == "revert"]
    assert closed
    for trip in closed:
        decided, left = trip.entry_time_ms // 60_000 - 1, trip.exit_time_ms // 60_000 - 1
        assert position[decided]
        assert not position[left]
        assert trip.exit_z == pytest.approx((s[left] - hedge.spread_mean[decided]) / 0.01)
        assert trip.exit_z != pytest.approx(hedge.zscore[left])


def test_a_trip_whose_exit_waits_keeps_its_reason_when_the_other_side_is_asked_for_meanwhile(spec):
    """Left at row 2 for reversion, the other side decided at row 3, nothing trades before row 5."""
    rows, hedge = simple()
    hedge.zscore[:] = [-2.5, -2.4, 0.0, 2.5, 2.5, 2.4, 2.4, 2.4]
    rows.traded_b[3:5] = False
    first, second = backtest_of(spec(), rows, hedge)[0].round_trips
    assert (first.exit_reason, first.exit_z, first.exit_time_ms) == ("revert", 0.0, 300_000)
    assert (second.side, second.entry_z, second.entry_time_ms) == ("short_spread", 2.5, 300_000)


def test_drawdown_is_of_equity_at_every_close_and_not_of_the_list_of_trades(spec, log_pair):
    """A trip that dips deep and ends well leaves no trace in a list of what trades earned."""
    n, asked = 3_000, spec(fee_bps=0.0, slippage_bps=0.0, window=60, hedge_window=200)
    y, x = log_pair(n, 14)
    a, b = np.exp(y), np.exp(x)
    rows = PairRows(np.arange(n) * 60_000, a, a, b, b, *np.ones((2, n), bool))
    hedge = rolling_hedge(y, x, first_index=0, hedge_window=200, window=60)
    given = conditions(asked, rows, hedge.hedge_ratio, np.zeros(n, bool))
    position, code = decide_positions(asked, y, x, hedge, given)
    told, _ = run_backtest(asked, rows, y, x, hedge, given, position, code)
    peaks = [max(told.equity[: row + 1]) for row in range(n)]
    np.testing.assert_array_equal(told.drawdown, told.equity / peaks - 1.0)
    assert told.metrics.max_drawdown == told.drawdown.min()
    listed = 10_000 + np.cumsum([0.0, *(trip.pnl for trip in told.round_trips)])
    of_trades = (listed / np.maximum.accumulate(listed) - 1.0).min()
    assert told.metrics.max_drawdown < 1.2 * of_trades - 1e-4
