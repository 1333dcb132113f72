"""Figures of the Live view: traces and layout around the numbers of `app.views.live.series`; pure.

Colours are names of css variables ("--a"); the browser fills in those of its theme, as it fills
traces whose `meta` names an end. Rows are dense in time, so traces carry `x0` and `dx` in place of
times, and a new bar is one number a trace.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from app.views.live.series import HEIGHTS, Column, Drawn, columns, equity_columns, marks
from core.pair_spec import HEDGES, Hedge, PairSpec
from core.types import PairResult

Figure: TypeAlias = dict[str, Any]

FONT = '"Inter", system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif'
# Captions between the charts are html laid over the figure (app/views/live/charts.py).
CAPTION = 22
TIME_LABELS = 34
HEIGHT = sum(HEIGHTS.values()) + CAPTION * len(HEIGHTS) + TIME_LABELS
EQUITY_HEIGHT = 84
MANY_ROWS = 1_500
HOVER_TIMES = {"1s": "%d %b %Y %H:%M:%S"}


def pair_figure(result: PairResult, drawn: Drawn, key: str) -> Figure:
    """The four linked charts; `key` names the screen. Zoom belongs to pair and timeframe."""
    spec, begin = result.spec, drawn.first_row(result)
    column, mark = columns(result, drawn, begin), marks(result, drawn, begin)
    few = len(column["z"]) < MANY_ROWS
    rows = _Rows(drawn, spec.timeframe_ms, column, 1.4 if few else 1.1)
    traces = [
        *(
            _shade(kind, side, axis, mark)
            for axis in ("y5", "y6", "y7")
            for kind in ("held", "open")
            for side in ("long", "short")
        ),
        rows.line("a", "y", "--a")
        | {"customdata": column["price_a"], "meta": {"rows": "a", "customdata": "price_a"}},
        rows.line("b", "y", "--b")
        | {"customdata": column["price_b"], "meta": {"rows": "b", "customdata": "price_b"}},
        rows.edge("low", "y2"),
        rows.edge("high", "y2") | {"fill": "tonexty", "fillcolor": "--band"},
        rows.line("mean", "y2", "--muted", width=1, dash="2px,3px"),
        rows.line("spread", "y2", "--text"),
        _level("entry", "--accent", "6px,4px"),
        _level("even", "--muted", "1px,4px"),
        _level("need", "--muted", "8px,3px,2px,3px"),
        _level("leave", "--line", "2px,4px"),
        _level("stop", "--accent", "2px,3px"),
        rows.line("z", "y3", "--text"),
        _mark("entry_long", mark, "triangle-up", "--long", 10 if few else 8),
        _mark("entry_short", mark, "triangle-down", "--short", 10 if few else 8),
        _mark("exit", mark, "circle", "--text", 7 if few else 5),
        *_hedges(rows, spec.hedge),
    ]
    return {"data": traces, "layout": _pair_layout(drawn, key, spec)}


def _hedges(rows: "_Rows", chosen: Hedge) -> list[Figure]:
    """Every hedge ratio faint, and over them the chosen one."""
    faint = [rows.line(hedge, "y4", "--faint", width=1) for hedge in HEDGES if hedge != chosen]
    line = rows.line(chosen, "y4", "--text")
    if chosen != "kalman":
        return [*faint, line]
    high = rows.edge("kalman_high", "y4") | {"fill": "tonexty", "fillcolor": "--band"}
    return [rows.edge("kalman_low", "y4"), high, *faint, line]


def equity_figure(result: PairResult, drawn: Drawn, key: str) -> Figure:
    """Equity with its drawdown below, small."""
    spec = result.spec
    column = equity_columns(result, drawn.first_row(result))
    rows = _Rows(drawn, spec.timeframe_ms, column, 1.4)
    layout = small_layout(key, view_of(spec)) | {
        "margin": {"l": 46, "r": 8, "t": 4, "b": 4, "pad": 0},
        "xaxis": _time_axis(drawn)
        | {"type": "date", "hoverformat": HOVER_TIMES.get(spec.timeframe, "%d %b %Y %H:%M")}
        | {"showticklabels": False, "anchor": "y2"},
        "yaxis": _value_axis((0.36, 1.0)) | {"tickformat": "~s", "nticks": 4},
        "yaxis2": _value_axis((0.0, 0.26))
        | {"ticksuffix": " %", "nticks": 2, "rangemode": "tozero", "tickformat": "~g"},
    }
    traces = [
        rows.line("equity", "y", "--text", "Equity <b>%{y:,.2f}</b>"),
        rows.line("drawdown", "y2", "--loss", "Drawdown <b>%{y:.2f} %</b>", width=1)
        | {"fill": "tozeroy", "fillcolor": "--loss-area"},
    ]
    return {"data": traces, "layout": layout}


class _Rows:
    """Traces with a value a row."""

    def __init__(
        self, drawn: Drawn, step_ms: int, column: Mapping[str, Column], width: float
    ) -> None:
        self._drawn, self._step_ms, self._column = drawn, step_ms, column
        self._width = width

    def line(
        self,
        name: str,
        axis: str,
        color: str,
        hover: str = "",
        *,
        width: float | None = None,
        dash: str = "solid",
    ) -> Figure:
        hovering = {"hovertemplate": f"{hover}<extra></extra>"} if hover else {"hoverinfo": "skip"}
        return {
            **_trace(name, axis, "lines", {"rows": name}),
            "x0": self._drawn.first_ms,
            "dx": self._step_ms,
            "y": self._column[name],
            "line": {"color": color, "width": width or self._width, "dash": dash},
            **hovering,
        }

    def edge(self, name: str, axis: str) -> Figure:
        """An edge of a band: not drawn itself."""
        return self.line(name, axis, "--clear") | {"line": {"width": 0}}


def _trace(name: str, axis: str, mode: str, meta: Mapping[str, str]) -> Figure:
    return {
        "type": "scatter",
        "mode": mode,
        "name": name,
        "meta": dict(meta),
        "yaxis": axis,
        "showlegend": False,
    }


def _unseen(name: str, axis: str, mode: str, meta: Mapping[str, str]) -> Figure:
    """A trace that hovering passes over."""
    return _trace(name, axis, mode, meta) | {"hoverinfo": "skip", "cliponaxis": False}


def _level(name: str, color: str, dash: str) -> Figure:
    return _unseen(name, "y3", "lines", {"end": name, "as": "level"}) | {
        "x": [],
        "y": [],
        "line": {"color": color, "width": 1, "dash": dash},
    }


def _shade(kind: str, side: str, axis: str, mark: Mapping[str, Mapping[str, Column]]) -> Figure:
    """Stretches of time in which a position was held, over the whole height of a chart."""
    name = f"{kind}_{side}"
    meta = {"marks": name} if kind == "held" else {"end": name, "as": "holding"}
    # A list of its own for each chart: they are appended to one by one.
    area = {part: list(values) for part, values in mark.get(name, {"x": [], "y": []}).items()}
    return _unseen(name, axis, "lines", meta) | {
        **area,
        "cliponaxis": True,
        "line": {"width": 0},
        "fill": "toself",
        "fillcolor": f"--held-{side}",
    }


def _mark(
    name: str, mark: Mapping[str, Mapping[str, Column]], symbol: str, color: str, size: int
) -> Figure:
    is_exit = name == "exit"
    return _unseen(name, "y3", "markers", {"marks": name}) | {
        **mark[name],
        "marker": {
            "symbol": symbol,
            "size": size,
            "color": "--panel" if is_exit else color,
            "line": {"color": color, "width": 1.5 if is_exit else 0},
        },
    }


def view_of(spec: PairSpec) -> str:
    """What zoom belongs to: it survives every other change of a screen."""
    return f"{spec.symbol_a} {spec.symbol_b} {spec.timeframe}"


def base_layout(key: str, view: str) -> Figure:
    """What all figures of the view have in common."""
    return {
        "meta": {"key": key, "view": view},
        "uirevision": view,
        "autosize": True,
        "paper_bgcolor": "--panel",
        "plot_bgcolor": "--panel",
        "font": {"family": FONT, "size": 11, "color": "--muted"},
        "showlegend": False,
        "dragmode": "zoom",
    }


def small_layout(key: str, view: str) -> Figure:
    """What the charts beside the linked ones have in common: values in a box under the pointer."""
    return base_layout(key, view) | {
        "hovermode": "x unified",
        "hoverlabel": {
            "bgcolor": "--panel-2",
            "bordercolor": "--line",
            "font": {"color": "--text", "size": 11, "family": FONT},
        },
    }


def _pair_layout(drawn: Drawn, key: str, spec: PairSpec) -> Figure:
    total = sum(HEIGHTS.values()) + CAPTION * (len(HEIGHTS) - 1)
    domains: dict[str, tuple[float, float]] = {}
    top = 1.0
    for name, height in HEIGHTS.items():
        domains[name] = (max(0.0, top - height / total), top)
        top -= (height + CAPTION) / total
    percent = {"ticksuffix": " %", "tickformat": "+~g"}
    hidden = {"range": [0, 1], "fixedrange": True, "visible": False, "anchor": "x"}
    return base_layout(key, view_of(spec)) | {
        # What stands under the pointer is read in the captions (assets/desk_crosshair.js).
        "hovermode": False,
        # At the right edge is room for the labels.
        "margin": {"l": 52, "r": 82, "t": CAPTION, "b": TIME_LABELS, "pad": 0},
        "xaxis": _time_axis(drawn) | {"anchor": "y4"},
        "yaxis": _value_axis(domains["price"]) | percent,
        "yaxis2": _value_axis(domains["spread"]) | percent,
        "yaxis3": _value_axis(domains["z"]) | {"tickformat": "+~g", "nticks": 8},
        "yaxis4": _value_axis(domains["hedge"]) | {"tickformat": "~g"},
        "yaxis5": hidden | {"overlaying": "y"},
        "yaxis6": hidden | {"overlaying": "y2"},
        "yaxis7": hidden | {"overlaying": "y3"},
    }


def _time_axis(drawn: Drawn) -> Figure:
    """Time; of the linked charts its range and times are the browser's (assets/desk_span.js).

    Milliseconds are plain numbers: of dates plotly would parse each.
    """
    return {
        "type": "linear",
        "autorange": True,
        # Room for the newest points at the right edge only.
        "autorangeoptions": {"clipmin": drawn.first_ms},
        "showgrid": False,
        "zeroline": False,
        "tickangle": 0,
        "tickfont": {"size": 10},
        "ticks": "",
    }


def _value_axis(domain: tuple[float, float]) -> Figure:
    return {
        "domain": list(domain),
        "gridcolor": "--grid",
        "zeroline": False,
        "fixedrange": True,
        "nticks": 5,
        "ticks": "",
    }
