"""The locks that let one process of each role work on a database while others stand by."""

from typing import Literal, Protocol, TypeAlias

from filelock import FileLock, Timeout
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError

from ingest.store.engine import sqlite_path, store_error

Role: TypeAlias = Literal["worker", "analyst"]

POSTGRES_LOCKS: dict[Role, int] = {"worker": 0x5041_4953, "analyst": 0x5041_4954}


class RoleLock(Protocol):
    """Held by at most one process; the system releases it when that process dies."""

    def acquire(self) -> bool:
        """Try once, without waiting."""

    def is_held(self) -> bool:
        """Whether it is still ours; a broken connection loses it."""

    def release(self) -> None:
        """Let another process take over."""


def role_lock(url: str, role: Role) -> RoleLock:
    """Make a role's lock: a file beside an SQLite file, an advisory lock elsewhere."""
    path = sqlite_path(url)
    if path is None:
        return _PostgresLock(url, POSTGRES_LOCKS[role])
    return _FileLock(f"{path}.{role}.lock")


class _FileLock:
    def __init__(self, path: str) -> None:
        # Taken by the event loop, looked at from other threads.
        self._lock = FileLock(path, timeout=0, thread_local=False)

    def acquire(self) -> bool:
        try:
            self._lock.acquire()
        except Timeout:
            return False
        return True

    def is_held(self) -> bool:
        return self._lock.is_locked

    def release(self) -> None:
        self._lock.release()


class _PostgresLock:
    def __init__(self, url: str, number: int) -> None:
        self._url = url
        self._number = number
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT")
        self._connection: Connection | None = None

    def acquire(self) -> bool:
        try:
            connection = self._connection or self._engine.connect()
            self._connection = connection
            query = f"SELECT pg_try_advisory_lock({self._number})"
            return bool(connection.exec_driver_sql(query).scalar_one())
        except SQLAlchemyError as error:
            self.release()
            raise store_error(error, self._url) from error

    def is_held(self) -> bool:
        try:
            if self._connection is None:
                return False
            self._connection.exec_driver_sql("SELECT 1")
        except SQLAlchemyError:
            return False
        return True

    def release(self) -> None:
        # The lock belongs to the session: it ends with the connection.
        if self._connection is not None:
            self._connection.invalidate()
            self._connection = None
        self._engine.dispose()
