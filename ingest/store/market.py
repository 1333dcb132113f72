"""Writing symbols, where their feeds stand, trades and bars.

Appending is `DO NOTHING`, so that it can be told from rewriting, which changes the past.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from core.bars import STEP_BACK_MS
from core.types import Bar, Origin, Trade
from ingest.store.transaction import Transaction

_BAR_VALUES = (
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
_BAR_INSERT = (
    f"INSERT INTO bars (symbol_id, timeframe_ms, open_time_ms, {', '.join(_BAR_VALUES)},"
    f" origin, imported) VALUES ({', '.join('?' * 14)})"
    " ON CONFLICT (symbol_id, timeframe_ms, open_time_ms)"
)
_BAR_APPEND = f"{_BAR_INSERT} DO NOTHING"
_BAR_REPLACE = (
    f"{_BAR_INSERT} DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in (*_BAR_VALUES, "origin"))
    + ", imported = bars.imported OR excluded.imported WHERE ("
    + " OR ".join(f"bars.{name} <> excluded.{name}" for name in _BAR_VALUES)
    + ")"
)
_BAR_REPLACE_WORSE = f"{_BAR_REPLACE} AND excluded.origin >= bars.origin"
_BAR_RAISE = (
    "UPDATE bars SET origin = CASE WHEN origin < ? THEN ? ELSE origin END, imported = imported OR ?"
    " WHERE symbol_id = ? AND timeframe_ms = ? AND open_time_ms = ?"
    " AND (origin < ? OR (? AND NOT imported))"
)
_BARS_BETWEEN = (
    f"SELECT open_time_ms, {', '.join(_BAR_VALUES)}, origin FROM bars WHERE symbol_id = ?"
    " AND timeframe_ms = ? AND open_time_ms >= ? AND open_time_ms < ? ORDER BY open_time_ms"
)
_TRADE_COLUMNS = 8


def _trade_insert(rows: int) -> str:
    """Insert so many trades by one statement.

    The driver lets go of the interpreter's lock at each statement, and a busy reading thread
    keeps it for milliseconds: a statement a row would cost more in waiting than in work.
    """
    row = f"({', '.join('?' * _TRADE_COLUMNS)})"
    return (
        "INSERT INTO trades (symbol_id, trade_id, price, quantity, trade_time_ms, first_id,"
        f" last_id, buyer_is_maker) VALUES {', '.join((row,) * rows)}"
        " ON CONFLICT (symbol_id, trade_id) DO NOTHING"
    )


_TRADE_ROWS = 200
"""Trades of one statement: 1,600 values, below every database's limit."""
_TRADE_INSERT_MANY = _trade_insert(_TRADE_ROWS)
_TRADES = (
    "SELECT trade_id, price, quantity, trade_time_ms, first_id, last_id, buyer_is_maker"
    " FROM trades WHERE symbol_id = ?"
)
_TRADES_UP = f"{_TRADES} AND trade_id >= ? ORDER BY trade_id LIMIT ?"
_TRADES_DOWN = f"{_TRADES} AND trade_id < ? ORDER BY trade_id DESC LIMIT ?"
FIRST_REVISION = "first_revision"
"""Key in `meta`: above all revisions of symbols that were forgotten. One that comes back begins
there, so that nobody takes it for what he has kept of the old one."""
_SYMBOL_INSERT = (
    "INSERT INTO symbols (symbol, base, quote, status, price_decimals, subscribed, revision)"
    " VALUES (?, ?, ?, ?, ?, ?, COALESCE((SELECT CAST(value AS BIGINT) FROM meta"
    f" WHERE key = '{FIRST_REVISION}'), 0)) ON CONFLICT (symbol)"
)
_SYMBOL_UPDATE = (
    f"{_SYMBOL_INSERT} DO UPDATE SET base = excluded.base, quote = excluded.quote,"
    " status = excluded.status, price_decimals = excluded.price_decimals"
    " WHERE symbols.base <> excluded.base OR symbols.quote <> excluded.quote"
    " OR symbols.status <> excluded.status"
    " OR COALESCE(symbols.price_decimals, -1) <> COALESCE(excluded.price_decimals, -1)"
)
_CURSOR_SAVE = (
    "INSERT INTO cursors (symbol_id, last_id, last_price, last_event_time_ms, whole_from_ms,"
    " closed_until_ms) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (symbol_id) DO UPDATE SET"
    " last_id = excluded.last_id, last_price = excluded.last_price,"
    " last_event_time_ms = excluded.last_event_time_ms, whole_from_ms = excluded.whole_from_ms,"
    " closed_until_ms = excluded.closed_until_ms"
)


