"""z-score to position: the one state machine behind live signal, backtest and alerts."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from core.pair_spec import PairSpec
from core.types import BoolArray, ExitReason, FloatArray, HedgeSeries, IntArray, PairRows

LONG, FLAT, SHORT = 1, 0, -1
MAX_MISSING_ROWS = 5
"""A position survives this many rows in a row without a z-score."""

HALTED_ROWS = 20
HALTED_MS = 600_000
"""A leg that has not traded for so many bars and so long has stopped."""

EXIT_REASONS: tuple[ExitReason | None, ...] = (
    None, "break", "halted", "stop", "revert", "time", "no_data",
)  # fmt: skip
"""By exit code, in the order in which they are looked at."""
BREAK, _HALTED, _STOP, _REVERT, _TIME, _NO_DATA = 1, 2, 3, 4, 5, 6


class Conditions(NamedTuple):
    """What a decision hangs on beside z, a value a row."""

    tradable: BoolArray
    """An order would fill at the row's open."""
    may_enter: BoolArray
    """Both legs would stand on opposite sides, and neither has stopped."""
    halted: BoolArray
    """A leg has stopped: what is held is to be left as soon as it trades again."""
    breaks: BoolArray
    """The first row at prices that no position reaches over to."""


class State(NamedTuple):
    """What is carried from one row to the next."""

    held: int = FLAT
    missing: int = 0  # rows in a row without the z that decides
    blocked: int = FLAT  # the side that has to re-arm
    age: int = -1  # rows since the one whose open filled what is in the market
    # The spread as it stood when the position was decided on.
    intercept: float = math.nan
    hedge_ratio: float = math.nan
    mean: float = math.nan
    std: float = math.nan
    # What fills have left in the market: an exit that could not be filled is not over.
    filled: int = FLAT


START = State()
"""The state before the first row."""


class Progress(NamedTuple):
    """What whoever decides as bars come keeps from one bar to the next."""

    state: State = START
    still_a: int = 0  # rows without a trade up to now, a leg each
    still_b: int = 0


BORN = Progress()
"""Before the first row."""


def revive(stored: Sequence[Any]) -> Progress:
    """Make a progress of what came back from the store as plain lists."""
    values, still_a, still_b = stored
    state = State(*values)
    if len(values) < len(State._fields) and state.age >= 0:
        # Of a version that did not keep it: there an age was that of the position held.
        state = state._replace(filled=state.held)
    return Progress(state, still_a, still_b)


def conditions(
    spec: PairSpec,
    rows: PairRows,
    hedge_ratio: FloatArray,
    breaks: BoolArray,
    *,
    suspended: bool = False,
) -> Conditions:
    """Judge each row by what its bars and its hedge ratio say.

    Parameters
    ----------
    breaks : (n,) rows that begin after a price jumped as only a redenomination does.
    suspended : the exchange lists a leg as not trading now, which stops the last row.
    """
    return _conditions(spec, rows, hedge_ratio, breaks, suspended, 0, 0)[0]


