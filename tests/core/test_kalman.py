import numpy as np
import pytest
from scipy.signal import lfilter
from statsmodels.regression.recursive_ls import RecursiveLS

from core import kalman
from core.kalman import NOTHING_SEEN, _kalman, kalman_hedge
from core.regression import log_prices, rolling_hedge

H, W = 300, 60


def twin(y, x, hedge_window=H, window=W):
    """The filter in plain matrices, row by row, as the method note has it."""
    discount = 1 - 2 / (hedge_window + 1)
    n = len(y)
    out = np.full((4, n), np.nan)  # hedge ratio, intercept, error, z
    seen, theta, P = [], None, None
    for t in range(n):
        present = not np.isnan(y[t] + x[t])
        if theta is None:
            if present:
                seen.append(t)
            if len(seen) == window:
                c = x[seen[0]]
                design = np.c_[x[seen] - c, np.ones(window)]
                theta = np.linalg.lstsq(design, y[seen], rcond=None)[0]
                P = np.linalg.inv(design.T @ design)
            continue
        P = P / discount
        out[0, t], out[1, t] = theta[0], theta[1] - theta[0] * c
        if not present:
            continue
        h = np.array([x[t] - c, 1.0])
        out[2, t] = y[t] - h @ theta
        before = out[2, max(0, t - window) : t]
        before = before[~np.isnan(before)]
        if len(before) >= 0.9 * window:
            out[3, t] = (out[2, t] - before.mean()) / before.std(ddof=1)
        gain = P @ h / (1 + h @ P @ h)
        theta = theta + gain * out[2, t]
        P = P - np.outer(gain, h @ P)
    return out


def four(series):
    return np.array([series.hedge_ratio, series.intercept, series.spread, series.zscore])


@pytest.mark.parametrize("missing", [0.0, 0.04])
def test_every_row_equals_the_plain_matrix_filter(log_pair, missing):
    y, x = log_pair(2500, 3, missing)
    series, _ = kalman_hedge(y, x, first_index=11, hedge_window=H, window=W)
    np.testing.assert_allclose(four(series), twin(y, x), rtol=1e-7, atol=1e-7)


def test_without_forgetting_it_is_recursive_least_squares(log_pair):
    y, x = log_pair(600, 4)
    series, _ = kalman_hedge(y, x, first_index=0, hedge_window=H, window=W, discount=1.0)
    fitted = RecursiveLS(y, np.c_[x - x[0], np.ones(len(x))]).fit()
    prior = fitted.recursive_coefficients.filtered[:, :-1]
    rows = slice(W, None)
    np.testing.assert_allclose(series.hedge_ratio[rows], prior[0, W - 1 :], rtol=1e-9, atol=1e-9)
    intercept = series.intercept + series.hedge_ratio * x[0]
    np.testing.assert_allclose(intercept[rows], prior[1, W - 1 :], rtol=1e-9, atol=1e-9)
    error = y[1:] - prior[0] * (x[1:] - x[0]) - prior[1]
    np.testing.assert_allclose(series.spread[rows], error[W - 1 :], atol=1e-9)


@pytest.mark.parametrize("scales", [(1e-6, 1e-6), (1e6, 1e6), (1e-6, 1e6), (1.0, 1e6)])
def test_unit_of_a_price_changes_neither_hedge_ratio_nor_z(log_pair, scales):
    closes = np.exp(log_pair(2000, 5, 0.02))
    plain, scaled = (
        kalman_hedge(log_prices(a), log_prices(b), first_index=0, hedge_window=H, window=W)[0]
        for a, b in (closes, closes * np.array(scales)[:, None])
    )
    np.testing.assert_allclose(scaled.hedge_ratio, plain.hedge_ratio, rtol=1e-7)
    np.testing.assert_allclose(scaled.zscore, plain.zscore, atol=1e-6)


def difference_of_two_starts(y, x, hedge_window, window, forgotten):
    """|Δz| of filters that began 5·hedge_window rows apart, so many rows after the later start."""
    start = 5 * hedge_window
    options = {"hedge_window": hedge_window, "window": window}
    early, _ = kalman_hedge(y, x, first_index=0, **options)
    late, _ = kalman_hedge(y[start:], x[start:], first_index=start, **options)
    return np.abs(early.zscore[start:] - late.zscore)[forgotten:]


@pytest.mark.parametrize("seed", range(6))
def test_filter_forgets_where_it_began(log_pair, seed):
    assert difference_of_two_starts(*log_pair(6000, seed), H, W, 5 * H + 2 * W).max() < 1e-3


