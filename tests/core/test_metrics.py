import math

import numpy as np
import pandas as pd
import pytest

from core.metrics import HOUR_MS, drawdown, measure, period_returns

MINUTE = 60_000


def measured(equity, pnl=(), step_ms=MINUTE, start_ms=0, held=0):
    equity = np.asarray(equity, dtype=float)
    times = start_ms + step_ms * np.arange(len(equity), dtype=np.int64)
    pnl = np.asarray(pnl, dtype=float)
    return measure(
        times,
        equity,
        drawdown(equity),
        held,
        0.0,
        0.0,
        math.nan,
        pnl,
        np.full(len(pnl), 10.0),
        100.0,
    )


def random_equity(n, seed=0):
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 1e-4, n)))


@pytest.mark.parametrize(("days", "rule", "a_year"), [(5, "1h", 8760), (61, "1D", 365)])
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


def test_sharpe_waits_for_48_returns():
    assert math.isnan(measured(random_equity(48), step_ms=HOUR_MS)[0].sharpe)
    assert not math.isnan(measured(random_equity(49), step_ms=HOUR_MS)[0].sharpe)


@pytest.mark.parametrize(
    ("step_ms", "rows", "a_year"), [(60_000, 86_399, 8760), (300_000, 17_281, 365)]
)
def test_from_60_days_on_returns_are_daily(step_ms, rows, a_year):
    times = step_ms * np.arange(rows, dtype=np.int64)  # the second ends 60 days after it began
    returns, got = period_returns(times, np.ones(rows))
    assert got == a_year
    assert len(returns) == (60 if a_year == 365 else 60 * 24 - 1)


def test_calmar_waits_for_30_days_and_does_not_compound():
    short, reasons = measured(random_equity(30 * 24), step_ms=HOUR_MS)
    assert math.isnan(short.calmar)
    assert reasons["calmar"] == "29.9 days; 30 are needed"  # 719 hours, and no 30.0
    equity = random_equity(30 * 24 + 1)
    metrics, _ = measured(equity, step_ms=HOUR_MS)
    expected = (equity[-1] / equity[0] - 1) * 365 / 30 / abs(drawdown(equity).min())
    assert metrics.calmar == pytest.approx(expected)


def test_returns_are_taken_between_utc_hours_wherever_the_rows_begin():
    times = np.array([50, 59, 60, 70, 119, 120]) * MINUTE
    returns, a_year = period_returns(times, np.array([1.0, 2.0, 3.0, 4.0, 8.0, 10.0]))
    np.testing.assert_allclose(returns, [3.0, 0.25])
    assert a_year == 8760
