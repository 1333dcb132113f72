"""z-score to position: the one state machine behind live signal, backtest and alerts."""

import math

import numpy as np
from numba import njit

from core.types import BoolArray, ExitReason, FloatArray, IntArray, PairSpec

LONG, FLAT, SHORT = 1, 0, -1
MAX_MISSING_ROWS = 5
"""A position survives this many rows in a row without a z-score."""

EXIT_REASONS: tuple[ExitReason | None, ...] = (None, "revert", "stop", "time", "no_data")
_REVERT, _STOP, _TIME, _NO_DATA = 1, 2, 3, 4

START = (FLAT, 0, FLAT, -1)
"""State before the first row: what is held, rows in a row without z, the side that has to re-arm,
and the row whose open filled the entry (-1 while it waits for a complete row)."""


def decide_positions(
    zscore: FloatArray, complete: BoolArray, spec: PairSpec
) -> tuple[IntArray, IntArray]:
    """Decide at each close what to hold from the next open on, starting flat.

    Parameters
    ----------
    zscore : (n,) z-score of each row, NaN where there is none.
    complete : (n,) whether the row has a bar in both legs, so that an order would fill.

    Returns
    -------
    position : (n,) +1 long the spread, -1 short, 0 flat, as decided at the close of the row.
    exit_code : (n,) index into EXIT_REASONS where the row closes a position, else 0.

    Notes
    -----
    Flat enters short at entry_z ≤ z < stop_z and long at −stop_z < z ≤ −entry_z. A short leaves
    at z ≤ exit_z, a long at z ≥ −exit_z. In this order: stop (|z| ≥ stop_z on the position's
    side), reversion, time (max_hold_bars between fills), no data (more than MAX_MISSING_ROWS
    rows without z). Nothing enters on the row that leaves. After any exit but a reversion that
    side waits until z is back inside exit_z: else a stop re-enters at once, again and again.
    """
    position = np.zeros(len(zscore), dtype=np.int64)
    exit_code = np.zeros(len(zscore), dtype=np.int64)
    stop_z = math.inf if spec.stop_z is None else float(spec.stop_z)
    max_hold = 0 if spec.max_hold_bars is None else spec.max_hold_bars
    _decide(
        zscore, complete, float(spec.entry_z), float(spec.exit_z), stop_z, max_hold, START, 0,
        position, exit_code,
    )  # fmt: skip
    return position, exit_code


@njit(cache=True)
def _decide(  # type: ignore[no-untyped-def]
    zscore, complete, entry_z, exit_z, stop_z, max_hold, state, start, position, exit_code
):
    held, missing, blocked, filled = state
    for row in range(start, len(zscore)):
        z = zscore[row]
        missing = missing + 1 if math.isnan(z) else 0
        if held != FLAT:
            if filled < 0 and complete[row]:
                filled = row
            outward = -held * z  # how far z stands out on the position's own side
            code = 0
            if outward >= stop_z:
                code = _STOP
            elif outward <= exit_z:
                code = _REVERT
            elif max_hold > 0 and filled >= 0 and row + 1 - filled >= max_hold:
                code = _TIME
            elif missing > MAX_MISSING_ROWS:
                code = _NO_DATA
            if code:
                blocked = FLAT if code == _REVERT else held
                held, filled = FLAT, -1
                exit_code[row] = code
        else:
            if blocked != FLAT and -blocked * z <= exit_z:
                blocked = FLAT
            if entry_z <= z < stop_z and blocked != SHORT:
                held = SHORT
            elif -stop_z < z <= -entry_z and blocked != LONG:
                held = LONG
        position[row] = held
    return held, missing, blocked, filled
