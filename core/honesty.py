"""Honesty checks of a pair and its parameters: does it see the future, does it beat chance."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from core.bars import BREAK_FACTOR, align
from core.pair import analyse_pair, relate_rows, trade_rows
from core.pair_spec import PairSpec
from core.reasons import why_no_spread
from core.regression import log_prices
from core.row_plan import RowPlan
from core.spread import half_life
from core.types import FloatArray, HedgeSeries, Leg, PairResult, PairRows

FEWEST_RETURNS = 50
BEYOND_ENTRY, HALF_LIFE, HALF_LIFE_FOUND = "beyond_entry", "half_life_bars", "half_life_found"
"""Figures beside those of the backtest: share of rows with |z| ≥ entry_z, bars, 1 or 0."""


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
class Noise:
    """One figure of the pair among those of random walks; NaN where it is undefined."""

    value: float
    low: float
    """5th percentile of the walks."""
    median: float
    high: float
    """95th percentile."""
    rank: float
    """Share of walks below the pair's own value, in percent, half of those that equal it.

    NaN when there is nothing to compare: no value, no walk that has one, or all of them alike.
    """
    defined: int
    """Walks that have the figure at all."""


@dataclass(frozen=True, slots=True)
class Placebo:
    """What the same rules make of random walks in place of the legs."""

    runs: int
    correlation: float
    """Of the walks' steps, and of the legs' returns where both trade."""
    traded_a: float
    traded_b: float
    """Share of the bars with trades, of walks and legs alike."""
    figures: Mapping[str, Noise]
    """Every figure of the backtest by its name, BEYOND_ENTRY, HALF_LIFE, HALF_LIFE_FOUND, and
    those of `core.pair.relate_rows`."""
    reasons: Mapping[str, str]
    """Why the pair itself has not got a figure, by the figure's name."""


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


def placebo(
    spec: PairSpec, plan: RowPlan, leg_a: Leg, leg_b: Leg, runs: int = 200, seed: int = 0
) -> tuple[Placebo | None, str]:
    """Trade random walks as the pair is traded, and rank every real figure among theirs.

    Parameters
    ----------
    runs : number of random pairs.
    seed : of the random walks; the same one gives the same answer.

    Returns
    -------
    (placebo, reason): one of them is None or empty.

    Notes
    -----
    Each walk has its leg's volatility and their return correlation, is missing the bars that the
    legs miss and stands still in those that its leg does not trade in; nothing in it reverts.
    Costs are charged as in the real run. Winning proves nothing: closed trades of a mean-reversion
    rule mostly win on random walks too.
    """
    rows = align(leg_a, leg_b, spec.timeframe_ms, plan.history_start_ms, plan.end_ms)
    covariance = _covariance(rows)
    if covariance is None:
        return None, f"under {FEWEST_RETURNS} returns of both legs"
    real, reasons = _figures(spec, plan, rows)
    rng = np.random.default_rng(seed)
    walks = [_figures(spec, plan, _walk(rows, covariance, rng))[0] for _ in range(runs)]
    figures = {
        name: _noise(value, np.array([walk[name] for walk in walks]))
        for name, value in real.items()
    }
    present = rows.present
    return (
        Placebo(
            runs=runs,
            correlation=float(covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])),
            traded_a=float(rows.traded_a[present].mean()),
            traded_b=float(rows.traded_b[present].mean()),
            figures=figures,
            reasons=reasons,
        ),
        "",
    )


def _figures(
    spec: PairSpec, plan: RowPlan, rows: PairRows
) -> tuple[dict[str, float], dict[str, str]]:
    """Every figure, and why those that are NaN are."""
    fit, backtest, reasons = trade_rows(spec, plan, rows)
    zscore = fit.series.zscore[-len(backtest.equity) :]
    known = zscore[~np.isnan(zscore)]
    told = half_life(fit.held_out)
    figures = {name: float(value) for name, value in asdict(backtest.metrics).items()}
    beyond = np.abs(known) >= spec.entry_z
    figures[BEYOND_ENTRY] = float(beyond.mean()) if len(known) else math.nan
    if not len(known):
        reasons[BEYOND_ENTRY] = "no row has a z"
    figures[HALF_LIFE] = told.bars
    if told.words:
        reasons[HALF_LIFE] = why_no_spread(fit.held_out) or told.words
    figures[HALF_LIFE_FOUND] = float(not math.isnan(told.bars))
    related, why = relate_rows(spec, plan, rows, fit)
    return figures | related, reasons | why


def _noise(value: float, walks: FloatArray) -> Noise:
    known = walks[~np.isnan(walks)]
    if not len(known):
        return Noise(value, math.nan, math.nan, math.nan, math.nan, 0)
    low, median, high = np.quantile(known, (0.05, 0.5, 0.95)).tolist()
    return Noise(value, low, median, high, _rank(known, value), len(known))


def _rank(walks: FloatArray, real: float) -> float:
    if math.isnan(real) or np.ptp(walks) == 0.0:
        return math.nan
    return 100.0 * float(np.mean(walks < real) + 0.5 * np.mean(walks == real))


def _covariance(rows: PairRows) -> FloatArray | None:
    """Covariance of the legs' steps a row, from one row that both trade in to the next such.

    Steps between other rows would be of prices that are not of the same time, which hides that
    legs move together. None where both seldom trade, or one never moves.
    """
    both = np.flatnonzero(rows.present & rows.traded_a & rows.traded_b)
    if len(both) <= FEWEST_RETURNS:
        return None
    logs = np.stack((log_prices(rows.close_a)[both], log_prices(rows.close_b)[both]))
    steps, spans = np.diff(logs, axis=1), np.diff(both)
    whole = (np.abs(steps) < math.log(BREAK_FACTOR)).all(axis=0)
    steps, spans = steps[:, whole], spans[whole]
    covariance: FloatArray = steps @ steps.T / spans.sum()
    return covariance if (np.diag(covariance) > 0.0).all() else None


def _walk(rows: PairRows, covariance: FloatArray, rng: np.random.Generator) -> PairRows:
    """Two random walks on the rows' times.

    A bar that trades opens where the walk stood when it began; one that does not repeats the last
    price that was traded.
    """
    n = len(rows)
    root = np.linalg.cholesky(covariance + np.diag(np.diag(covariance)) * 1e-12)
    walk = np.cumsum(root @ rng.standard_normal((2, n + 1)), axis=1)
    traded = np.stack((rows.traded_a, rows.traded_b))
    last = np.maximum.accumulate(np.where(traded, np.arange(1, n + 1), 0), axis=1)
    closes = np.take_along_axis(walk, last, axis=1)
    opens = np.where(traded, walk[:, :-1], closes)
    opens[:, ~rows.present] = closes[:, ~rows.present] = np.nan
    (open_a, open_b), (close_a, close_b) = np.exp(opens), np.exp(closes)
    return PairRows(rows.open_time_ms, open_a, close_a, open_b, close_b, *traded)
