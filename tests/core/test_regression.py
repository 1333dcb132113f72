import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS
from statsmodels.tools import add_constant

from core import regression
from core.regression import (
    NOTHING_SEEN,
    ROLLING_HEDGES,
    advance,
    full_sample_ols,
    log_prices,
    rolling_hedge,
)

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
    series = rolling_hedge(y, x, first_index=777, hedge_window=H, window=W)
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
    series = rolling_hedge(y, x, first_index=0, hedge_window=H, window=W)
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
    series = rolling_hedge(y, x, first_index=0, hedge_window=H, window=W)
    for row in [*range(1090, 1110), *range(1290, 1400, 3), 2999]:
        np.testing.assert_allclose(
            [series.hedge_ratio[row], series.zscore[row]], np.array(twin(y, x, row))[[0, 3]],
            rtol=1e-8, atol=1e-8,
        )  # fmt: skip


def twin_of(hedge, y, x, row, hedge_window=H, window=W):
    """The contract in plain words, each sum over its own rows, about values of that window."""
    low = max(0, row - hedge_window)
    here = np.arange(low, row)
    fit = here[~np.isnan(y[low:row] + x[low:row])]
    if row - low < window or len(fit) < 0.9 * (row - low):
        return None
    dy, dx = y - y[fit[-1]], x - x[fit[-1]]
    ols = OLS(dy[fit], add_constant(dx[fit])).fit().params[1]
    if hedge == "ratio":
        ratio = 1.0
    elif hedge == "shrunk":
        ratio = (ols + 1) / 2
    elif hedge == "returns":
        here = here[here >= 10]
        change_y, change_x = y[here] - y[here - 10], x[here] - x[here - 10]
        known = ~np.isnan(change_y + change_x)
        if len(here) < window or known.sum() < 0.9 * len(here):
            return None
        ratio = OLS(change_y[known], change_x[known]).fit().params[0]
    else:
        ratio = ols
    intercept = np.mean(dy[fit] - ratio * dx[fit])
    s = dy - intercept - ratio * dx
    before = s[row - window : row]
    before = before[~np.isnan(before)]
    z = np.nan
    if len(before) >= 0.9 * window:
        z = (s[row] - before.mean()) / before.std(ddof=1)
    return ratio, y[fit[-1]] + intercept - ratio * x[fit[-1]], s[row], z


@pytest.mark.parametrize("hedge", ROLLING_HEDGES)
@pytest.mark.parametrize("missing", [0.0, 0.002])
def test_every_row_of_every_hedge_equals_its_definition(log_pair, hedge, missing):
    y, x = log_pair(2500, 1, missing)
    series = rolling_hedge(y, x, hedge=hedge, first_index=777, hedge_window=H, window=W)
    defined = 0
    for row in [*range(70), *range(70, 2500, 7)]:
        expected = twin_of(hedge, y, x, row)
        got = [s[row] for s in (series.hedge_ratio, series.intercept, series.spread, series.zscore)]
        if expected is None:
            assert np.isnan(got).all(), row
        else:
            defined += 1
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)
    assert defined > 300


def exactly(hedge, y, x, row, hedge_window, window):
    """Ratio, deviation and z in 80-bit floats, summed by brute force."""
    y, x = y.astype(np.longdouble), x.astype(np.longdouble)
    fit = slice(max(0, row - hedge_window), row)
    fit_y, fit_x = y[fit], x[fit]
    dx, dy = fit_x - fit_x.mean(), fit_y - fit_y.mean()
    ratio = (dx @ dy) / (dx @ dx)
    if hedge == "returns":
        dx, dy = fit_x - x[fit.start - 10 : row - 10], fit_y - y[fit.start - 10 : row - 10]
        ratio = (dx @ dy) / (dx @ dx)
    ratio = {"shrunk": (ratio + 1) / 2, "ratio": np.longdouble(1)}.get(hedge, ratio)
    s = y[row - window : row + 1] - ratio * x[row - window : row + 1]
    return ratio, s[:-1].std(ddof=1), (s[-1] - s[:-1].mean()) / s[:-1].std(ddof=1)


