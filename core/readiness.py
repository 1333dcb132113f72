"""What a pair's z waits for: bars that a short history or a hole leaves out of its windows."""

from typing import NamedTuple

import numpy as np

from core.pair_spec import PairSpec
from core.regression import CHANGE_ROWS
from core.types import BoolArray, FloatArray, IntArray, Wait

FULL_ENOUGH = 0.9
"""Share of a window's rows that has to be there."""


def wait_for_z(spec: PairSpec, before: BoolArray) -> Wait:
    """Count the bars until a pair has a z.

    Parameters
    ----------
    before : (n,) which of the rows that the bar to come may look back to are present.

    Notes
    -----
    Of a rolling fit's rows, `window` at least and `hedge_window` at most, nine in ten must be
    there, of *returns* the same of the changes, and of the `window` rows that z is measured by.
    The filter begins after `window` rows; z wants nine in ten of its next ones.
    """
    window, fit = spec.window, spec.hedge_window
    most = fit + 2 * window + CHANGE_ROWS
    present = np.concatenate((before, np.ones(most, dtype=np.bool_)))
    ends = len(before) + np.arange(most + 1)
    if spec.hedge == "kalman":
        warm, begun = np.full(len(ends), window), _total(present)[1:] > window
        parts = [
            _Part(np.minimum(_total(present)[ends], window), warm, warm),
            _part(present & begun, ends, window, window),
        ]
    else:
        parts = [_part(present, ends, fit, window), _part(present, ends, window, window)]
    if spec.hedge == "returns":
        changed = present[CHANGE_ROWS:] & present[:-CHANGE_ROWS]
        parts.append(_part(changed, np.maximum(ends - CHANGE_ROWS, 0), fit, window))
    # One window may lose rows again while another still waits.
    filled = np.array([part.here >= part.needed for part in parts])
    bars = int(np.argmax(filled.all(axis=0))) + 1
    last = parts[int(np.argmin(filled[:, max(bars - 2, 0)]))]
    return Wait(bars, int(last.here[0]), int(last.needed[0]), int(last.of[0]))


class _Part(NamedTuple):
    """Rows of one window that are there and have to be, before each row to come, and all it has."""

    here: IntArray
    needed: FloatArray | IntArray
    of: IntArray


def _part(present: BoolArray, ends: IntArray, most: int, fewest: int) -> _Part:
    """Nine in ten of the rows before an end, which are `fewest` to `most`."""
    of, total = np.minimum(ends, most), _total(present)
    needed = np.where(of < fewest, fewest, np.ceil(FULL_ENOUGH * of))
    return _Part(total[ends] - total[ends - of], needed, np.maximum(of, fewest))


def _total(present: BoolArray) -> IntArray:
    """How many rows are there before each."""
    return np.concatenate(([0], np.cumsum(present)))
