"""Over a million bars nothing drifts, at any price level, and a crash leaves no trace."""

import numpy as np
import pytest

from core.kalman import kalman_hedge
from core.regression import log_prices, rolling_hedge

N, H, W = 1_000_000, 600, 120
CRASHES = {150_000: -0.5, 500_000: 0.7, 777_777: 1e-4}
EPSILON = np.finfo(np.float64).eps


def sampled_rows():
    """Rows all over, and those about each crash: at it, as it leaves each window, and after."""
    offsets = (0, 1, 2, 60, W - 1, W, W + 1, 300, H - 1, H, H + 1, H + W, 1023, 1024, 1025, 5000)
    near = {crash + offset for crash in CRASHES for offset in offsets}
    return sorted({*range(H + W, N, 4_999), *near, N - 1})


def simulate(level, size, crashes):
    """Log prices of two legs at a level, with moves of a size, crashes and missing rows."""
    rng = np.random.default_rng(3)
    moves, own = rng.normal(0, size, (2, N))
    for row, crash in crashes.items():
        moves[row] = crash
    path = np.cumsum(moves)
    x, y = log_prices(level * np.exp(path)), log_prices(3 * level * np.exp(0.7 * path + own))
    y[rng.random(N) < 0.01] = np.nan
    return y, x


def twin(y, x, row):
    """One window by itself in two passes, about its last value: spread's mean, deviation, z."""
    fit = slice(row - H, row)
    present = ~np.isnan(y[fit])
    dy, dx = y[fit][present], x[fit][present]
    cy, cx = dy[-1], dx[-1]
    dy, dx = dy - cy, dx - cx
    my, mx = dy.mean(), dx.mean()
    ratio = ((dx - mx) @ (dy - my)) / ((dx - mx) @ (dx - mx))
    intercept = my - ratio * mx
    s = (y[row - W : row + 1] - cy) - intercept - ratio * (x[row - W : row + 1] - cx)
    before = s[:-1][~np.isnan(s[:-1])]
    mean, std = before.mean(), before.std(ddof=1)
    # A move of this size, rounded once, is all that any calculation in doubles can know of s.
    rounding = EPSILON * max(np.abs(dy).max(), np.abs(ratio * dx).max()) / std
    return ratio, cy + intercept - ratio * cx, mean, std, (s[-1] - mean) / std, rounding


@pytest.mark.parametrize(("level", "size"), [(6e4, 1e-9), (1e-6, 1e-9), (1e6, 1e-9), (6e4, 1e-3)])
def test_rolling_moments_neither_drift_nor_lose_digits_in_a_million_bars(level, size):
    y, x = simulate(level, size, CRASHES)
    series = rolling_hedge(y, x, first_index=123, hedge_window=H, window=W)
    assert (series.spread_std[W:] > 0).all()  # no variance went negative
    rows = sampled_rows()
    assert len(rows) >= 200
    for row in rows:
        ratio, intercept, mean, std, z, rounding = twin(y, x, row)
        assert series.hedge_ratio[row] == pytest.approx(ratio, rel=1e-9, abs=1e-9)
        assert series.intercept[row] == pytest.approx(intercept, rel=1e-9, abs=1e-9)
        # Beyond the bound asked for: deviations of 1e-9 would hide within it.
        allowed = 1e-9 + 32 * rounding
        assert abs(series.spread_mean[row] - mean) <= allowed * std
        assert abs(series.spread_std[row] - std) <= allowed * std
        if np.isnan(y[row]):
            assert np.isnan(series.zscore[row])
        else:
            assert abs(series.zscore[row] - z) <= allowed * max(1.0, abs(z))


@pytest.mark.parametrize(
    ("level", "size", "crashes"),
    [(1e-6, 1e-9, CRASHES), (1e6, 1e-9, CRASHES), (6e4, 1e-3, CRASHES)],
)
def test_moments_of_errors_neither_drift_nor_lose_digits_in_a_million_bars(level, size, crashes):
    y, x = simulate(level, size, crashes)
    series, _ = kalman_hedge(y, x, first_index=123, hedge_window=H, window=W)
    for row in sampled_rows():
        before = series.spread[row - W : row]
        before = before[~np.isnan(before)]
        mean, std = before.mean(), before.std(ddof=1)
        assert series.spread_mean[row] == pytest.approx(mean, rel=1e-9, abs=1e-9 * std)
        assert series.spread_std[row] == pytest.approx(std, rel=1e-9)


@pytest.mark.parametrize(("level", "size"), [(6e4, 1e-9), (1e-6, 1e-6), (6e4, 1e-3)])
def test_filter_knows_after_a_million_bars_what_one_knows_that_began_late(level, size):
    """A crash far beyond all moves must not cost its covariance the digits, for good."""
    y, x = simulate(level, size, CRASHES)
    series, stderr = kalman_hedge(y, x, first_index=123, hedge_window=H, window=W)
    assert np.isfinite(stderr[3 * W :]).all()
    start = N - 40 * H
    late, _ = kalman_hedge(y[start:], x[start:], first_index=123 + start, hedge_window=H, window=W)
    np.testing.assert_allclose(series.zscore[-H:], late.zscore[-H:], rtol=1e-7, atol=1e-7)
