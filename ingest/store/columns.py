"""Reading bars as arrays, column by column."""

from typing import Any

import numpy as np
from sqlalchemy import Connection

from core.types import Bars, Closes, Leg
from ingest.store.connections import run

_KINDS: dict[str, type[np.generic]] = {
    "open_time_ms": np.int64,
    "open": np.float64,
    "high": np.float64,
    "low": np.float64,
    "close": np.float64,
    "volume": np.float64,
    "quote_volume": np.float64,
    "trade_count": np.int64,
    "taker_buy_volume": np.float64,
    "complete": np.bool_,
    "imported": np.bool_,
}
_READ_ROWS = 500


def read_columns(
    connection: Connection,
    kind: type[Bars] | type[Leg] | type[Closes],
    symbol: str,
    timeframe_ms: int,
    start_ms: int | None,
    end_ms: int | None,
    limit: int | None,
) -> list[np.ndarray[Any, Any]]:
    """Bars with start <= open time < end as the columns of a kind, oldest first.

    `limit` keeps the first ones from `start_ms` on, or without a start the newest.
    """
    names = kind.__slots__
    values: list[Any] = [int(timeframe_ms)]
    sql = f"SELECT {', '.join(names)} FROM bars WHERE symbol_id = ? AND timeframe_ms = ?"
    if start_ms is not None:
        sql += " AND open_time_ms >= ?"
        values.append(int(start_ms))
    if end_ms is not None:
        sql += " AND open_time_ms < ?"
        values.append(int(end_ms))
    newest = limit is not None and start_ms is None
    sql += " ORDER BY open_time_ms DESC" if newest else " ORDER BY open_time_ms"
    if limit is not None:
        sql += " LIMIT ?"
        values.append(int(limit))
    symbol_id = run(connection, "SELECT id FROM symbols WHERE symbol = ?", symbol).scalar()
    # Row by row into one array: thousands of rows alive at once would set off a collection of
    # all the garbage of the process, which takes longer than reading.
    found = (
        iter(())
        if symbol_id is None
        else run(connection, sql, symbol_id, *values).yield_per(_READ_ROWS)
    )
    rows = np.fromiter(map(tuple, found), dtype=[(name, _KINDS[name]) for name in names])
    if newest:
        rows = rows[::-1]
    return [np.ascontiguousarray(rows[name]) for name in names]
