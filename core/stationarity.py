"""Tests for a trend: Engle-Granger and Johansen for a common one, Dickey-Fuller for one's own."""

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from core.types import Cointegration, FloatArray, Johansen, Subwindows
from core.unit_root import adf, residual_tests

FEWEST_ROWS = 50
SUBWINDOWS = 6
PASSING_PVALUE = 0.1
"""A sixth of the rows passes where p of both directions together is below it."""
OWN_PVALUE = 0.01
"""A leg whose own unit root is refused at it needs no other leg to revert."""
COLLINEAR = 1.0 - 100.0 * math.sqrt(float(np.finfo(np.float64).eps))
"""R² of one leg on the other from which on statsmodels answers −inf."""
_MACKINNON: Mapping[int, tuple[float, float, float, tuple[float, ...], tuple[float, ...]]] = (
    MappingProxyType(
        {
            1: (
                *(-18.83, -1.61, 2.74),
                (0.038269, 1.4412, 2.1659),
                (-0.010368, -0.12745, 0.93202, 1.7339),
            ),
            2: (
                *(-18.86, -2.62, 0.92),
                (0.039796, 1.5012, 2.92),
                (-0.042377, -0.29198, 0.64695, 2.1945),
            ),
        }
    )
)
"""By the number of series: where p is 0, where the polynomial changes, where p is 1; and both
polynomials of the normal score, highest power first."""
STILL = "a leg does not move"
IS_COLLINEAR = "the legs are collinear"
FORETOLD = "the spread's changes are too few, or foretell each other in full"
_SINGULAR = "the legs' changes and levels are collinear"


def cointegration(
    y: FloatArray, x: FloatArray, lags: int | None = None
) -> tuple[Cointegration | None, dict[str, str]]:
    """Test two log-price series for cointegration, on all rows and on each sixth of them.

    Parameters
    ----------
    y, x, lags : see `engle_granger`.

    Returns
    -------
    (result, reasons): why there is no result, or no sub-windows, and what speaks against it: with
    a leg that is stationary by itself every pair is cointegrated.
    """
    result, words = engle_granger(y, x, lags)
    if result is None:
        return None, {"cointegration": words or ""}
    reasons = {}
    if len(y) < SUBWINDOWS * FEWEST_ROWS:
        reasons["cointegration.subwindows"] = f"{len(y)} rows; sixths need {FEWEST_ROWS} each"
    else:
        sixths = zip(np.array_split(y, SUBWINDOWS), np.array_split(x, SUBWINDOWS), strict=True)
        tested = [engle_granger(*sixth, lags)[0] for sixth in sixths]
        passing = sum(part is not None and part.pvalue_both < PASSING_PVALUE for part in tested)
        result = replace(result, subwindows=Subwindows(passing, SUBWINDOWS))
    own = {leg: dickey_fuller(prices)[1] for leg, prices in (("A", y), ("B", x))}
    still = [f"leg {leg} (p {pvalue:.2g})" for leg, pvalue in own.items() if pvalue < OWN_PVALUE]
    if still:
        reasons["cointegration"] = (
            f"{' and '.join(still)} stationary without the other, so the test proves nothing"
        )
    return result, reasons


def engle_granger(
    y: FloatArray, x: FloatArray, lags: int | None = None
) -> tuple[Cointegration | None, str | None]:
    """Test two log-price series for cointegration, both ways; the lower statistic is given.

    Parameters
    ----------
    y, x : (n,) log prices; rows with a NaN are dropped.
    lags : of the residual's changes; None lets AIC choose.

    Returns
    -------
    (result, reason): one of them is None. There is no result under 50 rows, for a constant leg,
    for collinear legs, where the residual is rounding and statsmodels answers −inf, and where
    the residual's changes are too few or foretell each other in full.

    Notes
    -----
    OLS of one leg on a constant and the other, both centred (raw logs cost digits), then an ADF
    test without constant on the residual, its lag chosen by AIC over 0 … ⌈12·(n/100)^¼⌉ on one
    common sample (ties: fewest), then fitted on all rows the lag leaves. p-value and 5 % value
    are MacKinnon's for N = 2 series: those for N = 1 would reject far too often. Equal to
    `statsmodels.tsa.stattools.coint`. As the better of two directions the p-value is optimistic;
    `pvalue_both` = min(1, 2p) is not, and anything that shows or ranks pairs has to use it.

    References
    ----------
    Engle and Granger (1987); MacKinnon (1994, 2010).
    """
    centred, reason = _centred(y, x)
    if centred is None:
        return None, reason
    y, x, yy, xx, xy = centred
    if lags is not None and not 0 <= lags <= len(y) // 2 - 1:
        return None, FORETOLD
    first, its_lags, second, other_lags = residual_tests(
        y, x, yy, xx, xy, -1 if lags is None else lags
    )
    if math.isnan(first + second):
        return None, FORETOLD
    statistic, chosen, way = min((first, its_lags, "a_on_b"), (second, other_lags, "b_on_a"))
    direction: Literal["a_on_b", "b_on_a"] = "a_on_b" if way == "a_on_b" else "b_on_a"
    pvalue = mackinnon_pvalue(statistic)
    return (
        Cointegration(
            statistic=statistic,
            pvalue=pvalue,
            pvalue_both=min(1.0, 2.0 * pvalue),
            lags=chosen,
            direction=direction,
            critical_5pct=critical_5pct(len(y) - 1),
            subwindows=None,
        ),
        None,
    )


