"""The analyst: one process that judges the user's rules on closed bars and has jobs done, while
others stand by."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import structlog

from core.errors import StoreError
from core.report import AnalystReport, ScanReport, WorkerReport, from_mapping, to_mapping
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
from ingest.store.transaction import Writer, durable_writer

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
Value = TypeVar("Value")


class Analyst:
    """Judges every rule of one database until stopped.

    What computes is loaded when there is a first rule: a desk without any has a lean analyst.

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
        self._clock = ExchangeClock()
        self._one_at_a_time = asyncio.Lock()
        self._evaluation: Evaluation | None = None
        self._courier: Courier | None = None
        self._jobs: JobDesk | None = None
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._last_error: str | None = None
        self._meter = Meter()
        self._ping_ms: int | None = None
        self._ping_error: str | None = None

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
        writer, reader = durable_writer(self._url), Reader(self._url)
        writer.take_over("analyst")
        scheduler = start_scheduler()

        async def beat() -> None:
            await self._in_turn(lambda: self._beat(writer, "running"))

        async def look() -> None:
            if self._evaluation is None:
                if not await asyncio.to_thread(reader.rule_versions):
                    return
                # Beside the heartbeat: where nothing is compiled yet it takes a minute.
                self._evaluation = await asyncio.to_thread(self._open, reader, writer)
            evaluation = self._evaluation
            await self._in_turn(lambda: self._look(evaluation))

        async def deliver() -> None:
            if self._settings.channels or self._settings.heartbeat_url is not None:
                if self._courier is None:
                    self._courier = await asyncio.to_thread(self._open_courier, reader, writer)
                await self._deliver(self._courier)

        async def prune() -> None:
            evaluation, days = self._evaluation, self._settings
            if evaluation is not None:
                await self._in_turn(
                    lambda: evaluation.prune(days.retain_1s_days, days.retain_bars_days)
                )

        desk = self._jobs = JobDesk(reader, writer, self._clock.now_ms, self._root, self._environ)
        scans = ScanTimes(reader, writer, self._settings, self._clock.now_ms)

        async def have_jobs_done() -> None:
            await self._in_turn(desk.look)

        async def have_scanned() -> None:
            await self._in_turn(scans.look)

        async def ping() -> None:
            url = self._settings.heartbeat_url
            if url is not None:
                await asyncio.to_thread(self._ping, reader, url.get_secret_value())

        await beat()
        every(scheduler, "heartbeat", BEAT_S, beat)
        every(scheduler, "judge", LOOK_EVERY_S, look)
        every(scheduler, "deliver", DELIVER_EVERY_S, deliver)
        every(scheduler, "prune", PRUNE_EVERY_S, prune)
        every(scheduler, "have jobs done", JOBS_EVERY_S, have_jobs_done)
        every(scheduler, "have the market scanned", SCAN_LOOK_EVERY_S, have_scanned)
        every(scheduler, "ask the dead man's switch", PING_S, ping)
        schedule_lock_check(scheduler, "analyst", lock, self.stop)
        try:
            await self._stop.wait()
        finally:
            scheduler.shutdown(wait=False)
            if self._sending:  # what was sent is noted, or it would be sent again
                await asyncio.wait(self._sending.values(), timeout=FINISH_S)
            await self._in_turn(lambda: self._end(writer, desk))
            writer.close()
            reader.close()
        return 0 if lock.is_held() else 1

    async def _deliver(self, courier: "Courier") -> None:
        """Send to each channel beside the others: one that hangs holds up none."""
        for parcel in await self._in_turn(courier.due):
            if parcel.channel not in self._sending:
                task = asyncio.create_task(self._send(courier, parcel))
                self._sending[parcel.channel] = task

    async def _send(self, courier: "Courier", parcel: "Parcel") -> None:
        try:
            refusal = await asyncio.to_thread(courier.send, parcel)
            await self._in_turn(lambda: courier.note(parcel, refusal))
        except StoreError as error:
            log.warning("what was sent can't be noted", reason=str(error))
        finally:
            del self._sending[parcel.channel]

    def _open_courier(self, reader: Reader, writer: Writer) -> "Courier":
        """The channels, and the dead man's switch beside them: it takes nothing but tries."""
        from ingest.analysis.channels import open_channels, open_heartbeat
        from ingest.analysis.delivery import Courier

        now_ms = self._clock.now_ms
        channels = open_channels(self._settings, lambda: now_ms() / 1_000)
        url = self._settings.heartbeat_url
        if url is not None:
            channels[HEARTBEAT] = open_heartbeat(url.get_secret_value())
        return Courier(reader, writer, channels, self._settings.page_address, now_ms)

    def _ping(self, reader: Reader, url: str) -> None:
        """Tell the user's dead man's switch that feed, store and evaluation are well."""
        if self._last_error is not None or not is_well(reader, time.time()):
            self._ping_error = "not asked: feed, store or evaluation are not well"
            return
        from ingest.analysis import channels

        reason = channels.ping(url)
        self._ping_ms, self._ping_error = int(time.time() * 1_000), reason or None
        if reason:
            log.warning("HEARTBEAT_URL did not answer", reason=reason)

    async def _in_turn(self, function: Callable[[], Value]) -> Value:
        """Run what writes in a thread, one after the other."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(function)

    def _open(self, reader: Reader, writer: Writer) -> "Evaluation":
        started = time.perf_counter()
        from ingest.analysis.evaluation import Evaluation
        from ingest.analysis.figures import warm_up

        warm_up()
        log.info("the analyst has rules to judge", seconds=round(time.perf_counter() - started, 2))
        return Evaluation(reader, writer, self._clock.now_ms)

    def _look(self, evaluation: "Evaluation") -> None:
        try:
            evaluation.look()
        except StoreError as error:
            self._last_error = error.public
            raise
        self._last_error = None

    def _beat(self, writer: Writer, state: str) -> None:
        report = AnalystReport(
            delivered=self._courier.delivered if self._courier else 0,
            failed=self._courier.failed if self._courier else 0,
            ping_ms=self._ping_ms,
            ping_error=self._ping_error,
            jobs=dict(self._jobs.ended) if self._jobs else {},
            scans=self._jobs.scans if self._jobs else ScanReport(),
            last_error=self._last_error,
            resources=self._meter.read(),
        )
        if self._evaluation is not None:
            tally = self._evaluation.tally
            report = replace(
                report,
                rules=tally.rules,
                late_ms_p99=self._evaluation.late_ms_p99,
                judged=tally.judged,
                judged_late=tally.late,
                fired=tally.fired,
            )
        now_ms = int(time.time() * 1_000)
        with writer.transaction() as tx:
            process.save_status(tx, "analyst", os.getpid(), state, now_ms, to_mapping(report))

    def _end(self, writer: Writer, desk: JobDesk) -> None:
        try:
            desk.close()
            self._beat(writer, "stopped")
        except StoreError as error:
            log.warning("the last word can't be stored", reason=str(error))


def is_well(reader: Reader, now_s: float) -> bool:
    """Whether the worker lives, stores what it gets, and gets something."""
    worker = reader.status("worker")
    if worker is None or worker.state == "paused" or now_s - worker.heartbeat_ms / 1_000 > FRESH_S:
        return False
    feed = from_mapping(WorkerReport, worker.payload).feed
    last_ms = feed.last_frame_ms
    return feed.state == "live" and last_ms is not None and now_s - last_ms / 1_000 <= FRESH_S
