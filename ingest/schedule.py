"""What a process does again and again beside its main work; each subject schedules itself."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.errors import ExchangeError, StoreError, WritingEnded, WritingPaused

log = structlog.get_logger()


def start_scheduler() -> AsyncIOScheduler:
    """A scheduler whose tasks skip what they are late for instead of catching up."""
    logging.getLogger("apscheduler.executors.default").addFilter(_is_failure)
    scheduler = AsyncIOScheduler(
        timezone="UTC",
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": 30},
    )
    scheduler.start()
    return scheduler


def _is_failure(record: logging.LogRecord) -> bool:
    """A task that is due when the process ends has not failed: it never began."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def every(
    scheduler: AsyncIOScheduler, name: str, seconds: float, task: Callable[[], Awaitable[None]]
) -> None:
    """Run a task at an interval, never beside itself.

    What the exchange or the database refuses is tried again the next time, and a defect in one
    task leaves the others running. One of the same name is replaced.
    """

    async def run() -> None:
        try:
            await task()
        except (WritingEnded, WritingPaused, asyncio.CancelledError):
            return  # the process is ending, or has said why nothing is written
        except (ExchangeError, StoreError) as error:
            log.warning("a task has to wait", task=name, reason=str(error))
        except Exception:  # the scheduler's edge: the other tasks go on
            log.exception("a task failed", task=name)

    scheduler.add_job(run, "interval", seconds=seconds, id=name, name=name, replace_existing=True)
