"""The Scanner's table: a page of pairs in order, and the one that was chosen."""

import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from dash import html
from markupsafe import Markup

from app.services import Desk
from app.services.radar import Seen
from app.services.scans import ScanTable
from app.views.drawing import sparkline, trend
from app.views.markup import aria, data, element, html_text
from app.views.scanner.asked import ROWS, ScannerView
from app.views.text import NONE, coin, count, plain, short, signed
from core.scan_query import FLAGS, SORTS
from ingest.store.reader import StoredScan

SHOWN_Z = 2.0
_SMALL, _LIKELY = 0.05, 0.2
COLUMNS: Sequence[tuple[str, str, str]] = (
    ("pair, A on B", "", "left"),
    ("p by quarter", "", "left"),
    ("median", "p_quarters_median", ""),
    ("p both", "pvalue", "wide"),
    ("q", "qvalue", ""),
    ("z", "zscore", ""),
    ("120 bars", "", "wide"),
    ("b/e z", "break_even_z", "wide"),
    ("β", "hedge_ratio", "wide"),
    ("half-life", "half_life_bars", ""),
    ("corr.", "", "wide"),
    ("thin leg, M/day", "quote_volume_24h", "wide"),
    ("flags", "", "left wide"),
    ("", "", "left wide acts"),
)
"""Words, what it is ordered by, and its look."""


def live_link(symbol_a: str, symbol_b: str, timeframe: str, start_ms: int) -> str:
    """Path of the Live view over the scan's own rows, so that the same p is on screen."""
    asked = {"symbol_a": symbol_a, "symbol_b": symbol_b, "timeframe": timeframe, "hedge": "ols"}
    return "/?" + urlencode(asked | {"since": start_ms})


def pairs_panel(desk: Desk, table: ScanTable | None, seen: Seen | None, view: ScannerView) -> Any:
    """A page of the pairs that were asked for."""
    if table is None:
        words = (
            "Every pair of the symbols here, tested both ways, stands here in the least bad order"
            " after a scan. Scan now asks for one."
        )
        head = html.Div(html.H2("Pairs"), className="panel-head")
        return html_text([head, html.Div(html.P(words), className="empty")])
    chosen = desk.scans.chosen(table, view.asked)
    shown = [int(row) for row in chosen[view.offset : view.offset + ROWS]]
    refused = table.scan.head["pairs_refused"]
    words = next(name for name, sort, _ in COLUMNS if sort == view.asked.sort)
    if view.asked.sort == "p_quarters_median":
        words = "median p of four quarters: the least bad order measured out of sample"
    head = html.Div(
        className="panel-head",
        children=[
            html.H2(["Pairs", html.Small(f"by {words}")]),
            html.Small(f"{count(len(chosen), 'pair')} of {table.scan.pairs:,},"
                       f" {refused:,} refused · ↑ ↓ and Enter open one in Live"),
        ],
    )  # fmt: skip
    if not shown:
        return html_text([head, _nothing(table, view)])
    rows = [_row(desk, table, seen, row, view) for row in shown]
    body = html.Div(
        html.Table(
            [html.Thead(html.Tr([_head(*column, view) for column in COLUMNS])), html.Tbody(rows)],
            className="table-desk pairs",
        ),
        className="scrolls", tabIndex="0", role="region", **aria(label="Pairs"),
    )  # fmt: skip
    return html_text([head, body, _foot(desk, table, view, len(chosen))])


def _nothing(table: ScanTable, view: ScannerView) -> html.Div:
    if not table.scan.pairs:
        return html.Div(html.P("No pair could be tested."), className="empty")
    thin = view.asked.min_quote_volume
    if bool((table.quote_volume_24h < thin).all()):
        words = f"Every pair has a leg that trades under {thin / 1e6:g} M a day."
        show = html.Button("Show thin pairs, too", className="btn-small", type="button",
                           **data(ask="volume", value="0"))  # fmt: skip
        return html.Div([html.P(words), show], className="empty")
    return html.Div(html.P("No pair is like that."), className="empty")


def _head(words: str, sort: str, look: str, view: ScannerView) -> html.Th:
    if not sort:
        return html.Th(words, scope="col", className=look or None)
    is_sorted = sort == view.asked.sort
    falls = SORTS[sort] if view.asked.order == "" else view.asked.order == "desc"
    # Pressed again it turns round.
    turned = (not falls) if is_sorted else SORTS[sort]
    mark = (" ↓" if falls else " ↑") if is_sorted else ""
    more = aria(sort="descending" if falls else "ascending") if is_sorted else {}
    button = html.Button(
        words + mark, className="plain", type="button",
        **data(ask="sort", value=f"{'-' if turned else ''}{sort}"),
    )  # fmt: skip
    return html.Th(button, scope="col", className=look or None, **more)


