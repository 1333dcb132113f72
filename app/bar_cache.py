"""Bars kept in memory, so that a request costs what is new and not what history is long."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from core.types import Bars
from ingest.store.reader import Reader

KEPT_ROWS = 500_000
"""Rows of all symbols and timeframes together, some 40 MB; the least recently used go first."""


@dataclass(frozen=True, slots=True)
class _Kept:
    revision: int
    start_ms: int
    bars: Bars


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

    def bars(
        self, symbol: str, timeframe_ms: int, start_ms: int, end_ms: int, revision: int
    ) -> Bars:
        """Closed bars that open in [start_ms, end_ms).

        `revision` is the symbol's, read before: at worst newer bars are kept under an older one.
        """
        key = (symbol, timeframe_ms)
        with self._lock:
            kept = self._kept.get(key)
        if kept is None or kept.revision != revision or kept.start_ms > start_ms:
            bars = self._reader.bars(symbol, timeframe_ms, start_ms, end_ms)
            kept = _Kept(revision, start_ms, bars)
        else:
            newest = int(kept.bars.open_time_ms[-1]) if len(kept.bars) else kept.start_ms - 1
            if newest + timeframe_ms < end_ms:
                added = self._reader.bars(symbol, timeframe_ms, newest + 1, end_ms)
                kept = _Kept(revision, kept.start_ms, _joined(kept.bars, added))
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self._rows() > self._kept_rows:
                self._kept.popitem(last=False)
        return _between(kept.bars, start_ms, end_ms)

    def _rows(self) -> int:
        return sum(len(kept.bars) for kept in self._kept.values())


def _joined(older: Bars, newer: Bars) -> Bars:
    if not len(newer):
        return older
    return Bars(*(np.concatenate((getattr(older, n), getattr(newer, n))) for n in Bars.__slots__))


def _between(bars: Bars, start_ms: int, end_ms: int) -> Bars:
    first, last = np.searchsorted(bars.open_time_ms, (start_ms, end_ms))
    return Bars(*(getattr(bars, name)[first:last] for name in Bars.__slots__))
