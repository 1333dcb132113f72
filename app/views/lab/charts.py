"""Drawings of the Lab view as svg; pure. What was trained and what was tested share no line."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from app.views.drawing import path, picture, px
from app.views.lab.words import day
from app.views.markup import element
from app.views.text import plain

WIDTH = 400
_LEFT, _RIGHT = 46, 392


def segments_drawing(segments: Sequence[Mapping[str, Any]]) -> Markup:
    """When each segment was trained (dashed) and tested."""
    first, last = segments[0]["train_from"], segments[-1]["test_to"]
    height = 12 * len(segments) + 4

    def x(time_ms: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (time_ms - first) / (last - first)

    parts = []
    for row, one in enumerate(segments):
        for begin, end, look in (
            ("train_from", "train_to", "trained"),
            ("test_from", "test_to", "tested"),
        ):
            left, right = x(one[begin]), x(one[end])
            parts.append(
                element("rect", x=px(left), y=2 + 12 * row, width=px(right - left - 1),
                        height=8, rx=2, class_=look)
            )  # fmt: skip
    return picture(WIDTH, height, "When each segment was trained and tested", "lab-drawing", parts)


def curve_drawing(
    times: Sequence[int],
    lines: Mapping[str, Sequence[float | None]],
    label: str,
    said: Sequence[tuple[float, str]] = (),
    height: int = 150,
) -> Markup:
    """Curves over one time by their class, zero dash-dotted, the band between low and high filled.

    `said` are labels at values beside the right end.
    """
    right = _RIGHT - (70 if said else 0)
    known = [value for line in lines.values() for value in line if value is not None]
    low, high = min([*known, 0.0]), max([*known, 0.0])
    span = (high - low) or 1.0
    low, high = low - 0.06 * span, high + 0.06 * span
    bottom = height - 18
    first, last = times[0], max(times[-1], times[0] + 1)

    def x(time_ms: float) -> float:
        return _LEFT + (right - _LEFT) * (time_ms - first) / (last - first)

    def y(value: float) -> float:
        return 4 + (bottom - 4) * (high - value) / (high - low)

    def points(name: str) -> list[tuple[float, float]]:
        return [
            (x(time), math.nan if value is None else y(value))
            for time, value in zip(times, lines[name], strict=True)
        ]

    parts = []
    for value in _ticks(low, high):
        look = "zero" if value == 0 else "grid"
        parts.append(element("line", x1=_LEFT, x2=right, y1=px(y(value)), y2=px(y(value)),
                             class_=look))  # fmt: skip
        words = plain(value, "+,.0f") if value else "0"
        parts.append(element("text", words, x=_LEFT - 6, y=px(y(value)), class_="end"))
    if "low" in lines and "high" in lines:
        around = path(points("high")) + path(points("low")[::-1]).replace("M", "L", 1) + "Z"
        parts.append(element("path", d=around, class_="band"))
    for name in lines:
        if name not in ("low", "high"):
            parts.append(element("path", d=path(points(name)), class_=name))
    for share in (0.1, 0.5, 0.9):
        moment = int(first + share * (last - first))
        parts.append(element("text", day(moment), x=px(x(moment)), y=height - 6, class_="middle"))
    for value, words in said:
        parts.append(element("text", words, x=right + 8, y=px(y(value)), class_="said"))
    return picture(WIDTH, height, label, "lab-drawing", parts)


def entries_drawing(
    rows: Sequence[tuple[float, float, float, int]],
    look: str,
    label: str,
    marked: Sequence[tuple[float, str]],
) -> Markup:
    """Net per trade by entry z with a standard error to either side, and how many trades each had.

    Parameters
    ----------
    rows : entry, mean, standard error (NaN where there is none), trades.
    marked : entries with a line of the class beside each.
    """
    known = [row for row in rows if math.isfinite(row[1])]
    spread = [value for _, mean, error, _ in known for value in (
        mean - (error if math.isfinite(error) else 0.0),
        mean + (error if math.isfinite(error) else 0.0),
    )]  # fmt: skip
    low, high = min([*spread, 0.0]), max([*spread, 0.0])
    margin = 0.08 * ((high - low) or 1.0)
    low, high = low - margin, high + margin
    first, last = rows[0][0], max(rows[-1][0], rows[0][0] + 0.1)
    bottom, height = 112, 150

    def x(entry: float) -> float:
        return _LEFT + 10 + (_RIGHT - _LEFT - 20) * (entry - first) / (last - first)

    def y(value: float) -> float:
        return 4 + (bottom - 4) * (high - value) / (high - low)

    parts = []
    for value in _ticks(low, high):
        at, line = px(y(value)), "zero" if value == 0 else "grid"
        parts.append(element("line", x1=_LEFT, x2=_RIGHT, y1=at, y2=at, class_=line))
        words = plain(value, "+,.0f") if value else "0"
        parts.append(element("text", words, x=_LEFT - 6, y=px(y(value)), class_="end"))
    for entry, name in marked:
        if first <= entry <= last:
            parts.append(element("line", x1=px(x(entry)), x2=px(x(entry)), y1=4, y2=bottom,
                                 class_=name))  # fmt: skip
    for entry, mean, error, _ in known:
        if math.isfinite(error):
            parts.append(element("line", x1=px(x(entry)), x2=px(x(entry)),
                                 y1=px(y(mean - error)), y2=px(y(mean + error)),
                                 class_=f"error {look}"))  # fmt: skip
    parts.append(element("path", d=path([(x(row[0]), y(row[1])) for row in known]), class_=look))
    every = math.ceil(len(rows) / 7)
    for entry, _, _, trades in rows[::every]:
        parts.append(element("text", f"{entry:g}", x=px(x(entry)), y=bottom + 14, class_="middle"))
        parts.append(element("text", f"{trades:,}", x=px(x(entry)), y=bottom + 28, class_="middle"))
    return picture(WIDTH, height, label, "lab-drawing", parts)


def whiskers_drawing(rows: Sequence[tuple[str, float, float]], label: str) -> Markup:
    """A mean and two standard errors to either side, a row each, around zero."""
    ends = [abs(mean) + 2 * (error if math.isfinite(error) else 0.0) for _, mean, error in rows]
    reach = max([end for end in ends if math.isfinite(end)], default=1.0) or 1.0

    def x(value: float) -> float:
        return 76 + 204 * (value + reach) / (2 * reach)

    height = 26 * len(rows) + 4
    parts = [element("line", x1=px(x(0)), x2=px(x(0)), y1=0, y2=height, class_="zero")]
    for row, (name, mean, error) in enumerate(rows):
        y = 15 + 26 * row
        parts.append(element("text", name, x=0, y=y, class_="name"))
        if not math.isfinite(mean):
            parts.append(element("text", "no trade", x=WIDTH - 2, y=y, class_="end"))
            continue
        if math.isfinite(error):
            left, right = (px(x(mean + sign * 2 * error)) for sign in (-1, 1))
            parts.append(element("line", x1=left, x2=right, y1=y, y2=y, class_="reach"))
        parts.append(element("circle", cx=px(x(mean)), cy=y, r=4, class_="mean"))
        words = f"{plain(mean, '+.1f')} ± {plain(error, '.1f')}"
        parts.append(element("text", words, x=WIDTH - 2, y=y, class_="end"))
    return picture(WIDTH, height, label, "lab-drawing", parts)


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 4
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [step * place for place in range(math.ceil(low / step), math.floor(high / step) + 1)]
