"""A sweep's cells: each to the bit what the pair itself would have traded."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from core import sweep as sweeping
from core.bars import align
from core.errors import ParameterErrors
from core.grid_spec import AXES, MAX_CELLS
from core.metrics import period_returns
from core.pair import trade_rows
from core.row_plan import plan_rows
from core.settings import Settings
from core.sweep import FIGURES, is_allowed, read_grid, sweep

HOUR = 3_600_000
N = 3_000
ASKED = {
    "window": [30, 60],
    "hedge_window": [50, 200],
    "hedge": ["ols", "kalman", "ratio"],
    "entry_z": [1.0, 2.0],
    "exit_z": [-0.5, 0.5, 1.5],
    "stop_z": [None, 2.5],
    "exit_rule": ["moving", "anchored"],
    "max_hold_bars": [None, 6],
}


@pytest.fixture
def legs(log_pair, as_bars):
    y, x = log_pair(N, 31, 0.01)
    y[1_700:] += np.log(8.0)  # a redenomination
    bars = [as_bars(np.exp(leg), 0, HOUR) for leg in (y, x)]
    bars[1].trade_count[900:960] = 0  # a leg that stops
    return bars


def test_every_cell_is_the_pair_s_own_backtest_to_the_bit(spec, legs):
    """In an order in which what a cell leaves behind would show in the next."""
    base = spec(timeframe="1h", bars=1_800)
    grid = read_grid(base, ASKED, Settings())
    assert grid.shape == (2, 2, 3, 2, 3, 2, 2, 2)
    told = sweep(grid, *legs, 0, (N - 1) * HOUR)
    compared = 0
    for cell in range(0, grid.cells, 5):
        asked = grid.spec_at(cell)
        assert told.is_allowed[cell] == is_allowed(asked)
        if not told.is_allowed[cell]:
            assert np.isnan(told.returns[cell]).all()
            assert all(np.isnan(told.figures[name][cell]) for name in FIGURES)
            continue
        plan = plan_rows(asked, 0, (N - 1) * HOUR)
        rows = align(*legs, HOUR, plan.history_start_ms, plan.end_ms)
        _, backtest, _ = trade_rows(asked, plan, rows)
        for name in FIGURES:
            own = getattr(backtest.metrics, name)
            np.testing.assert_array_equal(told.figures[name][cell], own, f"{name} of {asked}")
        times = plan.start_ms + HOUR * np.arange(len(backtest.equity))
        returns, _ = period_returns(times, backtest.equity)
        np.testing.assert_array_equal(told.returns[cell], returns)
        compared += backtest.metrics.total_trades > 0
    assert compared > 40


def test_no_cell_has_a_ratio_by_the_year_of_less_than_a_month(spec, legs):
    told = {}
    for bars in (580, 740):  # hours, and up to an eighth more: under 30 days, and over
        grid = read_grid(spec(timeframe="1h", bars=bars), {"entry_z": [1.0, 1.5]}, Settings())
        told[bars] = sweep(grid, *legs, 0, (N - 1) * HOUR).figures
    assert (told[580]["total_trades"] > 0).all()
    assert np.isnan(told[580]["sharpe"]).all()
    assert np.isfinite(told[740]["sharpe"]).all()


def test_threads_give_the_cells_of_one(spec, legs, monkeypatch):
    monkeypatch.setattr(sweeping, "CHUNK", 7)
    grid = read_grid(
        spec(timeframe="1h", bars=1_000), {"entry_z": np.arange(1, 4, 0.1)}, Settings()
    )
    one = sweep(grid, *legs, 0, (N - 1) * HOUR)
    with ThreadPoolExecutor(2) as pool:
        two = sweep(grid, *legs, 0, (N - 1) * HOUR, pool.map)
    np.testing.assert_array_equal(one.returns, two.returns)
    for name in FIGURES:
        np.testing.assert_array_equal(one.figures[name], two.figures[name])


def test_two_axes_show_the_median_of_the_hidden_ones_and_not_the_best(spec, legs):
    asked = {"entry_z": [1.0, 1.5, 2.0], "exit_z": [0.0, 0.5, 1.2], "max_hold_bars": [3, 6, None]}
    told = sweep(read_grid(spec(timeframe="1h"), asked, Settings()), *legs, 0, (N - 1) * HOUR)
    shown = told.median("total_pnl", ("exit_z", "entry_z"))
    assert shown.shape == (3, 3)
    pnl = told.figures["total_pnl"].reshape(3, 3, 3)
    assert shown[1, 2] == np.median(pnl[2, 1])
    assert np.isnan(shown[2, 0])  # an exit beyond the entry
    assert shown[1, 2] < pnl[2, 1].max()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"entry_z": [2.0, 11.0]}, "entry_z"),
        ({"hedge": ["ols", "magic"]}, "hedge"),
        ({"window": []}, "window"),
        ({"fee_bps": [1.0]}, "fee_bps"),
        ({"entry_z": np.linspace(1, 9, 400), "exit_z": np.linspace(-1, 0.9, 400)}, "axes"),
    ],
)
def test_bad_axes_are_named_before_anything_runs(spec, asked, field):
    with pytest.raises(ParameterErrors) as refused:
        read_grid(spec(), asked, Settings())
    assert field in {error.field for error in refused.value.errors}


def test_values_that_go_with_some_cells_only_are_accepted(spec):
    asked = {"entry_z": [0.2, 6.0], "exit_z": [5.0, -6.0], "stop_z": [0.3, 9.0, None]}
    grid = read_grid(spec(), asked, Settings())
    assert grid.cells == 12 <= MAX_CELLS
    allowed = {
        (s.entry_z, s.exit_z, s.stop_z) for s in map(grid.spec_at, range(12)) if is_allowed(s)
    }
    assert allowed == {(6.0, 5.0, 9.0), (6.0, 5.0, None), (6.0, -6.0, 9.0), (6.0, -6.0, None)}
    assert tuple(grid.values) == AXES
