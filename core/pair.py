"""The whole computation of one pair: bars of two legs in, everything shown of them out."""

import math
from dataclasses import dataclass

import numpy as np

from core.backtest import run_backtest
from core.bars import align, break_rows
from core.kalman import kalman_hedge
from core.reasons import explain_missing
from core.regression import full_sample_ols, log_prices, rolling_hedge
from core.signals import conditions, decide_positions
from core.spread import break_even_z, half_life_bars, hurst, return_correlation
from core.stationarity import cointegration
from core.types import (
    Backtest,
    FloatArray,
    HedgeSeries,
    IntArray,
    Leg,
    NextRow,
    PairResult,
    PairRows,
    PairSpec,
    Signal,
)


@dataclass(frozen=True, slots=True)
class RowPlan:
    """Which rows to compute: [history_start_ms, end_ms), the results from start_ms on."""

    history_start_ms: int
    start_ms: int
    end_ms: int
    missing_rows: int
    """Rows that the calculation should begin earlier but aren't stored."""


def plan_rows(spec: PairSpec, first_open_ms: int, last_open_ms: int) -> RowPlan:
    """Choose the rows for a pair whose common stored bars open from first to last.

    The left edge is a multiple of `step`, the largest power of two ≤ bars/4, so it stands still
    for `step` bars: what a chart or a backtest showed a minute ago it shows again. Before it
    come 5·hedge_window + 2·window rows in which the filters forget where they began.
    """
    timeframe_ms = spec.timeframe_ms
    first, last = first_open_ms // timeframe_ms, last_open_ms // timeframe_ms
    step = 1 << max(0, int(math.log2(spec.bars / 4.0)))
    start = (last - spec.bars + 1) // step * step
    history_start = start - 5 * spec.hedge_window - 2 * spec.window
    return RowPlan(
        history_start_ms=max(history_start, first) * timeframe_ms,
        start_ms=max(start, first) * timeframe_ms,
        end_ms=(last + 1) * timeframe_ms,
        missing_rows=max(0, first - history_start),
    )


def analyse_pair(spec: PairSpec, plan: RowPlan, leg_a: Leg, leg_b: Leg) -> PairResult:
    """Compute a pair from its bars.

    Parameters
    ----------
    plan : at least one row, see `plan_rows`.
    leg_a, leg_b : stored bars of both legs that cover the plan; more does no harm.

    Returns
    -------
    PairResult; undefined scalars are NaN with a reason.
    """
    timeframe_ms = spec.timeframe_ms
    rows = align(leg_a, leg_b, timeframe_ms, plan.history_start_ms, plan.end_ms)
    first_index = plan.history_start_ms // timeframe_ms
    # One missing row more: the fit and the window that the forming bar will be judged by.
    y = np.append(log_prices(rows.close_a), np.nan)
    x = np.append(log_prices(rows.close_b), np.nan)
    ols = _fit_ols(spec, y, x, first_index)
    kalman, stderr = _fit_kalman(spec, y, x, first_index)
    chosen = kalman if spec.hedge == "kalman" else ols
    whole = (y, x, ols, kalman)
    y, x = y[:-1], x[:-1]
    next_row = NextRow(
        hedge_ratio=float(chosen.hedge_ratio[-1]),
        intercept=float(chosen.intercept[-1]),
        spread_mean=float(chosen.spread_mean[-1]),
        spread_std=float(chosen.spread_std[-1]),
    )
    recent_spread = _recent_spread(spec, y, x, chosen)

    skip = (plan.start_ms - plan.history_start_ms) // timeframe_ms
    correlation = return_correlation(rows.close_a, rows.close_b, spec.window)
    rows = rows_from(rows, skip)
    ols, kalman = _results(ols, skip), _results(kalman, skip)
    chosen = kalman if spec.hedge == "kalman" else ols
    y, x = y[skip:], x[skip:]
    position, backtest, reasons = _trade(spec, rows, y, x, chosen)
    reasons = {f"backtest.{name}": words for name, words in reasons.items()}
    cointegrated, words = cointegration(y, x, spec.lags)
    reasons |= words
    result = PairResult(
        spec=spec,
        history_start_ms=plan.history_start_ms,
        start_ms=plan.start_ms,
        as_of_ms=plan.end_ms,
        rows=rows,
        ols=ols,
        kalman=kalman,
        kalman_stderr=stderr[skip:-1],
        next_row=next_row,
        position=position,
        ols_full_sample=full_sample_ols(y, x),
        break_even_z=break_even_z(
            spec.exit_z,
            float(chosen.hedge_ratio[-1]),
            float(chosen.spread_std[-1]),
            spec.fee_bps,
            spec.slippage_bps,
        ),
        signal=_signal(int(position[-1]), float(chosen.zscore[-1])),
        correlation=correlation,
        half_life_bars=half_life_bars(recent_spread),
        hurst=hurst(recent_spread),
        cointegration=cointegrated,
        backtest=backtest,
        reasons=reasons,
    )
    explain_missing(result, *whole, recent_spread, plan.missing_rows)
    return result


