"""Writing what was loaded from dump files: islands that neither repair nor pruning touches."""

from typing import Literal

from ingest.store.transaction import Transaction


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
