"""Writing what a scan of every pair found, in pieces: thousands of pairs are many megabytes.

The newest scan is kept whole, a column of its table a row. Of older ones stays what a pair's own
history needs, a row a symbol, so that one pair's is read without the others'.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.types import FloatArray, IntArray
from ingest.store.transaction import Transaction

HISTORY = ("pvalue", "p_first", "p_second", "p_third", "p_fourth", "half_life_bars", "hedge_ratio",
           "is_reversed")  # fmt: skip
"""What is kept of a pair; `is_reversed` is 1 where the symbol that comes first is leg B."""
KEPT_PAIRS, FEWEST_KEPT, MOST_KEPT = 8_000_000, 48, 500
"""Pairs of all kept scans of a timeframe: 256 MB of 400 symbols."""
_PIECE = 500_000
"""Bytes a transaction: others want to write, too."""
Save = Callable[[Transaction], None]


@dataclass(frozen=True, slots=True)
class ScanKey:
    """What a scan is known by."""

    timeframe: str
    bars: int
    as_of_ms: int
    made_ms: int
    pairs: int


def begin(tx: Transaction, key: ScanKey, head: str) -> int:
    """Make room for a scan, which nobody sees before it is whole; its number."""
    return int(
        tx.run(
            "INSERT INTO scans (timeframe, bars, as_of_ms, made_ms, is_whole, pairs, head)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
            key.timeframe,
            key.bars,
            key.as_of_ms,
            key.made_ms,
            False,
            key.pairs,
            head,
        ).scalar_one()
    )


def column_pieces(scan_id: int, columns: Mapping[str, FloatArray | IntArray]) -> Iterator[Save]:
    """What writes the table of a scan, a column each."""
    for name, cells in columns.items():
        content = np.ascontiguousarray(cells, dtype="<f8").tobytes()

        def save(tx: Transaction, name: str = name, content: bytes = content) -> None:
            tx.run(
                "INSERT INTO scan_columns (scan_id, name, cells) VALUES (?, ?, ?)",
                scan_id,
                name,
                content,
            )

        yield save


def history_pieces(
    scan_id: int, first: IntArray, second: IntArray, cells: FloatArray, symbols: int
) -> Iterator[Save]:
    """What writes the part of a scan that stays longer.

    Parameters
    ----------
    first, second : (m,) numbers of each pair's symbols, the lower one first.
    cells : (m, len(HISTORY)).
    symbols : how many there are.
    """
    table = np.full((symbols, symbols, len(HISTORY)), np.nan, dtype="<f4")
    table[first, second] = cells
    rows = [(scan_id, number, table[number, number + 1 :].tobytes()) for number in range(symbols)]
    each = max(1, _PIECE // (4 * len(HISTORY) * symbols))
    for start in range(0, symbols, each):

        def save(tx: Transaction, rows: list[Any] = rows[start : start + each]) -> None:
            tx.many("INSERT INTO scan_history (scan_id, number, cells) VALUES (?, ?, ?)", rows)

        yield save


def complete(tx: Transaction, scan_id: int) -> None:
    """Let a scan be seen, all of which is written."""
    tx.run("UPDATE scans SET is_whole = ? WHERE id = ?", True, scan_id)


def prune_one(tx: Transaction, timeframe: str, but: int | None = None) -> bool:
    """Delete one thing that is kept no more of a timeframe's scans; False where there is none.

    Columns go with the next scan over as many bars, all of a scan with `KEPT_PAIRS`, and what a
    killed process left at once; `but` is the scan that is being written.
    """
    rows = tx.run(
        "SELECT id, bars, pairs, is_whole FROM scans WHERE timeframe = ? ORDER BY as_of_ms DESC,"
        " id DESC",
        timeframe,
    ).all()
    whole = [row for row in rows if row[3]]
    pairs = max((row[2] for row in whole), default=1)
    kept = min(max(KEPT_PAIRS // max(pairs, 1), FEWEST_KEPT), MOST_KEPT)
    gone = [row[0] for row in whole[kept:]] + [row[0] for row in rows if not row[3]]
    for scan_id in gone:
        if scan_id != but:
            for table in ("scan_columns", "scan_history"):
                tx.run(f"DELETE FROM {table} WHERE scan_id = ?", scan_id)
            tx.run("DELETE FROM scans WHERE id = ?", scan_id)
            return True
    newest = dict(reversed([(row[1], row[0]) for row in whole]))
    for scan_id, bars, *_ in whole:
        if scan_id != newest[bars]:
            found = tx.run("SELECT 1 FROM scan_columns WHERE scan_id = ? LIMIT 1", scan_id).first()
            if found is not None:
                tx.run("DELETE FROM scan_columns WHERE scan_id = ?", scan_id)
                return True
    return False
