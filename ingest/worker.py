"""The worker: one process that ingests into a database, while others stand by."""

import asyncio
import contextlib
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.errors import ExchangeBlocked, ExchangeError, StoreCorrupt, StoreError, StoreFull
from core.report import (
    BackfillReport,
    FeedReport,
    ReconciliationReport,
    WorkerReport,
    to_mapping,
)
from core.settings import Settings
from core.types import TIMEFRAMES
from ingest.binance.hosts import rest_hosts, ws_hosts
from ingest.binance.rest import RestClient, SymbolInfo
from ingest.binance.stream import TradeStream
from ingest.binance.weights import Hold
from ingest.files.recordings import find_recordings
from ingest.files.replay import Replay
from ingest.live.backfill import Backfill, Progress
from ingest.live.clock import ExchangeClock
from ingest.live.closing import Closing
from ingest.live.intake import Intake, quantiles
from ingest.live.pipeline import Pipeline
from ingest.live.reconcile import Findings, Reconciliation
from ingest.live.repair import Repair
from ingest.live.silence import SilenceWatch
from ingest.live.stored_bars import floor_to
from ingest.live.symbols import choose_symbols
from ingest.live.trade_queue import TradeQueue
from ingest.live.upkeep import HOUR_MS, Upkeep
from ingest.live.writing_thread import Order, Pauses, WritingThread
from ingest.process.disk_space import Growth
from ingest.process.heartbeat import Heartbeat
from ingest.process.source import SimulatedExchange, simulate_command
from ingest.schedule import every, start_scheduler
from ingest.store import process
from ingest.store.checkpoints import LogKeeper
from ingest.store.engine import open_engine, sqlite_path
from ingest.store.integrity import suspect
from ingest.store.lock import WorkerLock, worker_lock
from ingest.store.pulse import Pulse
from ingest.store.transaction import Writer

log = structlog.get_logger()

STANDBY_S = 1.0
LOCK_CHECK_S = 10.0
SPACE_S = 30.0
CONNECT_S = 2.0
FINISH_S = 5.0
RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0)


