"""Running moments of two series over the last rows, sound at any price level.

Sums are taken about a value inside the window, so prices of 60 000 that move by 1e-9 keep their
digits. They are rebuilt whenever the absolute bar number is a multiple of 1,024, which makes a
row's value independent of where the calculation began, and besides whenever little is left about
the mean of what has passed through the sums: then the digits that remain would be rounding.
"""

import math
from typing import TypeAlias

from numba import njit

REBUILD_EVERY = 1_024

# A state is a tuple, so that a compiled loop keeps it in registers: rows present, the two values
# that the sums are about, the sums themselves, and the largest sums of squares since they were
# rebuilt.
State: TypeAlias = tuple[float, float, float, float, float, float, float, float, float, float]
EMPTY: State = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

_LEAST_LEFT = 1e-2  # share of the largest sum of squares that must be left about the mean


@njit(cache=True)
def _rebuild(x, y, start, stop):  # type: ignore[no-untyped-def]
    n = cx = cy = sx = sy = sxx = sxy = syy = 0.0
    for i in range(stop - 1, start - 1, -1):
        if not (math.isnan(x[i]) or math.isnan(y[i])):
            if n == 0.0:
                cx, cy = x[i], y[i]
            dx, dy = x[i] - cx, y[i] - cy
            n += 1.0
            sx += dx
            sy += dy
            sxx += dx * dx
            sxy += dx * dy
            syy += dy * dy
    return n, cx, cy, sx, sy, sxx, sxy, syy, sxx, syy


@njit(cache=True)
def advance(state, x, y, row, width, first_index):  # type: ignore[no-untyped-def]
    """Move the window from the rows before `row` − 1 to the `width` rows before `row`.

    `first_index` is the absolute bar number of row 0. A row is present when both are.
    """
    n, cx, cy, sx, sy, sxx, sxy, syy, peak_x, peak_y = state
    if row > 0:
        dx, dy = x[row - 1] - cx, y[row - 1] - cy
        if not math.isnan(dx + dy):
            if n == 0.0:
                return _rebuild(x, y, row - 1, row)
            n += 1.0
            sx += dx
            sy += dy
            sxx += dx * dx
            sxy += dx * dy
            syy += dy * dy
        if row > width:
            dx, dy = x[row - 1 - width] - cx, y[row - 1 - width] - cy
            if not math.isnan(dx + dy):
                n -= 1.0
                sx -= dx
                sy -= dy
                sxx -= dx * dx
                sxy -= dx * dy
                syy -= dy * dy
    peak_x, peak_y = max(peak_x, sxx), max(peak_y, syy)
    # Multiplied by n: a division a row would cost more than all the rest.
    if (
        (first_index + row) % REBUILD_EVERY == 0
        or n * (sxx - _LEAST_LEFT * peak_x) < sx * sx
        or n * (syy - _LEAST_LEFT * peak_y) < sy * sy
    ):
        return _rebuild(x, y, max(0, row - width), row)
    return n, cx, cy, sx, sy, sxx, sxy, syy, peak_x, peak_y
