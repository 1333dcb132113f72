"""The map of a run: one figure over two axes, the others hidden behind their median."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from dash import html
from markupsafe import Markup

from app.views.lab.asked import Asked, Metric
from app.views.lab.links import live_link
from app.views.markup import aria, data, element, html_text
from app.views.text import plain
from core.grid_spec import AXES
from core.sweep import median_over
from core.types import FloatArray
from core.words import with_minus

NAMES: Mapping[Metric, str] = {
    "net": "Net per trade, bp",
    "sharpe": "Sharpe, yearly",
    "trades": "Closed trades",
}
WORDS: Mapping[Metric, str] = {"net": "net", "sharpe": "Sharpe", "trades": "trades"}
LABELS = {
    "window": "window", "hedge_window": "hedge window", "hedge": "hedge", "entry_z": "entry z",
    "exit_z": "exit z", "stop_z": "stop z", "exit_rule": "exits", "max_hold_bars": "longest hold",
}  # fmt: skip
MOST = (24, 20)
"""Rows and columns that are shown; of more some are left out."""
STEPS = 5
"""Shades."""
_USUAL = Asked()


def axes_shown(axes: Mapping[str, list[Any]], asked: Asked = _USUAL) -> tuple[str, str]:
    """Down and across: those asked for, the others as they suit the run."""
    usual = _usual_axes(axes)
    down, across = asked.down, asked.across
    if across is None or across == down:
        across = next(name for name in reversed(usual) if name != down)
    return down or next(name for name in usual if name != across), across


def _usual_axes(axes: Mapping[str, list[Any]]) -> tuple[str, str]:
    """Window by entry where both are tried, else those with most values."""
    swept = [name for name in AXES if len(axes[name]) > 1]
    if "window" in swept and "entry_z" in swept:
        return "window", "entry_z"
    most = sorted(swept, key=lambda name: -len(axes[name]))[:2]
    first, second = (*most, *(name for name in ("window", "entry_z") if name not in most))[:2]
    across = "entry_z" if "entry_z" in (first, second) else first
    return (second if across == first else first), across


def medians(
    told: Mapping[str, Any], metric: Metric, notional: float, shown: tuple[str, str]
) -> FloatArray:
    """The figure down and across, (rows, columns): the median of what is hidden, never its best."""
    axes, figures = told["axes"], told["metrics"]
    name = {"net": "avg_pnl", "sharpe": "sharpe", "trades": "total_trades"}[metric]
    cells = np.array([math.nan if value is None else value for value in figures[name]])
    if metric == "net":
        cells = cells / notional * 1e4
    table = cells.reshape([len(axes[axis]) for axis in AXES])
    return median_over(table, shown)


def heat_map(told: Mapping[str, Any], spec: Mapping[str, Any], asked: Asked) -> Any:
    """The table; a click on a cell opens Live with its two values."""
    axes, metric = told["axes"], asked.metric
    down, across = axes_shown(axes, asked)
    table = medians(told, metric, spec["notional"], (down, across))
    rows, columns = (
        np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(int))
        for size, most in zip(table.shape, MOST, strict=True)
    )
    hidden = math.prod(len(values) for name, values in axes.items() if name not in (down, across))
    left_out = "" if (len(rows), len(columns)) == table.shape else ", some rows left out"
    best = told["best"]["parameters"] if told["best"] else {}
    reach = float(np.nanmax(np.abs(table))) if np.isfinite(table).any() else 1.0
    small = html.Small(f"in sample, median of {hidden:,}{left_out}")
    head = html.Div([html.H2([NAMES[metric], small]), _metrics(metric)], className="panel-head")
    key = html.P(
        [_picker("down", down, axes), _picker("across", across, axes),
         "framed yours, dashed best; a cell opens in Live"],
        className="notes axes",
    )  # fmt: skip
    body = []
    for row in rows.tolist():
        value = axes[down][row]
        cells: list[Any] = [html.Th(_said(value), scope="row")]
        for column in columns.tolist():
            at = {down: value, across: axes[across][column]}
            cells.append(_cell(float(table[row, column]), metric, reach, at, spec, best))
        body.append(html.Tr(cells))
    foot = html.Tr([html.Th(LABELS[across]), *(html.Th(_said(axes[across][column]), scope="col")
                                              for column in columns.tolist())])  # fmt: skip
    caption = html.Caption(f"{NAMES[metric]} by {LABELS[down]} and {LABELS[across]}")
    heat = html.Table([caption, html.Tbody(body), html.Tfoot(foot)], className="heat")
    return html_text([head, key, html.Div(heat, className="scrolls")])


def _metrics(chosen: Metric) -> html.Div:
    buttons = [
        html.Button(words, className="btn-small", type="button", **data(ask="metric", value=name),
                    **aria(pressed=str(name == chosen).lower()))
        for name, words in WORDS.items()
    ]  # fmt: skip
    return html.Div(buttons, className="seg-buttons", role="group", **aria(label="Figure"))


def _picker(name: str, chosen: str, axes: Mapping[str, list[Any]]) -> Markup:
    """An axis of the map, chosen among those that were tried."""
    options = [
        element("option", LABELS[axis], value=axis, selected=axis == chosen)
        for axis in AXES
        if len(axes[axis]) > 1 or axis == chosen
    ]
    field = element("select", *options, class_="in", **data(ask=name))
    return element("label", name, field)


def _cell(
    value: float,
    metric: Metric,
    reach: float,
    at: Mapping[str, Any],
    spec: Mapping[str, Any],
    best: Mapping[str, Any],
) -> html.Td:
    looks = [f"{'loss' if value < 0.0 else 'heat'}-{_shade(value, reach)}"]
    if all(spec[name] == entry for name, entry in at.items()):
        looks.append("yours")
    if best and all(best[name] == entry for name, entry in at.items()):
        looks.append("best")
    if math.isnan(value):
        return html.Td("", className="none", title="no trade, or values that don't go together")
    words = plain(value, {"net": "+.0f", "sharpe": "+.1f", "trades": ".0f"}[metric])
    words = "0" if words in ("+0", "−0") else words
    return html.Td(html.A(words, href=live_link(spec, at)), className=" ".join(looks))


def _shade(value: float, reach: float) -> int:
    return 0 if math.isnan(value) or not reach else round(STEPS * abs(value) / reach)


def _said(value: Any) -> str:
    if value is None:
        return "none"
    return with_minus(f"{value:g}") if isinstance(value, int | float) else str(value)
