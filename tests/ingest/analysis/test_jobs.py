"""Long work in processes of its own: done once, cut off and begun again, cancelled, told of."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.errors import ParameterErrors
from core.job_spec import job_body, read_job_spec
from core.settings import Settings
from ingest.analysis.jobs import JobDesk
from ingest.store import jobs
from ingest.store.jobs import MOST_TRIES, MOST_WAITING
from ingest.store.reader import StoredJob
from tests.support.hours import Hours
from tests.support.waiting import ENDLESS_S, wait_until

ROOT = Path(__file__).resolve().parents[3]
NOW_MS = 1_795_399_300_000
SCAN = {"kind": "scan", "timeframe": "1h", "bars": 300}
# Leaves its pid under the job's number, and works on for ever or ends at once.
LEAVE_PID = (
    "import os, sys, time; open(f'{sys.argv[1]}/{sys.argv[2]}', 'a').write(f'{os.getpid()} ')"
)


class Desk:
    """An analyst's desk of jobs; its children do as told."""

    def __init__(self, hours: Hours, pids: Path, deed: str | None = None) -> None:
        self.hours, self.pids = hours, pids
        environ = {"PATH": os.environ["PATH"], "DATABASE_URL": hours.url, "SOURCE": "binance"}
        if "NUMBA_CACHE_DIR" in os.environ:
            environ["NUMBA_CACHE_DIR"] = os.environ["NUMBA_CACHE_DIR"]
        own = {} if deed is None else {
            "command": (sys.executable, "-c", f"{LEAVE_PID}; {deed}", str(pids))
        }  # fmt: skip
        self.desk = JobDesk(hours.reader, hours.writer, lambda: NOW_MS, ROOT, environ, **own)

    def ask(self, **given: object) -> int:
        with self.hours.writer.transaction() as tx:
            job_id = jobs.ask(tx, read_job_spec({**SCAN, **given}, Settings()), "me", NOW_MS)
        assert job_id is not None
        return job_id

    def job(self, job_id: int) -> StoredJob:
        found = self.hours.reader.job(job_id)
        assert found is not None
        return found

    def look_until(self, holds: Callable[[], object], what: str) -> None:
        def looked() -> object:
            self.desk.look()
            return holds()

        wait_until(looked, what)

    def started(self, job_id: int) -> list[int]:
        """Pids of the children of a job, in order."""
        file = self.pids / str(job_id)
        return [int(pid) for pid in file.read_text().split()] if file.exists() else []


