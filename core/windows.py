"""Running moments of two series over the last rows, sound at any price level.

Sums are taken about a line through a row inside the window: of x about that row, and of u, how
far y is from the line. So prices of 60 000 that move by 1e-9 keep their digits, and so does the
spread of two legs that are all but one. Sums are rebuilt whenever the absolute bar number is a
multiple of 1,024, which makes a row's value independent of where the calculation began. Where
little is left about the mean of what has passed through the sums, what remains would be rounding:
there the caller sums the window afresh (`is_worn`).
"""

import math
from typing import NamedTuple

from numba import njit

REBUILD_EVERY = 1_024

# Rows of a kernel's output: those of HedgeSeries, in its order, and the filter's standard error.
HEDGE_RATIO, INTERCEPT, SPREAD, SPREAD_MEAN, SPREAD_STD, ZSCORE, STDERR = range(7)

_WORN = 1e-4  # share of the largest sum of squares that must be left about the mean
_STILL = 1e-15  # share of log prices that rounding may make a spread move by


class Line(NamedTuple):
    """What sums are taken about: a point, and the slope of a line through it."""

    x: float = 0.0
    y: float = 0.0
    slope: float = 0.0


class Window(NamedTuple):
    """Sums over the rows present; a compiled loop keeps them in registers."""

    rows: float = 0.0
    x: float = 0.0
    u: float = 0.0
    xx: float = 0.0
    xu: float = 0.0
    uu: float = 0.0
    # The largest sums since they were rebuilt.
    peak_xx: float = 0.0
    peak_uu: float = 0.0


ORIGIN = Line()
EMPTY = Window()


@njit(cache=True)
def deviations(x, y, row, line):  # type: ignore[no-untyped-def]
    """x about the line's point, y about the line, and 1.0; all 0 for a missing or absent row."""
    if row < 0:
        return 0.0, 0.0, 0.0
    dx = x[row] - line.x
    du = (y[row] - line.y) - line.slope * dx
    if math.isnan(du):
        return 0.0, 0.0, 0.0
    return dx, du, 1.0


@njit(cache=True)
def slide(window, new, old):  # type: ignore[no-untyped-def]
    """Let one row in and one out, each as its deviations."""
    dx, du, inside = new
    old_dx, old_du, old_inside = old
    xx = window.xx + (dx * dx - old_dx * old_dx)
    uu = window.uu + (du * du - old_du * old_du)
    return Window(
        window.rows + (inside - old_inside),
        window.x + (dx - old_dx),
        window.u + (du - old_du),
        xx,
        window.xu + (dx * du - old_dx * old_du),
        uu,
        xx if xx > window.peak_xx else window.peak_xx,
        uu if uu > window.peak_uu else window.peak_uu,
    )


@njit(cache=True)
def rebuild(x, y, start, stop, line):  # type: ignore[no-untyped-def]
    """The window of rows [start, stop), summed afresh."""
    n = sx = su = xx = xu = uu = 0.0
    for row in range(max(start, 0), stop):
        dx, du, inside = deviations(x, y, row, line)
        n += inside
        sx += dx
        su += du
        xx += dx * dx
        xu += dx * du
        uu += du * du
    return Window(n, sx, su, xx, xu, uu, xx, uu)


@njit(cache=True)
def reference(x, y, start, stop, slope):  # type: ignore[no-untyped-def]
    """The line of a slope through the last row present in [start, stop); else through nothing."""
    for row in range(stop - 1, max(start, 0) - 1, -1):
        if not math.isnan(x[row] + y[row]):
            return Line(x[row], y[row], slope)
    return Line(0.0, 0.0, slope)


@njit(cache=True)
def moments(window, inverse):  # type: ignore[no-untyped-def]
    """Means of x and u and sums of xx, xu, uu about the means; `inverse` is 1/rows."""
    mean_x, mean_u = window.x * inverse, window.u * inverse
    return (
        mean_x,
        mean_u,
        window.xx - window.x * mean_x,
        window.xu - window.x * mean_u,
        window.uu - window.u * mean_u,
    )


@njit(cache=True)
def is_worn(window, xx, uu):  # type: ignore[no-untyped-def]
    """Whether sums about the means have lost digits to what passed through them."""
    return xx < _WORN * window.peak_xx or uu < _WORN * window.peak_uu


@njit(cache=True)
def is_still(std, y, x):  # type: ignore[no-untyped-def]
    """Whether a spread of log prices like y and x moves by no more than their rounding."""
    return std <= _STILL * (1.0 + abs(y) + abs(x))