class Worker:
    """Ingests from one source into one database until stopped.

    Parameters
    ----------
    settings : with the source resolved.
    root : folder that a relative SQLite path starts from.
    source_reason : why this source, for the screen.
    wall_clock, open_stream : replaced in tests.
    """

    def __init__(
        self,
        settings: Settings,
        root: Path,
        source_reason: str = "",
        *,
        wall_clock: Callable[[], float] = time.time,
        open_stream: Callable[..., TradeStream] = TradeStream,
    ) -> None:
        self._settings = settings
        self._reason = source_reason
        self._url = settings.resolved_database_url(root)
        self._stop = asyncio.Event()
        self._state = "starting"
        self._last_error: str | None = None
        self._is_blocked = False
        self._left_out: list[str] = []
        self._progress = Progress()
        self._wall_clock = wall_clock
        self._open_stream = open_stream
        self._clock = ExchangeClock(wall_clock)
        self._growth = Growth()
        self._silence: SilenceWatch | None = None
        self._findings = Findings()
        self._queue = TradeQueue(time.monotonic)
        self._intake = Intake(self._queue, self._clock)
        self._stream: TradeStream | None = None
        self._replay: Replay | None = None

    def stop(self) -> None:
        """Write what is queued and return from `run`."""
        self._stop.set()

    async def run(self) -> int:
        """Stand by until the lock is free, then ingest; the exit code.

        Raises
        ------
        SettingsError
            The settings can't work, such as symbols that the exchange doesn't know.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            return await self.work()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                # A second order to stop, while the first is carried out, is no news.
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)

    async def work(self) -> int:
        """Do what `run` does, in a process whose signals are its owner's."""
        lock = worker_lock(self._url)
        if not await self._wait_for(lock):
            return 0
        try:
            return await self._ingest(lock)
        finally:
            lock.release()

    async def _wait_for(self, lock: WorkerLock) -> bool:
        told = False
        while not self._stop.is_set():
            try:
                if lock.acquire():
                    return True
            except StoreError as error:
                log.warning("the database can't be reached", reason=str(error))
            else:
                if not told:
                    log.info("another worker ingests; standing by")
                told = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STANDBY_S):
                    await self._stop.wait()
        return False

    async def _ingest(self, lock: WorkerLock) -> int:
        loop = asyncio.get_running_loop()
        engine = open_engine(self._url, checkpoints=True)
        writer = Writer(engine)
        writer.take_over()
        with writer.transaction() as tx:
            process.set_meta(tx, "source", self._settings.source_kind)
            process.set_meta(tx, "source_reason", self._reason)

        def stop_soon() -> None:
            loop.call_soon_threadsafe(self.stop)

        path = sqlite_path(self._url)
        pulse = log_keeper = None
        if path is not None:
            log_keeper = LogKeeper(engine, path)
            pulse = Pulse(path)
            pulse.prepare()
        pauses = Pauses()
        retain_ms = self._settings.retain_trades_hours * HOUR_MS
        pipeline = Pipeline(writer, self._now_ms, pauses, retain_ms)
        closing = Closing(self._queue, pipeline, self._intake, self._clock, self._is_live)
        writing = WritingThread(
            self._queue,
            pipeline,
            pauses,
            on_failure=stop_soon,
            after_batch=closing.after_batch,
            log_keeper=log_keeper,
        )
        writing.start()

        def report() -> tuple[str, Mapping[str, Any]]:
            return self._state, to_mapping(self._report(writing, pipeline))

        heartbeat = Heartbeat(writer, writing, report, pulse)
        await heartbeat.beat()
        scheduler = start_scheduler()
        heartbeat.schedule(scheduler)

        async def check_lock() -> None:
            if not await asyncio.to_thread(lock.is_held):
                log.error("the lock on the database was lost; another worker may have it")
                self.stop()

        every(scheduler, "check lock", LOCK_CHECK_S, check_lock)

        def measure() -> int:
            with writer.transaction() as tx:
                return process.used_bytes(tx)

        async def note_space() -> None:
            if self._progress.message == "complete":  # history comes once and tells nothing
                free = None if path is None else shutil.disk_usage(path.parent).free
                self._growth.note(await writing.call(measure), free)

        every(scheduler, "note space", SPACE_S, note_space)
        if self._settings.source_kind == "replay":
            run = self._run_replay(writing, pipeline)
        else:
            run = self._run_live(writer, writing, pipeline, closing, scheduler)
        task = asyncio.create_task(run)
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            scheduler.shutdown(wait=False)
            stopping.cancel()
            task.cancel()
            await asyncio.wait((task,))
            await asyncio.to_thread(writing.finish, FINISH_S)
            if writing.failure is None and not writing.is_alive():
                self._state = "stopped"
                with contextlib.suppress(StoreFull):
                    heartbeat.write()
            writer.close()
        if isinstance(writing.failure, StoreCorrupt) and path is not None:
            suspect(path).touch()
        if not task.cancelled():
            task.result()
        return 0 if writing.failure is None and lock.is_held() else 1

    def _report(self, writing: WritingThread, pipeline: Pipeline) -> WorkerReport:
        quarantined = 0
        if self._stream is not None:
            quarantined = self._stream.state.quarantined + self._intake.absurd + pipeline.absurd
        history, findings = self._progress, self._findings
        return WorkerReport(
            feed=self._feed_report(),
            quarantined=quarantined,
            queue_depth=len(self._queue),
            dropped=self._queue.dropped_total,
            paused=writing.paused,
            space=self._growth.space,
            backfill=BackfillReport(history.done, history.total, history.message),
            symbols_left_out=tuple(self._left_out),
            stalled_symbols=tuple(sorted(self._silence.stalled)) if self._silence else (),
            reconciliation=ReconciliationReport(
                findings.checked, findings.repaired, findings.disagreed, tuple(findings.examples)
            ),
        )

    def _feed_report(self) -> FeedReport:
        if self._stream is None:
            before = "blocked" if self._is_blocked else "connecting"
            return FeedReport(
                state=self._state if self._state in ("replaying", "ended") else before,
                trades_per_s=0.0,
                reconnects=0,
                last_error=self._last_error,
            )
        state = self._stream.state
        lag_ms_p50, lag_ms_p99 = self._intake.lags()
        lags = self._queue.take_lags()
        store_lag_ms_p50, store_lag_ms_p99 = quantiles([stored for stored, _ in lags])
        total_lag_ms_p50, total_lag_ms_p99 = quantiles([total for _, total in lags])
        return FeedReport(
            state=state.state,
            host=state.host,
            last_frame_ms=state.last_frame_ms,
            trades_per_s=self._intake.rate(),
            lag_ms_p50=lag_ms_p50,
            lag_ms_p99=lag_ms_p99,
            reconnects=state.reconnects,
            last_error=state.last_error,
            failures=state.failures,
            store_lag_ms_p50=store_lag_ms_p50,
            store_lag_ms_p99=store_lag_ms_p99,
            total_lag_ms_p50=total_lag_ms_p50,
            total_lag_ms_p99=total_lag_ms_p99,
            trades_received=self._intake.count,
        )

    # -- live ---------------------------------------------------------------------------------

    def _now_ms(self) -> int:
        """The exchange's time, and in a replay the recording's own."""
        return self._clock.now_ms() if self._replay is None else self._replay.clock_ms()

    def _is_live(self) -> bool:
        return self._stream is not None and self._stream.state.state == "live"

    async def _run_live(
        self,
        writer: Writer,
        writing: WritingThread,
        pipeline: Pipeline,
        closing: Closing,
        scheduler: AsyncIOScheduler,
    ) -> None:
        async with contextlib.AsyncExitStack() as stack:
            rest_urls, ws_urls = rest_hosts(self._settings), ws_hosts(self._settings)
            keep_exchange_alive = None
            if self._settings.source_kind == "simulated":
                exchange = SimulatedExchange(simulate_command())
                stack.push_async_callback(exchange.aclose)
                await exchange.start()
                rest_urls, ws_urls = (exchange.rest_url,), (exchange.ws_url,)
                keep_exchange_alive = exchange.keep_alive
            hold = Hold()
            rest = RestClient(rest_urls, wall_clock=self._wall_clock, hold=hold)
            stack.push_async_callback(rest.aclose)
            listings = await self._find_symbols(rest)
            urgently = partial(writing.call, order=Order.URGENT)
            await urgently(lambda: pipeline.start(listings))

            symbols = [listing.symbol for listing in listings]
            stream = self._stream = self._open_stream(
                ws_urls,
                symbols,
                self._intake.take,
                on_connected=self._intake.doubt,
                hold=hold,
                wall_clock=self._wall_clock,
            )
            backfill = Backfill(
                rest,
                writing.call,
                pipeline,
                symbols,
                self._settings.backfill_days,
                progress=self._progress,
            )
            now_ms = self._clock.now_ms
            ids_first = partial(writing.call, order=Order.IDS)
            repair = Repair(
                rest,
                ids_first,
                pipeline,
                now_ms,
                time.monotonic,
                self._settings.retain_trades_hours * HOUR_MS,
                backfill.bridge,
            )
            self._silence = SilenceWatch(
                rest, ids_first, pipeline, now_ms, time.monotonic, stream.resubscribe
            )
            reconciliation = Reconciliation(rest, writing.call, pipeline, now_ms, self._findings)
            upkeep = Upkeep(self._settings, writer, writing, pipeline, backfill, rest, now_ms)
            self._state = "running"
            async with asyncio.TaskGroup() as group:
                group.create_task(stream.run())
                closing.schedule(scheduler, urgently)
                repair.schedule(scheduler, closing.is_settled)
                self._silence.schedule(scheduler, lambda: stream.state.silent_symbols)
                self._clock.schedule(scheduler, rest.server_time)
                reconciliation.schedule(scheduler)
                upkeep.schedule(scheduler)
                group.create_task(self._history(backfill, stream))
                if keep_exchange_alive is not None:
                    group.create_task(keep_exchange_alive())

    async def _history(self, backfill: Backfill, stream: TradeStream) -> None:
        """Subscribe first, then fetch what lies before: nothing falls in between."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                await stream.connected.wait()
        await backfill.run(floor_to(self._clock.now_ms(), TIMEFRAMES["1m"]))

    async def _find_symbols(self, rest: RestClient) -> list[SymbolInfo]:
        """Ask the exchange which symbols there are; keep asking while it can't be reached."""
        tries = 0
        while True:
            try:
                await self._clock.compare(rest.server_time)
                choice = await choose_symbols(self._settings, rest)
                break
            except ExchangeError as error:
                self._state, self._last_error = "waiting", str(error)
                self._is_blocked = isinstance(error, ExchangeBlocked)
                delay = RETRY_S[min(tries, len(RETRY_S) - 1)]
                tries += 1
                log.warning("the exchange can't be reached", reason=str(error), delay_s=delay)
                await asyncio.sleep(delay)
        self._left_out = choice.left_out
        if choice.left_out:
            log.warning("unknown symbols are left out", symbols=", ".join(choice.left_out))
        return choice.listings

    # -- replay -------------------------------------------------------------------------------

    async def _run_replay(self, writing: WritingThread, pipeline: Pipeline) -> None:
        """Send a recording through as fast as possible, then keep it on show."""
        loop = asyncio.get_running_loop()

        def write(work: Callable[[], None]) -> None:
            asyncio.run_coroutine_threadsafe(writing.call(work), loop).result()

        replay = self._replay = Replay(
            find_recordings(self._settings.replay_path or ""),
            write=write,
            should_stop=self._stop.is_set,
        )
        self._state = self._progress.message = "replaying"
        symbols = await asyncio.to_thread(replay.symbols)
        await writing.call(lambda: pipeline.start(symbols, keep_existing=True))
        result = await asyncio.to_thread(replay.run, pipeline)
        unread = result.unread.words()
        self._state = "ended"
        self._progress.message = "the recording has ended" + (f"; {unread}" if unread else "")
        log.info("replayed", what=result.words())
        await self._stop.wait()
