"""Everything that the Scanner view says, as html by the id of its frame."""

from typing import Any
from urllib.parse import urlencode

from dash import html

from app.services import Desk
from app.services.radar import FarOut, Seen
from app.services.scans import ScanTable
from app.views.drawing import sparkline, trend
from app.views.markup import aria, data, element, html_text
from app.views.scanner import ids
from app.views.scanner.asked import ScannerView
from app.views.scanner.market_map import market_map
from app.views.scanner.pairs import live_link, pairs_parts, quarters
from app.views.text import coin, count, plain, signed, time_text
from core.scan_query import FLAGS
from core.timeframes import SCANNED
from core.words import duration_text
from ingest.store.reader import StoredJob, StoredScan

CARDS = 5
HEADS = 48
SINGLE_P_SHARE = 32.0
"""A half-life up to a 32nd of the rows is found at a single p < .05, measured."""


def parts(desk: Desk, view: ScannerView) -> dict[str, Any]:
    """The view for what was asked; raises StoreError where the store can't be read."""
    asked = view.asked
    table = desk.scans.table(asked.timeframe, asked.bars)
    seen = desk.radar.seen(asked.timeframe)
    return {
        ids.UNIVERSE: _universe(table, view),
        ids.CONTROLS: _controls(view),
        ids.VERDICT: _verdict(desk, table),
        ids.RADAR: _radar(desk, seen, table, view),
        **pairs_parts(desk, table, seen, view),
        ids.MAP: market_map(table, desk.scans.chosen(table, asked) if table else None),
        ids.FOUND: _found(desk.scans.heads(asked.timeframe, asked.bars, HEADS)),
        ids.JOBS: _jobs(desk),
    }


def _universe(table: ScanTable | None, view: ScannerView) -> Any:
    asked = view.asked
    if table is None:
        words = f"No scan of {asked.bars:,} bars of {asked.timeframe} yet."
        return html_text(html.P([html.B("Universe: "), words]))
    head, scan = table.scan.head, table.scan
    short = [coin(table.symbols[number]) for number in head["short"]]
    whole = len(table.symbols) - len(short)
    words = f"{whole} of {len(table.symbols)} symbols have {scan.bars:,} bars of {scan.timeframe}"
    if short:
        more = "" if len(short) <= 6 else f" and {len(short) - 6} more"
        words += f"; {', '.join(short[:6])}{more} lack more than a tenth"
    if not head["is_history_whole"]:
        words += "; the history was still being fetched"
    refused = count(head["pairs_refused"], "pair") + " refused"
    took = f"{2 * head['pairs_tested']:,} regressions in {duration_text(1e3 * head['elapsed_s'])}"
    return html_text(
        [
            html.P([html.B("Universe: "), words, " · ", refused]),
            html.P([f"scan of {time_text(scan.as_of_ms)}, ",
                    html.Span("", **data(age=scan.made_ms)), f" · {took}"]),
        ]
    )  # fmt: skip


def _controls(view: ScannerView) -> Any:
    asked = view.asked
    segments = html.Div(
        [
            html.Button(
                name, className="btn-small", type="button", **data(ask="timeframe", value=name),
                **aria(pressed=str(name == asked.timeframe).lower()),
            )
            for name in SCANNED
        ],
        className="seg-buttons", role="group", **aria(label="Timeframe"),
    )  # fmt: skip
    flags = {"all": "show all", "none": "none"} | {name: name for name in FLAGS}
    boxes = [
        html.Div([html.Span("Timeframe"), segments], className="field"),
        _box("Bars", "bars", f"{asked.bars}", "numeric"),
        _box("Thinner leg ≥, M/day", "volume", f"{asked.min_quote_volume / 1e6:g}", "decimal"),
        _box("q ≤", "max_q", _given(asked.max_q), "decimal"),
        _box("Quarters median ≤", "max_median", _given(asked.max_median), "decimal"),
        _box("Half-life ≤, bars", "max_half_life", _given(asked.max_half_life), "decimal"),
        element(
            "label", "Flags",
            element(
                "select",
                *(element("option", words, value=name, selected=name == asked.flags)
                  for name, words in flags.items()),
                **data(ask="flags"),
            ),
            class_="field",
        ),
        _box("Find", "find", asked.find, "search", "symbol or pair"),
    ]  # fmt: skip
    query = urlencode(_query(view))
    tools = html.Div(
        [
            html.A("CSV ↓", href=f"/analytics/scan/pairs.csv?{query}", download="",
                   className="btn-small"),
            html.Button("Scan now", className="btn-small primary", type="button",
                        **data(scan="now", timeframe=asked.timeframe, bars=asked.bars)),
        ],
        className="buttons",
    )  # fmt: skip
    refusal = html.P(view.refused, className="bad", role="alert") if view.refused else None
    return html_text([*boxes, tools, refusal])


