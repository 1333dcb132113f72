"""The analyst: one process that judges the user's rules on closed bars, while others stand by."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import structlog

from core.errors import StoreError
from core.report import AnalystReport, to_mapping
from core.settings import Settings
from ingest.live.clock import ExchangeClock
from ingest.process.turn import ended_by_signals, schedule_lock_check, take_turn
from ingest.schedule import every, start_scheduler
from ingest.store import process
from ingest.store.lock import RoleLock
from ingest.store.reader import Reader
from ingest.store.rules import open_writer
from ingest.store.transaction import Writer

if TYPE_CHECKING:
    from ingest.analysis.evaluation import Evaluation

log = structlog.get_logger()

LOOK_EVERY_S = 0.2
BEAT_S = 1.0
Value = TypeVar("Value")


class Analyst:
    """Judges every rule of one database until stopped.

    What computes is loaded when there is a first rule: a desk without any has a lean analyst.

    Parameters
    ----------
    root : folder that a relative SQLite path starts from.
    """

    def __init__(self, settings: Settings, root: Path) -> None:
        self._url = settings.resolved_database_url(root)
        self._stop = asyncio.Event()
        self._clock = ExchangeClock()
        self._one_at_a_time = asyncio.Lock()
        self._evaluation: Evaluation | None = None
        self._last_error: str | None = None

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
        writer, reader = open_writer(self._url), Reader(self._url)
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

        await beat()
        every(scheduler, "heartbeat", BEAT_S, beat)
        every(scheduler, "judge", LOOK_EVERY_S, look)
        schedule_lock_check(scheduler, "analyst", lock, self.stop)
        try:
            await self._stop.wait()
        finally:
            scheduler.shutdown(wait=False)
            await self._in_turn(lambda: self._end(writer))
            writer.close()
            reader.close()
        return 0 if lock.is_held() else 1

    async def _in_turn(self, function: Callable[[], Value]) -> Value:
        """Run what writes in a thread, one after the other."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(function)

    def _open(self, reader: Reader, writer: Writer) -> "Evaluation":
        started = time.perf_counter()
        from ingest.analysis.evaluation import Evaluation, warm_up

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
        report = AnalystReport(last_error=self._last_error)
        if self._evaluation is not None:
            tally = self._evaluation.tally
            report = AnalystReport(
                rules=tally.rules,
                late_ms_p99=self._evaluation.late_ms_p99,
                judged=tally.judged,
                judged_late=tally.late,
                fired=tally.fired,
                last_error=self._last_error,
            )
        now_ms = int(time.time() * 1_000)
        with writer.transaction() as tx:
            process.save_status(tx, "analyst", os.getpid(), state, now_ms, to_mapping(report))

    def _end(self, writer: Writer) -> None:
        try:
            self._beat(writer, "stopped")
        except StoreError as error:
            log.warning("the last word can't be stored", reason=str(error))
