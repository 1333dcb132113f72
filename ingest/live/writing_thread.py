"""The one thread that writes: batches of live trades and other work take turns in it."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from typing import Any, TypeVar

import structlog

from core.errors import (
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    WritingEnded,
    WritingPaused,
)
from core.report import Pause
from ingest.live.pipeline import Pipeline
from ingest.live.trade_queue import TradeQueue
from ingest.store.checkpoints import LogKeeper
from ingest.store.transaction import WRITE_PAUSE_S

log = structlog.get_logger()
T = TypeVar("T")

GATHER_S = 0.05
BATCH_S = 0.08
SMALLEST_BATCH, LARGEST_BATCH = 500, 20_000
RECOVERY_S = 1.0
LOG_HELD = "another program keeps the database open for reading"
_PASSING = (StoreBusy, StoreFull)
"""What the database refuses now it may take later: what is queued is kept."""


class Order(IntEnum):
    """What goes first of the work that waits."""

    URGENT = 0
    """Heartbeats and bars: at once, and also while the log must not grow."""
    IDS = 1
    """What is missing stands between the screen and its z, so history takes turns with it."""
    HISTORY = 2


class Pauses:
    """Leaves the database to other processes for a moment; called after every transaction."""

    def __init__(self) -> None:
        self._is_hurried = False

    def __call__(self) -> None:
        if not self._is_hurried:
            time.sleep(WRITE_PAUSE_S)

    def end(self) -> None:
        """From now on nothing waits: the process is ending."""
        self._is_hurried = True


class WritingThread(threading.Thread):
    """Owns the pipeline: writes what is queued. `call` hands in other work and gives its result.

    While the disk is full or the database held, trades stay queued up to the limit and work is
    refused with `WritingPaused`; it goes on by itself.

    Parameters
    ----------
    pauses : between the transactions, the pipeline's own too.
    on_failure : called when the thread dies of a defect; nothing can be written any more.
    after_batch : called when a batch has been stored: it may have told that a second is over.
    log_keeper : of an SQLite database.
    """

    def __init__(
        self,
        queue: TradeQueue,
        pipeline: Pipeline,
        pauses: Pauses,
        *,
        on_failure: Callable[[], object],
        after_batch: Callable[[], object] = lambda: None,
        log_keeper: LogKeeper | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name="writing", daemon=True)
        self.failure: BaseException | None = None
        self.paused: Pause | None = None
        self.pause = pauses
        self._queue = queue
        self._pipeline = pipeline
        self._on_failure = on_failure
        self._after_batch = after_batch
        self._log_keeper = log_keeper
        self._monotonic = monotonic
        # What is in memory may be ahead of what is stored.
        self._is_stale = False
        self._work: tuple[deque[tuple[Callable[[], Any], Future[Any]]], ...] = tuple(
            deque() for _ in Order
        )
        self._turn = Order.IDS
        self._wake = threading.Event()
        self._stopping = False
        self._batch = SMALLEST_BATCH * 4

    # -- called from the event loop -----------------------------------------------------------

    async def call(self, work: Callable[[], T], order: Order = Order.HISTORY) -> T:
        """Run `work` in the writing thread and wait for its result.

        While a reader keeps the log from being emptied, what room it has is for live trades:
        only urgent work is done then.
        """
        future: Future[T] = Future()
        if self._stopping or self.failure is not None:
            raise WritingEnded("the worker is ending")
        self._work[order].append((work, future))
        self._wake.set()
        return await asyncio.wrap_future(future)

    def finish(self, timeout_s: float) -> None:
        """Write what is queued, without pauses, and end."""
        self.pause.end()
        self._stopping = True
        self._wake.set()
        self.join(timeout_s)

    # -- the thread ---------------------------------------------------------------------------

    def run(self) -> None:
        try:
            while not (self._stopping and not self._queue and not self._waiting):
                self._gather()
                self._wake.clear()
                if self._may_write() and self._write_round():
                    self._note_resumed()
                    continue
                self._refuse_work()
                if self._stopping:
                    break  # what is queued is a gap like any other for the next start
                time.sleep(RECOVERY_S)
        except BaseException as error:  # the thread's edge: the process can't go on without it
            self.failure = error
            log.exception("the writing thread died")
            self._on_failure()
        finally:
            self._refuse_work(WritingEnded("the worker is ending"))

    @property
    def _waiting(self) -> int:
        """Pieces of work that wait."""
        return sum(map(len, self._work))

    def _gather(self) -> None:
        """Wait for something to write; longer where the log must not grow."""
        if self._log_keeper is not None and self._log_keeper.pace_s and not self._stopping:
            deadline = self._monotonic() + self._log_keeper.pace_s
            while self._monotonic() < deadline and self._log_keeper.pace_s and not self._stopping:
                time.sleep(GATHER_S)
                self._log_keeper.look()
        elif not self._waiting and len(self._queue) < self._batch and not self._stopping:
            self._wake.wait(GATHER_S)

    def _write_round(self) -> bool:
        """Write a batch and do some of the work; False when the database refused for now."""
        if self._log_keeper is None or not self._log_keeper.pace_s:
            self._write_batch(self._batch)
            began = self._monotonic()
            # Trades that have come meanwhile wait no longer for the rest than a batch takes.
            while not self._is_stale and self._do_work():
                if self._monotonic() - began > BATCH_S:
                    break
            return not self._is_stale
        # Few transactions: each one puts every page that it touches into the log once more.
        for _ in range(len(self._queue) // LARGEST_BATCH + 1):
            if not self._is_stale and not self._log_keeper.is_full:
                self._write_batch(LARGEST_BATCH)
        for _ in range(self._waiting):
            if not self._is_stale and not self._log_keeper.is_full:
                self._do_work()
        return not self._is_stale

    def _write_batch(self, limit: int) -> None:
        batch = self._queue.take(limit)
        size = len(batch)
        if size == 0:
            return
        started = self._monotonic()
        try:
            self._pipeline.ingest(batch)
        except _PASSING as error:
            self._queue.put_back(batch)
            self._pause_for(error)
            return
        except StoreError as error:
            self._queue.note_written(size)
            self._recover(error)
            return
        self._queue.note_written(size)
        self._queue.note_lags()
        spent = self._monotonic() - started
        if spent > BATCH_S:
            self._batch = max(SMALLEST_BATCH, self._batch // 2)
        elif size == self._batch:
            self._batch = min(LARGEST_BATCH, self._batch * 3 // 2)
        try:
            self._after_batch()
        except _PASSING as error:
            self._pause_for(error)
        except StoreError as error:
            self._recover(error)

    def _do_work(self) -> bool:
        """Do one piece of work; False where none waits."""
        order = self._next_order()
        if order is None:
            return False
        work, future = self._work[order].popleft()
        if not future.set_running_or_notify_cancel():
            return True
        if order is not Order.URGENT and self._log_keeper is not None and self._log_keeper.pace_s:
            future.set_exception(WritingPaused(LOG_HELD))
            return True
        try:
            result = work()
        except StoreError as error:
            future.set_exception(error)
            if isinstance(error, _PASSING):
                self._pause_for(error)
            else:
                self._recover(error)
        except Exception as error:  # it belongs to whoever asked
            future.set_exception(error)
        else:
            future.set_result(result)
        return True

    def _next_order(self) -> Order | None:
        """Urgent work, then missing ids and history in turns: neither may starve another."""
        other = Order.HISTORY if self._turn is Order.IDS else Order.IDS
        for order in (Order.URGENT, self._turn, other):
            if self._work[order]:
                if order is not Order.URGENT:
                    self._turn = Order.HISTORY if order is Order.IDS else Order.IDS
                return order
        return None

    # -- when the database refuses ------------------------------------------------------------

    def _may_write(self) -> bool:
        """Whether the database takes writes; after a pause, start again from what is stored."""
        if self._log_keeper is not None:
            self._log_keeper.look()
            if self._log_keeper.is_full and not self._stopping:
                self._note_pause(LOG_HELD)
                return False
        try:
            if self._is_stale:
                self._pipeline.probe()
                self._pipeline.restart()
        except _PASSING as error:
            self._pause_for(error)
            return False
        self._is_stale = False
        return True

    def _note_resumed(self) -> None:
        if self.paused is not None:
            log.info("writing again", queued=len(self._queue), dropped=self._queue.dropped_total)
            self.paused = None

    def _pause_for(self, error: StoreError) -> None:
        self._is_stale = True
        self._note_pause(error.public, str(error))

    def _note_pause(self, reason: str, for_the_log: str | None = None) -> None:
        if self.paused is None:
            log.error("writing pauses; trades are kept", reason=for_the_log or reason)
            self.paused = Pause(reason, int(time.time() * 1_000))

    def _refuse_work(self, error: StoreError | None = None) -> None:
        while self._waiting:
            _, future = next(work for work in self._work if work).popleft()
            if future.set_running_or_notify_cancel():
                reason = self.paused.reason if self.paused else "the database takes no writes"
                future.set_exception(error or WritingPaused(reason))

    def _recover(self, error: StoreError) -> None:
        """Start again from what is stored; what was not is a gap like any other."""
        if isinstance(error, StoreCorrupt):
            raise error  # the next start looks at the file and sets it aside
        log.error("the database refused; starting again from what is stored", reason=str(error))
        while True:
            time.sleep(RECOVERY_S)
            try:
                self._pipeline.restart()
                return
            except _PASSING as again:
                self._pause_for(again)
                return
            except StoreError as again:
                log.error("the database still refuses", reason=str(again))
                if self._stopping or isinstance(again, StoreCorrupt):
                    raise