def _row(desk: Desk, table: ScanTable, seen: Seen | None, row: int, view: ScannerView) -> html.Tr:
    a, b = table.symbols[int(table.leg_a[row])], table.symbols[int(table.leg_b[row])]
    name = f"{coin(a)} / {coin(b)}"

    def cell(column: str, form: str) -> str:
        return plain(float(table.values(column)[row]), form)

    line: Any = NONE
    recent = None if seen is None else desk.radar.recent_z(seen, a, b)
    if recent is not None:
        line = sparkline(recent, SHOWN_Z, f"z of {name}, {len(recent)} bars")
    parts = tuple(float(table.columns[f"p_quarter_{number}"][row]) for number in range(4))
    cells: list[Any] = [
        html.A(name, href=live_link(a, b, table.scan.timeframe, table.scan.head["start_ms"])),
        quarters(parts),
        html.B(cell("p_quarters_median", ".3f")),
        plain(min(1.0, 2.0 * float(table.columns["pvalue"][row])), ".3f"),
        cell("qvalue", ".2f"),
        html.B(signed(float(table.columns["zscore"][row]))),
        line,
        cell("break_even_z", ".2f"),
        cell("hedge_ratio", ".2f"),
        _bars(float(table.columns["half_life_bars"][row])),
        cell("correlation", ".2f"),
        plain(float(table.quote_volume_24h[row]) / 1e6, ",.1f"),
        [html.Span(flag, className="tag", title=FLAGS[flag]) for flag in table.flags(row)],
        _deeds(table.scan, a, b, ("Watch", "Paper"), name),
    ]
    return html.Tr(
        [
            html.Td(content, className=look or None)
            for content, (_, _, look) in zip(cells, COLUMNS, strict=True)
        ],
        className="on" if view.chosen == (a, b) else None,
        **data(ask="row", value=f"{a}/{b}", key=f"{a}/{b}"),
    )


def _bars(value: float) -> str:
    return short(value) if math.isfinite(value) else NONE


def _foot(desk: Desk, table: ScanTable, view: ScannerView, total: int) -> html.Div:
    pages: list[Any] = []
    if view.offset:
        pages.append(_pager("← before", max(0, view.offset - ROWS)))
    last = min(view.offset + ROWS, total)
    pages.append(html.Span(f"{view.offset + 1:,}–{last:,} of {total:,}"))
    if last < total:
        pages.append(_pager("next →", last))
    parts = [] if view.chosen is None else _chosen(desk, table, *view.chosen)
    return html.Div(
        [html.Div(parts, className="scan-chosen"), html.Div(pages, className="buttons")],
        className="panel-foot",
    )


def _pager(words: str, offset: int) -> html.Button:
    return html.Button(words, className="btn-small", type="button",
                       **data(ask="offset", value=offset))  # fmt: skip


def _chosen(desk: Desk, table: ScanTable, a: str, b: str) -> list[Any]:
    """What can be done with a pair, and how it was in past scans."""
    scan = table.scan
    if a not in table.symbols or b not in table.symbols:
        return []
    past = desk.scans.past(scan.timeframe, scan.bars, a, b)
    both = [None if one.pvalue is None else min(1.0, 2.0 * one.pvalue) for one in past]
    known = [value for value in both if value is not None]
    parts: list[Any] = [
        html.Span(f"{coin(a)} / {coin(b)}", className="strong"),
        html.A("Open in Live", href=live_link(a, b, scan.timeframe, scan.head["start_ms"]),
               className="btn-small"),
        *_deeds(scan, a, b, ("Watch", "Trade on paper")),
    ]  # fmt: skip
    if known:
        words = f"p both over {count(len(past), 'scan')}"
        label = f"{words}: {known[0]:.3f} to {known[-1]:.3f}"
        parts += [html.Small(words), trend(both, 0.0, _SMALL, label),
                  html.Small(f"{known[0]:.3f} → {known[-1]:.3f}")]  # fmt: skip
    lives = [one.half_life_bars for one in past]
    if past and lives[-1] is None:
        parts.append(html.Small("half-life –: like a random walk"))
    elif past and lives[-1] is not None:
        parts.append(html.Small(f"half-life {short(lives[-1])} bars"))
    return parts


def _deeds(
    scan: StoredScan, a: str, b: str, words: tuple[str, str], of: str = ""
) -> list[html.Button]:
    """Make a rule of a pair, and one that trades on paper; `of` tells readers aloud whose."""
    query = urlencode({"symbol_a": a, "symbol_b": b, "timeframe": scan.timeframe, "hedge": "ols"})
    return [
        html.Button(
            name, className="btn-small", type="button", **data(scan="watch", query=query + more),
            **(aria(label=f"{name} {of}") if of else {}),
        )
        for name, more in zip(words, ("", "&paper=true"), strict=True)
    ]  # fmt: skip


def quarters(values: Sequence[float]) -> Markup:
    """p of each quarter: full below .05, half below .2, empty above, a dot without one."""
    said = ", ".join(plain(value, ".2f") for value in values)
    boxes = []
    for place, value in enumerate(values):
        filled = 10 if value < _SMALL else 5 if value < _LIKELY else 0
        x = 8 * place
        boxes.append(element("rect", x=x + 0.5, y=0.5, width=5, height=10, class_="box"))
        if filled:
            boxes.append(
                element("rect", x=x + 0.5, y=10.5 - filled, width=5, height=filled, class_="full")
            )
    named = {"aria-label": f"p of the quarters: {said}"}
    return element("svg", *boxes, viewBox="0 0 31 11", class_="quarters", role="img", **named)
