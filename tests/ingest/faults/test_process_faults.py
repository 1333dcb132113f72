"""Workers that are killed, held up and doubled lose nothing; the exchange's ledger judges."""

import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ingestion import measure_memory
from ingest.binance.rest import PAGE_LIMIT
from tests.support.ledger_judge import SYMBOLS


def kill_again_and_again(processes: Any, times: int, seed: int) -> None:
    """Kill -9 under 1,000 trades/s on four symbols, each time at another moment."""
    rng = random.Random(seed)
    busy_until = 0.0
    worker = processes.start()
    processes.caught_up()
    for _ in range(times):
        if time.monotonic() > busy_until - 30.0:
            processes.trade(1_000, 120)
            busy_until = time.monotonic() + 120.0
        processes.caught_up()
        time.sleep(rng.uniform(0.3, 1.5))
        worker.kill()
        worker.wait()
        asked, made = processes.pages_asked(), processes.made()
        worker = processes.start()
        took_s = processes.caught_up()
        pages, missed = processes.pages_asked() - asked, processes.made() - made
        print(f"caught up after {took_s:.1f} s: {pages} pages, {missed:,} trades made meanwhile")
        # What was missed and no more: a last page that is not full, and one that finds the edge.
        assert pages <= missed / PAGE_LIMIT + 2 * len(SYMBOLS)
    assert sum(processes.judge().values()) > 1_000


def test_killed_workers_leave_no_missing_trade_and_none_twice(processes: Any) -> None:
    kill_again_and_again(processes, times=3, seed=1)


@pytest.mark.soak
def test_workers_killed_two_hundred_times_leave_no_missing_trade(
    processes: Any, soak_times: Callable[[int], int]
) -> None:
    kill_again_and_again(processes, times=soak_times(200), seed=2)


def take_over(processes: Any) -> tuple[float, float]:
    """Kill the worker that ingests; when the other one had taken over, and when it was live."""
    processes.trade(400, 60)
    first = processes.start()
    processes.caught_up()
    second = processes.start()
    processes.until(lambda: processes.has_said(second, "standing by"), "the second stands by")
    processes.caught_up()
    assert processes.pid() == first.pid
    assert second.poll() is None
    first.kill()
    first.wait()
    began = time.monotonic()
    processes.until(lambda: processes.pid() == second.pid, "taken over")
    taken_s = time.monotonic() - began
    live_s = taken_s + processes.caught_up()
    processes.judge()
    return taken_s, live_s


def test_of_two_workers_one_ingests_and_the_other_takes_over(processes: Any) -> None:
    take_over(processes)


@pytest.mark.soak
def test_a_stand_by_takes_over_within_five_seconds_and_is_live_within_ten(processes: Any) -> None:
    taken_s, live_s = take_over(processes)
    print(f"\ntaken over after {taken_s:.1f} s, caught up after {live_s:.1f} s")
    assert taken_s <= 5.0
    assert live_s <= 10.0


def hold_the_writer(processes: Any, seconds: float, times: int) -> None:
    """Hold the database's write lock at 5,000 trades/s."""
    worker = processes.start()
    processes.caught_up()
    processes.trade(5_000, (seconds + 6.0) * times + 10.0)
    time.sleep(4.0)
    before_mb = highest_mb = processes.rss_mb(worker)
    for _ in range(times):
        with sqlite3.connect(processes.path, isolation_level=None) as database:
            database.execute("PRAGMA busy_timeout = 5000")
            database.execute("BEGIN IMMEDIATE")
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                highest_mb = max(highest_mb, processes.rss_mb(worker))
                time.sleep(0.1)
            database.execute("ROLLBACK")
        database.close()
        until = time.monotonic() + 4.0
        while time.monotonic() < until:
            highest_mb = max(highest_mb, processes.rss_mb(worker))
            time.sleep(0.1)
    # What was dropped is fetched within the weight budget: a million ids take a minute at best.
    caught_up_s = processes.caught_up()
    print(
        f"\nRSS {before_mb:.0f} MB, at most {highest_mb:.0f} MB;"
        f" caught up {caught_up_s:.1f} s after the last hold"
    )
    assert worker.poll() is None
    assert highest_mb - before_mb <= 50.0
    processes.judge()


def test_a_blocked_writer_costs_little_memory_and_no_trade(processes: Any) -> None:
    hold_the_writer(processes, seconds=5.0, times=1)


@pytest.mark.soak
def test_a_writer_blocked_for_half_minutes_costs_little_memory_and_no_trade(
    processes: Any, soak_times: Callable[[int], int]
) -> None:
    hold_the_writer(processes, seconds=30.0, times=soak_times(20))


def fill_the_disk(processes: Any, folder: Path, times: int) -> None:
    """Take all space under a working worker, see it wait, and give the space back."""
    ballast = folder / "ballast"
    worker = processes.start()
    processes.caught_up()
    for _ in range(times):
        processes.trade(1_000, 120)
        processes.caught_up()
        with open(ballast, "wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4_096))
        processes.until(lambda: processes.state() == "paused", "the worker says that it waits")
        time.sleep(1.0)
        assert worker.poll() is None
        ballast.unlink()
        processes.until(lambda: processes.state() == "running", "the worker goes on")
        processes.caught_up()
    assert worker.poll() is None
    processes.judge()


def test_a_full_disk_ends_no_worker_and_costs_no_trade(
    small_disk: Path, processes_at: Callable[[Path], Any]
) -> None:
    fill_the_disk(processes_at(small_disk), small_disk, times=1)


@pytest.mark.soak
def test_a_disk_that_is_full_again_and_again_costs_no_trade(
    small_disk: Path, processes_at: Callable[[Path], Any], soak_times: Callable[[int], int]
) -> None:
    fill_the_disk(processes_at(small_disk), small_disk, times=soak_times(20))


@pytest.mark.soak
def test_an_hour_of_a_hundred_symbols_takes_no_more_memory_than_its_first_minutes(
    soak_times: Callable[[int], int],
) -> None:
    memory = measure_memory(rate=2_000, seconds=soak_times(3_600), symbols=100)
    tenth = len(memory.rss_mb) // 10
    early, late = memory.rss_mb[tenth : 2 * tenth], memory.rss_mb[-tenth:]
    print(f"\nRSS {max(early):.0f} MB early, {max(late):.0f} MB late, {max(memory.rss_mb):.0f} MB")
    assert memory.stored == memory.sent
    assert max(memory.rss_mb) < 250.0
    assert max(late) <= max(early) + 10.0
