"""What the writing thread does while the database takes no writes, and what its log does."""

import asyncio
import itertools
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.errors import StoreError
from core.report import WorkerReport, to_mapping
from core.types import Trade
from ingest.live import trade_queue
from ingest.live import writing_thread as writing_module
from ingest.live.pipeline import Pipeline
from ingest.live.trade_queue import TradeQueue
from ingest.live.writing_thread import Order, Pauses, WritingPaused, WritingThread
from ingest.process.heartbeat import Heartbeat
from ingest.store import checkpoints, connections
from ingest.store.checkpoints import LogKeeper
from ingest.store.engine import open_engine
from ingest.store.pulse import Pulse
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.support.gaps import missing_ids
from tests.support.market import listing
from tests.support.waiting import HANG_S, wait_until

ROOT = Path(__file__).parents[3]
START_MS = 1_700_000_040_000
SYMBOLS = [f"S{number:02d}USDT" for number in range(20)]


def trade(symbol: str, trade_id: int) -> Trade:
    time_ms = START_MS + trade_id * 5
    return Trade(symbol, trade_id, 100.0, 1.0, time_ms, time_ms, trade_id, trade_id, False)


class Desk:
    """A writing thread over a database, and hands to fill the disk with."""

    def __init__(self, url: str) -> None:
        self.now_s: Callable[[], float] = time.monotonic
        self.path = Path(url.removeprefix("sqlite:///"))
        self.engine: Engine = open_engine(url, checkpoints=True)
        self.writer = Writer(self.engine)
        self.reader = Reader(url)
        self.pulse = Pulse(self.path)
        self.pulse.prepare()
        self.queue = TradeQueue(time.monotonic)
        self.after_batch: Callable[[], object] = lambda: None
        pauses = Pauses()
        self.pipeline = Pipeline(self.writer, lambda: START_MS, pauses)
        self.pipeline.start([listing(symbol.removesuffix("USDT")) for symbol in SYMBOLS])
        self.writing = WritingThread(
            self.queue,
            self.pipeline,
            pauses,
            on_failure=lambda: None,
            after_batch=lambda: self.after_batch(),
            log_keeper=LogKeeper(self.engine, self.path),
            monotonic=lambda: self.now_s(),
        )
        self.writing.start()

    def set_pages(self, count: int) -> None:
        """Let the file have that many pages more than now; the pool keeps one connection."""
        connection = self.engine.raw_connection()
        with closing(connection.cursor()) as cursor:
            cursor.execute("PRAGMA page_count")
            used = cursor.fetchone()[0]
            cursor.execute(f"PRAGMA max_page_count = {used + count}")
        connection.close()

    def call(self, work: Callable[[], object]) -> object:
        return asyncio.run(self.writing.call(work))

    def put(self, first_id: int, last_id: int) -> None:
        for trade_id in range(first_id, last_id + 1):
            for symbol in SYMBOLS:
                self.queue.put(trade(symbol, trade_id))

    def stored(self) -> list[tuple[int, int, int]]:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as database:
            sql = "SELECT count(*), min(trade_id), max(trade_id) FROM trades GROUP BY symbol_id"
            return database.execute(sql).fetchall()

    @property
    def log_size(self) -> int:
        return Path(f"{self.path}-wal").stat().st_size

    def close(self) -> None:
        self.writing.finish(HANG_S)
        self.writer.close()
        self.reader.close()


