"""Figures of a backtest from its equity and round trips."""

import math

import numpy as np
from numba import njit

from core.types import FloatArray, IntArray, Metrics

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
DAILY_FROM_MS = 60 * DAY_MS
"""From this span on returns are taken by day instead of by hour."""
CALMAR_FROM_MS = 30 * DAY_MS
FEWEST_RETURNS = 48


def drawdown(equity: FloatArray) -> FloatArray:
    """Equity over its highest value so far, minus one: 0 at a peak, negative below."""
    fall = np.empty(len(equity))
    _drawdown(equity, fall)
    return fall


@njit(cache=True)
def _drawdown(equity, fall):  # type: ignore[no-untyped-def]
    peak = -math.inf
    for row in range(len(equity)):
        peak = equity[row] if equity[row] > peak else peak
        fall[row] = equity[row] / peak - 1.0


def period_returns(open_time_ms: IntArray, equity: FloatArray) -> tuple[FloatArray, float]:
    """Returns between the last closes of UTC hours, or of days where the span is 60 days or more.

    Parameters
    ----------
    open_time_ms, equity : (n,) dense rows, so that no hour is without one.

    Returns
    -------
    (returns, periods a year), 8,760 or 365: the market never closes.
    """
    span = int(open_time_ms[-1] - open_time_ms[0])
    period_ms, a_year = (DAY_MS, 365.0) if span >= DAILY_FROM_MS else (HOUR_MS, 8_760.0)
    first, last = int(open_time_ms[0]) // period_ms, int(open_time_ms[-1]) // period_ms
    ends = np.arange(first + 1, last + 2) * period_ms
    closes = equity[np.searchsorted(open_time_ms, ends) - 1]
    return closes[1:] / closes[:-1] - 1.0, a_year


def measure(
    open_time_ms: IntArray,
    equity: FloatArray,
    fall: FloatArray,
    held: int,
    fills_notional: float,
    costs: float,
    reversion_capture: float,
    closed_pnl: FloatArray,
    closed_bars: FloatArray,
    notional: float,
) -> tuple[Metrics, dict[str, str]]:
    """Sum up a backtest.

    Parameters
    ----------
    open_time_ms, equity, fall : (n,) n ≥ 1 result rows, equity and its drawdown at their closes.
    held : rows whose close held a position.
    fills_notional, costs : sums over all fills, quote currency.
    reversion_capture : realised over promised reversion, see `core.backtest`.
    closed_pnl, closed_bars : (trips,) net pnl and bars held of the closed round trips; one still
        open counts in equity only.

    Returns
    -------
    (metrics, reasons): an undefined figure is NaN and its reason is in plain words.
    """
    reasons: dict[str, str] = {}
    closed, pnl = len(closed_pnl), closed_pnl
    losses = -float(pnl[pnl < 0].sum())
    total_return = float(equity[-1] / equity[0]) - 1.0
    worst = float(fall.min())
    if not closed:
        for name in ("avg_pnl", "win_rate", "profit_factor", "avg_hold_bars"):
            reasons[name] = "no closed round trip"
    elif losses == 0.0:
        reasons["profit_factor"] = "no losing round trip"
    if math.isnan(reversion_capture):
        reasons["reversion_capture"] = "no closed round trip"

    sharpe = sortino = math.nan
    returns, a_year = period_returns(open_time_ms, equity)
    if len(returns) < FEWEST_RETURNS:
        # Never daily ones: these are taken from 60 on.
        words = f"{len(returns)} hourly returns; {FEWEST_RETURNS} are needed"
        reasons["sharpe"] = reasons["sortino"] = words
    else:
        deviation = float(returns.std(ddof=1))
        downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
        if deviation > 0.0:
            sharpe = float(returns.mean()) / deviation * math.sqrt(a_year)
        else:
            reasons["sharpe"] = "equity did not move"
        if downside > 0.0:
            sortino = float(returns.mean()) / downside * math.sqrt(a_year)
        else:
            reasons["sortino"] = "equity never fell"

    calmar = math.nan
    span = int(open_time_ms[-1] - open_time_ms[0])
    if span < CALMAR_FROM_MS:
        reasons["calmar"] = f"{math.floor(10 * span / DAY_MS) / 10} days; 30 are needed"
    elif worst == 0.0:
        reasons["calmar"] = "no drawdown"
    else:
        calmar = total_return * (365.0 * DAY_MS / span) / abs(worst)

    metrics = Metrics(
        total_trades=closed,
        total_return=total_return,
        total_pnl=float(equity[-1] - equity[0]),
        avg_pnl=float(pnl.mean()) if closed else math.nan,
        win_rate=float((pnl > 0).mean()) if closed else math.nan,
        profit_factor=float(pnl[pnl > 0].sum()) / losses if losses > 0.0 else math.nan,
        sharpe=sharpe,
        sortino=sortino,
        max_drawdown=worst,
        calmar=calmar,
        exposure=held / len(equity),
        turnover=fills_notional / notional,
        costs=costs,
        avg_hold_bars=float(closed_bars.mean()) if closed else math.nan,
        reversion_capture=reversion_capture,
    )
    return metrics, reasons
