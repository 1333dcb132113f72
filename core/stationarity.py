"""Tests for a common trend: Engle-Granger in both directions."""

import math
from typing import Literal

import numpy as np
from statsmodels.tsa.adfvalues import mackinnoncrit, mackinnonp

from core.types import Cointegration, FloatArray

FEWEST_ROWS = 50
_COLLINEAR = 1.0 - 100.0 * math.sqrt(np.finfo(np.float64).eps)


def engle_granger(y: FloatArray, x: FloatArray) -> tuple[Cointegration | None, str | None]:
    """Test two log-price series for cointegration, both ways; the lower statistic is given.

    Parameters
    ----------
    y, x : (n,) log prices; rows with a NaN are dropped.

    Returns
    -------
    (result, reason): one of them is None. There is no result under 50 rows, for a constant leg
    and for collinear legs, where the residual is rounding and statsmodels answers −inf.

    Notes
    -----
    OLS of one leg on a constant and the other, both centred (raw logs cost digits), then an ADF
    test without constant on the residual, its lag chosen by AIC over 0 … ⌈12·(n/100)^¼⌉ on one
    common sample (ties: fewest), then fitted on all rows the lag leaves. p-value and 5 % value
    are MacKinnon's for N = 2 series: those for N = 1 would reject far too often. Equal to
    `statsmodels.tsa.stattools.coint`. As the better of two directions the p-value is optimistic;
    anything that ranks pairs has to use min(1, 2p).

    References
    ----------
    Engle and Granger (1987); MacKinnon (1994, 2010).
    """
    present = ~(np.isnan(y) | np.isnan(x))
    y, x = y[present], x[present]
    n = len(y)
    if n < FEWEST_ROWS:
        return None, f"{n} rows with both legs; {FEWEST_ROWS} are needed"
    if np.ptp(y) == 0.0 or np.ptp(x) == 0.0:
        return None, "a leg does not move"
    y, x = y - y.mean(), x - x.mean()
    yy, xx, xy = float(y @ y), float(x @ x), float(x @ y)
    if xy * xy / (xx * yy) >= _COLLINEAR:
        return None, "the legs are collinear"
    best = min(
        (*_adf(y - xy / xx * x), "a_on_b"),
        (*_adf(x - xy / yy * y), "b_on_a"),
    )
    statistic, lags = best[0], best[1]
    direction: Literal["a_on_b", "b_on_a"] = "a_on_b" if best[2] == "a_on_b" else "b_on_a"
    return (
        Cointegration(
            statistic=statistic,
            pvalue=float(mackinnonp(statistic, regression="c", N=2)),
            lags=lags,
            direction=direction,
            critical_5pct=float(mackinnoncrit(N=2, regression="c", nobs=n - 1)[1]),
        ),
        None,
    )


def _adf(residual: FloatArray) -> tuple[float, int]:
    """ADF statistic without constant, and the lag that AIC chooses.

    All lags share one Cholesky factor: its leading block is that of the shorter regression, so
    the residual sum of squares of every lag comes from one triangular solve.
    """
    n = len(residual)
    change = np.diff(residual)
    most = min(n // 2 - 1, math.ceil(12.0 * (n / 100.0) ** 0.25))
    regressors, target = _lagged(residual, change, most)
    factor = np.linalg.cholesky(regressors.T @ regressors)
    explained = np.linalg.solve(factor, regressors.T @ target)
    squares = float(target @ target) - np.cumsum(explained**2)
    lags = int(np.argmin(len(target) * np.log(squares) + 2.0 * np.arange(1, most + 2)))

    regressors, target = _lagged(residual, change, lags)
    inverse = np.linalg.inv(regressors.T @ regressors)
    coefficients = inverse @ (regressors.T @ target)
    errors = target - regressors @ coefficients
    variance = float(errors @ errors) / (len(target) - lags - 1)
    return float(coefficients[0]) / math.sqrt(variance * float(inverse[0, 0])), lags


def _lagged(residual: FloatArray, change: FloatArray, lags: int) -> tuple[FloatArray, FloatArray]:
    """Regressors [level before, change before, … `lags` changes before] and the change itself."""
    count = len(change) - lags
    regressors = np.empty((count, lags + 1))
    regressors[:, 0] = residual[lags:-1]
    for lag in range(1, lags + 1):
        regressors[:, lag] = change[lags - lag : len(change) - lag]
    return regressors, change[lags:]
