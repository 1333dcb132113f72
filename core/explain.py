"""Every number behind one z-score, so that a spreadsheet can reproduce it."""

from dataclasses import dataclass, replace

from core.pair import RowPlan, analyse_pair, rows_from
from core.reasons import why_undefined
from core.regression import log_prices
from core.types import FloatArray, HedgeSeries, Leg, PairRows, PairSpec


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """One row's z and what it was made of.

    `rows` are those of the z window and of the fit, the row itself last; `hedge_ratio` and
    `intercept` are, for each of them, what its `spread` was priced with: the fit of the explained
    row for OLS, its own prior for Kalman.
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
    OLS: hedge ratio b and intercept a of least squares on the fit's rows, spread = log_a − a −
    b·log_b with that one fit, z = (spread − mean)/std over the window's rows, std with ddof = 1.
    Kalman: the filter runs from the first row of history on, so a window alone can't reproduce
    its hedge ratio; every row shows its prior, and z follows from the spreads as above.
    """
    timeframe_ms = spec.timeframe_ms
    cut = replace(plan, start_ms=plan.history_start_ms, end_ms=open_time_ms + timeframe_ms)
    result = analyse_pair(spec, cut, leg_a, leg_b)
    chosen: HedgeSeries = result.chosen
    row = len(result.rows) - 1
    window_first = max(0, row - spec.window)
    fit_first = 0 if spec.hedge == "kalman" else max(0, row - spec.hedge_window)
    first = window_first if spec.hedge == "kalman" else min(fit_first, window_first)
    log_a, log_b = log_prices(result.rows.close_a), log_prices(result.rows.close_b)
    reasons = why_undefined(spec, spec.hedge, log_a, log_b, chosen, row)
    log_a, log_b = log_a[first:], log_b[first:]
    hedge_ratio, intercept = chosen.hedge_ratio[first:].copy(), chosen.intercept[first:].copy()
    spread = chosen.spread[first:]
    if spec.hedge == "ols":
        hedge_ratio[:], intercept[:] = chosen.hedge_ratio[row], chosen.intercept[row]
        spread = log_a - intercept - hedge_ratio * log_b
        spread[-1] = chosen.spread[row]  # the very number that z was made of
    start_ms = int(result.rows.open_time_ms[0])
    return Explanation(
        open_time_ms=open_time_ms,
        fit_start_ms=start_ms + fit_first * timeframe_ms,
        window_start_ms=start_ms + window_first * timeframe_ms,
        spread_mean=float(chosen.spread_mean[row]),
        spread_std=float(chosen.spread_std[row]),
        zscore=float(chosen.zscore[row]),
        rows=rows_from(result.rows, first),
        log_a=log_a,
        log_b=log_b,
        hedge_ratio=hedge_ratio,
        intercept=intercept,
        spread=spread,
        reasons=reasons,
    )
