"""Bars kept in memory, so that a request costs what is new and not what history is long."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from core.types import Leg
from ingest.store.reader import Reader

KEPT_ROWS = 2_000_000
"""Rows of all symbols and timeframes together, some 70 MB at most; the least recently used go
first. Twenty symbols of one timeframe are 400,000 at default parameters."""

LONGEST_LEG = 350_000
"""Rows of one leg: 100,000 results, a block of 131,072 that they begin in, and its run's 104,000
before it."""


@dataclass(frozen=True, slots=True)
class _Kept:
    revision: int
    start_ms: int
    leg: Leg


class BarCache:
    """Reads bars through memory; safe between threads.

    A symbol's revision rises whenever stored bars are rewritten or filled in: what was kept under
    another one is read again.
    """

    def __init__(self, reader: Reader, kept_rows: int = KEPT_ROWS) -> None:
        self._reader = reader
        self._kept_rows = kept_rows
        self._kept: OrderedDict[tuple[str, int], _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def leg(self, symbol: str, timeframe_ms: int, start_ms: int, end_ms: int, revision: int) -> Leg:
        """Closed bars that open in [start_ms, end_ms).

        `revision` is the symbol's, read before: at worst newer bars are kept under an older one.
        """
        key = (symbol, timeframe_ms)
        with self._lock:
            kept = self._kept.get(key)
        if kept is None or kept.revision != revision or kept.start_ms > start_ms:
            leg = self._reader.leg(symbol, timeframe_ms, start_ms, end_ms)
            kept = _Kept(revision, start_ms, leg)
        else:
            newest = int(kept.leg.open_time_ms[-1]) if len(kept.leg) else kept.start_ms - 1
            if newest + timeframe_ms < end_ms:
                added = self._reader.leg(symbol, timeframe_ms, newest + 1, end_ms)
                kept = _trimmed(_Kept(revision, kept.start_ms, _joined(kept.leg, added)))
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self._rows() > self._kept_rows:
                self._kept.popitem(last=False)
        return _between(kept.leg, start_ms, end_ms)

    def _rows(self) -> int:
        return sum(len(kept.leg) for kept in self._kept.values())


def _trimmed(kept: _Kept) -> _Kept:
    """Without the rows that no request can reach back to any more."""
    if len(kept.leg) <= LONGEST_LEG:
        return kept
    start_ms = int(kept.leg.open_time_ms[-LONGEST_LEG])
    return _Kept(kept.revision, start_ms, _between(kept.leg, start_ms, 2**62))


def _joined(older: Leg, newer: Leg) -> Leg:
    if not len(newer):
        return older
    return Leg(*(np.concatenate((getattr(older, n), getattr(newer, n))) for n in Leg.__slots__))


def _between(leg: Leg, start_ms: int, end_ms: int) -> Leg:
    first, last = np.searchsorted(leg.open_time_ms, (start_ms, end_ms))
    return Leg(*(getattr(leg, name)[first:last] for name in Leg.__slots__))
