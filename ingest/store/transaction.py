"""Short write transactions, each all or nothing; the modules beside this one say what to write.

The SQL is what SQLite and PostgreSQL both understand (`?` stands for a value), and the hot paths
hand plain tuples to the driver. Numbers become plain Python ones before: an ``np.int64`` would
reach SQLite as a BLOB.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine
from sqlalchemy.exc import SQLAlchemyError

from core.errors import StoreError
from ingest.store.engine import open_engine, store_error
from ingest.store.lock import Role

WRITE_PAUSE_S = 0.02
"""What a process that has more to write waits after each transaction: who writes on end starves the
others past their busy timeout."""


class Writer:
    """The one way to write; used from one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._role: Role | None = None
        self._epoch = ""

    def take_over(self, role: Role) -> None:
        """Keep every process that had this role before from writing once more.

        A lock in PostgreSQL ends with its session, which its holder may learn of too late. With
        SQLite the lock is a file's, and lives as long as the process.
        """
        if self._engine.dialect.name == "sqlite":
            return
        with self.transaction() as tx:
            self._epoch = tx.next_epoch(role)
        self._role = role

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Hold the write lock until the block ends; an error undoes all of it.

        Raises
        ------
        StoreBusy
            Another process kept the lock for longer than the busy timeout.
        StoreError
            The database is missing, broken or refuses a value, or another process of its role
            has taken over.
        """
        try:
            with self._engine.begin() as connection:
                tx = Transaction(connection)
                if self._role is not None and tx.epoch(self._role) != self._epoch:
                    raise StoreError(f"another {self._role} has taken over")
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
        self.is_sqlite = connection.dialect.name == "sqlite"

    def run(self, sql: str, *values: Any) -> CursorResult[*tuple[Any, ...]]:
        """Run one statement."""
        return self._connection.exec_driver_sql(self._text(sql), values)

    def many(self, sql: str, rows: list[tuple[Any, ...]]) -> int:
        """Run one statement for each row; return how many rows of the table that changed."""
        if not rows:
            return 0
        options = {"preserve_rowcount": True}
        return self._connection.exec_driver_sql(self._text(sql), rows, options).rowcount

    def next_epoch(self, role: Role) -> str:
        """Begin a process's time in its role; whoever writes under an earlier one is refused."""
        return str(
            self.run(
                "INSERT INTO meta (key, value) VALUES (?, '1') ON CONFLICT (key) DO UPDATE"
                " SET value = CAST(CAST(meta.value AS INTEGER) + 1 AS TEXT) RETURNING value",
                f"epoch.{role}",
            ).scalar_one()
        )

    def epoch(self, role: Role) -> str | None:
        """Whose time it is in a role; stays so until the transaction ends (PostgreSQL only)."""
        sql = "SELECT value FROM meta WHERE key = ? FOR SHARE"
        return self.run(sql, f"epoch.{role}").scalar()

    def _text(self, sql: str) -> str:
        return sql if self.is_sqlite else sql.replace("?", "%s")


def durable_writer(url: str) -> Writer:
    """Open a writer of what is told to somebody, or can't be fetched again: see `open_engine`."""
    return Writer(open_engine(url, durable=True))
