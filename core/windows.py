"""Running moments of two series over the last rows, sound at any price level.

Sums are taken about a value inside the window, so prices of 60 000 that move by 1e-9 keep their
digits. They are rebuilt whenever the absolute bar number is a multiple of 1,024, which makes a
row's value independent of where the calculation began. Where little is left about the mean of
what has passed through the sums, what remains would be rounding: there the caller sums the window
afresh (`is_worn`).
"""

import math
from typing import TypeAlias

from numba import njit

REBUILD_EVERY = 1_024

# A window is a tuple, so that a compiled loop keeps it in registers: rows present; sums of x, y,
# xx, xy, yy about the reference; the largest sums of xx and yy since they were rebuilt.
Window: TypeAlias = tuple[float, float, float, float, float, float, float, float]
EMPTY: Window = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

_WORN = 1e-4  # share of the largest sum of squares that must be left about the mean
_STILL = 1e-15  # share of log prices that rounding may make a spread move by


@njit(cache=True)
def slide(window, dx, dy, inside, old_dx, old_dy, old_inside):  # type: ignore[no-untyped-def]
    """Let one row in and one out; deviations are 0 and `inside` is 0 for a missing row."""
    n, sx, sy, sxx, sxy, syy, peak_x, peak_y = window
    sxx += dx * dx - old_dx * old_dx
    syy += dy * dy - old_dy * old_dy
    return (
        n + (inside - old_inside),
        sx + (dx - old_dx),
        sy + (dy - old_dy),
        sxx,
        sxy + (dx * dy - old_dx * old_dy),
        syy,
        sxx if sxx > peak_x else peak_x,
        syy if syy > peak_y else peak_y,
    )


@njit(cache=True)
def deviations(x, y, row, cx, cy):  # type: ignore[no-untyped-def]
    """Deviations of a row from the reference, and 1.0; all 0 for a missing or absent row."""
    if row < 0:
        return 0.0, 0.0, 0.0
    dx, dy = x[row] - cx, y[row] - cy
    if math.isnan(dx + dy):
        return 0.0, 0.0, 0.0
    return dx, dy, 1.0


@njit(cache=True)
def rebuild(x, y, start, stop, cx, cy):  # type: ignore[no-untyped-def]
    """The window of rows [start, stop), summed afresh."""
    n = sx = sy = sxx = sxy = syy = 0.0
    for row in range(max(start, 0), stop):
        dx, dy, inside = deviations(x, y, row, cx, cy)
        n += inside
        sx += dx
        sy += dy
        sxx += dx * dx
        sxy += dx * dy
        syy += dy * dy
    return n, sx, sy, sxx, sxy, syy, sxx, syy


@njit(cache=True)
def reference(x, y, start, stop):  # type: ignore[no-untyped-def]
    """The last row present in [start, stop), the value that sums are taken about; else zeros."""
    for row in range(stop - 1, max(start, 0) - 1, -1):
        if not math.isnan(x[row] + y[row]):
            return x[row], y[row]
    return 0.0, 0.0


@njit(cache=True)
def moments(window, inverse):  # type: ignore[no-untyped-def]
    """Means about the reference and sums of xx, xy, yy about the means; `inverse` is 1/n."""
    _, sx, sy, sxx, sxy, syy, _, _ = window
    mean_x, mean_y = sx * inverse, sy * inverse
    return mean_x, mean_y, sxx - sx * mean_x, sxy - sx * mean_y, syy - sy * mean_y


@njit(cache=True)
def is_worn(window, xx, yy):  # type: ignore[no-untyped-def]
    """Whether sums about the means have lost digits to what passed through them."""
    return xx < _WORN * window[6] or yy < _WORN * window[7]


@njit(cache=True)
def is_still(std, y, x):  # type: ignore[no-untyped-def]
    """Whether a spread of log prices like y and x moves by no more than their rounding."""
    return std <= _STILL * (1.0 + abs(y) + abs(x))
