"""What APScheduler runs while the worker lives; each job is short and none overlaps itself."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.bars import SECOND_MS
from core.errors import ExchangeError, RequestRefused, StoreError, UnknownSymbols
from core.settings import Settings
from core.types import TIMEFRAMES
from ingest.binance.rest import SETTLE_MS, RestClient
from ingest.binance.stream import TradeStream
from ingest.live.backfill import Backfill
from ingest.live.intake import ExchangeClock, Intake
from ingest.live.pipeline import GRACE_MS, Pipeline
from ingest.live.reconcile import Reconciliation
from ingest.live.repair import Repair
from ingest.live.silence import SilenceWatch
from ingest.live.stored_bars import floor_to
from ingest.live.writing_thread import Order, WritingEnded, WritingPaused, WritingThread
from ingest.store import market, process, pruning
from ingest.store.pulse import Pulse
from ingest.store.transaction import Transaction, Writer

log = structlog.get_logger()

CLOCK_GRACE_MS = 1_000
"""Where no trade tells that a second is over, the exchange's clock does, this much later."""
QUIET_S = 5.0
PROOF_AFTER_S = SETTLE_MS / 1_000 + 1.0
"""The exchange's database lags: asked sooner it may not know yet what a short absence cost."""
PRUNE_ROWS = 2_000
PRUNE_STEPS = 200
MEND_BARS = 120
MEND_DELAY_MS = 90_000
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


class Report(Protocol):
    """Gives the worker's state and what /api/status shows of it."""

    def __call__(self) -> tuple[str, Mapping[str, Any]]: ...


def start_scheduler() -> AsyncIOScheduler:
    """A scheduler whose jobs skip what they are late for instead of catching up."""
    scheduler = AsyncIOScheduler(
        timezone="UTC",
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": 30},
    )
    scheduler.start()
    return scheduler


def every(scheduler: AsyncIOScheduler, seconds: float, job: Callable[[], Awaitable[None]]) -> None:
    """Run a job at an interval; what the exchange or the database refuses is tried next time."""
    name = getattr(job, "__name__", "job")

    async def run() -> None:
        try:
            await job()
        except (WritingEnded, WritingPaused, asyncio.CancelledError):
            return  # the worker is ending, or has said why nothing is written
        except (ExchangeError, StoreError) as error:
            log.warning("a job has to wait", job=name, reason=str(error))
        except Exception:  # the scheduler's edge: the other jobs go on
            log.exception("a job failed", job=name)

    scheduler.add_job(run, "interval", seconds=seconds, id=name, name=name)


@dataclass(slots=True)
class Heartbeat:
    """Says once a second that the worker lives, through the writing thread like all writes."""

    writer: Writer
    writing: WritingThread
    report: Report
    pulse: Pulse | None = None

    async def heartbeat(self) -> None:
        """Store the worker's state; while nothing is written, say it where it needs no space."""
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
            process.save_status(tx, os.getpid(), state, int(time.time() * 1_000), payload)
        self.writing.pause()


