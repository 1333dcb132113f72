import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS
from statsmodels.tools import add_constant

from core.regression import NOTHING_SEEN, _rolling_ols, full_sample_ols, log_prices, rolling_ols

H, W = 200, 40


def twin(y, x, row, hedge_window=H, window=W):
    """The plain slow way: statsmodels on the rows before, about values of that window."""
    low = max(0, row - hedge_window)
    fit = ~(np.isnan(y[low:row]) | np.isnan(x[low:row]))
    if row - low < window or fit.sum() < 0.9 * (row - low):
        return None
    cy, cx = y[low:row][fit][-1], x[low:row][fit][-1]
    model = OLS(y[low:row][fit] - cy, add_constant(x[low:row][fit] - cx)).fit()
    intercept, ratio = model.params
    s = (y - cy) - intercept - ratio * (x - cx)
    before = s[row - window : row]
    before = before[~np.isnan(before)]
    z = np.nan
    if len(before) >= 0.9 * window:
        z = (s[row] - before.mean()) / before.std(ddof=1)
    return ratio, cy + intercept - ratio * cx, s[row], z


@pytest.mark.parametrize("missing", [0.0, 0.03])
def test_every_row_equals_a_fit_by_statsmodels(log_pair, missing):
    y, x = log_pair(3000, 1, missing)
    series = rolling_ols(y, x, first_index=777, hedge_window=H, window=W)
    for row in range(0, 3000, 7):
        expected = twin(y, x, row)
        got = [s[row] for s in (series.hedge_ratio, series.intercept, series.spread, series.zscore)]
        if expected is None:
            assert np.isnan(got).all()
        else:
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("level", [1e-6, 6e4, 1e6])
def test_tiny_moves_at_any_price_level_keep_their_digits(level):
    rng = np.random.default_rng(2)
    n = 4000
    step = np.cumsum(rng.normal(0, 1e-9, n))
    x = np.log(level) + step
    y = np.log(level) + 0.7 * step + rng.normal(0, 1e-9, n)
    series = rolling_ols(y, x, first_index=0, hedge_window=H, window=W)
    assert (series.spread_std[W:] > 0).all()
    for row in range(W, n, 97):
        np.testing.assert_allclose(
            [series.hedge_ratio[row], series.zscore[row]], np.array(twin(y, x, row))[[0, 3]],
            rtol=1e-9, atol=1e-9,
        )  # fmt: skip


def test_calm_after_a_crash_is_not_drowned_by_it():
    rng = np.random.default_rng(4)
    n = 3000
    move = np.where(np.arange(n) == 1100, 0.5, rng.normal(0, 1e-7, n))
    x = 8 + np.cumsum(move)
    y = 2 + 1.1 * x + rng.normal(0, 1e-7, n)
    series = rolling_ols(y, x, first_index=0, hedge_window=H, window=W)
    for row in [*range(1090, 1110), *range(1290, 1400, 3), 2999]:
        np.testing.assert_allclose(
            [series.hedge_ratio[row], series.zscore[row]], np.array(twin(y, x, row))[[0, 3]],
            rtol=1e-8, atol=1e-8,
        )  # fmt: skip


def test_the_future_never_changes_a_row(log_pair):
    y, x = log_pair(1500, 5, 0.02)
    whole = rolling_ols(y, x, first_index=100, hedge_window=H, window=W)
    for n in (1, 39, 41, 700, 924, 925, 1499):
        part = rolling_ols(y[:n], x[:n], first_index=100, hedge_window=H, window=W)
        for name in part.__slots__:
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:n])


def test_bars_fed_one_by_one_give_the_bits_of_the_whole_array(log_pair):
    y, x = log_pair(1300, 6, 0.02)
    whole = rolling_ols(y, x, first_index=3, hedge_window=H, window=W)
    out = np.full((6, 1300), np.nan)
    state = NOTHING_SEEN
    for n in range(1300):
        state = _rolling_ols(y[: n + 1], x[: n + 1], 3, H, W, state, n, out)
    np.testing.assert_array_equal(out, [getattr(whole, name) for name in whole.__slots__])


def test_after_a_rebuild_the_start_of_history_leaves_no_trace(log_pair):
    y, x = log_pair(4000, 7)
    early = rolling_ols(y, x, first_index=0, hedge_window=H, window=W)
    late = rolling_ols(y[500:], x[500:], first_index=500, hedge_window=H, window=W)
    np.testing.assert_array_equal(early.zscore[1024:], late.zscore[524:])


def test_legs_that_do_not_move_give_nan_and_never_zero_or_infinity():
    n = 500
    rng = np.random.default_rng(0)
    x = np.full(n, 11.0)
    y = 3 + np.cumsum(rng.normal(0, 1e-3, n))
    assert np.isnan(rolling_ols(y, x, first_index=0, hedge_window=H, window=W).hedge_ratio).all()
    flat = rolling_ols(np.full(n, 2.0), y, first_index=0, hedge_window=H, window=W)
    assert np.isnan(flat.zscore).all()
    assert (flat.spread_std[W:] == 0).all()


def test_full_sample_fit_equals_statsmodels(log_pair):
    y, x = log_pair(800, 9, 0.05)
    both = ~(np.isnan(y) | np.isnan(x))
    expected = OLS(y[both], add_constant(x[both])).fit().params[1]
    assert full_sample_ols(y, x) == pytest.approx(expected, rel=1e-10)
    assert np.isnan(full_sample_ols(y, np.full(800, 3.0)))
    assert np.isnan(full_sample_ols(y[:2], x[:2]))


def test_logarithm_of_a_price_does_not_depend_on_its_place():
    close = np.exp(np.random.default_rng(1).normal(8, 1, 1001))
    whole = log_prices(close)
    for start in range(8):
        np.testing.assert_array_equal(log_prices(close[start:]), whole[start:])
    np.testing.assert_allclose(whole, np.log(close), rtol=1e-15)


def test_legs_that_come_to_rest_have_no_z():
    """What is left of a spread that no longer moves is rounding: 0 deviation, and no z at all."""
    rng = np.random.default_rng(6)
    x = 11 + np.cumsum(np.where(np.arange(900) < 400, rng.normal(0, 1e-3, 900), 0.0))
    y = 3 + 0.7 * x + np.where(np.arange(900) < 400, rng.normal(0, 1e-3, 900), 0.0)
    series = rolling_ols(y, x, first_index=5, hedge_window=600, window=120)
    at_rest = slice(400 + 120, None)
    assert (series.spread_std[at_rest] == 0.0).all()
    assert np.isnan(series.zscore[at_rest]).all()
    assert np.isfinite(series.hedge_ratio[at_rest]).all()
    assert np.isfinite(series.zscore[120 + 600 // 5 : 400]).all()


@pytest.mark.parametrize(("missing", "fitted"), [(10, True), (11, False)])
def test_a_fit_needs_nine_tenths_of_its_rows(log_pair, missing, fitted):
    y, x = log_pair(400, 4)
    y[310 : 310 + missing] = np.nan  # in the fit of row 400 and out of its z window
    y, x = np.append(y, np.nan), np.append(x, np.nan)
    series = rolling_ols(y, x, first_index=0, hedge_window=100, window=20)
    assert np.isfinite(series.hedge_ratio[400]) == fitted
    assert np.isfinite(series.spread_std[400]) == fitted
