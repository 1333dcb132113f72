"""Each way of hedging over the rows of a pair, computed block by block."""

from dataclasses import dataclass

import numpy as np

from core import kalman, regression
from core.bars import break_rows
from core.blocks import Run, pieces, run_of
from core.pair_spec import Hedge, PairSpec
from core.regression import CHANGE_ROWS, changes, log_prices
from core.types import BoolArray, FloatArray, HedgeSeries, NextRow, PairRows
from core.windows import (
    HEDGE_RATIO,
    INTERCEPT,
    REBUILD_EVERY,
    SPREAD_MEAN,
    SPREAD_STD,
    STDERR,
)

_OF_NEXT_ROW = [HEDGE_RATIO, INTERCEPT, SPREAD_MEAN, SPREAD_STD]  # the fields of NextRow


@dataclass(frozen=True, slots=True, eq=False)
class FittedHedge:
    """One way of hedging: its series, and what of it is known besides at the last row.

    `series` and `stderr` (of the hedge ratio; NaN but for the filter) have a value a row.
    """

    series: HedgeSeries
    stderr: FloatArray
    next_row: NextRow
    effectiveness: float
    held_out: FloatArray
    """Spread of the last `hedge_window` rows with the hedge known before them: out of sample."""


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """Log prices of both legs on dense rows, the row to come as the last one, missing.

    `origin` is the absolute number of the first row, `runs` say which rows are computed together,
    `breaks` where prices begin anew.
    """

    y: FloatArray
    x: FloatArray
    breaks: BoolArray
    origin: int
    runs: tuple[Run, ...]

    @property
    def end(self) -> int:
        """Number of rows without the one to come."""
        return len(self.y) - 1

    @property
    def last_break(self) -> int:
        """The last row that prices begin anew at; 0 where they never do."""
        broken = np.flatnonzero(self.breaks)
        return int(broken[-1]) if len(broken) else 0

    def known_before(self, row: int) -> BoolArray:
        """Which of the rows that a row's numbers may look back to are present, oldest first."""
        run = run_of(self.runs, row)
        start = max(first for first, _ in pieces(run, self.y, self.x, self.breaks) if first <= row)
        known: BoolArray = ~np.isnan(self.y[start:row] + self.x[start:row])
        return known


def course_of(rows: PairRows, origin: int, runs: tuple[Run, ...]) -> Course:
    """Log prices of dense rows, the first of which has the absolute number `origin`."""
    return Course(
        y=np.append(log_prices(rows.close_a), np.nan),
        x=np.append(log_prices(rows.close_b), np.nan),
        breaks=np.append(break_rows(rows), False),
        origin=origin,
        runs=runs,
    )


def fit_hedge(spec: PairSpec, hedge: Hedge, course: Course, first: int) -> FittedHedge:
    """Compute one way of hedging, each row in the run of its block.

    Parameters
    ----------
    first : row that the series begin with.

    Notes
    -----
    What is said of the last row looks back by the run of that row alone, so that it does not
    hang on how many rows are asked for.
    """
    end, lookback = course.end, spec.hedge_window + CHANGE_ROWS
    last = run_of(course.runs, end - 1)
    begin = max(end - lookback, last.begin, course.last_break)
    out = np.empty((STDERR + 1, end + 1 - first))
    for run in course.runs:
        shown = max(run.first, first)
        needed = min(shown, begin) if run == last else shown
        fit = _fit_run(spec, hedge, course, run, needed)
        out[:, shown - first : run.stop - first] = fit[:, shown - needed :]
        if run == last:
            # Up to the last row: the run may compute the row to come as well.
            lately = fit[:, begin - needed : end - needed].copy()
    return FittedHedge(
        series=HedgeSeries(*out[:STDERR, :-1]),
        stderr=out[STDERR, :-1],
        next_row=NextRow(*out[_OF_NEXT_ROW, -1].tolist()),
        effectiveness=hedge_effectiveness(
            course.y[begin:end], course.x[begin:end], lately[HEDGE_RATIO], spec.hedge_window
        ),
        held_out=_held_out(spec, course, lately),
    )


def _held_out(spec: PairSpec, course: Course, lately: FloatArray) -> FloatArray:
    """The spread of the last `hedge_window` rows with the fit known before them, or nothing."""
    if lately.shape[1] < spec.hedge_window:
        return np.full(spec.hedge_window, np.nan)
    rows = slice(course.end - spec.hedge_window, course.end)
    hedge_ratio, intercept = lately[[HEDGE_RATIO, INTERCEPT], -spec.hedge_window]
    spread: FloatArray = course.y[rows] - intercept - hedge_ratio * course.x[rows]
    if np.count_nonzero(~np.isnan(spread)) < 0.9 * spec.hedge_window:
        return np.full(spec.hedge_window, np.nan)
    return spread


def _fit_run(spec: PairSpec, hedge: Hedge, course: Course, run: Run, needed: int) -> FloatArray:
    """The columns of a run's rows from `needed` on."""
    fits = [
        _fit_piece(spec, hedge, course, start, stop, max(needed, start))
        for start, stop in pieces(run, course.y, course.x, course.breaks)
        if stop > needed
    ]
    return fits[0] if len(fits) == 1 else np.concatenate(fits, axis=1)


def _fit_piece(
    spec: PairSpec, hedge: Hedge, course: Course, start: int, stop: int, needed: int
) -> FloatArray:
    resume = 0
    if hedge != "kalman":
        # Sums are rebuilt at such a row from what its windows reach back to, and from nothing else.
        rebuilt = needed - (course.origin + needed) % REBUILD_EVERY
        start = max(start, rebuilt - spec.hedge_window - CHANGE_ROWS)
        resume = max(rebuilt - start, 0)
    y, x, first_index = course.y[start:stop], course.x[start:stop], course.origin + start
    out = np.full((STDERR + 1, stop - start), np.nan)
    windows = (first_index, spec.hedge_window, spec.window)
    if hedge == "kalman":
        kalman.advance(y, x, *windows, kalman.NOTHING_SEEN, resume, out)
    else:
        regression.advance(y, x, hedge, *windows, regression.NOTHING_SEEN, resume, out)
    return out[:, needed - start :]


def hedge_effectiveness(
    y: FloatArray, x: FloatArray, hedge_ratio: FloatArray, hedge_window: int
) -> float:
    """Share of leg A's variance that the hedge took away, over the last rows.

    Parameters
    ----------
    y, x, hedge_ratio : (n,) log prices and the causal hedge ratio of each row.
    hedge_window : number of changes judged.

    Returns
    -------
    1 − var(Δy − b·Δx)/var(Δy) of changes over 10 rows, b that of the row where the change begins,
    which was known before it. Below 0 the hedge added risk. NaN under 90 % of the changes, or
    where leg A does not move.

    References
    ----------
    Ederington, *J. of Finance* 34 (1979).
    """
    change_y, change_x = changes(y)[-hedge_window:], changes(x)[-hedge_window:]
    before = np.full(len(hedge_ratio), np.nan)
    before[CHANGE_ROWS:] = hedge_ratio[:-CHANGE_ROWS]
    left = change_y - before[-hedge_window:] * change_x
    present = ~np.isnan(left)
    if present.sum() < max(0.9 * hedge_window, 2):
        return np.nan
    variance = float(change_y[present].var())
    return 1.0 - float(left[present].var()) / variance if variance > 0.0 else np.nan
