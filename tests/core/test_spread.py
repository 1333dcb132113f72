import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.linear_model import OLS
from statsmodels.tools import add_constant
from statsmodels.tsa.stattools import adfuller

from core.spread import (
    break_even_z,
    expected_reversion,
    half_life,
    hurst,
    required_z,
    return_correlation,
    round_trip_cost,
    zero_crossings,
)
from core.stationarity import dickey_fuller


def ar1(phi, n, seed=0):
    rng = np.random.default_rng(seed)
    s = np.zeros(n)
    for i in range(1, n):
        s[i] = phi * s[i - 1] + rng.normal()
    return s


def test_half_life_equals_a_fit_by_statsmodels_with_holes():
    s = ar1(0.9, 800)
    s[[50, 51, 300]] = np.nan
    before, after = s[:-1], s[1:]
    both = ~np.isnan(before + after)
    m = both.sum()
    rho = (m * OLS(after[both], add_constant(before[both])).fit().params[1] + 1) / (m - 3)
    reach = 1.645 * np.sqrt((1 - rho**2) / m)
    expected = [np.log(0.5) / np.log(r) for r in (rho, rho - reach, rho + reach)]
    told = half_life(s)
    assert (told.bars, told.low, told.high) == pytest.approx(expected, rel=1e-9)
    assert told.words == ""


def test_half_life_is_right_in_the_middle_of_many_samples():
    """Without the correction the fit sees faster reversion than there is."""
    told = [half_life(ar1(0.9, 600, seed)[100:]) for seed in range(200)]
    true = np.log(0.5) / np.log(0.9)
    assert np.median([one.bars for one in told]) == pytest.approx(true, rel=0.06)
    inside = [one.low <= true and not one.high < true for one in told]
    assert 0.8 < np.mean(inside) < 0.96


def test_half_life_of_a_random_walk_is_told_as_seldom_as_the_test_errs():
    """Fitted without it, ninety-nine walks in a hundred had one, and it measured the window."""
    walks = np.cumsum(np.random.default_rng(2).normal(size=(300, 600)), axis=1)
    told = [half_life(walk) for walk in walks]
    found = sum(not np.isnan(one.bars) for one in told)
    assert 5 <= found <= 25
    words = next(one.words for one in told if one.words)
    assert words.startswith("cannot be told from a random walk over 600 bars (p 0.")


def test_half_life_without_an_upper_end_says_so_by_a_nan():
    told = [half_life(ar1(0.985, 400, seed)) for seed in range(60)]
    open_ended = [one for one in told if not np.isnan(one.bars) and np.isnan(one.high)]
    assert open_ended
    assert all(one.low < one.bars for one in open_ended)


@pytest.mark.parametrize(
    ("s", "words"),
    [
        (np.zeros(50), "the spread does not move by chance"),
        (np.full(50, np.nan), "under 50 rows"),
        (ar1(0.5, 49), "under 50 rows"),
        (ar1(-0.3, 400), "comes back within a bar"),
    ],
)
def test_half_life_of_what_does_not_revert_is_nan_with_the_reason(s, words):
    told = half_life(s)
    assert np.isnan([told.bars, told.low, told.high]).all()
    assert told.words == words


@pytest.mark.parametrize("seed", range(20))
def test_dickey_fuller_equals_statsmodels(seed):
    s = 10.0 * (seed % 3) + ar1((0.3, 0.9, 0.99, 1.0)[seed % 4], 50 + 61 * seed, seed)
    expected = adfuller(s, result_object=False)
    assert dickey_fuller(s) == pytest.approx(expected[:2], abs=1e-7)
    holes = np.insert(s, [3, 30], np.nan)
    assert dickey_fuller(holes) == dickey_fuller(s)


def test_entry_that_would_have_paid_follows_from_the_pairs_own_capture():
    assert required_z(0.5, 1.5, 0.5, 20) == (2.5, "")
    assert required_z(-1.0, 1.0, 0.25, 400) == (7.0, "")
    assert required_z(0.5, 1.5, 2.0, 20)[0] == 1.0
    for capture, trades, words in (
        (-0.2, 50, "never: of the reversion hoped for these rows gave -20 %"),
        (0.0, 50, "never: of the reversion hoped for these rows gave 0 %"),
        (0.5, 19, "never told from 19 trades; 20 are needed"),
    ):
        none, why = required_z(0.5, 1.5, capture, trades)
        assert np.isnan(none)
        assert why == words
    assert np.isnan(required_z(0.5, np.nan, 0.5, 20)[0])


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
    assert np.isfinite(hurst(s[:60]))
    assert np.isnan(hurst(s[:21]))


