"""What the best of many trials is worth: how well noise, tried as often, would have done.

Returns are those of periods (see `core.metrics.period_returns`), a row a trial. A Sharpe ratio is
per period here and uses std(ddof=1); a trial that does not move has one of 0.
"""

import math
from itertools import combinations
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from core.types import FloatArray, IntArray

_NORMAL = NormalDist()
_EULER = 0.5772156649015329
PERCENTILES = (5.0, 50.0, 95.0)


class Band(NamedTuple):
    """5th, 50th and 95th percentile."""

    low: float
    median: float
    high: float


class Resampled(NamedTuple):
    """Bands over the bootstrap's resamples of a trial's returns, shares of the notional."""

    total: Band
    """Of the return of all periods."""
    drawdown: Band
    """Of the deepest one; indicative only, it covers less than it says."""
    fan: FloatArray
    """(3, t) of the return so far, after each period."""


class Backtested(NamedTuple):
    """Probability of backtest overfitting, and what it was counted from."""

    value: float
    blocks: int
    splits: int
    loss: float
    """Share of splits in which the best one of the training half lost in the other."""


def sharpe_ratios(returns: FloatArray) -> FloatArray:
    """Sharpe ratio per period of each row; 0 of one that does not move.

    Parameters
    ----------
    returns : (n, t) t ≥ 2.
    """
    deviation = returns.std(axis=1, ddof=1)
    moves = np.ptp(returns, axis=1) > 0.0
    ratios = np.zeros(len(returns))
    ratios[moves] = returns[moves].mean(axis=1) / deviation[moves]
    return ratios


def distinct_trials(returns: FloatArray) -> int:
    """How many rows differ: parameters that trade alike are one trial."""
    return len(np.unique(returns, axis=0))


def probabilistic_sharpe(
    ratio: float, benchmark: float, periods: int, skewness: float, kurtosis: float
) -> float:
    """Probability that the true Sharpe ratio is above a benchmark.

    Parameters
    ----------
    ratio, benchmark : per period.
    periods : number of returns.
    skewness, kurtosis : of the returns; 0 and 3 of normal ones.

    Returns
    -------
    Φ((S − r)·√(T − 1)/√(1 − γ₃S + (γ₄ − 1)/4·S²)); NaN where that has no root.

    References
    ----------
    Bailey and López de Prado, *The Sharpe ratio efficient frontier* (2012).
    """
    square = 1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    if not square > 0.0:
        return math.nan
    return _NORMAL.cdf((ratio - benchmark) * math.sqrt((periods - 1) / square))


def expected_maximum(trials: int) -> float:
    """Expected highest of so many independent standard normal values; 0 of one.

    Notes
    -----
    (1 − γ)·Φ⁻¹(1 − 1/N) + γ·Φ⁻¹(1 − 1/(N·e)), γ Euler's constant.
    """
    if trials < 2:
        return 0.0
    first, second = (_NORMAL.inv_cdf(1.0 - 1.0 / n) for n in (trials, trials * math.e))
    return (1.0 - _EULER) * first + _EULER * second


def deflated_sharpe(
    ratio: float, variance: float, trials: int, periods: int, skewness: float, kurtosis: float
) -> float:
    """Probability that the best of many trials has a true Sharpe ratio above 0.

    Parameters
    ----------
    variance : of the trials' Sharpe ratios, per period.
    trials : distinct ones, see `distinct_trials`.
    ratio, periods, skewness, kurtosis : see `probabilistic_sharpe`.

    Notes
    -----
    The benchmark is what the highest of N unskilled trials would have: √V·E_N. On grids, whose
    cells trade much alike, it is very strict.

    References
    ----------
    Bailey and López de Prado, *The deflated Sharpe ratio*, J. of Portfolio Management 40 (2014).
    """
    benchmark = math.sqrt(variance) * expected_maximum(trials)
    return probabilistic_sharpe(ratio, benchmark, periods, skewness, kurtosis)


def mean_block(periods: int, mean_hold: float) -> float:
    """Mean length of a bootstrap's blocks: long enough for a trade, short enough to mix."""
    return min(max(math.cbrt(periods), 2.0 * mean_hold, 1.0), max(periods / 4.0, 1.0))


def stationary_rows(
    periods: int, block: float, resamples: int, rng: np.random.Generator
) -> IntArray:
    """Which period stands where in each resample, (resamples, periods).

    Notes
    -----
    Blocks of geometric length with that mean, each begun anywhere, going on round the end.

    References
    ----------
    Politis and Romano, *The stationary bootstrap*, JASA 89 (1994).
    """
    begins = rng.random((resamples, periods)) < 1.0 / block
    begins[:, 0] = True
    starts = rng.integers(0, periods, (resamples, periods))
    place = np.arange(periods)
    begun = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    rows: IntArray = (np.take_along_axis(starts, begun, axis=1) + place - begun) % periods
    return rows


