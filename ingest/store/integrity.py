"""Is the database file sound? Where it isn't it is set aside, and `salvage` keeps what it can."""

import sqlite3
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from ingest.store.pulse import Pulse
from ingest.store.schema import is_large, metadata

WHOLE_BELOW = 128 * 2**20
"""A start looks at every page of a file up to this size; of a larger one at what it can in time."""
CHECK_S = 1.0
_INSTRUCTIONS = 20_000
_MAGIC = b"SQLite format 3\0"
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def suspect(path: Path) -> Path:
    """The file that says: a worker met damage, look at every page."""
    return Path(f"{path}.suspect")


def is_ours(path: Path) -> bool:
    """Whether a file may be set aside: an SQLite database, or one that a worker wrote to."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC or Pulse(path).exists


def find_damage(
    path: Path, whole_below: int = WHOLE_BELOW, at_most_s: float = CHECK_S
) -> str | None:
    """Say what is wrong with a database file; None when nothing was found.

    Small files, and those in which a worker has met damage, are read page by page. Of others
    the small tables are read whole, the large ones at both ends, and on for as long as there is
    time (`PRAGMA quick_check` can't be stopped before SQLite 3.41).
    """
    is_whole = suspect(path).exists() or path.stat().st_size <= whole_below
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=5.0)) as database:
        database.execute("PRAGMA wal_autocheckpoint = 0")
        try:
            if is_whole:
                (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
                return None if verdict == "ok" else str(verdict).replace("\n", " ")
            _look(database, time.monotonic() + at_most_s)
        except sqlite3.DatabaseError as error:
            # Out of time or held by somebody is no damage.
            return str(error) if error.sqlite_errorcode & 0xFF in _DAMAGED else None
    return None


def _look(database: sqlite3.Connection, deadline: float) -> None:
    there = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    large = {table.name: table for table in metadata.sorted_tables if is_large(table)}
    for name in (metadata.tables.keys() | {"alembic_version"}) & there - large.keys():
        for _ in database.execute(f"SELECT * FROM {name}"):
            pass
    keys = {name: list(large[name].primary_key.columns.keys()) for name in large.keys() & there}
    for name, key in keys.items():
        for direction in ("", " DESC"):
            order = ", ".join(f"{column}{direction}" for column in key)
            database.execute(f"SELECT * FROM {name} ORDER BY {order} LIMIT 1").fetchall()
    database.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS)
    for name, key in keys.items():
        # Row by row: a count walks the tree in one step that can't be stopped.
        database.execute(f"SELECT total({key[-1]} + 0) FROM {name}").fetchall()


def set_aside(path: Path) -> Path:
    """Rename a database file and what belongs to it; return its new name."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    path.rename(aside)
    for ending in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{path}{ending}").rename(f"{aside}{ending}")
    suspect(path).unlink(missing_ok=True)
    return aside
