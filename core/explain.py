"""Every number behind one z-score, so that a spreadsheet can reproduce it."""

from dataclasses import dataclass

import numpy as np

from core.bars import align
from core.blocks import Run, plan_runs, run_of
from core.hedges import course_of, fit_hedge
from core.pair_spec import PairSpec
from core.reasons import why_undefined
from core.regression import CHANGE_ROWS
from core.row_plan import RowPlan
from core.types import FloatArray, Leg, PairRows


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """One row's z and what it was made of.

    `rows` are those of the z window and of the fit, the row itself last; `hedge_ratio` and
    `intercept` are, for each of them, what its `spread` was priced with: the fit of the explained
    row for a rolling fit, its own prior for Kalman.
    """

    open_time_ms: int
    fit_start_ms: int
    """First row that the hedge ratio depends on; the last is the row before the explained one."""
    window_start_ms: int
    """First row of the z window; the last is the row before the explained one."""
    spread_mean: float
    spread_std: float
    zscore: float
    rows: PairRows
    log_a: FloatArray
    log_b: FloatArray
    hedge_ratio: FloatArray
    intercept: FloatArray
    spread: FloatArray
    reasons: dict[str, str]
    """Name of each number that the row doesn't have to why it hasn't."""


def explain_zscore(
    spec: PairSpec, plan: RowPlan, leg_a: Leg, leg_b: Leg, open_time_ms: int
) -> Explanation:
    """Take one z apart.

    Parameters
    ----------
    open_time_ms : a result row: start_ms ≤ open_time_ms < end_ms, on the timeframe's grid.

    Returns
    -------
    Explanation; NaN where the row has no such number.

    Notes
    -----
    Computed on history cut off after the row: what isn't there can't have been used.
    Rolling fits: hedge ratio b and intercept a of the fit's rows, spread = log_a − a − b·log_b with
    that one fit, z = (spread − mean)/std over the window's rows, std with ddof = 1.
    Kalman: the filter runs from where its block's run begins, so a window alone can't reproduce
    its hedge ratio; every row shows its prior, and z follows from the spreads as above.
    """
    timeframe_ms, filtered = spec.timeframe_ms, spec.hedge == "kalman"
    begin, first, asked = (
        time_ms // timeframe_ms for time_ms in (plan.history_start_ms, plan.start_ms, open_time_ms)
    )
    begin += run_of(plan_runs(spec, begin, first, asked + 1), asked - begin).begin
    rows = align(leg_a, leg_b, timeframe_ms, begin * timeframe_ms, open_time_ms + timeframe_ms)
    row = len(rows) - 1
    run = Run(0, 0, row + 2)
    course = course_of(rows, begin, (run,))
    series = fit_hedge(spec, spec.hedge, course, 0).series
    looked_back = course.known_before(row)
    fit_first, window_first = _first_rows(spec, row, len(looked_back))
    shown = window_first if filtered else min(fit_first, window_first)
    log_a, log_b = course.y[shown:-1], course.x[shown:-1]
    hedge_ratio, intercept = series.hedge_ratio[shown:], series.intercept[shown:]
    spread = series.spread[shown:]
    if not filtered:
        hedge_ratio = np.full(len(spread), series.hedge_ratio[row])
        intercept = np.full(len(spread), series.intercept[row])
        spread = log_a - intercept - hedge_ratio * log_b
        spread[-1] = series.spread[row]  # the very number that z was made of
    return Explanation(
        open_time_ms=open_time_ms,
        fit_start_ms=(begin + fit_first) * timeframe_ms,
        window_start_ms=(begin + window_first) * timeframe_ms,
        spread_mean=float(series.spread_mean[row]),
        spread_std=float(series.spread_std[row]),
        zscore=float(series.zscore[row]),
        rows=rows.from_row(shown),
        log_a=log_a,
        log_b=log_b,
        hedge_ratio=hedge_ratio,
        intercept=intercept,
        spread=spread,
        reasons=why_undefined(
            spec,
            spec.hedge,
            looked_back,
            not np.isnan(log_a[-1]),
            float(series.hedge_ratio[row]),
            float(series.spread_std[row]),
        ),
    )


def _first_rows(spec: PairSpec, row: int, known: int) -> tuple[int, int]:
    """First rows of the fit and of the z window; `known` rows lie before the row in its piece."""
    piece = row - known
    fit_rows = spec.hedge_window + (CHANGE_ROWS if spec.hedge == "returns" else 0)
    fit_first = piece if spec.hedge == "kalman" else max(piece, row - fit_rows)
    return fit_first, max(piece, row - spec.window)