def dickey_fuller(series: FloatArray) -> tuple[float, float]:
    """Test one series for a unit root, about a constant.

    Parameters
    ----------
    series : (n,) not the residual of a fit to these rows; NaN entries are dropped.

    Returns
    -------
    (statistic, p-value); NaN under 50 rows, for a series that does not move and for one whose
    changes foretell each other in full.

    Notes
    -----
    Lags by AIC, p by MacKinnon's table for N = 1. Equal to `statsmodels.tsa.stattools.adfuller`.
    """
    series = series[~np.isnan(series)]
    if len(series) < FEWEST_ROWS or np.ptp(series) == 0.0:
        return math.nan, math.nan
    statistic, _ = adf(series - series.mean(), None, constant=True)
    if math.isnan(statistic):
        return math.nan, math.nan
    return statistic, mackinnon_pvalue(statistic, series=1)


def mackinnon_pvalue(statistic: float, series: Literal[1, 2] = 2) -> float:
    """p-value of a Dickey-Fuller (one series) or Engle-Granger statistic (two) with a constant.

    MacKinnon (1994, table 4); written out, since the general functions of scipy and statsmodels
    cost more than the test.
    """
    low, turn, high, below, above = _MACKINNON[series]
    if statistic > high:
        return 1.0
    if statistic < low:
        return 0.0
    score = 0.0
    for coefficient in below if statistic <= turn else above:
        score = score * statistic + coefficient
    return 0.5 * math.erfc(-score / math.sqrt(2.0))


def mackinnon_pvalues(statistics: FloatArray) -> FloatArray:
    """`mackinnon_pvalue` of many Engle-Granger statistics; NaN of NaN."""
    # 9 MB that only a scan needs.
    from scipy.special import ndtr

    low, turn, high, below, above = _MACKINNON[2]
    score = np.where(
        statistics <= turn, np.polyval(below, statistics), np.polyval(above, statistics)
    )
    pvalue = np.where(statistics > high, 1.0, np.where(statistics < low, 0.0, ndtr(score)))
    return np.where(np.isnan(statistics), np.nan, pvalue)


def critical_5pct(observations: int) -> float:
    """5 % value of an Engle-Granger statistic: two series, constant, MacKinnon (2010, table 2)."""
    return -3.33613 - 6.1101 / observations - 6.823 / observations**2


def johansen(y: FloatArray, x: FloatArray) -> tuple[Johansen | None, str | None]:
    """Test how many combinations of two log-price series are stationary, by Johansen's trace.

    Parameters
    ----------
    y, x : (n,) log prices; rows with a NaN are dropped.

    Returns
    -------
    (result, reason): one of them is None, in the cases of `engle_granger` and for a leg whose
    changes do not vary. Rank 1 is a cointegrated pair; 2 says that each leg is stationary itself.

    Notes
    -----
    A vector error correction with a constant and one lagged difference, `coint_johansen(…, 0, 1)`
    of statsmodels: trace(r) = −T·Σ_{i>r} ln(1 − λ_i), λ the squared canonical correlations of
    changes and levels. The rank is the first r whose trace stays at or below its 5 % value.

    References
    ----------
    Johansen, *Econometrica* 59 (1991); critical values by the method of MacKinnon (1994, 1996).
    """
    # Takes a second to import, and only who asks for this test needs it.
    from statsmodels.tsa.vector_ar.vecm import coint_johansen

    centred, reason = _centred(y, x)
    if centred is None:
        return None, reason
    try:
        tested = coint_johansen(np.column_stack(centred[:2]), det_order=0, k_ar_diff=1)
    except np.linalg.LinAlgError:
        return None, _SINGULAR
    trace, critical = tested.trace_stat, tested.trace_stat_crit_vals[:, 1]
    if not (np.isrealobj(trace) and np.isfinite(trace).all()):
        return None, _SINGULAR
    beyond = trace > critical
    rank = 2 if beyond.all() else int(beyond[0])
    return (
        Johansen(
            trace=(float(trace[0]), float(trace[1])),
            critical_5pct=(float(critical[0]), float(critical[1])),
            rank=rank,
        ),
        None,
    )


def _centred(
    y: FloatArray, x: FloatArray
) -> tuple[tuple[FloatArray, FloatArray, float, float, float] | None, str | None]:
    """Rows with both legs about their means and the sums of yy, xx, xy; or why there is no test."""
    present = ~(np.isnan(y) | np.isnan(x))
    y, x = y[present], x[present]
    if len(y) < FEWEST_ROWS:
        return None, f"{len(y)} rows with both legs; {FEWEST_ROWS} are needed"
    if np.ptp(y) == 0.0 or np.ptp(x) == 0.0:
        return None, STILL
    y, x = y - y.mean(), x - x.mean()
    yy, xx, xy = float(y @ y), float(x @ x), float(x @ y)
    if xy * xy / (xx * yy) >= COLLINEAR:
        return None, IS_COLLINEAR
    return (y, x, yy, xx, xy), None
