"""Reading jobs and their results. Never writes."""

import json
from dataclasses import dataclass
from typing import Any

from ingest.store.connections import ReadConnections, run
from ingest.store.jobs import QUEUED, RUNNING

_JOB = (
    "SELECT id, kind, spec, asked_by, asked_ms, state, tries, started_ms, ended_ms, progress,"
    " message FROM jobs"
)


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job as it stands; see `ingest.store.schema.jobs`."""

    job_id: int
    kind: str
    body: dict[str, Any]
    asked_by: str
    asked_ms: int
    state: str
    tries: int
    started_ms: int | None
    ended_ms: int | None
    progress: float
    message: str


class JobReader(ReadConnections):
    """What may be read of jobs."""

    def jobs(self, kind: str | None = None, limit: int = 100) -> list[StoredJob]:
        """The newest jobs, the last one asked for first."""
        where, values = ("", ()) if kind is None else (" WHERE kind = ?", (kind,))
        with self._reading() as connection:
            rows = run(
                connection, f"{_JOB}{where} ORDER BY id DESC LIMIT ?", *values, int(limit)
            ).all()
        return [_job(row) for row in rows]

    def open_jobs(self) -> list[StoredJob]:
        """What waits or is being done, the first one asked for first."""
        with self._reading() as connection:
            rows = run(
                connection, f"{_JOB} WHERE state IN ('{QUEUED}', '{RUNNING}') ORDER BY id"
            ).all()
        return [_job(row) for row in rows]

    def job(self, job_id: int) -> StoredJob | None:
        """One job; None where there is none such."""
        with self._reading() as connection:
            row = run(connection, f"{_JOB} WHERE id = ?", int(job_id)).first()
        return None if row is None else _job(row)

    def job_result(self, job_id: int) -> bytes | None:
        """What came of a job, as JSON; None where nothing has."""
        with self._reading() as connection:
            found = run(
                connection, "SELECT content FROM job_results WHERE job_id = ?", int(job_id)
            ).scalar()
        return None if found is None else bytes(found)


def _job(row: Any) -> StoredJob:
    return StoredJob(row[0], row[1], json.loads(row[2]), *row[3:])
