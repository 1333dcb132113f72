"""The whole computation of one pair: bars of two legs in, everything shown of them out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, TypeVar

from core.backtest import no_backtest, run_backtest
from core.bars import align
from core.blocks import plan_runs
from core.expectancy import Expectancy, expectancy
from core.hedges import Course, FittedHedge, course_of, fit_hedge
from core.pair_spec import HEDGES, Hedge, PairSpec
from core.readiness import wait_for_z
from core.reasons import (
    B_STILL,
    SPREAD_STILL,
    explain_missing,
    name_breaks,
    stopped_leg,
    why_no_correlation,
    why_no_effectiveness,
    why_no_entry,
    why_undefined,
)
from core.regression import full_sample_ols
from core.row_plan import RowPlan
from core.signals import Conditions, conditions, decide_positions
from core.spread import break_even_z, half_life, hurst, required_z, return_correlation
from core.stationarity import cointegration, engle_granger, johansen
from core.types import (
    Backtest,
    BoolArray,
    Cointegration,
    FloatArray,
    HedgeNow,
    HedgeSeries,
    IntArray,
    Johansen,
    Leg,
    Listing,
    Metrics,
    NextRow,
    PairResult,
    PairRows,
    Signal,
    Wait,
)

Columns = TypeVar("Columns", PairRows, HedgeSeries)

LISTED = Listing()
"""Legs that nothing is known against."""


class Ready(NamedTuple):
    """The rows that positions are decided on; what is decided from `first` on counts."""

    rows: PairRows
    y: FloatArray
    x: FloatArray
    hedge: HedgeSeries
    given: Conditions
    first: int


def analyse_pair(
    spec: PairSpec, plan: RowPlan, leg_a: Leg, leg_b: Leg, listing: Listing = LISTED
) -> PairResult:
    """Compute a pair from its bars.

    Parameters
    ----------
    plan : at least one row, see `plan_rows`.
    leg_a, leg_b : stored bars of both legs that cover the plan; more does no harm.
    listing : what the exchange says of the legs besides.

    Returns
    -------
    PairResult; undefined scalars are NaN with a reason.
    """
    computed = align(leg_a, leg_b, spec.timeframe_ms, plan.history_start_ms, plan.end_ms)
    course = _course(spec, plan, computed)
    skip = (plan.start_ms - plan.history_start_ms) // spec.timeframe_ms
    rows = computed.from_row(skip)

    fitted = _fit_all(spec, course, skip)
    chosen = fitted.chosen
    series = chosen.series.from_row(skip)
    ready = _ready(spec, computed, course, chosen.series, skip, listing)
    position, backtest, undefined = _trade(spec, ready)
    reasons = {f"backtest.{name}": words for name, words in undefined.items()}
    if listing.no_common_money:
        backtest, reasons = no_backtest(rows), {"backtest": listing.no_common_money}
    reasons |= _why_no_provisional(spec, course, chosen.next_row)

    begin = _present(spec, plan, course)
    y, x = course.y[begin:-1], course.x[begin:-1]
    found, words = cointegration(y, x, spec.lags)
    reasons |= words
    even, needed, why_never = _entries_that_pay(spec, series, backtest.metrics)
    if why_never:
        reasons["required_z"] = reasons.get("backtest", why_never)
    told = half_life(chosen.held_out)
    stopped = stopped_leg(spec, ready.rows, ready.given, listing)
    result = PairResult(
        spec=spec,
        history_start_ms=plan.history_start_ms,
        start_ms=plan.start_ms,
        as_of_ms=plan.end_ms,
        rows=_own(rows, skip),
        chosen=_own(series, skip),
        hedge_ratios=fitted.ratios,
        kalman_stderr=fitted.stderr,
        hedges=_held_back(fitted.now) if stopped else fitted.now,
        next_row=chosen.next_row,
        position=position.copy(),
        ols_full_sample=full_sample_ols(y, x),
        break_even_z=even,
        required_z=needed,
        signal=_signal(int(position[-1]), float(series.zscore[-1])),
        signal_note=why_no_entry(stopped, float(series.hedge_ratio[-1])),
        correlation=_correlation(spec, computed, course),
        half_life_bars=told.bars,
        half_life_interval=(told.low, told.high),
        hurst=hurst(chosen.held_out),
        cointegration=found,
        backtest=backtest,
        reasons={},
        wait=_wait(spec, course, fitted),
        stopped=stopped,
    )
    reasons |= explain_missing(
        result, fitted.why, course, begin, chosen.held_out, told.words, plan.missing_rows
    )
    return replace(result, reasons=reasons | name_breaks(spec, computed, course.breaks[:-1]))


def trade_rows(
    spec: PairSpec, plan: RowPlan, rows: PairRows
) -> tuple[FittedHedge, Backtest, dict[str, str]]:
    """Only what trades: the chosen hedge of all computed rows, the backtest of those shown.

    `rows` are those of the plan, history included. Figures of the backtest that are NaN have a
    reason by their name. What the exchange says of the legs now decides on the last row alone,
    and nothing of that has been filled yet: no figure hangs on it.
    """
    fit, ready = ready_rows(spec, plan, rows)
    _, backtest, reasons = _trade(spec, ready)
    return fit, backtest, reasons


def ready_rows(spec: PairSpec, plan: RowPlan, rows: PairRows) -> tuple[FittedHedge, Ready]:
    """The chosen hedge of all computed rows, and all that decisions and fills then hang on."""
    course = _course(spec, plan, rows)
    fit = fit_hedge(spec, spec.hedge, course, 0)
    skip = (plan.start_ms - plan.history_start_ms) // spec.timeframe_ms
    return fit, _ready(spec, rows, course, fit.series, skip)


def relate_rows(
    spec: PairSpec, plan: RowPlan, rows: PairRows, fit: FittedHedge
) -> tuple[dict[str, float], dict[str, str]]:
    """Only how the legs go together, as figures by the names that rules know them by.

    `rows` are those of the plan, history included, `fit` what trades on them. Figures that are
    NaN have a reason by their name.
    """
    course = _course(spec, plan, rows)
    begin = _present(spec, plan, course)
    found, words = engle_granger(course.y[begin:-1], course.x[begin:-1], spec.lags)
    figures = {
        "pvalue_both": found.pvalue_both if found else math.nan,
        "hedge_effectiveness": fit.effectiveness,
        "correlation": _correlation(spec, rows, course),
    }
    reasons = {
        "pvalue_both": words or "",
        "hedge_effectiveness": why_no_effectiveness(spec, course),
        "correlation": why_no_correlation(spec, course),
    }
    return figures, {name: reasons[name] for name, value in figures.items() if math.isnan(value)}


def tie_of_legs(
    spec: PairSpec, plan: RowPlan, leg_a: Leg, leg_b: Leg
) -> tuple[Cointegration | None, Johansen | None, str]:
    """Both tests of cointegration, on the rows that the pair's own p is of.

    Returns
    -------
    (Engle-Granger, Johansen, reason): why one or both are None.
    """
    rows = align(leg_a, leg_b, spec.timeframe_ms, plan.history_start_ms, plan.end_ms)
    course = _course(spec, plan, rows)
    begin = _present(spec, plan, course)
    y, x = course.y[begin:-1], course.x[begin:-1]
    by_residual, why = engle_granger(y, x, spec.lags)
    by_trace, why_no_trace = johansen(y, x)
    return by_residual, by_trace, why or why_no_trace or ""


@dataclass(frozen=True, slots=True, eq=False)
class NewRows:
    """What the decisions of some rows hang on: those rows alone, and why any has no z."""

    rows: PairRows
    y: FloatArray
    x: FloatArray
    hedge: HedgeSeries
    breaks: BoolArray
    _spec: PairSpec
    _course: Course
    _skip: int

    def why_no_z(self, row: int) -> str:
        """Why a row has no z; "" where it has one."""
        number = self._skip + row
        return why_undefined(
            self._spec, self._spec.hedge, self._course.known_before(number),
            not math.isnan(self.rows.close_a[row]), float(self.hedge.hedge_ratio[row]),
            float(self.hedge.spread_std[row]),
        ).get("zscore", "")  # fmt: skip


def new_rows(spec: PairSpec, plan: RowPlan, leg_a: Leg, leg_b: Leg) -> NewRows:
    """Compute the shown rows of a plan, as `analyse_pair` does, and of them only what trades."""
    computed = align(leg_a, leg_b, spec.timeframe_ms, plan.history_start_ms, plan.end_ms)
    course = _course(spec, plan, computed)
    skip = (plan.start_ms - plan.history_start_ms) // spec.timeframe_ms
    hedge = fit_hedge(spec, spec.hedge, course, skip).series
    shown = slice(skip, -1)  # the last one of a course is still to come
    rows = computed.from_row(skip)
    return NewRows(
        rows, course.y[shown], course.x[shown], hedge, course.breaks[shown], spec, course, skip
    )


def expectancy_by_entry(spec: PairSpec, plan: RowPlan, leg_a: Leg, leg_b: Leg) -> Expectancy:
    """What trades of the pair earned by the z they were entered at, see `core.expectancy`."""
    rows = align(leg_a, leg_b, spec.timeframe_ms, plan.history_start_ms, plan.end_ms)
    return expectancy(spec, *ready_rows(spec, plan, rows)[1])


def _own(columns: Columns, history: int) -> Columns:
    """The same in memory of its own: a window on longer columns keeps their history as well.

    A little of it is left: a copy would hold a million rows twice.
    """
    first: FloatArray | IntArray = getattr(columns, columns.__slots__[0])
    if history < len(first) // 8:
        return columns
    return type(columns)(*(getattr(columns, name).copy() for name in columns.__slots__))


class KnowsNextRow(Protocol):
    """A result, or what was kept of one."""

    @property
    def next_row(self) -> NextRow: ...


def provisional_zscore(result: KnowsNextRow, close_a: float, close_b: float) -> float:
    """z-score of the forming bar taken as the next row; NaN where the next row has none."""
    row = result.next_row
    if not (row.spread_std > 0.0 and close_a > 0.0 and close_b > 0.0):
        return math.nan
    spread = math.log(close_a) - row.intercept - row.hedge_ratio * math.log(close_b)
    return (spread - row.spread_mean) / row.spread_std


def _course(spec: PairSpec, plan: RowPlan, rows: PairRows) -> Course:
    begin, first, end = (
        time_ms // spec.timeframe_ms
        for time_ms in (plan.history_start_ms, plan.start_ms, plan.end_ms)
    )
    return course_of(rows, begin, plan_runs(spec, begin, first, end + 1))


def _present(spec: PairSpec, plan: RowPlan, course: Course) -> int:
    """The row that the statistics of the present begin with."""
    return max((plan.present_ms - plan.history_start_ms) // spec.timeframe_ms, course.last_break)


def _correlation(spec: PairSpec, rows: PairRows, course: Course) -> float:
    since = course.last_break
    return return_correlation(rows.close_a[since:], rows.close_b[since:], spec.window)


def _ready(
    spec: PairSpec,
    rows: PairRows,
    course: Course,
    hedge: HedgeSeries,
    skip: int,
    listing: Listing = LISTED,
) -> Ready:
    """All computed rows, or with `since` the shown ones, which begin flat; `skip` is the first."""
    begin = 0 if spec.since is None else skip
    rows, hedge = rows.from_row(begin), hedge.from_row(begin)
    given = conditions(
        spec,
        rows,
        hedge.hedge_ratio,
        course.breaks[begin:-1],
        suspended=listing.suspended,
    )
    return Ready(rows, course.y[begin:-1], course.x[begin:-1], hedge, given, skip - begin)


def _trade(spec: PairSpec, ready: Ready) -> tuple[IntArray, Backtest, dict[str, str]]:
    rows, y, x, hedge, given, first = ready
    position, exit_code = decide_positions(spec, y, x, hedge, given)
    backtest, reasons = run_backtest(spec, rows, y, x, hedge, given, position, exit_code, first)
    return position[first:], backtest, reasons


class _Fitted(NamedTuple):
    """Every way of hedging, over the rows shown; `chosen` over all that are computed."""

    chosen: FittedHedge
    ratios: dict[Hedge, FloatArray]
    stderr: FloatArray
    """Of the filter's ratio."""
    now: dict[Hedge, HedgeNow]
    why: dict[Hedge, dict[str, str]]
    """What is undefined at the last row."""


