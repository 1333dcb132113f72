"""The Health view without a browser: what is normal, what is not, and what to do then."""

import re
from dataclasses import replace
from typing import Any

import pytest

from app.services.channels import ChannelState
from app.services.status import DatabaseStatus, DeskStatus, ProcessState, SymbolStatus
from app.services.trends import SLOT_MS, SLOTS, Trends
from app.services.web import TickTimes
from app.views.health.parts import parts
from app.views.health.things import Thing, things, verdict_words
from core.report import (
    AnalystReport,
    FeedReport,
    Pause,
    Space,
    WorkerReport,
    to_mapping,
)
from ingest.store import process
from ingest.store.reader import ChannelHealth, StoredGap
from tests.app.conftest import NOW_MS, Clocked

NOTHING = Trends((None,) * SLOTS, (None,) * SLOTS, ())
ALIVE = ProcessState("running", 7, 500)
WELL = DeskStatus(
    now_ms=NOW_MS,
    source="binance",
    database=DatabaseStatus("sqlite", 2_140_000_000, 12_000_000),
    worker=ALIVE,
    analyst=ALIVE,
    report=WorkerReport(
        feed=FeedReport(
            "live", "h", NOW_MS - 300, 412.0, reconnects=1, total_lag_ms_p50=9.0,
            total_lag_ms_p99=41.0,
        ),
        quarantined=0, queue_depth=3, clock_offset_ms=38, request_weight_share=0.184,
        space=Space(2_000_000_000, 35_000_000_000, 61_000_000.0, 570.0),
    ),
    analysis=AnalystReport(rules=10, late_ms_p99=7_600.0, judging_ms_p99=400.0),
)  # fmt: skip


def row(status: DeskStatus, name: str) -> Thing:
    return next(one for one in things(status, NOTHING, []) if one.name == name)


def with_report(**changes: Any) -> DeskStatus:
    return replace(WELL, report=replace(WELL.report, **changes))


def with_feed(**changes: Any) -> DeskStatus:
    return with_report(feed=replace(WELL.report.feed, **changes))


def test_a_desk_that_is_well_says_so_with_its_numbers() -> None:
    rows = things(WELL, NOTHING, [])
    assert {one.state for one in rows} == {"normal"}
    assert verdict_words(rows)[0] == f"All {len(rows)} are normal."
    assert row(WELL, "last message").now == "0.3 s"
    assert row(WELL, "request weight").now == "18 %"
    assert row(WELL, "exchange to database").more == "p99 · 9 ms p50"
    assert (row(WELL, "database").now, row(WELL, "database").more) == ("2.14 GB", "+61 MB/day")
    assert row(WELL, "database").advice == "35.00 GB free: full in 570 d."
    # What a quiet symbol's bar waits until it is known is no fault of the analyst.
    assert row(WELL, "rules judged after the bar").now == "400 ms"
    assert row(WELL, "rules judged after the bar").more == "10 rules · 7,600 ms after its end"
    late = replace(WELL, analysis=AnalystReport(rules=10, judging_ms_p99=876_025.0))
    assert row(late, "rules judged after the bar").now == "15 min"


SYMBOL = SymbolStatus("ETCUSDT", 9, NOW_MS, 0, True, 8, 0, 1, 0, 0)


@pytest.mark.parametrize(
    ("status", "name", "state"),
    [
        (with_feed(state="down"), "last message", "down"),
        (with_feed(last_frame_ms=NOW_MS - 3_001), "last message", "look"),
        (with_feed(total_lag_ms_p99=400.0), "exchange to database", "normal"),
        (with_feed(total_lag_ms_p99=400.1), "exchange to database", "look"),
        (with_feed(trades_per_s=0.0), "trades a second", "look"),
        (with_feed(reconnects=4), "reconnects", "look"),
        (replace(WELL, symbols=(SYMBOL,)), "missing ids", "look"),
        (replace(WELL, symbols=(SYMBOL,)), "open gaps", "look"),
        (with_report(request_weight_share=0.8), "request weight", "normal"),
        (with_report(request_weight_share=0.81), "request weight", "look"),
        (with_report(symbols_left_out=("ODDUSDT",)), "symbols left out", "look"),
        (with_report(queue_depth=1_001), "write queue", "look"),
        (with_report(quarantined=1), "quarantined frames", "look"),
        (with_report(paused=Pause("disk full", 1)), "database", "down"),
        (with_report(space=Space(1, 2, 3.0, 13.9)), "database", "look"),
        (replace(WELL, database=DatabaseStatus("sqlite", error="gone")), "database", "down"),
        (
            replace(WELL, database=DatabaseStatus("sqlite", 1, 65 * 2**20)),
            "write-ahead log",
            "look",
        ),
        (with_report(clock_offset_ms=-1_001), "clock offset", "look"),
        (replace(WELL, analyst=ProcessState("silent")), "rules judged after the bar", "down"),
        (replace(WELL, analyst=ProcessState()), "rules judged after the bar", "down"),
        (
            replace(WELL, analysis=AnalystReport(3, judging_ms_p99=1_001.0)),
            "rules judged after the bar",
            "look",
        ),
        (replace(WELL, analysis=AnalystReport(failed=2)), "messages refused", "look"),
    ],
)
def test_what_is_not_normal_is_told_first_and_with_what_to_do(
    status: DeskStatus, name: str, state: str
) -> None:
    one = row(status, name)
    assert one.state == state
    heading, words = verdict_words(things(status, NOTHING, []))
    if state != "normal":
        assert "normal." in heading
        assert not heading.startswith("All")
        assert one.failing in heading or one.name in words


