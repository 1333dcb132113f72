"""Runs of the lab: sweeps that were asked for, what came of them, what one would cost."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from threading import Lock
from typing import Any

import orjson

from app.services.jobs import JobService
from app.services.refusals import NotThere
from core.errors import ParameterErrors
from core.grid_spec import AXES
from core.job_spec import read_job_spec
from core.settings import Settings
from ingest.store.reader import StoredJob

KINDS = ("sweep", "report")
"""A report is a sweep, too, with the honesty check beside it."""
KEPT = 2
"""Results that are kept as read: a large one takes a tenth of a second and tens of megabytes."""
RUNS = 12
START_S, CELL_S, CELL_ROW_S = 2.0, 5e-4, 1e-8
"""What a run takes on two cores: its process and bars; of each combination what noise would do and
the walk forward; and each of its bars."""


@dataclass(frozen=True, slots=True)
class SweepRun:
    """One sweep and, where it is done, what came of it."""

    job: StoredJob
    told: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list says of a run that is done."""

    trials: int
    reality_check_p: float | None
    tested_net: float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a sweep would take."""

    combinations: int
    values: Mapping[str, int]
    """How many each axis takes, by its parameter."""
    bars: int
    seconds: float


class LabService:
    """Reads sweeps; safe between threads."""

    def __init__(self, settings: Settings, jobs: JobService) -> None:
        self._settings = settings
        self._jobs = jobs
        self._kept: OrderedDict[int, Mapping[str, Any]] = OrderedDict()
        self._summaries: dict[int, Summary] = {}
        self._lock = Lock()

    def runs(self) -> list[StoredJob]:
        """The newest sweeps, the last one asked for first."""
        found = [job for kind in KINDS for job in self._jobs.jobs(kind, RUNS)]
        return sorted(found, key=lambda job: -job.job_id)[:RUNS]

    def run(self, job_id: int) -> SweepRun:
        """One of them; NotThere without one."""
        job = self._jobs.job(job_id)
        if job.body.get("kind") not in KINDS:
            raise NotThere(f"job {job_id} is no sweep")
        return SweepRun(job, self._told(job))

    def summary(self, job: StoredJob) -> Summary | None:
        """What a list says of a run; None while it is not done."""
        if job.state == "done" and job.job_id not in self._summaries:
            self._told(job)
        return self._summaries.get(job.job_id)

    def cost(self, given: Mapping[str, Any]) -> Cost:
        """What a sweep of foreign values would take.

        Raises
        ------
        ParameterErrors
            Names every bad parameter and what it allows.
        """
        values = read_job_spec({**given, "kind": "sweep"}, self._settings).values
        taken = {name: len(values[name] or (None,)) for name in (f"{axis}_values" for axis in AXES)}
        cells = prod(taken.values())
        seconds = START_S + cells * (CELL_S + values["bars"] * CELL_ROW_S)
        return Cost(cells, taken, values["bars"], seconds)

    def values(self, job: StoredJob) -> Mapping[str, Any] | None:
        """The parameters of a run; None where today's bounds refuse them."""
        try:
            return read_job_spec(job.body, self._settings).values
        except ParameterErrors:
            return None

    def _told(self, job: StoredJob) -> Mapping[str, Any] | None:
        if job.state != "done":
            return None
        with self._lock:
            found = self._kept.get(job.job_id)
        if found is not None:
            return found
        found = orjson.loads(self._jobs.result(job.job_id))
        best, walked = found["best"], found["walk_forward"]
        summary = Summary(
            found["trials"],
            None if best is None else best["reality_check_p"],
            None if walked is None else walked["net"],
        )
        with self._lock:
            self._summaries[job.job_id] = summary
            self._kept[job.job_id] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found
