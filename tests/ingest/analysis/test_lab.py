"""Sweeps as jobs: what is kept is what `core` says of the stored bars."""

import numpy as np
import pytest

from core.grid_spec import AXES
from core.job_spec import read_job_spec
from core.overfitting import sharpe_ratios
from core.row_plan import plan_rows
from core.settings import Settings
from core.sweep import grid_of, sweep
from core.walk_forward import walk_forward
from ingest.analysis.lab import sweep_pair, walk_pair
from ingest.analysis.pair_bars import NoSharedBars
from ingest.analysis.work import NotWanted, Work
from ingest.store import jobs
from tests.support.hours import END_MS, HOUR, Hours

NOW_MS = END_MS + 60_000
ASKED = {
    "kind": "sweep", "symbol_a": "ACOINUSDT", "symbol_b": "BCOINUSDT", "timeframe": "1h",
    "bars": 600, "window": 20, "window_values": "20, 40", "entry_z_values": "1 to 2 by 0.5",
    "hedge_values": "ols, ratio", "train_bars": 200,
}  # fmt: skip


def work_of(hours: Hours, **changes: object) -> Work:
    spec = read_job_spec({**ASKED, **changes}, Settings())
    with hours.writer.transaction() as tx:
        jobs.ask(tx, spec, "me", NOW_MS)
        claimed = jobs.claim(tx, "lab", NOW_MS)
    assert claimed is not None
    return Work(Settings(), hours.reader, hours.writer, claimed[0], 1, spec)


def test_a_sweep_says_of_each_cell_what_core_says_and_judges_the_best(hours: Hours) -> None:
    hours.fill(rows=900)
    work = work_of(hours)
    told, words = sweep_pair(work)
    grid = grid_of(work.spec.values, Settings())
    legs = [hours.reader.bars(symbol, HOUR) for symbol in ("ACOINUSDT", "BCOINUSDT")]
    first, last = END_MS - 900 * HOUR, END_MS - HOUR
    cells = sweep(grid, *legs, first, last)
    assert told["axes"] == {name: list(grid.values[name]) for name in AXES}
    assert words.startswith("12 combinations")
    for name, values in told["metrics"].items():
        shown = [np.nan if value is None else value for value in values]
        np.testing.assert_allclose(shown, cells.figures[name], rtol=1e-5)
    ratios = sharpe_ratios(cells.returns)
    best = told["best"]
    assert best["index"] == int(np.argmax(ratios))
    assert best["sharpe"] == pytest.approx(float(ratios.max()))
    assert 0.0 < best["reality_check_p"] <= 1.0
    assert best["dsr"] <= best["psr"]
    assert best["parameters"]["window"] == grid.spec_at(best["index"]).window
    assert told["trials"] == 12
    assert told["periods"] == cells.returns.shape[1]
    assert told["pbo"]["splits"] == 252
    low, middle, high = told["bootstrap"]["return"]
    assert low < middle < high
    start = plan_rows(grid.spec, first, last).start_ms
    assert told["bootstrap"]["curve"]["time"][0] == start
    walked = told["walk_forward"]
    assert walked["segments"][0]["train_from"] == start
    assert walked["trades"] == sum(one["oos_trades"] for one in walked["segments"])
    nets = [one["net"] for one in walked["calendar"]["periods"]]
    assert sum(nets) == pytest.approx(walked["net"])
    assert walked["calendar"]["without_best"] == pytest.approx(walked["net"] - max(nets))
    assert {one["hedge"] for one in walked["hedges"]} == {"ols", "ratio"}
    assert [one["entry_z"] for one in walked["entries"]] == list(grid.values["entry_z"])
    for one in walked["entries"]:
        among = np.unravel_index(np.arange(grid.cells), grid.shape)[AXES.index("entry_z")]
        fixed = walk_forward(
            [np.array(grid.values["entry_z"])[among] == one["entry_z"]],
            grid, *legs, first, last, 200,
        )[0].segments  # fmt: skip
        trained = sum(segment.trained_trades for segment in fixed)
        nets = [net for segment in fixed for net in segment.tested_nets]
        assert (one["trained"]["trades"], one["tested"]["trades"]) == (trained, len(nets))
        gained = sum(segment.trained_net for segment in fixed) / trained
        assert one["trained"]["net_bp"] == pytest.approx(gained / grid.spec.notional * 1e4)
        assert one["tested"]["net_bp"] == pytest.approx(np.mean(nets) / grid.spec.notional * 1e4)
    assert told["warnings"] == []
    again, _ = walk_pair(work)
    assert again["walk_forward"] == walked


def test_too_few_rows_are_said_and_judge_nothing(hours: Hours) -> None:
    hours.fill(rows=60)
    told, _ = sweep_pair(work_of(hours, bars=10, train_bars=None, hedge_values="ols"))
    assert told["best"] is None
    assert told["walk_forward"] is None
    assert len(told["warnings"]) == 2


def test_symbols_without_bars_are_an_answer_in_words(hours: Hours) -> None:
    hours.fill(rows=60)
    with pytest.raises(NoSharedBars, match="no 1h bars"):
        sweep_pair(work_of(hours, symbol_a="NONEUSDT"))


def test_a_cancelled_sweep_ends_between_its_batches(hours: Hours) -> None:
    hours.fill(rows=900)
    work = work_of(hours)
    with hours.writer.transaction() as tx:
        jobs.cancel(tx, work.job_id, NOW_MS)
    with pytest.raises(NotWanted):
        sweep_pair(work)
