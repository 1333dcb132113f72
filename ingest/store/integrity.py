"""Is the database file sound? Where it isn't: set it aside, start anew, keep what is the user's.

Market data can be fetched again. What can't, the user's own imports, is copied from the damaged
file as far as it can be read.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from core.types import TIMEFRAMES
from ingest.store.pulse import Pulse

log = structlog.get_logger()

WHOLE_BELOW = 128 * 2**20
"""A start looks at every page of a file up to this size; of a larger one at what it can in time."""
CHECK_S = 1.0
_INSTRUCTIONS = 20_000
_MAGIC = b"SQLite format 3\0"
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SMALL = ("symbols", "cursors", "gaps", "imports", "meta", "worker_status", "alembic_version")
_LARGE = {
    "bars": ("symbol_id", "timeframe_ms", "open_time_ms"),
    "trades": ("symbol_id", "trade_id"),
}


class Salvage(NamedTuple):
    """What could be read of the user's own."""

    imports: int
    bars: int
    trades: int
    is_whole: bool


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
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    for table in tables.intersection(_SMALL):
        for _ in database.execute(f"SELECT * FROM {table}"):
            pass
    for table in tables.intersection(_LARGE):
        for direction in ("", " DESC"):
            order = ", ".join(f"{column}{direction}" for column in _LARGE[table])
            database.execute(f"SELECT * FROM {table} ORDER BY {order} LIMIT 1").fetchall()
    database.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS)
    for table in tables.intersection(_LARGE):
        # Row by row: a count walks the tree in one step that can't be stopped.
        database.execute(f"SELECT total({_LARGE[table][-1]} + 0) FROM {table}").fetchall()


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


def salvage(damaged: Path, fresh: Path) -> Salvage:
    """Copy imports, and the bars and trades that came with them, as far as they can be read."""
    bars = trades = 0
    is_whole = True
    with (
        closing(sqlite3.connect(f"{damaged.as_uri()}?mode=rw", uri=True)) as old,
        closing(sqlite3.connect(fresh, isolation_level=None)) as new,
    ):
        new.execute("PRAGMA wal_autocheckpoint = 0")
        try:
            symbols = old.execute(
                "SELECT id, symbol, base, quote, status FROM symbols"
                " WHERE id IN (SELECT symbol_id FROM imports)"
            ).fetchall()
            islands = old.execute(
                "SELECT symbol_id, kind, timeframe_ms, start_ms, end_ms, first_id, last_id, file,"
                " rows, imported_ms FROM imports"
            ).fetchall()
        except sqlite3.DatabaseError:
            return Salvage(0, 0, 0, False)
        new.execute("BEGIN IMMEDIATE")
        new.executemany(
            "INSERT INTO symbols (id, symbol, base, quote, status, subscribed, revision)"
            " VALUES (?, ?, ?, ?, ?, 0, 0)",
            symbols,
        )
        new.executemany(
            "INSERT INTO imports (symbol_id, kind, timeframe_ms, start_ms, end_ms, first_id,"
            " last_id, file, rows, imported_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            islands,
        )
        for island in islands:
            symbol_id, _, _, start_ms, end_ms, first_id, last_id, *_ = island
            reads: list[tuple[str, str, str, tuple[Any, ...]]] = [
                (
                    "bars",
                    "symbol_id = ? AND timeframe_ms = ? AND open_time_ms >= ?"
                    " AND open_time_ms < ? AND imported",
                    "open_time_ms",
                    (symbol_id, length, start_ms, end_ms),
                )
                for length in TIMEFRAMES.values()
            ]
            if first_id is not None:
                where = "symbol_id = ? AND trade_id >= ? AND trade_id <= ?"
                reads.append(("trades", where, "trade_id", (symbol_id, first_id, last_id)))
            for table, where, key, values in reads:
                count, whole = _copy(old, new, table, where, key, values)
                is_whole &= whole
                if table == "bars":
                    bars += count
                else:
                    trades += count
        new.execute("COMMIT")
    return Salvage(len(islands), bars, trades, is_whole)


def _copy(
    old: sqlite3.Connection,
    new: sqlite3.Connection,
    table: str,
    where: str,
    key: str,
    values: Sequence[Any],
) -> tuple[int, bool]:
    """Copy rows from both ends towards a page that can't be read; how many, and whether all."""
    columns = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
    insert = (
        f"INSERT OR IGNORE INTO {table} ({', '.join(columns)})"
        f" VALUES ({', '.join('?' * len(columns))})"
    )
    before = new.total_changes
    for direction in ("ASC", "DESC"):
        select = (
            f"SELECT {', '.join(columns)} FROM {table} WHERE {where} ORDER BY {key} {direction}"
        )
        reading = _Readable(old, select, values)
        new.executemany(insert, reading)
        if reading.is_whole:
            return new.total_changes - before, True
    return new.total_changes - before, False


class _Readable:
    """Rows of a query up to the first one that can't be read."""

    def __init__(self, old: sqlite3.Connection, select: str, values: Sequence[Any]) -> None:
        self._rows = (old, select, values)
        self.is_whole = False

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        old, select, values = self._rows
        with suppress(sqlite3.DatabaseError):
            yield from old.execute(select, values)
            self.is_whole = True
