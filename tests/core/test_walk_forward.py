"""Walk-forward against a loop over the pair's own backtests, cut where the past ends."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.bars import align
from core.job_spec import read_job_spec
from core.metrics import period_returns
from core.pair import trade_rows
from core.row_plan import plan_rows
from core.settings import Settings
from core.sweep import Grid, grid_of, is_allowed, read_grid
from core.types import Leg
from core.walk_forward import (
    FEWEST_TRADES,
    WalkForward,
    plan_segments,
    ratio_by_fold,
    walk_forward,
)

HOUR = 3_600_000
N = 1_500
ASKED = {"window": [30, 60], "hedge": ["ols", "ratio"], "entry_z": [1.0, 1.5, 2.0]}


@pytest.fixture
def legs(log_pair, as_bars):
    return [as_bars(np.exp(leg), 0, HOUR) for leg in log_pair(N, 31, 0.01)]


def walk_whole(grid: Grid, *given: Any) -> WalkForward:
    """With every cell to choose from."""
    return walk_forward([np.ones(grid.cells, dtype=np.bool_)], grid, *given)[0]


def cut(leg: Leg, end_ms: int) -> Leg:
    """The bars that open before a time: nobody can look further."""
    rows = int(np.searchsorted(leg.open_time_ms, end_ms))
    return Leg(*(getattr(leg, name)[:rows] for name in Leg.__slots__))


def backtest_of(spec, legs, end_ms):
    plan = plan_rows(spec, 0, end_ms - HOUR)
    past = [cut(leg, end_ms) for leg in legs]
    return trade_rows(spec, plan, align(*past, HOUR, plan.history_start_ms, plan.end_ms))[1]


def test_each_segment_is_chosen_on_its_past_and_earns_what_the_pair_would_have(spec, legs):
    base = spec(timeframe="1h", bars=1_000)
    grid = read_grid(base, ASKED, Settings())
    told = walk_whole(grid, *legs, 0, (N - 1) * HOUR, 400)
    start = plan_rows(base, 0, (N - 1) * HOUR).start_ms
    assert [one.plan for one in told.segments] == plan_segments(start, N * HOUR, HOUR, 400)
    assert len(told.segments) >= 3
    curve = {}
    earned = 0.0
    traded = 0
    for one in told.segments:
        ratios = {}
        for cell in range(grid.cells):
            asked = replace(grid.spec_at(cell), since=one.plan.train_from_ms)
            if not is_allowed(asked):
                continue
            backtest = backtest_of(asked, legs, one.plan.test_from_ms)
            if backtest.metrics.total_trades >= FEWEST_TRADES:
                times = one.plan.train_from_ms + HOUR * np.arange(len(backtest.equity))
                returns, _ = period_returns(times, backtest.equity)
                ratios[cell] = returns.mean() / returns.std(ddof=1)
        best = max(ratios, key=lambda cell: (ratios[cell], -cell))
        assert one.cell == best
        assert one.trained_sharpe == pytest.approx(ratios[best], rel=1e-12)

        asked = replace(grid.spec_at(best), since=one.plan.test_from_ms)
        backtest = backtest_of(asked, legs, one.plan.test_to_ms)
        nets = [trip.pnl for trip in backtest.round_trips if trip.exit_time_ms is not None]
        entries = {trip.entry_time_ms for trip in backtest.round_trips}
        last = [trip for trip in backtest.round_trips if trip.exit_time_ms is None]
        after = next_opens(legs, one.plan.test_to_ms)
        if last and after:
            trip = last[0]
            opens = next_opens(legs, trip.entry_time_ms)
            rate = (asked.fee_bps + asked.slippage_bps) / 1e4
            gross = trip.quantity_a * (after[0] - opens[0]) + trip.quantity_b * (
                after[1] - opens[1]
            )
            fills = sum(
                abs(quantity) * (now + then)
                for quantity, now, then in zip(
                    (trip.quantity_a, trip.quantity_b), after, opens, strict=True
                )
            )
            nets.append(gross - rate * fills)
        elif last:
            nets.append(last[0].pnl)
        assert one.tested_trades == len(entries)
        assert one.tested_nets == pytest.approx(nets, rel=1e-9)
        assert one.tested_pnl == pytest.approx(sum(nets), rel=1e-9, abs=1e-9)
        for row, equity in enumerate(backtest.equity):
            curve[one.plan.test_from_ms + row * HOUR] = (
                base.notional + earned + equity - base.notional
            )
        earned += sum(nets)
        traded += len(nets)
    assert traded > 5
    assert told.open_time_ms.tolist() == sorted(curve)
    np.testing.assert_allclose(told.equity, [curve[time] for time in sorted(curve)], rtol=1e-12)


def next_opens(legs, open_ms):
    rows = [int(np.searchsorted(leg.open_time_ms, open_ms)) for leg in legs]
    if rows[0] >= len(legs[0]):
        return None
    return [float(leg.open[row]) for leg, row in zip(legs, rows, strict=True)]


def test_what_comes_after_a_test_changes_nothing_before_it(spec, legs):
    grid = read_grid(spec(timeframe="1h", bars=1_000), ASKED, Settings())
    whole = walk_whole(grid, *legs, 0, (N - 1) * HOUR, 400)
    changed = [replace(leg, close=leg.close.copy(), open=leg.open.copy()) for leg in legs]
    edge = whole.segments[1].plan.test_to_ms
    for leg in changed:
        late = leg.open_time_ms > edge
        leg.close[late] *= 1.5
        leg.open[late] *= 1.5
    other = walk_whole(grid, *changed, 0, (N - 1) * HOUR, 400)
    for one, again in zip(whole.segments[:2], other.segments[:2], strict=True):
        assert one == again
    until = whole.open_time_ms < edge
    np.testing.assert_array_equal(whole.equity[until], other.equity[until])


def test_stretches_that_trade_too_little_choose_nothing_and_hold_nothing(spec, legs):
    grid = read_grid(spec(timeframe="1h", bars=1_000), {"entry_z": [9.5, 9.9]}, Settings())
    told = walk_whole(grid, *legs, 0, (N - 1) * HOUR, 400)
    assert {one.cell for one in told.segments} == {None}
    assert all(math.isnan(one.trained_sharpe) for one in told.segments)
    assert set(told.equity.tolist()) == {grid.spec.notional}


def test_a_choice_among_some_cells_is_that_of_a_grid_which_has_no_others(spec, legs):
    grid = read_grid(spec(timeframe="1h", bars=1_000), ASKED, Settings())
    hedges = np.unravel_index(np.arange(grid.cells), grid.shape)[2]
    every = np.ones(grid.cells, dtype=np.bool_)
    told = walk_forward([every, hedges == 1], grid, *legs, 0, (N - 1) * HOUR, 400)
    alone = replace(grid, values={**grid.values, "hedge": ("ratio",)})
    by_itself = walk_whole(alone, *legs, 0, (N - 1) * HOUR, 400)
    whole = walk_whole(grid, *legs, 0, (N - 1) * HOUR, 400)
    np.testing.assert_array_equal(told[0].equity, whole.equity)
    np.testing.assert_array_equal(told[1].equity, by_itself.equity)
    for one, other in zip(told[1].segments, by_itself.segments, strict=True):
        assert grid.spec_at(one.cell) == alone.spec_at(other.cell)
        assert replace(one, cell=0) == replace(other, cell=0)
        backtest = backtest_of(
            replace(grid.spec_at(one.cell), since=one.plan.train_from_ms),
            legs,
            one.plan.test_from_ms,
        )
        closed = [trip.pnl for trip in backtest.round_trips if trip.exit_time_ms is not None]
        assert one.trained_trades == len(closed) > 0
        assert one.trained_net == pytest.approx(sum(closed), rel=1e-9)


def test_an_error_by_segment_is_that_of_the_means_where_all_have_as_many_trades():
    sums, counts = np.array([6.0, 2.0, 10.0]), np.array([2, 2, 2])
    mean, error = ratio_by_fold(sums, counts)
    means = sums / counts
    assert mean == pytest.approx(means.mean())
    assert error == pytest.approx(means.std(ddof=1) / math.sqrt(3))
    # A segment without a trade says nothing.
    assert ratio_by_fold(np.append(sums, 0.0), np.append(counts, 0)) == (mean, error)
    assert ratio_by_fold(np.array([6.0]), np.array([2]))[0] == 3.0
    assert math.isnan(ratio_by_fold(np.array([6.0]), np.array([2]))[1])
    assert all(math.isnan(one) for one in ratio_by_fold(np.zeros(2), np.zeros(2, dtype=int)))


def test_segments_go_on_by_half_of_training_and_leave_out_a_stub():
    plans = [(p.train_from_ms, p.test_from_ms, p.test_to_ms) for p in plan_segments(0, 100, 1, 40)]
    assert plans == [(0, 40, 60), (20, 60, 80), (40, 80, 100)]
    assert [p.test_to_ms for p in plan_segments(0, 104, 1, 40)] == [60, 80, 100]
    assert [p.test_to_ms for p in plan_segments(0, 105, 1, 40)] == [60, 80, 100, 105]
    assert plan_segments(0, 44, 1, 40) == []


def test_hedge_windows_follow_the_window_unless_one_was_asked_for():
    asked = {"kind": "sweep", "window_values": "40, 60", "symbol_a": "SOLUSDT"}
    grid = grid_of(read_job_spec(asked, Settings()).values, Settings())
    assert [grid.spec_at(cell).hedge_window for cell in range(2)] == [200, 300]
    fixed = read_job_spec({**asked, "hedge_window": 500}, Settings())
    assert [grid_of(fixed.values, Settings()).spec_at(cell).hedge_window for cell in (0, 1)] == [
        500,
        500,
    ]
