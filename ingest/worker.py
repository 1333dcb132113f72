"""The worker: one process that ingests into a database, while others stand by."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.errors import SettingsError, StoreCorrupt, StoreFull
from core.report import to_mapping
from core.settings import Settings
from ingest.binance.hosts import rest_hosts, ws_hosts
from ingest.binance.stream import TradeStream
from ingest.files.recordings import find_recordings
from ingest.files.replay_feed import ReplayFeed
from ingest.live.feed import LiveFeed
from ingest.live.writing_thread import Pauses, WritingThread
from ingest.process.disk_space import DiskSpace
from ingest.process.heartbeat import Heartbeat
from ingest.process.resources import Meter
from ingest.process.source import ExchangeProcess, simulate_command
from ingest.process.turn import ended_by_signals, schedule_lock_check, take_turn
from ingest.schedule import start_scheduler
from ingest.store import process
from ingest.store.checkpoints import LogKeeper
from ingest.store.engine import open_engine, sqlite_path
from ingest.store.integrity import suspect
from ingest.store.lock import RoleLock
from ingest.store.pulse import Pulse
from ingest.store.transaction import Writer

FINISH_S = 5.0


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
        self._wall_clock = wall_clock
        self._open_stream = open_stream
        # Why the settings can't work: the last that is heard of this worker, which isn't restarted.
        self._refused = ""

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
        with ended_by_signals(self.stop):
            return await self.work()

    async def work(self) -> int:
        """Do what `run` does, in a process whose signals are its owner's."""
        return await take_turn(self._url, "worker", self._stop, self._ingest)

    async def _ingest(self, lock: RoleLock) -> int:
        """Open the database, put the parts together, and run until stopped; the exit code."""
        loop = asyncio.get_running_loop()
        engine = open_engine(self._url, checkpoints=True)
        writer = Writer(engine)
        self._take_over(writer)
        path = sqlite_path(self._url)
        pulse = None if path is None else Pulse(path)
        if pulse is not None:
            pulse.prepare()
        pauses = Pauses()
        feed = self._make_feed(writer, pauses)
        writing = WritingThread(
            feed.queue,
            feed.pipeline,
            pauses,
            on_failure=lambda: loop.call_soon_threadsafe(self.stop),
            after_batch=feed.after_batch,
            log_keeper=None if path is None else LogKeeper(engine, path),
        )
        disk = DiskSpace()
        meter = Meter()
        is_over = False

        def report() -> tuple[str, Mapping[str, Any]]:
            told = replace(
                feed.report(), paused=writing.paused, space=disk.space, resources=meter.read()
            )
            if self._refused:
                told = replace(told, feed=replace(told.feed, last_error=self._refused))
            return "stopped" if is_over else feed.state, to_mapping(told)

        writing.start()
        heartbeat = Heartbeat(writer, writing, report, pulse)
        await heartbeat.beat()
        scheduler = start_scheduler()
        heartbeat.schedule(scheduler)
        # History comes once, and tells nothing of how the database grows.
        disk.schedule(scheduler, writer, writing.call, path, lambda: feed.history.is_complete)
        schedule_lock_check(scheduler, "worker", lock, self.stop)
        try:
            task = await self._feed_until_stopped(feed, writing, scheduler)
        finally:
            await asyncio.to_thread(writing.finish, FINISH_S)
            if writing.failure is None and not writing.is_alive():
                is_over = True
                with contextlib.suppress(StoreFull):
                    heartbeat.write()
            writer.close()
        if isinstance(writing.failure, StoreCorrupt) and path is not None:
            suspect(path).touch()
        if not task.cancelled():
            task.result()
        return 0 if writing.failure is None and lock.is_held() else 1

    def _take_over(self, writer: Writer) -> None:
        writer.take_over("worker")
        with writer.transaction() as tx:
            process.name_database(tx)
            process.set_meta(tx, "source", self._settings.source_kind)
            process.set_meta(tx, "source_reason", self._reason)

    async def _feed_until_stopped(
        self, feed: LiveFeed | ReplayFeed, writing: WritingThread, scheduler: AsyncIOScheduler
    ) -> "asyncio.Task[None]":
        """Run the feed until it ends or is to stop; what became of it, with nothing scheduled."""
        task = asyncio.create_task(self._run_feed(feed, writing, scheduler))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            scheduler.shutdown(wait=False)
            stopping.cancel()
            task.cancel()
            await asyncio.wait((task,))
            if not task.cancelled() and isinstance(task.exception(), SettingsError):
                self._refused = str(task.exception())
        return task

    def _make_feed(self, writer: Writer, pauses: Pauses) -> LiveFeed | ReplayFeed:
        if self._settings.replay_path is not None:
            return ReplayFeed(find_recordings(self._settings.replay_path), writer, pauses)
        return LiveFeed(self._settings, writer, pauses, self._wall_clock, self._open_stream)

    async def _run_feed(
        self, feed: LiveFeed | ReplayFeed, writing: WritingThread, scheduler: AsyncIOScheduler
    ) -> None:
        if isinstance(feed, ReplayFeed):
            await feed.run(writing)
        elif self._settings.source_kind == "simulated":
            command = simulate_command(self._settings.simulated_symbols)
            async with contextlib.aclosing(ExchangeProcess(command)) as exchange:
                await exchange.start()
                rest, ws = (exchange.rest_url,), (exchange.ws_url,)
                await feed.run(writing, scheduler, rest, ws, beside=(exchange.keep_alive,))
        else:
            hosts = rest_hosts(self._settings), ws_hosts(self._settings)
            await feed.run(writing, scheduler, *hosts)
