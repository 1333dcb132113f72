"""Writing jobs: asked for by the web, claimed by the analyst, told of by a child process each.

A job is running in one try at a time. What a child of an earlier try still says is refused, so one
that was given up can't speak for the one that took its place.
"""

import json
from typing import get_args

from core.job_spec import JOB_KINDS, JobSpec, Lane, job_body
from ingest.store.transaction import Transaction

STATES = ("queued", "running", "done", "failed", "cancelled")
QUEUED, RUNNING, DONE, FAILED, CANCELLED = STATES
MOST_TRIES = 3
"""Child processes for one job: what kills three of them would kill the fourth."""
MOST_WAITING = 20
KEPT = 200
"""Jobs of each lane that have ended, with their results; the oldest go first."""
_OPEN = f"('{QUEUED}', '{RUNNING}')"
_TRY = f"WHERE id = ? AND tries = ? AND state = '{RUNNING}'"


def ask(tx: Transaction, spec: JobSpec, asked_by: str, now_ms: int) -> int | None:
    """Have a job done; the id of one that waits for the same already, None where too many wait."""
    body = json.dumps(job_body(spec), allow_nan=False, sort_keys=True, separators=(",", ":"))
    waiting = tx.run(f"SELECT id, spec FROM jobs WHERE state = '{QUEUED}' ORDER BY id").all()
    same = next((row[0] for row in waiting if row[1] == body), None)
    if same is not None:
        return int(same)
    if len(waiting) >= MOST_WAITING:
        return None
    return int(
        tx.run(
            "INSERT INTO jobs (kind, spec, asked_by, asked_ms, state, tries, progress, message)"
            " VALUES (?, ?, ?, ?, ?, 0, 0.0, 'waits for its turn') RETURNING id",
            spec.kind,
            body,
            asked_by,
            int(now_ms),
            QUEUED,
        ).scalar_one()
    )


def cancel(tx: Transaction, job_id: int, now_ms: int) -> bool:
    """End a job that has not ended; False where there is none. Its child process follows."""
    changed = tx.run(
        f"UPDATE jobs SET state = '{CANCELLED}', ended_ms = ?, message = 'cancelled'"
        f" WHERE id = ? AND state IN {_OPEN}",
        int(now_ms),
        int(job_id),
    ).rowcount
    return bool(changed)


def claim(tx: Transaction, lane: Lane, now_ms: int) -> tuple[int, int] | None:
    """Begin the oldest job that waits in a lane; its id and its try, None where none waits."""
    kinds = _kinds(lane)
    row = tx.run(
        f"SELECT id, tries FROM jobs WHERE state = '{QUEUED}'"
        f" AND kind IN ({', '.join('?' * len(kinds))}) ORDER BY id LIMIT 1",
        *kinds,
    ).first()
    if row is None:
        return None
    job_id, tries = int(row[0]), int(row[1]) + 1
    tx.run(
        f"UPDATE jobs SET state = '{RUNNING}', tries = ?, started_ms = ?, progress = 0.0,"
        " message = 'starts' WHERE id = ?",
        tries,
        int(now_ms),
        job_id,
    )
    return job_id, tries


def give_up(tx: Transaction, job_id: int, tries: int, why: str, now_ms: int) -> str | None:
    """Take note that a try ended without a word: another one waits, or the job has failed.

    Returns the state that it is in now; None where that try has had its say.
    """
    state = QUEUED if tries < MOST_TRIES else FAILED
    message = f"begins again: {why}" if state == QUEUED else why
    changed = tx.run(
        f"UPDATE jobs SET state = ?, message = ?, progress = 0.0, ended_ms = ? {_TRY}",
        state,
        message,
        None if state == QUEUED else int(now_ms),
        int(job_id),
        int(tries),
    ).rowcount
    return state if changed else None


def put_back(tx: Transaction, job_id: int, tries: int) -> None:
    """Let a job wait again whose process was ended by nobody's fault: that try does not count."""
    tx.run(
        f"UPDATE jobs SET state = '{QUEUED}', tries = tries - 1, progress = 0.0,"
        f" message = 'waits for the desk to come back' {_TRY}",
        int(job_id),
        int(tries),
    )


def tell(tx: Transaction, job_id: int, tries: int, progress: float, message: str) -> bool:
    """Say how far a try has come; False where it is wanted no more."""
    changed = tx.run(
        f"UPDATE jobs SET progress = ?, message = ? {_TRY}",
        float(progress),
        message,
        int(job_id),
        int(tries),
    ).rowcount
    return bool(changed)


def finish(
    tx: Transaction, job_id: int, tries: int, content: bytes, message: str, now_ms: int
) -> bool:
    """Keep the result of a try; False where it is wanted no more."""
    changed = tx.run(
        f"UPDATE jobs SET state = '{DONE}', progress = 1.0, message = ?, ended_ms = ? {_TRY}",
        message,
        int(now_ms),
        int(job_id),
        int(tries),
    ).rowcount
    if changed:
        tx.run("INSERT INTO job_results (job_id, content) VALUES (?, ?)", int(job_id), content)
    return bool(changed)


def fail(tx: Transaction, job_id: int, tries: int, why: str, now_ms: int) -> bool:
    """Say why a try can't be done, which another one couldn't either."""
    changed = tx.run(
        f"UPDATE jobs SET state = '{FAILED}', message = ?, ended_ms = ? {_TRY}",
        why,
        int(now_ms),
        int(job_id),
        int(tries),
    ).rowcount
    return bool(changed)


def prune(tx: Transaction, kept: int = KEPT) -> int:
    """Delete the oldest jobs of each lane that have ended, with their results; return how many.

    The desk's own scans, hundreds a day, push out no run of the lab.
    """
    deleted = 0
    for lane in get_args(Lane):
        kinds = _kinds(lane)
        rows = tx.run(
            f"SELECT id FROM jobs WHERE state NOT IN {_OPEN}"
            f" AND kind IN ({', '.join('?' * len(kinds))}) ORDER BY id DESC LIMIT 50 OFFSET ?",
            *kinds,
            int(kept),
        ).all()
        for (job_id,) in rows:
            tx.run("DELETE FROM job_results WHERE job_id = ?", job_id)
            tx.run("DELETE FROM jobs WHERE id = ?", job_id)
        deleted += len(rows)
    return deleted


def _kinds(lane: Lane) -> list[str]:
    return [kind for kind, entry in JOB_KINDS.items() if entry.lane == lane]
