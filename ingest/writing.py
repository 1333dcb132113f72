"""The one thread that writes: batches of live trades and the jobs' own work take turns in it."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import structlog

from core.errors import StoreError
from core.types import Trade
from ingest.pipeline import Pipeline

log = structlog.get_logger()
T = TypeVar("T")

QUEUE_LIMIT = 100_000
GATHER_S = 0.05
PAUSE_S = 0.02
BATCH_S = 0.08
SMALLEST_BATCH, LARGEST_BATCH = 500, 20_000
RECOVERY_S = 1.0


class WritingEnded(StoreError):
    """Nothing is written any more: the worker is ending."""


class WritingThread(threading.Thread):
    """Owns the pipeline. `put` never waits; `call` hands in work and gives its result.

    Parameters
    ----------
    on_failure : called when the thread dies of a defect; nothing can be written any more.
    """

    def __init__(self, on_failure: Callable[[], None], monotonic: Callable[[], float]) -> None:
        super().__init__(name="writing", daemon=True)
        self.pipeline: Pipeline | None = None
        self.dropped: dict[str, int] = {}
        self.is_hurried = False
        self.failure: BaseException | None = None
        self._on_failure = on_failure
        self._monotonic = monotonic
        self._trades: deque[Trade] = deque()
        self._work: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._batch = SMALLEST_BATCH * 4

    # -- called from the event loop -----------------------------------------------------------

    def put(self, trade: Trade) -> None:
        """Queue a trade. When the queue is full it is dropped: its id will show as a gap."""
        if len(self._trades) < QUEUE_LIMIT:
            self._trades.append(trade)
        else:
            self.dropped[trade.symbol] = self.dropped.get(trade.symbol, 0) + 1

    def take_dropped(self) -> list[str]:
        """Symbols that trades were dropped of since the last call."""
        dropped, self.dropped = self.dropped, {}
        return list(dropped)

    @property
    def queue_depth(self) -> int:
        """Trades waiting."""
        return len(self._trades)

    async def call(self, work: Callable[[], T]) -> T:
        """Run `work` in the writing thread and wait for its result."""
        future: Future[T] = Future()
        if self._stopping or self.failure is not None:
            raise WritingEnded("the worker is ending")
        self._work.append((work, future))
        self._wake.set()
        return await asyncio.wrap_future(future)

    def finish(self, timeout_s: float) -> None:
        """Write what is queued, without pauses, and end."""
        self.is_hurried = True
        self._stopping = True
        self._wake.set()
        self.join(timeout_s)

    # -- the thread ---------------------------------------------------------------------------

    def pause(self) -> None:
        """Let other processes at the database; called after every transaction."""
        if not self.is_hurried:
            time.sleep(PAUSE_S)

    def run(self) -> None:
        try:
            while not (self._stopping and not self._trades and not self._work):
                if not self._work and len(self._trades) < self._batch and not self._stopping:
                    self._wake.wait(GATHER_S)
                self._wake.clear()
                self._write_batch()
                self._do_work()
        except BaseException as error:  # the thread's edge: the process can't go on without it
            self.failure = error
            log.exception("the writing thread died")
            self._on_failure()
        finally:
            for _, future in self._work:
                future.set_exception(WritingEnded("the worker is ending"))

    def _write_batch(self) -> None:
        size = min(len(self._trades), self._batch)
        if size == 0 or self.pipeline is None:
            return
        batch = [self._trades.popleft() for _ in range(size)]
        started = self._monotonic()
        try:
            self.pipeline.ingest(batch)
        except StoreError as error:
            self._recover(error)
            return
        spent = self._monotonic() - started
        if spent > BATCH_S:
            self._batch = max(SMALLEST_BATCH, self._batch // 2)
        elif size == self._batch:
            self._batch = min(LARGEST_BATCH, self._batch * 3 // 2)

    def _do_work(self) -> None:
        if not self._work:
            return
        work, future = self._work.popleft()
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except StoreError as error:
            future.set_exception(error)
            self._recover(error)
        except Exception as error:  # it belongs to whoever asked
            future.set_exception(error)
        else:
            future.set_result(result)

    def _recover(self, error: StoreError) -> None:
        """Start again from what is stored; what was not is a gap like any other."""
        log.error("the database refused; starting again from what is stored", reason=str(error))
        while self.pipeline is not None:
            time.sleep(RECOVERY_S)
            try:
                self.pipeline.restart()
                return
            except StoreError as again:
                log.error("the database still refuses", reason=str(again))
                if self._stopping:
                    raise