def _query(view: ScannerView) -> dict[str, Any]:
    names = type(view.asked).__dataclass_fields__
    values = {name: getattr(view.asked, name) for name in names}
    return {name: value for name, value in values.items() if value not in (None, "")}


def _box(words: str, name: str, value: str, kind: str, empty: str = "any") -> Any:
    field = element(
        "input", type="text", inputmode=kind, value=value, placeholder=empty, **data(ask=name)
    )
    return element("label", words, field, class_="field")


def _given(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _verdict(desk: Desk, table: ScanTable | None) -> Any:
    if table is None:
        words = "Scan now asks for one; by itself one comes after each bar of SCAN_TIMEFRAMES."
        history = desk.status.view().report.backfill
        if history is not None and history.done < history.total:
            words = (
                f"The history is being fetched, {history.done:,} of {history.total:,} requests:"
                " the first scan follows it, or the next bar."
            )
        return html_text([html.Strong("Nothing is scanned yet."), html.P(words)])
    head, bars = table.scan.head, table.scan.bars
    passing, tested = head["found_q05"], head["pairs_tested"]
    if not tested:
        refused = count(head["pairs_refused"], "pair")
        words = f"{refused} refused, for the most part: {table.commonest_refusal()}."
        if not head["is_history_whole"]:
            words += " The history was still being fetched: a scan follows it."
        return html_text([html.Strong("No pair could be tested."), html.P(words)])
    heading = f"{passing:,} of {count(tested, 'pair')} pass q < 0.05."
    if not passing:
        heading = "No pair passes q < 0.05: expect nothing from a ranking."
    low, high = head["null_range_p05"]
    first = (
        f"{count(head['found_p05'], 'pair')} with p < 0.05; in unrelated markets such counts swing"
        f" between {low:,} and {high:,}."
    )
    hubs = ", ".join(f"{coin(table.symbols[hub])} in {many:,}" for hub, many in head["hubs"][:4])
    odd = f" One odd symbol can make many: {hubs} of the finds." if hubs else ""
    second = (
        f"Findable here: half-lives up to {head['detectable_half_life_bars']:.0f} bars at q < 0.05,"
        f" up to {bars / SINGLE_P_SHARE:.0f} at a single p. Of twenty rankings none earned 24 bp of"
        " costs on liquid pairs."
    )
    return html_text([html.Strong(heading), html.P([html.B(first), odd, html.Br(), second])])


def _radar(desk: Desk, seen: Seen | None, table: ScanTable | None, view: ScannerView) -> Any:
    if seen is None:
        return html_text(html.P("Radar: no two symbols have bars of one time.", className="none"))
    rows, far = desk.radar.far_out(seen, view.asked, None, CARDS)
    symbols = len(seen.rows.symbols)
    head = html.Div(
        className="panel-head",
        children=[
            html.H2(["Radar", html.Small(
                f"of those asked for, beyond break-even now, β > 0: {far:,} of"
                f" {count(symbols * (symbols - 1) // 2, 'pair')}, at each closed bar"
            )]),
            html.Small(f"{time_text(seen.as_of_ms)} + {seen.elapsed_ms:.0f} ms"),
        ],
    )  # fmt: skip
    cards: list[Any] = [_card(one, seen, table) for one in rows]
    if not cards:
        cards = [html.P("Nobody is beyond break-even.", className="none")]
    return html_text([head, html.Div(cards, className="watch-strip")])


def _card(one: FarOut, seen: Seen, table: ScanTable | None) -> html.A:
    name = f"{coin(one.symbol_a)} / {coin(one.symbol_b)}"
    mark, look = ("▼", "short") if one.zscore > 0 else ("▲", "long")
    line = sparkline(one.recent_z, one.break_even_z, f"z of {name}, {len(one.recent_z)} bars")
    start_ms = seen.rows.start_ms if table is None else table.scan.head["start_ms"]
    return html.A(
        [
            html.Strong(name),
            line,
            html.Span([html.Span(mark, className=look), f" {signed(one.zscore)}"],
                      className="strong"),
            quarters(one.p_quarters) if table is not None else None,
            html.Small(f"{count(one.since_bars, 'bar')} over {plain(one.break_even_z, '.2f')}"),
        ],
        href=live_link(one.symbol_a, one.symbol_b, seen.timeframe, start_ms),
        className="panel-desk",
        **data(key=name),
    )  # fmt: skip


def _found(heads: list[StoredScan]) -> Any:
    if not heads:
        head = html.Div(html.H2("Found over scans"), className="panel-head")
        return html_text([head, html.P("None yet.", className="none")])
    newest = heads[-1].head
    low, high = newest["null_range_p05"]
    found = [float(one.head["found_p05"]) for one in heads]
    words = f"Pairs with p < 0.05 over {count(len(heads), 'scan')}, now {found[-1]:.0f}"
    head = html.Div(
        className="panel-head",
        children=[
            html.H2([f"Found over {count(len(heads), 'scan')}",
                     html.Small("pairs with p < 0.05; band: unrelated markets")]),
            html.B(f"{found[-1]:,.0f}"),
        ],
    )  # fmt: skip
    return html_text([head, trend(found, float(low), float(high), words)])


def _jobs(desk: Desk) -> Any:
    history = desk.status.view().report.backfill
    rows: list[Any] = []
    if history is not None and 0 < history.done < history.total:
        words = f"{history.done:,} of {history.total:,} requests"
        rows.append(_progress("History", words, history.done / history.total, history.message))
    rows += [_job(desk, one) for one in desk.jobs.jobs("scan", 3)]
    head = html.Div(html.H2("Jobs"), className="panel-head")
    return html_text([head, *(rows or [html.P("None yet.", className="none")])])


def _job(desk: Desk, job: StoredJob) -> html.Div:
    name = f"Scan of {job.body['bars']:,} bars of {job.body['timeframe']}"
    if job.state in ("queued", "running"):
        cancel = html.Button("Cancel", className="btn-small", type="button",
                             **data(scan="cancel", id=job.job_id))  # fmt: skip
        return _progress(name, job.state, job.progress, job.message, cancel)
    ended = "" if job.ended_ms is None else f", {time_text(job.ended_ms)}"
    look = "bad" if job.state == "failed" else "muted"
    return html.Div(
        [html.Span(name), html.Span(f"{job.state}{ended}", className=look),
         None if job.message == job.state else html.Small(job.message)],
        className="scan-job", **data(key=f"job-{job.job_id}"),
    )  # fmt: skip


def _progress(name: str, words: str, share: float, more: str, tool: Any = None) -> html.Div:
    bar = element(
        "progress", value=f"{share:.3f}", max="1", **{"aria-label": f"{name}: {share:.0%}"}
    )
    return html.Div(
        [html.Span(name), html.Span([f"{words} ", tool]), bar, html.Small(more)],
        className="scan-job", **data(key=name),
    )  # fmt: skip