def test_hurst_leaves_out_differences_with_a_missing_end():
    s = np.cumsum(ar1(0.3, 500, 4))
    s[[20, 21, 300, 499]] = np.nan
    k = np.arange(2, 21)
    slope = np.polyfit(np.log(k), [np.log(np.nanstd(s[i:] - s[:-i])) for i in k], 1)[0]
    assert hurst(s) == pytest.approx(slope, rel=1e-9)


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


def crossings_by_hand(s):
    mean = np.nanmean(s)
    side, count = 0, 0
    for value in s:
        if np.isnan(value) or value == mean:
            continue
        now = 1 if value > mean else -1
        count += side != 0 and now != side
        side = now
    return count


@pytest.mark.parametrize(
    ("s", "expected"),
    [
        ([1, -1, 1, -1], 3),
        ([2, 0, 2, 0, 0], 3),
        ([-1, 0, -1, 2], 1),  # touches the mean and turns back
        ([-1, 0, 1], 1),  # by way of the mean
        ([-1, np.nan, 1, np.nan, np.nan, -1, 1], 3),  # a hole hides no crossing
        ([10, 11, 12, 13], 1),  # about its mean, not about 0
    ],
)
def test_zero_crossings_that_can_be_counted_by_eye(s, expected):
    assert zero_crossings(np.array(s, dtype=float)) == expected


def test_zero_crossings_equal_a_plain_count_and_are_many_where_a_spread_reverts():
    slow, fast = ar1(0.999, 3000, 5), ar1(0.8, 3000, 5)
    fast[[4, 100, 101, 2999]] = np.nan
    assert zero_crossings(slow) == crossings_by_hand(slow)
    assert zero_crossings(fast) == crossings_by_hand(fast)
    # Rice: arccos(phi)/pi crossings a row for an AR(1).
    assert zero_crossings(fast) / 3000 == pytest.approx(np.arccos(0.8) / np.pi, abs=0.02)
    assert zero_crossings(fast) > 5 * zero_crossings(slow)


@pytest.mark.parametrize("s", [np.zeros(0), np.ones(1), np.full(9, 0.1), np.full(9, np.nan)])
def test_zero_crossings_of_what_does_not_move_are_nan(s):
    assert np.isnan(zero_crossings(s))


def test_expected_reversion_is_what_frozen_legs_earn_on_the_way_back():
    """Prices move by a basis point here: to first order is to four digits and more."""
    notional, ratio, std, exit_z, z = 10_000.0, -0.7, 1e-5, 0.5, 2.6
    open_a, open_b = 61_000.0, 0.0021
    quantity_a = -notional / ((1 + abs(ratio)) * open_a)  # short the spread
    quantity_b = ratio * notional / ((1 + abs(ratio)) * open_b)
    move = std * (z - exit_z)  # the log spread a - ratio * b comes down by this, half by each leg
    close_a, close_b = open_a * np.exp(-move / 2), open_b * np.exp(move / 2 / ratio)
    earned = quantity_a * (close_a - open_a) + quantity_b * (close_b - open_b)
    expected = expected_reversion(
        np.array([z, -z]), exit_z, np.full(2, ratio), np.full(2, std), notional
    )
    np.testing.assert_allclose(expected, earned, rtol=1e-4)


def test_expected_reversion_is_nothing_inside_exit_z_and_nan_without_a_spread_that_moves():
    z = np.array([0.4, -0.4, 0.5, 2.0, 2.0, np.nan])
    std = np.array([0.01, 0.01, 0.01, 0.0, np.nan, 0.01])
    got = expected_reversion(z, 0.5, np.ones(6), std, 10_000.0)
    np.testing.assert_array_equal(got, [0, 0, 0, np.nan, np.nan, np.nan])


def test_at_break_even_z_the_expected_reversion_is_the_cost_of_a_round_trip():
    ratio, std, fee, slippage = np.array([0.8, -1.4]), np.array([0.002, 0.0007]), 10.0, 2.0
    z = np.array([break_even_z(0.5, b, s, fee, slippage) for b, s in zip(ratio, std, strict=True)])
    cost = round_trip_cost(5_000.0, fee, slippage)
    assert cost == pytest.approx(12.0)  # 5,000 in and 5,000 out, at 12 bps
    np.testing.assert_allclose(expected_reversion(z, 0.5, ratio, std, 5_000.0), cost)
