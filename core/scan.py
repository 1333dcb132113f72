"""Every pair of a universe tested for cointegration, in both directions, with what else is asked.

A scan is cut into tiles, each a pure function of the prices and two blocks of symbols, so that
threads or other machines can work them off.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from core.pair_figures import PairFigures, pair_figures
from core.pair_spec import PairSpec
from core.radar import Radar, hedge_ratios, radar, return_correlations
from core.selection import FOUND, detectable_half_life_bars, hubs, null_range, qvalues
from core.spread import break_even_zs
from core.stationarity import OWN_PVALUE, dickey_fuller, mackinnon_pvalues
from core.tasks import TaskRunner, in_turn
from core.tiles import TESTED, engle_granger_blocks
from core.types import FloatArray, IntArray
from core.universe import Universe

QUARTERS = 4
LIKELY = 0.2
"""A half-life is told where p of the rows, or its median over the quarters, is below it."""
_SMALLEST_SIDE, _LARGEST_SIDE = 24, 64


@dataclass(frozen=True, slots=True, eq=False)
class PairTable:
    """A row a pair, leg A being the dependent one of the lower statistic; NaN where undefined."""

    leg_a: IntArray
    leg_b: IntArray
    """Numbers of the symbols."""
    statistic: FloatArray
    pvalue: FloatArray
    pvalue_other: FloatArray
    """Of leg B on leg A."""
    qvalue: FloatArray
    """Of min(1, 2p), among all pairs tested."""
    lags: IntArray
    rows: IntArray
    hedge_ratio: FloatArray
    p_quarters: FloatArray
    """(m, 4): of each quarter of the rows min(1, 2p), as of a pair shown by itself."""
    p_quarters_median: FloatArray
    """Of the quarters that have one, at least two."""
    hedge_ratio_now: FloatArray
    zscore: FloatArray
    spread_std: FloatArray
    break_even_z: FloatArray
    half_life_bars: FloatArray
    hurst: FloatArray
    variance_ratio_24: FloatArray
    correlation: FloatArray
    zero_crossings: FloatArray

    def __len__(self) -> int:
        return len(self.leg_a)

    @property
    def pvalue_both(self) -> FloatArray:
        """p with allowance for its being the better of two."""
        return np.minimum(1.0, 2.0 * self.pvalue)


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What a scan found, and what has to be said above its table."""

    universe: Universe
    table: PairTable
    refused: IntArray
    """(r, 3): two symbols and the reason, one of `core.tiles`."""
    found_p05: int
    found_q05: int
    null_range_p05: tuple[int, int]
    """Pairs with p < .05 in markets like this one in which nothing reverts."""
    hubs: tuple[tuple[int, int], ...]
    """Symbols that more than a tenth of the finds go through, and how many do."""
    detectable_half_life_bars: float
    stationary: IntArray
    """Symbols that need no other to revert."""


class _Prices(NamedTuple):
    logs: FloatArray
    known_before: FloatArray
    hedge_window: int


class Tile(NamedTuple):
    """Two blocks of symbols, by their numbers: every pair of one of each."""

    first: IntArray
    second: IntArray
    is_diagonal: bool


class _Tested(NamedTuple):
    """What a tile found: columns of the table, and the pairs that were refused."""

    legs: IntArray  # (2, m)
    statistic: FloatArray  # (2, m): that of the legs, and the other way
    lags: IntArray
    p_quarters: FloatArray
    figures: PairFigures
    refused: IntArray


def scan(universe: Universe, spec: PairSpec, run: TaskRunner = in_turn, cores: int = 1) -> Scan:
    """Test every pair of a universe and describe each as the pair's own page would.

    Parameters
    ----------
    universe : at least two symbols.
    spec : windows and costs; its symbols and bars are not looked at.
    run : works off the tiles; told results in their order. What it raises ends the scan.
    cores : that share the tiles out.

    Returns
    -------
    Scan. Statistics equal `statsmodels.tsa.stattools.coint` on centred legs to 1e-8, the other
    columns the pair's own kernels to 1e-9, given these rows.

    References
    ----------
    Engle and Granger (1987); Benjamini and Hochberg (1995).
    """
    logs, window, hedge_window = universe.logs, spec.window, spec.hedge_window
    rows = logs.shape[1]
    known_before = np.full((len(logs), len(logs)), math.nan)
    if rows > hedge_window:
        before = logs[:, : rows - hedge_window]
        known_before = hedge_ratios(before, window=window, hedge_window=hedge_window)
    prices = _Prices(logs, known_before, hedge_window)
    tested = [*run(_scan_tile, prices, plan_tiles(logs, cores))]
    seen = radar(logs, window=window, hedge_window=hedge_window)
    table = _assemble(tested, seen, return_correlations(logs, window), spec)
    refused = np.concatenate([tile.refused for tile in tested])
    is_found_q = table.qvalue < FOUND
    is_found_p = table.pvalue < FOUND
    finds = is_found_q if is_found_q.any() else is_found_p
    low, high = null_range(logs, run)
    own = np.array([dickey_fuller(prices)[1] for prices in logs])
    return Scan(
        universe=universe,
        table=table,
        refused=refused,
        found_p05=int(is_found_p.sum()),
        found_q05=int(is_found_q.sum()),
        null_range_p05=(math.floor(low * len(table)), math.ceil(high * len(table))),
        hubs=tuple(hubs(table.leg_a[finds], table.leg_b[finds], len(logs)).items()),
        detectable_half_life_bars=detectable_half_life_bars(rows),
        stationary=np.flatnonzero(own < OWN_PVALUE),
    )


