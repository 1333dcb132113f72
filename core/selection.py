"""What a ranking of many pairs is worth: false discoveries, hubs, and what chance alone finds."""

import numpy as np

from core.stationarity import mackinnon_pvalues
from core.tasks import TaskRunner
from core.tiles import engle_granger_blocks
from core.types import FloatArray, IntArray

FOUND = 0.05
"""p of the better direction, or q, below which a pair counts as found."""
HUB_SHARE, FEWEST_OF_A_HUB = 0.1, 3
NULL_UNIVERSES = 39


def qvalues(pvalues: FloatArray) -> FloatArray:
    """Benjamini and Hochberg's q-value of each p-value: the smallest rate that still finds it.

    Parameters
    ----------
    pvalues : (m,) without NaN.

    References
    ----------
    Benjamini and Hochberg, *J. R. Stat. Soc. B* 57 (1995).
    """
    count = len(pvalues)
    order = np.argsort(pvalues, kind="stable")
    scaled = pvalues[order] * count / np.arange(1, count + 1)
    out = np.empty(count)
    out[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return out


def hubs(leg_a: IntArray, leg_b: IntArray, symbols: int) -> dict[int, int]:
    """Symbols that more than a tenth of the finds go through, with how many do, most first.

    `leg_a` and `leg_b` are those of the finds, as numbers below `symbols`. A leg that is stationary
    by chance makes a find with every other one.
    """
    counts = np.bincount(np.concatenate((leg_a, leg_b)), minlength=symbols)
    least = max(HUB_SHARE * len(leg_a), FEWEST_OF_A_HUB - 1)
    order = np.argsort(-counts, kind="stable")
    return {int(symbol): int(counts[symbol]) for symbol in order if counts[symbol] > least}


def detectable_half_life_bars(rows: int) -> float:
    """Half-life up to which nearly all true pairs pass q < .05 among many: rows/100, measured."""
    return rows / 100.0


def null_range(
    logs: FloatArray,
    run: TaskRunner,
    *,
    universes: int = NULL_UNIVERSES,
    symbols: int = 80,
    seed: int = 0,
) -> tuple[float, float]:
    """Share of pairs with p < .05 in markets like this one in which nothing reverts.

    Parameters
    ----------
    logs : (N, n) log prices; NaN where a row is missing.
    run : how tiles are worked off.
    universes : simulated markets; the range is that of all of them, so another market of the kind
        lies inside in 1 − 2/(universes + 1) of all cases.
    symbols : of a simulated market at most, drawn anew for each. Fewer symbols make the share
        swing more: the range is on the safe side.

    Returns
    -------
    (lowest, highest) share.

    Notes
    -----
    Every row of returns, all symbols of it together, is turned about or left as it is by chance.
    So common factors, sectors, tails and the course of volatility stay, and nothing of what a
    spread did before tells what it does next.

    References
    ----------
    Wu, *Annals of Statistics* 14 (1986), and Liu (1988): the wild bootstrap.
    """
    seeds = np.random.SeedSequence(seed).spawn(universes)
    shares = [*run(_share_found, (logs, symbols), seeds)]
    return min(shares), max(shares)


def _share_found(shared: tuple[FloatArray, int], seed: np.random.SeedSequence) -> float:
    logs, symbols = shared
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.permutation(len(logs))[:symbols])
    walks = _turned(logs[drawn], rng)
    wanted = np.triu(np.ones((len(walks), len(walks)), dtype=np.bool_), 1)
    statistic = engle_granger_blocks(walks, walks, wanted).statistic.min(axis=0)
    pvalue = mackinnon_pvalues(statistic[~np.isnan(statistic)])
    return float(np.mean(pvalue < FOUND)) if len(pvalue) else 0.0


def _turned(logs: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Random walks whose steps are those of the prices, up or down by chance, row by row."""
    signs = rng.choice((-1.0, 1.0), logs.shape[1])
    out = np.full(logs.shape, np.nan)
    for walk, price in zip(out, logs, strict=True):
        present = np.flatnonzero(~np.isnan(price))
        if len(present):
            steps = np.diff(price[present]) * signs[present[1:]]
            walk[present] = np.concatenate(([0.0], np.cumsum(steps)))
    return out
