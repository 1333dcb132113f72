"""Long work that is done beside the desk: asked for, looked at, cancelled."""

from collections.abc import Callable, Mapping
from typing import Any

from app.services.looks import SharedLook
from app.services.refusals import NotThere, TooManyJobs, ingested, writable
from core.job_spec import read_job_spec
from core.settings import Settings
from ingest.store.desk_book import DeskBook
from ingest.store.reader import Reader, Snapshot, StoredJob

LEGS = ("symbol_a", "symbol_b")


class JobService:
    """Asks for jobs and tells how they stand; the analyst has them done."""

    def __init__(
        self,
        settings: Settings,
        reader: Reader,
        look: SharedLook[Snapshot],
        now_ms: Callable[[], int],
        book: DeskBook | None,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._look = look
        self._now_ms = now_ms
        self._book = book

    def ask(self, given: Mapping[str, Any], asked_by: str) -> StoredJob:
        """Have a job done; one that waits for the same already stands for it.

        Raises
        ------
        ParameterErrors
            Names every bad parameter and what it allows.
        SymbolNotIngested
            Nothing comes of a leg.
        TooManyJobs
            Others have to be done or cancelled before.
        """
        book = writable(self._book)
        spec = read_job_spec(given, self._settings)
        legs = {name: spec.values[name] for name in LEGS if name in spec.values}
        ingested(legs, self._look.value().symbols)
        job_id = book.ask_job(spec, asked_by, self._now_ms())
        if job_id is None:
            raise TooManyJobs("so many jobs wait already that another one is not taken")
        return self.job(job_id)

    def cancel(self, job_id: int) -> StoredJob:
        """End a job; one that has ended stays as it is. NotThere without one."""
        writable(self._book).cancel_job(job_id, self._now_ms())
        return self.job(job_id)

    def job(self, job_id: int) -> StoredJob:
        """One job; NotThere without one."""
        found = self._reader.job(job_id)
        if found is None:
            raise NotThere(f"no job {job_id}")
        return found

    def jobs(self, kind: str | None, limit: int) -> list[StoredJob]:
        """The newest jobs, the last one asked for first."""
        return self._reader.jobs(kind, limit)

    def result(self, job_id: int) -> bytes:
        """What came of a job, as JSON; NotThere where nothing has."""
        found = self._reader.job_result(job_id)
        if found is None:
            raise NotThere(f"job {job_id} has no result: it is {self.job(job_id).state}")
        return found

    def elapsed_s(self, job: StoredJob) -> float | None:
        """How long the last try has taken so far; None before the first."""
        if job.started_ms is None:
            return None
        return max(0, (job.ended_ms or self._now_ms()) - job.started_ms) / 1_000
