"""A recording in the place of the live feed."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from core.report import BackfillReport, FeedReport, ReconciliationReport, WorkerReport
from ingest.files.replay import Replay
from ingest.live.backfill import HistoryProgress
from ingest.live.pipeline import Pipeline
from ingest.live.trade_queue import TradeQueue
from ingest.live.writing_thread import WritingThread
from ingest.store.transaction import Writer

log = structlog.get_logger()


class ReplayFeed:
    """Sends recordings through as fast as possible, then keeps them on show, until cancelled.

    Parameters
    ----------
    pause : called after each transaction.
    """

    def __init__(self, paths: Sequence[Path], writer: Writer, pause: Callable[[], None]) -> None:
        self._is_over = threading.Event()
        self._replay = Replay(paths, should_stop=self._is_over.is_set)
        self.queue = TradeQueue(time.monotonic)
        self.pipeline = Pipeline(writer, self._replay.clock_ms, pause)
        self.state = "starting"
        self.history = HistoryProgress()

    def after_batch(self) -> None:
        """Nothing is queued: the recording goes straight to the pipeline."""

    async def run(self, writing: WritingThread) -> None:
        """Replay, and stay.

        Raises
        ------
        SettingsError
            Nothing of the recording can be understood.
        """
        loop = asyncio.get_running_loop()

        def write(work: Callable[[], None]) -> None:
            asyncio.run_coroutine_threadsafe(writing.call(work), loop).result()

        self.state = self.history.message = "replaying"
        try:
            symbols = await asyncio.to_thread(self._replay.symbols)
            await writing.call(lambda: self.pipeline.start(symbols, keep_existing=True))
            result = await asyncio.to_thread(self._replay.run, self.pipeline, write)
            unread = result.unread.words()
            self.state = "ended"
            self.history.message = "the recording has ended" + (f"; {unread}" if unread else "")
            log.info("replayed", what=result.words())
            await asyncio.Event().wait()
        finally:
            self._is_over.set()

    def report(self) -> WorkerReport:
        """How far the replay is."""
        state = "connecting" if self.state == "starting" else self.state
        return WorkerReport(
            feed=FeedReport(state=state, trades_per_s=0.0, reconnects=0),
            quarantined=0,
            queue_depth=0,
            dropped=0,
            backfill=BackfillReport(message=self.history.message),
            reconciliation=ReconciliationReport(),
        )