def _fit_all(spec: PairSpec, course: Course, skip: int) -> _Fitted:
    last, count = course.end - 1, course.end - skip
    before, is_present = course.known_before(last), not math.isnan(course.y[last])
    chosen = fit_hedge(spec, spec.hedge, course, 0)
    ratios, now, why, stderr = {}, {}, {}, chosen.stderr
    for hedge in HEDGES:
        # One after the other: of those that do not trade little is kept.
        fit = chosen if hedge == spec.hedge else fit_hedge(spec, hedge, course, skip)
        ratios[hedge] = fit.series.hedge_ratio[-count:].copy()
        now[hedge] = HedgeNow(
            hedge_ratio=float(fit.series.hedge_ratio[-1]),
            intercept=float(fit.series.intercept[-1]),
            zscore=float(fit.series.zscore[-1]),
            effectiveness=fit.effectiveness,
        )
        std = float(fit.series.spread_std[-1])
        why[hedge] = why_undefined(spec, hedge, before, is_present, now[hedge].hedge_ratio, std)
        if hedge == "kalman":
            stderr = fit.stderr[-count:].copy()
    return _Fitted(chosen, ratios, stderr, now, why)


def _wait(spec: PairSpec, course: Course, fitted: _Fitted) -> Wait | None:
    """What z waits for, where bars are what it lacks."""
    if fitted.why[spec.hedge].get("zscore", B_STILL) in (B_STILL, SPREAD_STILL):
        return None
    return wait_for_z(spec, course.known_before(course.end))


