import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.backtest import FLAT, _run, run_backtest
from core.signals import EXIT_REASONS, decide_positions
from core.types import HedgeSeries, PairRows


def make_rows(n, seed, missing=0.0, timeframe_ms=60_000):
    rng = np.random.default_rng(seed)
    close_a = 100 * np.exp(np.cumsum(rng.normal(0, 2e-3, n)))
    close_b = 50 * np.exp(np.cumsum(rng.normal(0, 2e-3, n)))
    open_a, open_b = close_a * np.exp(rng.normal(0, 1e-3, n)), close_b * 1.0
    gone = rng.random(n) < missing
    for column in (open_a, close_a, open_b, close_b):
        column[gone] = np.nan
    rows = PairRows(np.arange(n, dtype=np.int64) * timeframe_ms, open_a, close_a, open_b, close_b)
    z = np.clip(rng.normal(0, 2, n).cumsum() * 0.3, -5, 5)
    z[gone] = np.nan
    fill = rng.uniform(-0.5, 2, n)
    std = rng.uniform(1e-3, 5e-3, n)
    return rows, HedgeSeries(fill, fill, fill, fill, std, z)


def twin(spec, rows, hedge, position, code):
    """One order at a time in plain Python, with a list of fills instead of running sums."""
    rate, n = (spec.fee_bps + spec.slippage_bps) / 1e4, len(rows)
    trips, equity, open_trip, cash = [], [], None, spec.notional
    mark = (0.0, 0.0)
    decided_at = 0
    for row in range(n):
        if row and not math.isnan(rows.close_a[row]):
            target = position[row - 1]
            price = rows.open_a[row], rows.open_b[row]
            if open_trip and target != open_trip["side"]:
                q = open_trip["q"]
                cost = rate * (abs(q[0]) * price[0] + abs(q[1]) * price[1])
                cash += q[0] * price[0] + q[1] * price[1] - cost
                gross = sum(q[i] * (price[i] - open_trip["price"][i]) for i in (0, 1))
                open_trip |= {"exit": row, "left": decided_at, "gross": gross}
                open_trip["costs"] += cost
                trips.append(open_trip)
                open_trip = None
            if open_trip is None and target:
                b = hedge.hedge_ratio[decided_at]
                q = (target * spec.notional / ((1 + abs(b)) * price[0]),
                     -target * b * spec.notional / ((1 + abs(b)) * price[1]))  # fmt: skip
                cost = rate * (abs(q[0]) * price[0] + abs(q[1]) * price[1])
                cash -= q[0] * price[0] + q[1] * price[1] + cost
                open_trip = {"side": target, "q": q, "price": price, "entry": row,
                             "decided": decided_at, "costs": cost}  # fmt: skip
        if not math.isnan(rows.close_a[row]):
            mark = rows.close_a[row], rows.close_b[row]
        held = open_trip["q"][0] * mark[0] + open_trip["q"][1] * mark[1] if open_trip else 0.0
        equity.append(cash + held)
        if position[row] != (position[row - 1] if row else 0):
            decided_at = row
    return np.array(equity), trips, open_trip


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    missing=st.sampled_from([0.0, 0.05, 0.4]),
    stop_z=st.sampled_from([None, 3.5]),
    max_hold=st.sampled_from([None, 5]),
    n=st.integers(1, 400),
)
def test_equity_and_trades_equal_a_plain_ledger(spec_fixture, seed, missing, stop_z, max_hold, n):
    spec = spec_fixture(stop_z=stop_z, max_hold_bars=max_hold)
    rows, hedge = make_rows(n, seed, missing)
    position, code = decide_positions(hedge.zscore, ~np.isnan(rows.close_a), spec)
    backtest, _ = run_backtest(spec, rows, hedge, position, code)
    equity, trips, open_trip = twin(spec, rows, hedge, position, code)
    np.testing.assert_allclose(backtest.equity, equity, rtol=0, atol=1e-7)
    assert len(backtest.round_trips) == len(trips) + (open_trip is not None)
    for got, expected in zip(backtest.round_trips, trips, strict=False):
        assert got.pnl == pytest.approx(expected["gross"] - expected["costs"], abs=1e-8)
        assert got.costs == pytest.approx(expected["costs"])
        assert (got.quantity_a, got.quantity_b) == pytest.approx(expected["q"])
        assert got.entry_time_ms == rows.open_time_ms[expected["entry"]]
        assert got.exit_time_ms == rows.open_time_ms[expected["exit"]]
        assert got.bars == expected["exit"] - expected["entry"]
        assert got.exit_reason == EXIT_REASONS[code[expected["left"]]]
        assert got.entry_z == hedge.zscore[expected["decided"]]
    # What equity moved is what the trades made, the open mark included.
    moved = backtest.equity[-1] - backtest.equity[0]
    assert moved == pytest.approx(sum(t.pnl for t in backtest.round_trips), abs=1e-9)
    assert backtest.metrics.costs == pytest.approx(sum(t.costs for t in backtest.round_trips))


