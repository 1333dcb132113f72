"""A heartbeat for when the database takes no writes: a file that needs no space to be changed.

It is made while there is space and then overwritten in place. With it a worker that waits for a
disk to have room again is seen to live, and says what it waits for.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

SIZE = 64 * 1024
PULSE_ROLE = "worker"
"""Whose heartbeat the file is."""


class Beat(NamedTuple):
    """What the file says: the same as the status row."""

    pid: int
    state: str
    heartbeat_ms: int
    payload: dict[str, Any]


class Pulse:
    """The file beside an SQLite database."""

    def __init__(self, database: Path) -> None:
        self._path = Path(f"{database}.pulse")
        self._is_beating = True  # the last run may have left a beat

    @property
    def exists(self) -> bool:
        """Whether a worker ever wrote to the database beside it."""
        return self._path.exists()

    def prepare(self) -> None:
        """Take the space that later beats are written to; without space there is no pulse."""
        with suppress(OSError):
            if not self.exists or self._path.stat().st_size != SIZE:
                # Of the same kind as the database: for its user alone.
                handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(handle, "wb") as file:
                    file.write(b" " * SIZE)

    def beat(self, pid: int, state: str, heartbeat_ms: int, payload: Mapping[str, Any]) -> None:
        """Say that the worker lives; a payload that doesn't fit is left out."""
        for shown in (payload, {}):
            text = json.dumps([pid, state, heartbeat_ms, shown]).encode()
            if len(text) <= SIZE:
                break
        self._is_beating = True
        with suppress(OSError):
            self._write(text)

    def _write(self, text: bytes) -> None:
        handle = os.open(self._path, os.O_WRONLY)
        try:
            os.pwrite(handle, text.ljust(SIZE), 0)
        finally:
            os.close(handle)

    def rest(self) -> None:
        """Take back the last beat: the database says it again."""
        if self._is_beating:
            with suppress(OSError):
                self._write(b"")
            self._is_beating = False

    def last(self) -> Beat | None:
        """The last beat; None when there was none or it is being written."""
        try:
            return Beat(*json.loads(self._path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
