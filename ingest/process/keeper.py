"""Keeps the supervisor itself alive beside a server whose master reaps its children."""

import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from ingest.process.supervisor import CONFIGURATION_ERROR

log = structlog.get_logger()

DELAY_S, LONGEST_DELAY_S = 8.0, 60.0
"""Longer than the server takes to end: Ctrl-C reaches the supervisor first, and is no accident."""
HEALTHY_S = 60.0
END_S = 10.0


class Keeper:
    """Runs a supervisor, and again where it was killed, until stopped.

    Why it ended can't always be told: the server's master may reap it first, and it looks like
    exit 0 then. So only settings that it is seen to refuse keep it from being started again.

    Parameters
    ----------
    command : the supervisor.
    folder : where to run it.
    delay_s : how long to wait before it is started again; doubles while it doesn't last.
    """

    def __init__(self, command: Sequence[str], folder: Path, delay_s: float = DELAY_S) -> None:
        self._command = list(command)
        self._folder = folder
        self._delay_s = delay_s
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the supervisor that was started last."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it. To be called before the server forks, or a fork would share the pipes."""
        process = self._spawn()
        threading.Thread(target=self._keep, args=(process,), name="keeper", daemon=True).start()

    def stop(self) -> None:
        """End it, and with it the worker."""
        self._stopping.set()
        with self._lock:
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        self._process = subprocess.Popen(self._command, cwd=self._folder)
        return self._process

    def _keep(self, process: "subprocess.Popen[bytes]") -> None:
        delay = self._delay_s
        started = time.monotonic()
        while process.wait() != CONFIGURATION_ERROR:
            if time.monotonic() - started > HEALTHY_S:
                delay = self._delay_s
            if self._stopping.wait(delay):
                return
            log.error("the supervisor was killed; starting it again")
            with self._lock:
                if self._stopping.is_set():
                    return
                process = self._spawn()
            started = time.monotonic()
            delay = min(delay * 2, max(LONGEST_DELAY_S, self._delay_s))
