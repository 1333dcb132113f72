"""What a process says of itself arrives as it was said, whatever version said it."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.report import (
    BackfillReport,
    FeedReport,
    Pause,
    ReconciliationReport,
    Resources,
    Space,
    WorkerReport,
    from_mapping,
    to_mapping,
)

REPORT = WorkerReport(
    feed=FeedReport(
        state="live", host="127.0.0.1", last_frame_ms=1_795_401_000_000, trades_per_s=12.5,
        lag_ms_p50=40.0, lag_ms_p99=90.0, reconnects=1, last_error="refused",
        failures={"no answer in time": 2}, store_lag_ms_p50=50.0, store_lag_ms_p99=60.0,
        total_lag_ms_p50=100.0, total_lag_ms_p99=190.0, trades_received=123_456,
    ),
    quarantined=2, queue_depth=17, dropped=5, paused=Pause("There is no space left", 7),
    space=Space(900, 10_000, 1_000.0, 10.0), backfill=BackfillReport(5, 8, "1m history"),
    symbols_left_out=("NOSUCHUSDT",), stalled_symbols=("DOGEUSDT", "SOLUSDT"),
    unjudged_symbols=("XRPUSDT",), odd_rows=3, request_weight_share=0.2, clock_offset_ms=-40_000,
    reconciliation=ReconciliationReport(9, 1, 2, ("BTCUSDT at 12:00",)),
    resources=Resources(1_795_401_000_000, 92_000_000, 0.04),
)  # fmt: skip


def read(stored: Any) -> WorkerReport:
    """The report as it comes out of the database."""
    return from_mapping(WorkerReport, json.loads(json.dumps(stored)))


def test_report_comes_back_as_it_was_written() -> None:
    assert read(to_mapping(REPORT)) == REPORT
    assert read(to_mapping(WorkerReport())) == WorkerReport()
    for part in fields(WorkerReport):
        assert getattr(REPORT, part.name) != getattr(WorkerReport(), part.name), part.name
    for part in fields(FeedReport):
        assert getattr(REPORT.feed, part.name) != getattr(FeedReport(), part.name), part.name


def test_row_of_an_older_version_keeps_what_it_says_and_the_rest_is_unknown() -> None:
    older = to_mapping(REPORT)
    del older["space"], older["dropped"], older["feed"]["failures"], older["feed"]["host"]
    unknown = replace(REPORT.feed, failures={}, host=None)
    assert read(older) == replace(REPORT, space=Space(), dropped=None, feed=unknown)


def test_row_of_a_newer_version_is_read_as_far_as_it_is_known() -> None:
    newer = to_mapping(REPORT) | {"mood": "good"}
    newer["feed"] |= {"colour": "red"}
    assert read(newer) == REPORT


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"feed": "live"}, {"feed": FeedReport()}),
        ({"quarantined": "two"}, {"quarantined": None}),
        ({"queue_depth": True}, {"queue_depth": None}),
        ({"paused": "full"}, {"paused": None}),
        ({"paused": {"reason": "full"}}, {"paused": None}),
        ({"stalled_symbols": "DOGEUSDT"}, {"stalled_symbols": ()}),
        ({"stalled_symbols": [1]}, {"stalled_symbols": ()}),
        ({"space": None}, {"space": Space()}),
        ({"backfill": {"done": 5, "total": None}}, {"backfill": BackfillReport(done=5)}),
        (
            {"feed": {"state": None, "trades_per_s": 3, "failures": [1], "reconnects": 1.5}},
            {"feed": FeedReport(trades_per_s=3.0)},
        ),
    ],
)
def test_one_bad_value_costs_that_value_only(changes: Any, lost: Any) -> None:
    assert read(to_mapping(REPORT) | changes) == replace(REPORT, **lost)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = st.sampled_from([part.name for part in (*fields(WorkerReport), *fields(FeedReport))])


@given(stored=st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON)))
def test_nothing_that_a_database_can_hold_breaks_the_status(stored: dict[str, Any]) -> None:
    report = read(stored)
    assert read(to_mapping(report)) == report
