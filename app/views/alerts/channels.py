"""Channels with how they take messages, and what this browser may do; pure."""

from collections.abc import Sequence
from typing import Any

from dash import html

from app.services.channels import ChannelState, DeadMansSwitch
from app.views.markup import aria, data, html_text
from app.views.text import count, time_text
from core.report import AnalystReport
from ingest.store.reader import ChannelTest


def channels_panel(
    channels: Sequence[ChannelState], heartbeat: DeadMansSwitch, analysis: AnalystReport
) -> Any:
    """Every channel, the dead man's switch where there is one, and this browser."""
    head = html.Div(
        html.H2(["Channels", html.Small("at least once, the same key on a repeat")]),
        className="panel-head",
    )
    rows: list[Any] = [_channel(one) for one in channels]
    if not rows:
        words = (
            "No channel: ALERT_CHANNELS names none. Alerts stand here, and this browser can tell"
            " of them."
        )
        rows = [html.P(words, className="empty")]
    if heartbeat.is_configured:
        rows.append(_heartbeat(heartbeat, analysis))
    browser = _line(
        "browser",
        ["while a page of the desk is open", html.Small("this browser alone")],
        [_switch("Notify", "notify"), _switch("Sound", "sound")],
    )
    return html_text([head, *rows, browser])


def channel_words(one: ChannelState) -> str:
    """How a channel is, in a line."""
    health = one.health
    if health is None:
        return "nothing sent yet"
    if one.state == "down":
        since = time_text(health.failing_since_ms or 0)
        return f"refused since {since}" + (f": {health.error}" if health.error else "")
    if one.state == "waiting":
        return f"{count(health.pending, 'message')} on the way"
    return f"sent {time_text(health.delivered_ms, True)}" if health.delivered_ms else "well"


def _channel(one: ChannelState) -> html.Div:
    health, small = one.health, list[Any]()
    mark: Any = ""
    if one.state == "down":
        mark = html.Span("✕ down · ", className="bad")
    elif one.state == "well":
        mark = "✓ "
    if health is not None and one.state == "down":
        small = [f"{count(health.pending, 'message')} kept, next try "]
        small.append(html.Span(**data(due=health.next_ms or 0, kept="")))
    elif health is not None:
        small = [f"24 h: {health.delivered_since} sent, {health.retried_since} retried"]
    tested = [html.Small(_test_words(one.test))] if one.test else []
    said = [mark, channel_words(one), html.Small(small), *tested]
    return _line(one.name, said, [_test_button(one.name, "test", one.name)])


def _test_words(test: ChannelTest, arrived: str = "arrived") -> str:
    if test.tried_ms is None:
        return "test: asked, the analyst sends it"
    return f"test {time_text(test.tried_ms, True)}: {test.error or arrived}"


def _heartbeat(heartbeat: DeadMansSwitch, analysis: AnalystReport) -> html.Div:
    said: list[Any] = ["not asked yet"]
    if analysis.ping_ms is not None or analysis.ping_error:
        asked = time_text(analysis.ping_ms, True) if analysis.ping_ms is not None else "not yet"
        mark: Any = html.Span("✕ ", className="bad") if analysis.ping_error else "✓ "
        said = [mark, f"asked {asked}", f", {analysis.ping_error or 'answered'}"]
    said.append(html.Small("your own dead man's switch"))
    if heartbeat.test:
        said.append(html.Small(_test_words(heartbeat.test, "answered")))
    return _line("heartbeat", said, [_test_button("the dead man's switch", "ping")])


def _line(name: str, said: Sequence[Any], buttons: Sequence[Any]) -> html.Div:
    parts = [html.Strong(name), html.Div([*said]), html.Div([*buttons], className="buttons")]
    return html.Div(parts, className="channel", **data(key=name))


def _test_button(words: str, what: str, name: str = "") -> html.Button:
    return html.Button(
        "Test", className="btn-small", type="button", **data(do=what, id=name),
        **aria(label=f"Test {words}"),
    )  # fmt: skip


def _switch(words: str, what: str) -> html.Button:
    return html.Button(words, className="btn-small", type="button", **data(do=what),
                       **aria(pressed="false"))  # fmt: skip