def simple(n=8):
    """Prices that are easy to check by hand: A doubles at row 4's open, B stands still."""
    open_a = np.array([10.0, 10, 10, 10, 20, 20, 20, 20][:n])
    rows = PairRows(np.arange(n, dtype=np.int64) * 60_000, open_a, open_a.copy(),
                    np.full(n, 5.0), np.full(n, 5.0))  # fmt: skip
    one = np.ones(n)
    z = np.array([0.0, -2.5, -1, -0.4, 0, 0, 0, 0][:n])
    return rows, HedgeSeries(one, one, one, one, one * 0.01, z)


def test_decision_fills_at_the_next_open_and_pays_four_fills(spec):
    parameters = spec(fee_bps=8.0, slippage_bps=2.0)
    rows, hedge = simple()
    position, code = decide_positions(hedge.zscore, np.ones(8, bool), parameters)
    backtest, _ = run_backtest(parameters, rows, hedge, position, code)
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
    position, code = decide_positions(hedge.zscore, ~np.isnan(rows.close_a), spec())
    backtest, _ = run_backtest(spec(), rows, hedge, position, code)
    assert backtest.round_trips[0].entry_time_ms == 3 * 60_000


def test_decision_taken_back_before_it_could_fill_costs_nothing(spec):
    n = 12
    rows, hedge = make_rows(n, 1)
    for column in (rows.open_a, rows.close_a, rows.open_b, rows.close_b):
        column[3:10] = np.nan
    z = np.array([0, 0, 2.5, *[np.nan] * 7, 1, 1], dtype=float)
    hedge = HedgeSeries(*(getattr(hedge, name) for name in hedge.__slots__[:-1]), z)
    position, code = decide_positions(z, ~np.isnan(rows.close_a), spec())
    assert position.any()
    backtest, _ = run_backtest(spec(), rows, hedge, position, code)
    assert backtest.round_trips == ()
    assert (backtest.equity == 10_000.0).all()


def test_position_still_open_is_marked_and_listed_last(spec):
    rows, hedge = simple(3)
    position, code = decide_positions(hedge.zscore, np.ones(3, bool), spec())
    backtest, reasons = run_backtest(spec(), rows, hedge, position, code)
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
    rows = PairRows(np.arange(n, dtype=np.int64), flat, flat.copy(), flat.copy(), flat.copy())
    one = np.ones(n)
    z = np.where(np.arange(n) < 40, -3.0, 0.0)
    hedge = HedgeSeries(np.linspace(0.5, 2, n), one, one, one, one * 0.01, z)
    free = spec(fee_bps=0.0, slippage_bps=0.0)
    position, code = decide_positions(z, np.ones(n, bool), free)
    backtest, _ = run_backtest(free, rows, hedge, position, code)
    assert len(backtest.round_trips) == 1
    assert (backtest.equity == 10_000.0).all()


def test_running_it_twice_gives_the_same_bits(spec):
    rows, hedge = make_rows(500, 3, 0.05)
    position, code = decide_positions(hedge.zscore, ~np.isnan(rows.close_a), spec())
    first, second = (run_backtest(spec(), rows, hedge, position, code)[0] for _ in range(2))
    np.testing.assert_array_equal(first.equity, second.equity)
    assert repr(first.round_trips) == repr(second.round_trips)


def test_rows_fed_one_by_one_give_the_bits_of_the_whole_run(spec):
    rows, hedge = make_rows(400, 11, 0.1)
    complete = ~np.isnan(rows.close_a)
    position, _ = decide_positions(hedge.zscore, complete, spec(stop_z=3.5, max_hold_bars=6))

    def run(upto, book, start, equity, table):
        return _run(
            *(getattr(rows, name)[:upto] for name in ("open_a", "close_a", "open_b", "close_b")),
            complete[:upto], position[:upto], hedge.hedge_ratio[:upto], 1e4, 1.2e-3,
            book, start, equity, table,
        )  # fmt: skip

    whole, stepped = np.empty(400), np.empty(400)
    table, stepped_table = np.zeros((202, 9)), np.zeros((202, 9))
    final = run(400, FLAT, 0, whole, table)
    book = FLAT
    for row in range(400):
        book = run(row + 1, book, row, stepped, stepped_table)
    assert tuple(book) == tuple(final)
    np.testing.assert_array_equal(stepped, whole)
    np.testing.assert_array_equal(stepped_table, table)