@pytest.mark.parametrize(("a", "b"), [("BTC", "ETH"), ("SOL", "AVAX"), ("LTC", "BCH")])
def test_filter_forgets_where_it_began_on_recorded_pairs(recorded_logs, a, b):
    """Their trends make starts disagree more: a row may do so by thousandths for a while."""
    difference = difference_of_two_starts(*recorded_logs(a, b), 200, 40, 5 * 200 + 2 * 40)
    assert difference.max() < 1e-2
    assert np.median(difference) < 1e-6
    assert difference[3 * 200 :].max() < 1e-3


def test_the_future_never_changes_a_row(log_pair):
    y, x = log_pair(1500, 7, 0.02)
    whole, stderr = kalman_hedge(y, x, first_index=9, hedge_window=H, window=W)
    for n in (1, 59, 60, 61, 800, 1015, 1016, 1499):
        part, part_stderr = kalman_hedge(y[:n], x[:n], first_index=9, hedge_window=H, window=W)
        np.testing.assert_array_equal(part_stderr, stderr[:n])
        for name in part.__slots__:
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:n])


def test_bars_fed_one_by_one_give_the_bits_of_the_whole_array(log_pair):
    y, x = log_pair(900, 8, 0.02)
    whole, stderr = kalman_hedge(y, x, first_index=3, hedge_window=H, window=W)
    out, state = np.full((7, 900), np.nan), NOTHING_SEEN
    for n in range(900):
        state = _kalman(y[: n + 1], x[: n + 1], 3, 1 - 2 / (H + 1), W, state, n, out[:, : n + 1])
    np.testing.assert_array_equal(out[:6], [getattr(whole, name) for name in whole.__slots__])
    np.testing.assert_array_equal(out[6], stderr)


@pytest.mark.parametrize(("a", "b"), [("BTC", "ETH"), ("SOL", "AVAX"), ("LTC", "BCH")])
def test_z_of_recorded_pairs_is_wide_and_persistent_enough_to_trade(recorded_logs, a, b):
    y, x = recorded_logs(a, b)
    series, _ = kalman_hedge(y, x, first_index=0, hedge_window=600, window=120)
    z = series.zscore[~np.isnan(series.zscore)]
    assert 1.38 < z.std() < 1.45
    assert 0.955 < np.corrcoef(z[1:], z[:-1])[0, 1] < 0.975


