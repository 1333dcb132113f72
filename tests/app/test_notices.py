"""What is wrong with the desk is said above the page in words, and nothing is where all is well."""

from dataclasses import replace
from typing import Any

import pytest

from app.services.status import DatabaseStatus, DeskStatus, ProcessState, SymbolStatus
from app.views.shell.notices import notice_line, notices
from app.views.shell.strip import source_badge
from core.report import BackfillReport, FeedReport, WorkerReport

NOW_MS = 1_795_401_000_000


def status_of(
    report: dict[str, Any] | None = None, error: str | None = None, **changes: Any
) -> DeskStatus:
    """A healthy desk, but for what is said of it."""
    status = DeskStatus(
        now_ms=NOW_MS,
        source="binance",
        database=DatabaseStatus("sqlite", error=error),
        worker=ProcessState("running", 4242, 400),
        analyst=ProcessState("running", 4243, 400),
        report=replace(
            WorkerReport(feed=feed_of(state="live", age_ms=300), backfill=BackfillReport(3, 3, "")),
            **(report or {}),
        ),
    )
    return replace(status, **changes)


def feed_of(state: str, age_ms: int | None = None, last_error: str | None = None) -> FeedReport:
    return FeedReport(
        state=state,
        last_frame_ms=None if age_ms is None else NOW_MS - age_ms,
        last_error=last_error,
    )


@pytest.mark.parametrize(
    ("status", "level", "words"),
    [
        (status_of(worker=ProcessState()), "warn", "The worker has not started yet"),
        (
            status_of(worker=ProcessState("silent", 4242, 240_000)),
            "bad",
            "The worker is away since",
        ),
        (
            status_of(
                {"feed": feed_of("connecting", None, "SYMBOLS=X is not usable")},
                worker=ProcessState("stopped", 4242, 240_000),
            ),
            "bad",
            ": SYMBOLS=X is not usable.",
        ),
        (
            status_of(analyst=ProcessState()),
            "warn",
            "The analyst has not started yet: rules are not judged",
        ),
        (
            status_of(analyst=ProcessState("silent", 4243, 240_000)),
            "warn",
            "UTC, 4 min ago: rules are not judged",
        ),
        (
            status_of({"feed": feed_of("down", 9_000, "refused")}),
            "bad",
            "The feed is cut since",
        ),
        (
            status_of({"feed": feed_of("blocked", None, "451")}),
            "bad",
            "refuses this location",
        ),
        (status_of(error="malformed"), "bad", "malformed"),
        (
            status_of(source="simulated", source_reason="no host answered"),
            "warn",
            "Simulated market: no host answered",
        ),
        (
            status_of({"backfill": BackfillReport(31, 80, "1m history")}),
            "info",
            "1m history · 31 of 80",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words(status: DeskStatus, level: str, words: str) -> None:
    lines = notices(status, None)
    assert [line.level for line in lines if words in line.words] == [level]


def test_a_warning_above_it_does_not_hide_how_far_history_is() -> None:
    loading = {"backfill": BackfillReport(8_199, 20_800, "5m history")}
    lines = notices(status_of(loading, source="simulated", source_reason="no host"), None)
    _, rest = (part.to_plotly_json() for part in notice_line(lines))
    assert rest["props"]["children"][0].children == "1 more: history 39 %"
    _, alone = (part.to_plotly_json() for part in notice_line(lines[:1]))
    assert alone["props"]["children"][0].children == "all"


@pytest.mark.parametrize(
    "worker",
    [
        ProcessState(),
        ProcessState("silent", 4242, 8 * 3_600_000),
        ProcessState("stopped", 4242, 4_000),
    ],
    ids=["of a new desk", "of last evening", "stopped a moment ago"],
)
def test_a_healthy_start_shows_nothing_red(worker: ProcessState) -> None:
    down = {"feed": feed_of("down", 9_000)}
    status = status_of(down, worker=worker, analyst=worker, is_starting=True)
    (line,) = notices(status, None)
    assert (line.level, line.words) == ("info", "The worker is starting: nothing new comes in yet.")
    assert source_badge(status, None).label == "STARTING"
    late = replace(status, is_starting=False)
    assert {line.level for line in notices(late, None)} & {"warn", "bad"}
    (line,) = notices(status_of(analyst=worker, is_starting=True), None)
    assert (line.level, line.words.partition(":")[0]) == ("info", "The analyst is starting")


def test_a_worker_that_refuses_its_settings_is_said_at_once() -> None:
    report = {"feed": feed_of("connecting", None, "SYMBOLS=X is not usable")}
    status = status_of(report, worker=ProcessState("stopped", 4242, 900), is_starting=True)
    assert [line.level for line in notices(status, None)] == ["bad"]


def test_a_damaged_file_that_was_set_aside_does_not_hide_that_the_feed_is_cut() -> None:
    database = DatabaseStatus("sqlite", notice="A damaged database was set aside.")
    status = status_of({"feed": feed_of("down", 9_000, "refused")}, database=database)
    assert [line.words[:7] for line in notices(status, None)] == ["A damag", "The fee"]


def test_before_the_worker_is_there_nobody_misses_the_analyst() -> None:
    (line,) = notices(status_of(worker=ProcessState(), analyst=ProcessState()), None)
    assert line.words.startswith("The worker has not started yet")


def test_a_first_start_without_an_exchange_says_so_and_not_that_a_symbol_is_wrong() -> None:
    feed = feed_of("connecting", None, "host refuses connections")
    lines = notices(status_of({"feed": feed}), None, "BTCUSDT: not ingested here")
    words = " ".join(line.words for line in lines)
    assert "refuses connections" in words
    assert "waiting for the exchange" in words
    assert "not ingested" not in words


def test_an_unknown_symbol_does_not_hide_that_the_feed_is_cut() -> None:
    feed = feed_of("down", 9_000, "refused")
    stored = (SymbolStatus("BTCUSDT", 1, NOW_MS, 0, True, 0, 0, 0, 0, 0),)
    lines = notices(status_of({"feed": feed}, symbols=stored), None, "NOPE: not ingested here")
    words = " ".join(line.words for line in lines)
    assert "NOPE: not ingested here" in words
    assert "The feed is cut" in words


def test_a_healthy_desk_is_quiet_and_green() -> None:
    assert notices(status_of(), None) == []
    assert source_badge(status_of(), None).look == "ok"
    assert source_badge(status_of({"feed": feed_of("down")}), None).look == "bad"
    for state in ("replaying", "ended"):
        recorded = status_of({"feed": feed_of(state)}, source="replay")
        assert not any(line.level == "bad" for line in notices(recorded, None)), state
    assert source_badge(status_of(source="simulated"), None).label == "SIMULATED"
