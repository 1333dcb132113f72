"""Everything the web reads: market data, gaps and what the worker says of itself. Never writes."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from core.errors import StoreError
from core.types import TIMEFRAMES, Bars, Leg
from ingest.store.engine import open_engine, sqlite_path, store_error, stored_version
from ingest.store.migrations import HEAD
from ingest.store.pulse import Pulse

LONGEST_READ_S = 10.0
"""A reader at work keeps the write-ahead log from being emptied: none may take long."""
_INSTRUCTIONS = 200_000
"""SQLite looks at the clock after so many of its steps, about every few milliseconds."""

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
# One look at the index a timeframe: a symbol may have millions of bars.
_FIRST_BARS = ", ".join(
    "(SELECT MIN(open_time_ms) FROM bars"
    f" WHERE symbol_id = symbols.id AND timeframe_ms = {timeframe_ms})"
    for timeframe_ms in TIMEFRAMES.values()
)
_SYMBOLS = (
    "SELECT symbol, base, quote, status, subscribed, revision, last_event_time_ms, last_id,"
    f" last_price, {_FIRST_BARS} FROM symbols LEFT JOIN cursors ON cursors.symbol_id = symbols.id"
)


@dataclass(frozen=True, slots=True)
class StoredSymbol:
    """What is known of one symbol; None where the live feed or any bar is still to come."""

    symbol: str
    base: str
    quote: str
    status: str
    subscribed: bool
    revision: int
    first_bar_ms: int | None
    last_event_time_ms: int | None
    last_id: int | None
    last_price: float | None


@dataclass(frozen=True, slots=True)
class StoredGap:
    """Ids that the live feed of a symbol missed, both ends inclusive."""

    symbol: str
    from_id: int
    to_id: int
    from_ms: int
    to_ms: int
    state: str
    reason: str


class MissingIds(NamedTuple):
    """How much of a symbol's live feed is missing."""

    missing: int
    open_gaps: int
    unfillable_gaps: int


class GapCounts(NamedTuple):
    """Gaps of a symbol by how they ended, and the ids in them."""

    open_gaps: int = 0
    filled_gaps: int = 0
    lost_gaps: int = 0
    open_ids: int = 0
    filled_ids: int = 0
    lost_ids: int = 0


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """The worker's last word about itself."""

    pid: int
    state: str
    heartbeat_ms: int
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """Kind and size of the database; the log's size is 0 where there is none."""

    kind: str
    size_bytes: int
    wal_bytes: int


