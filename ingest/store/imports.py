"""Writing what was loaded from dump files, and taking it back.

Islands are what neither repair nor pruning touches; `forget` removes them, or all of a symbol, in
steps that a crash may end anywhere: the same again removes what is left.
"""

from typing import Any, Literal

from core.timeframes import TIMEFRAMES
from core.types import Origin
from ingest.store import market, process
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


def forget_bars(
    tx: Transaction, symbol_id: int, timeframe_ms: int, imported_only: bool, limit: int
) -> int:
    """Delete up to `limit` of a symbol's bars of one timeframe, oldest first; return how many.

    Of imported bars those stay that the live feed built itself from whole ids.
    """
    where = "symbol_id = ? AND timeframe_ms = ?"
    values = [int(symbol_id), int(timeframe_ms)]
    if imported_only:
        where += " AND imported AND (origin <> ? OR open_time_ms < ?)"
        values += [int(Origin.TRADES), _live_from_ms(tx, symbol_id)]
    last = _last_of_first(tx, where, values, limit)
    if last is None:
        return 0
    deleted = tx.run(f"DELETE FROM bars WHERE {where} AND open_time_ms <= ?", *values, last)
    market.rise_revision(tx, symbol_id)
    return deleted.rowcount


def own_bars(tx: Transaction, symbol_id: int, timeframe_ms: int, limit: int) -> int:
    """Call up to `limit` imported bars the live feed's own; return how many."""
    where = "symbol_id = ? AND timeframe_ms = ? AND imported"
    values = [int(symbol_id), int(timeframe_ms)]
    last = _last_of_first(tx, where, values, limit)
    if last is None:
        return 0
    updated = tx.run(
        f"UPDATE bars SET imported = ? WHERE {where} AND open_time_ms <= ?", False, *values, last
    )
    return updated.rowcount


def _last_of_first(tx: Transaction, where: str, values: list[int], limit: int) -> int | None:
    """Open time of the last of the first `limit` bars; None where there is none."""
    found = tx.run(
        f"SELECT MAX(open_time_ms) FROM (SELECT open_time_ms FROM bars WHERE {where}"
        " ORDER BY open_time_ms LIMIT ?) AS oldest",
        *values,
        int(limit),
    ).scalar()
    return None if found is None else int(found)


def _live_from_ms(tx: Transaction, symbol_id: int) -> int:
    """When the live feed's ids begin to be whole; never, where there is no feed."""
    found = tx.run("SELECT whole_from_ms FROM cursors WHERE symbol_id = ?", int(symbol_id)).scalar()
    return 2**62 if found is None else int(found)


def forget_trades(tx: Transaction, symbol_id: int, imported_only: bool, limit: int) -> int:
    """Delete up to `limit` of a symbol's trades; return how many.

    Of an island's those stay that the live feed has stored from whole ids too.
    """
    key = int(symbol_id)
    ranges: list[Any] = [(0, 2**62)]
    until_ms = 2**62
    if imported_only:
        sql = "SELECT first_id, last_id FROM imports WHERE symbol_id = ? AND first_id IS NOT NULL"
        ranges = list(tx.run(sql, key).all())
        until_ms = _live_from_ms(tx, key)
    for first, last in ranges:
        deleted = tx.run(
            "DELETE FROM trades WHERE symbol_id = ? AND trade_id IN (SELECT trade_id FROM trades"
            " WHERE symbol_id = ? AND trade_id >= ? AND trade_id <= ? AND trade_time_ms < ?"
            " ORDER BY trade_id LIMIT ?)",
            key,
            key,
            first,
            last,
            until_ms,
            int(limit),
        )
        if deleted.rowcount:
            return deleted.rowcount
    return 0


def forget_islands(tx: Transaction, symbol_id: int) -> None:
    """Delete the records of a symbol's imports, and of what their files lacked."""
    key = int(symbol_id)
    tx.run("DELETE FROM imports WHERE symbol_id = ?", key)
    tx.run("DELETE FROM gaps WHERE symbol_id = ? AND reason LIKE ?", key, f"{HOLE_REASON} %")
    market.rise_revision(tx, key)


def forget_symbol(tx: Transaction, symbol_id: int) -> None:
    """Delete a symbol of which no bar and no trade is left."""
    key = int(symbol_id)
    revision = int(tx.run("SELECT MAX(revision) + 1 FROM symbols").scalar_one())
    process.set_meta(tx, market.FIRST_REVISION, str(revision))
    for table in ("imports", "gaps", "cursors"):
        tx.run(f"DELETE FROM {table} WHERE symbol_id = ?", key)
    tx.run("DELETE FROM symbols WHERE id = ?", key)


def is_bare(tx: Transaction, symbol_id: int) -> bool:
    """Whether nothing makes a symbol worth a row: no feed, no bar, no trade."""
    key = int(symbol_id)
    return not tx.run(
        "SELECT 1 FROM symbols WHERE id = ? AND (subscribed"
        " OR EXISTS (SELECT 1 FROM cursors WHERE symbol_id = symbols.id)"
        " OR EXISTS (SELECT 1 FROM bars WHERE symbol_id = symbols.id)"
        " OR EXISTS (SELECT 1 FROM trades WHERE symbol_id = symbols.id))",
        key,
    ).first()
