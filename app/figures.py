"""Figures of the Live view: a result becomes a whole figure once, then deltas; pure.

Colours are names of css variables ("--a"); the browser fills in those of its theme. Rows are dense
in time, so traces carry `x0` and `dx` in place of times, and a delta is a few numbers a trace.
Values are rounded for drawing; the API's are not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from core.types import FloatArray, PairResult

Column: TypeAlias = list[float | None]
Figure: TypeAlias = dict[str, Any]

MAX_DRAWN_ROWS = 6_000
FONT = 'ui-sans-serif, system-ui, "Inter", "Segoe UI", Roboto, sans-serif'

# Heights in pixels, top to bottom; the captions between are html laid over the figure (desk.css).
CAPTION = 26
CHARTS = {"price": 132, "spread": 126, "z": 166, "hedge": 96}
TIME_LABELS = 34
HEIGHT = sum(CHARTS.values()) + CAPTION * len(CHARTS) + TIME_LABELS
EQUITY_HEIGHT = 118
LABEL_HEIGHT = 13
"""Labels at the right edge closer than this would cover each other."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Which rows of a result a screen shows: from `first_ms` on; a delta begins after `last_ms`."""

    first_ms: int
    last_ms: int

    def first_row(self, result: PairResult) -> int:
        return (self.first_ms - result.start_ms) // result.spec.timeframe_ms

    def next_row(self, result: PairResult) -> int:
        return (self.last_ms - result.start_ms) // result.spec.timeframe_ms + 1


def drawn_rows(result: PairResult) -> Drawn:
    """The rows that a new screen shows: the newest ones when there are very many."""
    times = result.rows.open_time_ms
    return Drawn(int(times[max(0, len(times) - MAX_DRAWN_ROWS)]), int(times[-1]))


def columns(result: PairResult, drawn: Drawn, begin: int) -> dict[str, Column]:
    """Values of every dense trace from row `begin` on, by trace."""
    rows, ols, kalman, chosen = result.rows, result.ols, result.kalman, result.chosen
    here = slice(begin, None)
    band = 2 * chosen.spread_std
    digits = _decimals(ols.hedge_ratio, kalman.hedge_ratio)
    stderr = result.kalman_stderr
    return {
        "a": _change(rows.close_a, drawn.first_row(result), here),
        "b": _change(rows.close_b, drawn.first_row(result), here),
        "price_a": _numbers(rows.close_a[here], 10),
        "price_b": _numbers(rows.close_b[here], 10),
        "low": _numbers(100 * (chosen.spread_mean - band)[here], 3),
        "high": _numbers(100 * (chosen.spread_mean + band)[here], 3),
        "mean": _numbers(100 * chosen.spread_mean[here], 3),
        "spread": _numbers(100 * chosen.spread[here], 3),
        "z": _numbers(chosen.zscore[here], 3),
        "ols": _numbers(ols.hedge_ratio[here], digits),
        "kalman": _numbers(kalman.hedge_ratio[here], digits),
        "kalman_low": _numbers((kalman.hedge_ratio - stderr)[here], digits),
        "kalman_high": _numbers((kalman.hedge_ratio + stderr)[here], digits),
        "equity": _numbers(result.backtest.equity[here], 2),
        "drawdown": _numbers(100 * result.backtest.drawdown[here], 2),
    }


def marks(result: PairResult, first: int, begin: int) -> dict[str, dict[str, Column]]:
    """What row `begin` or a later one adds: entries, exits, and holdings that ended.

    Entries and exits stand at the z that decided. Holdings are drawn from row `first` on.
    """
    position = result.position
    before = np.concatenate(([0], position[:-1]))
    changed = (position != before) & (np.arange(len(position)) >= begin)
    zscore = result.chosen.zscore

    def at(rows: npt.NDArray[np.bool_]) -> dict[str, Column]:
        return {
            "x": [int(time) for time in result.rows.open_time_ms[rows]],
            "y": _numbers(zscore[rows], 3),
        }

    return {
        "entry_long": at(changed & (position > 0)),
        "entry_short": at(changed & (position < 0)),
        "exit": at(changed & (before != 0)),
        **_holdings(result, first, begin),
    }


