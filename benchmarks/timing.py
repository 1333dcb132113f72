"""Timing that two jobs share: the best of several runs, so that a busy machine counts least."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Comparison:
    """One job done by us and by the library; `theirs` imports it and returns the job."""

    job: str
    beside: str
    units: int
    """What a time is divided by: bars, or 1 for a whole job."""
    ours: Callable[[], object]
    theirs: Callable[[], Callable[[], object]]
    theirs_share: float = 1.0
    """Their run is shorter by this factor where a whole one would take minutes."""


def measure(job: Callable[[], object], at_most_s: float = 10.0, runs: int = 7) -> float:
    """Best time of one run in seconds; the first never counts, since it may have to compile."""
    job()
    best, spent = math.inf, 0.0
    for _ in range(runs):
        began = time.perf_counter()
        job()
        took = time.perf_counter() - began
        best = min(best, took)
        spent += took
        if spent > at_most_s:
            break
    return best
