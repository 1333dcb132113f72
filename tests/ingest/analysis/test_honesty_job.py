"""Honesty checks as a job: what is kept is what `core` finds on the stored bars."""

import numpy as np
import pytest
from statsmodels.tsa.vector_ar.vecm import coint_johansen

from core.honesty import placebo
from core.job_spec import read_job_spec
from core.pair_spec import read_pair_spec
from core.row_plan import plan_rows
from core.settings import Settings
from core.stress import stress
from ingest.analysis import honesty
from ingest.analysis.honesty import check_pair
from ingest.analysis.work import Work
from ingest.store import jobs
from tests.support.hours import END_MS, HOUR, Hours

ASKED = {
    "kind": "honesty", "symbol_a": "ACOINUSDT", "symbol_b": "BCOINUSDT", "timeframe": "1h",
    "bars": 400, "window": 20, "entry_z": 1.5,
}  # fmt: skip


def test_a_check_keeps_its_verdict_with_every_number_behind_it(
    hours: Hours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(honesty, "RUNS", 20)
    hours.fill(rows=600)
    asked = read_job_spec(ASKED, Settings())
    with hours.writer.transaction() as tx:
        jobs.ask(tx, asked, "me", END_MS)
        claimed = jobs.claim(tx, "lab", END_MS)
    assert claimed is not None
    work = Work(Settings(), hours.reader, hours.writer, claimed[0], 1, asked)
    told, words = check_pair(work)

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
