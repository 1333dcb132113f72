"""Small drawings as svg, in the colours of the page's theme; pure."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from app.views.markup import element
from app.views.text import signed, time_text
from core.timeframes import DAY_MS
from core.types import FloatArray
from core.words import with_minus

SPARK = (120, 24)
EPISODE = (400, 168)
_PLOT = (34, 8, 322, 142)
"""Left, top, right and bottom of an episode's plot; its labels stand to the right."""


def sparkline(values: Sequence[float] | FloatArray, entry_z: float, label: str) -> Markup:
    """The last values as a line, between the entry lines, with a dot at its end."""
    width, height = SPARK
    z = np.asarray(values, dtype=np.float64)
    known = z[np.isfinite(z)]
    reach = 1.1 * max([entry_z, *np.abs(known).tolist()])

    def y(value: Any) -> Any:
        return height / 2 * (1 - value / reach)

    step = (width - 4) / max(1, len(z) - 1)
    points = [(1 + row * step, value) for row, value in enumerate(y(z).tolist())]
    parts = [
        element("line", x1=0, x2=width, y1=px(y(level)), y2=px(y(level)), class_="entry")
        for level in (entry_z, -entry_z)
    ]
    parts.append(element("path", d=path(points), class_="line"))
    if points and math.isfinite(points[-1][1]):
        parts.append(_dot(*points[-1]))
    return picture(width, height, label, "spark", parts)


def trend(values: Sequence[float | None], low: float, high: float | None, label: str) -> Markup:
    """A figure over time, the band of what is normal shaded behind it."""
    width, height = 192, 24
    known = [value for value in values if value is not None]
    reached = max(known, default=0.0)
    # Where the bound is far away it does not press the line flat.
    top = max(reached, 1e-9 if high is None else min(high, 2.0 * reached or high), 1e-9)

    def y(value: float) -> float:
        return height - 2 - (height - 4) * min(value, top) / top

    ceiling = 0.0 if high is None or high >= top else y(high)
    parts = [
        element(
            "rect",
            x=0,
            y=px(ceiling),
            width=width,
            class_="normal",
            height=px(y(low) - ceiling),
        )
    ]
    step = (width - 4) / max(1, len(values) - 1)
    points = [
        (1 + place * step, math.nan if value is None else y(value))
        for place, value in enumerate(values)
    ]
    parts.append(element("path", d=path(points), class_="line"))
    if points and math.isfinite(points[-1][1]):
        parts.append(_dot(*points[-1]))
    return picture(width, height, label, "trend", parts)


def episode_chart(
    times_ms: Sequence[int],
    zscore: FloatArray,
    levels: Sequence[tuple[str, str, float]],
    shaded: tuple[int, int, str],
    label: str,
) -> Markup:
    """z around an episode.

    Parameters
    ----------
    levels : class, words and z of each horizontal line.
    shaded : first and last time of the episode, and its class.
    """
    width, height = EPISODE
    left, top, right, bottom = _PLOT
    known = zscore[np.isfinite(zscore)]
    heights = [*known.tolist(), *(level for _, _, level in levels), 0.0]
    low, high = min(heights) - 0.3, max(heights) + 0.3
    first, last = times_ms[0], max(times_ms[-1], times_ms[0] + 1)

    def x(time_ms: float) -> float:
        return left + (right - left) * min(max((time_ms - first) / (last - first), 0.0), 1.0)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    begin, end, look = shaded
    parts = [
        element(
            "rect",
            x=px(x(begin)),
            y=top,
            height=bottom - top,
            class_=f"held {look}",
            width=px(max(2.0, x(end) - x(begin))),
        )
    ]
    for value in _ticks(low, high):
        parts.append(_line(left, right, y(value), "grid"))
        parts.append(
            _text(left - 6, y(value), with_minus(f"{value:+g}") if value else "0", "axis end")
        )
    placed: list[float] = []
    newest = float(zscore[-1])
    names = [(look, words, level) for look, words, level in levels if low <= level <= high]
    if math.isfinite(newest):
        names.append(("now", signed(newest), newest))
    for look, words, level in names:
        if look != "now":
            parts.append(_line(left, right, y(level), look))
        placed.append(_free(y(level), placed))
        parts.append(_text(right + 8, placed[-1], words, look))
    points = [(x(time), y(float(z))) for time, z in zip(times_ms, zscore, strict=True)]
    parts.append(element("path", d=path(points), class_="line"))
    if math.isfinite(newest):
        parts.append(_dot(*points[-1]))
    for share in (0.15, 0.5, 0.85):
        time_ms = first + share * (last - first)
        words = _short_time(int(time_ms), last - first)
        parts.append(_text(x(time_ms), height - 12, words, "axis middle"))
    return picture(width, height, label, "episode", parts)


def _short_time(time_ms: int, span_ms: int) -> str:
    """A time on an axis: of more than two days only the date."""
    moment = time_text(time_ms)
    return moment[:6] if span_ms > 2 * DAY_MS else moment


def path(points: Iterable[tuple[float, float]]) -> str:
    """A line through points; one without a height breaks it."""
    said, is_down = [], False
    for x, y in points:
        is_there = math.isfinite(y)
        if is_there:
            said.append(f"{'L' if is_down else 'M'}{x:.1f} {y:.1f}")
        is_down = is_there
    # As `px` has it, for all of them at once: a table draws ten thousand of these.
    whole = "".join(said).replace(".0 ", " ").replace(".0L", "L").replace(".0M", "M")
    return whole.removesuffix(".0")


def _ticks(low: float, high: float) -> list[float]:
    step = next(size for size in (1, 2, 5, 10, 20, 50, 100, 1e9) if (high - low) / size <= 5)
    return [step * place for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _free(y: float, taken: Sequence[float]) -> float:
    """A height for a label that stands on no other."""
    for shift in (0, 12, -12, 24, -24, 36, -36):
        if all(abs(y + shift - other) >= 12 for other in taken):
            return y + shift
    return y


def picture(width: int, height: int, label: str, look: str, parts: list[Markup]) -> Markup:
    """The drawing itself, with the words that stand for it."""
    named: dict[str, Any] = {"aria-label": label}
    return element(
        "svg", *parts, viewBox=f"0 0 {width} {height}", class_=look, role="img", **named
    )  # fmt: skip


def _line(left: float, right: float, y: float, look: str) -> Markup:
    return element("line", x1=left, x2=right, y1=px(y), y2=px(y), class_=look)


def _text(x: float, y: float, words: str, look: str) -> Markup:
    return element("text", words, x=px(x), y=px(y), class_=look)


def _dot(x: float, y: float) -> Markup:
    return element("circle", cx=px(x), cy=px(y), r=2, class_="end")


def px(value: float) -> str:
    """A length as drawings write it: a tenth of a pixel is enough."""
    return f"{value:.1f}".removesuffix(".0")
