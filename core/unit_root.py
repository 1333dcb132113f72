"""Dickey-Fuller regressions from their moments: the lag that AIC chooses, and the statistic."""

import math

import numpy as np
from numba import njit

from core.types import FloatArray

ROUNDING = 1e-10
"""A smaller share left unexplained is rounding, in sums that were taken over the rows."""


def adf(
    residual: FloatArray, lags: int | None = None, *, constant: bool = False
) -> tuple[float, int]:
    """ADF statistic and its lag, which AIC chooses where none is given; NaN where there is none."""
    most = len(residual) // 2 - (2 if constant else 1)
    if lags is not None and not 0 <= lags <= most:
        return math.nan, lags
    statistic, chosen = adf_kernel(residual, -1 if lags is None else lags, constant)
    return float(statistic), int(chosen)


# Sums in the processor's own order: no causal number comes from here. The slices' plain index is
# what lets the compiler use vector instructions.
@njit(cache=True, fastmath={"reassoc", "nsz", "contract"})
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@njit(cache=True)
def moment_matrix(residual, change, lags):  # type: ignore[no-untyped-def]
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
def factor_moments(moments, least):  # type: ignore[no-untyped-def]
    """Cholesky factor of the regressors' moments and what each of them explains of the target.

    The leading block of the factor is that of the shorter regression. A regressor of which those
    before it leave `least` or less of its square gets an infinite pivot, and explains nothing.
    """
    size = len(moments) - 1
    factor = np.empty((size, size))  # its lower half is filled
    explained = np.empty(size)
    for j in range(size):
        for i in range(j + 1):
            total = moments[j + 1, i + 1]
            for k in range(i):
                total -= factor[j, k] * factor[i, k]
            if i == j and total <= least * moments[j + 1, j + 1]:
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


# Plain loops below: what numpy says in a word costs the compiler seconds of the first start.
@njit(cache=True)
def most_lags(rows, constant):  # type: ignore[no-untyped-def]
    """Lags that AIC may choose among, of a series of that many rows."""
    return min(rows // 2 - (2 if constant else 1), math.ceil(12.0 * (rows / 100.0) ** 0.25))


@njit(cache=True)
def choose_lags(moments, explained, rows, least):  # type: ignore[no-untyped-def]
    """The lag of the lowest AIC, ties to the fewest; -1 where `least` or less is unexplained.

    `rows` are those of the sample that the moments were taken over.
    """
    squares = moments[0, 0]
    lags, best = 0, math.inf
    for lag in range(len(moments) - 1):
        squares -= explained[lag] * explained[lag]
        if not squares > least * moments[0, 0]:
            return -1
        aic = rows * math.log(squares) + 2.0 * (lag + 1)
        if aic < best:
            lags, best = lag, aic
    return lags


@njit(cache=True)
def level_statistic(moments, rows, fitted, least):  # type: ignore[no-untyped-def]
    """t of the level's coefficient; NaN where `least` or less of the changes is unexplained.

    `fitted` counts coefficients besides those of the moments' regressors.
    """
    factor, explained = factor_moments(moments, least)
    size = len(explained)
    # The level's coefficient and its variance need only the first column of the inverse factor.
    column = np.empty(size)
    squares, coefficient, length, rank = moments[0, 0], 0.0, 0.0, fitted
    for j in range(size):
        rank += factor[j, j] < math.inf
        total = 1.0 if j == 0 else 0.0
        for k in range(j):
            total -= factor[j, k] * column[k]
        column[j] = total / factor[j, j]
        squares -= explained[j] * explained[j]
        coefficient += column[j] * explained[j]
        length += column[j] * column[j]
    if not squares > least * moments[0, 0]:
        return math.nan
    variance = squares / (rows - rank)
    return coefficient / math.sqrt(variance * length) if length > 0.0 else math.nan


@njit(cache=True, nogil=True)
def adf_kernel(residual, lags, constant):  # type: ignore[no-untyped-def]
    """`adf` of a series without a missing row; AIC chooses where `lags` is negative."""
    change = np.empty(len(residual) - 1)
    for i in range(len(change)):
        change[i] = residual[i + 1] - residual[i]
    if lags < 0:
        most = most_lags(len(residual), constant)
        moments = moment_matrix(residual, change, most)
        if constant:
            _about_means(moments, residual, most)
        _, explained = factor_moments(moments, ROUNDING)
        lags = choose_lags(moments, explained, len(change) - most, ROUNDING)
        if lags < 0:
            return math.nan, lags
    moments = moment_matrix(residual, change, lags)
    if constant:
        _about_means(moments, residual, lags)
    return level_statistic(moments, len(change) - lags, 1 if constant else 0, ROUNDING), lags


@njit(cache=True, nogil=True)
def residual_tests(y, x, yy, xx, xy, lags):  # type: ignore[no-untyped-def]
    """`adf_kernel` of what each of two centred legs leaves of the other, y on x first."""
    residual = np.empty(len(y))
    for i in range(len(y)):
        residual[i] = y[i] - xy / xx * x[i]
    statistic, chosen = adf_kernel(residual, lags, False)
    for i in range(len(y)):
        residual[i] = x[i] - xy / yy * y[i]
    other, other_chosen = adf_kernel(residual, lags, False)
    return statistic, chosen, other, other_chosen
