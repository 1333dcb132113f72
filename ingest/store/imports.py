"""Writing what was loaded from dump files: islands that neither repair nor pruning touches."""

from typing import Literal

from core.types import TIMEFRAMES
from ingest.store.transaction import Transaction

HOLE_REASON = "not in the imported file"
"""How the reason begins of a gap that a file left; `forget` knows it by that."""


def record_import(
    tx: Transaction,
    symbol_id: int,
    kind: Literal["klines", "aggTrades"],
    timeframe_ms: int | None,
    start_ms: int,
    end_ms: int,
    first_id: int | None,
    last_id: int | None,
    file: str,
    rows: int,
    now_ms: int,
) -> bool:
    """Record an island (times: end exclusive); False when the same one is there already."""
    island = (
        int(symbol_id),
        kind,
        None if timeframe_ms is None else int(timeframe_ms),
        int(start_ms),
        int(end_ms),
        None if first_id is None else int(first_id),
        None if last_id is None else int(last_id),
    )
    known = tx.run(
        "SELECT symbol_id, kind, timeframe_ms, start_ms, end_ms, first_id, last_id"
        " FROM imports WHERE symbol_id = ? AND start_ms = ?",
        island[0],
        island[3],
    )
    if any(tuple(row) == island for row in known):
        return False
    tx.run(
        "INSERT INTO imports (symbol_id, kind, timeframe_ms, start_ms, end_ms, first_id,"
        " last_id, file, rows, imported_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *island,
        file,
        int(rows),
        int(now_ms),
    )
    return True


def prices_near(tx: Transaction, symbol_id: int, time_ms: int) -> list[tuple[int, float]]:
    """Times and closes of the stored bars nearest to a moment, before and after, each timeframe."""
    found: list[tuple[int, float]] = []
    for length in TIMEFRAMES.values():
        for side in ("<= ? ORDER BY open_time_ms DESC", "> ? ORDER BY open_time_ms"):
            row = tx.run(
                "SELECT open_time_ms, close FROM bars WHERE symbol_id = ? AND timeframe_ms = ?"
                f" AND open_time_ms {side} LIMIT 1",
                int(symbol_id),
                length,
                int(time_ms),
            ).first()
            if row is not None:
                found.append((int(row[0]), float(row[1])))
    return found
