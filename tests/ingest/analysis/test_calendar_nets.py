"""What a curve earned by months, weeks or days is what a plain walk over its rows counts."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from core.timeframes import DAY_MS
from ingest.analysis.calendar_nets import by_calendar

BEGIN_MS = int(datetime(2026, 1, 28, 22, tzinfo=UTC).timestamp() * 1_000)


def start_of(time_ms: int, every: str) -> datetime:
    day = datetime.fromtimestamp(time_ms / 1_000, UTC).replace(hour=0, minute=0)
    if every == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if every == "week" else day


@pytest.mark.parametrize(("days", "every"), [(2, "day"), (20, "day"), (22, "week"), (200, "month")])
def test_nets_are_those_of_a_walk_over_the_rows(days, every, in_time_zone):
    times = np.arange(BEGIN_MS, BEGIN_MS + days * DAY_MS + 1, 3_600_000, dtype=np.int64)
    rng = np.random.default_rng(days)
    equity = 10_000.0 + np.concatenate(([0.0], rng.normal(0, 5, len(times) - 1))).cumsum()
    with in_time_zone("Asia/Kolkata"):
        told = by_calendar(times, equity)
    plain, before = defaultdict(float), equity[0]
    for time_ms, value in zip(times.tolist(), equity.tolist(), strict=True):
        plain[start_of(time_ms, every)] += value - before
        before = value
    assert told["every"] == every
    starts = [datetime.fromtimestamp(one["start"] / 1_000, UTC) for one in told["periods"]]
    assert starts == list(plain)
    assert [one["net"] for one in told["periods"]] == pytest.approx(list(plain.values()))
    assert told["without_best"] == pytest.approx(equity[-1] - equity[0] - max(plain.values()))


def test_days_without_a_row_are_no_days_that_earned_nothing():
    times = BEGIN_MS + DAY_MS * np.array([0, 1, 5], dtype=np.int64)
    told = by_calendar(times, np.array([100.0, 103.0, 101.0]))
    assert [one["net"] for one in told["periods"]] == [0.0, 3.0, -2.0]
    assert told["without_best"] == -2.0


def test_a_single_row_has_earned_nothing():
    told = by_calendar(np.array([BEGIN_MS]), np.array([100.0]))
    assert (told["every"], told["without_best"]) == ("day", 0.0)
