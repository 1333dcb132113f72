"""Honesty checks as a job: what is kept is what `core` finds on the stored bars."""

from typing import Any

import numpy as np
import pytest
from statsmodels.tsa.vector_ar.vecm import coint_johansen

from core.honesty import placebo
from core.job_spec import read_job_spec
from core.pair_spec import read_pair_spec
from core.row_plan import plan_rows
from core.settings import Settings
from core.stress import stress
from ingest.analysis import honesty, job
from ingest.analysis.honesty import check_pair
from ingest.analysis.pair_bars import NoSharedBars
from ingest.analysis.work import Work
from ingest.store import jobs
from tests.support.hours import END_MS, HOUR, Hours

ASKED = {
    "kind": "honesty", "symbol_a": "ACOINUSDT", "symbol_b": "BCOINUSDT", "timeframe": "1h",
    "bars": 400, "window": 20, "entry_z": 1.5,
}  # fmt: skip


def work_on(hours: Hours, body: dict[str, Any]) -> Work:
    asked = read_job_spec(body, Settings())
    with hours.writer.transaction() as tx:
        jobs.ask(tx, asked, "me", END_MS)
        claimed = jobs.claim(tx, "lab", END_MS)
    assert claimed is not None
    return Work(Settings(), hours.reader, hours.writer, claimed[0], 1, asked)


@pytest.mark.parametrize(
    ("since", "words"),
    [
        (END_MS, "since is after the last 1h bar"),
        (END_MS - 100_001 * HOUR, "since must be within the last 100,000 bars"),
    ],
)
def test_rows_that_can_t_be_had_are_a_reason_and_no_crash(
    hours: Hours, since: int, words: str
) -> None:
    hours.fill(rows=60)
    with pytest.raises(NoSharedBars, match=words):
        check_pair(work_on(hours, {**ASKED, "since": since}))


def test_an_error_that_nobody_expected_is_told_and_not_tried_again(
    hours: Hours, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(work: Work) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(job, "WORK", {"honesty": broken})
    work = work_on(hours, ASKED)
    assert job.work_off(work.job_id, Settings(), hours.url) == 0
    stored = hours.reader.job(work.job_id)
    assert stored is not None
    assert (stored.state, stored.tries) == ("failed", 1)
    assert "ZeroDivisionError" in stored.message


def test_a_check_keeps_its_verdict_with_every_number_behind_it(
    hours: Hours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(honesty, "RUNS", 20)
    hours.fill(rows=600)
    told, words = check_pair(work_on(hours, ASKED))

    spec = read_pair_spec({name: ASKED[name] for name in ASKED if name != "kind"}, Settings())
    legs = [hours.reader.bars(symbol, HOUR) for symbol in ("ACOINUSDT", "BCOINUSDT")]
    plan = plan_rows(spec, END_MS - 600 * HOUR, END_MS - HOUR)
    outcomes = stress(spec, plan, *legs)
    noise, _ = placebo(spec, plan, *legs, runs=20)
    assert noise is not None
    assert words == told["verdict"]
    assert words.startswith("Nothing looks ahead")
    assert told["differences"] == []
    assert told["values_compared"] > 10_000
    assert told["noise"]["rank"] == noise.figures["total_pnl"].rank
    assert {name: one["net"] for name, one in told["outcomes"].items()} == {
        name: one.net for name, one in outcomes.items()
    }
    closes = [np.log(leg.close[-400:]) for leg in legs]
    tested = coint_johansen(np.column_stack(closes), 0, 1)
    assert told["johansen"]["trace"] == pytest.approx(tested.trace_stat)
    assert [check["name"] for check in told["checks"]] == [
        "future", "noise", "costs", "exits", "late", "tie",
    ]  # fmt: skip
