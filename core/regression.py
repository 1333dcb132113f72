"""Hedge ratio by ordinary least squares: rolling and causal, and over the full sample."""

import math

import numpy as np
from numba import njit

from core.types import FloatArray, HedgeSeries
from core.windows import (
    EMPTY,
    REBUILD_EVERY,
    deviations,
    is_still,
    is_worn,
    moments,
    rebuild,
    reference,
    slide,
)

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
    _rolling_ols(y, x, first_index, hedge_window, window, NOTHING_SEEN, 0, out)
    return HedgeSeries(*out)


NOTHING_SEEN = (0.0, 0.0, EMPTY, EMPTY)
"""State before the first row: the reference of the sums, the fit's window, the z-score's."""


@njit(cache=True)
def _rolling_ols(  # type: ignore[no-untyped-def]
    y, x, first_index, hedge_window, window, state, start, out
):
    cx, cy, fit, recent = state
    rebuild_at = start + -(first_index + start) % REBUILD_EVERY
    # A division costs as much as the rest of a row: these change with the rows present only.
    fit_n = fit_inverse = recent_n = recent_inverse = recent_freedom = 0.0
    for row in range(start, len(y)):
        if row == rebuild_at:
            rebuild_at += REBUILD_EVERY
            cx, cy = reference(x, y, row - hedge_window, row)
            fit = rebuild(x, y, row - hedge_window, row, cx, cy)
            recent = rebuild(x, y, row - window, row, cx, cy)
        else:
            dx, dy, inside = deviations(x, y, row - 1, cx, cy)
            if fit[0] == 0.0 and inside:
                cx, cy, dx, dy = x[row - 1], y[row - 1], 0.0, 0.0
                fit = recent = EMPTY
            gone = deviations(x, y, row - 1 - hedge_window, cx, cy)
            fit = slide(fit, dx, dy, inside, gone[0], gone[1], gone[2])
            gone = deviations(x, y, row - 1 - window, cx, cy)
            recent = slide(recent, dx, dy, inside, gone[0], gone[1], gone[2])

        rows = min(row, hedge_window)
        if rows < window or fit[0] < 0.9 * rows:
            continue
        if fit[0] != fit_n:
            fit_n = fit[0]
            fit_inverse = 1.0 / fit_n
        fit_x, fit_y, xx, xy, yy = moments(fit, fit_inverse)
        if is_worn(fit, xx, yy):
            cx, cy = reference(x, y, row - hedge_window, row)
            fit = rebuild(x, y, row - hedge_window, row, cx, cy)
            recent = rebuild(x, y, row - window, row, cx, cy)
            fit_x, fit_y, xx, xy, yy = moments(fit, fit_inverse)
        if xx <= 0.0:
            continue
        hedge_ratio = xy / xx
        out[0, row] = hedge_ratio
        out[1, row] = (cy + fit_y) - hedge_ratio * (cx + fit_x)
        # About the fit's mean point, which the line runs through whatever the level of prices.
        spread = (y[row] - cy - fit_y) - hedge_ratio * (x[row] - cx - fit_x)
        out[2, row] = spread

        n = recent[0]
        if n < 0.9 * window or n < 2.0:
            continue
        if n != recent_n:
            recent_n = n
            recent_inverse, recent_freedom = 1.0 / n, 1.0 / (n - 1.0)
        mean_x, mean_y, xx, xy, yy = moments(recent, recent_inverse)
        mean = (mean_y - fit_y) - hedge_ratio * (mean_x - fit_x)
        squares = yy + hedge_ratio * (hedge_ratio * xx - 2.0 * xy)
        if is_worn(recent, xx, yy) or squares < _FEWEST_DIGITS * yy:
            mean, squares = _spread_moments(y, x, row, window, cy, fit_y, cx, fit_x, hedge_ratio)
        std = math.sqrt(squares * recent_freedom)
        if is_still(std, cy, hedge_ratio * cx):
            std = 0.0
        out[3, row] = mean
        out[4, row] = std
        if std > 0.0:
            out[5, row] = (spread - mean) / std
    return cx, cy, fit, recent


@njit(cache=True)
def _spread_moments(  # type: ignore[no-untyped-def]
    y, x, row, window, cy, fit_y, cx, fit_x, hedge_ratio
):
    """Mean of the spread over the window and its sum of squares about it, in two plain passes."""
    n = total = squares = 0.0
    for i in range(row - window, row):
        s = (y[i] - cy - fit_y) - hedge_ratio * (x[i] - cx - fit_x)
        if not math.isnan(s):
            n += 1.0
            total += s
    mean = total / n
    for i in range(row - window, row):
        s = (y[i] - cy - fit_y) - hedge_ratio * (x[i] - cx - fit_x) - mean
        if not math.isnan(s):
            squares += s * s
    return mean, squares


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
