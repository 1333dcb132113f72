import math

import numpy as np
import pandas as pd
import pytest

from core.metrics import YEARLY, Trips, drawdown, measure, period_returns, sharpe_stderr
from core.timeframes import HOUR_MS

MINUTE = 60_000


def trips_of(pnl, **columns):
    """Closed round trips of ten bars each, which cost nothing."""
    n = len(pnl)
    zero = np.zeros(n)
    values = {
        "side": np.ones(n, int), "entry": np.zeros(n, int), "exit": np.full(n, 10),
        "decided": np.zeros(n, int), "left": np.zeros(n, int), "reason": np.zeros(n, int),
        "quantity_a": zero, "quantity_b": zero, "gross": np.asarray(pnl, float), "costs": zero,
        "traded": zero, "promised": zero, "closed": n,
    }  # fmt: skip
    return Trips(**{**values, **columns})


def measured(equity, pnl=(), step_ms=MINUTE, start_ms=0, **columns):
    equity = np.asarray(equity, dtype=float)
    times = start_ms + step_ms * np.arange(len(equity), dtype=np.int64)
    return measure(times, equity, drawdown(equity), trips_of(pnl, **columns))


def random_equity(n, seed=0):
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 1e-4, n)))


@pytest.mark.parametrize(("days", "rule", "a_year"), [(31, "1h", 8760), (61, "1D", 365)])
def test_sharpe_and_sortino_equal_pandas_on_the_last_closes(days, rule, a_year):
    n = days * 24 * 12
    equity = random_equity(n)
    start = 1_700_000_100_000 // 300_000 * 300_000
    metrics, _ = measured(equity, step_ms=300_000, start_ms=start)
    index = pd.to_datetime(start + 300_000 * np.arange(n), unit="ms", utc=True)
    returns = pd.Series(equity, index=index).resample(rule).last().pct_change().dropna()
    assert metrics.sharpe == pytest.approx(returns.mean() / returns.std() * np.sqrt(a_year))
    downside = np.sqrt((returns.clip(upper=0) ** 2).mean())
    assert metrics.sortino == pytest.approx(returns.mean() / downside * np.sqrt(a_year))


def test_drawdown_is_that_of_marked_equity():
    equity = np.array([100.0, 120.0, 90.0, 130.0, 65.0])
    np.testing.assert_allclose(drawdown(equity), [0, 0, -0.25, 0, -0.5])
    assert measured(equity)[0].max_drawdown == -0.5


@pytest.mark.parametrize(
    ("pnl", "win_rate", "profit_factor", "avg"),
    [([1.0, -2.0, 3.0], 2 / 3, 2.0, 2 / 3), ([0.0], 0.0, math.nan, 0.0),
     ([5.0], 1.0, math.nan, 5.0), ([-5.0], 0.0, 0.0, -5.0)],
)  # fmt: skip
def test_round_trips_are_counted_net_of_costs(pnl, win_rate, profit_factor, avg):
    metrics, reasons = measured([100.0, 100.0 + sum(pnl)], pnl)
    assert metrics.win_rate == pytest.approx(win_rate)
    assert metrics.profit_factor == pytest.approx(profit_factor, nan_ok=True)
    assert metrics.avg_pnl == pytest.approx(avg)
    assert ("profit_factor" in reasons) == math.isnan(profit_factor)


def test_open_round_trip_counts_in_equity_and_not_among_closed_ones():
    metrics, _ = measured([100.0, 107.0], [3.0])  # the other 4 are still open
    assert (metrics.total_trades, metrics.total_pnl, metrics.avg_pnl) == (1, 7.0, 3.0)


def test_undefined_figures_are_nan_with_a_reason_and_never_zero():
    metrics, reasons = measured([100.0] * 200)
    for name in ("avg_pnl", "win_rate", "profit_factor", "sharpe", "sortino", "calmar",
                 "avg_hold_bars", "reversion_capture"):  # fmt: skip
        assert math.isnan(getattr(metrics, name)), name
        assert reasons[name]
    assert (metrics.total_return, metrics.max_drawdown, metrics.total_trades) == (0, 0, 0)


