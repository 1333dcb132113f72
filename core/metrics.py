"""Figures of a backtest from its equity, its round trips and the bars' times."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from core.timeframes import DAY_MS, HOUR_MS
from core.types import FloatArray, IntArray, Metrics

DAILY_FROM_MS = 60 * DAY_MS
"""From this span on returns are taken by day instead of by hour."""
YEARLY_FROM_MS = 30 * DAY_MS
"""Under this span nothing is told by the year: from three days a Sharpe ratio of noise has a
deviation of 10."""
YEARLY = ("sharpe", "sharpe_stderr", "sortino", "calmar")


class Trips(NamedTuple):
    """Round trips as columns, oldest first; the last is open where `closed` is one less."""

    side: IntArray
    entry: IntArray
    """Row whose open filled."""
    exit: IntArray
    """Likewise; the number of rows for the open one, the last tradable row before a break."""
    decided: IntArray
    """Row whose close decided on the entry."""
    left: IntArray
    """Row whose close decided on the exit; of no meaning for the open one."""
    reason: IntArray
    """Exit code."""
    quantity_a: FloatArray
    quantity_b: FloatArray
    gross: FloatArray
    """Before costs, quote currency."""
    costs: FloatArray
    traded: FloatArray
    """Notional of the fills."""
    promised: FloatArray
    """Gross of a reversion in full, see `core.spread.expected_reversion`."""
    closed: int


def drawdown(equity: FloatArray) -> FloatArray:
    """Equity over its highest value so far, minus one: 0 at a peak, negative below."""
    fall = np.empty(len(equity))
    _drawdown(equity, fall)
    return fall


@njit(cache=True, nogil=True)
def _drawdown(equity, fall):  # type: ignore[no-untyped-def]
    peak = -math.inf
    for row in range(len(equity)):
        peak = equity[row] if equity[row] > peak else peak
        fall[row] = equity[row] / peak - 1.0


def period_ends(open_time_ms: IntArray) -> tuple[IntArray, float]:
    """The last row of each UTC hour, or of each day where the span is 60 days or more.

    Parameters
    ----------
    open_time_ms : (n,) of dense rows, so that no hour is without one.

    Returns
    -------
    (rows, periods a year), 8,760 or 365: the market never closes.
    """
    span = int(open_time_ms[-1] - open_time_ms[0])
    period_ms, a_year = (DAY_MS, 365.0) if span >= DAILY_FROM_MS else (HOUR_MS, 8_760.0)
    first, last = int(open_time_ms[0]) // period_ms, int(open_time_ms[-1]) // period_ms
    ends = np.arange(first + 1, last + 2) * period_ms
    rows: IntArray = np.searchsorted(open_time_ms, ends) - 1
    return rows, a_year


def period_returns(open_time_ms: IntArray, equity: FloatArray) -> tuple[FloatArray, float]:
    """Returns between the last closes of the periods, and periods a year, see `period_ends`."""
    rows, a_year = period_ends(open_time_ms)
    closes = equity[rows]
    return closes[1:] / closes[:-1] - 1.0, a_year


def shape_of(returns: FloatArray) -> tuple[float, float]:
    """Skewness and raw kurtosis (3 of normal ones) of returns of which some differ."""
    centred = returns - returns.mean()
    variance = float(np.mean(centred**2))
    skewness = float(np.mean(centred**3)) / variance**1.5
    return skewness, float(np.mean(centred**4)) / variance**2


def sharpe_stderr(returns: FloatArray) -> float:
    """Standard error of a Sharpe ratio per period, whatever the returns' skew and tails.

    Parameters
    ----------
    returns : (n,) of which some differ.

    Notes
    -----
    √((1 − γ₃·S + (γ₄ − 1)/4·S²)/n) with S = mean/std(ddof=1), γ₃ the skewness and γ₄ the raw
    kurtosis of the returns; NaN where the two foretell a negative variance.

    References
    ----------
    Mertens (2002), *Comments on variance of the IID estimator in Lo*.
    """
    skewness, kurtosis = shape_of(returns)
    ratio = float(returns.mean() / returns.std(ddof=1))
    square = 1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    return math.sqrt(square / len(returns)) if square >= 0.0 else math.nan


def measure(
    open_time_ms: IntArray, equity: FloatArray, fall: FloatArray, trips: Trips
) -> tuple[Metrics, dict[str, str]]:
    """Sum up a backtest.

    Parameters
    ----------
    open_time_ms, equity, fall : (n,) n ≥ 1 rows, equity and its drawdown at their closes.
    trips : an open one counts in equity, exposure, turnover and costs only.

    Returns
    -------
    (metrics, reasons): an undefined figure is NaN and its reason is in plain words.
    """
    reasons: dict[str, str] = {}
    closed, notional = trips.closed, float(equity[0])
    gross, pnl = trips.gross[:closed], (trips.gross - trips.costs)[:closed]
    losses = -float(pnl[pnl < 0].sum())
    promised = float(trips.promised[:closed].sum())
    if not closed:
        for name in ("avg_pnl", "win_rate", "profit_factor", "avg_hold_bars"):
            reasons[name] = "no closed round trip"
    elif losses == 0.0:
        reasons["profit_factor"] = "no losing round trip"
    if not promised > 0.0:
        reasons["reversion_capture"] = "no closed round trip"
    if closed < 2:
        reasons["avg_pnl_stderr"] = "under 2 closed round trips"

    total_return = float(equity[-1] / notional) - 1.0
    worst = float(fall.min())
    yearly = _yearly(open_time_ms, equity, total_return, worst, reasons)
    metrics = Metrics(
        total_trades=closed,
        total_return=total_return,
        total_pnl=float(equity[-1] - notional),
        avg_pnl=float(pnl.mean()) if closed else math.nan,
        avg_pnl_stderr=standard_error(pnl),
        win_rate=float((pnl > 0).mean()) if closed else math.nan,
        profit_factor=float(pnl[pnl > 0].sum()) / losses if losses > 0.0 else math.nan,
        max_drawdown=worst,
        exposure=float((trips.exit - trips.entry).sum()) / len(equity),
        turnover=float(trips.traded.sum()) / notional,
        costs=float(trips.costs.sum()),
        avg_hold_bars=float((trips.exit - trips.entry)[:closed].mean()) if closed else math.nan,
        reversion_capture=float(gross.sum()) / promised if promised > 0.0 else math.nan,
        **yearly,
    )
    return metrics, reasons


def standard_error(values: FloatArray) -> float:
    """Standard error of the mean; NaN under 2 values."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def _yearly(
    open_time_ms: IntArray,
    equity: FloatArray,
    total_return: float,
    worst: float,
    reasons: dict[str, str],
) -> dict[str, float]:
    """The ratios by the year, NaN where they would tell nothing, and then why."""
    yearly = dict.fromkeys(YEARLY, math.nan)
    span = int(open_time_ms[-1] - open_time_ms[0])
    words = ""
    if span < YEARLY_FROM_MS:
        words = f"{math.floor(10 * span / DAY_MS) / 10} days; 30 are needed"
    elif not equity.min() > 0.0:
        words = "equity was at or below 0: no return has a base any more"
    if words:
        reasons.update(dict.fromkeys(YEARLY, words))
        return yearly
    returns, a_year = period_returns(open_time_ms, equity)
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    if deviation > 0.0:
        yearly["sharpe"] = mean / deviation * math.sqrt(a_year)
        yearly["sharpe_stderr"] = sharpe_stderr(returns) * math.sqrt(a_year)
        if math.isnan(yearly["sharpe_stderr"]):
            reasons["sharpe_stderr"] = "the returns' skewness leaves none"
    else:
        reasons["sharpe"] = reasons["sharpe_stderr"] = "equity did not move"
    if downside > 0.0:
        yearly["sortino"] = mean / downside * math.sqrt(a_year)
    else:
        reasons["sortino"] = "equity never fell"
    if worst == 0.0:
        reasons["calmar"] = "no drawdown"
    else:
        yearly["calmar"] = total_return * (365.0 * DAY_MS / span) / abs(worst)
    return yearly