@pytest.mark.parametrize(
    ("hedge_window", "phi", "size", "most"),
    [(300, 0.9, 5e-4, 0.035), (600, 0.95, 5e-4, 0.041), (300, 0.98, 3e-4, 0.07)],
)
def test_drifting_hedge_ratio_is_followed_more_closely_than_by_ols(hedge_window, phi, size, most):
    """Δy = β·Δx + ΔAR(1), β a random walk: where a window of equal weights lags, it must not."""
    errors = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        n = 6000
        ratio = 1 + np.cumsum(rng.normal(0, 1e-3, n))
        dx = rng.normal(0, 1e-3, n)
        spread = lfilter([1], [1, -phi], rng.normal(0, size, n))
        x, y = 8 + np.cumsum(dx), 4 + np.cumsum(ratio * dx) + spread
        options = {"first_index": 0, "hedge_window": hedge_window, "window": hedge_window // 5}
        fits = kalman_hedge(y, x, **options)[0], rolling_hedge(y, x, **options)
        rows = slice(5 * hedge_window, None)
        errors.append([np.mean((fit.hedge_ratio - ratio)[rows] ** 2) for fit in fits])
    kalman, ols = np.sqrt(np.mean(errors, axis=0))
    assert kalman < most
    assert kalman < 0.75 * ols


def test_a_hole_of_a_day_neither_stops_nor_blows_up_the_filter(log_pair):
    y, x = log_pair(8000, 10)
    y[1000:7000] = np.nan
    series, _ = kalman_hedge(y, x, first_index=0, hedge_window=W, window=W)
    assert np.isnan(series.zscore[1000:7000]).all()
    assert np.isfinite(series.zscore[7000 + W :]).all()
    assert np.abs(series.hedge_ratio[7000 + 5 * W :] - 0.8).max() < 1.5


def test_a_hole_in_which_all_is_forgotten_does_not_end_the_filter(log_pair):
    """Without a bound on P it would grow by 1.2 a row, past what doubles hold."""
    y, x = log_pair(8000, 10)
    y[1000:7000] = np.nan
    series, _ = kalman_hedge(y, x, first_index=0, hedge_window=10, window=10)
    late, _ = kalman_hedge(y[7000:], x[7000:], first_index=7000, hedge_window=10, window=10)
    assert np.isfinite(series.zscore[7020:]).all()
    np.testing.assert_allclose(series.hedge_ratio[7200:], late.hedge_ratio[200:], rtol=1e-6)


def test_constant_legs_give_nan(log_pair):
    y, _ = log_pair(400, 1)
    flat = np.full(400, 5.0)
    assert np.isnan(kalman_hedge(y, flat, first_index=0, hedge_window=H, window=W)[0].spread).all()
    series, _ = kalman_hedge(flat, y, first_index=0, hedge_window=H, window=W)
    assert not np.isinf(series.zscore).any()


def test_band_is_wider_for_a_persistent_error_than_for_white_noise():
    rng = np.random.default_rng(0)
    n = 3000
    x = 8 + np.cumsum(rng.normal(0, 1e-3, n))
    noise = rng.normal(0, 1e-3, n)
    slow = np.zeros(n)
    for i in range(1, n):
        slow[i] = 0.95 * slow[i - 1] + noise[i] * np.sqrt(1 - 0.95**2)
    bands = [
        kalman_hedge(3 + x + e, x, first_index=0, hedge_window=H, window=W)[1][1000:].mean()
        for e in (noise, slow)
    ]
    assert bands[1] > 2 * bands[0]


def test_band_is_that_of_the_errors_in_the_window_long_after_a_crash():
    """√(P⁻₀₀·var·(1+ρ)/(1−ρ)) from the errors themselves, P⁻₀₀ by the filter fed bar by bar."""
    rng = np.random.default_rng(2)
    n, hedge_window, window = 700, 20, 20
    x = 8 + np.cumsum(rng.normal(0, 1e-3, n))
    y = 3 + 0.7 * x + rng.normal(0, 1e-9, n)
    y[100] += 1.0
    discount = 1 - 2 / (hedge_window + 1)
    out, state = np.full((7, n), np.nan), NOTHING_SEEN
    for row in range(n):
        variance_of_b = state[0][5] / discount
        size = row + 1
        state = _kalman(y[:size], x[:size], 3, discount, window, state, row, out[:, :size])
        if row < 2 * window + 1:
            continue
        e = out[2, row - window - 1 : row]
        before, after = e[:-1] - e[:-1].mean(), e[1:] - e[1:].mean()
        rho = 2 * (before @ after) / (before @ before + after @ after)
        stderr = np.sqrt(variance_of_b * e[1:].var(ddof=1) * (1 + rho) / (1 - rho))
        assert out[6, row] == pytest.approx(stderr, rel=1e-6), row


def test_the_cost_of_a_bar_does_not_grow_with_the_window_after_a_crash(monkeypatch):
    """Sums that a crash has worn are taken afresh once, and not row by row ever after."""
    rng = np.random.default_rng(2)
    n = 900
    x = 8 + np.cumsum(rng.normal(0, 1e-3, n))
    y = 3 + 0.7 * x + rng.normal(0, 1e-9, n)
    y[300] += 1.0
    afresh = 0

    def counting(*arguments):
        nonlocal afresh
        afresh += 1
        return sum_afresh(*arguments)

    sum_afresh = kalman._sum_afresh
    monkeypatch.setattr(kalman, "_sum_afresh", counting)
    monkeypatch.setattr(kalman, "_kalman", kalman._kalman.py_func)
    kalman_hedge(y, x, first_index=1, hedge_window=20, window=100)
    assert 1 <= afresh <= 10  # of 900 bars, 100 of which have the crash in their window


def test_errors_that_have_died_away_give_no_z():
    rng = np.random.default_rng(6)
    x = 11 + np.cumsum(np.where(np.arange(2_000) < 400, rng.normal(0, 1e-3, 2_000), 0.0))
    y = 3 + 0.7 * x + np.where(np.arange(2_000) < 400, rng.normal(0, 1e-3, 2_000), 0.0)
    series, _ = kalman_hedge(y, x, first_index=5, hedge_window=50, window=10)
    assert (series.spread_std[1_400:] == 0.0).all()
    assert np.isnan(series.zscore[1_400:]).all()
    assert np.isfinite(series.zscore[30:400]).all()


def test_filter_begins_with_the_first_move_of_a_leg_that_stood_still(log_pair):
    y, x = log_pair(900, 3)
    x[:500] = x[0]
    x[500:] += x[0] - x[500] + 1e-3
    series, _ = kalman_hedge(y, x, first_index=0, hedge_window=H, window=W)
    assert np.isnan(series.hedge_ratio[:501]).all()
    assert np.isfinite(series.hedge_ratio[501:]).all()