class Reader:
    """Read-only access, safe for many threads.

    Nothing is opened before the first call, so a process may fork between. A database that is
    missing or broken raises `StoreError` and is tried anew by the next call.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._path = sqlite_path(url)
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._inode: int | None = None

    # -- symbols and bars ---------------------------------------------------------------------

    def symbols(self) -> list[StoredSymbol]:
        """Every symbol in the store, by name."""
        with self._reading() as connection:
            rows = self._run(connection, f"{_SYMBOLS} ORDER BY symbol").all()
        return [_stored_symbol(row) for row in rows]

    def symbol(self, name: str) -> StoredSymbol | None:
        """One symbol; None when the store doesn't know it."""
        with self._reading() as connection:
            row = self._run(connection, f"{_SYMBOLS} WHERE symbol = ?", name).first()
        return None if row is None else _stored_symbol(row)

    def bar_range(self, symbol: str, timeframe_ms: int) -> tuple[int, int] | None:
        """Open times of the first and the last stored bar; None when there is none."""
        of_timeframe = "FROM bars WHERE symbol_id = symbols.id AND timeframe_ms = ?"
        with self._reading() as connection:
            row = self._run(
                connection,
                f"SELECT (SELECT MIN(open_time_ms) {of_timeframe}),"
                f" (SELECT MAX(open_time_ms) {of_timeframe}) FROM symbols WHERE symbol = ?",
                int(timeframe_ms),
                int(timeframe_ms),
                symbol,
            ).first()
        return None if row is None or row[0] is None else (row[0], row[1])

    def bars(
        self,
        symbol: str,
        timeframe_ms: int,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
    ) -> Bars:
        """Bars with start <= open time < end as columns, oldest first; empty when there are none.

        `limit` keeps the first ones from `start_ms` on, or without a start the newest.
        """
        return Bars(*self._columns(Bars, symbol, timeframe_ms, start_ms, end_ms, limit))

    def leg(self, symbol: str, timeframe_ms: int, start_ms: int, end_ms: int) -> Leg:
        """The same bars, of which only what a pair needs is read: half the time."""
        return Leg(*self._columns(Leg, symbol, timeframe_ms, start_ms, end_ms, None))

    def _columns(
        self,
        kind: type[Bars] | type[Leg],
        symbol: str,
        timeframe_ms: int,
        start_ms: int | None,
        end_ms: int | None,
        limit: int | None,
    ) -> list[np.ndarray[Any, Any]]:
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
        with self._reading() as connection:
            symbol_id = self._run(
                connection, "SELECT id FROM symbols WHERE symbol = ?", symbol
            ).scalar()
            # Row by row into one array: thousands of rows alive at once would set off a
            # collection of all the garbage of the process, which takes longer than reading.
            found = (
                iter(())
                if symbol_id is None
                else self._run(connection, sql, symbol_id, *values).yield_per(_READ_ROWS)
            )
            rows = np.fromiter(map(tuple, found), dtype=[(name, _KINDS[name]) for name in names])
        if newest:
            rows = rows[::-1]
        return [np.ascontiguousarray(rows[name]) for name in names]

    # -- what is missing ----------------------------------------------------------------------

    def gaps(
        self,
        symbols: Sequence[str] | None = None,
        states: Sequence[str] = ("open", "unfillable"),
        start_ms: int | None = None,
    ) -> list[StoredGap]:
        """Gaps of these symbols (None: of all) in these states that end at or after a time."""
        if not states or (symbols is not None and not symbols):
            return []
        sql = (
            "SELECT symbol, from_id, to_id, from_ms, to_ms, state, reason FROM gaps"
            f" JOIN symbols ON symbols.id = gaps.symbol_id WHERE state IN ({_marks(states)})"
        )
        values: list[Any] = list(states)
        if symbols is not None:
            sql += f" AND symbol IN ({_marks(symbols)})"
            values += symbols
        if start_ms is not None:
            sql += " AND to_ms >= ?"
            values.append(int(start_ms))
        with self._reading() as connection:
            rows = self._run(connection, f"{sql} ORDER BY from_ms, symbol, from_id", *values).all()
        return [StoredGap(*row) for row in rows]

    def missing_ids(self) -> dict[str, MissingIds]:
        """Count ids still missing and the gaps they are in, for every symbol that misses any."""
        with self._reading() as connection:
            rows = self._run(
                connection,
                "SELECT symbol, SUM(to_id - from_id + 1),"
                " SUM(CASE WHEN state = 'open' THEN 1 ELSE 0 END),"
                " SUM(CASE WHEN state = 'unfillable' THEN 1 ELSE 0 END)"
                " FROM gaps JOIN symbols ON symbols.id = gaps.symbol_id"
                " WHERE state IN ('open', 'unfillable') GROUP BY symbol",
            ).all()
        return {row[0]: MissingIds(int(row[1]), int(row[2]), int(row[3])) for row in rows}

    def gap_counts(self) -> dict[str, GapCounts]:
        """How the gaps of every symbol that ever had one stand."""
        with self._reading() as connection:
            rows = self._run(
                connection,
                "SELECT symbol, "
                + ", ".join(
                    f"SUM(CASE WHEN state = '{state}' THEN {what} ELSE 0 END)"
                    for what in ("1", "to_id - from_id + 1")
                    for state in ("open", "filled", "unfillable")
                )
                + " FROM gaps JOIN symbols ON symbols.id = gaps.symbol_id GROUP BY symbol",
            ).all()
        return {row[0]: GapCounts(*map(int, row[1:])) for row in rows}

    # -- the worker and the database itself ---------------------------------------------------

    def status(self) -> WorkerStatus | None:
        """What the worker last said; None before there was one."""
        with self._reading() as connection:
            row = self._run(
                connection, "SELECT pid, state, heartbeat_ms, payload FROM worker_status"
            ).first()
        stored = None if row is None else WorkerStatus(row[0], row[1], row[2], json.loads(row[3]))
        beat = None if self._path is None else Pulse(self._path).last()
        if beat is not None and (stored is None or beat.heartbeat_ms > stored.heartbeat_ms):
            return WorkerStatus(*beat)  # the database takes no writes at the moment
        return stored

    def meta(self) -> dict[str, str]:
        """Facts about the database: which source fills it, and why that one."""
        with self._reading() as connection:
            rows = self._run(connection, "SELECT key, value FROM meta").all()
        return {row[0]: row[1] for row in rows}

    def has_imports(self) -> bool:
        """Tell whether anything was imported from dump files."""
        with self._reading() as connection:
            return self._run(connection, "SELECT 1 FROM imports LIMIT 1").first() is not None

    def database(self) -> DatabaseInfo:
        """Kind and size of the database."""
        with self._reading() as connection:
            if self._path is not None:
                return DatabaseInfo("sqlite", _size(self._path), _size(Path(f"{self._path}-wal")))
            size = self._run(connection, "SELECT pg_database_size(current_database())").scalar_one()
        return DatabaseInfo("postgresql", int(size), 0)

    def is_writable(self) -> bool:
        """Tell whether the worker could write now; another writer at work counts as yes."""
        if self._path is None:
            with self._reading() as connection:
                return not self._run(connection, "SELECT pg_is_in_recovery()").scalar_one()
        try:
            with closing(
                sqlite3.connect(f"{self._path.as_uri()}?mode=rw", uri=True, timeout=0)
            ) as connection:
                connection.execute("PRAGMA wal_autocheckpoint = 0")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            return "locked" in str(error)
        return True

    def close(self) -> None:
        """Give every connection back; a later call opens new ones."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    # -- connections --------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._open().connect() as connection, self._bounded(connection):
                yield connection
        except SQLAlchemyError as error:
            # Pooled connections may be to a file that is gone; the next call starts afresh.
            self.close()
            raise store_error(error, self._url) from error

    @contextmanager
    def _bounded(self, connection: Connection) -> Iterator[None]:
        driver = connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection):
            yield
            return
        deadline = time.monotonic() + LONGEST_READ_S
        driver.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS)
        try:
            yield
        finally:
            driver.set_progress_handler(None, 0)

    def _open(self) -> Engine:
        with self._lock:
            inode = _inode(self._path)
            if self._engine is not None and inode == self._inode:
                return self._engine
            if self._engine is not None:
                self._engine.dispose()  # the file was replaced
                self._engine = None
            engine = open_engine(self._url, read_only=True)
            try:
                with engine.connect() as connection:
                    version = stored_version(connection)
            except SQLAlchemyError:
                engine.dispose()
                raise
            if version != HEAD:
                engine.dispose()
                raise StoreError(
                    f"The database has schema {version or 'none'}, this version of the desk"
                    f" reads {HEAD}; a start of the desk brings an older one up to date."
                )
            self._engine, self._inode = engine, inode
            return engine

    @staticmethod
    def _run(connection: Connection, sql: str, *values: Any) -> Any:
        if connection.dialect.paramstyle != "qmark":
            sql = sql.replace("?", "%s")
        return connection.exec_driver_sql(sql, values)


def _stored_symbol(row: Any) -> StoredSymbol:
    first_bars = [value for value in row[9:] if value is not None]
    return StoredSymbol(
        symbol=row[0],
        base=row[1],
        quote=row[2],
        status=row[3],
        subscribed=bool(row[4]),
        revision=row[5],
        first_bar_ms=min(first_bars, default=None),
        last_event_time_ms=row[6],
        last_id=row[7],
        last_price=row[8],
    )


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _inode(path: Path | None) -> int | None:
    try:
        return None if path is None else path.stat().st_ino
    except OSError:
        return None