@pytest.mark.parametrize("hedge", ROLLING_HEDGES)
@pytest.mark.parametrize("width", [1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("slope", [1.0, 0.5, -3.0])
def test_a_spread_that_is_tiny_beside_its_legs_keeps_its_digits(hedge, width, slope):
    """Wrapped and stable pairs: legs move by 5 %, the spread by a millionth of that."""
    rng = np.random.default_rng(11)
    n = 6_000
    x = 11.0 + np.cumsum(rng.normal(0, 1e-3, n))
    y = 2.0 + slope * x + rng.normal(0, width, n)
    y[2_000:] += np.where(np.arange(n - 2_000) % 2_500 < 40, 0.02, 0.0)  # off its peg, and back
    series = rolling_hedge(y, x, hedge=hedge, first_index=5, hedge_window=600, window=120)
    for row in [*range(1_000, n, 83), 2_001, 2_040, 2_160, 2_161, 2_640, 2_641, 4_620]:
        ratio, std, z = exactly(hedge, y, x, row, 600, 120)
        # A log price of 11 is known to 2e-15: no calculation in doubles can know a spread better.
        allowed = 1e-9 + 64 * 2e-15 * (1 + abs(slope)) / float(std)
        assert series.hedge_ratio[row] == pytest.approx(float(ratio), rel=1e-10)
        assert series.spread_std[row] == pytest.approx(float(std), rel=allowed)
        assert abs(series.zscore[row] - float(z)) <= allowed * max(1.0, abs(float(z))), row


@pytest.mark.parametrize("hedge", ROLLING_HEDGES)
@pytest.mark.parametrize(("slope", "width"), [(1.0, 1e-6), (1.0, 1e-9), (0.5, 1e-6), (2.0, 0.0)])
def test_the_cost_of_a_bar_does_not_grow_with_the_window(monkeypatch, hedge, slope, width):
    """Rows summed afresh, counted: those of the regular rebuilds and a few for a better line."""
    if hedge == "shrunk" and slope != 1.0 and width == 0.0:
        width = 1e-9  # half of the legs' own moves are left: nothing tiny about it
    rng = np.random.default_rng(12)
    n = 3_100
    x = 11.0 + np.cumsum(rng.normal(0, 1e-3, n))
    y = slope * x + rng.normal(0, width, n)
    summed = 0

    def counting(x, y, start, stop, line):
        nonlocal summed
        summed += stop - max(start, 0)
        return rebuild(x, y, start, stop, line)

    rebuild = regression.rebuild
    monkeypatch.setattr(regression, "rebuild", counting)
    monkeypatch.setattr(regression, "_sum_afresh", regression._sum_afresh.py_func)
    monkeypatch.setattr(regression, "_rolling", regression._rolling.py_func)
    windows = 3 if hedge == "returns" else 2
    for window in (20, 200):
        summed = 0
        rolling_hedge(y, x, hedge=hedge, first_index=0, hedge_window=window, window=window)
        afresh = summed / (windows * window)
        assert 1 <= afresh <= 3 * 4, (window, afresh)  # of 3,100 bars


def test_the_future_never_changes_a_row(log_pair):
    y, x = log_pair(1500, 5, 0.02)
    whole = rolling_hedge(y, x, first_index=100, hedge_window=H, window=W)
    for n in (1, 39, 41, 700, 924, 925, 1499):
        part = rolling_hedge(y[:n], x[:n], first_index=100, hedge_window=H, window=W)
        for name in part.__slots__:
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:n])


def test_bars_fed_one_by_one_give_the_bits_of_the_whole_array(log_pair):
    y, x = log_pair(1300, 6, 0.02)
    whole = rolling_hedge(y, x, first_index=3, hedge_window=H, window=W)
    out = np.full((6, 1300), np.nan)
    state = NOTHING_SEEN
    for n in range(1300):
        state = advance(y[: n + 1], x[: n + 1], "ols", 3, H, W, state, n, out)
    np.testing.assert_array_equal(out, [getattr(whole, name) for name in whole.__slots__])


def test_after_a_rebuild_the_start_of_history_leaves_no_trace(log_pair):
    y, x = log_pair(4000, 7)
    early = rolling_hedge(y, x, first_index=0, hedge_window=H, window=W)
    late = rolling_hedge(y[500:], x[500:], first_index=500, hedge_window=H, window=W)
    np.testing.assert_array_equal(early.zscore[1024:], late.zscore[524:])


def test_legs_that_do_not_move_give_nan_and_never_zero_or_infinity():
    n = 500
    rng = np.random.default_rng(0)
    x = np.full(n, 11.0)
    y = 3 + np.cumsum(rng.normal(0, 1e-3, n))
    assert np.isnan(rolling_hedge(y, x, first_index=0, hedge_window=H, window=W).hedge_ratio).all()
    flat = rolling_hedge(np.full(n, 2.0), y, first_index=0, hedge_window=H, window=W)
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
    series = rolling_hedge(y, x, first_index=5, hedge_window=600, window=120)
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
    series = rolling_hedge(y, x, first_index=0, hedge_window=100, window=20)
    assert np.isfinite(series.hedge_ratio[400]) == fitted
    assert np.isfinite(series.spread_std[400]) == fitted
