"""Reading scans: the newest one whole, the past of one pair. Never writes."""

import json
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from sqlalchemy import Connection

from core.types import FloatArray
from ingest.store.connections import ReadConnections, run
from ingest.store.scans import HISTORY

_SCAN = "SELECT id, timeframe, bars, as_of_ms, made_ms, pairs, head FROM scans WHERE is_whole = ?"


@dataclass(frozen=True, slots=True)
class StoredScan:
    """A scan's head: what stands above its table; see `ingest.analysis.scanning.ScanHead`."""

    scan_id: int
    timeframe: str
    bars: int
    as_of_ms: int
    made_ms: int
    pairs: int
    head: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PastScan:
    """What a scan found of one pair; None where that pair was refused."""

    as_of_ms: int
    is_reversed: bool
    """Whether the symbol that comes second by name was leg A."""
    pvalue: float | None
    p_quarters: tuple[float | None, ...]
    half_life_bars: float | None
    hedge_ratio: float | None

    @property
    def p_quarters_median(self) -> float | None:
        """Of the quarters that have one, at least two."""
        known = [value for value in self.p_quarters if value is not None]
        return median(known) if len(known) >= 2 else None


class ScanReader(ReadConnections):
    """What may be read of scans."""

    def newest_scan(self, timeframe: str, bars: int | None = None) -> StoredScan | None:
        """The head of the newest scan of a timeframe, over so many bars (None: over any)."""
        with self._reading() as connection:
            return _newest(connection, timeframe, bars)

    def scan_table(
        self, timeframe: str, bars: int
    ) -> tuple[StoredScan, dict[str, FloatArray]] | None:
        """The newest scan whole, its columns by name."""
        with self._reading() as connection:
            found = _newest(connection, timeframe, bars)
            if found is None:
                return None
            rows = run(
                connection, "SELECT name, cells FROM scan_columns WHERE scan_id = ?", found.scan_id
            ).all()
        return found, {name: np.frombuffer(cells, dtype="<f8") for name, cells in rows}

    def scan_heads(self, timeframe: str, bars: int, limit: int) -> list[StoredScan]:
        """Heads of the newest scans, oldest first."""
        with self._reading() as connection:
            rows = run(
                connection,
                f"{_SCAN} AND timeframe = ? AND bars = ? ORDER BY as_of_ms DESC, id DESC LIMIT ?",
                True,
                timeframe,
                int(bars),
                int(limit),
            ).all()
        return [_scan(row) for row in reversed(rows)]

    def past_scans(
        self, timeframe: str, bars: int, symbol_a: str, symbol_b: str, limit: int
    ) -> list[PastScan]:
        """What the newest scans found of one pair, oldest first; those that lack a leg left out."""
        one, other = sorted((symbol_a, symbol_b))
        past = []
        for scan in self.scan_heads(timeframe, bars, limit):
            names = scan.head["symbols"]
            if one in names and other in names:
                number = names.index(one)
                cells = self._history(scan.scan_id, number)
                if cells is not None:
                    past.append(_past(scan.as_of_ms, cells[names.index(other) - number - 1]))
        return past

    def _history(self, scan_id: int, number: int) -> FloatArray | None:
        with self._reading() as connection:
            cells = run(
                connection,
                "SELECT cells FROM scan_history WHERE scan_id = ? AND number = ?",
                scan_id,
                number,
            ).scalar()
        if cells is None:
            return None
        return np.frombuffer(cells, dtype="<f4").reshape(-1, len(HISTORY)).astype(np.float64)


def _newest(connection: Connection, timeframe: str, bars: int | None) -> StoredScan | None:
    where, values = ("", ()) if bars is None else (" AND bars = ?", (int(bars),))
    row = run(
        connection,
        f"{_SCAN} AND timeframe = ?{where} ORDER BY as_of_ms DESC, id DESC LIMIT 1",
        True,
        timeframe,
        *values,
    ).first()
    return None if row is None else _scan(row)


def _scan(row: Any) -> StoredScan:
    scan_id, timeframe, bars, as_of_ms, made_ms, pairs, head = row
    return StoredScan(scan_id, timeframe, bars, as_of_ms, made_ms, pairs, json.loads(head))


def _past(as_of_ms: int, cells: FloatArray) -> PastScan:
    values = [None if np.isnan(value) else float(value) for value in cells]
    pvalue, *quarters, half_life, hedge_ratio, is_reversed = values
    return PastScan(as_of_ms, is_reversed == 1.0, pvalue, tuple(quarters), half_life, hedge_ratio)
