"""What retention deletes: the oldest rows, in small steps, around what was imported.

Both functions find their rows through the primary key and look at no island's rows at all: a
year of imported bars costs a step nothing.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from ingest.store.transaction import Transaction

_LAST = 2**63 - 1


def prune_trades(tx: Transaction, symbol_id: int, before_ms: int, limit: int) -> int:
    """Delete up to `limit` of a symbol's oldest trades before a time; return how many."""
    symbol_id, before_ms, limit = int(symbol_id), int(before_ms), int(limit)
    islands = tx.run(
        "SELECT first_id, last_id + 1 FROM imports WHERE symbol_id = ? AND first_id IS NOT NULL",
        symbol_id,
    ).all()
    for start, end in _free_ranges(islands):
        rows = tx.run(
            "SELECT trade_id, trade_time_ms FROM trades"
            " WHERE symbol_id = ? AND trade_id >= ? AND trade_id < ? ORDER BY trade_id LIMIT ?",
            symbol_id,
            start,
            end,
            limit,
        ).all()
        old = [trade_id for trade_id, time_ms in rows if time_ms < before_ms]
        if old:
            deleted = tx.run(
                "DELETE FROM trades WHERE symbol_id = ? AND trade_id >= ? AND trade_id <= ?",
                symbol_id,
                old[0],
                old[-1],
            )
            return int(deleted.rowcount)
        if rows:
            return 0  # times rise with ids: what comes after is newer still
    return 0


def prune_bars(tx: Transaction, timeframe_ms: int, before_ms: int, limit: int) -> int:
    """Delete up to `limit` of the oldest bars of a timeframe, symbol by symbol; return how many."""
    timeframe_ms, before_ms, limit = int(timeframe_ms), int(before_ms), int(limit)
    islands: dict[int, list[Any]] = {}
    # An island of 1h bars protects no 1s bars, while 1s bars were rolled up to all above.
    for symbol_id, start_ms, end_ms in tx.run(
        "SELECT symbol_id, start_ms, end_ms FROM imports WHERE COALESCE(timeframe_ms, 0) <= ?",
        timeframe_ms,
    ).all():
        islands.setdefault(symbol_id, []).append((start_ms, end_ms))
    deleted = 0
    for (symbol_id,) in tx.run("SELECT id FROM symbols ORDER BY id").all():
        for start, end in _free_ranges(islands.get(symbol_id, [])):
            if deleted >= limit or start >= before_ms:
                break
            deleted += _prune_range(
                tx, symbol_id, timeframe_ms, start, min(end, before_ms), limit - deleted
            )
    return deleted


def _prune_range(
    tx: Transaction, symbol_id: int, timeframe_ms: int, start_ms: int, end_ms: int, limit: int
) -> int:
    where = "symbol_id = ? AND timeframe_ms = ? AND open_time_ms >= ? AND"
    times = tx.run(
        f"SELECT open_time_ms FROM bars WHERE {where} open_time_ms < ? AND NOT imported"
        " ORDER BY open_time_ms LIMIT ?",
        symbol_id,
        timeframe_ms,
        start_ms,
        end_ms,
        limit,
    ).all()
    if not times:
        return 0
    result = tx.run(
        f"DELETE FROM bars WHERE {where} open_time_ms <= ? AND NOT imported",
        symbol_id,
        timeframe_ms,
        times[0][0],
        times[-1][0],
    )
    return int(result.rowcount)


def _free_ranges(islands: Iterable[Any]) -> Iterator[tuple[int, int]]:
    """Yield what lies between islands, in order; ends are exclusive."""
    start = 0
    for first, end in sorted(islands):
        if first > start:
            yield start, first
        start = max(start, end)
    yield start, _LAST
