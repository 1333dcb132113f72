"""Figures of many pairs that need their paths: in-sample fit, half-life, Hurst, crossings."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from core.spread import HURST_LAGS, REVERTING_PVALUE, hurst_of, lag_deviations, unbiased
from core.stationarity import FEWEST_ROWS, mackinnon_pvalue
from core.types import BoolArray, FloatArray, IntArray
from core.unit_root import adf_kernel

VARIANCE_RATIO_ROWS = 24
_LAGS = np.concatenate(([1, VARIANCE_RATIO_ROWS], HURST_LAGS))
_ROWS, _RATIO, _CROSSINGS, _FITTED, _PAIRS, _STATISTIC, _DEVIATIONS = range(7)


class PairFigures(NamedTuple):
    """(m,) each; NaN where undefined."""

    rows: FloatArray
    """That have both legs."""
    hedge_ratio: FloatArray
    """Of all rows at once: that of the test's residual."""
    zero_crossings: FloatArray
    """Of that residual."""
    half_life_bars: FloatArray
    hurst: FloatArray
    variance_ratio: FloatArray


def pair_figures(
    logs: FloatArray,
    leg_a: IntArray,
    leg_b: IntArray,
    known_before: FloatArray,
    hedge_window: int,
    tell_half_life: BoolArray,
) -> PairFigures:
    """Compute what needs the rows of each pair.

    Parameters
    ----------
    logs : (N, n) log prices on dense rows; NaN where a row is missing.
    leg_a, leg_b : (m,) rows of `logs`; each pair has a common row.
    known_before : (m,) hedge ratio as known before the last `hedge_window` rows.
    tell_half_life : (m,) of which pairs; the test that it hangs on costs most.

    Returns
    -------
    PairFigures. Half-life and Hurst exponent are those of `core.spread` over the last
    `hedge_window` rows, which the hedge ratio was not fitted to; NaN under 90 % of them.

    Notes
    -----
    Variance ratio: var(s_{i+24} − s_i) / (24·var(s_{i+1} − s_i)) over the same rows; 1 for a
    random walk, below for a spread that reverts.

    References
    ----------
    Lo and MacKinlay, *Review of Financial Studies* 1 (1988).
    """
    out = np.full((_DEVIATIONS + len(_LAGS), len(leg_a)), math.nan)
    _walk(logs, leg_a, leg_b, known_before, hedge_window, tell_half_life, _LAGS, out)
    deviations = out[_DEVIATIONS:].T
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = deviations[:, 1] ** 2 / (VARIANCE_RATIO_ROWS * deviations[:, 0] ** 2)
    # Copies: a view of a row would keep all of them.
    return PairFigures(
        rows=out[_ROWS].copy(),
        hedge_ratio=out[_RATIO].copy(),
        zero_crossings=out[_CROSSINGS].copy(),
        half_life_bars=_half_lives(out[_FITTED], out[_PAIRS], out[_STATISTIC]),
        hurst=hurst_of(deviations[:, 2:]),
        variance_ratio=np.where(np.isfinite(ratio), ratio, math.nan),
    )


def _half_lives(fitted: FloatArray, pairs: FloatArray, statistic: FloatArray) -> FloatArray:
    out = np.full(len(fitted), math.nan)
    for pair in np.flatnonzero(~np.isnan(statistic)).tolist():
        rho = unbiased(fitted[pair], pairs[pair])
        if mackinnon_pvalue(statistic[pair], series=1) < REVERTING_PVALUE and 0.0 < rho < 1.0:
            out[pair] = -math.log(2.0) / math.log(rho)
    return out


@njit(cache=True, nogil=True)
def _walk(  # type: ignore[no-untyped-def]
    logs, leg_a, leg_b, known_before, hedge_window, tell_half_life, lags, out
):
    n = logs.shape[1]
    a, b = np.empty(n), np.empty(n)
    spread = np.empty(min(hedge_window, n))
    for pair in range(len(leg_a)):
        y, x = logs[leg_a[pair]], logs[leg_b[pair]]
        rows = 0
        for row in range(n):
            if not math.isnan(y[row] + x[row]):
                a[rows], b[rows] = y[row], x[row]
                rows += 1
        slope, crossings = _in_sample(a[:rows], b[:rows])
        out[_ROWS, pair], out[_RATIO, pair], out[_CROSSINGS, pair] = rows, slope, crossings
        if hedge_window > n or math.isnan(known_before[pair]):
            continue
        present = 0
        for row in range(hedge_window):
            at = n - hedge_window + row
            spread[row] = y[at] - known_before[pair] * x[at]
            present += not math.isnan(spread[row])
        if present < 0.9 * hedge_window:
            continue
        out[_DEVIATIONS:, pair] = lag_deviations(spread, lags)
        if tell_half_life[pair] and present >= FEWEST_ROWS and out[_DEVIATIONS, pair] > 0.0:
            out[_FITTED, pair], out[_PAIRS, pair] = _fit_on_before(spread)
            out[_STATISTIC, pair] = _own_statistic(spread, present)


@njit(cache=True, fastmath={"reassoc", "nsz", "contract"})
def _in_sample(a, b):  # type: ignore[no-untyped-def]
    """Slope of a on b, and how often the residual crosses 0; takes the means off both."""
    rows, mean_a, mean_b = len(a), 0.0, 0.0
    for row in range(rows):
        mean_a += a[row]
        mean_b += b[row]
    mean_a /= rows
    mean_b /= rows
    xx = xy = 0.0
    for row in range(rows):
        a[row] -= mean_a
        b[row] -= mean_b
        xx += b[row] * b[row]
        xy += a[row] * b[row]
    slope = xy / xx
    crossings = 0
    for row in range(1, rows):
        before, after = a[row - 1] - slope * b[row - 1], a[row] - slope * b[row]
        crossings += (before < 0.0) != (after < 0.0)
    return slope, crossings


@njit(cache=True)
def _fit_on_before(spread):  # type: ignore[no-untyped-def]
    """Slope of an AR(1) with intercept, and the pairs that it is fitted to."""
    pairs, before, after = 0, 0.0, 0.0
    for row in range(1, len(spread)):
        if not math.isnan(spread[row - 1] + spread[row]):
            pairs += 1
            before += spread[row - 1]
            after += spread[row]
    before /= pairs
    after /= pairs
    xx = xy = 0.0
    for row in range(1, len(spread)):
        if not math.isnan(spread[row - 1] + spread[row]):
            distance = spread[row - 1] - before
            xx += distance * distance
            xy += distance * (spread[row] - after)
    return xy / xx, pairs


@njit(cache=True)
def _own_statistic(spread, present):  # type: ignore[no-untyped-def]
    """Dickey-Fuller about a constant."""
    series, rows, mean = np.empty(present), 0, 0.0
    for value in spread:
        if not math.isnan(value):
            series[rows] = value
            rows += 1
            mean += value
    for row in range(rows):
        series[row] -= mean / present
    return adf_kernel(series, -1, True)[0]
