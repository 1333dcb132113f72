"""What stands in and around the Scanner's grid: cells of a pair, and the one that was chosen."""

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
from app.views.markup import data, element, html_text
from app.views.scanner import ids
from app.views.scanner.asked import ScannerView
from app.views.text import NONE, coin, count, plain, signed
from core.scan_query import FLAGS
from core.words import short
from ingest.store.reader import StoredScan

SHOWN_Z = 2.0
_SMALL, _LIKELY = 0.05, 0.2
QUARTERS = tuple(f"p_quarter_{number}" for number in range(4))
ORDERS = {
    "p_quarters_median": "median p of four quarters: the least bad order measured out of sample",
    "pvalue": "p",
    "qvalue": "q",
    "zscore": "z, by its size",
    "break_even_z": "break-even z",
    "hedge_ratio": "β",
    "half_life_bars": "half-life",
    "quote_volume_24h": "the thinner leg's volume",
}


def live_link(symbol_a: str, symbol_b: str, timeframe: str, start_ms: int) -> str:
    """Path of the Live view over the scan's own rows, so that the same p is on screen."""
    asked = {"symbol_a": symbol_a, "symbol_b": symbol_b, "timeframe": timeframe, "hedge": "ols"}
    return "/?" + urlencode(asked | {"since": start_ms})


def made_of(table: ScanTable | None, seen: Seen | None) -> str:
    """Of which scan and which bar rows are; others have to be asked for anew."""
    scan, bar = (0 if table is None else table.scan.scan_id), (0 if seen is None else seen.as_of_ms)
    return f"{scan}/{bar}"


def pairs_parts(
    desk: Desk, table: ScanTable | None, seen: Seen | None, view: ScannerView
) -> dict[str, Any]:
    """What stands above the grid, in its place and below it."""
    made = data(made=made_of(table, seen))
    if table is None:
        words = (
            "Every pair of the symbols here, tested both ways, stands here in the least bad order"
            " after a scan. Scan now asks for one."
        )
        head = html.Div(html.H2("Pairs"), className="panel-head", **made)
        nothing = html.Div(html.P(words), className="empty")
        return {ids.PAIRS: html_text(head), ids.NOTHING: html_text(nothing), ids.CHOSEN: ""}
    shown, refused = len(desk.scans.chosen(table, view.asked)), table.scan.head["pairs_refused"]
    order = ORDERS.get(view.asked.sort, view.asked.sort)
    head = html.Div(
        className="panel-head",
        children=[
            html.H2(["Pairs", html.Small(f"by {order}")]),
            html.Small(f"{count(shown, 'pair')} of {table.scan.pairs:,}, {refused:,} refused"),
        ],
        **made,
    )  # fmt: skip
    parts = [] if view.chosen is None else _chosen(desk, table, *view.chosen)
    parts = parts or [html.Small("↑ ↓ or a click choose a pair, Enter opens it in Live")]
    foot = html.Div(html.Div(parts, className="scan-chosen"), className="panel-foot")
    return {
        ids.PAIRS: html_text(head),
        ids.NOTHING: html_text(None if shown else _nothing(table, view)),
        ids.CHOSEN: html_text(foot),
    }


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


def row_cells(desk: Desk, table: ScanTable, seen: Seen | None, row: int) -> dict[str, str]:
    """Html of a pair's cells by column, its `id` and its `link`."""
    a, b = table.symbols[int(table.leg_a[row])], table.symbols[int(table.leg_b[row])]
    name = f"{coin(a)} / {coin(b)}"

    def value(column: str) -> float:
        return float(table.values(column)[row])

    recent = None if seen is None else desk.radar.recent_z(seen, a, b)
    link = live_link(a, b, table.scan.timeframe, table.scan.head["start_ms"])
    cells = {
        # Reached by arrows, and by Tab below the grid where its row is chosen.
        "pair": element("a", name, href=link, tabindex="-1"),
        "quarters": quarters([value(column) for column in QUARTERS]),
        "p_quarters_median": element("b", plain(value("p_quarters_median"), ".3f")),
        "pvalue": plain(min(1.0, 2.0 * value("pvalue")), ".3f"),
        "qvalue": plain(value("qvalue"), ".2f"),
        "zscore": element("b", signed(value("zscore"))),
        "recent": NONE if recent is None
        else sparkline(recent, SHOWN_Z, f"z of {name}, {len(recent)} bars"),
        "break_even_z": plain(value("break_even_z"), ".2f"),
        "hedge_ratio": plain(value("hedge_ratio"), ".2f"),
        "half_life_bars": _bars(value("half_life_bars")),
        "correlation": plain(value("correlation"), ".2f"),
        "quote_volume_24h": plain(value("quote_volume_24h") / 1e6, ",.1f"),
        "flags": [
            element("span", flag, class_="tag", title=FLAGS[flag]) for flag in table.flags(row)
        ],
        "deeds": _deeds(table.scan, a, b, ("Watch", "Paper"), name),
    }  # fmt: skip
    made = {column: str(html_text(cell)) for column, cell in cells.items()}
    return {"id": f"{a}/{b}", "link": link} | made


def _bars(value: float) -> str:
    return short(value) if math.isfinite(value) else NONE


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


def _deeds(scan: StoredScan, a: str, b: str, words: tuple[str, str], of: str = "") -> list[Markup]:
    """Make a rule of a pair, and one that trades on paper; `of` tells readers aloud whose.

    In a row they are pressed with a pointer: by keys the chosen row's own are reached.
    """
    query = urlencode({"symbol_a": a, "symbol_b": b, "timeframe": scan.timeframe, "hedge": "ols"})
    named = [{"aria-label": f"{name} {of}", "tabindex": "-1"} if of else {} for name in words]
    return [
        element(
            "button", name, class_="btn-small", type="button",
            **data(scan="watch", query=query + more), **said,
        )
        for name, more, said in zip(words, ("", "&paper=true"), named, strict=True)
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
