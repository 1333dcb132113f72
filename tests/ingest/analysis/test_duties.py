"""What the analyst does beside judging: by the exchange's clock, whatever this machine's says."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from core.report import FeedReport, WorkerReport, to_mapping
from core.rule_spec import read_rule_spec
from core.settings import Settings
from ingest.analyst import Duties
from ingest.store import process, rules
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.support.sink import Sink
from tests.support.sink import sink as sink

HOUR_MS = 3_600_000
NOW_MS = 1_795_401_000_000
"""By the exchange."""


def worker_says(writer: Writer, ahead_ms: int, silent_ms: int = 300) -> None:
    """A live feed, on a machine whose clock is so far ahead of the exchange's."""
    feed = FeedReport("live", last_frame_ms=NOW_MS - silent_ms)
    report = to_mapping(WorkerReport(feed=feed, clock_offset_ms=ahead_ms))
    with writer.transaction() as tx:
        process.save_status(tx, "worker", 1, "running", NOW_MS + ahead_ms, report)


def watch_the_data(writer: Writer) -> None:
    with writer.transaction() as tx:
        rules.create(tx, read_rule_spec({"kind": "data"}, Settings()), NOW_MS, NOW_MS)


def duties(url: str, folder: Path, wall_clock: Callable[[], float], **more: str) -> Duties:
    settings = Settings.from_mapping({"DATABASE_URL": url, "SOURCE": "binance"} | more)
    return Duties(settings, url, folder, {}, wall_clock)


def ahead(ahead_ms: int) -> Callable[[], float]:
    return lambda: (NOW_MS + ahead_ms) / 1_000


async def judge(analyst: Duties) -> None:
    await analyst.beat()
    await analyst.look()
    await analyst.end()


@pytest.mark.parametrize("ahead_ms", [0, HOUR_MS, -HOUR_MS])
@pytest.mark.parametrize(("silent_ms", "shown"), [(300, "normal"), (600_000, "firing")])
def test_a_wrong_clock_of_this_machine_neither_makes_a_feed_stale_nor_hides_that_it_is(
    database_url: str, writer: Writer, reader: Reader, tmp_path: Path,
    ahead_ms: int, silent_ms: int, shown: str,
) -> None:  # fmt: skip
    worker_says(writer, ahead_ms, silent_ms)
    watch_the_data(writer)
    asyncio.run(judge(duties(database_url, tmp_path, ahead(ahead_ms))))
    (decided,) = reader.decisions(1)
    assert (decided.shown, decided.open_time_ms) == (shown, NOW_MS)
    assert silent_ms <= decided.values["feed_age_s"] * 1_000 < HOUR_MS


@pytest.mark.parametrize("ahead_ms", [0, HOUR_MS, -HOUR_MS])
def test_the_dead_man_s_switch_is_asked_while_the_feed_is_fresh_by_the_exchange_s_clock(
    database_url: str, writer: Writer, sink: Sink, tmp_path: Path, ahead_ms: int
) -> None:
    address = f"http://127.0.0.1:{sink.server_port}/beat"
    analyst = duties(database_url, tmp_path, ahead(ahead_ms), HEARTBEAT_URL=address)

    async def beat_and_ping() -> None:
        worker_says(writer, ahead_ms, silent_ms=600_000)
        await analyst.beat()
        await analyst.ping()
        assert sink.asked == []
        worker_says(writer, ahead_ms)
        await analyst.ping()
        await analyst.end()

    asyncio.run(beat_and_ping())
    assert sink.asked == ["/beat"]


def test_a_clock_that_is_set_between_two_heartbeats_of_the_worker_makes_no_feed_stale(
    database_url: str, writer: Writer, reader: Reader, tmp_path: Path
) -> None:
    """What was measured by the clock before says nothing of the one that is set now."""
    watch_the_data(writer)
    worker_says(writer, ahead_ms=0)
    wall = [NOW_MS / 1_000]
    analyst = duties(database_url, tmp_path, lambda: wall[0])

    async def set_the_clock() -> None:
        await analyst.beat()
        wall[0] += HOUR_MS / 1_000
        await judge(analyst)

    asyncio.run(set_the_clock())
    assert [one.shown for one in reader.decisions(1)] == ["normal"]