@pytest.fixture
def desk(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(writing_module, "RECOVERY_S", 0.02)
    desk = Desk(database_url)
    yield desk
    desk.close()


def test_a_full_disk_pauses_the_writing_and_loses_no_trade(desk: Desk) -> None:
    desk.put(1, 50)
    wait_until(lambda: desk.stored() == [(50, 1, 50)] * 20, "fifty are stored")
    desk.call(lambda: desk.set_pages(2))
    desk.put(51, 900)
    wait_until(lambda: desk.writing.paused, "paused")
    paused = desk.writing.paused
    assert paused is not None
    assert "no space left" in paused.reason
    time.sleep(0.1)
    assert desk.writing.is_alive()
    assert desk.writing.failure is None
    assert desk.writing.paused is not None
    desk.set_pages(100_000)
    wait_until(lambda: desk.stored() == [(900, 1, 900)] * 20, "all is stored")
    wait_until(lambda: desk.writing.paused is None, "going on")
    assert desk.queue.dropped_total == 0
    assert not any(chain.gaps for chain in desk.pipeline.chains.values())


def test_what_does_not_fit_while_the_disk_is_full_is_dropped_and_shows_as_a_gap(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trade_queue, "LIMIT", 2_000)
    desk.put(1, 50)
    wait_until(lambda: desk.stored() == [(50, 1, 50)] * 20, "fifty are stored")
    desk.call(lambda: desk.set_pages(0))
    desk.put(51, 60)
    wait_until(lambda: desk.writing.paused, "paused")
    desk.put(61, 400)
    assert len(desk.queue) <= 2_000
    dropped = desk.queue.dropped_total
    assert dropped > 0
    desk.set_pages(100_000)
    wait_until(lambda: not desk.writing.paused and len(desk.queue) == 0, "all written")
    desk.put(401, 402)  # the next ids show what was dropped
    wait_until(lambda: all(last == 402 for _, _, last in desk.stored()), "the newest are stored")
    assert sum(missing.missing for missing in missing_ids(desk.reader).values()) == dropped


def test_a_writer_that_is_behind_for_long_leaves_few_gaps_and_not_one_for_each_trade(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each gap is work for the thread that is behind: a gap a trade, and it never catches up."""
    monkeypatch.setattr(trade_queue, "LIMIT", 2_000)
    queue, written = TradeQueue(time.monotonic), list[Trade]()
    for trade_id in range(1, 1_001):
        for number, symbol in enumerate(SYMBOLS):
            queue.put(trade(symbol, trade_id))
            assert len(queue) <= 2_000
            if (20 * trade_id + number) % 7 == 0:  # of every seven trades five are written
                written += queue.take(5)
    written += queue.take(len(queue))
    dropped = 20 * 1_000 - len(written)
    assert queue.dropped_total == dropped > 2_000
    for symbol in SYMBOLS:
        ids = [one.trade_id for one in written if one.symbol == symbol]
        assert ids == sorted(ids)
        assert sum(later > earlier + 1 for earlier, later in itertools.pairwise(ids)) <= 4
    for symbol in SYMBOLS:  # written at last, it takes what comes again
        queue.put(trade(symbol, 1_001))
    assert len(queue) == 20


def test_a_full_disk_is_shown_and_the_worker_is_seen_to_live(desk: Desk) -> None:
    def report() -> tuple[str, dict[str, object]]:
        return "running", to_mapping(WorkerReport(paused=desk.writing.paused))

    heartbeat = Heartbeat(desk.writer, desk.writing, report, desk.pulse)
    asyncio.run(heartbeat.beat())
    desk.call(lambda: desk.set_pages(0))
    desk.put(1, 200)
    wait_until(lambda: desk.writing.paused, "paused")
    before_ms = int(time.time() * 1_000)
    asyncio.run(heartbeat.beat())
    status = desk.reader.status("worker")
    assert status is not None
    assert (status.pid, status.state) == (os.getpid(), "paused")
    assert status.heartbeat_ms >= before_ms
    assert "no space left" in status.payload["paused"]["reason"]
    with pytest.raises(WritingPaused, match="no space left"):
        desk.call(lambda: None)
    desk.set_pages(100_000)
    wait_until(lambda: desk.writing.paused is None, "going on")
    time.sleep(0.002)  # a later millisecond than the last beat
    asyncio.run(heartbeat.beat())
    status = desk.reader.status("worker")
    assert status is not None
    assert status.state == "running"
    assert desk.pulse.last() is None  # a wall clock that steps back would bring it up again


def test_a_full_disk_under_the_log_file_does_not_end_the_worker() -> None:
    code = (
        "import structlog; from ingest.process import console; console.configure_logging();"
        " structlog.get_logger().error('no space'); print('lives')"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=full, text=True
        )
    assert done.stdout == "lives\n"


def test_a_reader_that_holds_a_snapshot_does_not_let_the_log_grow_past_its_limit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = 8  # an eighth of the limits, reached in seconds
    monkeypatch.setattr(writing_module, "LARGEST_BATCH", writing_module.LARGEST_BATCH // scale)
    monkeypatch.setattr(checkpoints, "EMPTY_FROM", checkpoints.EMPTY_FROM // scale)
    monkeypatch.setattr(checkpoints, "LIMIT", checkpoints.LIMIT // scale)
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.02)
    monkeypatch.setattr(
        checkpoints, "PACES", tuple((size // scale, pace / 20) for size, pace in checkpoints.PACES)
    )
    holder = sqlite3.connect(desk.path, isolation_level=None)
    holder.execute("BEGIN")
    holder.execute("SELECT count(*) FROM trades").fetchone()
    largest = sent = 0
    while not desk.writing.paused:
        desk.put(sent + 1, sent + 200)
        sent += 200
        wait_until(lambda: desk.writing.paused or len(desk.queue) == 0, "it is written")
        largest = max(largest, desk.log_size)
        assert sent < 40_000
    assert desk.writing.paused.reason == writing_module.LOG_HELD
    assert checkpoints.LIMIT // 2 < largest < 64 * 2**20 // scale
    with pytest.raises(WritingPaused, match="keeps the database open"):
        desk.call(lambda: None)  # history has to wait
    holder.execute("ROLLBACK")
    holder.close()
    wait_until(lambda: desk.stored() == [(sent, 1, sent)] * 20, "all is stored")
    wait_until(lambda: desk.log_size < checkpoints.EMPTY_FROM + 2**20, "the log is emptied")
    wait_until(lambda: desk.writing.paused is None, "going on")


def test_a_read_that_takes_too_long_is_given_up_so_that_the_log_can_be_emptied(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LONGEST_READ_S", 0.05)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(StoreError, match="too long"), desk.reader._reading() as connection:
        connection.exec_driver_sql(endless)
    assert desk.reader.symbols()  # and the next read is answered


def test_a_second_is_closed_as_soon_as_a_stored_trade_tells_that_it_is_over(desk: Desk) -> None:
    closed: list[int] = []

    def close() -> None:
        desk.pipeline.close_bars(desk.pipeline.event_time_ms)
        closed.append(desk.pipeline.event_time_ms)

    desk.after_batch = close
    desk.put(1, 500)  # two and a half seconds
    wait_until(lambda: closed and closed[-1] == START_MS + 2_500, "closed")
    bars = desk.reader.bars(SYMBOLS[0], 1_000)
    assert list(bars.open_time_ms) == [START_MS, START_MS + 1_000]


def test_how_late_trades_are_stored_is_measured_from_receipt_and_from_the_event(
    desk: Desk,
) -> None:
    began = time.monotonic()
    desk.queue.mark(40.0)
    desk.put(1, 1)
    wait_until(lambda: desk.stored() == [(1, 1, 1)] * 20, "one is stored")
    wait_until(lambda: len(desk.queue) == 0, "all is written")
    lags: list[tuple[float, float]] = []
    wait_until(lambda: lags.extend(desk.queue.take_lags()) or lags, "measured")
    ((stored_ms, total_ms),) = lags
    assert 0 < stored_ms <= (time.monotonic() - began) * 1_000
    assert total_ms == pytest.approx(stored_ms + 40.0)


def test_missing_ids_are_seen_to_before_history_that_was_asked_for_earlier(desk: Desk) -> None:
    is_free = threading.Event()
    done: list[str] = []

    async def ask() -> None:
        blocking = asyncio.create_task(desk.writing.call(lambda: is_free.wait(HANG_S)))
        await asyncio.sleep(0)
        history = [
            asyncio.create_task(desk.writing.call(lambda: done.append("history"))) for _ in range(3)
        ]
        await asyncio.sleep(0)
        repair = asyncio.create_task(
            desk.writing.call(lambda: done.append("repair"), order=Order.IDS)
        )
        await asyncio.sleep(0)
        is_free.set()
        await asyncio.gather(blocking, *history, repair)

    desk.call(lambda: None)
    asyncio.run(ask())
    assert done == ["repair", "history", "history", "history"]


def test_heartbeats_and_history_have_their_turn_while_missing_ids_keep_coming(desk: Desk) -> None:
    """A chain of repair hands in its next page as soon as one is stored."""
    done: list[str] = []

    async def ask() -> None:
        async def repair() -> None:
            for _ in range(40):
                await desk.writing.call(lambda: done.append("ids"), Order.IDS)

        chains = [asyncio.create_task(repair()) for _ in range(4)]
        await asyncio.sleep(0.05)
        begun = len(done)
        await asyncio.gather(
            desk.writing.call(lambda: done.append("heartbeat"), Order.URGENT),
            *(desk.writing.call(lambda: done.append("history")) for _ in range(3)),
        )
        waited = done[begun:]
        assert waited.index("heartbeat") <= 4
        assert waited.count("ids") <= 12
        await asyncio.gather(*chains)

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("spent_s", "order"),
    [(0.0, "batch page page page batch"), (1.0, "batch page batch page batch page batch")],
)
def test_quick_work_does_not_wait_for_a_batch_each_and_slow_work_lets_trades_go_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, spent_s: float, order: str
) -> None:
    """History of hundreds of symbols would take hours; trades are late by one batch at most."""
    now_s = 0.0
    desk.now_s = lambda: now_s
    is_free, is_blocked = threading.Event(), threading.Event()
    done: list[str] = []
    ingest = desk.pipeline.ingest
    monkeypatch.setattr(
        desk.pipeline, "ingest", lambda batch: (done.append("batch"), ingest(batch))
    )

    def block() -> None:
        is_blocked.set()
        is_free.wait(HANG_S)

    def page() -> None:
        nonlocal now_s
        now_s += spent_s
        done.append("page")
        desk.put(len(done) + 1, len(done) + 1)

    async def ask() -> None:
        nonlocal now_s
        blocking = asyncio.create_task(desk.writing.call(block))
        await asyncio.to_thread(is_blocked.wait, HANG_S)
        pages = [asyncio.create_task(desk.writing.call(page)) for _ in range(3)]
        await asyncio.sleep(0)
        desk.put(1, 1)
        now_s += 1.0  # so the next round begins with a batch
        is_free.set()
        await asyncio.gather(blocking, *pages)

    asyncio.run(ask())
    wait_until(lambda: len(desk.queue) == 0 and done[-1] == "batch", "all is written")
    assert " ".join(done) == order
