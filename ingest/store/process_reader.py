"""Reading what processes say of themselves, and how the database is. Never writes."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ingest.store.connections import ReadConnections, run
from ingest.store.pulse import PULSE_ROLE, Pulse


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """The last word of the worker, or of another process with a role, about itself."""

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


class ProcessReader(ReadConnections):
    """What may be read of worker, analyst and the database itself."""

    def status(self, role: str) -> ProcessStatus | None:
        """What the process of a role ("worker") last said; None before there was one."""
        with self._reading() as connection:
            return self._processes(connection).get(role)

    def samples(self, role: str, since_ms: int) -> list[tuple[int, dict[str, Any]]]:
        """What the process of a role said of itself from a time on, oldest first."""
        with self._reading() as connection:
            rows = run(
                connection,
                "SELECT time_ms, payload FROM process_samples WHERE role = ? AND time_ms >= ?"
                " ORDER BY time_ms",
                role,
                int(since_ms),
            ).all()
        return [(row[0], json.loads(row[1])) for row in rows]

    def database(self) -> DatabaseInfo:
        """Kind and size of the database."""
        with self._reading() as connection:
            if self._path is not None:
                return DatabaseInfo("sqlite", _size(self._path), _size(Path(f"{self._path}-wal")))
            size = run(connection, "SELECT pg_database_size(current_database())").scalar_one()
        return DatabaseInfo("postgresql", int(size), 0)

    def is_writable(self) -> bool:
        """Tell whether the worker could write now; another writer at work counts as yes."""
        if self._path is None:
            with self._reading() as connection:
                return not run(connection, "SELECT pg_is_in_recovery()").scalar_one()
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

    def _processes(self, connection: Connection) -> dict[str, ProcessStatus]:
        rows = run(
            connection, "SELECT role, pid, state, heartbeat_ms, payload FROM process_status"
        ).all()
        found = {row[0]: ProcessStatus(row[1], row[2], row[3], json.loads(row[4])) for row in rows}
        beat = None if self._path is None else Pulse(self._path).last()
        stored = found.get(PULSE_ROLE)
        if beat is not None and (stored is None or beat.heartbeat_ms > stored.heartbeat_ms):
            found[PULSE_ROLE] = ProcessStatus(*beat)  # the database takes no writes at the moment
        return found


def read_meta(connection: Connection) -> dict[str, str]:
    """Facts about the database: which source fills it, and why that one."""
    rows = run(connection, "SELECT key, value FROM meta").all()
    return {row[0]: row[1] for row in rows}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
