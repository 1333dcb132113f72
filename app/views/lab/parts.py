"""Everything that the Lab view says, as html by the id of its frame."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dash import html

from app.services import Desk
from app.services.lab import Run
from app.services.refusals import NotThere
from app.views.lab import ids
from app.views.lab.asked import Asked
from app.views.lab.charts import (
    curve_drawing,
    entries_drawing,
    segments_drawing,
    whiskers_drawing,
)
from app.views.lab.compare import compare_panel
from app.views.lab.form import cost_words, form
from app.views.lab.heat import heat_map, live_link, own_query
from app.views.lab.words import day, mean_of, parameters_words, share_words, verdict
from app.views.markup import data, html_text, table
from app.views.text import NONE, coin, count, plain, signed, time_text
from core.pair_spec import HEDGES
from ingest.store.reader import StoredJob

HELP = "/help#what-the-best-of-many-is-worth"
_OF_RESULTS = (
    ids.CARDS, ids.MAP, ids.LUCK, ids.WALK, ids.ENTRIES, ids.HEDGES, ids.COMPARE,
)  # fmt: skip
NOTHING_YET = (
    "No sweep yet.",
    "A sweep trades every combination of the values above on the pair's own bars, costs included,"
    " and says how often pure noise, tried as often, would have done as well. Press Run.",
)


def parts(desk: Desk, asked: Asked) -> dict[str, Any]:
    """The view for what was asked; raises StoreError where the store can't be read."""
    runs = desk.lab.runs()
    run = _shown(desk, asked, runs)
    told = run.told if run else None
    spec = desk.lab.values(run.job) if run else None
    content = {
        ids.FORM: form(desk),
        ids.COUNT: cost_words(desk, asked),
        ids.RUNS: _runs(desk, runs, run),
    }
    if run is None or told is None or spec is None:
        return content | {
            ids.VERDICT: _waiting(run),
            **dict.fromkeys(_OF_RESULTS, html_text([])),
        }
    other = _run(desk, asked.other)
    return content | {
        ids.VERDICT: _verdict(run.job.job_id, told, spec),
        ids.COMPARE: compare_panel(run, other) if other else html_text([]),
        ids.CARDS: _cards(told, spec),
        ids.MAP: heat_map(told, spec, asked.metric),
        ids.LUCK: _luck(told, spec),
        ids.WALK: _walk(told, spec),
        ids.ENTRIES: _entries(told, spec),
        ids.HEDGES: _hedges(told),
    }


def _shown(desk: Desk, asked: Asked, runs: Sequence[StoredJob]) -> Run | None:
    """The run that was asked for, or the newest that is done, or one that is still under way."""
    done = [job.job_id for job in runs if job.state == "done"]
    chosen = asked.run or next(iter(done), None) or (runs[0].job_id if runs else None)
    return _run(desk, chosen)


def _run(desk: Desk, job_id: int | None) -> Run | None:
    if job_id is None:
        return None
    try:
        return desk.lab.run(job_id)
    except NotThere:
        return None


def _waiting(run: Run | None) -> Any:
    if run is None:
        heading, words = NOTHING_YET
    else:
        heading = {"failed": "That sweep failed.", "cancelled": "That sweep was cancelled."}.get(
            run.job.state, f"Sweeping: {100 * run.job.progress:.0f} %."
        )
        words = run.job.message
    return html_text(
        html.Div([html.Strong(heading), html.P(html.Span(words))], className="verdict")
    )


def _verdict(job_id: int, told: Mapping[str, Any], spec: Mapping[str, Any]) -> Any:
    said, basis, after, look = verdict(told, spec["notional"])
    tools = [
        html.Button("Check honesty", type="button", className="btn-small",
                    title="Of your own parameters", **data(honesty=own_query(spec))),
        html.Button("Report ↓", type="button", className="btn-small", **data(report=job_id)),
        html.A("What does this mean?", href=HELP, className="btn-small"),
    ]  # fmt: skip
    best = told["best"]
    load = best and html.A(
        "Best in Live", href=live_link(spec, best["parameters"]), className="btn-small"
    )
    return html_text(
        html.Div(
            [html.Strong(said), html.P([html.Span(basis), html.Span(after)]), load, *tools],
            className=f"verdict {look}".rstrip(),
        )
    )


