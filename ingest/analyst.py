"""The analyst: one process that judges the user's rules on closed bars and has jobs done, while
others stand by."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.errors import StoreError
from core.report import AnalystReport, WorkerReport, from_mapping, to_mapping
from core.rule_spec import HEARTBEAT
from core.settings import Settings
from ingest.analysis.jobs import JobDesk
from ingest.analysis.scan_times import ScanTimes
from ingest.live.clock import ExchangeClock
from ingest.process.resources import Meter
from ingest.process.turn import ended_by_signals, schedule_lock_check, take_turn
from ingest.schedule import every, start_scheduler
from ingest.store import process
from ingest.store.lock import RoleLock
from ingest.store.reader import Reader
from ingest.store.transaction import durable_writer

if TYPE_CHECKING:
    from ingest.analysis.delivery import Courier, Parcel
    from ingest.analysis.evaluation import Evaluation

log = structlog.get_logger()

LOOK_EVERY_S = 0.2
BEAT_S = 1.0
DELIVER_EVERY_S = 1.0
PRUNE_EVERY_S = 2.0
JOBS_EVERY_S = 0.5
SCAN_LOOK_EVERY_S = 5.0
PING_S = 60.0
FINISH_S = 4.0
FRESH_S = 30.0
JUMP_S = 5.0
"""A heartbeat of the worker that is farther off was written under another clock, or long ago."""
Arguments = TypeVarTuple("Arguments")
Value = TypeVar("Value")


class Analyst:
    """Judges every rule of one database until stopped.

    Parameters
    ----------
    root : folder that a relative SQLite path starts from.
    environ : of the processes that jobs are done in.
    """

    def __init__(self, settings: Settings, root: Path, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._root = root
        self._environ = environ
        self._url = settings.resolved_database_url(root)
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Finish what is being judged and return from `run`."""
        self._stop.set()

    async def run(self) -> int:
        """Stand by until the lock is free, then judge; the exit code."""
        with ended_by_signals(self.stop):
            return await self.work()

    async def work(self) -> int:
        """Do what `run` does, in a process whose signals are its owner's."""
        return await take_turn(self._url, "analyst", self._stop, self._judge)

    async def _judge(self, lock: RoleLock) -> int:
        duties = Duties(self._settings, self._url, self._root, self._environ)
        scheduler = start_scheduler()
        await duties.beat()
        duties.schedule(scheduler)
        schedule_lock_check(scheduler, "analyst", lock, self.stop)
        try:
            await self._stop.wait()
        finally:
            scheduler.shutdown(wait=False)
            await duties.end()
        return 0 if lock.is_held() else 1