def ends(result: PairResult, drawn: Drawn) -> dict[str, dict[str, Any]]:
    """What moves with the newest row as a whole: labels at the right edge and level lines."""
    chosen, spec = result.chosen, result.spec
    first = drawn.first_row(result)
    last = slice(-1, None)
    change_a = _change(result.rows.close_a, first, last)[0]
    change_b = _change(result.rows.close_b, first, last)[0]
    spread, zscore = _last(100 * chosen.spread), _last(chosen.zscore)
    ols, kalman = _last(result.ols.hedge_ratio), _last(result.kalman.hedge_ratio)
    # The span of the charts, to know which labels would cover each other.
    span_price = _span(
        _relative(result.rows.close_a, first)[first:], _relative(result.rows.close_b, first)[first:]
    )
    kalman_ratio, stderr = result.kalman.hedge_ratio[first:], result.kalman_stderr[first:]
    span_hedge = _span(result.ols.hedge_ratio[first:], kalman_ratio + stderr, kalman_ratio - stderr)
    even = float(result.break_even_z)
    levels_z = np.array([spec.entry_z, -spec.entry_z, even, -even])
    pixel_z = _span(chosen.zscore[first:], levels_z) / CHARTS["z"]
    place_a, place_b = _apart(change_a, change_b, span_price / CHARTS["price"])
    place_ols, place_kalman = _apart(ols, kalman, span_hedge / CHARTS["hedge"])
    place_entry, place_even = _apart(spec.entry_z, even, pixel_z)
    # The newest z is said first: a level's label gives way to it.
    near = LABEL_HEIGHT * pixel_z
    levels = {
        "entry": _level(spec.entry_z, "entry", place_entry, zscore, near),
        "even": _level(even, "b/e", place_even, zscore, near),
        "leave": _level(spec.exit_z, "", "middle right", zscore, near),
    }
    if spec.stop_z is not None:
        levels["stop"] = _level(spec.stop_z, "stop", "middle right", zscore, near)
    return {
        "tag_a": _tag(change_a, price_text(_last(result.rows.close_a)), place_a),
        "tag_b": _tag(change_b, price_text(_last(result.rows.close_b)), place_b),
        "tag_spread": _tag(spread, "" if spread is None else f"{spread:+.2f} %"),
        "tag_z": _tag(zscore, "" if zscore is None else f"{zscore:+.2f}"),
        "tag_ols": _tag(ols, "" if ols is None else f"{ols:.3g}", place_ols),
        "tag_kalman": _tag(kalman, "" if kalman is None else f"{kalman:.3g}", place_kalman),
        **levels,
        **_open_holding(result, first),
    }


def forming_values(
    result: PairResult,
    drawn: Drawn,
    forming: tuple[float, float] | None,
    zscore_provisional: float,
) -> dict[str, float | None]:
    """Where the bar that is still open stands now, in the charts' own units."""
    if forming is None:
        return {}
    first, row = drawn.first_row(result), result.next_row
    close_a, close_b = forming
    spread = math.log(close_a) - row.intercept - row.hedge_ratio * math.log(close_b)
    return {
        "a": _number(100 * (close_a / _base(result.rows.close_a, first) - 1), 3),
        "b": _number(100 * (close_b / _base(result.rows.close_b, first) - 1), 3),
        "spread": _number(100 * spread, 3),
        "z": _number(zscore_provisional, 3),
    }


