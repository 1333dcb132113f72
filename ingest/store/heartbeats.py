"""The last heartbeat of a process, read by SQLite's own driver: its reader, the supervisor, runs
as long as the desk does, and would be twice its size with all that the store's own readers need."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ingest.store.pulse import PULSE_ROLE, Pulse

BUSY_TIMEOUT_S = 1.0


class LastBeat(NamedTuple):
    """Who gave a heartbeat, and when by its own clock."""

    pid: int
    time_ms: int


def last_heartbeat(path: Path, role: str) -> LastBeat | None:
    """What the process of a role last gave; None where the file says nothing of it.

    A worker that waits for a disk to have room again gives its heartbeats beside the database.
    """
    stored = _stored(path, role)
    beat = Pulse(path).last() if role == PULSE_ROLE else None
    if beat is not None and (stored is None or beat.heartbeat_ms > stored.time_ms):
        return LastBeat(beat.pid, beat.heartbeat_ms)
    return stored


def _stored(path: Path, role: str) -> LastBeat | None:
    address = f"file:{quote(str(path))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            row = connection.execute(
                "SELECT pid, heartbeat_ms FROM process_status WHERE role = ?", (role,)
            ).fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else LastBeat(*row)
