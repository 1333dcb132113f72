"""Everything that the Lab view says, as html by the id of its frame."""

from collections.abc import Mapping, Sequence
from typing import Any

from dash import html

from app.services import Desk
from app.services.lab import SweepRun
from app.services.refusals import NotThere
from app.views.lab import ids
from app.views.lab.asked import Asked
from app.views.lab.compare import compare_panel
from app.views.lab.form import form, told_of_form
from app.views.lab.head import cards_panel, verdict_panel
from app.views.lab.heat import heat_map
from app.views.lab.panels import (
    entries_panel,
    hedges_panel,
    honest_panel,
    luck_panel,
    walk_panel,
)
from app.views.lab.runs import runs_panel
from app.views.markup import html_text
from ingest.store.reader import StoredJob

_OF_RESULTS = (
    ids.CARDS, ids.MAP, ids.LUCK, ids.WALK, ids.ENTRIES, ids.HEDGES, ids.HONEST,
    ids.COMPARE,
)  # fmt: skip
NOTHING_YET = (
    "No sweep yet.",
    "A sweep trades every combination of the values above on the pair's own bars, costs included,"
    " and says how often pure noise, tried as often, would have done as well. Press Run.",
)
NOT_KEPT = (
    "There is no such run.",
    "Only the newest are kept. A report has a link that asks for the same again.",
)
ENDED = {
    "failed": "That sweep failed.",
    "cancelled": "That sweep was cancelled.",
    "done": "What was asked for then is refused today.",
}
"""Why a run has nothing to be shown, by its state."""


def parts(desk: Desk, asked: Asked) -> dict[str, Any]:
    """The view for what was asked; raises StoreError where the store can't be read."""
    runs = desk.lab.runs()
    run = _shown(desk, asked, runs)
    told = run.told if run else None
    spec = desk.lab.values(run.job) if run else None
    cost, held = told_of_form(desk, asked)
    content = {
        ids.FORM: form(desk),
        ids.COUNT: cost,
        ids.RUNS: runs_panel(desk, runs, run),
        "texts": held,
    }
    if run is None or told is None or spec is None:
        return content | {
            ids.VERDICT: _waiting(run, asked),
            **dict.fromkeys(_OF_RESULTS, html_text([])),
        }
    # A run that is done changes no more: what it tells is made once, not every second.
    what = ("lab", run.job.job_id, asked._replace(form=()))
    made: dict[str, Any] = desk.answers.get_or_compute(
        what, lambda: _results(desk, run, told, spec, asked)
    )
    return content | made


def _results(
    desk: Desk, run: SweepRun, told: Mapping[str, Any], spec: Mapping[str, Any], asked: Asked
) -> dict[str, Any]:
    other = _run(desk, asked.other)
    return {
        ids.VERDICT: verdict_panel(run, told, spec),
        ids.COMPARE: compare_panel(run, other) if other else html_text([]),
        ids.CARDS: cards_panel(told, spec),
        ids.MAP: heat_map(told, spec, asked),
        ids.LUCK: luck_panel(told, spec),
        ids.WALK: walk_panel(told, spec),
        ids.ENTRIES: entries_panel(told, spec),
        ids.HEDGES: hedges_panel(told),
        ids.HONEST: honest_panel(told),
    }


def _shown(desk: Desk, asked: Asked, runs: Sequence[StoredJob]) -> SweepRun | None:
    """The run that was asked for, or the newest that is done, or one that is still under way."""
    done = [job.job_id for job in runs if job.state == "done"]
    chosen = asked.run or next(iter(done), None) or (runs[0].job_id if runs else None)
    return _run(desk, chosen)


def _run(desk: Desk, job_id: int | None) -> SweepRun | None:
    if job_id is None:
        return None
    try:
        return desk.lab.run(job_id)
    except NotThere:
        return None


def _waiting(run: SweepRun | None, asked: Asked) -> Any:
    if run is not None:
        under_way = f"Sweeping: {100 * run.job.progress:.0f} %."
        heading, words = ENDED.get(run.job.state, under_way), run.job.message
    else:
        heading, words = NOTHING_YET if asked.run is None else NOT_KEPT
    return html_text(
        html.Div([html.Strong(heading), html.P(html.Span(words))], className="verdict")
    )
