"""How fast the database grows, and how long the disk lasts at that rate."""

import shutil
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.report import Space
from ingest.live.ports import Store
from ingest.schedule import every
from ingest.store import process
from ingest.store.transaction import Writer

EVERY_S = 30.0

DAY_S = 86_400.0
KNOWN_AFTER_S = 600.0
REMEMBERED_S = 86_400.0


class DiskSpace:
    """Compares what is in use now with what was up to a day ago.

    Pages that pruning has freed count as free: with retention at work growth goes to zero, and
    days left are not known, for there is no end.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._seen: deque[tuple[float, int]] = deque()
        self.space = Space()

    def schedule(
        self,
        scheduler: AsyncIOScheduler,
        writer: Writer,
        store: Store,
        path: Path | None,
        is_settled: Callable[[], bool],
    ) -> None:
        """Measure every half minute, once there is nothing out of the ordinary to be stored.

        Parameters
        ----------
        path : the SQLite file; how much room another database has isn't known.
        """

        def measure() -> int:
            with writer.transaction() as tx:
                return process.used_bytes(tx)

        async def run() -> None:
            if is_settled():
                free_bytes = None if path is None else shutil.disk_usage(path.parent).free
                self.note(await store(measure), free_bytes)

        every(scheduler, "measure disk space", EVERY_S, run)

    def note(self, used_bytes: int, free_bytes: int | None) -> None:
        """Take in what is used and free now."""
        now = self._monotonic()
        self._seen.append((now, used_bytes))
        while now - self._seen[0][0] > REMEMBERED_S:
            self._seen.popleft()
        since, before = self._seen[0]
        growth = days = None
        if now - since >= KNOWN_AFTER_S:
            growth = (used_bytes - before) / (now - since) * DAY_S
            if growth > 0 and free_bytes is not None:
                days = free_bytes / growth
        self.space = Space(used_bytes, free_bytes, growth, days)
