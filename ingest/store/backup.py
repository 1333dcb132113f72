"""A copy of an SQLite database in use: one consistent state, checked before it gets its name."""

import glob
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from core.errors import StoreError
from ingest.store.engine import make_private, migrate, place, sqlite_path
from ingest.store.salvage import salvage

BUSY_S = 5.0


def back_up(url: str, target: Path, *, force: bool = False, own: bool = False) -> int:
    """Copy a database into one file, also while a worker writes to it; return its bytes.

    With `own` only what can't be fetched again: the user's tables and what imports brought.

    The copy holds one reader's snapshot for as long as it takes, so the write-ahead log can't
    be emptied meanwhile. It becomes visible under its name only when it is whole and checked.

    Raises
    ------
    StoreError
        There is nothing to copy, something is in the way, or the copy is not sound.
    """
    source = sqlite_path(url)
    if source is None:
        raise StoreError(
            f"{place(url)} is no SQLite file; back it up with pg_dump:"
            f' pg_dump --format=custom --file={target} "$DATABASE_URL"'
        )
    if not source.is_file():
        raise StoreError(
            f"There is no database {source} to back up; other sources have one of their own:"
            " SOURCE=simulated names that."
        )
    if target.exists() and (not force or not target.is_file()):
        raise StoreError(f"{target} is there already; --force replaces a file.")
    if target.exists() and target.samefile(source):
        raise StoreError(f"{target} is the database itself.")
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        if own:
            _copy_own(source, part)
        else:
            _copy(source, part)
        _check(part)
        handle = os.open(part, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        part.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"The backup to {target} failed ({error}).") from error
    finally:
        for leftover in part.parent.glob(f"{glob.escape(part.name)}*"):
            leftover.unlink(missing_ok=True)
    return target.stat().st_size


def _copy(source: Path, part: Path) -> None:
    part.unlink(missing_ok=True)
    make_private(part)
    with (
        closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as origin,
        closing(sqlite3.connect(part)) as copy,
    ):
        # All in one step: in several, every write of the worker would start it anew.
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                origin.backup(copy)
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        copy.execute("PRAGMA journal_mode = DELETE")


def _copy_own(source: Path, part: Path) -> None:
    migrate(f"sqlite:///{part}")
    found = salvage(source, part)
    if found.lost:
        raise StoreError(f"{source} can't be read everywhere: {found.words()}.")
    with closing(sqlite3.connect(part)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")


def _check(part: Path) -> None:
    with closing(sqlite3.connect(part)) as copy:
        (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"the copy is damaged: {verdict}")
