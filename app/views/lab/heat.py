"""The map of a run: one figure over two axes, the others hidden behind their median."""

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import numpy as np
from dash import html

from app.views.lab.asked import METRICS, Metric
from app.views.markup import aria, data, html_text
from app.views.text import plain
from core.grid_spec import AXES
from core.sweep import median_over
from core.types import FloatArray

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


def axes_shown(axes: Mapping[str, list[Any]]) -> tuple[str, str]:
    """Down and across: window by entry where both are tried, else those with most values."""
    swept = [name for name in AXES if len(axes[name]) > 1]
    if "window" in swept and "entry_z" in swept:
        return "window", "entry_z"
    most = sorted(swept, key=lambda name: -len(axes[name]))[:2]
    first, second = (*most, *(name for name in ("window", "entry_z") if name not in most))[:2]
    across = "entry_z" if "entry_z" in (first, second) else first
    return (second if across == first else first), across


def medians(told: Mapping[str, Any], metric: Metric, notional: float) -> FloatArray:
    """The figure down and across, (rows, columns): the median of what is hidden, never its best."""
    axes, figures = told["axes"], told["metrics"]
    name = {"net": "avg_pnl", "sharpe": "sharpe", "trades": "total_trades"}[metric]
    cells = np.array([math.nan if value is None else value for value in figures[name]])
    if metric == "net":
        cells = cells / notional * 1e4
    table = cells.reshape([len(axes[axis]) for axis in AXES])
    return median_over(table, axes_shown(axes))


def heat_map(told: Mapping[str, Any], spec: Mapping[str, Any], metric: Metric) -> Any:
    """The table; a click on a cell opens Live with its two values."""
    axes = told["axes"]
    down, across = axes_shown(axes)
    table = medians(told, metric, spec["notional"])
    rows, columns = (
        np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(int))
        for size, most in zip(table.shape, MOST, strict=True)
    )
    hidden = math.prod(len(values) for name, values in axes.items() if name not in (down, across))
    left_out = "" if (len(rows), len(columns)) == table.shape else " · some rows left out"
    best = told["best"]["parameters"] if told["best"] else {}
    reach = float(np.nanmax(np.abs(table))) if np.isfinite(table).any() else 1.0
    head = html.Div(
        [
            html.H2([NAMES[metric], html.Small(
                f"in sample, median of {hidden:,} · framed yours · dashed best{left_out}"
            )]),
            html.Div(
                [html.Button(WORDS[name], className="btn-small", type="button",
                             **data(ask="metric", value=name),
                             **aria(pressed=str(name == metric).lower())) for name in METRICS],
                className="seg-buttons", role="group", **aria(label="Figure"),
            ),
        ],
        className="panel-head",
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
    return html_text([head, html.Div(heat, className="scrolls")])


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
    return f"{value:g}".replace("-", "−") if isinstance(value, int | float) else str(value)


def live_link(spec: Mapping[str, Any], at: Mapping[str, Any]) -> str:
    """Live with these parameters; a hedge window follows its window unless it is one of them."""
    return f"/?{own_query({**spec, 'hedge_window': None, **at})}"


def own_query(spec: Mapping[str, Any]) -> str:
    """A pair and its parameters as a link says them."""
    names = ("symbol_a", "symbol_b", "timeframe", "window", "entry_z", "exit_z", "exit_rule",
             "stop_z", "max_hold_bars", "hedge", "hedge_window", "bars", "fee_bps", "slippage_bps",
             "notional")  # fmt: skip
    return urlencode({name: spec[name] for name in names if spec[name] is not None})