def reality_check(returns: FloatArray, block: float, resamples: int = 500, seed: int = 0) -> float:
    """Share of noise that does as well as the best trial: the headline of a sweep.

    Parameters
    ----------
    returns : (n, t).
    block : mean length of the bootstrap's blocks, see `mean_block`.

    Returns
    -------
    p = (1 + #{max_n(S*_n − S_n) ≥ max_n S_n})/(B + 1) over B stationary-bootstrap resamples of the
    periods, the same for all trials, so that what they have in common stays.

    Notes
    -----
    A resample is a count of each period, so that all means and squares of all resamples are two
    products of matrices.

    References
    ----------
    White, *A reality check for data snooping*, Econometrica 68 (2000).
    """
    periods = returns.shape[1]
    rows = stationary_rows(periods, block, resamples, np.random.default_rng(seed))
    flat = rows + periods * np.arange(resamples)[:, None]
    counts = np.bincount(flat.ravel(), minlength=resamples * periods).astype(np.float64)
    counts = counts.reshape(resamples, periods).T
    observed = sharpe_ratios(returns)
    # About each trial's own mean the squares keep their digits.
    centre = returns.mean(axis=1, keepdims=True)
    centred = returns - centre
    shift = centred @ counts / periods
    square = np.square(centred) @ counts / periods
    variance = (square - shift**2) * (periods / (periods - 1.0))
    floor = 1e-12 * np.square(centred).mean(axis=1, keepdims=True)
    moves = variance > floor
    resampled = np.where(moves, (centre + shift) / np.sqrt(np.where(moves, variance, 1.0)), 0.0)
    best = (resampled - observed[:, None]).max(axis=0)
    reached = int(np.count_nonzero(best >= observed.max()))
    return (1.0 + reached) / (resamples + 1.0)


def backtest_overfitting(returns: FloatArray, blocks: int = 10) -> Backtested:
    """How often the best of one half of the periods is below the middle in the other.

    Parameters
    ----------
    returns : (n, t) n ≥ 2 trials, t ≥ 2·blocks periods.
    blocks : an even number of equal parts; periods that don't fit are left out in front.

    Notes
    -----
    Combinatorially symmetric cross-validation: over every choice of half the blocks to train on,
    ω = midrank/(n + 1) of the trained best among all in the other half; PBO is the share with
    ln(ω/(1 − ω)) ≤ 0. Equal trials share their rank, so duplicates say nothing. Sharpe ratios
    come from sums and squares of blocks.

    References
    ----------
    Bailey, Borwein, López de Prado and Zhu, *The probability of backtest overfitting*,
    J. of Computational Finance 20 (2017).
    """
    trials, periods = returns.shape
    size = periods // blocks
    cut = returns[:, periods - size * blocks :]
    # What all share is taken off for digits; ratios need the true means back.
    centre = cut.mean(axis=1, keepdims=True)
    parts = (cut - centre).reshape(trials, blocks, size)
    sums, squares = parts.sum(axis=2), np.square(parts).sum(axis=2)
    rows = size * blocks // 2
    noise = 1e-12 * np.square(parts).mean(axis=(1, 2))

    def ratios(chosen: list[int]) -> tuple[FloatArray, FloatArray]:
        total = sums[:, chosen].sum(axis=1)
        variance = (squares[:, chosen].sum(axis=1) - total**2 / rows) / (rows - 1.0)
        mean = centre[:, 0] + total / rows
        moves = variance > noise
        told = np.where(moves, mean / np.sqrt(np.where(moves, variance, 1.0)), 0.0)
        return told, mean

    below = losses = splits = 0
    for train in combinations(range(blocks), blocks // 2):
        test = [block for block in range(blocks) if block not in train]
        best = int(np.argmax(ratios(list(train))[0]))
        tested, means = ratios(test)
        ties = np.isclose(tested, tested[best], rtol=1e-9, atol=1e-12)
        lower = np.count_nonzero((tested < tested[best]) & ~ties)
        rank = lower + (np.count_nonzero(ties) + 1) / 2.0
        below += bool(rank / (trials + 1.0) <= 0.5)
        losses += bool(means[best] < 0.0)
        splits += 1
    return Backtested(below / splits, blocks, splits, losses / splits)


def bootstrap(
    returns: FloatArray, block: float, resamples: int = 1_000, seed: int = 0
) -> Resampled:
    """What the same returns in another order would have made, not compounded.

    Parameters
    ----------
    returns : (t,) of the notional, a period each.
    block : see `mean_block`.
    """
    rows = stationary_rows(len(returns), block, resamples, np.random.default_rng(seed))
    gained = np.cumsum(returns[rows], axis=1)
    peak = np.maximum(np.maximum.accumulate(gained, axis=1), 0.0)
    deepest = ((1.0 + gained) / (1.0 + peak) - 1.0).min(axis=1)
    fan = np.percentile(gained, PERCENTILES, axis=0)
    falls = np.percentile(deepest, PERCENTILES)
    return Resampled(Band(*fan[:, -1].tolist()), Band(*falls.tolist()), fan)


def best_entry(cost: float) -> float:
    """Entry z that earns most per time on an Ornstein-Uhlenbeck spread which is left at its mean.

    Parameters
    ----------
    cost : of a round trip in deviations of the spread: 2·(fee + slippage)·(1 + |b|)/sd; ≥ 0.

    Returns
    -------
    The root of erfi(z/√2) = √(2/π)·(z − κ)·e^{z²/2}; 0 without costs.

    Notes
    -----
    Times e^{−z²/2} it reads z − κ = √2·D(z/√2), D Dawson's integral. Left where entries mirror
    (at −z) a round trip earns 2z, and κ is half of its cost.

    References
    ----------
    Bertram, *Analytic solutions for optimal statistical arbitrage trading*, Physica A 389 (2010).
    """
    low, high = 0.0, cost + 2.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle - math.sqrt(2.0) * _dawson(middle / math.sqrt(2.0)) < cost:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _dawson(x: float) -> float:
    """Dawson's integral by Rybicki's sum over odd n, which at h = 0.2 leaves e^{−61}."""
    odd = 2.0 * np.arange(-150 - int(2.5 * x), 151 + int(2.5 * x)) + 1.0
    return float(np.sum(np.exp(-np.square(x - 0.2 * odd)) / odd)) / math.sqrt(math.pi)
