"""What the numbers on screen are worth: what noise gives, and what other entries gave; pure.

Both come after the screen: nothing waits for them.
"""

import math
from collections.abc import Callable

from app.views.live.figures import Figure, small_layout, view_of
from app.views.live.texts import NOISE, SUMMARY
from app.views.text import plain, reach
from core.expectancy import Entry, Expectancy
from core.honesty import BEYOND_ENTRY, HALF_LIFE, Noise, Placebo
from core.pair_spec import PairSpec

RUNS = 200
FEWEST_SHOWN = 5
"""An entry with fewer trades in a half is not drawn for it: its mean says nothing."""
EXPECTANCY_HEIGHT = 116


def noise_texts(spec: PairSpec, told: Placebo | None, reason: str) -> dict[str, str]:
    """The third lines: 5 to 95 % of what random walks give."""
    texts = dict.fromkeys(NOISE, "")
    if told is None:
        return texts | {"noise-note": f"No noise to compare with: {reason}."}
    figures = told.figures
    beyond, capture = figures[BEYOND_ENTRY], figures["reversion_capture"]
    share = f"|z| ≥ {spec.entry_z:g}: {_percent(beyond.value)} %"
    texts["z-noise"] = f"{share} · noise {_between(beyond, _in_percent)}"
    texts["even-noise"] = (
        f"capture {_percent(capture.value)} % · noise {_between(capture, _in_percent)}"
    )
    texts["effect-noise"] = f" · noise {_between(figures['hedge_effectiveness'], _in_percent)}"
    texts["coint-noise"] = f" · noise {_between(figures['pvalue_both'], float, '.2g')}"
    texts["corr-noise"] = f"noise {_between(figures['correlation'], float, '.2f')}"
    found = 100 * figures[HALF_LIFE].defined / told.runs
    texts["half-life-noise"] = f"noise shows one in {found:.0f} %"
    to_bp = 1e4 / spec.notional
    shown: dict[str, tuple[str, Callable[[float], float], str, str]] = {
        "pnl": ("total_pnl", float, ",.0f", ""),
        "per-trade": ("avg_pnl", lambda value: to_bp * value, ".0f", ""),
        "win": ("win_rate", _in_percent, ".0f", " %"),
        "trades": ("total_trades", float, ",.0f", ""),
        "sharpe": ("sharpe", float, ".1f", ""),
        "drawdown": ("max_drawdown", _in_percent, ".0f", " %"),
        "costs": ("costs", float, ",.0f", ""),
        "exposure": ("exposure", _in_percent, ".0f", " %"),
    }
    assert shown.keys() == SUMMARY.keys()
    for key, (name, scale, form, unit) in shown.items():
        texts[f"{key}-noise"] = _between(figures[name], scale, form) + unit
    rank = figures["total_pnl"].rank
    ranked = f" Net PnL ranks {rank:.0f} of 100." if math.isfinite(rank) else ""
    texts["noise-note"] = f"Third line: 5–95 % of {told.runs} noise runs.{ranked}"
    return texts


def expectancy_figure(spec: PairSpec, told: Expectancy | None, key: str) -> Figure:
    """Net per trade, bp of the notional, against the entry z, each half of the rows apart."""
    entries = [entry for entry in told.entries if entry.whole.trades] if told else []
    layout = small_layout(key, view_of(spec)) | {
        "margin": {"l": 44, "r": 66, "t": 14, "b": 30, "pad": 0},
        "xaxis": _entry_axis(entries, spec.entry_z),
        "yaxis": {
            "gridcolor": "--grid",
            "zeroline": False,
            "fixedrange": True,
            "nticks": 5,
            "ticks": "",
            "tickformat": "+~g",
        },
    }
    if told is None or not entries:
        return {"data": [], "layout": layout}
    layout["shapes"] = [
        _level(0.0, "--text", "8px,3px,2px,3px"),
        _level(-told.cost_bps, "--muted", "1px,3px"),
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "x0": spec.entry_z,
            "x1": spec.entry_z,
            "line": {"color": "--accent", "width": 1, "dash": "6px,4px"},
        },
    ]
    layout["annotations"] = [
        _beside("pays costs", 0.0, "--text", "bottom"),
        _beside(f"costs {told.cost_bps:g}", -told.cost_bps, "--muted", "top"),
        {
            "x": spec.entry_z,
            "xref": "x",
            "y": 1,
            "yref": "paper",
            "text": "your entry",
            "showarrow": False,
            "yanchor": "bottom",
            "font": {"color": "--accent", "size": 11},
        },
    ]
    drawn = [entry for entry in entries if entry.whole.trades >= FEWEST_SHOWN]
    x = [entry.entry_z for entry in drawn]
    traces = [
        _line("low", x, [_edge(entry, -1) for entry in drawn], "--clear", width=0),
        _line("high", x, [_edge(entry, 1) for entry in drawn], "--clear", width=0)
        | {"fill": "tonexty", "fillcolor": "--band"},
        _half("first_half", "1st half", drawn, "--is", "4px,3px"),
        _half("second_half", "2nd half", drawn, "--text", "solid"),
    ]
    return {"data": traces, "layout": layout}


