"""Running moments of two series over the last rows, sound at any price level.

Sums are taken about a value inside the window, so prices of 60 000 that move by 1e-9 keep their
digits. They are rebuilt whenever the absolute bar number is a multiple of 1,024, which makes a
row's value independent of where the calculation began, and besides whenever little is left about
the mean of what has passed through the sums: then the digits that remain would be rounding.
"""

import math

import numpy as np
from numba import njit

from core.types import FloatArray

REBUILD_EVERY = 1_024

# Slots of a state: rows present, the two values that the sums are about, the sums themselves,
# and the largest sums of squares since they were rebuilt.
N, CX, CY, SX, SY, SXX, SXY, SYY, PEAK_X, PEAK_Y = range(10)
STATE_SIZE = 10

_LEAST_LEFT = 1e-2  # share of the largest sum of squares that must be left about the mean


def new_state() -> FloatArray:
    """State of an empty window."""
    return np.zeros(STATE_SIZE)


@njit(cache=True)
def _add(state, x, y, sign):  # type: ignore[no-untyped-def]
    dx = x - state[CX]
    dy = y - state[CY]
    state[N] += sign
    state[SX] += sign * dx
    state[SY] += sign * dy
    state[SXX] += sign * dx * dx
    state[SXY] += sign * dx * dy
    state[SYY] += sign * dy * dy


@njit(cache=True)
def _rebuild(state, x, y, start, stop):  # type: ignore[no-untyped-def]
    state[:] = 0.0
    for i in range(stop - 1, start - 1, -1):
        if not (math.isnan(x[i]) or math.isnan(y[i])):
            if state[N] == 0.0:
                state[CX] = x[i]
                state[CY] = y[i]
            _add(state, x[i], y[i], 1.0)


@njit(cache=True)
def advance(state, x, y, row, width, first_index):  # type: ignore[no-untyped-def]
    """Move the window from the rows before `row` − 1 to the `width` rows before `row`.

    `first_index` is the absolute bar number of row 0. A row is present when both are.
    """
    if row > 0:
        if not (math.isnan(x[row - 1]) or math.isnan(y[row - 1])):
            if state[N] == 0.0:
                state[:] = 0.0
                state[CX] = x[row - 1]
                state[CY] = y[row - 1]
            _add(state, x[row - 1], y[row - 1], 1.0)
        leaving = row - 1 - width
        if leaving >= 0 and not (math.isnan(x[leaving]) or math.isnan(y[leaving])):
            _add(state, x[leaving], y[leaving], -1.0)
    state[PEAK_X] = max(state[PEAK_X], state[SXX])
    state[PEAK_Y] = max(state[PEAK_Y], state[SYY])
    n = max(state[N], 1.0)
    if (
        (first_index + row) % REBUILD_EVERY == 0
        or state[SXX] - state[SX] * state[SX] / n < _LEAST_LEFT * state[PEAK_X]
        or state[SYY] - state[SY] * state[SY] / n < _LEAST_LEFT * state[PEAK_Y]
    ):
        _rebuild(state, x, y, max(0, row - width), row)
        state[PEAK_X] = state[SXX]
        state[PEAK_Y] = state[SYY]
