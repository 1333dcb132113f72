import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.linear_model import OLS
from statsmodels.tools import add_constant

from core.spread import break_even_z, half_life_bars, hurst, return_correlation


def ar1(phi, n, seed=0):
    rng = np.random.default_rng(seed)
    s = np.zeros(n)
    for i in range(1, n):
        s[i] = phi * s[i - 1] + rng.normal()
    return s


def test_half_life_of_an_exact_decay_is_exact():
    s = 5 + 3 * 0.9 ** np.arange(60)
    assert half_life_bars(s) == pytest.approx(np.log(2) / -np.log(0.9), rel=1e-6)


def test_half_life_equals_a_fit_by_statsmodels_with_holes():
    s = ar1(0.9, 800)
    s[[50, 51, 300]] = np.nan
    change, before = np.diff(s), s[:-1]
    both = ~np.isnan(change)
    slope = OLS(change[both], add_constant(before[both])).fit().params[1]
    assert half_life_bars(s) == pytest.approx(-np.log(2) / np.log1p(slope), rel=1e-9)


@pytest.mark.parametrize(
    "s", [np.arange(50.0) ** 2, np.zeros(50), np.full(50, np.nan), ar1(0.5, 15)]
)
def test_half_life_of_what_does_not_revert_is_nan(s):
    assert np.isnan(half_life_bars(s))


def test_hurst_tells_a_random_walk_from_a_reverting_spread():
    walk = np.cumsum(np.random.default_rng(1).normal(size=20_000))
    assert hurst(walk) == pytest.approx(0.5, abs=0.03)
    assert hurst(ar1(0.8, 20_000)) < 0.2


def test_hurst_equals_a_plain_fit_and_is_nan_where_undefined():
    s = np.cumsum(ar1(0.3, 500, 4))
    k = np.arange(2, 21)
    slope = np.polyfit(np.log(k), [np.log((s[i:] - s[:-i]).std()) for i in k], 1)[0]
    assert hurst(s) == pytest.approx(slope, rel=1e-9)
    assert np.isnan(hurst(np.zeros(500)))
    assert np.isnan(hurst(np.arange(500.0)))  # 1 is outside (0, 1)
    assert np.isnan(hurst(s[:60]))


def test_correlation_equals_pandas_over_the_last_window():
    rng = np.random.default_rng(2)
    a = np.exp(np.cumsum(rng.normal(0, 1e-3, 300)))
    b = a * np.exp(rng.normal(0, 1e-3, 300))
    a[290] = np.nan
    returns = np.log(pd.DataFrame({"a": a, "b": b})).diff().tail(120)
    assert return_correlation(a, b, 120) == pytest.approx(returns["a"].corr(returns["b"]))


def test_correlation_needs_nine_tenths_of_the_window():
    a = np.exp(np.cumsum(np.random.default_rng(3).normal(0, 1e-3, 121)))
    holes = a.copy()
    holes[10:30:2] = np.nan
    assert np.isnan(return_correlation(holes, a, 120))
    assert np.isnan(return_correlation(a, np.ones(121), 120))


def test_break_even_z_pays_exactly_the_four_fills_of_a_frozen_spread():
    notional, ratio, std, exit_z, fee, slippage = 10_000.0, 0.8, 0.002, 0.5, 10.0, 2.0
    z = break_even_z(exit_z, ratio, std, fee, slippage)
    gained = notional / (1 + ratio) * std * (z - exit_z)
    assert gained == pytest.approx(2 * notional * (fee + slippage) / 1e4)
    assert np.isnan(break_even_z(0.5, 1.0, 0.0, 10, 2))
    assert np.isnan(break_even_z(0.5, 1.0, np.nan, 10, 2))
