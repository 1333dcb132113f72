"""SQL of the writer, in words that SQLite and PostgreSQL share; `?` stands for a value.

Appending is `DO NOTHING`, so that it can be told from rewriting, which changes the past.
"""

BAR_VALUES = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "trade_count",
    "taker_buy_volume",
    "complete",
)
BAR_INSERT = (
    f"INSERT INTO bars (symbol_id, timeframe_ms, open_time_ms, {', '.join(BAR_VALUES)},"
    f" origin, imported) VALUES ({', '.join('?' * 14)})"
    " ON CONFLICT (symbol_id, timeframe_ms, open_time_ms)"
)
BAR_APPEND = f"{BAR_INSERT} DO NOTHING"
BAR_REPLACE = (
    f"{BAR_INSERT} DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in (*BAR_VALUES, "origin"))
    + ", imported = bars.imported OR excluded.imported WHERE ("
    + " OR ".join(f"bars.{name} <> excluded.{name}" for name in BAR_VALUES)
    + ")"
)
BAR_REPLACE_WORSE = f"{BAR_REPLACE} AND excluded.origin >= bars.origin"
BAR_RAISE = (
    "UPDATE bars SET origin = CASE WHEN origin < ? THEN ? ELSE origin END, imported = imported OR ?"
    " WHERE symbol_id = ? AND timeframe_ms = ? AND open_time_ms = ?"
    " AND (origin < ? OR (? AND NOT imported))"
)
BARS_BETWEEN = (
    f"SELECT open_time_ms, {', '.join(BAR_VALUES)}, origin FROM bars WHERE symbol_id = ?"
    " AND timeframe_ms = ? AND open_time_ms >= ? AND open_time_ms < ? ORDER BY open_time_ms"
)
TRADE_COLUMNS = 8


def trade_insert(rows: int) -> str:
    """Insert so many trades by one statement.

    The driver lets go of the interpreter's lock at each statement, and a busy reading thread
    keeps it for milliseconds: a statement a row would cost more in waiting than in work.
    """
    row = f"({', '.join('?' * TRADE_COLUMNS)})"
    return (
        "INSERT INTO trades (symbol_id, trade_id, price, quantity, trade_time_ms, first_id,"
        f" last_id, buyer_is_maker) VALUES {', '.join((row,) * rows)}"
        " ON CONFLICT (symbol_id, trade_id) DO NOTHING"
    )


TRADE_ROWS = 200
"""Trades of one statement: 1,600 values, below every database's limit."""
TRADE_INSERT_MANY = trade_insert(TRADE_ROWS)
TRADES = (
    "SELECT trade_id, price, quantity, trade_time_ms, first_id, last_id, buyer_is_maker"
    " FROM trades WHERE symbol_id = ?"
)
TRADES_UP = f"{TRADES} AND trade_id >= ? ORDER BY trade_id LIMIT ?"
TRADES_DOWN = f"{TRADES} AND trade_id < ? ORDER BY trade_id DESC LIMIT ?"
SYMBOL_INSERT = (
    "INSERT INTO symbols (symbol, base, quote, status, subscribed, revision)"
    " VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT (symbol)"
)
SYMBOL_UPDATE = (
    f"{SYMBOL_INSERT} DO UPDATE SET base = excluded.base, quote = excluded.quote,"
    " status = excluded.status WHERE symbols.base <> excluded.base"
    " OR symbols.quote <> excluded.quote OR symbols.status <> excluded.status"
)
CURSOR_SAVE = (
    "INSERT INTO cursors (symbol_id, last_id, last_price, last_event_time_ms, whole_from_ms,"
    " closed_until_ms) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (symbol_id) DO UPDATE SET"
    " last_id = excluded.last_id, last_price = excluded.last_price,"
    " last_event_time_ms = excluded.last_event_time_ms, whole_from_ms = excluded.whole_from_ms,"
    " closed_until_ms = excluded.closed_until_ms"
)
STATUS_SAVE = (
    "INSERT INTO worker_status (id, pid, state, heartbeat_ms, payload) VALUES (1, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET pid = excluded.pid, state = excluded.state,"
    " heartbeat_ms = excluded.heartbeat_ms, payload = excluded.payload"
)
