"""The z of every pair at the last closed bar, and who is far out of those that a scan found."""

import math
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import numpy as np

from app.services.looks import SharedLook
from app.services.scans import ScanService, ScanTable
from core.job_spec import SCANNED_BARS
from core.pair_spec import PairSpec, read_pair_spec
from core.presence import newest_common_ms
from core.radar import Radar, radar
from core.regression import rolling_hedge
from core.scan import QUARTERS
from core.scan_query import ScanQuery
from core.settings import Settings
from core.stretched import bars_beyond, stretched
from core.timeframes import TIMEFRAMES
from core.types import FloatArray, IntArray
from core.universe import LogRows, log_rows
from ingest.store.bar_cache import BarCache
from ingest.store.reader import Freshness, Reader, Snapshot

SHOWN_BACK = 240
"""Bars before the last one that a pair is followed over: since when it is far out, its line."""
RECENT_BARS = 120
MOST_LINES = 1_000
SHORTER_BY = 60
"""Rows after the last common one that a symbol may be ahead."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """All pairs of the universe at one bar."""

    timeframe: str
    rows: LogRows
    spec: PairSpec
    radar: Radar
    elapsed_ms: float
    """Of the pairs, without reading their bars."""
    places: dict[str, int]
    """Of each symbol among the rows."""
    lines: dict[tuple[str, str], FloatArray]
    """z bar by bar of pairs that were asked for."""

    @property
    def as_of_ms(self) -> int:
        return self.rows.as_of_ms


@dataclass(frozen=True, slots=True)
class FarOut:
    """A pair that is far from its mean; NaN where no scan has a figure."""

    symbol_a: str
    symbol_b: str
    zscore: float
    hedge_ratio: float
    break_even_z: float
    qvalue: float
    p_quarters_median: float
    half_life_bars: float
    since_bars: int
    p_quarters: tuple[float, ...]
    recent_z: FloatArray = field(compare=False)


class RadarService:
    """Looks over all pairs once a closed bar, when somebody asks; safe between threads."""

    def __init__(
        self,
        settings: Settings,
        reader: Reader,
        look: SharedLook[Snapshot],
        scans: ScanService,
        elapsed: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._settings = settings
        self._look = look
        self._scans = scans
        self._elapsed = elapsed
        self._bars = BarCache(reader)
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[Hashable, Seen]] = {}

    def seen(self, timeframe: str) -> Seen | None:
        """All pairs at the newest bar that nearly all symbols have; None without two of them."""
        step, look = TIMEFRAMES[timeframe], self._look.value()
        table = self._scans.table(timeframe, SCANNED_BARS)
        names = look.symbols.keys() if table is None else table.symbols
        known = ((name, look.symbols.get(name)) for name in names)
        live = {name: one for name, one in known if one is not None and step in one.newest_bars_ms}
        last_ms = newest_common_ms(one.newest_bars_ms[step] for one in live.values())
        if last_ms is None or len(live) < 2:
            return None
        key = last_ms, tuple((name, one.revision) for name, one in live.items())
        with self._lock:
            kept = self._kept.get(timeframe)
            if kept is not None and kept[0] == key:
                return kept[1]
            found = self._look_over(timeframe, live, last_ms)
            if found is not None:
                self._kept[timeframe] = key, found
            return found

    def _look_over(self, timeframe: str, live: dict[str, Freshness], last_ms: int) -> Seen | None:
        spec = read_pair_spec({"timeframe": timeframe}, self._settings)
        step, count = spec.timeframe_ms, spec.hedge_window + spec.window + SHOWN_BACK
        span = last_ms - (count + SHORTER_BY) * step, last_ms + (SHORTER_BY + 1) * step
        legs = {name: self._bars.leg(name, step, *span, one.revision) for name, one in live.items()}
        rows = log_rows(legs, step, count)
        if rows is None:
            return None
        began = self._elapsed()
        seen = radar(rows.logs, window=spec.window, hedge_window=spec.hedge_window)
        elapsed_ms = 1e3 * (self._elapsed() - began)
        places = {symbol: place for place, symbol in enumerate(rows.symbols)}
        return Seen(timeframe, rows, spec, seen, elapsed_ms, places, {})

    def far_out(
        self, seen: Seen, asked: ScanQuery, min_z: float | None, limit: int
    ) -> tuple[list[FarOut], int]:
        """The pairs asked for that are far out, the farthest first, and how many there are."""
        table = self._scans.table(seen.timeframe, SCANNED_BARS)
        rows, leg_a, leg_b = _pairs(seen, table, asked)
        found = stretched(seen.radar, leg_a, leg_b, seen.spec, min_z)
        out = []
        for place in range(min(limit, len(found.row))):
            pair = int(found.row[place])
            first, second = int(leg_a[pair]), int(leg_b[pair])
            level = float(found.break_even_z[place]) if min_z is None else min_z
            qvalue, median, half_life, quarters = _of_scan(table, int(rows[pair]))
            symbols = seen.rows.symbols[first], seen.rows.symbols[second]
            line = _line(seen, *symbols)
            out.append(
                FarOut(
                    symbol_a=symbols[0],
                    symbol_b=symbols[1],
                    zscore=float(found.zscore[place]),
                    hedge_ratio=float(found.hedge_ratio[place]),
                    break_even_z=float(found.break_even_z[place]),
                    qvalue=qvalue,
                    p_quarters_median=median,
                    half_life_bars=half_life,
                    since_bars=bars_beyond(line, level),
                    p_quarters=quarters,
                    recent_z=line[-RECENT_BARS:],
                )
            )
        return out, len(found.row)

    def recent_z(self, seen: Seen, symbol_a: str, symbol_b: str) -> FloatArray | None:
        """z of a pair over the last bars; None where a leg is not among those seen."""
        if symbol_a not in seen.places or symbol_b not in seen.places:
            return None
        return _line(seen, symbol_a, symbol_b)[-RECENT_BARS:]


def _line(seen: Seen, symbol_a: str, symbol_b: str) -> FloatArray:
    """z of a pair bar by bar, by its own kernel; NaN where the rows before are not read."""
    found = seen.lines.get((symbol_a, symbol_b))
    if found is None:
        legs = (seen.rows.logs[seen.places[name]] for name in (symbol_a, symbol_b))
        spec = seen.spec
        found = rolling_hedge(
            *legs, first_index=0, hedge_window=spec.hedge_window, window=spec.window
        ).zscore
        if len(seen.lines) >= MOST_LINES:
            seen.lines.clear()
        seen.lines[symbol_a, symbol_b] = found
    return found


def _pairs(
    seen: Seen, table: ScanTable | None, asked: ScanQuery
) -> tuple[IntArray, IntArray, IntArray]:
    """Rows of the scan and the legs' numbers among those seen; without a scan every pair once, and
    none where a bound asks for what only a scan knows."""
    if table is None:
        leg_a, leg_b = np.triu_indices(0 if asked.most else len(seen.rows.symbols), 1)
        return np.full(len(leg_a), -1), leg_a, leg_b
    places = np.array([seen.places.get(symbol, -1) for symbol in table.symbols])
    leg_a, leg_b = places[table.leg_a], places[table.leg_b]
    rows = np.flatnonzero((leg_a >= 0) & (leg_b >= 0) & table.passing(asked))
    return rows, leg_a[rows], leg_b[rows]


def _of_scan(table: ScanTable | None, row: int) -> tuple[float, float, float, tuple[float, ...]]:
    """q, median of the quarters, half-life and the quarters of a pair; NaN without a scan."""
    if table is None:
        return math.nan, math.nan, math.nan, (math.nan,) * QUARTERS
    qvalue, median, half_life = (
        float(table.columns[name][row])
        for name in ("qvalue", "p_quarters_median", "half_life_bars")
    )
    quarters = (float(table.columns[f"p_quarter_{number}"][row]) for number in range(QUARTERS))
    return qvalue, median, half_life, tuple(quarters)
