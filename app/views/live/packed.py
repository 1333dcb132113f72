"""Figures for their way to the browser: the steps from row to row in place of values; pure.

Neighbours differ by little, so that the steps pack into two thirds of the bytes, and whole numbers
are read faster. `unpack` in assets/desk_lines.js makes the very same values of them.
"""

from typing import Any

import numpy as np

from app.views.live.figures import Figure
from app.views.live.series import Column
from core.types import FloatArray

MOST_DIGITS = 12
SAMPLED = 64
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
    told = values[known]
    # What a few rows need is nearly always what all need.
    for digits in range(_digits_of(told[::SAMPLED]), MOST_DIGITS + 1):
        whole = _whole(told, digits)
        if whole is not None:
            steps = np.diff(whole.astype(np.int64), prepend=0).tolist()
            if len(told) < len(values):
                left = iter(steps)
                steps = [next(left) if is_known else None for is_known in known.tolist()]
            return {"digits": digits, "steps": steps}
    return column


def _digits_of(values: FloatArray) -> int:
    """How many decimals tell these to the bit; none where too many would be needed."""
    fitting = (digits for digits in range(MOST_DIGITS + 1) if _whole(values, digits) is not None)
    return next(fitting, MOST_DIGITS + 1)


def _whole(values: FloatArray, digits: int) -> FloatArray | None:
    """The values in units of their last decimal; None where these don't tell them to the bit."""
    unit = 10.0**digits
    with np.errstate(over="ignore"):
        whole = np.rint(values * unit)
    if np.abs(whole).max(initial=0.0) > LARGEST or (whole / unit != values).any():
        return None
    return whole
