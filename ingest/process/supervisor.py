"""Keeps the processes of a desk alive: restarts each that ends, or whose heartbeat stops."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import FrameType

import structlog

from ingest.store.heartbeats import LastBeat

log = structlog.get_logger()

CONFIGURATION_ERROR = 78
"""Exit code (sysexits' EX_CONFIG) of a process that can't work with its settings."""
STALE_S = 30.0
FIRST_DELAY_S, LAST_DELAY_S = 0.5, 30.0
HEALTHY_S = 60.0
POLL_S = 0.25
CHECK_S = 2.0
END_S = 6.0


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of process: its command, and how its last stored heartbeat is read."""

    name: str
    command: Sequence[str]
    heartbeat: Callable[[], LastBeat | None]


@dataclass(slots=True)
class HeartbeatWatch:
    """Watches whether a process's heartbeat goes on, by our own clock and not by the stored one."""

    pid: int
    since: float
    seen_ms: int | None = None

    def is_stale(self, beat: LastBeat | None, now: float) -> bool:
        """Take in the last heartbeat; True when it has stood still for too long.

        Another process's heartbeat says nothing: this one stands by behind it.
        """
        if beat is None or beat.pid != self.pid:
            self.since, self.seen_ms = now, None
        elif beat.time_ms != self.seen_ms:
            self.since, self.seen_ms = now, beat.time_ms
        return now - self.since > STALE_S


class KeptProcess:
    """The process of one role, run again and again with a delay of its own."""

    def __init__(self, role: Role, now: float) -> None:
        self.is_refused = False
        self._role = role
        self.process: subprocess.Popen[bytes] | None = None
        self._delay_s = FIRST_DELAY_S
        self._due = self._started = self._checked = now
        self._watch = HeartbeatWatch(0, now)

    def look(self, now: float) -> None:
        """Start it when it is due, take note of its end, kill it where it no longer answers."""
        if self.process is None:
            if not self.is_refused and now >= self._due:
                self._start(now)
        elif (code := self.process.poll()) is not None:
            self.process = None
            self._note_end(code, now)
        elif now - self._checked >= CHECK_S:
            self._checked = now
            if self._watch.is_stale(self._role.heartbeat(), now):
                pid = self.process.pid
                log.error(f"no heartbeat of the {self._role.name}; killing it", pid=pid)  # noqa: G004
                self.process.kill()

    def _start(self, now: float) -> None:
        self.process = subprocess.Popen(self._role.command)
        self._started = self._checked = now
        self._watch = HeartbeatWatch(self.process.pid, now)

    def _note_end(self, code: int, now: float) -> None:
        name = self._role.name
        if code == CONFIGURATION_ERROR:
            self.is_refused = True
            log.error(f"the {name} can't work with these settings; it is not restarted")  # noqa: G004
            return
        if now - self._started > HEALTHY_S:
            self._delay_s = FIRST_DELAY_S
        self._due = now + self._delay_s
        delay_s = self._delay_s
        log.warning(f"the {name} ended; restarting it", exit_code=code, delay_s=delay_s)  # noqa: G004
        self._delay_s = min(self._delay_s * 2, LAST_DELAY_S)

    def ask_to_end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait_for_end(self) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Supervisor:
    """Runs a process of each role again and again until told to stop.

    Parameters
    ----------
    monotonic : clock of delays and staleness.
    """

    def __init__(
        self, roles: Sequence[Role], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._roles = roles
        self._monotonic = monotonic
        self._stop = threading.Event()

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """End all processes and return from `run`; usable as a signal handler."""
        self._stop.set()

    def run(self) -> int:
        """Supervise until stopped (0) or until every role has refused its settings (78)."""
        now = self._monotonic()
        kept = [KeptProcess(role, now) for role in self._roles]
        try:
            while not self._stop.is_set():
                for one in kept:
                    one.look(self._monotonic())
                if all(one.is_refused for one in kept):
                    return CONFIGURATION_ERROR
                self._stop.wait(POLL_S)
        finally:
            for one in kept:
                one.ask_to_end()
            for one in kept:
                one.wait_for_end()
        return 0


def supervise(
    commands: Mapping[str, Sequence[str]], last_heartbeat: Callable[[str], LastBeat | None]
) -> int:
    """Supervise the processes of one desk, by role, until SIGTERM or SIGINT."""
    parent = ("--parent", str(os.getpid()))
    supervisor = Supervisor(
        [
            Role(name, (*command, *parent), partial(last_heartbeat, name))
            for name, command in commands.items()
        ]
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.stop)
    return supervisor.run()
