"""The z of every pair of a universe at its last row, both directions, from matrix products."""

import math
from typing import Literal, NamedTuple

import numpy as np
from numba import njit

from core.types import BoolArray, FloatArray
from core.windows import is_still

_FEWEST_DIGITS = 1e-4  # share of a leg's own square that must be left of it


class Radar(NamedTuple):
    """(N, N) each, [i, j] with symbol i as leg A and j as leg B; NaN where undefined."""

    hedge_ratio: FloatArray
    spread_std: FloatArray
    zscore: FloatArray


def radar(
    logs: FloatArray, *, window: int, hedge_window: int, hedge: Literal["ols", "ratio"] = "ols"
) -> Radar:
    """Compute hedge ratio, deviation of the spread and z-score of every pair at the last row.

    Parameters
    ----------
    logs : (N, n) log prices on dense rows; NaN where a row is missing. n should be more than
        `hedge_window`: what lies before it is not looked at.
    window, hedge_window, hedge : as of a pair, see `core.regression.rolling_hedge`.

    Returns
    -------
    Radar; within 1e-9 of the last row that `rolling_hedge` gives for the pair, NaN where that is.

    Notes
    -----
    With sums about means over the rows that both legs have, b = Σ_H xy / Σ_H xx, the spread's sum
    of squares Q = Σ_W yy − 2b·Σ_W xy + b²·Σ_W xx, and z = [(y_t − ȳ_W) − b(x_t − x̄_W)] /
    √(Q/(W − 1)). Where too few digits of a difference are left, the rows themselves are summed.
    """
    last = logs.shape[1] - 1
    fit, unsure = _hedge_ratios(logs, last, window, hedge_window, hedge)
    anchor = _last_present(logs, last)
    recent = _sums(logs[:, max(last - window, 0) : last] - anchor)
    now = logs[:, last:] - anchor
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = recent.squares + fit * (fit * recent.squares.T - 2.0 * recent.products)
        unsure |= ~(squares >= _FEWEST_DIGITS * recent.squares)
        unsure |= recent.is_worn | recent.is_worn.T
        few = (recent.rows < 0.9 * window) | (recent.rows < 2.0)
        std = np.sqrt(np.maximum(squares, 0.0) / (recent.rows - 1.0))
        std[few | np.isnan(fit)] = math.nan
        away = now - recent.means  # [i, j]: of i from its mean over the rows it has with j
        zscore = (away - fit * away.T) / std
    out = Radar(fit, std, zscore)
    np.fill_diagonal(unsure, False)
    for matrix in out:
        np.fill_diagonal(matrix, math.nan)
    _sum_rows(logs, np.argwhere(unsure), window, hedge_window, hedge == "ratio", *out)
    return out


def hedge_ratios(logs: FloatArray, *, window: int, hedge_window: int) -> FloatArray:
    """Fit every symbol on every other over the last rows, as known for the row after them.

    Parameters
    ----------
    logs, window, hedge_window : see `radar`.

    Returns
    -------
    (N, N) slope of symbol i on j; NaN on the diagonal, and where `radar` has none.
    """
    last = logs.shape[1]
    fit, unsure = _hedge_ratios(logs, last, window, hedge_window, "ols")
    np.fill_diagonal(unsure, False)
    np.fill_diagonal(fit, math.nan)
    beyond = np.column_stack((logs, np.full(len(logs), math.nan)))
    spare = np.empty_like(fit)
    _sum_rows(beyond, np.argwhere(unsure), window, hedge_window, False, fit, spare, spare)
    return fit


class _Sums(NamedTuple):
    """Of each symbol over the rows it has in common with each other one, about its mean there."""

    rows: FloatArray
    means: FloatArray
    squares: FloatArray
    products: FloatArray
    is_worn: BoolArray


def _sums(anchored: FloatArray) -> _Sums:
    shape = len(anchored), len(anchored)
    present = ~np.isnan(anchored)
    if present.all():
        means = anchored.mean(axis=1, keepdims=True)
        centred = anchored - means
        products = centred @ centred.T
        squares = np.broadcast_to(np.diag(products)[:, None], shape)
        rows = np.full(shape, float(anchored.shape[1]))
        worn = np.zeros(shape, dtype=np.bool_)
        return _Sums(rows, np.broadcast_to(means, shape), squares, products, worn)
    filled, mask = np.where(present, anchored, 0.0), present.astype(np.float64)
    own = filled.sum(axis=1, keepdims=True) / np.maximum(mask.sum(axis=1, keepdims=True), 1.0)
    filled = np.where(present, anchored - own, 0.0)
    rows, total = mask @ mask.T, filled @ mask.T
    about_own = (filled * filled) @ mask.T
    means = total / np.maximum(rows, 1.0)
    squares = about_own - total * means
    products = filled @ filled.T - total * means.T
    return _Sums(rows, means + own, squares, products, squares < _FEWEST_DIGITS * about_own)