def trade_rows(
    spec: PairSpec, rows: PairRows, first_index: int, skip: int
) -> tuple[HedgeSeries, IntArray, Backtest]:
    """Only what trades: the chosen hedge, positions and backtest of the rows after `skip`.

    `rows` begin with the history, `first_index` is the absolute bar number of the first.
    """
    y, x = log_prices(rows.close_a), log_prices(rows.close_b)
    if spec.hedge == "kalman":
        hedge, _ = _fit_kalman(spec, y, x, first_index)
    else:
        hedge = _fit_ols(spec, y, x, first_index)
    hedge = HedgeSeries(*(getattr(hedge, name)[skip:] for name in HedgeSeries.__slots__))
    rows, y, x = rows_from(rows, skip), y[skip:], x[skip:]
    position, backtest, _ = _trade(spec, rows, y, x, hedge)
    return hedge, position, backtest


def _trade(
    spec: PairSpec, rows: PairRows, y: FloatArray, x: FloatArray, hedge: HedgeSeries
) -> tuple[IntArray, Backtest, dict[str, str]]:
    given = conditions(spec, rows, hedge.hedge_ratio, break_rows(rows))
    position, exit_code = decide_positions(spec, y, x, hedge, given)
    return position, *run_backtest(spec, rows, y, x, hedge, given, position, exit_code)


def rows_from(rows: PairRows, first: int) -> PairRows:
    """The rows from number `first` on."""
    return PairRows(*(getattr(rows, name)[first:] for name in PairRows.__slots__))


def provisional_zscore(result: PairResult, close_a: float, close_b: float) -> float:
    """z-score of the forming bar taken as the next row; NaN where the next row has none."""
    row = result.next_row
    if not (row.spread_std > 0.0 and close_a > 0.0 and close_b > 0.0):
        return math.nan
    spread = math.log(close_a) - row.intercept - row.hedge_ratio * math.log(close_b)
    return (spread - row.spread_mean) / row.spread_std


def _fit_ols(spec: PairSpec, y: FloatArray, x: FloatArray, first_index: int) -> HedgeSeries:
    return rolling_hedge(
        y, x, first_index=first_index, hedge_window=spec.hedge_window, window=spec.window
    )


def _fit_kalman(
    spec: PairSpec, y: FloatArray, x: FloatArray, first_index: int
) -> tuple[HedgeSeries, FloatArray]:
    return kalman_hedge(
        y, x, first_index=first_index, hedge_window=spec.hedge_window, window=spec.window
    )


def _results(series: HedgeSeries, skip: int) -> HedgeSeries:
    """The result rows of a series computed over history and the row after the last."""
    return HedgeSeries(*(getattr(series, name)[skip:-1] for name in HedgeSeries.__slots__))


def _recent_spread(spec: PairSpec, y: FloatArray, x: FloatArray, chosen: HedgeSeries) -> FloatArray:
    """The last hedge_window rows of the spread: with the latest fit (OLS), or e (Kalman).

    All NaN where under 90 % of them are present.
    """
    if spec.hedge == "kalman":
        spread = chosen.spread[:-1][-spec.hedge_window :]
    else:
        intercept, hedge_ratio = float(chosen.intercept[-2]), float(chosen.hedge_ratio[-2])
        spread = y[-spec.hedge_window :] - intercept - hedge_ratio * x[-spec.hedge_window :]
    if np.count_nonzero(~np.isnan(spread)) < 0.9 * len(spread):
        return np.full(len(spread), np.nan)
    return spread


def _signal(position: int, zscore: float) -> Signal:
    if position:
        return "long_spread" if position > 0 else "short_spread"
    return "no_data" if math.isnan(zscore) else "flat"
