"""What this process takes of the machine."""

import resource
import sys
import time
from pathlib import Path

from core.report import Resources

SETTLED_S = 0.5
"""A share of a core over less time than this says nothing."""


class Meter:
    """Measures between two reports."""

    def __init__(self) -> None:
        self._started_ms = int(time.time() * 1_000)
        self._wall_s, self._core_s = time.monotonic(), time.process_time()
        self._share: float | None = None

    def read(self) -> Resources:
        """Memory now, and the share of a core since the last reading."""
        wall_s, core_s = time.monotonic(), time.process_time()
        if wall_s - self._wall_s >= SETTLED_S:
            self._share = (core_s - self._core_s) / (wall_s - self._wall_s)
            self._wall_s, self._core_s = wall_s, core_s
        return Resources(self._started_ms, memory_bytes(), self._share)


def memory_bytes() -> int:
    """Resident memory; where the system does not tell it, the most that there was."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1_024
    return pages * resource.getpagesize()
