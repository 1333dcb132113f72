"""Hedge ratio over a rolling window: four causal ways, and least squares over the full sample."""

import math
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numba import njit

from core.types import FloatArray, HedgeSeries
from core.windows import (
    EMPTY,
    HEDGE_RATIO,
    INTERCEPT,
    REBUILD_EVERY,
    SPREAD,
    SPREAD_MEAN,
    SPREAD_STD,
    ZSCORE,
    Line,
    Window,
    deviations,
    is_still,
    is_worn,
    moments,
    rebuild,
    reference,
    slide,
)

RollingHedge: TypeAlias = Literal["ols", "ratio", "shrunk", "returns"]
ROLLING_HEDGES: tuple[RollingHedge, ...] = ("ols", "ratio", "shrunk", "returns")
_OLS, _RATIO, _SHRUNK, _RETURNS = range(4)

CHANGE_ROWS = 10
"""Rows that the changes span which `returns` is fitted to and hedges are judged by."""

_FEWEST_DIGITS = 1e-4  # below this share of u's own variance the spread's needs a better line
_UNKNOWN_LINE = Line(0.0, 0.0, 1.0)  # of the log price ratio, until a fit says better


def log_prices(close: FloatArray) -> FloatArray:
    """Natural logarithm, row by row: numpy's vectorised one differs in the last bit by position."""
    out = np.empty(len(close))
    _log(np.ascontiguousarray(close, dtype=np.float64), out)
    return out


@njit(cache=True)
def _log(values, out):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        out[i] = math.log(values[i])


def changes(values: FloatArray) -> FloatArray:
    """Change of each row over the last CHANGE_ROWS rows; NaN where either end is missing."""
    out = np.full(len(values), np.nan)
    out[CHANGE_ROWS:] = values[CHANGE_ROWS:] - values[:-CHANGE_ROWS]
    return out


def rolling_hedge(
    y: FloatArray,
    x: FloatArray,
    *,
    hedge: RollingHedge = "ols",
    first_index: int,
    hedge_window: int,
    window: int,
    start: int = 0,
) -> HedgeSeries:
    """Fit y on x over the rows before each row; spread and z-score with that fit.

    Parameters
    ----------
    y, x : (n,) log prices on dense rows; NaN where a row is missing.
    hedge : how the hedge ratio b is found, see Notes.
    first_index : absolute bar number of row 0 (open time / timeframe).
    hedge_window : rows of the fit; all there are once there are `window`.
    window : rows of the z-score.
    start : first row wanted, those before stay NaN. Where its absolute number is a multiple of
        REBUILD_EVERY, the rows from there on have the bits of those computed from 0 on.

    Returns
    -------
    HedgeSeries, each (n,), log-price units. NaN while the windows fill, where under 90 % of a
    window is present, where the row itself is missing (spread, zscore), where x does not move
    (all, but for `ratio`), where the spread does not (zscore).

    Notes
    -----
    All with the same (a, b), found on rows t−H … t−1: s_i = y_i − a − b·x_i and
    z_t = (s_t − mean(s_{t−W…t−1})) / std(s_{t−W…t−1}, ddof=1). The window excludes t.
    ols: least squares of y on [1, x]. ratio: b = 1. shrunk: half way between the two.
    returns: least squares through 0 of y_i − y_{i−10} on x_i − x_{i−10}, i over the H rows, all
    there are once there are W. In all four the line runs through the means of x and y.

    With u_i = y_i − c_y − b₀(x_i − c_x) and δ = b − b₀, the spread's sum of squares is
    Σu² − 2δΣxu + δ²Σx² about the means. It keeps its digits while b₀ is near b: where under 1e-4
    of Σu² is left, sums are taken about the line of b instead, once, and not row by row.

    References
    ----------
    Welford (1962), Chan, Golub and LeVeque (1983) on running moments about a shifted origin.
    """
    out = np.full((6, len(y)), np.nan)
    advance(y, x, hedge, first_index, hedge_window, window, NOTHING_SEEN, start, out)
    return HedgeSeries(*out)


class Sums(NamedTuple):
    """What is carried from one row to the next: the line, and the windows about it."""

    line: Line = _UNKNOWN_LINE
    fit: Window = EMPTY
    recent: Window = EMPTY  # of the z-score
    change: Window = EMPTY  # of the fit's changes; left alone where the hedge is not `returns`


NOTHING_SEEN = Sums()
"""State before the first row."""


def advance(
    y: FloatArray,
    x: FloatArray,
    hedge: RollingHedge,
    first_index: int,
    hedge_window: int,
    window: int,
    state: Sums,
    start: int,
    out: FloatArray,
) -> Sums:
    """Carry a fit on over the rows from `start`, from `state`; fills six rows of `out`."""
    code = ROLLING_HEDGES.index(hedge)
    change_y, change_x = (changes(y), changes(x)) if hedge == "returns" else (y, x)
    after: Sums = _rolling(
        y, x, change_y, change_x, code, first_index, hedge_window, window, state, start, out
    )
    return after


