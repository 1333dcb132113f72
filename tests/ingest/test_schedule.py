"""What runs again and again: no task is lost for its name, or for what happens to another."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.errors import ExchangeError, StoreBusy, WritingPaused
from ingest.schedule import every, start_scheduler

ROOT = Path(__file__).parents[2]


class Subject:
    def __init__(self, error: Exception | None = None) -> None:
        self.runs = 0
        self.error = error

    async def run_once(self) -> None:
        self.runs += 1
        if self.error is not None:
            raise self.error


async def run_each(tasks: dict[str, Callable[[], Awaitable[None]]]) -> None:
    """Let the scheduler take them, and run each as it does."""
    scheduler = start_scheduler()
    for name, task in tasks.items():
        every(scheduler, name, 60.0, task)
    for name in tasks:
        await scheduler.get_job(name).func()
    scheduler.shutdown(wait=False)


def test_two_subjects_whose_methods_have_one_name_both_run() -> None:
    first, second = Subject(), Subject()
    asyncio.run(run_each({"repair gaps": first.run_once, "reconcile": second.run_once}))
    assert (first.runs, second.runs) == (1, 1)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ExchangeError("no host"), "a task has to wait"),
        (StoreBusy("held"), "a task has to wait"),
        (WritingPaused("disk full"), ""),  # whoever pauses has said so
        (ValueError("a defect"), "a task failed"),
    ],
)
def test_what_fails_is_told_and_leaves_the_others_running(
    error: Exception, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    failing, other = Subject(error), Subject()
    asyncio.run(run_each({"failing": failing.run_once, "other": other.run_once}))
    assert (failing.runs, other.runs) == (1, 1)
    output = capsys.readouterr().out
    assert told in output
    assert bool(told) == bool(output)


def test_the_architecture_page_tells_of_every_task() -> None:
    code = "".join(path.read_text() for path in (ROOT / "ingest").rglob("*.py"))
    tasks = set(re.findall(r'every\(\s*scheduler,\s*"([^"]+)"', code))
    page = (ROOT / "docs" / "architecture.md").read_text().partition("## What runs when")[2]
    told = re.findall(r"^\| ([a-z' ]+)", page, re.MULTILINE)
    assert len(tasks) >= 11
    assert [name for name in sorted(tasks) if not any(row.startswith(name) for row in told)] == []


def test_a_task_that_is_due_at_the_end_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    due = Subject()

    async def end() -> None:
        scheduler = start_scheduler()
        every(scheduler, "due", 60.0, due.run_once)
        scheduler.get_job("due").modify(next_run_time=datetime.now(UTC))
        scheduler.shutdown(wait=False)
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(end())
    assert due.runs == 0
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
