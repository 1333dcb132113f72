import warnings

import numpy as np
import pytest
from statsmodels.tsa.stattools import adfuller, coint

from core.stationarity import engle_granger


def reference(y, x):
    """statsmodels' own answer on centred logs, both ways, with the lag that adfuller chooses."""
    answers = []
    for first, second, direction in ((y, x, "a_on_b"), (x, y, "b_on_a")):
        first, second = first - first.mean(), second - second.mean()
        statistic, pvalue, critical = coint(first, second)
        ratio = (first @ second) / (second @ second)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 0.15 announces another return type
            lags = adfuller(first - ratio * second, regression="n")[2]
        answers.append((statistic, pvalue, critical[1], lags, direction))
    return min(answers)


@pytest.mark.parametrize("seed", range(40))
def test_every_figure_equals_statsmodels(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(50, 700))
    x = 11 + np.cumsum(rng.normal(0, 1e-3, n))
    phi, spread = rng.uniform(0, 1), np.zeros(n)
    for i in range(1, n):
        spread[i] = phi * spread[i - 1] + rng.normal(0, 1e-3)
    y = 2 + rng.uniform(-1, 2) * x + spread
    got, reason = engle_granger(y, x)
    assert reason is None
    statistic, pvalue, critical, lags, direction = reference(y, x)
    assert got.statistic == pytest.approx(statistic, abs=1e-8)
    assert got.pvalue == pytest.approx(pvalue, abs=1e-6)
    assert got.critical_5pct == pytest.approx(critical, abs=1e-9)
    assert (got.lags, got.direction) == (lags, direction)


@pytest.mark.parametrize(("a", "b"), [("BTC", "ETH"), ("SOL", "AVAX"), ("UNI", "AAVE")])
def test_recorded_pairs_equal_statsmodels(recorded_logs, a, b):
    y, x = (leg[-1440:] for leg in recorded_logs(a, b))
    got, _ = engle_granger(y, x)
    statistic, pvalue, _, lags, direction = reference(y, x)
    assert got.statistic == pytest.approx(statistic, abs=1e-8)
    assert got.pvalue == pytest.approx(pvalue, abs=1e-6)
    assert (got.lags, got.direction) == (lags, direction)


def test_critical_value_is_that_of_two_series_not_of_one(log_pair):
    got, _ = engle_granger(*log_pair(5000, 1))
    assert got.critical_5pct == pytest.approx(-3.337, abs=2e-3)  # one series: -2.86


def test_missing_rows_are_dropped(log_pair):
    y, x = log_pair(400, 2)
    holes = y.copy()
    holes[[3, 50, 399]] = np.nan
    keep = ~np.isnan(holes)
    assert engle_granger(holes, x) == engle_granger(y[keep], x[keep])


@pytest.mark.parametrize(
    ("y", "x", "why"),
    [
        (np.arange(49.0), np.arange(49.0) ** 2, "49 rows"),
        (np.full(200, 3.0), np.arange(200.0), "does not move"),
        (np.arange(200.0), np.full(200, 3.0), "does not move"),
        (np.arange(200.0), 2 * np.arange(200.0) + 1, "collinear"),
        (np.full(200, np.nan), np.arange(200.0), "0 rows"),
    ],
)
def test_undefined_test_gives_a_reason_and_no_number(y, x, why):
    result, reason = engle_granger(y, x)
    assert result is None
    assert why in reason
