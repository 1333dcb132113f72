"""Everything that writes market data: short transactions, each all or nothing.

The SQL is what SQLite and PostgreSQL both understand, and the hot paths hand plain tuples to the
driver. Numbers become plain Python ones here: an ``np.int64`` would reach SQLite as a BLOB.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from sqlalchemy import Connection, CursorResult, Engine
from sqlalchemy.exc import SQLAlchemyError

from core.errors import StoreError
from core.types import Bar, Origin, Trade
from ingest.store import pruning, statements
from ingest.store.engine import store_error

GapState = Literal["open", "filled", "unfillable"]


class Listing(Protocol):
    """What the store keeps of a symbol; the exchange's own description has it."""

    @property
    def symbol(self) -> str: ...
    @property
    def base(self) -> str: ...
    @property
    def quote(self) -> str: ...
    @property
    def status(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the live feed of one symbol stands."""

    last_id: int
    last_price: float
    last_event_time_ms: int
    whole_from_ms: int
    closed_until_ms: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Ids of one symbol that the live feed missed, both ends inclusive."""

    gap_id: int
    symbol_id: int
    symbol: str
    from_id: int
    to_id: int
    from_ms: int
    to_ms: int
    state: GapState
    reason: str
    opened_ms: int


class BarChanges(NamedTuple):
    """What an upsert did: bars that were new, and stored bars that now show other values."""

    appended: int
    rewritten: int


class Writer:
    """The one way to write; used from one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._epoch: str | None = None

    def take_over(self) -> None:
        """Keep every worker before this one from writing once more.

        A lock in PostgreSQL ends with its session, which its holder may learn of too late. With
        SQLite the lock is a file's, and lives as long as the process.
        """
        if self._engine.dialect.name == "sqlite":
            return
        with self.transaction() as tx:
            self._epoch = tx.next_epoch()

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Hold the write lock until the block ends; an error undoes all of it.

        Raises
        ------
        StoreBusy
            Another process kept the lock for longer than the busy timeout.
        StoreError
            The database is missing, broken or refuses a value, or another worker has taken over.
        """
        try:
            with self._engine.begin() as connection:
                tx = Transaction(connection)
                if self._epoch is not None and tx.epoch() != self._epoch:
                    raise StoreError("another worker has taken over")
                yield tx
        except SQLAlchemyError as error:
            raise store_error(error, self._engine.url) from error

    def close(self) -> None:
        """Give every connection back; the last one to close an SQLite file folds its log in."""
        self._engine.dispose()


class Transaction:
    """One open write transaction; only `Writer.transaction` makes it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._format = connection.dialect.paramstyle != "qmark"

    # -- symbols and where their feeds stand --------------------------------------------------

    def ensure_symbols(
        self, listings: Iterable[Listing], keep_existing: bool = False
    ) -> dict[str, int]:
        """Add or update symbols and give the id of each.

        With `keep_existing` a known symbol's description stays: a guess must not replace what
        the exchange said.
        """
        rows = [(item.symbol, item.base, item.quote, item.status, False) for item in listings]
        self._many(
            f"{statements.SYMBOL_INSERT} DO NOTHING" if keep_existing else statements.SYMBOL_UPDATE,
            rows,
        )
        wanted = {row[0] for row in rows}
        known = self._run("SELECT symbol, id FROM symbols").all()
        return {symbol: symbol_id for symbol, symbol_id in known if symbol in wanted}

    def set_subscribed(self, symbols: Iterable[str]) -> None:
        """Mark these symbols, and no others, as streamed by the worker."""
        wanted = set(symbols)
        rows = self._run("SELECT id, symbol, subscribed FROM symbols").all()
        changed = [
            (symbol in wanted, key) for key, symbol, now in rows if now != (symbol in wanted)
        ]
        self._many("UPDATE symbols SET subscribed = ? WHERE id = ?", changed)

    def rise_revision(self, symbol_id: int) -> None:
        """Tell whoever caches by it that stored bars of the symbol changed."""
        self._run("UPDATE symbols SET revision = revision + 1 WHERE id = ?", int(symbol_id))

    def save_cursor(self, symbol_id: int, cursor: Cursor) -> None:
        """Remember where the symbol's feed stands."""
        self._run(
            statements.CURSOR_SAVE,
            int(symbol_id),
            int(cursor.last_id),
            float(cursor.last_price),
            int(cursor.last_event_time_ms),
            int(cursor.whole_from_ms),
            int(cursor.closed_until_ms),
        )

    def cursors(self) -> dict[str, Cursor]:
        """Where every symbol's feed stands, by symbol."""
        rows = self._run(
            "SELECT symbol, last_id, last_price, last_event_time_ms, whole_from_ms,"
            " closed_until_ms FROM cursors JOIN symbols ON symbols.id = cursors.symbol_id"
        )
        return {row[0]: Cursor(*row[1:]) for row in rows}

    # -- trades -------------------------------------------------------------------------------

    def insert_trades(self, symbol_id: int, trades: Sequence[Trade]) -> int:
        """Store trades that aren't yet, by id; return how many that were."""
        key, size = int(symbol_id), statements.TRADE_ROWS
        if trades and type(trades[0].trade_id) is not int:
            trades = [_plain(trade) for trade in trades]
        count = 0
        rest = len(trades) % size
        whole = len(trades) - rest
        for first in range(0, whole, size):
            values: list[Any] = []
            for trade in trades[first : first + size]:
                values += _trade_values(key, trade)
            count += self._run(statements.TRADE_INSERT_MANY, *values).rowcount
        if rest:
            values = []
            for trade in trades[whole:]:
                values += _trade_values(key, trade)
            count += self._run(statements.trade_insert(rest), *values).rowcount
        return count

    def trade(self, symbol_id: int, trade_id: int) -> Trade | None:
        """One stored trade by its id."""
        rows = self._run(
            f"{statements.TRADES} AND trade_id = ?", int(symbol_id), int(trade_id)
        ).all()
        return _stored_trade(self._symbol(symbol_id), rows[0]) if rows else None

    def trades_around(
        self, symbol_id: int, start_ms: int, end_ms: int, anchor_id: int
    ) -> list[Trade]:
        """Stored trades with start <= time < end, in id order, found by walking out from an id.

        Times never fall as ids rise, so the walk ends at the first trade outside on each side
        and no index on time is needed. The anchor should lie in or near the range.
        """
        symbol = self._symbol(symbol_id)
        below = self._walk(
            statements.TRADES_DOWN, symbol_id, anchor_id, lambda time: time >= start_ms
        )
        above = self._walk(statements.TRADES_UP, symbol_id, anchor_id, lambda time: time < end_ms)
        return [
            _stored_trade(symbol, row)
            for row in (*reversed(below), *above)
            if start_ms <= row[3] < end_ms
        ]

    def _walk(self, sql: str, symbol_id: int, from_id: int, inside: Any) -> list[Any]:
        found: list[Any] = []
        size = 256
        while True:
            page = self._run(sql, int(symbol_id), int(from_id), size).all()
            found += [row for row in page if inside(row[3])]
            if len(page) < size or not inside(page[-1][3]):
                return found
            from_id = page[-1][0] + (1 if sql is statements.TRADES_UP else 0)
            size = 4_096

    # -- bars ---------------------------------------------------------------------------------

    def upsert_bars(
        self,
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
        appended = self._many(statements.BAR_APPEND, rows)
        if appended == len(rows):
            return BarChanges(appended, 0)
        rewritten = self._many(
            statements.BAR_REPLACE_WORSE if keep_better else statements.BAR_REPLACE, rows
        )
        # What is left differs in origin or `imported` at most.
        self._many(
            statements.BAR_RAISE,
            [(row[12], row[12], row[13], *row[:3], row[12], row[13]) for row in rows],
        )
        return BarChanges(appended, rewritten)

    def bars_between(
        self, symbol_id: int, timeframe_ms: int, start_ms: int, end_ms: int
    ) -> list[tuple[Bar, Origin]]:
        """Stored bars with start <= open time < end, oldest first, each with its origin."""
        rows: Any = self._run(
            statements.BARS_BETWEEN, int(symbol_id), int(timeframe_ms), int(start_ms), int(end_ms)
        )
        return [(Bar._make((*row[:9], bool(row[9]))), Origin(row[10])) for row in rows]

    # -- gaps and islands ---------------------------------------------------------------------

    def open_gap(
        self,
        symbol_id: int,
        from_id: int,
        to_id: int,
        from_ms: int,
        to_ms: int,
        reason: str,
        now_ms: int,
    ) -> int:
        """Record ids that were missed, both ends inclusive; return the gap's id."""
        result = self._run(
            "INSERT INTO gaps (symbol_id, from_id, to_id, from_ms, to_ms, state, reason,"
            " opened_ms) VALUES (?, ?, ?, ?, ?, 'open', ?, ?) RETURNING id",
            *map(int, (symbol_id, from_id, to_id, from_ms, to_ms)),
            reason,
            int(now_ms),
        )
        return int(result.scalar_one())

    def close_gap(
        self, gap_id: int, state: Literal["filled", "unfillable"], reason: str, now_ms: int
    ) -> None:
        """Say how a gap ended."""
        self._run(
            "UPDATE gaps SET state = ?, reason = ?, closed_ms = ? WHERE id = ?",
            state,
            reason,
            int(now_ms),
            int(gap_id),
        )

    def shrink_gap(self, gap_id: int, from_id: int, from_ms: int) -> None:
        """Move the start of a gap that is being filled from its old end."""
        self._run(
            "UPDATE gaps SET from_id = ?, from_ms = ? WHERE id = ?",
            int(from_id),
            int(from_ms),
            int(gap_id),
        )

    def gaps(self, state: GapState) -> list[Gap]:
        """Gaps in one state, oldest first."""
        rows = self._run(
            "SELECT gaps.id, symbol_id, symbol, from_id, to_id, from_ms, to_ms, state, reason,"
            " opened_ms FROM gaps JOIN symbols ON symbols.id = gaps.symbol_id"
            " WHERE state = ? ORDER BY symbol_id, from_id",
            state,
        )
        return [Gap(*row) for row in rows]

    def record_import(
        self,
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
        known = self._run(
            "SELECT symbol_id, kind, timeframe_ms, start_ms, end_ms, first_id, last_id"
            " FROM imports WHERE symbol_id = ? AND start_ms = ?",
            island[0],
            island[3],
        )
        if any(tuple(row) == island for row in known):
            return False
        self._run(
            "INSERT INTO imports (symbol_id, kind, timeframe_ms, start_ms, end_ms, first_id,"
            " last_id, file, rows, imported_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *island,
            file,
            int(rows),
            int(now_ms),
        )
        return True

    # -- the worker's own state ---------------------------------------------------------------

    def save_status(
        self, pid: int, state: str, heartbeat_ms: int, payload: Mapping[str, Any]
    ) -> None:
        """Say that the worker lives and what it is doing."""
        text = json.dumps(payload, allow_nan=False, separators=(",", ":"))
        self._run(statements.STATUS_SAVE, int(pid), state, int(heartbeat_ms), text)

    def set_meta(self, key: str, value: str) -> None:
        """Set one fact about the database itself."""
        self._run(
            "INSERT INTO meta (key, value) VALUES (?, ?)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            key,
            value,
        )

    def next_epoch(self) -> str:
        """Begin a worker's time; whoever writes under an earlier one is refused."""
        return str(
            self._run(
                "INSERT INTO meta (key, value) VALUES ('epoch', '1') ON CONFLICT (key) DO UPDATE"
                " SET value = CAST(CAST(meta.value AS INTEGER) + 1 AS TEXT) RETURNING value"
            ).scalar_one()
        )

    def epoch(self) -> str | None:
        """Whose time it is; stays so until the transaction ends (PostgreSQL only)."""
        return self._run("SELECT value FROM meta WHERE key = 'epoch' FOR SHARE").scalar()

    def used_bytes(self) -> int:
        """Bytes that the database's rows take; pages that wait to be used again are not among."""
        if self._format:
            return int(self._run("SELECT pg_database_size(current_database())").scalar_one())
        pages, unused, size = (
            int(self._run(f"PRAGMA {name}").scalar_one())
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - unused) * size

    # -- retention ----------------------------------------------------------------------------

    def prune_trades(self, symbol_id: int, before_ms: int, limit: int) -> int:
        """Delete up to `limit` of the oldest trades before a time, imported ones never."""
        return pruning.prune_trades(self._run, int(symbol_id), int(before_ms), int(limit))

    def prune_bars(self, timeframe_ms: int, before_ms: int, limit: int) -> int:
        """Delete up to `limit` of the oldest bars before a time, imported ones never."""
        return pruning.prune_bars(self._run, int(timeframe_ms), int(before_ms), int(limit))

    # -- the driver ---------------------------------------------------------------------------

    def _run(self, sql: str, *values: Any) -> CursorResult[*tuple[Any, ...]]:
        return self._connection.exec_driver_sql(self._text(sql), values)

    def _many(self, sql: str, rows: list[tuple[Any, ...]]) -> int:
        if not rows:
            return 0
        options = {"preserve_rowcount": True}
        return self._connection.exec_driver_sql(self._text(sql), rows, options).rowcount

    def _text(self, sql: str) -> str:
        return sql.replace("?", "%s") if self._format else sql

    def _symbol(self, symbol_id: int) -> str:
        return str(
            self._run("SELECT symbol FROM symbols WHERE id = ?", int(symbol_id)).scalar_one()
        )


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


def _stored_trade(symbol: str, row: Any) -> Trade:
    trade_id, price, quantity, time_ms, first_id, last_id, is_maker = row
    return Trade(
        symbol, trade_id, price, quantity, time_ms, time_ms, first_id, last_id, bool(is_maker)
    )