def expectancy_note(told: Expectancy | None, reason: str) -> str:
    """What stands beside the chart's heading."""
    if told is None:
        return reason
    return "bp ± 1 s.e., in sample"


def _entry_axis(entries: list[Entry], entry_z: float) -> Figure:
    ticks = [entry for entry in entries if (2 * entry.entry_z).is_integer()]
    last = max(
        [entry_z, *(entry.entry_z for entry in entries if entry.whole.trades >= FEWEST_SHOWN)]
    )
    ticks = [entry for entry in ticks if entry.entry_z <= last + 0.25]
    return {
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
        "range": [min(0.9, entry_z - 0.1), last + 0.15],
        "tickvals": [entry.entry_z for entry in ticks],
        "ticktext": [
            f"{entry.entry_z:.1f}<br>{_counts(entry)}"
            if entry.entry_z.is_integer()
            else f"{entry.entry_z:.1f}"
            for entry in ticks
        ],
        "tickangle": 0,
        "ticks": "",
        "hoverformat": ".2f",
    }


def _counts(entry: Entry) -> str:
    return f"{entry.first_half.trades}+{entry.second_half.trades}"


def _half(name: str, words: str, entries: list[Entry], color: str, dash: str) -> Figure:
    halves = [getattr(entry, name) for entry in entries]
    y = [_number(half.net) if half.trades >= FEWEST_SHOWN else None for half in halves]
    line = _line(name, [entry.entry_z for entry in entries], y, color, width=1.5, dash=dash)
    stderrs = [plain(half.net_stderr, ".1f") for half in halves]
    hover = f"{words} <b>%{{y:+.1f}}</b> ± %{{customdata}} bp<extra></extra>"
    return line | {"customdata": stderrs, "hovertemplate": hover, "hoverinfo": "all"}


def _line(
    name: str,
    x: list[float],
    y: list[float | None],
    color: str,
    *,
    width: float,
    dash: str = "solid",
) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "showlegend": False,
        "x": x,
        "y": y,
        "hoverinfo": "skip",
        "meta": {},
        "line": {"color": color, "width": width, "dash": dash},
    }


def _level(level: float, color: str, dash: str) -> Figure:
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": level,
        "y1": level,
        "line": {"color": color, "width": 1, "dash": dash},
    }


def _beside(words: str, level: float, color: str, anchor: str) -> Figure:
    return {
        "x": 1,
        "xref": "paper",
        "xanchor": "left",
        "xshift": 6,
        "y": level,
        "yanchor": anchor,
        "text": words,
        "showarrow": False,
        "font": {"color": color, "size": 11},
    }


def _edge(entry: Entry, sign: int) -> float | None:
    return _number(entry.whole.net + sign * entry.whole.net_stderr)


def _number(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None


def _in_percent(value: float) -> float:
    return 100.0 * value


def _percent(value: float) -> str:
    return plain(100.0 * value, ".0f")


def _between(noise: Noise, scale: Callable[[float], float], form: str = ".0f") -> str:
    return reach(scale(noise.low), scale(noise.high), form)
