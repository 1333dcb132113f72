"""What the web says of itself: its processes, whichever of them answers, and this one's ticks."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from core.report import Resources

SETTLED_S = 0.5
"""A share of a core over less time than this says nothing."""
TICKS = 1_000


class WebProcess(NamedTuple):
    """One process that answers the page and the API."""

    pid: int
    resources: Resources


class _Reading(NamedTuple):
    at_s: float
    core_s: float
    share: float | None


class WebProcesses:
    """Tells of this process and of those that the same server has forked; from Linux alone.

    Parameters
    ----------
    proc : where the system tells of processes.
    """

    def __init__(
        self,
        now_ms: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
        proc: Path = Path("/proc"),
    ) -> None:
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._proc = proc
        self._lock = threading.Lock()
        self._readings: dict[int, _Reading] = {}

    def view(self) -> list[WebProcess]:
        """They, by age; empty where the system does not tell."""
        with self._lock:
            try:
                return sorted(
                    map(self._read, self._pids()), key=lambda one: one.resources.started_ms or 0
                )
            except (OSError, ValueError, IndexError):
                return []  # there is no such system, or one of them has ended meanwhile

    def _pids(self) -> list[int]:
        own, parent = os.getpid(), os.getppid()
        children = (self._proc / f"{parent}/task/{parent}/children").read_text().split()
        command = self._command(own)
        # The supervisor is another child of the server's.
        return [pid for pid in map(int, children) if self._command(pid) == command]

    def _command(self, pid: int) -> bytes:
        return (self._proc / f"{pid}/cmdline").read_bytes()

    def _read(self, pid: int) -> WebProcess:
        # After the name, which may hold anything: fields 3 and on of proc(5).
        fields = (self._proc / f"{pid}/stat").read_text().rpartition(")")[2].split()
        ticks_s = os.sysconf("SC_CLK_TCK")
        core_s = (int(fields[11]) + int(fields[12])) / ticks_s
        up_s = float((self._proc / "uptime").read_text().split()[0]) - int(fields[19]) / ticks_s
        now_s, last = self._monotonic(), self._readings.get(pid)
        if last is None:
            self._readings[pid] = _Reading(now_s, core_s, None)
        elif now_s - last.at_s >= SETTLED_S:
            share = (core_s - last.core_s) / (now_s - last.at_s)
            self._readings[pid] = _Reading(now_s, core_s, share)
        memory = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
        started_ms = self._now_ms() - round(up_s * 1_000)
        return WebProcess(pid, Resources(started_ms, memory, self._readings[pid].share))


class Quantiles(NamedTuple):
    """Half of them took less, and 95 of 100."""

    p50_ms: float
    p95_ms: float


class TickTimes:
    """How long this process took to make its last answers to the page's ticks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken_ms: deque[float] = deque(maxlen=TICKS)

    def note(self, seconds: float) -> None:
        """Take in one answer."""
        with self._lock:
            self._taken_ms.append(seconds * 1_000)

    def quantiles(self) -> Quantiles | None:
        """Of the last ones; None before there was any."""
        with self._lock:
            taken = sorted(self._taken_ms)
        if not taken:
            return None
        return Quantiles(taken[len(taken) // 2], taken[min(len(taken) * 95 // 100, len(taken) - 1)])
