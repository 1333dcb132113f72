"""Everything that the Health view says, as html by the id of its frame."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from dash import html

from app.services import Desk
from app.services.status import DeskStatus, ProcessState
from app.services.trends import Trends
from app.services.web import WebProcess
from app.views.alerts.channels import channels_panel
from app.views.drawing import trend
from app.views.health import ids
from app.views.health.things import Thing, bytes_text, things, verdict_words
from app.views.markup import data, html_text, table
from app.views.shell.news import direction_words, pair_words
from app.views.text import NONE, count, time_text
from core.report import Resources
from core.words import duration_text
from ingest.store.reader import StoredEpisode, StoredGap

SYMBOLS = 8
EVENTS = 10
LOOKS = {"normal": "✓ normal", "look": "! look", "down": "✕ down", "unknown": "not known"}


def parts(desk: Desk, asked: tuple[()]) -> dict[str, Any]:
    """The view; raises StoreError where the store can't be read."""
    status, trends, channels = desk.status.view(), desk.trends.view(), desk.channels.view()
    rows = things(status, trends, channels, desk.ticks.quantiles())
    return {
        ids.VERDICT: _verdict(rows),
        ids.THINGS: _things(rows),
        ids.PROCESSES: _processes(status, desk.web.view()),
        ids.SYMBOLS: _symbols(status),
        ids.EVENTS: _events(trends, desk.found.newest()),
        ids.CHANNELS: channels_panel(channels, desk.channels.heartbeat(), status.analysis),
    }


def _verdict(rows: Sequence[Thing]) -> Any:
    heading, words = verdict_words(rows)
    copy = html.Button("Copy report", className="btn-small", type="button", **data(do="report"))
    look = "down" if any(one.state == "down" for one in rows) else None
    return html_text([html.Strong(heading, className=look), html.P(words), copy])


def _things(rows: Sequence[Thing]) -> Any:
    body: list[Any] = []
    for group, members in groupby(rows, key=lambda one: one.group):
        body.append(html.Tr(html.Th(group, colSpan=6, scope="rowgroup", className="left"),
                            className="group"))  # fmt: skip
        body += [_thing(one) for one in members]
    columns = ("what", "now", "normal", "last 24 h · band: normal", "state", "what to do")
    return html_text(table(columns, body, "health-things", columns))


def _thing(one: Thing) -> html.Tr:
    known = [value for value in one.trend if value is not None]
    line: Any = NONE
    if known:
        words = f"{one.name} over 24 hours, at most {max(known):,.0f}"
        line = trend(one.trend, 0.0, one.high, words)
    chip = {"look": "chip", "down": "chip down"}.get(one.state, "muted")
    return html.Tr(
        [
            html.Td(one.name, className="left"),
            html.Td([html.B(one.now), html.Small(f" {one.more}")], className="left"),
            html.Td(one.normal, className="left muted"),
            html.Td(line, className="left"),
            html.Td(html.Span(LOOKS[one.state], className=chip), className="left"),
            html.Td(one.advice, className="left advice"),
        ],
        **data(key=one.name),
    )


def _processes(status: DeskStatus, web: Sequence[WebProcess]) -> Any:
    rules = count(status.analysis.rules, "rule")
    rows = [
        _process("worker", "ingests", status.worker, status.report.resources, status.now_ms),
        _process("analyst", f"judges {rules}", status.analyst, status.analysis.resources,
                 status.now_ms),
        *(_process(f"web {number}", "page and API", ProcessState("running", one.pid),
                   one.resources, status.now_ms) for number, one in enumerate(web, start=1)),
    ]  # fmt: skip
    columns = ("process", "does", "beat", "up", "memory", "CPU")
    return html_text([_head("Processes", "a fault in one stops no other"),
                      table(columns, rows, "processes", ("process", "does"))])  # fmt: skip


def _process(name: str, does: str, state: ProcessState, taken: Resources, now_ms: int) -> html.Tr:
    beat: Any = state.state
    if state.is_alive and state.heartbeat_age_ms is not None:
        beat = html.Span(**data(age=now_ms - state.heartbeat_age_ms, kept=""))
    up = NONE if taken.started_ms is None else duration_text(max(0, now_ms - taken.started_ms))
    memory = NONE if taken.memory_bytes is None else bytes_text(taken.memory_bytes)
    cpu = NONE if taken.cpu_share is None else f"{100 * taken.cpu_share:.0f} %"
    looks = "strong" if state.is_alive else "bad"
    return html.Tr(
        [html.Td(name, className="left strong"), html.Td(does, className="left muted"),
         html.Td(beat, className=looks), html.Td(up), html.Td(memory), html.Td(cpu)],
        **data(key=name),
    )  # fmt: skip


def _symbols(status: DeskStatus) -> Any:
    worst = sorted(
        status.symbols,
        key=lambda one: (-one.missing_ids, -one.open_gaps, -(one.age_ms or 0), one.symbol),
    )
    rows = [
        html.Tr(
            [
                html.Td([one.symbol, html.Small("" if one.status in ("TRADING", "") else
                                                f" {one.status}")], className="left"),
                html.Td(NONE if one.last_event_time_ms is None else
                        html.Span(**data(age=one.last_event_time_ms, kept=""))),
                html.Td(NONE if one.last_id is None else f"{one.last_id:,}"),
                html.Td(f"{one.missing_ids:,}"),
                html.Td(f"{one.open_gaps} open" if one.open_gaps else NONE),
            ],
            **data(key=one.symbol),
        )
        for one in worst[:SYMBOLS]
    ]  # fmt: skip
    note = f"{len(status.symbols)}, holes and quietest first"
    columns = ("symbol", "last trade", "last id", "missing", "holes")
    body: Any = table(columns, rows, "symbols", ("symbol",))
    if not rows:
        body = html.P("None is stored yet: the exchange is being asked.", className="empty")
    return html_text([_head("Symbols", note), body])


def _events(trends: Trends, newest: Sequence[StoredEpisode]) -> Any:
    happened = [(gap.from_ms, _gap_words(gap)) for gap in trends.gaps]
    happened += [(one.start_ms, _fired_words(one)) for one in newest]
    happened.sort(key=lambda each: each[0], reverse=True)
    rows = [
        html.Li([html.Time(time_text(time_ms)), html.Span(words)], **data(key=f"{time_ms} {words}"))
        for time_ms, words in happened[:EVENTS]
    ]
    body: Any = html.Ol(rows, className="why")
    if not rows:
        body = html.P("Nothing in the last 24 hours.", className="empty")
    return html_text([_head("What happened", "gaps and alerts"), body])


def _gap_words(gap: StoredGap) -> str:
    words = f"{count(gap.to_id - gap.from_id + 1, 'id')} of {gap.symbol}"
    if gap.state == "open":
        return f"{words} missing, being fetched ({gap.reason})"
    return f"{words} {gap.reason}" if gap.state == "filled" else f"{words} lost: {gap.reason}"


def _fired_words(one: StoredEpisode) -> str:
    return f"{pair_words(one)} {one.timeframe or ''} fired: {direction_words(one)}"


def _head(title: str, note: str) -> html.Div:
    return html.Div(html.H2([title, html.Small(note)]), className="panel-head")