def _conditions(
    spec: PairSpec,
    rows: PairRows,
    hedge_ratio: FloatArray,
    breaks: BoolArray,
    suspended: bool,
    still_a: int,
    still_b: int,
) -> tuple[Conditions, int, int]:
    tradable, may_enter, halted = np.empty((3, len(rows)), dtype=np.bool_)
    # Only bars that are there count as still: what is missing may have traded.
    longest = max(HALTED_ROWS, -(-HALTED_MS // spec.timeframe_ms))
    still_a, still_b = _judge(
        rows.close_a, rows.traded_a, rows.traded_b, hedge_ratio, longest, suspended,
        still_a, still_b, tradable, may_enter, halted,
    )  # fmt: skip
    return Conditions(tradable, may_enter, halted, breaks), int(still_a), int(still_b)


def last_traded(rows: PairRows) -> tuple[int, int]:
    """Open time of the last bar that each leg traded in; -1 where it never did."""
    times = [rows.open_time_ms[traded] for traded in (rows.traded_a, rows.traded_b)]
    last_a, last_b = (int(found[-1]) if len(found) else -1 for found in times)
    return last_a, last_b


@njit(cache=True, nogil=True)
def _judge(  # type: ignore[no-untyped-def]
    close_a, traded_a, traded_b, hedge_ratio, longest, suspended, still_a, still_b,
    tradable, may_enter, halted,
):  # fmt: skip
    for row in range(len(close_a)):
        present = not math.isnan(close_a[row])
        still_a = 0 if traded_a[row] else still_a + present
        still_b = 0 if traded_b[row] else still_b + present
        tradable[row] = present and traded_a[row] and traded_b[row]
        halted[row] = still_a >= longest or still_b >= longest
        if suspended and row == len(close_a) - 1:
            halted[row] = True
        may_enter[row] = hedge_ratio[row] > 0.0 and not halted[row]
    return still_a, still_b


def decide_positions(
    spec: PairSpec, y: FloatArray, x: FloatArray, hedge: HedgeSeries, given: Conditions
) -> tuple[IntArray, IntArray]:
    """Decide at each close what to hold from the next open on, starting flat.

    Parameters
    ----------
    y, x : (n,) log prices of the legs, NaN on missing rows; read only where exits are anchored.
    hedge, given : (n,) the hedge that trades, and what else decides.

    Returns
    -------
    position : (n,) +1 long the spread, -1 short, 0 flat, as decided at the close of the row.
    exit_code : (n,) index into EXIT_REASONS where the row closes a position, else 0.

    Notes
    -----
    Flat enters short at entry_z ≤ z < stop_z and long at −stop_z < z ≤ −entry_z, where the row
    may enter. A short leaves at z ≤ exit_z, a long at z ≥ −exit_z. In this order: break, halted,
    stop (|z| ≥ stop_z on the position's side), reversion, time (max_hold_bars between fills: an
    exit taken back before it could be filled has ended nothing), no data (more than
    MAX_MISSING_ROWS rows without z). Nothing enters on the row that leaves. After
    a stop, time or no-data exit that side waits until z is back inside exit_z: else a stop
    re-enters at once, again and again.

    With `anchored` exits the z of a held position is (y − α − βx − mean)/std with all four as at
    the decision d: the mean can't come to meet it. Entry and re-arming look at the row's own z.
    """
    return _positions(spec, y, x, hedge, given, START)[:2]


def decide_on(
    spec: PairSpec,
    rows: PairRows,
    y: FloatArray,
    x: FloatArray,
    hedge: HedgeSeries,
    breaks: BoolArray,
    progress: Progress = BORN,
) -> tuple[Conditions, IntArray, IntArray, Progress]:
    """Judge and decide on new rows, going on from where the rows before them ended.

    Parameters
    ----------
    rows, y, x, hedge, breaks : (n,) the new rows alone.
    progress : as it was returned for the rows before.

    Returns
    -------
    What `conditions` and `decide_positions` give for these rows over all rows since `BORN`, to
    the bit, and the progress to go on from.
    """
    given, still_a, still_b = _conditions(
        spec, rows, hedge.hedge_ratio, breaks, False, progress.still_a, progress.still_b
    )
    position, exit_code, state = _positions(spec, y, x, hedge, given, progress.state)
    return given, position, exit_code, Progress(state, still_a, still_b)


def _positions(
    spec: PairSpec,
    y: FloatArray,
    x: FloatArray,
    hedge: HedgeSeries,
    given: Conditions,
    state: State,
) -> tuple[IntArray, IntArray, State]:
    position = np.zeros(len(hedge.zscore), dtype=np.int64)
    exit_code = np.zeros(len(hedge.zscore), dtype=np.int64)
    stop_z = math.inf if spec.stop_z is None else float(spec.stop_z)
    max_hold = 0 if spec.max_hold_bars is None else spec.max_hold_bars
    state = decide_rows(
        y, x, hedge.zscore, hedge.intercept, hedge.hedge_ratio, hedge.spread_mean,
        hedge.spread_std, given.tradable, given.may_enter, given.halted, given.breaks,
        float(spec.entry_z), float(spec.exit_z), stop_z, max_hold, spec.exit_rule == "anchored",
        state, 0, position, exit_code,
    )  # fmt: skip
    return position, exit_code, state


def anchored_zscore(
    y: FloatArray, x: FloatArray, hedge: HedgeSeries, decided: IntArray, row: IntArray
) -> FloatArray:
    """z at each `row` of the spread as it stood at the row `decided`."""
    spread = y[row] - hedge.intercept[decided] - hedge.hedge_ratio[decided] * x[row]
    return (spread - hedge.spread_mean[decided]) / hedge.spread_std[decided]


@njit(cache=True, nogil=True)
def decide_rows(  # type: ignore[no-untyped-def]
    y, x, zscore, intercept, hedge_ratio, spread_mean, spread_std,
    tradable, may_enter, halted, breaks,
    entry_z, exit_z, stop_z, max_hold, anchored, state, start, position, exit_code,
):  # fmt: skip
    held, missing, blocked, age, own_intercept, own_ratio, own_mean, own_std, filled = state
    for row in range(start, len(zscore)):
        z = zscore[row]
        age += 1
        if breaks[row]:
            filled = FLAT
        elif tradable[row] and filled != held:
            filled, age = held, 0
        if held != FLAT:
            if anchored:
                z = (y[row] - own_intercept - own_ratio * x[row] - own_mean) / own_std
            missing = missing + 1 if math.isnan(z) else 0
            outward = -held * z  # how far z stands out on the position's own side
            code = 0
            if breaks[row]:
                code = BREAK
            elif halted[row]:
                code = _HALTED
            elif outward >= stop_z:
                code = _STOP
            elif outward <= exit_z:
                code = _REVERT
            elif max_hold > 0 and filled == held and age + 1 >= max_hold:
                code = _TIME
            elif missing > MAX_MISSING_ROWS:
                code = _NO_DATA
            if code:
                blocked = held if code == _STOP or code >= _TIME else FLAT
                held = FLAT
                exit_code[row] = code
        else:
            if blocked != FLAT and -blocked * z <= exit_z:
                blocked = FLAT
            if may_enter[row]:
                if entry_z <= z < stop_z and blocked != SHORT:
                    held = SHORT
                elif -stop_z < z <= -entry_z and blocked != LONG:
                    held = LONG
            if held != FLAT:
                missing = 0
                own_intercept, own_ratio = intercept[row], hedge_ratio[row]
                own_mean, own_std = spread_mean[row], spread_std[row]
        position[row] = held
    return State(held, missing, blocked, age, own_intercept, own_ratio, own_mean, own_std, filled)