def delta(result: PairResult, drawn: Drawn) -> dict[str, Any]:
    """What a client that has drawn up to `drawn.last_ms` still needs."""
    begin = drawn.next_row(result)
    appended = {key: list(values) for key, values in columns(result, drawn, begin).items()}
    added = marks(result, drawn.first_row(result), begin)
    new_marks = {key: mark for key, mark in added.items() if mark["x"]}
    return {"rows": appended, "marks": new_marks, "ends": ends(result, drawn)}


def pair_figure(result: PairResult, drawn: Drawn, key: str) -> Figure:
    """The four linked charts; `key` names the screen, and while it stands zoom is kept."""
    spec = result.spec
    begin = drawn.first_row(result)
    column = columns(result, drawn, begin)
    mark = marks(result, begin, begin)
    end = ends(result, drawn)
    leg_a, leg_b = spec.symbol_a, spec.symbol_b
    width = 1.4 if len(column["z"]) < 1_500 else 1.1

    def line(name: str, axis: str, color: str, hover: str | None = None, **more: Any) -> Figure:
        style = {"color": color, "width": width, **more.pop("line", {})}
        hovering = {"hovertemplate": hover + "<extra></extra>"} if hover else {"hoverinfo": "skip"}
        return _trace(name, axis, drawn, spec.timeframe_ms, column[name], style, hovering | more)

    traces = [
        *(
            _shade(f"{kind}_{side}", axis, f"--held-{side}", kind, (mark | end)[f"{kind}_{side}"])
            for axis in ("y5", "y6", "y7")
            for kind in ("held", "open")
            for side in ("long", "short")
        ),
        line("a", "y", "--a", f"{leg_a} <b>%{{customdata}}</b> (%{{y:+.2f}} %)")
        | {"customdata": column["price_a"], "meta": {"rows": "a", "customdata": "price_a"}},
        line("b", "y", "--b", f"{leg_b} <b>%{{customdata}}</b> (%{{y:+.2f}} %)")
        | {"customdata": column["price_b"], "meta": {"rows": "b", "customdata": "price_b"}},
        line("low", "y2", "--clear", line={"width": 0}),
        line("high", "y2", "--clear", line={"width": 0}, fill="tonexty", fillcolor="--band"),
        line("mean", "y2", "--muted", line={"width": 1, "dash": "2px,3px"}),
        line("spread", "y2", "--text", "Spread <b>%{y:+.3f} %</b>"),
        _lines("entry", "y3", "--accent", "5px,4px", end),
        _lines("even", "y3", "--muted", "1px,4px", end),
        _lines("leave", "y3", "--line", "2px,4px", end),
        *([_lines("stop", "y3", "--bad", "5px,4px", end)] if "stop" in end else []),
        line("z", "y3", "--text", "z <b>%{y:+.2f}</b>"),
        _marks("entry_long", mark, "triangle-up", "--long"),
        _marks("entry_short", mark, "triangle-down", "--short"),
        _marks("exit", mark, "circle", "--text"),
        line("kalman_low", "y4", "--clear", line={"width": 0}),
        line("kalman_high", "y4", "--clear", line={"width": 0}, fill="tonexty", fillcolor="--se"),
        line("ols", "y4", "--a", "OLS <b>%{y:.4g}</b>"),
        line("kalman", "y4", "--b", "Kalman <b>%{y:.4g}</b>", line={"dash": "4px,3px"}),
        *(
            _label(name, axis, color, end)
            for name, axis, color in (
                ("tag_a", "y", "--a"),
                ("tag_b", "y", "--b"),
                ("tag_spread", "y2", "--text"),
                ("tag_z", "y3", "--text"),
                ("tag_ols", "y4", "--a"),
                ("tag_kalman", "y4", "--b"),
            )
        ),
    ]
    _place_ends(traces, drawn)
    return {"data": traces, "layout": _pair_layout(drawn, key, spec.timeframe)}


