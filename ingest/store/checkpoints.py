"""Keeps SQLite's write-ahead log small, also while a reader keeps it from being emptied.

The log can be emptied only when nobody reads from before its end. Our own readers are short; a
foreign one (a shell with an open transaction, a backup) may stay for minutes, and what is written
meanwhile has nowhere to go but the log. A page goes there once for each transaction that changes
it, so fewer and larger transactions fill it more slowly: the longer the log, the longer the
writer gathers. At the limit it stops until the reader has gone.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

MEGABYTE = 2**20
EMPTY_FROM = 8 * MEGABYTE
LIMIT = 52 * MEGABYTE
"""One more transaction keeps the log below 64 MB."""
PACES = ((40 * MEGABYTE, 8.0), (28 * MEGABYTE, 4.0), (16 * MEGABYTE, 2.0), (EMPTY_FROM, 1.0))
"""From this length on, where it can't be emptied: seconds to gather."""
EVERY_S = 0.5
READERS_WAIT_MS = 20


class LogKeeper:
    """Empties the log of one SQLite database; the one process that checkpoints has it.

    Parameters
    ----------
    engine : the writer's own, opened with `checkpoints`.
    path : the database file.
    """

    def __init__(
        self, engine: Engine, path: Path, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._log = Path(f"{path}-wal")
        self._monotonic = monotonic
        self._looked_at = -EVERY_S
        self.size = 0

    def look(self) -> None:
        """See how long the log is, and empty it where that is worth it; called by the writer."""
        now = self._monotonic()
        if now - self._looked_at < EVERY_S:
            return
        self.size = self._length()
        if self.size >= EMPTY_FROM:
            self._empty()
            self.size = self._length()
        self._looked_at = self._monotonic()

    @property
    def pace_s(self) -> float:
        """How long to gather before the next transaction; 0 while the log is short."""
        return next((pace for size, pace in PACES if self.size >= size), 0.0)

    @property
    def is_full(self) -> bool:
        """Whether nothing may be written before the reader that holds the log has gone."""
        if self.size >= PACES[-1][0]:
            self.size = self._length()
        return self.size >= LIMIT

    def _empty(self) -> None:
        connection: Any = self._engine.raw_connection()
        # What goes wrong here (a full disk) the next transaction meets too, and reports.
        with suppress(sqlite3.Error), closing(connection), closing(connection.cursor()) as cursor:
            (timeout_ms,) = cursor.execute("PRAGMA busy_timeout").fetchone()
            cursor.execute(f"PRAGMA busy_timeout = {READERS_WAIT_MS}")
            try:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {int(timeout_ms)}")

    def _length(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0
