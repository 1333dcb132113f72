"""What describes a pair's spread: half-life, Hurst exponent, crossings, costs beside reversion."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from core.bars import log_returns
from core.stationarity import FEWEST_ROWS, dickey_fuller
from core.types import FloatArray

REVERTING_PVALUE = 0.05
"""Dickey-Fuller's p that a half-life is told below."""
FEWEST_TRADES = 20
"""Of fewer trades a capture is chance."""

HURST_LAGS = np.arange(2, 21)
"""Rows that the differences span which a Hurst exponent is taken from."""

A_WALK = "cannot be told from a random walk"
"""How the reason begins where a spread has no half-life, for there is nothing that comes back."""


class HalfLife(NamedTuple):
    """Bars that a deviation needs to halve, and the 90 % interval; NaN with the reason why."""

    bars: float
    low: float
    high: float
    """NaN where the interval has no upper end."""
    words: str


def half_life(spread: FloatArray) -> HalfLife:
    """Estimate how many bars the spread needs to halve a deviation, where it can be told at all.

    Parameters
    ----------
    spread : (n,) log-price units, of a hedge that is not fitted to these rows: else a random walk
        has a half-life, too, which measures nothing but n. A NaN drops the two pairs it is in.

    Returns
    -------
    HalfLife; NaN where Dickey-Fuller can't refuse a random walk at 5 %, under 50 rows, and where
    the spread comes back within a bar.

    Notes
    -----
    Fits s[t] = c + ρ·s[t−1] + e[t] over m pairs. ρ is too low by about (1 + 3ρ)/m, so ρ* =
    (mρ + 1)/(m − 3); half-life −ln 2/ln ρ*, its interval from ρ* ± 1.645·√((1 − ρ*²)/m). The
    coefficients of the hedge are none of these rows', so the p-value is that of one series.

    References
    ----------
    Kendall, *Biometrika* 41 (1954); Chan, *Algorithmic Trading* (2013), ch. 2.
    """
    before, after = spread[:-1], spread[1:]
    present = ~np.isnan(before + after)
    pairs = int(present.sum())
    _, pvalue = dickey_fuller(spread)
    if math.isnan(pvalue):
        few = np.count_nonzero(~np.isnan(spread)) < FEWEST_ROWS
        words = f"under {FEWEST_ROWS} rows" if few else "the spread does not move by chance"
        return HalfLife(math.nan, math.nan, math.nan, words)
    if not pvalue < REVERTING_PVALUE:
        told = f"{A_WALK} over {len(spread)} bars (p {pvalue:.2g})"
        return HalfLife(math.nan, math.nan, math.nan, told)
    before, after = before[present], after[present]
    centred = before - before.mean()
    fitted = float(centred @ (after - after.mean())) / float(centred @ centred)
    rho = unbiased(fitted, pairs)
    if not 0.0 < rho < 1.0:
        words = "comes back within a bar" if rho <= 0.0 else "what reverts is within its own error"
        return HalfLife(math.nan, math.nan, math.nan, words)
    reach = 1.645 * math.sqrt((1.0 - rho * rho) / pairs)
    low, high = (_halving(rho - reach), _halving(rho + reach))
    return HalfLife(_halving(rho), low, high, "")


def unbiased(fitted: float, pairs: int) -> float:
    """ρ of an AR(1) with intercept fitted to that many pairs, its bias of −(1 + 3ρ)/m taken off."""
    return (pairs * fitted + 1.0) / (pairs - 3.0)


def _halving(rho: float) -> float:
    """Bars in which ρ^bars comes to a half: 0 of a ρ that is not positive, NaN from 1 on."""
    if rho <= 0.0:
        return 0.0
    return -math.log(2.0) / math.log(rho) if rho < 1.0 else math.nan


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
    if len(spread) < HURST_LAGS[-1] + 2:
        return math.nan
    deviations = lag_deviations(np.ascontiguousarray(spread), HURST_LAGS)
    return float(hurst_of(deviations[None, :])[0])


def hurst_of(deviations: FloatArray) -> FloatArray:
    """`hurst` of the deviations at HURST_LAGS of many spreads, a row each."""
    log_lag = np.log(HURST_LAGS)
    centred = log_lag - log_lag.mean()
    moves = np.all(deviations > 0.0, axis=1)
    logs = np.log(np.where(moves[:, None], deviations, 1.0))
    slope = (logs * centred).sum(axis=1) / float(centred @ centred)
    return np.where(moves & (slope > 0.0) & (slope < 1.0), slope, math.nan)


# Sums in the processor's own order: no causal number comes from here.
@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def lag_deviations(spread, lags):  # type: ignore[no-untyped-def]
    deviations = np.empty(len(lags))
    for index, lag in enumerate(lags):
        count = total = squares = 0.0
        # Without a branch, so that a vector of rows goes through at once.
        for i in range(len(spread) - lag):
            difference = spread[i + lag] - spread[i]
            is_there = difference == difference
            count += 1.0 if is_there else 0.0
            total += difference if is_there else 0.0
        mean = total / count if count else math.nan
        for i in range(len(spread) - lag):
            difference = spread[i + lag] - spread[i] - mean
            squares += difference * difference if difference == difference else 0.0
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
    ratio, std = np.asarray(hedge_ratio), np.asarray(spread_std)
    return float(break_even_zs(exit_z, ratio, std, fee_bps, slippage_bps))


def break_even_zs(
    exit_z: float,
    hedge_ratio: FloatArray,
    spread_std: FloatArray,
    fee_bps: float,
    slippage_bps: float,
) -> FloatArray:
    """`break_even_z` of many spreads."""
    costs = 2.0 * (fee_bps + slippage_bps) / 1e4
    std = np.where(spread_std > 0.0, spread_std, math.nan)
    return exit_z + costs * (1.0 + np.abs(hedge_ratio)) / std


def required_z(exit_z: float, break_even: float, capture: float, trades: int) -> tuple[float, str]:
    """The entry that would have paid at the pair's own capture, or NaN and why there is none.

    Parameters
    ----------
    break_even : see `break_even_z`.
    capture : realised over promised reversion of `trades` closed round trips.

    Notes
    -----
    exit_z + (break_even − exit_z)/capture: where less of the way back is earned, more is needed.
    """
    if math.isnan(break_even):
        return math.nan, "without a break-even z"
    if trades < FEWEST_TRADES:
        return math.nan, f"never told from {trades} trades; {FEWEST_TRADES} are needed"
    if not capture > 0.0:
        return math.nan, f"never: of the reversion hoped for these rows gave {100 * capture:.0f} %"
    return exit_z + (break_even - exit_z) / capture, ""


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