def equity_figure(result: PairResult, drawn: Drawn, key: str) -> Figure:
    """Equity with its drawdown below, small."""
    spec = result.spec
    column = columns(result, drawn, drawn.first_row(result))
    equity = _trace(
        "equity",
        "y",
        drawn,
        spec.timeframe_ms,
        column["equity"],
        {"color": "--accent", "width": 1.4},
        {"hovertemplate": "Equity <b>%{y:,.2f}</b><extra></extra>"},
    )
    drawdown = _trace(
        "drawdown",
        "y2",
        drawn,
        spec.timeframe_ms,
        column["drawdown"],
        {"color": "--short", "width": 1},
        {
            "hovertemplate": "Drawdown <b>%{y:.2f} %</b><extra></extra>",
            **_fill("--held-short"),
        },
    )
    layout = _base_layout(key, EQUITY_HEIGHT) | {
        "margin": {"l": 46, "r": 8, "t": 4, "b": 4, "pad": 0},
        "xaxis": _time_axis(drawn, spec.timeframe) | {"showticklabels": False, "anchor": "y2"},
        "yaxis": _value_axis((0.36, 1.0)) | {"tickformat": "~s", "nticks": 4},
        "yaxis2": _value_axis((0.0, 0.26))
        | {"ticksuffix": " %", "nticks": 2, "rangemode": "tozero", "tickformat": "~g"},
    }
    return {"data": [equity, drawdown], "layout": layout}


def price_text(price: float | None) -> str:
    """A price in the digits that matter."""
    if price is None or not np.isfinite(price):
        return ""
    if price >= 1_000:
        return f"{price:,.1f}"
    return f"{price:.2f}" if price >= 10 else f"{price:.4g}"


def _trace(
    name: str,
    axis: str,
    drawn: Drawn,
    step_ms: int,
    values: Column,
    style: Mapping[str, Any],
    more: Mapping[str, Any],
) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "meta": {"rows": name},
        "x0": drawn.first_ms,
        "dx": step_ms,
        "y": values,
        "yaxis": axis,
        "line": dict(style),
        **more,
    }


def _lines(name: str, axis: str, color: str, dash: str, end: Mapping[str, Any]) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+text",
        "name": name,
        "meta": {"end": name, "at": "span"},
        "yaxis": axis,
        "hoverinfo": "skip",
        "cliponaxis": False,
        "line": {"color": color, "width": 1, "dash": dash},
        "textfont": {"color": "--muted", "size": 10},
        **end[name],
    }


def _label(name: str, axis: str, color: str, end: Mapping[str, Any]) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": name,
        "meta": {"end": name, "at": "last"},
        "yaxis": axis,
        "hoverinfo": "skip",
        "cliponaxis": False,
        "marker": {"color": color, "size": 6},
        "textfont": {"color": color, "size": 10, "weight": 600},
        **end[name],
    }


