"""The one thread that writes: batches of live trades and the jobs' own work take turns in it."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

import structlog

from core.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull
from core.types import Trade
from ingest.live.pipeline import Pipeline
from ingest.store.checkpoints import LogKeeper

log = structlog.get_logger()
T = TypeVar("T")

QUEUE_LIMIT = 100_000
GATHER_S = 0.05
PAUSE_S = 0.02
BATCH_S = 0.08
SMALLEST_BATCH, LARGEST_BATCH = 500, 20_000
RECOVERY_S = 1.0
LAG_SAMPLES = 2_000
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


class WritingEnded(StoreError):
    """Nothing is written any more: the worker is ending."""


class WritingPaused(StoreError):
    """Nothing is written at the moment; trades are kept, other work is to come again."""


class Pause(NamedTuple):
    """Why nothing is written, and since when."""

    reason: str
    since_ms: int


class WritingThread(threading.Thread):
    """Owns the pipeline. `put` never waits; `call` hands in work and gives its result.

    While the disk is full or the database held, trades stay queued up to the limit and work is
    refused with `WritingPaused`; it goes on by itself.

    Parameters
    ----------
    on_failure : called when the thread dies of a defect; nothing can be written any more.
    """

    def __init__(self, on_failure: Callable[[], None], monotonic: Callable[[], float]) -> None:
        super().__init__(name="writing", daemon=True)
        self.pipeline: Pipeline | None = None
        self.is_hurried = False
        self.failure: BaseException | None = None
        self.paused: Pause | None = None
        self.log_keeper: LogKeeper | None = None
        # Called when a batch has been stored: it may have told that a second is over.
        self.after_batch: Callable[[], None] = lambda: None
        self.dropped_total = 0
        # How many trades were ever queued, and how many of them have left the queue again.
        self.put_count = 0
        self.written_count = 0
        # By symbol: the count when a trade of it was dropped last.
        self._dropped: dict[str, int] = {}
        # Of some trades: how many were put until then, when, and how late they were by then.
        self._marks: deque[tuple[int, float, float]] = deque()
        self._lags: deque[tuple[float, float]] = deque(maxlen=LAG_SAMPLES)
        # What is in memory may be ahead of what is stored.
        self._is_stale = False
        self._on_failure = on_failure
        self._monotonic = monotonic
        self._trades: deque[Trade] = deque()
        self._work: tuple[deque[tuple[Callable[[], Any], Future[Any]]], ...] = tuple(
            deque() for _ in Order
        )
        self._turn = Order.IDS
        self._wake = threading.Event()
        self._stopping = False
        self._batch = SMALLEST_BATCH * 4

    # -- called from the event loop -----------------------------------------------------------

    def put(self, trade: Trade) -> None:
        """Queue a trade. When the queue is full it is dropped: its id will show as a gap."""
        if len(self._trades) < QUEUE_LIMIT:
            self._trades.append(trade)
            self.put_count += 1
        else:
            self._dropped[trade.symbol] = self.put_count
            self.dropped_total += 1

    def mark(self, lag_ms: float) -> None:
        """Measure when the trade put next is stored; `lag_ms` is how late it came in."""
        if len(self._marks) < LAG_SAMPLES:
            self._marks.append((self.put_count + 1, self._monotonic(), lag_ms))

    def take_lags(self) -> list[tuple[float, float]]:
        """Of marked trades stored since the last call: ms from receipt, and ms from the event."""
        lags = list(self._lags)
        self._lags.clear()
        return lags

    def take_dropped(self) -> list[str]:
        """Symbols that trades were dropped of, once all is written that was queued before.

        Not earlier: an older trade that is written afterwards would be taken for the live edge.
        """
        due = [name for name, count in tuple(self._dropped.items()) if count <= self.written_count]
        for name in due:
            # Another one may have been dropped meanwhile.
            count = self._dropped.pop(name)
            if count > self.written_count:
                self._dropped.setdefault(name, count)
        return due

    @property
    def queue_depth(self) -> int:
        """Trades waiting."""
        return len(self._trades)

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
            while not (self._stopping and not self._trades and not self._waiting):
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
        if self.log_keeper is not None and self.log_keeper.pace_s and not self._stopping:
            deadline = self._monotonic() + self.log_keeper.pace_s
            while self._monotonic() < deadline and self.log_keeper.pace_s and not self._stopping:
                time.sleep(GATHER_S)
                self.log_keeper.look()
        elif not self._waiting and len(self._trades) < self._batch and not self._stopping:
            self._wake.wait(GATHER_S)

    def _write_round(self) -> bool:
        """Write a batch and do one piece of work; False when the database refused for now."""
        if self.log_keeper is None or not self.log_keeper.pace_s:
            self._write_batch(self._batch)
            if not self._is_stale:
                self._do_work()
            return not self._is_stale
        # Few transactions: each one puts every page that it touches into the log once more.
        for _ in range(len(self._trades) // LARGEST_BATCH + 1):
            if not self._is_stale and not self.log_keeper.is_full:
                self._write_batch(LARGEST_BATCH)
        for _ in range(self._waiting):
            if not self._is_stale and not self.log_keeper.is_full:
                self._do_work()
        return not self._is_stale

    def _write_batch(self, limit: int) -> None:
        size = min(len(self._trades), limit)
        if size == 0 or self.pipeline is None:
            return
        batch = [self._trades.popleft() for _ in range(size)]
        started = self._monotonic()
        try:
            self.pipeline.ingest(batch)
        except _PASSING as error:
            self._trades.extendleft(reversed(batch))
            self._pause_for(error)
            return
        except StoreError as error:
            self.written_count += size
            self._recover(error)
            return
        self.written_count += size
        self._note_lags()
        spent = self._monotonic() - started
        if spent > BATCH_S:
            self._batch = max(SMALLEST_BATCH, self._batch // 2)
        elif size == self._batch:
            self._batch = min(LARGEST_BATCH, self._batch * 3 // 2)
        try:
            self.after_batch()
        except _PASSING as error:
            self._pause_for(error)
        except StoreError as error:
            self._recover(error)

    def _note_lags(self) -> None:
        now = self._monotonic()
        while self._marks and self._marks[0][0] <= self.written_count:
            _, received_at, lag_ms = self._marks.popleft()
            stored_ms = (now - received_at) * 1_000.0
            self._lags.append((stored_ms, lag_ms + stored_ms))

    def _do_work(self) -> None:
        order = self._next_order()
        if order is None:
            return
        work, future = self._work[order].popleft()
        if not future.set_running_or_notify_cancel():
            return
        if order is not Order.URGENT and self.log_keeper is not None and self.log_keeper.pace_s:
            future.set_exception(WritingPaused(LOG_HELD))
            return
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
        if self.log_keeper is not None:
            self.log_keeper.look()
            if self.log_keeper.is_full and not self._stopping:
                self._note_pause(LOG_HELD)
                return False
        try:
            if self._is_stale and self.pipeline is not None:
                self.pipeline.probe()
                self.pipeline.restart()
        except _PASSING as error:
            self._pause_for(error)
            return False
        self._is_stale = False
        return True

    def _note_resumed(self) -> None:
        if self.paused is not None:
            log.info("writing again", queued=len(self._trades), dropped=self.dropped_total)
            self.paused = None

    def _pause_for(self, error: StoreError) -> None:
        self._is_stale = True
        self._note_pause(str(error))

    def _note_pause(self, reason: str) -> None:
        if self.paused is None:
            log.error("writing pauses; trades are kept", reason=reason)
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
        while self.pipeline is not None:
            time.sleep(RECOVERY_S)
            try:
                self.pipeline.restart()
                return
            except _PASSING as again:
                self._pause_for(again)
                return
            except StoreError as again:
                log.error("the database still refuses", reason=str(again))
                if self._stopping or isinstance(again, StoreCorrupt):
                    raise
