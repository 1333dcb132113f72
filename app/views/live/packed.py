"""Figures for their way to the browser: the steps from row to row in place of values; pure.

Neighbours differ by little, so that the steps pack into two thirds of the bytes, and whole numbers
are read faster. `unpack` in assets/desk_lines.js makes the very same values of them.
"""

from typing import Any

import numpy as np

from app.views.live.figures import Figure
from app.views.live.series import Column

MOST_DIGITS = 12
LARGEST = 2.0**53
"""Whole numbers up to here are exact, in Python's floats and in the browser's."""


def packed_figure(figure: Figure) -> Figure:
    """The figure with its rows' values packed; the rest as it is."""
    return figure | {"data": [_packed_trace(trace) for trace in figure["data"]]}


def _packed_trace(trace: Figure) -> Figure:
    if "rows" not in trace["meta"]:
        return trace
    parts = [part for part in ("y", "customdata") if part in trace]
    return trace | {part: packed(trace[part]) for part in parts}


def packed(column: Column) -> dict[str, Any] | Column:
    """Steps between the known values of a column, in units of its last decimal.

    Returns
    -------
    `digits` behind the point and whole `steps`: the first known value, then each one's difference
    from the known one before; None where a value is missing. A column that whole numbers can't
    tell to the bit is returned as it came.
    """
    values = np.array(column, dtype=float)
    known = np.isfinite(values)
    for digits in range(MOST_DIGITS + 1):
        whole = np.rint(values[known] * 10.0**digits)
        if np.max(np.abs(whole), initial=0.0) > LARGEST:
            break
        if np.array_equal(whole / 10.0**digits, values[known]):
            steps = np.full(len(values), None, dtype=object)
            steps[known] = np.diff(whole.astype(np.int64), prepend=0).tolist()
            return {"digits": digits, "steps": steps.tolist()}
    return column