def _why_no_provisional(spec: PairSpec, course: Course, row: NextRow) -> dict[str, str]:
    """Why the row to come can't have a z whatever its prices are; nothing where it can."""
    before = course.known_before(course.end)
    why = why_undefined(spec, spec.hedge, before, False, row.hedge_ratio, row.spread_std)
    return {"zscore_provisional": why["break_even_z"]} if "break_even_z" in why else {}


def _entries_that_pay(
    spec: PairSpec, series: HedgeSeries, metrics: Metrics
) -> tuple[float, float, str]:
    """Break-even z and required z of the last row, and why there is none of the latter."""
    hedge_ratio, std = float(series.hedge_ratio[-1]), float(series.spread_std[-1])
    even = break_even_z(spec.exit_z, hedge_ratio, std, spec.fee_bps, spec.slippage_bps)
    needed = required_z(spec.exit_z, even, metrics.reversion_capture, metrics.total_trades)
    return even, *needed


def _held_back(now: Mapping[Hedge, HedgeNow]) -> dict[Hedge, HedgeNow]:
    """The same without z: a leg that has stopped has no price to take one at."""
    return {hedge: replace(of_hedge, zscore=math.nan) for hedge, of_hedge in now.items()}


def _signal(position: int, zscore: float) -> Signal:
    if position:
        return "long_spread" if position > 0 else "short_spread"
    return "no_data" if math.isnan(zscore) else "flat"