def _shade(name: str, axis: str, color: str, kind: str, area: Mapping[str, Column]) -> Figure:
    """Stretches of time in which a position was held, over the whole height."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "meta": {"marks": name} if kind == "held" else {"end": name},
        "yaxis": axis,
        "hoverinfo": "skip",
        "line": {"width": 0},
        "fill": "toself",
        "fillcolor": color,
        "x": list(area["x"]),
        "y": list(area["y"]),
    }


def _marks(name: str, mark: Mapping[str, Mapping[str, Column]], symbol: str, color: str) -> Figure:
    is_exit = name == "exit"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "meta": {"marks": name},
        "yaxis": "y3",
        "hoverinfo": "skip",
        "cliponaxis": False,
        "marker": {
            "symbol": symbol,
            "size": 7 if is_exit else 10,
            "color": "--panel" if is_exit else color,
            "line": {"color": color, "width": 1.5 if is_exit else 0},
        },
        **mark[name],
    }


def _place_ends(traces: Sequence[Figure], drawn: Drawn) -> None:
    """Give the labels and level lines their times; in a delta the browser does."""
    for trace in traces:
        if trace["meta"].get("at") == "span":
            pair = [drawn.first_ms, drawn.last_ms]
            trace["x"] = [*pair, None, *pair]
        elif trace["meta"].get("at") == "last":
            trace["x"] = [drawn.last_ms]


def _base_layout(key: str, height: int) -> Figure:
    return {
        "meta": {"key": key},
        "uirevision": key,
        "height": height,
        "autosize": True,
        "paper_bgcolor": "--clear",
        "plot_bgcolor": "--clear",
        "font": {"family": FONT, "size": 10, "color": "--muted"},
        "showlegend": False,
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "hoverlabel": {
            "bgcolor": "--panel-2",
            "bordercolor": "--line",
            "font": {"color": "--text", "size": 11, "family": FONT},
        },
        "dragmode": "zoom",
        "modebar": {"bgcolor": "--clear", "color": "--muted", "activecolor": "--accent"},
    }


def _pair_layout(drawn: Drawn, key: str, timeframe: str) -> Figure:
    total = sum(CHARTS.values()) + CAPTION * (len(CHARTS) - 1)
    domains: dict[str, tuple[float, float]] = {}
    top = 1.0
    for name, height in CHARTS.items():
        domains[name] = (max(0.0, top - height / total), top)
        top -= (height + CAPTION) / total
    percent = {"ticksuffix": " %", "tickformat": "+~g"}
    hidden = {"range": [0, 1], "fixedrange": True, "visible": False}
    return _base_layout(key, HEIGHT) | {
        # Labels at the right edge need more of a narrow screen.
        "meta": {"key": key, "narrow_right": 52},
        "margin": {"l": 56, "r": 36, "t": CAPTION, "b": TIME_LABELS, "pad": 0},
        "xaxis": _time_axis(drawn, timeframe) | {"anchor": "y4"},
        "yaxis": _value_axis(domains["price"]) | percent,
        "yaxis2": _value_axis(domains["spread"]) | percent,
        "yaxis3": _value_axis(domains["z"]) | {"tickformat": "+~g", "nticks": 8},
        "yaxis4": _value_axis(domains["hedge"]) | {"tickformat": "~g"},
        "yaxis5": hidden | {"overlaying": "y", "anchor": "x"},
        "yaxis6": hidden | {"overlaying": "y2", "anchor": "x"},
        "yaxis7": hidden | {"overlaying": "y3", "anchor": "x"},
    }


def _time_axis(drawn: Drawn, timeframe: str) -> Figure:
    return {
        "type": "date",
        "autorange": True,
        # Room for the labels at the right edge only.
        "autorangeoptions": {"clipmin": drawn.first_ms},
        "showgrid": False,
        "zeroline": False,
        "showspikes": True,
        "spikemode": "across",
        "spikesnap": "cursor",
        "spikethickness": 1,
        "spikedash": "solid",
        "spikecolor": "--line",
        "hoverformat": "%d %b %Y %H:%M:%S" if timeframe == "1s" else "%d %b %Y %H:%M",
        "nticks": 8,
        "ticks": "",
        "tickformatstops": [
            {"dtickrange": [None, 59_999], "value": "%H:%M:%S\n%d %b"},
            {"dtickrange": [60_000, 86_399_999], "value": "%H:%M\n%d %b"},
            {"dtickrange": [86_400_000, None], "value": "%d %b\n%Y"},
        ],
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


def _fill(color: str) -> Figure:
    return {"fill": "tozeroy", "fillcolor": color}


def _held_runs(result: PairResult, first: int) -> list[tuple[int, int, int]]:
    """Runs of rows in which a position was held: first row, row after the last, side.

    A row is held when the row before decided so.
    """
    held = np.concatenate(([0], result.position[:-1]))[first:]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], held, [0]))))
    cuts = sorted({int(edge) for edge in edges})
    runs = [(begin, end, int(held[begin])) for begin, end in pairwise(cuts)]
    return [(first + begin, first + end, side) for begin, end, side in runs if side]


def _area(result: PairResult, begin: int, end: int) -> tuple[Column, Column]:
    step = result.spec.timeframe_ms
    left, right = result.start_ms + begin * step, result.start_ms + end * step
    return [left, left, right, right], [0, 1, 1, 0]


def _holdings(result: PairResult, first: int, begin: int) -> dict[str, dict[str, Column]]:
    """Holdings that ended at row `begin` or later, as areas."""
    areas: dict[str, dict[str, Column]] = {
        name: {"x": [], "y": []} for name in ("held_long", "held_short")
    }
    rows = len(result.position)
    for left, right, side in _held_runs(result, first):
        if begin <= right < rows:
            x, y = _area(result, left, right)
            area = areas["held_long" if side > 0 else "held_short"]
            area["x"] += [*x, None]
            area["y"] += [*y, None]
    return areas


def _open_holding(result: PairResult, first: int) -> dict[str, dict[str, Any]]:
    """The holding that still stood at the newest row, by side."""
    areas: dict[str, dict[str, Any]] = {
        name: {"x": [], "y": []} for name in ("open_long", "open_short")
    }
    for left, right, side in _held_runs(result, first)[-1:]:
        if right == len(result.position):
            x, y = _area(result, left, right)
            areas["open_long" if side > 0 else "open_short"] = {"x": x, "y": y}
    return areas


def _base(close: FloatArray, first: int) -> float:
    """The first close on screen: what changes are measured from."""
    present = close[first:][np.isfinite(close[first:])]
    return float(present[0]) if len(present) else float("nan")


def _relative(close: FloatArray, first: int) -> FloatArray:
    return (close / _base(close, first) - 1) * 100


def _change(close: FloatArray, first: int, rows: slice) -> Column:
    return _numbers(_relative(close, first)[rows], 3)


def _numbers(values: npt.NDArray[np.float64], digits: int) -> Column:
    """A plain list for JSON: rounded, None where undefined."""
    rounded = np.round(values, digits)
    return [value if np.isfinite(value) else None for value in rounded.tolist()]


def _number(value: float, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


def _last(values: FloatArray) -> float | None:
    return float(values[-1]) if len(values) and np.isfinite(values[-1]) else None


def _decimals(*series: FloatArray) -> int:
    """Decimals that keep five digits of the largest value."""
    largest = max((float(np.nanmax(np.abs(s))) for s in series if np.isfinite(s).any()), default=1)
    return int(np.clip(4 - np.floor(np.log10(largest or 1)), 1, 12))


def _span(*series: FloatArray) -> float:
    values = np.concatenate(series)
    values = values[np.isfinite(values)]
    return float(values.max() - values.min()) if len(values) else 0.0


def _apart(first: float | None, second: float | None, per_pixel: float) -> tuple[str, str]:
    """Where two labels stand, so that neither covers the other."""
    if first is None or second is None or abs(first - second) >= LABEL_HEIGHT * per_pixel:
        return "middle right", "middle right"
    return ("top right", "bottom right") if first >= second else ("bottom right", "top right")


def _tag(value: float | None, label: str, place: str = "middle right") -> dict[str, Any]:
    return {"y": [value], "text": ["  " + label if label else ""], "textposition": [place]}


def _level(
    level: float, label: str, place: str, zscore: float | None, near: float
) -> dict[str, Any]:
    """A line at ±level, labelled at its right end where the newest z is not."""
    above = _number(level, 3)
    below = None if above is None else -above
    mirror = {"top right": "bottom right", "bottom right": "top right"}.get(place, place)

    def words(at: float | None) -> str:
        covered = zscore is not None and at is not None and abs(at - zscore) < near
        return f"   {label}" if label and not covered else ""

    return {
        "y": [above, above, None, below, below],
        "text": ["", words(above), "", "", words(below)],
        "textposition": [place, place, place, mirror, mirror],
    }