def _last_present(logs: FloatArray, stop: int) -> FloatArray:
    """Each symbol's last price before a row: a leg that does not move is exactly 0 about it."""
    present = ~np.isnan(logs[:, :stop])
    row = stop - 1 - np.argmax(present[:, ::-1], axis=1)
    anchor: FloatArray = np.take_along_axis(logs, row[:, None], axis=1)
    return anchor


def _hedge_ratios(
    logs: FloatArray, row: int, window: int, hedge_window: int, hedge: str
) -> tuple[FloatArray, BoolArray]:
    """Slopes known for a row, and which of them have to be taken from the rows themselves."""
    begin = max(row - hedge_window, 0)
    sums = _sums(logs[:, begin:row] - _last_present(logs, row))
    present = ~np.isnan(logs[:, :row])
    first = np.where(present.any(axis=1), np.argmax(present, axis=1), row)
    # Of a pair that began later than the window it counts since when it has both legs.
    common = np.maximum(first[:, None], first[None, :])
    reach = np.minimum(row - common, hedge_window)
    at = np.minimum(common, row - 1)
    both = present[np.arange(len(logs))[:, None], at] & present[np.arange(len(logs))[None, :], at]
    unsure = (common > begin) & ~both & (common < row)
    few = (reach < window) | (sums.rows < 0.9 * reach)
    if hedge == "ratio":
        fit = np.ones(few.shape)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            fit = np.where(sums.squares.T > 0.0, sums.products / sums.squares.T, math.nan)
        unsure |= sums.is_worn | sums.is_worn.T
    fit[few] = math.nan
    return fit, unsure & ~(few & both)


@njit(cache=True, nogil=True)
def _sum_rows(  # type: ignore[no-untyped-def]
    logs, pairs, window, hedge_window, is_ratio, hedge_ratio, spread_std, zscore
):
    """The same numbers of some pairs from their last row's windows, row by row."""
    last = logs.shape[1] - 1
    for pair in range(len(pairs)):
        i, j = pairs[pair]
        y, x = logs[i], logs[j]
        hedge_ratio[i, j] = spread_std[i, j] = zscore[i, j] = math.nan
        first = 0
        while first < last and math.isnan(y[first] + x[first]):
            first += 1
        reach = min(last - first, hedge_window)
        rows, at_y, at_x = 0, 0.0, 0.0
        for row in range(last - reach, last):
            if not math.isnan(y[row] + x[row]):
                rows += 1
                at_y, at_x = y[row], x[row]
        if reach < window or rows < 0.9 * reach:
            continue
        slope = 1.0 if is_ratio else _slope(y, x, last - reach, last, at_y, at_x, rows)
        if math.isnan(slope):
            continue
        hedge_ratio[i, j] = slope
        count, mean, squares = 0, 0.0, 0.0
        begin = max(last - window, 0)
        for row in range(begin, last):
            spread = (y[row] - at_y) - slope * (x[row] - at_x)
            if not math.isnan(spread):
                count += 1
                mean += spread
        if count < 0.9 * window or count < 2:
            continue
        mean /= count
        for row in range(begin, last):
            spread = (y[row] - at_y) - slope * (x[row] - at_x) - mean
            if not math.isnan(spread):
                squares += spread * spread
        std = math.sqrt(squares / (count - 1))
        if is_still(std, at_y, slope * at_x):
            std = 0.0
        spread_std[i, j] = std
        if std > 0.0:
            zscore[i, j] = ((y[last] - at_y) - slope * (x[last] - at_x) - mean) / std


@njit(cache=True)
def _slope(y, x, begin, end, at_y, at_x, rows):  # type: ignore[no-untyped-def]
    mean_y = mean_x = 0.0
    for row in range(begin, end):
        if not math.isnan(y[row] + x[row]):
            mean_y += (y[row] - at_y) / rows
            mean_x += (x[row] - at_x) / rows
    xx = xy = 0.0
    for row in range(begin, end):
        if not math.isnan(y[row] + x[row]):
            dx = (x[row] - at_x) - mean_x
            xx += dx * dx
            xy += dx * ((y[row] - at_y) - mean_y)
    return xy / xx if xx > 0.0 else math.nan


def return_correlations(logs: FloatArray, window: int) -> FloatArray:
    """Correlation of every two symbols' log returns over the last rows.

    Parameters
    ----------
    logs : see `radar`.

    Returns
    -------
    (N, N); NaN where under 90 % of `window` returns are present in both, or one does not move.
    """
    sums = _sums(np.diff(logs[:, -window - 1 :], axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        out = sums.products / np.sqrt(sums.squares * sums.squares.T)
    out[sums.rows < max(0.9 * window, 2)] = math.nan
    return np.where(np.isfinite(out), out, math.nan)
