"""Which pairs are far from their mean now, beyond what a trade costs, and since when."""

from typing import NamedTuple

import numpy as np

from core.pair_spec import PairSpec
from core.radar import Radar
from core.spread import break_even_zs
from core.types import FloatArray, IntArray


class Stretched(NamedTuple):
    """(m,) each, the farthest first."""

    row: IntArray
    """Numbers of the pairs among those given."""
    zscore: FloatArray
    hedge_ratio: FloatArray
    break_even_z: FloatArray


def stretched(
    seen: Radar, leg_a: IntArray, leg_b: IntArray, spec: PairSpec, min_z: float | None = None
) -> Stretched:
    """Find the pairs that are far out and whose legs offset each other.

    Parameters
    ----------
    seen : the z of every pair.
    leg_a, leg_b : (m,) pairs to look at.
    spec : costs and exit.
    min_z : |z| from which on a pair counts; without one the z at which a full reversion pays.

    Notes
    -----
    A pair with β ≤ 0 holds both legs on one side: no trade of its spread is hedged.
    """
    fit, std = seen.hedge_ratio[leg_a, leg_b], seen.spread_std[leg_a, leg_b]
    zscore = seen.zscore[leg_a, leg_b]
    even = break_even_zs(spec.exit_z, fit, std, spec.fee_bps, spec.slippage_bps)
    with np.errstate(invalid="ignore"):
        far = (np.abs(zscore) >= (even if min_z is None else min_z)) & (fit > 0.0)
    rows = np.flatnonzero(far)
    rows = rows[np.argsort(-np.abs(zscore[rows]), kind="stable")]
    return Stretched(rows, zscore[rows], fit[rows], even[rows])


def bars_beyond(zscore: FloatArray, level: float) -> int:
    """How many of the last bars in a row |z| has been at `level` or beyond, on the same side."""
    beyond = (np.abs(zscore) >= level) & (np.sign(zscore) == np.sign(zscore[-1]))
    inside = np.flatnonzero(~beyond)
    return len(zscore) - 1 - int(inside[-1]) if len(inside) else len(zscore)
