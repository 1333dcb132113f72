"""What describes a pair's spread: half-life, Hurst exponent, crossings, costs beside reversion."""

import math

import numpy as np
from numba import njit

from core.bars import log_returns
from core.types import FloatArray

_HURST_LAGS = np.arange(2, 21)


def half_life_bars(spread: FloatArray) -> float:
    """Estimate how many bars the spread needs to halve a deviation.

    Parameters
    ----------
    spread : (n,) log-price units; a NaN drops the two pairs it is in.

    Returns
    -------
    Bars; NaN when the spread does not revert (slope outside (-1, 0)) or under 20 pairs.

    Notes
    -----
    Fits d_s[t] = c + slope * s[t-1] + e[t] and returns -ln 2 / ln(1 + slope), the exact AR(1)
    half-life. The intercept stays: without it a spread with a mean looks faster than it is.

    References
    ----------
    Chan, *Algorithmic Trading*, ch. 2 (continuous-time form).
    """
    before, change = spread[:-1], np.diff(spread)
    present = ~np.isnan(change)
    if present.sum() < 20:
        return math.nan
    before, change = before[present], change[present]
    centred = before - before.mean()
    squares = float(centred @ centred)
    if squares <= 0.0:
        return math.nan
    slope = float(centred @ (change - change.mean())) / squares
    if not -1.0 < slope < 0.0:
        return math.nan
    return -math.log(2.0) / math.log1p(slope)


def hurst(spread: FloatArray) -> float:
    """Hurst exponent: 0.5 for a random walk, below for a spread that reverts.

    Parameters
    ----------
    spread : (n,) log-price units; differences with a NaN end are dropped.

    Returns
    -------
    Slope of ln std(s_{i+k} - s_i) on ln k, k = 2…20; NaN outside (0, 1), under the 22 rows that
    give every lag two differences, or for a spread that does not move.

    References
    ----------
    Chan, *Algorithmic Trading*, ch. 2.
    """
    if len(spread) < _HURST_LAGS[-1] + 2:
        return math.nan
    deviations = _lag_deviations(np.ascontiguousarray(spread), _HURST_LAGS)
    if not np.all(deviations > 0.0):
        return math.nan
    log_lag = np.log(_HURST_LAGS)
    centred = log_lag - log_lag.mean()
    slope = float(centred @ np.log(deviations)) / float(centred @ centred)
    return slope if 0.0 < slope < 1.0 else math.nan


@njit(cache=True)
def _lag_deviations(spread, lags):  # type: ignore[no-untyped-def]
    deviations = np.empty(len(lags))
    for index, lag in enumerate(lags):
        count, total, squares = 0, 0.0, 0.0
        for i in range(lag, len(spread)):
            difference = spread[i] - spread[i - lag]
            if not math.isnan(difference):
                count += 1
                total += difference
        mean = total / count if count else math.nan
        for i in range(lag, len(spread)):
            difference = spread[i] - spread[i - lag]
            if not math.isnan(difference):
                squares += (difference - mean) ** 2
        deviations[index] = math.sqrt(squares / count) if count else math.nan
    return deviations


def zero_crossings(spread: FloatArray) -> float:
    """Count how often the spread crosses its mean.

    Parameters
    ----------
    spread : (n,) log-price units; NaN entries are skipped, the rows about them are neighbours.

    Returns
    -------
    Sign changes of s − mean(s), a whole number; a row on the mean belongs to the side it came
    from. NaN for a spread that does not move or has under 2 rows.

    References
    ----------
    Vidyamurthy, *Pairs Trading* (2004), ch. 7.
    """
    present = spread[~np.isnan(spread)]
    if len(present) < 2 or np.ptp(present) == 0.0:
        return math.nan
    above = present - present.mean()
    above = above[above != 0.0] > 0.0
    return float(np.count_nonzero(above[1:] != above[:-1]))


def return_correlation(close_a: FloatArray, close_b: FloatArray, window: int) -> float:
    """Correlation of the legs' log returns over the last `window` rows.

    NaN where under 90 % of them are present or a leg does not move.
    """
    a = log_returns(close_a[-window - 1 :])[1:]
    b = log_returns(close_b[-window - 1 :])[1:]
    present = ~(np.isnan(a) | np.isnan(b))
    if present.sum() < max(0.9 * window, 2):
        return math.nan
    a, b = a[present] - a[present].mean(), b[present] - b[present].mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0.0 else math.nan


def break_even_z(
    exit_z: float, hedge_ratio: float, spread_std: float, fee_bps: float, slippage_bps: float
) -> float:
    """|z| at which a frozen spread that reverts in full just pays its four fills.

    Notes
    -----
    exit_z + 2·(fee + slippage)·(1 + |b|)/s, with costs as fractions and s the z-window's
    standard deviation in log units: a position of notional N holds N/(1+|b|) units of spread.
    NaN without a spread that moves.
    """
    if not spread_std > 0.0:
        return math.nan
    costs = 2.0 * (fee_bps + slippage_bps) / 1e4
    return exit_z + costs * (1.0 + abs(hedge_ratio)) / spread_std


def expected_reversion(
    zscore: FloatArray,
    exit_z: float,
    hedge_ratio: FloatArray,
    spread_std: FloatArray,
    notional: float,
) -> FloatArray:
    """Quote currency that a frozen spread earns, before costs, on its way from |z| to exit_z.

    Parameters
    ----------
    zscore, hedge_ratio, spread_std : of equal shape; the deviation in log units.

    Returns
    -------
    N·s·(|z| − exit_z)/(1 + |b|), 0 inside exit_z; NaN without a z or a spread that moves.

    Notes
    -----
    At break-even z it is `round_trip_cost`. To first order in the spread's move.
    """
    reach = np.maximum(np.abs(zscore) - exit_z, 0.0)
    unit = notional * spread_std / (1.0 + np.abs(hedge_ratio))
    return np.where(spread_std > 0.0, unit * reach, math.nan)


def round_trip_cost(notional: float, fee_bps: float, slippage_bps: float) -> float:
    """Quote currency that a round trip's four fills cost: 2·(fee + slippage)·N/10⁴.

    The two fills of a side trade N together; those of the exit are taken at entry prices.
    """
    return 2.0 * (fee_bps + slippage_bps) * notional / 1e4
