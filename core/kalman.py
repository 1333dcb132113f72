"""Time-varying hedge ratio: dynamic linear regression with a discount factor."""

import math

import numpy as np
from numba import njit

from core.types import FloatArray, HedgeSeries
from core.windows import EMPTY, advance

# Slots of the filter's state.
_SEEN, _C, _B, _A, _P00, _P01, _P11, _KNOWN = range(8)
_STATE_SIZE = 8
_WIDEST = 1e8  # growth of P over a long hole; beyond it nothing is known and digits would be lost


def kalman_hedge(
    y: FloatArray,
    x: FloatArray,
    *,
    first_index: int,
    hedge_window: int,
    window: int,
    discount: float | None = None,
) -> tuple[HedgeSeries, FloatArray]:
    """Filter the hedge ratio of y on x; everything at row t uses the prior of t.

    Parameters
    ----------
    y, x : (n,) log prices on dense rows; NaN where a row is missing.
    first_index : absolute bar number of row 0 (open time / timeframe).
    hedge_window : span of the filter's exponential memory, rows.
    window : rows of the warm-up regression and of the z-score.
    discount : L below; by default that of an exponential window of `hedge_window` rows.

    Returns
    -------
    (series, stderr), each (n,): the spread is the one-step forecast error e, the intercept is
    that of uncentred x. NaN during the warm-up; spread and zscore also where the row is missing
    and zscore until 90 % of a window of errors is there or while they do not vary.

    Notes
    -----
    State [b, a] as a random walk, H = [x − c, 1], c = x of the first row present. Discount
    L = 1 − 2/(hedge_window + 1). Warm-up: OLS on the first `window` rows present,
    P = (H'H)⁻¹, in units of the observation variance. Then P⁻ = P/L, e = y − Hθ,
    S = 1 + HP⁻H', K = P⁻H'/S, θ += Ke, P = (I−KH)P⁻(I−KH)' + KK' (Joseph). A missing row
    predicts without update. z_t = (e_t − mean(e_{t−W…t−1})) / std(e_{t−W…t−1}, ddof=1).
    stderr(b) = √(P⁻₀₀ · var(e over W) · (1+ρ)/(1−ρ)), ρ the lag-1 autocorrelation of e: the
    errors of a spread are not white, and a textbook band would be several times too narrow.

    References
    ----------
    West and Harrison, *Bayesian Forecasting and Dynamic Models*, ch. 6.3 (discount factors).
    """
    n = len(y)
    out = np.full((7, n), np.nan)
    if discount is None:
        discount = 1.0 - 2.0 / (hedge_window + 1.0)
    lagged = np.full(n, np.nan)
    _kalman(
        y, x, first_index, discount, window, np.zeros(_STATE_SIZE), EMPTY, EMPTY, 0, lagged, out
    )
    return HedgeSeries(*out[:6]), out[6]


@njit(cache=True)
def _warm_up(y, x, row, state):  # type: ignore[no-untyped-def]
    """OLS on the rows present up to `row`, about c; leaves the state unseen when x is constant."""
    c = state[_C]
    n = sx = sy = 0.0
    for i in range(row + 1):
        if not (math.isnan(x[i]) or math.isnan(y[i])):
            n += 1.0
            sx += x[i] - c
            sy += y[i]
    mx = sx / n
    my = sy / n
    sxx = sxy = 0.0
    for i in range(row + 1):
        if not (math.isnan(x[i]) or math.isnan(y[i])):
            dx = x[i] - c - mx
            sxx += dx * dx
            sxy += dx * (y[i] - my)
    if sxx <= 0.0:
        return False
    state[_B] = sxy / sxx
    state[_A] = my - state[_B] * mx
    state[_P00] = 1.0 / sxx
    state[_P01] = -mx / sxx
    state[_P11] = 1.0 / n + mx * mx / sxx
    state[_KNOWN] = state[_P00]
    return True


@njit(cache=True)
def _kalman(  # type: ignore[no-untyped-def]
    y, x, first_index, discount, window, state, e_state, lag_state, start, lagged, out
):
    errors = out[2]
    for row in range(start, len(y)):
        # Errors about their running mean, and each beside the one before it.
        e_state = advance(e_state, errors, errors, row, window, first_index)
        if row > 0:
            lagged[row - 1] = errors[row - 2] if row > 1 else math.nan
        lag_state = advance(lag_state, lagged, errors, row, window, first_index)
        present = not (math.isnan(x[row]) or math.isnan(y[row]))
        if state[_SEEN] < window:
            if present:
                if state[_SEEN] == 0.0:
                    state[_C] = x[row]
                state[_SEEN] += 1.0
                if state[_SEEN] == window and not _warm_up(y, x, row, state):
                    state[_SEEN] -= 1.0  # x has not moved yet: wait for a row where it has
            continue
        if state[_P00] < _WIDEST * state[_KNOWN]:
            state[_P00] /= discount
            state[_P01] /= discount
            state[_P11] /= discount
        out[0, row] = state[_B]
        out[1, row] = state[_A] - state[_B] * state[_C]
        mean = std = math.nan
        n, c, _, s, _, ss, _, _, _, _ = e_state
        if n >= 0.9 * window and n >= 2.0:
            mean = c + s / n
            std = math.sqrt(max(ss - s * s / n, 0.0) / (n - 1.0))
            out[3, row] = mean
            out[4, row] = std
            out[6, row] = _stderr(state[_P00], std, lag_state)
        if not present:
            continue
        h = x[row] - state[_C]
        error = y[row] - state[_B] * h - state[_A]
        errors[row] = error
        if std > 0.0:
            out[5, row] = (error - mean) / std
        _update(state, h, error)
    return e_state, lag_state


@njit(cache=True)
def _update(state, h, error):  # type: ignore[no-untyped-def]
    p00, p01, p11 = state[_P00], state[_P01], state[_P11]
    ph0 = p00 * h + p01
    ph1 = p01 * h + p11
    scale = 1.0 + h * ph0 + ph1
    k0 = ph0 / scale
    k1 = ph1 / scale
    state[_B] += k0 * error
    state[_A] += k1 * error
    # Joseph's form keeps P symmetric and positive whatever is rounded away.
    a00 = 1.0 - k0 * h
    a01 = -k0
    a10 = -k1 * h
    a11 = 1.0 - k1
    m00 = a00 * p00 + a01 * p01
    m01 = a00 * p01 + a01 * p11
    m10 = a10 * p00 + a11 * p01
    m11 = a10 * p01 + a11 * p11
    state[_P00] = m00 * a00 + m01 * a01 + k0 * k0
    state[_P01] = m00 * a10 + m01 * a11 + k0 * k1
    state[_P11] = m10 * a10 + m11 * a11 + k1 * k1
    state[_KNOWN] = state[_P00]


@njit(cache=True)
def _stderr(p00, std, lag_state):  # type: ignore[no-untyped-def]
    n, _, _, sx, sy, sxx, sxy, syy, _, _ = lag_state
    if n < 2.0:
        return math.nan
    xx = sxx - sx * sx / n
    yy = syy - sy * sy / n
    xy = sxy - sx * sy / n
    if xx <= 0.0 or yy <= 0.0:
        return math.nan
    rho = xy / math.sqrt(xx * yy)
    if abs(rho) >= 1.0:
        return math.nan
    return math.sqrt(p00 * std * std * (1.0 + rho) / (1.0 - rho))
