"""Time-varying hedge ratio: dynamic linear regression with a discount factor."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from core.types import FloatArray, HedgeSeries
from core.windows import (
    EMPTY,
    HEDGE_RATIO,
    INTERCEPT,
    ORIGIN,
    REBUILD_EVERY,
    SPREAD,
    SPREAD_MEAN,
    SPREAD_STD,
    STDERR,
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

_FAR = 1e3  # share of the leverage that its slope's part may reach before c moves up
_WIDEST = 1e8  # growth of P over a long hole; beyond it nothing is known and digits would be lost


class Filter(NamedTuple):
    """The state [b, a] about (c, c_y), in units of the observation variance."""

    seen: float = 0.0  # rows present, up to the end of the warm-up
    c: float = 0.0
    c_y: float = 0.0
    b: float = 0.0
    a: float = 0.0
    p00: float = 0.0
    p01: float = 0.0
    p11: float = 0.0
    known: float = 0.0  # p00 when a row was last seen


class FilterState(NamedTuple):
    """What is carried from one row to the next: the filter, and the windows of its errors."""

    filter: Filter = Filter()
    about: Line = ORIGIN  # an error inside the windows
    recent: Window = EMPTY
    beside: Window = EMPTY  # each error with the one before it


NOTHING_SEEN = FilterState()
"""State before the first row."""


def kalman_hedge(
    y: FloatArray,
    x: FloatArray,
    *,
    first_index: int,
    hedge_window: int,
    window: int,
    discount: float | None = None,
) -> tuple[HedgeSeries, FloatArray]:
    """Filter the hedge ratio of y on x; everything at row t uses the prior of t.

    Parameters
    ----------
    y, x : (n,) log prices on dense rows; NaN where a row is missing.
    first_index : absolute bar number of row 0 (open time / timeframe).
    hedge_window : span of the filter's exponential memory, rows.
    window : rows of the warm-up regression and of the z-score.
    discount : L below; by default that of an exponential window of `hedge_window` rows.

    Returns
    -------
    (series, stderr), each (n,): the spread is the one-step forecast error e, the intercept is
    that of uncentred x. NaN during the warm-up; spread and zscore also where the row is missing
    and zscore until 90 % of a window of errors is there or while they do not vary.

    Notes
    -----
    State [b, a] as a random walk, H = [x − c, 1], c = x of the first row present. Discount
    L = 1 − 2/(hedge_window + 1). Warm-up: OLS on the first `window` rows present,
    P = (H'H)⁻¹, in units of the observation variance. Then P⁻ = P/L, e = y − Hθ,
    S = 1 + HP⁻H', K = P⁻H'/S, θ += Ke, P = (I−KH)P⁻(I−KH)' + KK' (Joseph). A missing row
    predicts without update. z_t = (e_t − mean(e_{t−W…t−1})) / std(e_{t−W…t−1}, ddof=1).
    stderr(b) = √(P⁻₀₀ · var(e over W) · (1+ρ)/(1−ρ)), ρ the lag-1 autocorrelation of e
    over the W pairs of neighbours (e_{t−W−1}, e_{t−W}) … (e_{t−2}, e_{t−1}): the errors of a
    spread are not white, and a textbook band would be several times too narrow.

    References
    ----------
    West and Harrison, *Bayesian Forecasting and Dynamic Models*, ch. 6.3 (discount factors).
    """
    out = np.full((STDERR + 1, len(y)), np.nan)
    advance(y, x, first_index, hedge_window, window, NOTHING_SEEN, 0, out, discount)
    return HedgeSeries(*out[:STDERR]), out[STDERR]


def advance(
    y: FloatArray,
    x: FloatArray,
    first_index: int,
    hedge_window: int,
    window: int,
    state: FilterState,
    start: int,
    out: FloatArray,
    discount: float | None = None,
) -> FilterState:
    """Carry the filter on over the rows from `start`, from `state`; fills (7, n) `out`."""
    if discount is None:
        discount = 1.0 - 2.0 / (hedge_window + 1.0)
    after: FilterState = _kalman(y, x, first_index, discount, window, state, start, out)
    return after


@njit(cache=True)
def _warm_up(y, x, row, seen, c, c_y):  # type: ignore[no-untyped-def]
    """OLS on the rows present up to `row`, about c; waits for the next one while x is constant."""
    n = sx = sy = 0.0
    for i in range(row + 1):
        if not math.isnan(x[i] + y[i]):
            n += 1.0
            sx += x[i] - c
            sy += y[i] - c_y
    mx = sx / n
    my = sy / n
    sxx = sxy = 0.0
    for i in range(row + 1):
        if not math.isnan(x[i] + y[i]):
            dx = x[i] - c - mx
            sxx += dx * dx
            sxy += dx * (y[i] - c_y - my)
    if sxx <= 0.0:
        return Filter(seen - 1.0, c, c_y, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    b = sxy / sxx
    return Filter(
        seen, c, c_y, b, my - b * mx, 1.0 / sxx, -mx / sxx, 1.0 / n + mx * mx / sxx, 1.0 / sxx
    )


@njit(cache=True, nogil=True)
def _kalman(y, x, first_index, discount, window, state, start, out):  # type: ignore[no-untyped-def]
    filtered, about, recent, beside = state
    seen, c, c_y, b, a, p00, p01, p11, known = filtered
    widen = 1.0 / discount
    recent_rows = inverse = freedom = beside_rows = beside_inverse = 0.0
    errors = out[SPREAD]
    before = errors[:-1]  # the error of the row before, by the same index plus one
    for row in range(start, len(y)):
        if (first_index + row) % REBUILD_EVERY == 0:
            about, recent, beside = _sum_afresh(errors, row, window)
        else:
            new = deviations(errors, errors, row - 1, about)
            recent = slide(recent, new, deviations(errors, errors, row - 1 - window, about))
            new = deviations(before, errors[1:], row - 2, about)
            old = deviations(before, errors[1:], row - 2 - window, about)
            beside = slide(beside, new, old)

        present = not math.isnan(x[row] + y[row])
        if seen < window:
            if present:
                if seen == 0.0:
                    c, c_y = x[row], y[row]
                seen += 1.0
                if x[row] != c:
                    b = 1.0  # until there is a hedge ratio: whether x has moved
                if seen == window and b == 0.0:
                    seen -= 1.0
                elif seen == window:
                    seen, c, c_y, b, a, p00, p01, p11, known = _warm_up(y, x, row, seen, c, c_y)
            continue
        if p00 < _WIDEST * known:
            p00 *= widen
            p01 *= widen
            p11 *= widen
        out[HEDGE_RATIO, row] = b
        out[INTERCEPT, row] = (c_y + a) - b * c
        mean = std = math.nan
        if recent.rows >= 0.9 * window and recent.rows >= 2.0:
            if recent.rows != recent_rows:
                recent_rows = recent.rows
                inverse, freedom = 1.0 / recent_rows, 1.0 / (recent_rows - 1.0)
            if beside.rows != beside_rows:
                beside_rows = beside.rows
                beside_inverse = 1.0 / max(beside_rows, 1.0)
            mean, _, squares, _, _ = moments(recent, inverse)
            _, _, xx, xy, yy = moments(beside, beside_inverse)
            if is_worn(recent, squares, squares) or is_worn(beside, xx, yy):
                about, recent, beside = _sum_afresh(errors, row, window)
                mean, _, squares, _, _ = moments(recent, inverse)
                _, _, xx, xy, yy = moments(beside, beside_inverse)
            mean += about.x
            variance = squares * freedom if squares > 0.0 else 0.0
            std = math.sqrt(variance)
            if is_still(std, c_y, b * c):
                std = 0.0
            out[SPREAD_MEAN, row] = mean
            out[SPREAD_STD, row] = std
            out[STDERR, row] = _stderr(p00 * variance, beside_rows, xx, xy, yy)
        if not present:
            continue

        h = x[row] - c
        error = (y[row] - c_y) - b * h - a
        errors[row] = error
        if std > 0.0:
            out[ZSCORE, row] = (error - mean) / std
        ph0 = p00 * h + p01
        ph1 = p01 * h + p11
        leverage = h * ph0 + ph1
        if p00 * h * h > _FAR * leverage:
            # Far from c the terms cancel and P would lose its digits: count from here on.
            c, c_y = x[row], y[row]
            a = -error
            p01, p11, h = ph0, leverage, 0.0
            ph1 = leverage
        scale = 1.0 / (1.0 + leverage)
        k0 = ph0 * scale
        k1 = ph1 * scale
        b += k0 * error
        a += k1 * error
        # Joseph's form keeps P symmetric and positive whatever is rounded away.
        a00 = 1.0 - k0 * h
        a10 = -k1 * h
        a11 = 1.0 - k1
        m00 = a00 * p00 - k0 * p01
        m01 = a00 * p01 - k0 * p11
        m10 = a10 * p00 + a11 * p01
        m11 = a10 * p01 + a11 * p11
        p00 = m00 * a00 - m01 * k0 + k0 * k0
        p01 = m00 * a10 + m01 * a11 + k0 * k1
        p11 = m10 * a10 + m11 * a11 + k1 * k1
        known = p00
    return FilterState(Filter(seen, c, c_y, b, a, p00, p01, p11, known), about, recent, beside)


@njit(cache=True)
def _sum_afresh(errors, row, window):  # type: ignore[no-untyped-def]
    """The windows before a row, about the last error inside them."""
    last = reference(errors, errors, row - window - 1, row, 0.0)
    recent = rebuild(errors, errors, row - window, row, last)
    return last, recent, rebuild(errors[:-1], errors[1:], row - window - 1, row - 1, last)


@njit(cache=True)
def _stderr(scale, pairs, xx, xy, yy):  # type: ignore[no-untyped-def]
    """√(scale · (1+ρ)/(1−ρ)), ρ = 2·Σxy/(Σxx + Σyy) of the errors beside the ones before."""
    both = 0.5 * (xx + yy)
    if pairs < 2.0 or both <= abs(xy):
        return math.nan
    return math.sqrt(scale * (both + xy) / (both - xy))