@pytest.mark.parametrize("state", ["replaying", "ended"])
def test_a_recording_is_no_feed_that_was_cut(state: str) -> None:
    status = with_feed(state=state, last_frame_ms=None, trades_per_s=0.0)
    assert {row(status, name).state for name in ("last message", "trades a second")} == {"unknown"}
    assert row(status, "last message").more == state


def test_a_channel_that_is_down_is_worse_than_one_reconnect_too_many() -> None:
    health = ChannelHealth(1, NOW_MS + 40_000, NOW_MS - 60_000, "answered 503", None, 0, 0, 1)
    rows = things(with_feed(reconnects=9), NOTHING, [ChannelState("bot", True, health, None)])
    heading, words = verdict_words(rows)
    assert heading.endswith("Channel bot is down.")
    assert "answered 503" in words
    assert "reconnects" in words


def test_a_page_that_answers_late_is_told_from_its_own_ticks() -> None:
    times = TickTimes()
    assert times.quantiles() is None
    for ms in (*[20.0] * 94, *[151.0] * 6):
        times.note(ms / 1_000)
    tick = times.quantiles()
    assert tick == (20.0, 151.0)
    rows = things(WELL, NOTHING, [], tick)
    assert (
        verdict_words(rows)[0]
        == f"{len(rows) - 1} of {len(rows)} are normal. The page answers late."
    )
    assert "page tick" not in [one.name for one in things(WELL, NOTHING, [])]


def test_without_a_worker_nothing_is_called_normal_that_is_not_known(clocked: Clocked) -> None:
    empty = DeskStatus(now_ms=NOW_MS, source=None, database=DatabaseStatus("sqlite"))
    states = {one.name: one.state for one in things(empty, NOTHING, [])}
    assert states["exchange to database"] == states["clock offset"] == "unknown"
    assert states["rules judged after the bar"] == "unknown"
    assert states["last message"] == "down"


def test_the_last_day_is_drawn_from_what_the_processes_said(
    clocked: Clocked,
) -> None:
    now_ms = int(clocked.now_s * 1_000)
    with clocked.writer.transaction() as tx:
        for age, queue in ((4, 11), (3, 22), (1, 33)):
            report = to_mapping(WorkerReport(queue_depth=queue))
            process.save_status(tx, "worker", 1, "running", now_ms - age * SLOT_MS, report)
    worker = clocked.desk.trends.view().worker
    assert [one and one.queue_depth for one in worker[-5:-1]] == [11, 22, None, 33]
    shown = str(parts(clocked.desk, ())["health-things"])
    assert 'aria-label="write queue over 24 hours, at most 33"' in shown


def test_of_what_a_process_said_a_word_each_five_minutes_of_a_day_is_kept(
    clocked: Clocked,
) -> None:
    start_ms = NOW_MS // SLOT_MS * SLOT_MS
    with clocked.writer.transaction() as tx:
        for slot in range(SLOTS + 20):
            for second in (0, 1, 299):
                time_ms = start_ms + slot * SLOT_MS + second * 1_000
                process.save_status(tx, "analyst", 1, "running", time_ms, {"n": slot + second})
    kept = clocked.reader.samples("analyst", 0)
    assert [payload["n"] for _, payload in kept] == list(range(20, SLOTS + 20))
    assert clocked.reader.samples("worker", 0) != kept


def test_gaps_and_processes_are_told_with_their_times(
    clocked: Clocked,
) -> None:
    shown = parts(clocked.desk, ())
    text = re.sub("<[^>]*>", " ", str(shown["health-events"]))
    assert "4 ids of ETHUSDT missing, being fetched (reconnect)" in text
    assert isinstance(clocked.desk.trends.view().gaps[0], StoredGap)
    assert "ingests" in shown["health-processes"]
    assert "ETHUSDT" in shown["health-symbols"]
