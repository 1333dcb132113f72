"""Engle-Granger of every pair of two blocks of symbols, from a few matrix products of the blocks.

What a regression needs of a pair's residual u = y − b·x and of its changes v are sums of products,
and those follow from sums of the legs: Σv_t·v_{t−k}, say, from those of Δy and Δx at the same lag.
For whole blocks of symbols these are matrix products. Where too few digits are left of them the
pair is tested by itself, over its rows.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.stationarity import COLLINEAR, FEWEST_ROWS
from core.types import BoolArray, FloatArray
from core.unit_root import (
    choose_lags,
    factor_moments,
    level_statistic,
    most_lags,
    residual_tests,
)

TESTED, TOO_FEW_ROWS, STILL, IS_COLLINEAR, FORETOLD = range(5)
"""Why a pair has no statistic, or that it has."""

FEWEST_TOGETHER = 8
"""Symbols with the same rows from which on products of a block cost less than pair by pair."""

_FEWEST_DIGITS = 1e-4  # share of a leg's own square that must be left of it in the residual
_LEAST = 1e-8  # a smaller share left unexplained is rounding, in sums that come from products


class BlockTests(NamedTuple):
    """Of each symbol of one block beside each of another; NaN where there is no statistic.

    Index 0 of `statistic` and `lags` is the first block's symbol on the second's, 1 the reverse.
    """

    statistic: FloatArray  # (2, k, l)
    lags: NDArray[np.int8]  # (2, k, l)
    refusal: NDArray[np.int8]  # (k, l)


def engle_granger_blocks(first: FloatArray, second: FloatArray, wanted: BoolArray) -> BlockTests:
    """Test every wanted pair of two blocks for cointegration, in both directions.

    Parameters
    ----------
    first, second : (k, n) and (l, n) log prices on dense rows; NaN where a row is missing.
    wanted : (k, l) pairs to test.

    Returns
    -------
    BlockTests; within 1e-8 of `core.stationarity.engle_granger` with the same lags, and refused
    where that gives a reason. Rows that either leg lacks are dropped.

    Notes
    -----
    With v = Δu, C_k = Σ_{t≥k} v_t·v_{t−k} and e_k = Σ_{t≥k} u_t·v_{t−k} = e_{k−1} + C_{k−1} −
    u_{n−1}·v_{d−k}: at lag p the moments of the regression are these sums less their first terms.
    """
    shape = len(first), len(second)
    out = BlockTests(
        np.full((2, *shape), math.nan), np.zeros((2, *shape), np.int8), np.zeros(shape, np.int8)
    )
    alone = wanted.copy()
    for rows, in_first in _by_presence(first):
        for columns, in_second in _by_presence(second):
            pairs = np.ix_(rows, columns)
            if min(len(rows), len(columns)) < FEWEST_TOGETHER or not wanted[pairs].any():
                continue
            present = in_first & in_second
            together = _test_together(
                np.ascontiguousarray(first[rows][:, present]),
                np.ascontiguousarray(second[columns][:, present]),
                wanted[pairs],
            )
            out.statistic[:, pairs[0], pairs[1]] = together.statistic
            out.lags[:, pairs[0], pairs[1]] = together.lags
            out.refusal[pairs] = together.refusal
            alone[pairs] = False
    _test_apart(first, second, alone, *out)
    return out


def _by_presence(logs: FloatArray) -> list[tuple[NDArray[np.intp], BoolArray]]:
    """Symbols that have the same rows, and which those are."""
    present = ~np.isnan(logs)
    groups: dict[bytes, list[int]] = {}
    for symbol, packed in enumerate(np.packbits(present, axis=1)):
        groups.setdefault(packed.tobytes(), []).append(symbol)
    return [(np.array(group), present[group[0]]) for group in groups.values()]


def _test_together(first: FloatArray, second: FloatArray, wanted: BoolArray) -> BlockTests:
    shape = wanted.shape
    out = BlockTests(
        np.full((2, *shape), math.nan), np.zeros((2, *shape), np.int8), np.zeros(shape, np.int8)
    )
    rows = first.shape[1]
    if rows < FEWEST_ROWS:
        out.refusal[wanted] = TOO_FEW_ROWS
        return out
    most = most_lags(rows, False)
    mine, other = _own_products(first, most), _own_products(second, most)
    _test_products(mine, other, *_cross_products(mine, other, most), wanted, *out)
    return out


class _Own(NamedTuple):
    """A block of symbols about their means, and each one's sums with itself."""

    level: FloatArray  # (k, n)
    change: FloatArray  # (k, n − 1)
    is_still: BoolArray  # judged before the mean is taken off, which leaves rounding
    squares: FloatArray
    drift: FloatArray  # Σ level · change after it
    lagged: FloatArray  # (k, lags + 1) Σ change · change `lag` rows before


