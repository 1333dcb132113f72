"""Has jobs done: claims them one after the other, each in a child process of the analyst.

A child that dies takes nothing with it, and neither does the analyst: what was running when one
ended begins again, and where that ends without a word, too, it has failed.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from core.job_spec import JOB_KINDS, Lane
from core.report import ScanReport
from ingest.store import jobs
from ingest.store.reader import Reader
from ingest.store.transaction import Writer

log = structlog.get_logger()

END_S = 5.0
LAST_LOOKS = 20
"""That a child may still be seen at after its job has ended."""
# One thread a product: the tiles of a scan share the cores out among themselves.
CHILD_ENVIRON = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(slots=True)
class _Child:
    lane: Lane
    tries: int
    process: "subprocess.Popen[bytes]"
    looks_after: int = 0
    """Since it had its say."""


class JobDesk:
    """Runs the jobs of one database, one a lane; used from one thread.

    Parameters
    ----------
    root : folder that a child is started in.
    command : what does a job, with its number after it.
    """

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        now_ms: Callable[[], int],
        root: Path,
        environ: Mapping[str, str],
        command: Sequence[str] = (sys.executable, "-m", "ingest", "job"),
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._now_ms = now_ms
        self._root = root
        self._environ = {**environ, **CHILD_ENVIRON}
        self._command = command
        self._children: dict[int, _Child] = {}
        self.ended = Counter[str]()
        """Jobs that children were started for, by the state that they ended in."""
        self.scans = ScanReport()

    def look(self) -> None:
        """Take note of what has ended, end what is cancelled, begin what waits.

        Raises
        ------
        StoreError
            The next look does it.
        """
        stored = self._reader.open_jobs()
        tries = {one.job_id: one.tries for one in stored if one.state == jobs.RUNNING}
        for job_id, child in list(self._children.items()):
            is_wanted = tries.get(job_id) == child.tries
            if child.process.poll() is not None:
                del self._children[job_id]
                self._note_end(job_id, child)
            elif not is_wanted and self._has_to_go(job_id, child):
                child.process.kill()
        for job_id, running in tries.items():
            if job_id not in self._children:
                self._give_up(job_id, running)
        waiting = {
            JOB_KINDS[one.kind].lane
            for one in stored
            if one.state == jobs.QUEUED and one.kind in JOB_KINDS
        }
        for lane in waiting - {child.lane for child in self._children.values()}:
            self._begin(lane)

    def _has_to_go(self, job_id: int, child: _Child) -> bool:
        """Whether it was cancelled; one that has had its say may end by itself."""
        found = self._reader.job(job_id)
        child.looks_after += 1
        is_told = found is not None and found.state in (jobs.DONE, jobs.FAILED)
        return not is_told or child.looks_after > LAST_LOOKS

    def _note_end(self, job_id: int, child: _Child) -> None:
        found = self._reader.job(job_id)
        if found is None:
            return
        if (found.state, found.tries) == (jobs.RUNNING, child.tries):
            self._give_up(job_id, child.tries)
            return
        self.ended[found.state] += 1
        if (found.kind, found.state) == ("scan", jobs.DONE):
            told = json.loads(self._reader.job_result(job_id) or b"{}")
            self.scans = ScanReport(
                self.scans.done + 1,
                self.scans.seconds + told.get("elapsed_s", 0.0),
                self.scans.pairs + told.get("pairs_tested", 0),
                self.scans.refused + told.get("pairs_refused", 0),
            )

    def _give_up(self, job_id: int, tries: int) -> None:
        why = "its process ended without a word"
        with self._writer.transaction() as tx:
            state = jobs.give_up(tx, job_id, tries, why, self._now_ms())
        if state is not None:
            log.warning("a job was cut off", job=job_id, tries=tries, state=state)
            if state == jobs.FAILED:
                self.ended[state] += 1

    def _begin(self, lane: Lane) -> None:
        with self._writer.transaction() as tx:
            claimed = jobs.claim(tx, lane, self._now_ms())
            jobs.prune(tx)
        if claimed is None:
            return
        job_id, tries = claimed
        command = [*self._command, str(job_id), "--parent", str(os.getpid())]
        process = subprocess.Popen(command, cwd=self._root, env=self._environ)
        self._children[job_id] = _Child(lane, tries, process)

    def close(self) -> None:
        """End all children; who has the role next begins their jobs again.

        Raises
        ------
        StoreError
            The next one takes them for cut off.
        """
        for child in self._children.values():
            child.process.kill()
            child.process.wait(END_S)
        with self._writer.transaction() as tx:
            for job_id, child in self._children.items():
                jobs.put_back(tx, job_id, child.tries)
