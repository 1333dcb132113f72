"""Hedge ratio by ordinary least squares: rolling and causal, and over the full sample."""

import math

import numpy as np
from numba import njit

from core.types import FloatArray, HedgeSeries
from core.windows import EMPTY, advance

_FEWEST_DIGITS = 1e-4  # below this share of the legs' own variance the spread's is summed afresh


def log_prices(close: FloatArray) -> FloatArray:
    """Natural logarithm, row by row: numpy's vectorised one differs in the last bit by position."""
    out = np.empty(len(close))
    _log(np.ascontiguousarray(close, dtype=np.float64), out)
    return out


@njit(cache=True)
def _log(values, out):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        out[i] = math.log(values[i])


def rolling_ols(
    y: FloatArray, x: FloatArray, *, first_index: int, hedge_window: int, window: int
) -> HedgeSeries:
    """Regress y on [1, x] over the rows before each row; spread and z-score with that fit.

    Parameters
    ----------
    y, x : (n,) log prices on dense rows; NaN where a row is missing.
    first_index : absolute bar number of row 0 (open time / timeframe).
    hedge_window : rows of the regression; all there are once there are `window`.
    window : rows of the z-score.

    Returns
    -------
    HedgeSeries, each (n,), log-price units. NaN while the windows fill, where under 90 % of a
    window is present, where the row itself is missing (spread, zscore), where x does not move
    (all), where the spread does not (zscore).

    Notes
    -----
    With (a, b) fitted on rows t−H … t−1: s_i = y_i − a − b·x_i and
    z_t = (s_t − mean(s_{t−W…t−1})) / std(s_{t−W…t−1}, ddof=1). The window excludes t, and every
    s_i is priced with the one fit of t. Row t uses rows up to t only.

    References
    ----------
    Welford (1962), Chan, Golub and LeVeque (1983) on running moments about a shifted origin.
    """
    n = len(y)
    out = np.full((6, n), np.nan)
    _rolling_ols(y, x, first_index, hedge_window, window, EMPTY, EMPTY, 0, out)
    return HedgeSeries(*out)


@njit(cache=True)
def _rolling_ols(  # type: ignore[no-untyped-def]
    y, x, first_index, hedge_window, window, fit_state, z_state, start, out
):
    for row in range(start, len(y)):
        fit_state = advance(fit_state, x, y, row, hedge_window, first_index)
        z_state = advance(z_state, x, y, row, window, first_index)
        rows = min(row, hedge_window)
        n, cx, cy, sx, sy, sxx, sxy, _, _, _ = fit_state
        if rows < window or n < 0.9 * rows:
            continue
        x_squares = n * sxx - sx * sx
        if x_squares <= 0.0:
            continue
        hedge_ratio = (n * sxy - sx * sy) / x_squares
        # The fit's mean point: the line runs through it, whatever the level of the prices.
        x_mean = cx + sx / n
        y_mean = cy + sy / n
        out[0, row] = hedge_ratio
        out[1, row] = y_mean - hedge_ratio * x_mean
        spread = (y[row] - y_mean) - hedge_ratio * (x[row] - x_mean)
        out[2, row] = spread
        n, cx, cy, sx, sy, sxx, sxy, syy, _, _ = z_state
        if n < 0.9 * window or n < 2.0:
            continue
        inverse = 1.0 / n
        mean = (cy - y_mean + sy * inverse) - hedge_ratio * (cx - x_mean + sx * inverse)
        xx = sxx - sx * sx * inverse
        yy = syy - sy * sy * inverse
        xy = sxy - sx * sy * inverse
        squares = yy + hedge_ratio * (hedge_ratio * xx - 2.0 * xy)
        if squares < _FEWEST_DIGITS * (yy + hedge_ratio * hedge_ratio * xx):
            squares = 0.0
            for i in range(row - window, row):
                if not (math.isnan(x[i]) or math.isnan(y[i])):
                    s = (y[i] - y_mean) - hedge_ratio * (x[i] - x_mean) - mean
                    squares += s * s
        std = math.sqrt(squares / (n - 1.0))
        out[3, row] = mean
        out[4, row] = std
        if std > 0.0:
            out[5, row] = (spread - mean) / std
    return fit_state, z_state


def full_sample_ols(y: FloatArray, x: FloatArray) -> float:
    """Hedge ratio fitted on all rows at once: in-sample, shown for comparison, drives nothing.

    NaN under 3 rows present or when x does not move.
    """
    present = ~(np.isnan(y) | np.isnan(x))
    if present.sum() < 3:
        return math.nan
    dx = x[present] - x[present].mean()
    squares = float(dx @ dx)
    if np.ptp(x[present]) == 0.0:
        return math.nan
    return float(dx @ (y[present] - y[present].mean())) / squares