@njit(cache=True, nogil=True)
def _rolling(  # type: ignore[no-untyped-def]
    y, x, change_y, change_x, hedge, first_index, hedge_window, window, state, start, out
):
    line, fit, recent, change = state
    rebuild_at = start + -(first_index + start) % REBUILD_EVERY
    # A division costs as much as the rest of a row: these change with the rows present only.
    fit_rows = fit_inverse = recent_rows = recent_inverse = recent_freedom = 0.0
    for row in range(start, len(y)):
        if row == rebuild_at:
            rebuild_at += REBUILD_EVERY
            line = reference(x, y, row - hedge_window, row, 1.0)
            fit, recent, change = _sum_afresh(
                y, x, change_y, change_x, hedge, row, hedge_window, window, line
            )
        else:
            new = deviations(x, y, row - 1, line)
            if fit.rows == 0.0 and new[2] > 0.0:
                line = Line(x[row - 1], y[row - 1], 1.0)
                new = (0.0, 0.0, 1.0)
                fit = recent = change = EMPTY
            fit = slide(fit, new, deviations(x, y, row - 1 - hedge_window, line))
            recent = slide(recent, new, deviations(x, y, row - 1 - window, line))
            if hedge == _RETURNS:
                sloped = Line(0.0, 0.0, line.slope)
                new = deviations(change_x, change_y, row - 1, sloped)
                old = deviations(change_x, change_y, row - 1 - hedge_window, sloped)
                change = slide(change, new, old)

        rows = min(row, hedge_window)
        if rows < window or fit.rows < 0.9 * rows:
            continue
        if hedge == _RETURNS:
            rows = min(row - CHANGE_ROWS, hedge_window)
            if rows < window or change.rows < 0.9 * rows:
                continue
        if fit.rows != fit_rows:
            fit_rows = fit.rows
            fit_inverse = 1.0 / fit_rows
        if recent.rows != recent_rows:
            recent_rows = recent.rows
            recent_inverse = 1.0 / max(recent_rows, 1.0)
            recent_freedom = 1.0 / max(recent_rows - 1.0, 1.0)
        found = _judge(
            hedge, line, fit, fit_inverse, recent, recent_inverse, recent_freedom, change
        )
        if not found[-1]:
            for _ in range(2):
                better = line.slope if math.isnan(found[0]) else found[0]
                line = reference(x, y, row - hedge_window, row, better)
                fit, recent, change = _sum_afresh(
                    y, x, change_y, change_x, hedge, row, hedge_window, window, line
                )
                found = _judge(
                    hedge, line, fit, fit_inverse, recent, recent_inverse, recent_freedom, change
                )
                if found[-1]:
                    break
        hedge_ratio, fit_x, fit_u, mean_x, mean_u, squares, _ = found
        slope = hedge_ratio - line.slope
        if math.isnan(hedge_ratio):
            continue
        out[HEDGE_RATIO, row] = hedge_ratio
        out[INTERCEPT, row] = (line.y + fit_u - slope * fit_x) - hedge_ratio * line.x
        # About the fit's mean point, which the line runs through whatever the level of prices.
        dx = x[row] - line.x
        spread = ((y[row] - line.y) - line.slope * dx - fit_u) - slope * (dx - fit_x)
        out[SPREAD, row] = spread
        if recent_rows < 0.9 * window or recent_rows < 2.0:
            continue
        mean = (mean_u - fit_u) - slope * (mean_x - fit_x)
        std = math.sqrt(max(squares, 0.0) * recent_freedom)
        if is_still(std, line.y, hedge_ratio * line.x):
            std = 0.0
        out[SPREAD_MEAN, row] = mean
        out[SPREAD_STD, row] = std
        if std > 0.0:
            out[ZSCORE, row] = (spread - mean) / std
    return Sums(line, fit, recent, change)


@njit(cache=True)
def _sum_afresh(  # type: ignore[no-untyped-def]
    y, x, change_y, change_x, hedge, row, hedge_window, window, line
):
    fit = rebuild(x, y, row - hedge_window, row, line)
    recent = rebuild(x, y, row - window, row, line)
    change = EMPTY
    if hedge == _RETURNS:
        sloped = Line(0.0, 0.0, line.slope)
        change = rebuild(change_x, change_y, row - hedge_window, row, sloped)
    return fit, recent, change


@njit(cache=True)
def _judge(  # type: ignore[no-untyped-def]
    hedge, line, fit, fit_inverse, recent, recent_inverse, recent_freedom, change
):
    """What the sums say of a row, the last of it whether they have the digits to say so.

    Hedge ratio, NaN where x does not move; means of x and u over the fit and over the z-window;
    sum of squares of the spread about its mean over the z-window.
    """
    fit_x, fit_u, xx, xu, uu = moments(fit, fit_inverse)
    is_sound = not is_worn(fit, xx, uu)
    if hedge == _RETURNS:
        is_sound = is_sound and not is_worn(change, change.xx, change.uu)
        xx, xu = change.xx, change.xu
    if hedge == _RATIO:
        hedge_ratio = 1.0
    elif xx > 0.0:
        hedge_ratio = line.slope + xu / xx
        if hedge == _SHRUNK:
            hedge_ratio = 0.5 * (hedge_ratio + 1.0)
    else:
        hedge_ratio = math.nan
    mean_x, mean_u, xx, xu, uu = moments(recent, recent_inverse)
    # u is the spread but for what the slopes differ by.
    slope = hedge_ratio - line.slope
    squares = uu + slope * (slope * xx - 2.0 * xu)
    if squares < _FEWEST_DIGITS * uu:
        still = is_still(math.sqrt(uu * recent_freedom), line.y, hedge_ratio * line.x)
        is_sound = is_sound and still
    is_sound = is_sound and not is_worn(recent, xx, uu)
    return hedge_ratio, fit_x, fit_u, mean_x, mean_u, squares, is_sound


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