class SymbolListing(Protocol):
    """What the store keeps of a symbol; the exchange's own description has it."""

    @property
    def symbol(self) -> str: ...
    @property
    def base(self) -> str: ...
    @property
    def quote(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def price_decimals(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class FeedCursor:
    """Where the live feed of one symbol stands."""

    last_id: int
    last_price: float
    last_event_time_ms: int
    whole_from_ms: int
    closed_until_ms: int


class BarChanges(NamedTuple):
    """What an upsert did: bars that were new, and stored bars that now show other values."""

    appended: int
    rewritten: int


# -- symbols and where their feeds stand -----------------------------------------------------------


def ensure_symbols(
    tx: Transaction, listings: Iterable[SymbolListing], keep_existing: bool = False
) -> dict[str, int]:
    """Add or update symbols and give the id of each.

    With `keep_existing` a known symbol's description stays: a guess must not replace what
    the exchange said.
    """
    rows = [
        (item.symbol, item.base, item.quote, item.status, item.price_decimals, False)
        for item in listings
    ]
    tx.many(f"{_SYMBOL_INSERT} DO NOTHING" if keep_existing else _SYMBOL_UPDATE, rows)
    wanted = {row[0] for row in rows}
    known = tx.run("SELECT symbol, id FROM symbols").all()
    return {symbol: symbol_id for symbol, symbol_id in known if symbol in wanted}


def statuses(tx: Transaction) -> dict[str, str]:
    """Every symbol's status, as the exchange lists it."""
    return {row[0]: row[1] for row in tx.run("SELECT symbol, status FROM symbols")}


def set_status(tx: Transaction, symbols: Iterable[str], status: str) -> None:
    """Give these symbols a status and leave the rest of their description."""
    tx.many("UPDATE symbols SET status = ? WHERE symbol = ?", [(status, name) for name in symbols])


def set_subscribed(tx: Transaction, symbols: Iterable[str]) -> None:
    """Mark these symbols, and no others, as streamed by the worker."""
    wanted = set(symbols)
    rows = tx.run("SELECT id, symbol, subscribed FROM symbols").all()
    changed = [(symbol in wanted, key) for key, symbol, now in rows if now != (symbol in wanted)]
    tx.many("UPDATE symbols SET subscribed = ? WHERE id = ?", changed)


def rise_revision(tx: Transaction, symbol_id: int) -> None:
    """Tell whoever caches by it that stored bars of the symbol changed."""
    tx.run("UPDATE symbols SET revision = revision + 1 WHERE id = ?", int(symbol_id))


def save_cursor(tx: Transaction, symbol_id: int, cursor: FeedCursor) -> None:
    """Remember where the symbol's feed stands."""
    tx.run(
        _CURSOR_SAVE,
        int(symbol_id),
        int(cursor.last_id),
        float(cursor.last_price),
        int(cursor.last_event_time_ms),
        int(cursor.whole_from_ms),
        int(cursor.closed_until_ms),
    )


def cursors(tx: Transaction) -> dict[str, FeedCursor]:
    """Where every symbol's feed stands, by symbol."""
    rows = tx.run(
        "SELECT symbol, last_id, last_price, last_event_time_ms, whole_from_ms,"
        " closed_until_ms FROM cursors JOIN symbols ON symbols.id = cursors.symbol_id"
    )
    return {row[0]: FeedCursor(*row[1:]) for row in rows}


# -- trades ----------------------------------------------------------------------------------------


def insert_trades(tx: Transaction, symbol_id: int, trades: Sequence[Trade]) -> int:
    """Store trades that aren't yet, by id; return how many that were."""
    key, size = int(symbol_id), _TRADE_ROWS
    if trades and type(trades[0].trade_id) is not int:
        trades = [_plain(trade) for trade in trades]
    count = 0
    rest = len(trades) % size
    whole = len(trades) - rest
    for first in range(0, whole, size):
        values: list[Any] = []
        for trade in trades[first : first + size]:
            values += _trade_values(key, trade)
        count += tx.run(_TRADE_INSERT_MANY, *values).rowcount
    if rest:
        values = []
        for trade in trades[whole:]:
            values += _trade_values(key, trade)
        count += tx.run(_trade_insert(rest), *values).rowcount
    return count


def trade_by_id(tx: Transaction, symbol_id: int, trade_id: int) -> Trade | None:
    """One stored trade by its id."""
    rows = tx.run(f"{_TRADES} AND trade_id = ?", int(symbol_id), int(trade_id)).all()
    return _trade(_symbol(tx, symbol_id), rows[0]) if rows else None


def trades_around(
    tx: Transaction, symbol_id: int, start_ms: int, end_ms: int, anchor_id: int
) -> list[Trade]:
    """Stored trades with start <= time < end, in id order, found by walking out from an id.

    Times hardly fall as ids rise, so the walk ends at the first trade far enough outside on each
    side and no index on time is needed. The anchor should lie in or near the range.
    """
    symbol = _symbol(tx, symbol_id)
    first_ms, last_ms = start_ms - STEP_BACK_MS, end_ms + STEP_BACK_MS
    below = _walk(tx, _TRADES_DOWN, symbol_id, anchor_id, lambda time: time >= first_ms)
    above = _walk(tx, _TRADES_UP, symbol_id, anchor_id, lambda time: time < last_ms)
    return [
        _trade(symbol, row) for row in (*reversed(below), *above) if start_ms <= row[3] < end_ms
    ]


def _walk(tx: Transaction, sql: str, symbol_id: int, from_id: int, inside: Any) -> list[Any]:
    found: list[Any] = []
    size = 256
    while True:
        page = tx.run(sql, int(symbol_id), int(from_id), size).all()
        found += [row for row in page if inside(row[3])]
        if len(page) < size or not inside(page[-1][3]):
            return found
        from_id = page[-1][0] + (1 if sql is _TRADES_UP else 0)
        size = 4_096


def _symbol(tx: Transaction, symbol_id: int) -> str:
    return str(tx.run("SELECT symbol FROM symbols WHERE id = ?", int(symbol_id)).scalar_one())


def _plain(trade: Trade) -> Trade:
    """The same trade in plain Python numbers."""
    return Trade(
        trade.symbol,
        int(trade.trade_id),
        float(trade.price),
        float(trade.quantity),
        int(trade.trade_time_ms),
        int(trade.event_time_ms),
        int(trade.first_id),
        int(trade.last_id),
        bool(trade.buyer_is_maker),
    )


def _trade_values(key: int, trade: Trade) -> tuple[Any, ...]:
    _, trade_id, price, quantity, time_ms, _, first_id, last_id, is_maker = trade
    return (key, trade_id, price, quantity, time_ms, first_id, last_id, is_maker)


def _trade(symbol: str, row: Any) -> Trade:
    trade_id, price, quantity, time_ms, first_id, last_id, is_maker = row
    return Trade(
        symbol, trade_id, price, quantity, time_ms, time_ms, first_id, last_id, bool(is_maker)
    )


# -- bars ------------------------------------------------------------------------------------------


def upsert_bars(
    tx: Transaction,
    symbol_id: int,
    timeframe_ms: int,
    bars: Sequence[Bar],
    origin: Origin,
    imported: bool = False,
    keep_better: bool = True,
) -> BarChanges:
    """Add bars and replace stored ones of the same or a worse origin.

    A bar that isn't complete counts as `Origin.INCOMPLETE` whatever it was made from: the
    exchange's own bar is better than half of ours. `imported` sticks, and is set even on a
    stored bar that is too good to be replaced. Without `keep_better` any stored bar gives way.

    Returns
    -------
    How many bars were new and how many stored ones show other values now. Only the latter
    change the past: whoever rewrites raises the revision, whoever appends needn't.
    """
    key, length = int(symbol_id), int(timeframe_ms)
    rows = [
        (
            key,
            length,
            int(bar.open_time_ms),
            float(bar.open),
            float(bar.high),
            float(bar.low),
            float(bar.close),
            float(bar.volume),
            float(bar.quote_volume),
            int(bar.trade_count),
            float(bar.taker_buy_volume),
            bool(bar.complete),
            int(origin if bar.complete else Origin.INCOMPLETE),
            bool(imported),
        )
        for bar in bars
    ]
    # Appending is one statement, and the live path does nothing else. Counting what is new
    # first tells it apart from what the second statement rewrites.
    appended = tx.many(_BAR_APPEND, rows)
    if appended == len(rows):
        return BarChanges(appended, 0)
    rewritten = tx.many(_BAR_REPLACE_WORSE if keep_better else _BAR_REPLACE, rows)
    # What is left differs in origin or `imported` at most.
    tx.many(
        _BAR_RAISE,
        [(row[12], row[12], row[13], *row[:3], row[12], row[13]) for row in rows],
    )
    return BarChanges(appended, rewritten)


def newest_bar_ms(tx: Transaction, symbol_id: int, timeframe_ms: int) -> int | None:
    """When the newest stored bar opens; None where there is none."""
    found: int | None = tx.run(
        "SELECT MAX(open_time_ms) FROM bars WHERE symbol_id = ? AND timeframe_ms = ?",
        int(symbol_id),
        int(timeframe_ms),
    ).scalar_one()
    return found


def bars_between(
    tx: Transaction, symbol_id: int, timeframe_ms: int, start_ms: int, end_ms: int
) -> list[tuple[Bar, Origin]]:
    """Stored bars with start <= open time < end, oldest first, each with its origin."""
    rows: Any = tx.run(_BARS_BETWEEN, int(symbol_id), int(timeframe_ms), int(start_ms), int(end_ms))
    return [(Bar._make((*row[:9], bool(row[9]))), Origin(row[10])) for row in rows]
