"""A map of the symbols that a scan's first pairs are made of: median p below, correlation above."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from dash import html

from app.services.scans import ScanTable
from app.views.markup import element, html_text
from app.views.text import coin
from core.types import FloatArray, IntArray

MOST_SYMBOLS = 27
FIRST_PAIRS = 200
LEVELS = 5
_WIDTH, _LABEL, _WIDEST_CELL = 404, 52, 32
"""Pixels, one to one: letters keep their size whether six symbols are drawn or twenty-seven."""


def market_map(table: ScanTable | None, chosen: IntArray | None) -> Any:
    """The map; those that belong together stand together."""
    head = html.Div(
        className="panel-head",
        children=[
            html.H2("Market map"),
            html.Small("below: median p small · above: correlation"),
        ],
    )
    if table is None or chosen is None or not len(chosen):
        return html_text([head, html.P("No pair to map.", className="none")])
    symbols = _symbols(table, chosen)
    median, correlation = (
        _matrix(table, symbols, name) for name in ("p_quarters_median", "correlation")
    )
    order = _together(correlation)
    return html_text(
        [head, _drawing([coin(table.symbols[symbols[place]]) for place in order],
                        median[np.ix_(order, order)], correlation[np.ix_(order, order)])]
    )  # fmt: skip


def _symbols(table: ScanTable, chosen: IntArray) -> list[int]:
    """Those in most of the first pairs."""
    first = chosen[:FIRST_PAIRS]
    legs = Counter(np.concatenate((table.leg_a[first], table.leg_b[first])).tolist())
    return sorted(symbol for symbol, _ in legs.most_common(MOST_SYMBOLS))


def _matrix(table: ScanTable, symbols: Sequence[int], name: str) -> FloatArray:
    place = np.full(len(table.symbols), -1)
    place[list(symbols)] = np.arange(len(symbols))
    a, b = place[table.leg_a], place[table.leg_b]
    both = (a >= 0) & (b >= 0)
    out = np.full((len(symbols), len(symbols)), np.nan)
    out[a[both], b[both]] = out[b[both], a[both]] = table.values(name)[both]
    return out


def _together(correlation: FloatArray) -> list[int]:
    """An order in which each is followed by the one most like it of those that are left."""
    known = np.where(np.isnan(correlation), -2.0, correlation)
    order = [int(np.argmax(known.sum(axis=1)))]
    while len(order) < len(known):
        likeness = known[order[-1]].copy()
        likeness[order] = -np.inf
        order.append(int(np.argmax(likeness)))
    return order


def _drawing(names: Sequence[str], median: FloatArray, correlation: FloatArray) -> Any:
    """One path a shade: a rectangle a cell would be the largest part of the page."""
    size = len(names)
    cell = min(_WIDEST_CELL, (_WIDTH - _LABEL) // size)
    inner = cell - 1
    shades: dict[tuple[str, int], list[str]] = {}
    with np.errstate(invalid="ignore"):
        found = np.clip(np.ceil(LEVELS * (1.0 - median / 0.25)), 0, LEVELS)
        alike = np.clip(np.ceil(LEVELS * correlation), 0, LEVELS)
    for row in range(size):
        for column in range(size):
            cells, look = (found, "found") if column < row else (alike, "alike")
            level = cells[row, column]
            if row != column and np.isfinite(level):
                at = f"M{_LABEL + column * cell} {row * cell}h{inner}v{inner}h-{inner}z"
                shades.setdefault((look, int(level)), []).append(at)
    drawn = [
        element("path", d="".join(places), class_=f"{look} l{level}")
        for (look, level), places in sorted(shades.items())
    ]
    labels = [
        element("text", name[:7], x=_LABEL - 4, y=row * cell + inner / 2)
        for row, name in enumerate(names)
    ]
    named = {"aria-label": f"Median p and correlation of {', '.join(names)}"}
    return element(
        "svg", *labels, *drawn, viewBox=f"0 0 {_LABEL + size * cell} {size * cell}",
        width=_LABEL + size * cell, class_="market-map", role="img", **named,
    )  # fmt: skip