def _own_products(logs: FloatArray, most: int) -> _Own:
    level = logs - logs.mean(axis=1, keepdims=True)
    change = np.diff(level, axis=1)
    d = change.shape[1]
    lagged = np.stack(
        [np.einsum("it,it->i", change[:, k:], change[:, : d - k]) for k in range(most + 1)], axis=1
    )
    return _Own(
        level,
        change,
        np.ptp(logs, axis=1) == 0.0,
        np.einsum("it,it->i", level, level),
        np.einsum("it,it->i", level[:, :-1], change),
        lagged,
    )


def _cross_products(
    mine: _Own, other: _Own, most: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sums of two legs with each other; of changes and drift both orders together."""
    d = mine.change.shape[1]
    lagged = np.empty((most + 1, len(mine.level), len(other.level)))
    for k in range(most + 1):
        np.matmul(mine.change[:, k:], other.change[:, : d - k].T, out=lagged[k])
        lagged[k] += mine.change[:, : d - k] @ other.change[:, k:].T
    drift = mine.level[:, :-1] @ other.change.T + mine.change @ other.level[:, :-1].T
    return mine.level @ other.level.T, drift, np.ascontiguousarray(lagged.transpose(1, 2, 0))


@njit(cache=True, nogil=True)
def _test_products(  # type: ignore[no-untyped-def]
    mine, other, level, drift, lagged, wanted, statistic, lags, refusal
):
    most = lagged.shape[2] - 1
    products = np.empty(most + 1)
    for i in range(len(mine.level)):
        for j in range(len(other.level)):
            if not wanted[i, j]:
                continue
            if mine.is_still[i] or other.is_still[j]:
                refusal[i, j] = STILL
                continue
            yy, xx, xy = mine.squares[i], other.squares[j], level[i, j]
            if xy * xy / (xx * yy) >= COLLINEAR:
                refusal[i, j] = IS_COLLINEAR
                continue
            statistic[0, i, j], lags[0, i, j] = _one_way(
                mine, i, other, j, xy, drift[i, j], lagged[i, j], products
            )
            statistic[1, i, j], lags[1, i, j] = _one_way(
                other, j, mine, i, xy, drift[i, j], lagged[i, j], products
            )
            if lags[0, i, j] < 0 or lags[1, i, j] < 0:
                refusal[i, j] = _test_pair(
                    mine.level[i], other.level[j], yy, xx, xy, statistic[:, i, j], lags[:, i, j]
                )


@njit(cache=True)
def _one_way(mine, i, other, j, xy, drift, lagged, products):  # type: ignore[no-untyped-def]
    """Test leg i on leg j; fills `products` with those of the residual's changes."""
    ratio = xy / other.squares[j]
    for k in range(len(products)):
        products[k] = mine.lagged[i, k] - ratio * lagged[k] + ratio * ratio * other.lagged[j, k]
    moved = mine.drift[i] - ratio * drift + ratio * ratio * other.drift[j]
    left = mine.squares[i] - ratio * xy
    return _from_products(
        mine.level[i], other.level[j], ratio, products, moved, left,
        mine.squares[i], mine.lagged[i, 0],
    )  # fmt: skip


@njit(cache=True)
def _from_products(  # type: ignore[no-untyped-def]
    y, x, ratio, products, drift, squares, own_squares, own_changes
):
    """Statistic and lags of u = y − ratio·x; lags −1 where digits were lost.

    `products` are of u's changes by lag, `drift` that of u with the change after it, `squares` u's.
    """
    n, most = len(y), len(products) - 1
    d = n - 1
    u, v, tail = np.empty(most + 1), np.empty(most + 1), np.empty(most + 1)
    for t in range(most + 1):
        u[t] = y[t] - ratio * x[t]
    for t in range(most):
        v[t] = u[t + 1] - u[t]
    later = y[d] - ratio * x[d]
    last = later
    with_level = np.empty(most + 1)
    with_level[0] = drift
    for k in range(1, most + 1):
        now = y[d - k] - ratio * x[d - k]
        tail[k] = later - now
        later = now
        with_level[k] = with_level[k - 1] + products[k - 1] - last * tail[k]
    squares -= last * last

    moments = _moments(u, v, tail, products, with_level, squares, most)
    if _has_lost_digits(moments, own_squares, own_changes):
        return math.nan, -1
    factor, explained = factor_moments(moments, _LEAST)
    for j in range(most + 1):
        if factor[j, j] == math.inf:
            return math.nan, -1
    lags = choose_lags(moments, explained, d - most, _LEAST)
    if lags < 0:
        return math.nan, -1
    moments = _moments(u, v, tail, products, with_level, squares, lags)
    statistic = level_statistic(moments, d - lags, 0, _LEAST)
    if math.isnan(statistic) or _has_lost_digits(moments, own_squares, own_changes):
        return math.nan, -1
    return statistic, lags


@njit(cache=True)
def _moments(u, v, tail, products, with_level, squares, lags):  # type: ignore[no-untyped-def]
    """The matrix of `core.unit_root.moment_matrix`, from sums over all rows less the first."""
    moments = np.empty((lags + 2, lags + 2))
    for t in range(lags):
        squares -= u[t] * u[t]
    moments[1, 1] = squares
    for j in range(lags + 1):
        of_changes, of_level = products[j], with_level[j]
        for t in range(j, lags):
            of_changes -= v[t] * v[t - j]
            of_level -= u[t] * v[t - j]
        # Column 0 is the change itself, lag 0; column 1 is the level.
        moments[j + 1 if j else 0, 0] = of_changes
        moments[j + 1 if j else 1, 1 if j else 0] = of_level
    for j in range(1, lags + 1):
        for i in range(1, j + 1):
            row, column = (j if j > 1 else 0), (i if i > 1 else 0)
            moments[j + 1, i + 1] = (
                moments[row, column] + v[lags - j] * v[lags - i] - tail[j] * tail[i]
            )
    return moments


@njit(cache=True)
def _has_lost_digits(moments, own_squares, own_changes):  # type: ignore[no-untyped-def]
    """Whether so little is left of the leg, the first rows taken off, that rounding shows."""
    return not (
        moments[1, 1] >= _FEWEST_DIGITS * own_squares
        and moments[0, 0] >= _FEWEST_DIGITS * own_changes
    )


@njit(cache=True, nogil=True)
def _test_apart(  # type: ignore[no-untyped-def]
    first, second, wanted, statistic, lags, refusal
):
    """Test each wanted pair over the rows that both legs have."""
    y, x = np.empty(first.shape[1]), np.empty(first.shape[1])
    for i in range(len(first)):
        for j in range(len(second)):
            if not wanted[i, j]:
                continue
            rows = 0
            for row in range(first.shape[1]):
                if not math.isnan(first[i, row] + second[j, row]):
                    y[rows], x[rows] = first[i, row], second[j, row]
                    rows += 1
            if rows < FEWEST_ROWS:
                refusal[i, j] = TOO_FEW_ROWS
            elif _is_still(y[:rows]) or _is_still(x[:rows]):
                refusal[i, j] = STILL
            else:
                a, b = y[:rows] - y[:rows].mean(), x[:rows] - x[:rows].mean()
                yy, xx, xy = (a * a).sum(), (b * b).sum(), (a * b).sum()
                if xy * xy / (xx * yy) >= COLLINEAR:
                    refusal[i, j] = IS_COLLINEAR
                else:
                    refusal[i, j] = _test_pair(a, b, yy, xx, xy, statistic[:, i, j], lags[:, i, j])


@njit(cache=True)
def _is_still(values):  # type: ignore[no-untyped-def]
    return values.min() == values.max()


@njit(cache=True)
def _test_pair(y, x, yy, xx, xy, statistic, lags):  # type: ignore[no-untyped-def]
    """Test two centred legs over their rows; why there is no statistic."""
    statistic[0], lags[0], statistic[1], lags[1] = residual_tests(y, x, yy, xx, xy, -1)
    if math.isnan(statistic[0] + statistic[1]):
        statistic[:] = math.nan
        return FORETOLD
    return TESTED