@pytest.fixture
def open_desk(hours: Hours, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    opened = []

    def open_one(deed: str | None = None) -> Desk:
        opened.append(Desk(hours, tmp_path, deed))
        return opened[-1]

    yield open_one
    for one in opened:
        one.desk.close()


ENDLESS = f"time.sleep({ENDLESS_S})"
DONE_SOON = """
from core.settings import Settings
from ingest.analysis.job import work_off
work_off(int(sys.argv[2]), Settings(), os.environ["DATABASE_URL"])
"""
"""The job itself, which does not wait until nobody else wants to compute."""
HANGS_MIDWAY = f"""
from ingest.analysis import lab
lab._judged = lambda *given: time.sleep({ENDLESS_S})
{DONE_SOON}"""
"""A sweep whose cells are traded, and that never gets any further."""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_scan_asked_for_is_done_in_a_process_of_its_own(
    hours: Hours, open_desk: Callable[..., Desk]
) -> None:
    hours.fill()
    desk = open_desk()
    job_id = desk.ask()
    desk.look_until(lambda: desk.desk.ended["done"], "the scan is done")
    job = desk.job(job_id)
    assert (job.state, job.progress, job.tries) == ("done", 1.0, 1)
    result = json.loads(hours.reader.job_result(job_id) or b"")
    stored = hours.reader.newest_scan("1h", 300)
    assert stored is not None
    assert (result["scan_id"], result["pairs_total"]) == (stored.scan_id, 15)
    assert stored.head["pairs_tested"] + stored.head["pairs_refused"] == 15
    counted = desk.desk.scans
    assert (counted.done, counted.pairs + counted.refused) == (1, 15)
    assert counted.seconds == stored.head["elapsed_s"]


def test_a_job_that_can_t_be_done_says_why(hours: Hours, open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(DONE_SOON)
    job_id = desk.ask()
    desk.look_until(lambda: desk.desk.ended["failed"], "it fails")
    job = desk.job(job_id)
    assert (job.state, job.message, job.tries) == ("failed", "no two symbols have 1h bars", 1)
    assert hours.reader.job_result(job_id) is None


def test_a_killed_child_s_job_begins_again_and_fails_at_last(
    open_desk: Callable[..., Desk],
) -> None:
    desk = open_desk(ENDLESS)
    job_id = desk.ask()
    for tries in range(1, MOST_TRIES + 1):
        desk.look_until(lambda: len(desk.started(job_id)) == tries, "a child")  # noqa: B023
        assert (desk.job(job_id).state, desk.job(job_id).tries) == ("running", tries)
        os.kill(desk.started(job_id)[-1], signal.SIGKILL)
    desk.look_until(lambda: desk.job(job_id).state == "failed", "it is given up")
    assert "ended without a word" in desk.job(job_id).message
    desk.desk.look()
    assert len(desk.started(job_id)) == MOST_TRIES


def test_a_job_that_ran_when_the_analyst_died_begins_again(
    hours: Hours, open_desk: Callable[..., Desk]
) -> None:
    hours.fill()
    first = open_desk(ENDLESS)
    job_id = first.ask()
    first.look_until(lambda: first.started(job_id), "a child")
    second = open_desk(DONE_SOON)  # knows nothing of the first one's child
    second.look_until(lambda: second.desk.ended["done"], "the second one has it done")
    assert (second.job(job_id).state, second.job(job_id).tries) == ("done", 2)


def test_a_sweep_cut_off_midway_is_swept_again_and_finished_runs_stay(
    hours: Hours, open_desk: Callable[..., Desk]
) -> None:
    hours.fill()
    asked = {
        "kind": "sweep", "symbol_a": "ACOINUSDT", "symbol_b": "BCOINUSDT", "bars": 200,
        "window": 20, "entry_z_values": "1, 2", "train_bars": 100,
    }  # fmt: skip
    whole = open_desk(DONE_SOON)
    finished = whole.ask(**asked, name="before")
    whole.look_until(lambda: whole.desk.ended["done"], "the first one is done")
    kept = hours.reader.job_result(finished)
    hanging = open_desk(HANGS_MIDWAY)
    job_id = hanging.ask(**asked, name="cut off")
    for tries in (1, 2):
        hanging.look_until(lambda: hanging.job(job_id).message.startswith("trades"), "it is midway")
        assert hanging.job(job_id).tries == tries
        assert hanging.job(job_id).progress > 0.0
        os.kill(hanging.started(job_id)[-1], signal.SIGKILL)
        if tries == 1:
            hanging.look_until(lambda: len(hanging.started(job_id)) == 2, "it begins again")
    after = open_desk(DONE_SOON)  # the analyst has died with its child, and another one begins
    after.look_until(lambda: after.desk.ended["done"], "it is done at last")
    assert (after.job(job_id).state, after.job(job_id).tries) == ("done", 3)
    assert hours.reader.job_result(finished) == kept
    told, before = json.loads(hours.reader.job_result(job_id) or b""), json.loads(kept or b"")
    del told["elapsed_s"], before["elapsed_s"]
    assert told == before


def test_a_desk_that_is_closed_leaves_its_jobs_waiting_and_no_try_counts(
    open_desk: Callable[..., Desk],
) -> None:
    desk = open_desk(ENDLESS)
    job_id = desk.ask()
    for starts in range(1, MOST_TRIES + 2):
        desk.look_until(lambda: len(desk.started(job_id)) == starts, "a child")  # noqa: B023
        desk.desk.close()
        assert not is_alive(desk.started(job_id)[-1])
        assert (desk.job(job_id).state, desk.job(job_id).tries) == ("queued", 0)
        desk = open_desk(ENDLESS)


def test_a_cancelled_job_s_child_is_gone_and_the_next_one_begins(
    hours: Hours, open_desk: Callable[..., Desk]
) -> None:
    desk = open_desk(ENDLESS)
    job_id, other = desk.ask(), desk.ask(bars=200)
    desk.look_until(lambda: desk.started(job_id), "a child")
    assert desk.job(other).state == "queued"
    with hours.writer.transaction() as tx:
        assert jobs.cancel(tx, job_id, NOW_MS)
        assert not jobs.cancel(tx, job_id, NOW_MS), "it has ended"
    desk.look_until(lambda: desk.started(other), "the next one")
    assert not is_alive(desk.started(job_id)[0])
    assert desk.job(job_id).state == "cancelled"
    assert dict(desk.desk.ended) == {"cancelled": 1}


def test_what_an_earlier_try_says_is_refused(hours: Hours) -> None:
    with hours.writer.transaction() as tx:
        job_id = jobs.ask(tx, read_job_spec(SCAN, Settings()), "me", NOW_MS)
        assert job_id is not None
        assert jobs.claim(tx, "scan", NOW_MS) == (job_id, 1)
        assert jobs.claim(tx, "scan", NOW_MS) is None
        assert jobs.give_up(tx, job_id, 1, "cut off", NOW_MS) == "queued"
        assert jobs.claim(tx, "scan", NOW_MS) == (job_id, 2)
        assert not jobs.tell(tx, job_id, 1, 0.5, "half")
        assert not jobs.finish(tx, job_id, 1, b"{}", "done", NOW_MS)
        assert not jobs.fail(tx, job_id, 1, "broken", NOW_MS)
        assert jobs.give_up(tx, job_id, 1, "cut off", NOW_MS) is None
        assert jobs.tell(tx, job_id, 2, 0.5, "half")
        assert jobs.finish(tx, job_id, 2, b'{"a":1}', "done", NOW_MS)
    assert hours.reader.job_result(job_id) == b'{"a":1}'


def test_the_same_job_waits_once_and_only_so_many_wait(hours: Hours) -> None:
    specs = [read_job_spec({**SCAN, "bars": 200 + n}, Settings()) for n in range(MOST_WAITING + 1)]
    with hours.writer.transaction() as tx:
        first = jobs.ask(tx, specs[0], "me", NOW_MS)
        assert jobs.ask(tx, specs[0], "you", NOW_MS) == first
        made = [jobs.ask(tx, spec, "me", NOW_MS) for spec in specs]
    assert made[0] == first
    assert made[-1] is None
    assert len({*made[:-1]}) == MOST_WAITING
    assert [one.body for one in hours.reader.jobs(limit=1)] == [job_body(specs[-2])]


def test_old_jobs_go_with_their_results_and_none_that_waits(hours: Hours) -> None:
    with hours.writer.transaction() as tx:
        for bars in range(200, 206):
            job_id = jobs.ask(tx, read_job_spec({**SCAN, "bars": bars}, Settings()), "me", NOW_MS)
            if bars < 205:
                jobs.claim(tx, "scan", NOW_MS)
                assert jobs.finish(tx, job_id or 0, 1, b"{}", "done", NOW_MS)
        assert jobs.prune(tx, kept=2) == 3
    left = hours.reader.jobs()
    assert [one.state for one in left] == ["queued", "done", "done"]
    assert hours.reader.job_result(left[-1].job_id) == b"{}"
    assert hours.reader.job_result(left[-1].job_id - 1) is None


def test_the_desk_s_own_scans_push_out_no_run_of_the_lab(hours: Hours) -> None:
    with hours.writer.transaction() as tx:
        run = jobs.ask(tx, read_job_spec({"kind": "sweep", "name": "mine"}, Settings()), "me", 1)
        jobs.claim(tx, "lab", NOW_MS)
        assert jobs.finish(tx, run or 0, 1, b"{}", "done", NOW_MS)
        for bars in range(200, 205):
            job_id = jobs.ask(tx, read_job_spec({**SCAN, "bars": bars}, Settings()), "me", NOW_MS)
            jobs.claim(tx, "scan", NOW_MS)
            assert jobs.finish(tx, job_id or 0, 1, b"{}", "done", NOW_MS)
        assert jobs.prune(tx, kept=2) == 3
    assert [(one.kind, one.body.get("name")) for one in hours.reader.jobs("sweep")] == [
        ("sweep", "mine")
    ]


@pytest.mark.parametrize(
    ("given", "field"),
    [({}, "kind"), ([], "kind"), ({"kind": "dance"}, "kind"), (SCAN | {"bars": 5}, "bars"),
     (SCAN | {"timeframe": "1s"}, "timeframe"), (SCAN | {"window": 3}, "window")],
)  # fmt: skip
def test_what_can_t_be_asked_for_is_named(given: object, field: str) -> None:
    with pytest.raises(ParameterErrors) as refused:
        read_job_spec(given, Settings())
    assert [error.field for error in refused.value.errors] == [field]