def test_the_standard_error_of_a_mean_pnl_is_that_of_the_closed_trips():
    metrics, _ = measured([100.0, 104.0], [1.0, 2.0, 6.0])
    assert metrics.avg_pnl_stderr == pytest.approx(np.std([1, 2, 6], ddof=1) / np.sqrt(3))
    alone, reasons = measured([100.0, 101.0], [1.0])
    assert math.isnan(alone.avg_pnl_stderr)
    assert reasons["avg_pnl_stderr"] == "under 2 closed round trips"


def test_sums_take_the_open_trip_in_and_averages_leave_it_out():
    metrics, _ = measured(
        [100.0] * 40, [4.0, -1.0], closed=1, exit=np.array([10, 40]), entry=np.array([0, 30]),
        costs=np.array([0.5, 0.25]), traded=np.array([200.0, 100.0]),
        promised=np.array([8.0, 5.0]),
    )  # fmt: skip
    assert (metrics.total_trades, metrics.avg_pnl, metrics.avg_hold_bars) == (1, 3.5, 10.0)
    assert (metrics.costs, metrics.turnover, metrics.exposure) == (0.75, 3.0, 0.5)
    assert metrics.reversion_capture == 0.5


def test_ratios_by_the_year_wait_for_30_days():
    """From three days the yearly Sharpe ratio of noise has a deviation of ten."""
    equity = random_equity(30 * 24 + 1)
    short, reasons = measured(equity[:-1], step_ms=HOUR_MS)
    for name in YEARLY:
        assert math.isnan(getattr(short, name))
        assert reasons[name] == "29.9 days; 30 are needed"  # 719 hours, and no 30.0
    metrics, reasons = measured(equity, step_ms=HOUR_MS)
    assert not [name for name in YEARLY if math.isnan(getattr(metrics, name))]
    expected = (equity[-1] / equity[0] - 1) * 365 / 30 / abs(drawdown(equity).min())
    assert metrics.calmar == pytest.approx(expected)  # and does not compound


def test_once_equity_has_been_gone_no_ratio_is_told():
    """Returns on a base that changed its sign would make a loss look like a gain."""
    equity = random_equity(31 * 24)
    equity[400] = -5.0
    metrics, reasons = measured(equity, step_ms=HOUR_MS)
    for name in YEARLY:
        assert math.isnan(getattr(metrics, name))
        assert "at or below 0" in reasons[name]
    assert metrics.max_drawdown < -1.0


def test_the_standard_error_of_a_sharpe_ratio_is_what_it_varies_by():
    """Of skewed returns with a tail: the formula against many samples of them."""
    samples = 2.0 - np.random.default_rng(4).exponential(1.0, (4_000, 500))
    ratios = samples.mean(axis=1) / samples.std(axis=1, ddof=1)
    told = np.mean([sharpe_stderr(sample) for sample in samples])
    assert told == pytest.approx(ratios.std(), rel=0.05)
    assert told > 1.5 * np.sqrt(1.5 / 500)  # what would hold of normal ones


def test_the_standard_error_of_a_sharpe_ratio_equals_its_formula():
    from scipy.stats import kurtosis, skew

    equity = random_equity(40 * 24)
    metrics, _ = measured(equity, step_ms=HOUR_MS)
    r = np.diff(equity) / equity[:-1]
    s = r.mean() / r.std(ddof=1)
    square = 1 - skew(r) * s + (kurtosis(r, fisher=False) - 1) / 4 * s**2
    assert metrics.sharpe_stderr == pytest.approx(np.sqrt(square / len(r) * 8760))


@pytest.mark.parametrize(
    ("step_ms", "rows", "a_year"), [(60_000, 86_399, 8760), (300_000, 17_281, 365)]
)
def test_from_60_days_on_returns_are_daily(step_ms, rows, a_year):
    times = step_ms * np.arange(rows, dtype=np.int64)  # the second ends 60 days after it began
    returns, got = period_returns(times, np.ones(rows))
    assert got == a_year
    assert len(returns) == (60 if a_year == 365 else 60 * 24 - 1)


def test_returns_are_taken_between_utc_hours_wherever_the_rows_begin():
    times = np.array([50, 59, 60, 70, 119, 120]) * MINUTE
    returns, a_year = period_returns(times, np.array([1.0, 2.0, 3.0, 4.0, 8.0, 10.0]))
    np.testing.assert_allclose(returns, [3.0, 0.25])
    assert a_year == 8760