@dataclass(slots=True)
class LiveJobs:
    """The jobs of a worker with a live feed."""

    settings: Settings
    writer: Writer
    writing: WritingThread
    pipeline: Pipeline
    rest: RestClient
    stream: TradeStream
    intake: Intake
    clock: ExchangeClock
    repair: Repair
    backfill: Backfill
    silence: SilenceWatch
    reconciliation: Reconciliation
    _doubted_at: float = field(default_factory=time.monotonic)
    _closed_second: int = 0

    def schedule(self, scheduler: AsyncIOScheduler) -> None:
        """Start all of them."""
        self.writing.after_batch = self._close_promptly
        every(scheduler, 0.25, self.close_bars)
        every(scheduler, 1.0, self.repair_gaps)
        every(scheduler, 2.0, self.ask_silent_symbols)
        every(scheduler, 60.0, self.prune)
        every(scheduler, 300.0, self.reconcile)
        every(scheduler, 60.0, self.set_clock)
        every(scheduler, 120.0, self.mend_bars)
        every(scheduler, 1_800.0, self.refresh_symbols)

    async def close_bars(self) -> None:
        """Close what event time, or with a feed that lives the exchange's clock, has passed."""
        if self.stream.state.state != "live":
            self.intake.doubt()
        await self.writing.call(self._close_bars, Order.URGENT)

    def _close_promptly(self) -> None:
        """Close a second as soon as a stored trade tells that it is over."""
        second = (self.pipeline.event_time_ms - GRACE_MS) // SECOND_MS
        if second > self._closed_second:
            self._closed_second = second
            self._close_bars()

    def _close_bars(self) -> None:
        # A doubt holds from its place in the queue on: trades before it prove nothing of it.
        if dropped := self.writing.take_dropped():
            self.pipeline.doubt(dropped)
            self._doubted_at = time.monotonic()
        if self.intake.take_doubt():
            self.pipeline.doubt()
            self._doubted_at = time.monotonic()
        if self.stream.state.state != "live":
            return
        now_ms = self.clock.now_ms()
        until = self.pipeline.event_time_ms - GRACE_MS
        # A connection that brings nothing may be dead: of what has passed since only REST can tell.
        if self.intake.is_recent(QUIET_S) and self.writing.queue_depth == 0:
            until = max(until, now_ms - CLOCK_GRACE_MS)
        self.pipeline.close_bars(min(until, now_ms))

    async def repair_gaps(self) -> None:
        """Fetch missed ids; ask for the edge of symbols that have been quiet since a doubt."""
        await self.repair.run_once()
        # The first trades after a reconnect answer for most symbols without a request.
        doubted_s = time.monotonic() - self._doubted_at
        if self.stream.state.state == "live" and doubted_s > PROOF_AFTER_S:
            await self.repair.prove()

    async def ask_silent_symbols(self) -> None:
        """Find out of symbols without a trade for a while whether their stream has stalled."""
        await self.silence.run_once(self.stream.state.silent_symbols)

    async def reconcile(self) -> None:
        """Compare our minutes with the exchange's own."""
        await self.reconciliation.run_once()

    async def prune(self) -> None:
        """Delete what retention no longer covers, a little at a time."""
        now_ms = self.clock.now_ms()
        trades_before = now_ms - self.settings.retain_trades_hours * HOUR_MS
        for chain in list(self.pipeline.chains.values()):
            await self._in_steps(
                partial(
                    pruning.prune_trades,
                    symbol_id=chain.symbol_id,
                    before_ms=trades_before,
                    limit=PRUNE_ROWS,
                )
            )
        for length in TIMEFRAMES.values():
            days = (
                self.settings.retain_1s_days if length == 1_000 else self.settings.retain_bars_days
            )
            await self._in_steps(
                partial(
                    pruning.prune_bars,
                    timeframe_ms=length,
                    before_ms=now_ms - days * DAY_MS,
                    limit=PRUNE_ROWS,
                )
            )

    async def _in_steps(self, step: Callable[[Transaction], int]) -> None:
        def work() -> int:
            with self.writer.transaction() as tx:
                deleted = step(tx)
            self.writing.pause()
            return deleted

        for _ in range(PRUNE_STEPS):
            if await self.writing.call(work) == 0:
                return

    async def set_clock(self) -> None:
        """Compare clocks with the exchange."""
        await self.clock.compare(self.rest.server_time)

    async def mend_bars(self) -> None:
        """Fetch the exchange's own bars for newer ones that are missing or incomplete."""
        if self.backfill.progress.message != "complete":
            return
        for timeframe in ("1m", "5m", "15m", "1h"):
            end_ms = floor_to(self.clock.now_ms() - MEND_DELAY_MS, TIMEFRAMES[timeframe])
            for row in self.backfill.pages(timeframe, end_ms, MEND_BARS):
                for page in row:
                    try:
                        await self.backfill.fetch(page)
                    except (RequestRefused, UnknownSymbols) as error:
                        log.warning("bars are refused", symbol=page.symbol, reason=str(error))

    async def refresh_symbols(self) -> None:
        """Take over changed descriptions, such as a halt."""
        listings = await self.rest.exchange_info(list(self.pipeline.chains))

        def save() -> None:
            with self.writer.transaction() as tx:
                market.ensure_symbols(tx, listings)
            self.writing.pause()

        await self.writing.call(save)