def _cards(told: Mapping[str, Any], spec: Mapping[str, Any]) -> Any:
    best, pbo, walked = told["best"], told["pbo"], told["walk_forward"]
    luck = told["bootstrap"]
    quote = f"of {spec['notional']:,.0f}"
    nets = [value for value in told["metrics"]["avg_pnl"] if value is not None]
    middle = sorted(nets)[len(nets) // 2] / spec["notional"] * 1e4 if nets else math.nan
    segments = walked["segments"] if walked else []
    trained = mean_of([one["is_pnl"] for one in segments])
    tested = mean_of([one["oos_pnl"] for one in segments])
    band = luck and luck["return"]
    amounts = [plain(share * spec["notional"], ",.0f") for share in band] if band else []
    figures = [
        ("reality check p", plain(best["reality_check_p"], ".3f") if best else NONE,
         "under 0.05 would be news"),
        ("chance of overfitting", share_words(pbo["value"]) if pbo else NONE,
         f"{pbo['blocks']} blocks, {pbo['splits']} splits; 50 % is pure luck" if pbo else ""),
        ("deflated Sharpe", _known(best and best["dsr"], ".2f"),
         f"{told['trials_distinct']:,} distinct; very strict on grids"),
        ("trained → tested", f"{plain(trained, '+,.0f')} → {plain(tested, '+,.0f')}",
         f"a segment, {count(len(segments), 'segment')}"),
        ("median of all cells", f"{plain(middle, '+.1f')} bp", "net per trade, in sample"),
        ("yours, other luck 5–95 %", f"{amounts[0]} to {amounts[2]}" if amounts else NONE, quote),
    ]  # fmt: skip
    return html_text(
        [
            html.Article(
                [html.H2(name), html.Strong(value), html.Small(small)], className="card-desk"
            )
            for name, value, small in figures
        ]
    )


def _float(value: float | None) -> float:
    return math.nan if value is None else value


def _known(value: float | None, form_: str) -> str:
    return NONE if value is None else plain(value, form_)


def _luck(told: Mapping[str, Any], spec: Mapping[str, Any]) -> Any:
    luck = told["bootstrap"]
    if luck is None or not luck["curve"]["time"]:
        return html_text([])
    head = html.H2([
        "Luck of your parameters",
        html.Small(f"net PnL, in sample, {signed(spec['entry_z'])[1:]} / {spec['exit_z']:g}"),
    ])  # fmt: skip
    own = luck["curve"]
    drawn: list[Any] = [
        curve_drawing(own["time"], {"own": own["value"]}, "Net PnL of your parameters",
                      [(own["value"][-1] or 0.0, plain(luck["net"], "+,.0f"))], height=110)
    ]  # fmt: skip
    if luck["fan"] is not None:
        fan = luck["fan"]
        ends = [(fan[name][-1], f"{share} % {plain(fan[name][-1], '+,.0f')}")
                for name, share in (("high", 95), ("median", 50), ("low", 5))]  # fmt: skip
        lines = {name: fan[name] for name in ("low", "median", "high")}
        label = "Net PnL with the same returns in another order: 5th, 50th and 95th of 100"
        drawn.append(curve_drawing(fan["time"], lines, label, ends))
    words = f"1,000 bootstraps, blocks of {_known(luck['block'], '.0f')}; {luck['note']}."
    return html_text(
        [html.Div(head, className="panel-head"), *drawn, html.P(words, className="notes")]
    )


def _walk(told: Mapping[str, Any], spec: Mapping[str, Any]) -> Any:
    walked = told["walk_forward"]
    head = html.H2(
        ["Walk-forward", html.Small(f"on {spec['train_bars']:,} bars, then half as many")]
    )
    key = html.Small([html.Span(className="key first"), "trained",
                      html.Span(className="key oos"), "tested"])  # fmt: skip
    top = html.Div([head, key], className="panel-head")
    if walked is None:
        return html_text([top, html.P("; ".join(told["warnings"]), className="empty")])
    equity = walked["equity"]
    end = [(equity["value"][-1] or 0.0, plain(walked["net"], "+,.0f"))]
    rows = [
        html.Tr([
            html.Td(f"{day(one['test_from'])} – {day(one['test_to'])}", className="left"),
            html.Td(parameters_words(one["chosen"]), className="left"),
            html.Td(_known(one["is_pnl"], "+,.0f"), className="muted"),
            html.Td([html.B(plain(one["oos_pnl"], "+,.0f"), className="oos"),
                     html.Small(f" · {one['oos_trades']}")]),
        ])
        for one in walked["segments"]
    ]  # fmt: skip
    columns = ("test", "chosen on the stretch before", "trained", "tested · trades")
    choices = {parameters_words(one["chosen"]) for one in walked["segments"]}
    stays = f"{count(len(walked['segments']), 'choice')}, {len(choices)} different." + (
        " What was best in the past did not stay best." if len(choices) > 1 else ""
    )
    return html_text([
        top,
        segments_drawing(walked["segments"]),
        curve_drawing(equity["time"], {"oos": equity["value"]}, "Net PnL of the tests alone", end),
        table(columns, rows, "walk", columns[:2]),
        html.P(stays, className="notes"),
    ])  # fmt: skip


def _entries(told: Mapping[str, Any], spec: Mapping[str, Any]) -> Any:
    """Each entry where it was chosen, and on what came after: two drawings, never one."""
    walked = told["walk_forward"]
    if walked is None or len(walked.get("entries", ())) < 2:
        return html_text([])
    ou = told["bootstrap"] and told["bootstrap"]["ou_entry_z"]
    marked = [(spec["entry_z"], "entry")] + ([(ou, "ou")] if ou is not None else [])
    drawn: list[Any] = []
    for name, heading, words, look in (
        ("trained", "Trained", "net per trade by entry, bp ± s.e.; trades", "own"),
        ("tested", "Tested", "the same choices on what came after", "oos"),
    ):
        rows = [
            (one["entry_z"], _float(one[name]["net_bp"]), _float(one[name]["stderr_bp"]),
             one[name]["trades"]) for one in walked["entries"]
        ]  # fmt: skip
        head = html.Div(html.H2([heading, html.Small(words)]), className="panel-head")
        drawn += [head, entries_drawing(rows, look, f"{heading}: {words}", marked)]
    best = "" if ou is None else f" Dotted: best of an Ornstein-Uhlenbeck spread, {ou:.2f}."
    drawn.append(html.P(f"Dashed: your entry.{best}", className="notes"))
    return html_text(drawn)


def _hedges(told: Mapping[str, Any]) -> Any:
    walked = told["walk_forward"]
    if walked is None:
        return html_text([])
    rows = [
        (HEDGES[one["hedge"]], _float(one["net_bp"]), _float(one["stderr_bp"]))
        for one in walked["hedges"]
    ]
    rows.sort(key=lambda row: (math.isnan(row[1]), -row[1]))
    small = html.Small("net per trade, bp ± s.e., same walk-forward")
    head = html.Div(html.H2(["Hedges, tested", small]), className="panel-head")
    return html_text([head, whiskers_drawing(rows, "Net per tested trade by hedge")])


def _runs(desk: Desk, runs: Sequence[StoredJob], shown: Run | None) -> Any:
    rows = []
    for job in runs:
        values = desk.lab.values(job)
        told = desk.lab.summary(job)
        pair = (
            ""
            if values is None
            else (f"{coin(values['symbol_a'])} / {coin(values['symbol_b'])} {values['timeframe']}")
        )
        state: Any = job.state
        if job.state in ("queued", "running"):
            state = html.Button("Cancel", className="btn-small", type="button",
                                **data(lab_do="cancel", id=job.job_id))  # fmt: skip
        rows.append(
            html.Tr(
                [
                    html.Td(time_text(job.asked_ms), className="left"),
                    html.Td(str(job.body.get("name") or ""), className="left"),
                    html.Td(pair, className="left"),
                    html.Td(f"{told.trials:,}" if told else f"{100 * job.progress:.0f} %"),
                    html.Td(_known(told.reality_check_p, ".2f") if told else state),
                    html.Td(_known(told.tested_net, "+,.0f") if told else NONE),
                    html.Td(_beside(job, shown)),
                ],
                className="on" if shown and shown.job.job_id == job.job_id else "",
                tabIndex=0,
                **data(ask="run", value=job.job_id, key=job.job_id),
            )
        )
    columns = ("asked, UTC", "name", "pair", "cells", "noise p", "tested", "")
    head = html.Div(html.H2(["Runs", html.Small("the newest first")]), className="panel-head")
    if not rows:
        return html_text([head, html.P("What you run is kept here.", className="empty")])
    return html_text([head, table(columns, rows, "runs", columns[:3])])


def _beside(job: StoredJob, shown: Run | None) -> Any:
    """What puts a run beside the one that is shown."""
    if job.state != "done" or shown is None or shown.told is None or shown.job.job_id == job.job_id:
        return None
    return html.Button("Compare", className="btn-small", type="button",
                       **data(ask="other", value=job.job_id))  # fmt: skip
