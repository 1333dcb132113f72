"""Tests for a trend: Engle-Granger and Johansen for a common one, Dickey-Fuller for one's own."""

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from numba import njit

from core.types import Cointegration, FloatArray, Johansen, Subwindows

FEWEST_ROWS = 50
SUBWINDOWS = 6
PASSING_PVALUE = 0.1
"""A sixth of the rows passes where p of both directions together is below it."""
OWN_PVALUE = 0.01
"""A leg whose own unit root is refused at it needs no other leg to revert."""
_COLLINEAR = 1.0 - 100.0 * math.sqrt(np.finfo(np.float64).eps)
_EXPLAINED = 1e-10  # a smaller share left unexplained is rounding
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
    tested = (
        (*_adf(y - xy / xx * x, lags), "a_on_b"),
        (*_adf(x - xy / yy * y, lags), "b_on_a"),
    )
    if any(math.isnan(statistic) for statistic, _, _ in tested):
        return None, "the spread's changes are too few, or foretell each other in full"
    statistic, chosen, way = min(tested)
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
    statistic, _ = _adf(series - series.mean(), None, constant=True)
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
        return None, "a leg does not move"
    y, x = y - y.mean(), x - x.mean()
    yy, xx, xy = float(y @ y), float(x @ x), float(x @ y)
    if xy * xy / (xx * yy) >= _COLLINEAR:
        return None, "the legs are collinear"
    return (y, x, yy, xx, xy), None


# Sums in the processor's own order: no causal number comes from here. The slices' plain index is
# what lets the compiler use vector instructions.
@njit(cache=True, fastmath={"reassoc", "nsz", "contract"})
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@njit(cache=True)
def _moment_matrix(residual, change, lags):  # type: ignore[no-untyped-def]
    """Cross products of [change, level before, change before, … `lags` changes before].

    Those of two lags follow from those of the two lags before by dropping one end of the sum and
    adding the other, so all of them cost little more than the first row.
    """
    n = len(change)
    target, level = change[lags:], residual[lags:n]
    moments = np.empty((lags + 2, lags + 2))
    moments[0, 0] = _dot(target, target)
    moments[1, 0] = _dot(level, target)
    moments[1, 1] = _dot(level, level)
    for j in range(1, lags + 1):
        before = change[lags - j : n - j]
        moments[j + 1, 0] = _dot(before, target)
        moments[j + 1, 1] = _dot(before, level)
        for i in range(1, j + 1):
            # Column 0 is the change itself, lag 0; column 1 is the level.
            row, column = (j if j > 1 else 0), (i if i > 1 else 0)
            moments[j + 1, i + 1] = (
                moments[row, column]
                + change[lags - j] * change[lags - i]
                - change[n - j] * change[n - i]
            )
    return moments


@njit(cache=True)
def _factor(moments):  # type: ignore[no-untyped-def]
    """Cholesky factor of the regressors' moments and what each of them explains of the target.

    The leading block of the factor is that of the shorter regression. A regressor that those
    before it explain in full gets an infinite pivot, and so explains nothing itself.
    """
    size = len(moments) - 1
    factor = np.empty((size, size))  # its lower half is filled
    explained = np.empty(size)
    for j in range(size):
        for i in range(j + 1):
            total = moments[j + 1, i + 1]
            for k in range(i):
                total -= factor[j, k] * factor[i, k]
            if i == j and total <= _EXPLAINED * moments[j + 1, j + 1]:
                total = math.inf
            factor[j, i] = math.sqrt(total) if i == j else total / factor[i, i]
        total = moments[j + 1, 0]
        for k in range(j):
            total -= factor[j, k] * explained[k]
        explained[j] = total / factor[j, j]
    return factor, explained


@njit(cache=True)
def _about_means(moments, residual, lags):  # type: ignore[no-untyped-def]
    """The same moments about the sample's means, which is a constant among the regressors.

    A column of changes sums to the difference of its ends.
    """
    n = len(residual) - 1
    count, sums = n - lags, np.empty(lags + 2)
    sums[0] = residual[n] - residual[lags]
    sums[1] = 0.0
    for i in range(lags, n):
        sums[1] += residual[i]
    for j in range(1, lags + 1):
        sums[j + 1] = residual[n - j] - residual[lags - j]
    for j in range(lags + 2):
        for i in range(j + 1):
            moments[j, i] -= sums[j] * sums[i] / count


def _adf(
    residual: FloatArray, lags: int | None = None, *, constant: bool = False
) -> tuple[float, int]:
    """ADF statistic and its lag, which AIC chooses where none is given; NaN where there is none."""
    change = np.diff(residual)
    most = len(residual) // 2 - (2 if constant else 1)
    if lags is None:
        lags = _choose_lags(residual, change, most, constant)
    if not 0 <= lags <= most:
        return math.nan, lags
    return _adf_statistic(residual, change, lags, constant), lags


# Plain loops below: what numpy says in a word costs the compiler seconds of the first start.
@njit(cache=True)
def _choose_lags(residual, change, most, constant):  # type: ignore[no-untyped-def]
    n = len(residual)
    most = min(most, math.ceil(12.0 * (n / 100.0) ** 0.25))
    moments = _moment_matrix(residual, change, most)
    if constant:
        _about_means(moments, residual, most)
    _, explained = _factor(moments)
    count = len(change) - most
    squares = moments[0, 0]
    lags, best = 0, math.inf
    for lag in range(most + 1):
        squares -= explained[lag] * explained[lag]
        if not squares > _EXPLAINED * moments[0, 0]:
            return -1
        aic = count * math.log(squares) + 2.0 * (lag + 1)
        if aic < best:
            lags, best = lag, aic
    return lags


@njit(cache=True)
def _adf_statistic(residual, change, lags, constant):  # type: ignore[no-untyped-def]
    moments = _moment_matrix(residual, change, lags)
    if constant:
        _about_means(moments, residual, lags)
    factor, explained = _factor(moments)
    # The level's coefficient and its variance need only the first column of the inverse factor.
    column = np.empty(lags + 1)
    squares, coefficient, length, rank = moments[0, 0], 0.0, 0.0, 1 if constant else 0
    for j in range(lags + 1):
        rank += factor[j, j] < math.inf
        total = 1.0 if j == 0 else 0.0
        for k in range(j):
            total -= factor[j, k] * column[k]
        column[j] = total / factor[j, j]
        squares -= explained[j] * explained[j]
        coefficient += column[j] * explained[j]
        length += column[j] * column[j]
    if not squares > _EXPLAINED * moments[0, 0]:
        return math.nan
    variance = squares / (len(change) - lags - rank)
    return coefficient / math.sqrt(variance * length) if length > 0.0 else math.nan