class Duties:
    """What an analyst does while it has the lock, on one reader and one writer.

    What computes is loaded when there is a first rule: a desk without any has a lean analyst.

    Parameters
    ----------
    wall_clock : this machine's own clock, which may be wrong and may be set.
    """

    def __init__(
        self,
        settings: Settings,
        url: str,
        root: Path,
        environ: Mapping[str, str],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._writer, self._reader = durable_writer(url), Reader(url)
        self._writer.take_over("analyst")
        self._wall_clock = wall_clock
        self._clock = ExchangeClock(wall_clock)
        self._one_at_a_time = asyncio.Lock()
        self._evaluation: Evaluation | None = None
        self._courier: Courier | None = None
        now_ms = self._clock.now_ms
        self._jobs = JobDesk(self._reader, self._writer, now_ms, root, environ)
        self._scans = ScanTimes(self._reader, self._writer, settings, now_ms)
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._last_error: str | None = None
        self._meter = Meter()
        self._ping_ms: int | None = None
        self._ping_error: str | None = None

    def schedule(self, scheduler: AsyncIOScheduler) -> None:
        """Do each from now on."""
        every(scheduler, "heartbeat", BEAT_S, self.beat)
        every(scheduler, "judge", LOOK_EVERY_S, self.look)
        every(scheduler, "deliver", DELIVER_EVERY_S, self._deliver)
        every(scheduler, "prune", PRUNE_EVERY_S, self._prune)
        every(scheduler, "have jobs done", JOBS_EVERY_S, self._have_jobs_done)
        every(scheduler, "have the market scanned", SCAN_LOOK_EVERY_S, self._have_scanned)
        every(scheduler, "ask the dead man's switch", PING_S, self.ping)

    async def end(self) -> None:
        """Note what has been sent, say the last word, and close."""
        if self._sending:  # or it would be sent again
            await asyncio.wait(self._sending.values(), timeout=FINISH_S)
        await self._in_turn(self._say_last)
        self._writer.close()
        self._reader.close()

    async def beat(self) -> None:
        """Say that the analyst lives, and how it is; keep to the exchange's clock."""
        await self._in_turn(self._report, "running")
        await asyncio.to_thread(self._set_clock)

    async def look(self) -> None:
        """Judge what has closed since the last look."""
        if self._evaluation is None:
            if not await asyncio.to_thread(self._reader.rule_versions):
                return
            # Beside the heartbeat: where nothing is compiled yet it takes a minute.
            self._evaluation = await asyncio.to_thread(self._open_evaluation)
        await self._in_turn(self._evaluate, self._evaluation)

    def _set_clock(self) -> None:
        """Follow the exchange's clock as the worker has measured it: it alone judges freshness."""
        worker = self._reader.status("worker")
        if worker is None:
            return
        ahead_ms = from_mapping(WorkerReport, worker.payload).clock_offset_ms
        waited_s = self._wall_clock() - worker.heartbeat_ms / 1_000
        if ahead_ms is not None and abs(waited_s) < JUMP_S:
            self._clock.follow(ahead_ms)

    async def _prune(self) -> None:
        if self._evaluation is not None:
            days = self._settings.retain_1s_days, self._settings.retain_bars_days
            await self._in_turn(self._evaluation.prune, *days)

    async def _have_jobs_done(self) -> None:
        await self._in_turn(self._jobs.look)

    async def _have_scanned(self) -> None:
        await self._in_turn(self._scans.look)

    async def _deliver(self) -> None:
        """Send to each channel beside the others: one that hangs holds up none."""
        if not self._settings.channels and self._settings.heartbeat_url is None:
            return
        if self._courier is None:
            self._courier = await asyncio.to_thread(self._open_courier)
        courier = self._courier
        for parcel in await self._in_turn(courier.due):
            if parcel.channel not in self._sending:
                task = asyncio.create_task(self._send(courier, parcel))
                self._sending[parcel.channel] = task

    async def _send(self, courier: "Courier", parcel: "Parcel") -> None:
        try:
            refusal = await asyncio.to_thread(courier.send, parcel)
            await self._in_turn(courier.note, parcel, refusal)
        except StoreError as error:
            log.warning("what was sent can't be noted", reason=str(error))
        finally:
            del self._sending[parcel.channel]

    async def ping(self) -> None:
        """Ask the user's dead man's switch, where there is one."""
        url = self._settings.heartbeat_url
        if url is not None:
            await asyncio.to_thread(self._ask_switch, url.get_secret_value())

    async def _in_turn(
        self, function: Callable[[*Arguments], Value], *arguments: *Arguments
    ) -> Value:
        """Run what writes in a thread, one after the other."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(function, *arguments)

    def _open_evaluation(self) -> "Evaluation":
        started = time.perf_counter()
        from ingest.analysis.evaluation import Evaluation
        from ingest.analysis.figures import warm_up

        warm_up()
        log.info("the analyst has rules to judge", seconds=round(time.perf_counter() - started, 2))
        return Evaluation(self._reader, self._writer, self._clock.now_ms)

    def _open_courier(self) -> "Courier":
        """The channels, and the dead man's switch beside them: it takes nothing but tries."""
        from ingest.analysis.channels import open_channels, open_heartbeat
        from ingest.analysis.delivery import Courier
        from ingest.binance.proxies import Proxies

        now_ms = self._clock.now_ms
        channels = open_channels(self._settings, lambda: now_ms() / 1_000)
        url = self._settings.heartbeat_url
        if url is not None:
            channels[HEARTBEAT] = open_heartbeat(url.get_secret_value(), Proxies.of(self._settings))
        return Courier(self._reader, self._writer, channels, self._settings.page_address, now_ms)

    def _evaluate(self, evaluation: "Evaluation") -> None:
        try:
            evaluation.look()
        except StoreError as error:
            self._last_error = error.public
            raise
        self._last_error = None

    def _ask_switch(self, url: str) -> None:
        """Tell the user's dead man's switch that feed, store and evaluation are well."""
        if self._last_error is not None or not self._is_well():
            self._ping_error = "not asked: feed, store or evaluation are not well"
            return
        from ingest.analysis import channels
        from ingest.binance.proxies import Proxies

        reason = channels.ping(url, Proxies.of(self._settings))
        self._ping_ms, self._ping_error = int(self._wall_clock() * 1_000), reason or None
        if reason:
            log.warning("HEARTBEAT_URL did not answer", reason=reason)

    def _is_well(self) -> bool:
        """Whether the worker lives, stores what it gets, and gets something."""
        worker = self._reader.status("worker")
        if worker is None or worker.state == "paused":
            return False
        if self._wall_clock() - worker.heartbeat_ms / 1_000 > FRESH_S:
            return False
        feed = from_mapping(WorkerReport, worker.payload).feed
        last_ms = feed.last_frame_ms
        is_fresh = last_ms is not None and self._clock.now_ms() - last_ms <= FRESH_S * 1_000
        return feed.state == "live" and is_fresh

    def _report(self, state: str) -> None:
        report = AnalystReport(
            delivered=self._courier.delivered if self._courier else 0,
            failed=self._courier.failed if self._courier else 0,
            ping_ms=self._ping_ms,
            ping_error=self._ping_error,
            jobs=dict(self._jobs.ended),
            scans=self._jobs.scans,
            last_error=self._last_error,
            resources=self._meter.read(),
        )
        if self._evaluation is not None:
            tally = self._evaluation.tally
            report = replace(
                report,
                rules=tally.rules,
                late_ms_p99=self._evaluation.late_ms_p99,
                judging_ms_p99=self._evaluation.judging_ms_p99,
                judged=tally.judged,
                judged_late=tally.late,
                fired=tally.fired,
            )
        now_ms = int(self._wall_clock() * 1_000)
        with self._writer.transaction() as tx:
            process.save_status(tx, "analyst", os.getpid(), state, now_ms, to_mapping(report))

    def _say_last(self) -> None:
        try:
            self._jobs.close()
            self._report("stopped")
        except StoreError as error:
            log.warning("the last word can't be stored", reason=str(error))
