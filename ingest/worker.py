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
from core.settings import Settings
from core.types import TIMEFRAMES
from ingest.binance.hosts import rest_hosts, ws_hosts
from ingest.binance.rest import RestClient, SymbolInfo
from ingest.binance.stream import TradeStream
from ingest.binance.weights import Hold
from ingest.files.replay import Replay, find_recordings
from ingest.live.backfill import Backfill, Progress
from ingest.live.intake import ExchangeClock, Intake, quantiles
from ingest.live.jobs import HOUR_MS, Heartbeat, LiveJobs, every, start_scheduler
from ingest.live.pipeline import Pipeline
from ingest.live.reconcile import Findings, Reconciliation
from ingest.live.repair import Repair
from ingest.live.silence import SilenceWatch
from ingest.live.stored_bars import floor_to
from ingest.live.symbols import choose_symbols
from ingest.live.writing_thread import Order, WritingThread
from ingest.process.disk_space import Growth
from ingest.process.source import SimulatedExchange, simulate_command
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
        self._stream: TradeStream | None = None
        self._intake: Intake | None = None

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

        writing = WritingThread(stop_soon, time.monotonic)
        path = sqlite_path(self._url)
        pulse = None
        if path is not None:
            writing.log_keeper = LogKeeper(engine, path)
            pulse = Pulse(path)
            pulse.prepare()
        writing.start()
        heartbeat = Heartbeat(writer, writing, lambda: (self._state, self._payload(writing)), pulse)
        await heartbeat.heartbeat()
        scheduler = start_scheduler()
        every(scheduler, 1.0, heartbeat.heartbeat)

        async def check_lock() -> None:
            if not await asyncio.to_thread(lock.is_held):
                log.error("the lock on the database was lost; another worker may have it")
                self.stop()

        every(scheduler, LOCK_CHECK_S, check_lock)

        def measure() -> int:
            with writer.transaction() as tx:
                return process.used_bytes(tx)

        async def note_space() -> None:
            if self._progress.message == "complete":  # history comes once and tells nothing
                free = None if path is None else shutil.disk_usage(path.parent).free
                self._growth.note(await writing.call(measure), free)

        every(scheduler, SPACE_S, note_space)
        run = self._replay if self._settings.source_kind == "replay" else self._live
        task = asyncio.create_task(run(writer, writing, scheduler))
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

    def _payload(self, writing: WritingThread) -> Mapping[str, Any]:
        before = "blocked" if self._is_blocked else "connecting"
        feed: dict[str, Any] = {
            "state": self._state if self._state in ("replaying", "ended") else before,
            "host": None,
            "last_frame_ms": None,
            "trades_per_s": 0.0,
            "lag_ms_p50": None,
            "lag_ms_p99": None,
            "reconnects": 0,
            "last_error": self._last_error,
        }
        quarantined = 0
        if self._stream is not None and self._intake is not None:
            state = self._stream.state
            median, high = self._intake.lags()
            feed |= {
                "state": state.state,
                "host": state.host,
                "last_frame_ms": state.last_frame_ms,
                "trades_per_s": self._intake.rate(),
                "lag_ms_p50": median,
                "lag_ms_p99": high,
                "reconnects": state.reconnects,
                "last_error": state.last_error,
                "failures": state.failures,
                "trades_received": self._intake.count,
            }
            lags = writing.take_lags()
            for name, samples in (
                ("store_lag_ms", [stored for stored, _ in lags]),
                ("total_lag_ms", [total for _, total in lags]),
            ):
                feed[f"{name}_p50"], feed[f"{name}_p99"] = quantiles(samples)
            quarantined = state.quarantined + self._intake.absurd
            if writing.pipeline is not None:
                quarantined += writing.pipeline.absurd
        return {
            "feed": feed,
            "quarantined": quarantined,
            "queue_depth": writing.queue_depth,
            "dropped": writing.dropped_total,
            "paused": writing.paused._asdict() if writing.paused else None,
            "space": self._growth.space._asdict(),
            "backfill": {
                "done": self._progress.done,
                "total": self._progress.total,
                "message": self._progress.message,
            },
            "symbols_left_out": self._left_out,
            "stalled_symbols": sorted(self._silence.stalled) if self._silence else [],
            "reconciliation": self._findings.as_dict(),
        }

    # -- live ---------------------------------------------------------------------------------

    async def _live(
        self, writer: Writer, writing: WritingThread, scheduler: AsyncIOScheduler
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
            retain_ms = self._settings.retain_trades_hours * HOUR_MS
            pipeline = Pipeline(writer, self._clock.now_ms, writing.pause, retain_ms)
            await writing.call(lambda: pipeline.start(listings), Order.URGENT)
            writing.pipeline = pipeline

            symbols = [listing.symbol for listing in listings]
            intake = self._intake = Intake(writing, self._clock)
            stream = self._stream = self._open_stream(
                ws_urls,
                symbols,
                intake.take,
                on_connected=intake.doubt,
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
                rest, ids_first, pipeline, now_ms, time.monotonic, retain_ms, backfill.bridge
            )
            self._silence = SilenceWatch(
                rest, ids_first, pipeline, now_ms, time.monotonic, stream.resubscribe
            )
            jobs = LiveJobs(
                self._settings,
                writer,
                writing,
                pipeline,
                rest,
                stream,
                intake,
                self._clock,
                repair,
                backfill,
                self._silence,
                Reconciliation(rest, writing.call, pipeline, now_ms, self._findings),
            )
            self._state = "running"
            async with asyncio.TaskGroup() as group:
                group.create_task(stream.run())
                jobs.schedule(scheduler)
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

    async def _replay(
        self, writer: Writer, writing: WritingThread, _scheduler: AsyncIOScheduler
    ) -> None:
        """Send a recording through as fast as possible, then keep it on show."""
        loop = asyncio.get_running_loop()

        def write(work: Callable[[], None]) -> None:
            asyncio.run_coroutine_threadsafe(writing.call(work), loop).result()

        replay = Replay(
            find_recordings(self._settings.replay_path or ""),
            write=write,
            should_stop=self._stop.is_set,
        )
        pipeline = Pipeline(writer, replay.clock_ms, writing.pause)
        self._state = self._progress.message = "replaying"
        symbols = await asyncio.to_thread(replay.symbols)
        await writing.call(lambda: pipeline.start(symbols, keep_existing=True))
        result = await asyncio.to_thread(replay.run, pipeline)
        self._state, self._progress.message = "ended", "the recording has ended"
        log.info("replayed", trades=result.trades, others=result.others, broken=result.broken)
        await self._stop.wait()
