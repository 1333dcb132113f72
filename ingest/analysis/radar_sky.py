"""What radar rules see: which pairs the newest scan lets pass, and who of them is far out.

All pairs are looked over at once by matrix products; whoever seems far out, and whoever fires
already, is computed again by the pair's own kernel, and only that is judged.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from core.episodes import RuleState
from core.job_spec import SCANNED_BARS
from core.presence import newest_common_ms
from core.radar import radar
from core.radar_rule import Sky, Stretch
from core.radar_spec import RadarWatch, legs_of
from core.spread import break_even_z
from core.stretched import stretched
from core.timeframes import TIMEFRAMES
from core.types import BoolArray, FloatArray, IntArray
from core.universe import log_rows
from ingest.analysis.figures import Figures
from ingest.analysis.scan_times import fresh_symbols
from ingest.store.reader import Freshness, Reader

LOOK_S = 1.0
"""Between two looks at what all symbols have: their newest bars move seldom."""
MOST_JUDGED = 200
"""Pairs of one bar that are judged by their own kernel beside those that fire, the farthest out."""
_COLUMNS = ("qvalue", "p_quarters_median", "half_life_bars")


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    """What a rule asks of the newest scan, a row a pair."""

    scan_id: int
    symbols: tuple[str, ...]
    quote_volume_24h: FloatArray
    """Of each symbol."""
    leg_a: IntArray
    leg_b: IntArray
    columns: Mapping[str, FloatArray]

    def legs(self, row: int) -> tuple[str, str]:
        return self.symbols[self.leg_a[row]], self.symbols[self.leg_b[row]]


@dataclass(frozen=True, slots=True)
class _Look:
    at_s: float
    fresh: Mapping[str, Freshness]
    newest_ms: int | None
    """Open time of the newest bar that nearly all have."""


class RadarSky:
    """Looks over a market for radar rules; used from one thread.

    Parameters
    ----------
    figures : computes each pair by itself.
    steady_s : seconds from anywhere, on a clock that never jumps.
    """

    def __init__(self, reader: Reader, figures: Figures, steady_s: Callable[[], float]) -> None:
        self._reader = reader
        self._figures = figures
        self._steady_s = steady_s
        self._looks: dict[str, _Look] = {}
        self._scans: dict[str, _Scan] = {}

    def newest_ms(self, timeframe: str) -> int | None:
        """Open time of the newest bar that nine symbols of ten have."""
        return self._look(timeframe).newest_ms

    def at(self, watch: RadarWatch, open_ms: int, state: RuleState) -> tuple[Sky | None, str]:
        """What a rule sees at one bar, or why it sees nothing."""
        scan = self._scan(watch.timeframe)
        if scan is None:
            return None, f"no scan of {watch.timeframe} yet"
        passing = np.flatnonzero(_passes(scan, watch))
        far_out = self._far_out(scan, watch, open_ms, passing)
        if far_out is None:
            return None, "too few symbols have this bar"
        row_of = {frozenset(scan.legs(row)): row for row in passing.tolist()}
        held = (legs_of(latch.direction) for latch in state.latches.values())
        legs_by_name = {frozenset(legs): legs for legs in held if legs is not None}
        for row in far_out.tolist():
            legs_by_name.setdefault(frozenset(scan.legs(row)), scan.legs(row))
        fresh = self._look(watch.timeframe).fresh
        stretches = (
            self._stretch(scan, watch, open_ms, legs, row_of.get(name))
            for name, legs in legs_by_name.items()
            if name <= fresh.keys()
        )
        return Sky(len(passing), tuple(stretches)), ""

    def _look(self, timeframe: str) -> _Look:
        found, now_s = self._looks.get(timeframe), self._steady_s()
        if found is None or now_s - found.at_s >= LOOK_S:
            step = TIMEFRAMES[timeframe]
            fresh = fresh_symbols(self._reader, step)
            newest_ms = newest_common_ms(one.newest_bars_ms[step] for one in fresh.values())
            found = self._looks[timeframe] = _Look(now_s, fresh, newest_ms)
        return found

    def _scan(self, timeframe: str) -> _Scan | None:
        newest, kept = (
            self._reader.newest_scan(timeframe, SCANNED_BARS),
            self._scans.get(timeframe),
        )
        if newest is None or (kept is not None and kept.scan_id == newest.scan_id):
            return kept
        found = self._reader.scan_table(timeframe, SCANNED_BARS)
        if found is None or not found[1]:
            return kept
        stored, columns = found
        kept = self._scans[timeframe] = _Scan(
            stored.scan_id,
            tuple(stored.head["symbols"]),
            np.asarray(stored.head["quote_volume_24h"], dtype=np.float64),
            columns["leg_a"].astype(np.int64),
            columns["leg_b"].astype(np.int64),
            {name: columns[name] for name in _COLUMNS},
        )
        return kept

    def _far_out(
        self, scan: _Scan, watch: RadarWatch, open_ms: int, passing: IntArray
    ) -> IntArray | None:
        """Rows of the scan whose pairs seem far out, the farthest first; None without that bar."""
        step, fresh = TIMEFRAMES[watch.timeframe], self._look(watch.timeframe).fresh
        count = watch.hedge_window + watch.window
        end_ms = open_ms + step
        legs = {
            name: self._figures.bars.leg(
                name, step, end_ms - count * step, end_ms, fresh[name].revision
            )
            for name in scan.symbols
            if name in fresh
        }
        rows = log_rows(legs, step, count)
        if rows is None or rows.as_of_ms != end_ms:
            return None
        seen = radar(rows.logs, window=watch.window, hedge_window=watch.hedge_window)
        place = {name: number for number, name in enumerate(rows.symbols)}
        number = np.array([place.get(name, -1) for name in scan.symbols], dtype=np.int64)
        leg_a, leg_b = number[scan.leg_a[passing]], number[scan.leg_b[passing]]
        there = (leg_a >= 0) & (leg_b >= 0)
        spec = watch.pair_of(*scan.symbols[:2])
        found = stretched(seen, leg_a[there], leg_b[there], spec, watch.min_z)
        return passing[there][found.row[:MOST_JUDGED]]

    def _stretch(
        self,
        scan: _Scan,
        watch: RadarWatch,
        open_ms: int,
        legs: tuple[str, str],
        row: int | None,
    ) -> Stretch:
        """A pair by its own kernel; `row` is that of the scan where it passes."""
        pair = watch.pair_of(*legs)
        fresh = self._look(watch.timeframe).fresh
        hedge = self._figures.new_rows(pair, open_ms, open_ms, fresh).hedge
        ratio, std = float(hedge.hedge_ratio[-1]), float(hedge.spread_std[-1])
        level = watch.min_z
        if level is None:
            level = break_even_z(pair.exit_z, ratio, std, pair.fee_bps, pair.slippage_bps)
        of_scan = (
            float(scan.columns[name][row]) if row is not None else math.nan for name in _COLUMNS
        )
        return Stretch(*legs, float(hedge.zscore[-1]), ratio, level, row is not None, *of_scan)


def _passes(scan: _Scan, watch: RadarWatch) -> BoolArray:
    volume = np.minimum(scan.quote_volume_24h[scan.leg_a], scan.quote_volume_24h[scan.leg_b])
    passes = volume >= watch.min_quote_volume
    half_life = scan.columns["half_life_bars"]
    for cells, most in (
        (scan.columns["qvalue"], watch.max_q),
        (scan.columns["p_quarters_median"], watch.max_median),
        (half_life, watch.max_half_life),
    ):
        if most is not None:
            passes &= cells <= most
    if watch.min_half_life is not None:
        passes &= half_life >= watch.min_half_life
    return passes
