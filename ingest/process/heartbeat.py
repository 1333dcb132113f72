"""Says once a second that a process lives."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.errors import StoreError, WritingEnded
from ingest.live.writing_thread import Order, WritingThread
from ingest.schedule import every
from ingest.store import process
from ingest.store.pulse import Pulse
from ingest.store.transaction import Writer

EVERY_S = 1.0


class Report(Protocol):
    """Gives the worker's state and what /api/status shows of it."""

    def __call__(self) -> tuple[str, Mapping[str, Any]]: ...


@dataclass(slots=True)
class Heartbeat:
    """Stores the worker's state through the writing thread, like all writes.

    Parameters
    ----------
    pulse : says it where that needs no space, while the database takes no writes.
    """

    writer: Writer
    writing: WritingThread
    report: Report
    pulse: Pulse | None = None

    def schedule(self, scheduler: AsyncIOScheduler) -> None:
        """Beat once a second."""
        every(scheduler, "heartbeat", EVERY_S, self.beat)

    async def beat(self) -> None:
        """Store the worker's state, or say at least that it lives."""
        try:
            await self.writing.call(self.write, Order.URGENT)
            if self.pulse is not None:
                self.pulse.rest()
        except WritingEnded:
            raise
        except StoreError:
            if self.pulse is None or self.writing.paused is None:
                raise
            _, payload = self.report()
            self.pulse.beat(os.getpid(), "paused", int(time.time() * 1_000), payload)

    def write(self) -> None:
        """Store it from the thread that writes, or when that has ended."""
        state, payload = self.report()
        with self.writer.transaction() as tx:
            process.save_status(tx, "worker", os.getpid(), state, int(time.time() * 1_000), payload)
        self.writing.pause()