def plan_tiles(logs: FloatArray, cores: int) -> list[Tile]:
    """Cut all pairs into blocks, symbols with the same rows together."""
    count = len(logs)
    side = min(max(math.ceil(count / math.sqrt(8.0 * cores)), _SMALLEST_SIDE), _LARGEST_SIDE)
    order = np.lexsort(np.packbits(np.isnan(logs), axis=1).T[::-1])
    blocks = [np.sort(order[start : start + side]) for start in range(0, count, side)]
    return [
        Tile(first, second, number == other)
        for number, first in enumerate(blocks)
        for other, second in enumerate(blocks[number:], number)
    ]


def _scan_tile(prices: _Prices, tile: Tile) -> _Tested:
    first, second = prices.logs[tile.first], prices.logs[tile.second]
    wanted = np.ones((len(first), len(second)), dtype=np.bool_)
    if tile.is_diagonal:
        wanted = np.triu(wanted, 1)
    tests = engle_granger_blocks(first, second, wanted)
    places = np.nonzero(wanted & (tests.refusal == TESTED))
    way = (tests.statistic[1][places] < tests.statistic[0][places]).astype(np.intp)
    legs = np.stack((tile.first[places[0]], tile.second[places[1]]))
    legs = np.where(way == 0, legs, legs[::-1])
    statistic = np.stack((tests.statistic[way, *places], tests.statistic[1 - way, *places]))
    is_tested = np.zeros_like(wanted)
    is_tested[places] = True
    p_quarters = np.stack(
        [
            _pvalue_both(engle_granger_blocks(a, b, is_tested).statistic.min(axis=0)[places])
            for a, b in zip(
                np.array_split(first, QUARTERS, axis=1),
                np.array_split(second, QUARTERS, axis=1),
                strict=True,
            )
        ],
        axis=1,
    )
    is_likely = _pvalue_both(statistic[0]) < LIKELY
    is_likely |= _median(p_quarters) < LIKELY
    known_before = prices.known_before[legs[0], legs[1]]
    figures = pair_figures(
        prices.logs, legs[0], legs[1], known_before, prices.hedge_window, is_likely
    )
    refused = np.nonzero(wanted & (tests.refusal != TESTED))
    return _Tested(
        legs,
        statistic,
        tests.lags[way, *places].astype(np.int64),
        p_quarters,
        figures,
        np.stack(
            (tile.first[refused[0]], tile.second[refused[1]], tests.refusal[refused]), axis=1
        ).astype(np.int64),
    )


def _pvalue_both(statistic: FloatArray) -> FloatArray:
    return np.minimum(1.0, 2.0 * mackinnon_pvalues(statistic))


def _median(p_quarters: FloatArray) -> FloatArray:
    """Median of each row's numbers; NaN under two of them."""
    known = np.count_nonzero(~np.isnan(p_quarters), axis=1)
    ordered = np.sort(p_quarters, axis=1)  # NaN last
    row = np.arange(len(ordered))
    below, above = np.maximum(known - 1, 0) // 2, known // 2 % QUARTERS
    return np.where(known >= 2, 0.5 * (ordered[row, below] + ordered[row, above]), math.nan)


def _assemble(
    tested: Sequence[_Tested], seen: Radar, correlation: FloatArray, spec: PairSpec
) -> PairTable:
    leg_a, leg_b = np.concatenate([tile.legs for tile in tested], axis=1)
    statistic, other = np.concatenate([tile.statistic for tile in tested], axis=1)
    p_quarters = np.concatenate([tile.p_quarters for tile in tested])
    figures = PairFigures(
        *(np.concatenate([getattr(tile.figures, name) for tile in tested])
          for name in PairFigures._fields)
    )  # fmt: skip
    pvalue = mackinnon_pvalues(statistic)
    hedge_ratio_now, std = seen.hedge_ratio[leg_a, leg_b], seen.spread_std[leg_a, leg_b]
    even = break_even_zs(spec.exit_z, hedge_ratio_now, std, spec.fee_bps, spec.slippage_bps)
    return PairTable(
        leg_a=leg_a,
        leg_b=leg_b,
        statistic=statistic,
        pvalue=pvalue,
        pvalue_other=mackinnon_pvalues(other),
        qvalue=qvalues(np.minimum(1.0, 2.0 * pvalue)),
        lags=np.concatenate([tile.lags for tile in tested]),
        rows=figures.rows.astype(np.int64),
        hedge_ratio=figures.hedge_ratio,
        p_quarters=p_quarters,
        p_quarters_median=_median(p_quarters),
        hedge_ratio_now=hedge_ratio_now,
        zscore=seen.zscore[leg_a, leg_b],
        spread_std=std,
        break_even_z=even,
        half_life_bars=figures.half_life_bars,
        hurst=figures.hurst,
        variance_ratio_24=figures.variance_ratio,
        correlation=correlation[leg_a, leg_b],
        zero_crossings=figures.zero_crossings,
    )
