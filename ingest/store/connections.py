"""Read-only connections for many threads, opened late, bounded in time and given up when broken."""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine
from sqlalchemy.exc import SQLAlchemyError

from core.errors import StoreError
from ingest.store.engine import open_engine, sqlite_path, store_error, stored_version
from ingest.store.migrations import HEAD

LONGEST_READ_S = 10.0
"""A reader at work keeps the write-ahead log from being emptied: none may take long."""
_INSTRUCTIONS = 200_000
"""SQLite looks at the clock after so many of its steps, about every few milliseconds."""


class ReadConnections:
    """Read-only access to one database, safe for many threads.

    Nothing is opened before the first use, so a process may fork between. A database that is
    missing or broken raises `StoreError` and is tried anew by the next use.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._path = sqlite_path(url)
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._inode: int | None = None

    def close(self) -> None:
        """Give every connection back; a later call opens new ones."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

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


def run(connection: Connection, sql: str, *values: Any) -> CursorResult[*tuple[Any, ...]]:
    """Run one query; `?` stands for a value."""
    if connection.dialect.paramstyle != "qmark":
        sql = sql.replace("?", "%s")
    return connection.exec_driver_sql(sql, values)


def marks(values: Sequence[Any]) -> str:
    """As many `?` as there are values, for a list in a query."""
    return ", ".join("?" * len(values))


def _inode(path: Path | None) -> int | None:
    try:
        return None if path is None else path.stat().st_ino
    except OSError:
        return None
