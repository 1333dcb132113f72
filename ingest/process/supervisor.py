"""Keeps one worker process alive: restarts it when it ends, and when its heartbeat stops."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

import structlog

from core.errors import StoreError
from ingest.store.reader import Reader

log = structlog.get_logger()

CONFIGURATION_ERROR = 78
"""Exit code (sysexits' EX_CONFIG) of a worker that can't work with its settings."""
STALE_S = 30.0
FIRST_DELAY_S, LAST_DELAY_S = 0.5, 30.0
HEALTHY_S = 60.0
POLL_S = 0.25
END_S = 6.0


@dataclass(slots=True)
class Heartbeat:
    """Watches whether a worker's heartbeat goes on, by our own clock and not by the stored one."""

    pid: int
    since: float
    seen_ms: int | None = None

    def is_stale(self, heartbeat: tuple[int, int] | None, now: float) -> bool:
        """Take in (pid, heartbeat time) as stored; True when it has stood still for too long.

        Another process's heartbeat says nothing: this worker stands by behind it.
        """
        if heartbeat is None or heartbeat[0] != self.pid:
            self.since, self.seen_ms = now, None
        elif heartbeat[1] != self.seen_ms:
            self.since, self.seen_ms = now, heartbeat[1]
        return now - self.since > STALE_S


class Supervisor:
    """Runs a command again and again until told to stop.

    Parameters
    ----------
    command : the worker.
    heartbeat : gives (pid, heartbeat time in ms) as last stored; None when unknown.
    monotonic : clock of delays and staleness.
    """

    def __init__(
        self,
        command: Sequence[str],
        heartbeat: Callable[[], tuple[int, int] | None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = command
        self._heartbeat = heartbeat
        self._monotonic = monotonic
        self._stop = threading.Event()

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """End the worker and return from `run`; usable as a signal handler."""
        self._stop.set()

    def run(self) -> int:
        """Supervise until stopped (0) or until the worker refuses its settings (78)."""
        delay = FIRST_DELAY_S
        while not self._stop.is_set():
            started = self._monotonic()
            code = self._run_once()
            if self._stop.is_set():
                break
            if code == CONFIGURATION_ERROR:
                log.error("the worker can't work with these settings; it is not restarted")
                return CONFIGURATION_ERROR
            if self._monotonic() - started > HEALTHY_S:
                delay = FIRST_DELAY_S
            log.warning("the worker ended; restarting it", exit_code=code, delay_s=delay)
            self._stop.wait(delay)
            delay = min(delay * 2, LAST_DELAY_S)
        return 0

    def _run_once(self) -> int:
        worker = subprocess.Popen(self._command)
        watch = Heartbeat(worker.pid, self._monotonic())
        checked = self._monotonic()
        try:
            while worker.poll() is None and not self._stop.wait(POLL_S):
                now = self._monotonic()
                if now - checked < 2.0:
                    continue
                checked = now
                if watch.is_stale(self._heartbeat(), now):
                    log.error("no heartbeat of the worker; killing it", pid=worker.pid)
                    worker.kill()
                    worker.wait()
        finally:
            code = _end(worker)
        return code


def _end(worker: "subprocess.Popen[bytes]") -> int:
    if worker.poll() is None:
        worker.terminate()
        try:
            worker.wait(END_S)
        except subprocess.TimeoutExpired:
            worker.kill()
    return worker.wait()


def supervise(command: Sequence[str], database_url: str) -> int:
    """Supervise the worker of one database until SIGTERM or SIGINT."""
    reader = Reader(database_url)

    def heartbeat() -> tuple[int, int] | None:
        try:
            status = reader.status()
        except StoreError:
            return None
        return None if status is None else (status.pid, status.heartbeat_ms)

    supervisor = Supervisor([*command, "--parent", str(os.getpid())], heartbeat)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.stop)
    try:
        return supervisor.run()
    finally:
        reader.close()
