"""The newest scan of every pair, filtered and ordered, and what past scans found of one."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app.services.looks import STATUS_LOOK_MS, SharedLook, SharedLooks
from app.services.refusals import SymbolNotIngested
from core.scan_query import SORTS, THIN_QUOTE_VOLUME, ScanQuery
from core.types import BoolArray, FloatArray, IntArray
from ingest.store.reader import PastScan, Reader, StoredScan

MOST_PAST = 500
MOST_CHOSEN = 32
REASONS = ("", "too few rows", "a leg does not move", "the legs are collinear",
           "one leg foretells the other")  # fmt: skip
"""By the numbers of `core.tiles`."""


class UntestedPair(NamedTuple):
    """A pair that could not be tested, and why."""

    symbol_a: str
    symbol_b: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class ScanTable:
    """A stored scan with its columns as arrays, a row a pair."""

    scan: StoredScan
    columns: Mapping[str, FloatArray]
    leg_a: IntArray
    leg_b: IntArray
    quote_volume_24h: FloatArray
    """Of the thinner leg."""
    marks: Mapping[str, BoolArray]
    """By flag."""

    @property
    def symbols(self) -> list[str]:
        names: list[str] = self.scan.head["symbols"]
        return names

    def flags(self, row: int) -> list[str]:
        """Flags of a pair."""
        return [name for name, marked in self.marks.items() if marked[row]]

    def chosen(self, asked: ScanQuery) -> IntArray:
        """Numbers of the rows that were asked for, in order."""
        rows = np.flatnonzero(self.passing(asked))
        return rows[self._order(asked, rows)]

    def passing(self, asked: ScanQuery) -> BoolArray:
        """Which rows are asked for."""
        wanted = self.quote_volume_24h >= asked.min_quote_volume
        for name, most in asked.most.items():
            wanted &= self.values(name) <= most
        if asked.flags == "none":
            wanted &= ~np.logical_or.reduce(list(self.marks.values()))
        elif asked.flags != "all":
            wanted &= self.marks[asked.flags]
        return wanted & self._found(asked.find)

    def _found(self, find: str) -> BoolArray:
        parts = [part.strip().upper() for part in find.split("/")][:2]
        has = [np.array([part in name for name in self.symbols], dtype=np.bool_) for part in parts]
        if len(has) == 1:
            return has[0][self.leg_a] | has[0][self.leg_b]
        first, second = has
        return (first[self.leg_a] & second[self.leg_b]) | (first[self.leg_b] & second[self.leg_a])

    def _order(self, asked: ScanQuery, rows: IntArray) -> IntArray:
        cells = self.values(asked.sort)[rows]
        if asked.sort == "zscore":
            cells = np.abs(cells)
        falls = asked.order == "desc" if asked.order else SORTS[asked.sort]
        order: IntArray = np.argsort(-cells if falls else cells, kind="stable")  # NaN last
        return order

    def values(self, name: str) -> FloatArray:
        """A column by its name in answers; NaN in a scan stored before there was such a one."""
        if name == "quote_volume_24h":
            return self.quote_volume_24h
        known = self.columns.get(name)
        return np.full(len(self.leg_a), np.nan) if known is None else known

    def commonest_refusal(self) -> str:
        """Why most of the pairs that could not be tested could not; empty where all were."""
        why = self.columns["refused_why"].astype(np.int64)
        return REASONS[int(np.bincount(why).argmax())] if len(why) else ""

    def refused(self) -> Iterator[UntestedPair]:
        """Pairs that could not be tested."""
        columns = (self.columns[f"refused_{name}"].astype(np.int64) for name in ("a", "b", "why"))
        for first, second, why in zip(*(cells.tolist() for cells in columns), strict=True):
            yield UntestedPair(self.symbols[first], self.symbols[second], REASONS[why])


def scan_table(stored: StoredScan, columns: Mapping[str, FloatArray]) -> ScanTable:
    """Make arrays of what is stored, and mark what has to be told of each pair."""
    leg_a, leg_b = (columns[name].astype(np.int64) for name in ("leg_a", "leg_b"))
    volume = np.asarray(stored.head["quote_volume_24h"], dtype=np.float64)
    thinner = np.minimum(volume[leg_a], volume[leg_b])

    def either(numbers: list[int]) -> BoolArray:
        return np.isin(leg_a, numbers) | np.isin(leg_b, numbers)

    marks = {
        "hub": either([number for number, _ in stored.head["hubs"]]),
        "stationary": either(stored.head["stationary"]),
        "thin": thinner < THIN_QUOTE_VOLUME,
        "negative": ~(columns["hedge_ratio"] > 0.0),
        "short": either(stored.head["short"]),
    }
    return ScanTable(stored, columns, leg_a, leg_b, thinner, marks)


class ScanService:
    """Reads what scans have found; a table is kept until a newer one is there."""

    def __init__(
        self, reader: Reader, now_ms: Callable[[], int], monotonic: Callable[[], float]
    ) -> None:
        self._reader = reader
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, int], ScanTable] = {}
        self._chosen: dict[tuple[int, ScanQuery], IntArray] = {}

        def look_for(asked: tuple[str, int]) -> SharedLook[_Newest]:
            return SharedLook(
                lambda: _Newest(reader.newest_scan(*asked)), now_ms, STATUS_LOOK_MS, monotonic
            )

        self._newest = SharedLooks(look_for, 16)

    def newest(self, timeframe: str, bars: int) -> StoredScan | None:
        """The head of the newest scan, at most a second old."""
        return self._newest.value((timeframe, bars)).scan

    def table(self, timeframe: str, bars: int) -> ScanTable | None:
        """The newest scan whole; None before there is one."""
        newest, key = self.newest(timeframe, bars), (timeframe, bars)
        if newest is None:
            return None
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept.scan.scan_id != newest.scan_id:
                found = self._reader.scan_table(timeframe, bars)
                if found is None or not found[1]:
                    return None
                kept = scan_table(*found)
                self._kept = {key: kept} | {
                    other: table for other, table in list(self._kept.items())[:3] if other != key
                }
        return kept

    def chosen(self, table: ScanTable, asked: ScanQuery) -> IntArray:
        """Numbers of the rows that were asked for, in order; many ask for the same again."""
        key = table.scan.scan_id, asked
        with self._lock:
            found = self._chosen.pop(key, None)
            if found is None:
                found = table.chosen(asked)
            self._chosen[key] = found
            if len(self._chosen) > MOST_CHOSEN:
                del self._chosen[next(iter(self._chosen))]
        return found

    def past(self, timeframe: str, bars: int, symbol_a: str, symbol_b: str) -> list[PastScan]:
        """What past scans found of a pair, oldest first.

        Raises
        ------
        SymbolNotIngested
            None has it, and the store doesn't know a leg either.
        """
        found = self._reader.past_scans(timeframe, bars, symbol_a, symbol_b, MOST_PAST)
        legs = {"symbol_a": symbol_a, "symbol_b": symbol_b}
        unknown = {name: leg for name, leg in legs.items() if self._reader.symbol(leg) is None}
        if unknown and not found:
            raise SymbolNotIngested(unknown)
        return found

    def heads(self, timeframe: str, bars: int, limit: int) -> list[StoredScan]:
        """Heads of past scans, oldest first."""
        return self._reader.scan_heads(timeframe, bars, limit)


class _Newest(NamedTuple):
    scan: StoredScan | None
