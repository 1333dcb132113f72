"""What a run tells beside its map: luck, walk-forward, entries and hedges where tested."""

import math
from collections.abc import Mapping
from typing import Any

from dash import html

from app.views.lab.charts import (
    curve_drawing,
    entries_drawing,
    segments_drawing,
    whiskers_drawing,
)
from app.views.lab.words import day, known, parameters_words
from app.views.markup import aria, html_text, table
from app.views.text import count, plain, signed
from core.pair_spec import HEDGES

Told = Mapping[str, Any]
MARKS = {
    True: ("✓", "passed", "passed"),
    False: ("✕", "bad", "failed"),
    None: ("–", "muted", "not checked"),
}
"""Of a check: sign, look, and the same in a word."""


def luck_panel(told: Told, spec: Told) -> Any:
    """The equity of one's own parameters, and what another order of its hours would have made."""
    luck = told["bootstrap"]
    if luck is None or not luck["curve"]["time"]:
        return html_text([])
    levels = f"{signed(spec['entry_z'])[1:]} / {plain(spec['exit_z'], 'g')}"
    head = html.H2([
        "Luck of your parameters",
        html.Small(f"net PnL, in sample, {levels}"),
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
    words = f"1,000 bootstraps, blocks of {known(luck['block'], '.0f')}; {luck['note']}."
    return html_text(
        [html.Div(head, className="panel-head"), *drawn, html.P(words, className="notes")]
    )


def walk_panel(told: Told, spec: Told) -> Any:
    """Each segment trained beside tested, and the curve of the tests alone."""
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
            html.Td(known(one["is_pnl"], "+,.0f"), className="muted"),
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
        html.P(f"{stays}{_calendar_words(walked)}", className="notes"),
    ])  # fmt: skip


def _calendar_words(walked: Told) -> str:
    """Whether one lucky stretch made it all; nothing of a run from before that was told."""
    told = walked.get("calendar")
    if told is None or len(told["periods"]) < 2:
        return ""
    earned = sum(one["net"] > 0.0 for one in told["periods"])
    return (
        f" {earned} of {count(len(told['periods']), told['every'])} earned; without the best"
        f" {told['every']} {plain(told['without_best'], '+,.0f')}."
    )


def entries_panel(told: Told, spec: Told) -> Any:
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


def hedges_panel(told: Told) -> Any:
    """Each way of hedging out of sample, the best first."""
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


def honest_panel(told: Told) -> Any:
    """The honesty check of one's own parameters, where the run is a report."""
    checked = told.get("honesty")
    if checked is None:
        return html_text([])
    items = []
    for check in checked["checks"]:
        mark, look, said = MARKS[check["passed"]]
        sign = html.Span(mark, className=look, title=said, role="img", **aria(label=said))
        items.append(html.Li([sign, html.B(check["label"]), html.P(check["words"])]))
    head = html.Div(
        html.H2(["Honesty", html.Small("of your own parameters")]), className="panel-head"
    )
    return html_text(
        [head, html.P(html.B(checked["verdict"]), className="notes"),
         html.Ul(items, className="checks")]
    )  # fmt: skip


def _float(value: float | None) -> float:
    return math.nan if value is None else value
