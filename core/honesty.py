"""Honesty checks of a pair and its parameters: does it see the future, does it beat chance."""

import math
from dataclasses import dataclass, replace

import numpy as np

from core.bars import align, log_returns
from core.pair import RowPlan, analyse_pair, trade_rows
from core.types import FloatArray, HedgeSeries, Leg, PairResult, PairRows, PairSpec

FEWEST_RETURNS = 50


@dataclass(frozen=True, slots=True)
class Difference:
    """A causal number that changed when the future was cut off."""

    series: str
    open_time_ms: int
    whole: float
    truncated: float


@dataclass(frozen=True, slots=True)
class TruncationCheck:
    """What a recomputation on shorter histories found; no difference is the only good answer."""

    cuts: int
    values_compared: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class PlaceboCheck:
    """The real result among those of random walks with the legs' volatilities and correlation."""

    runs: int
    total_return: float
    percentile: float
    """Share of placebo runs that earned less, in percent, half of those that earned the same.

    NaN when there is nothing to compare: no runs, or all of them alike, as where none trades.
    """
    placebo_mean: float
    placebo_5pct: float
    placebo_95pct: float
    win_rate: float
    placebo_win_rate: float


def truncation_check(
    spec: PairSpec, plan: RowPlan, leg_a: Leg, leg_b: Leg, cuts: int = 20
) -> TruncationCheck:
    """Compute the pair again on histories that end earlier, and report every causal change.

    Parameters
    ----------
    cuts : number of shorter histories, spread evenly over the result rows.

    Returns
    -------
    TruncationCheck; at most the first difference of each series and cut is listed.
    """
    whole = _causal(analyse_pair(spec, plan, leg_a, leg_b))
    rows = (plan.end_ms - plan.start_ms) // spec.timeframe_ms
    ends = sorted({max(1, rows * (cut + 1) // (cuts + 1)) for cut in range(cuts)})
    differences: list[Difference] = []
    compared = 0
    for end in ends:
        shorter = replace(plan, end_ms=plan.start_ms + end * spec.timeframe_ms)
        part = _causal(analyse_pair(spec, shorter, leg_a, leg_b))
        for name, values in part.items():
            expected = whole[name][: len(values)]
            compared += len(values)
            unequal = ~((values == expected) | (np.isnan(values) & np.isnan(expected)))
            if unequal.any():
                row = int(np.argmax(unequal))
                time_ms = plan.start_ms + row * spec.timeframe_ms
                differences.append(
                    Difference(name, time_ms, float(expected[row]), float(values[row]))
                )
    return TruncationCheck(len(ends), compared, tuple(differences))


def _causal(result: PairResult) -> dict[str, FloatArray]:
    series = {f"{name}.hedge_ratio": ratio for name, ratio in result.hedge_ratios.items()}
    for field in HedgeSeries.__slots__:
        series[f"{result.spec.hedge}.{field}"] = getattr(result.chosen, field)
    series["kalman.stderr"] = result.kalman_stderr
    series["position"] = result.position.astype(np.float64)
    series["equity"] = result.backtest.equity
    series["drawdown"] = result.backtest.drawdown
    return series


def placebo_check(
    spec: PairSpec, plan: RowPlan, leg_a: Leg, leg_b: Leg, runs: int = 200, seed: int = 0
) -> PlaceboCheck:
    """Trade random walks as the pair is traded, and rank the real result among them.

    Parameters
    ----------
    runs : number of random pairs; each has the legs' volatilities and their return correlation,
        and is missing the rows that they miss, but nothing in it reverts.
    seed : of the random walks; the same one gives the same answer.

    Notes
    -----
    Costs are charged as in the real run. The win rate stands beside the placebo's because it
    proves nothing: closed trades of a mean-reversion rule mostly win on random walks too.
    """
    rows = align(leg_a, leg_b, spec.timeframe_ms, plan.history_start_ms, plan.end_ms)
    _, _, real = trade_rows(spec, plan, rows)
    covariance = _covariance(rows)
    if covariance is None:
        nothing = math.nan
        return PlaceboCheck(
            0, real.metrics.total_return, nothing, nothing, nothing, nothing,
            real.metrics.win_rate, nothing,
        )  # fmt: skip
    rng = np.random.default_rng(seed)
    returns = np.empty(runs)
    win_rates = np.empty(runs)
    for run in range(runs):
        walk = _walk(rows, covariance, rng)
        _, _, placebo = trade_rows(spec, plan, walk)
        returns[run] = placebo.metrics.total_return
        win_rates[run] = placebo.metrics.win_rate
    known = win_rates[~np.isnan(win_rates)]
    low, high = np.quantile(returns, (0.05, 0.95))
    return PlaceboCheck(
        runs=runs,
        total_return=real.metrics.total_return,
        percentile=_percentile(returns, real.metrics.total_return),
        placebo_mean=float(returns.mean()),
        placebo_5pct=float(low),
        placebo_95pct=float(high),
        win_rate=real.metrics.win_rate,
        placebo_win_rate=float(known.mean()) if len(known) else math.nan,
    )


def _percentile(returns: FloatArray, real: float) -> float:
    if np.ptp(returns) == 0.0:
        return math.nan
    return 100.0 * float(np.mean(returns < real) + 0.5 * np.mean(returns == real))


def _covariance(rows: PairRows) -> FloatArray | None:
    returns = np.stack((log_returns(rows.close_a), log_returns(rows.close_b)))
    returns = returns[:, ~np.isnan(returns).any(axis=0)]
    if returns.shape[1] < FEWEST_RETURNS:
        return None
    return np.cov(returns)


def _walk(rows: PairRows, covariance: FloatArray, rng: np.random.Generator) -> PairRows:
    """Two random walks on the rows' times; each opens where it closed before."""
    n = len(rows)
    steps = rng.multivariate_normal(np.zeros(2), covariance, n + 1, method="eigh")
    prices = np.exp(np.cumsum(steps, axis=0))
    open_a, close_a, open_b, close_b = (
        np.where(rows.present, column, np.nan)
        for column in (prices[:-1, 0], prices[1:, 0], prices[:-1, 1], prices[1:, 1])
    )
    times, traded = rows.open_time_ms, (rows.traded_a, rows.traded_b)
    return PairRows(times, open_a, close_a, open_b, close_b, *traded)
