"""The watchlist's strip below the Live view."""

from typing import Any

from dash import html

from app.services import Desk
from app.services.watchlist import WatchedRule
from app.views.alerts.watchlist import cannot_pay, ordered, side_look
from app.views.alerts.words import STATES, distance, rule_name, state_of
from app.views.drawing import sparkline
from app.views.live import ids
from app.views.markup import aria, data, html_text
from app.views.shell.news import mark_of
from app.views.text import signed
from app.views.view import KeptFresh
from core.pair_spec import HEDGES

SHOWN = 5


def watch_strip() -> html.Nav:
    """The frame that the page's tick fills in."""
    return html.Nav(id=ids.WATCH_STRIP, className="watch-strip", **aria(label="Watchlist"))


def read_nothing(raw: object) -> tuple[()]:
    """The strip is the same for all."""
    return ()


def parts(desk: Desk, asked: tuple[()]) -> dict[str, Any]:
    """The rules nearest to their next event."""
    rules = [one for one in desk.watchlist.view().rules if one.rule.spec.kind == "zscore"]
    return {ids.WATCH_STRIP: html_text([_card(one) for one in ordered(rules, "distance")[:SHOWN]])}


def _card(one: WatchedRule) -> html.A:
    pair, closed = one.rule.spec.pair, one.pair.closed if one.pair else None
    assert pair is not None
    episode = one.firing[0] if one.firing else None
    line = None
    if closed is not None:
        words = f"z of {rule_name(one.rule.spec)}, 120 bars"
        line = sparkline(closed.figures.recent_z, pair.entry_z, words)
    look = "" if episode is None else side_look(episode.direction)
    if episode is not None and cannot_pay(one, episode):
        look = "grey"
    mark = mark_of(episode.direction) if episode else ""
    state = STATES.get(state_of(one), "")
    said = distance(one)[1] if state in ("quiet", "firing") else state
    return html.A(
        href=one.rule.link,
        className="panel-desk",
        **data(key=one.rule.rule_id, legs=f"{pair.symbol_a}/{pair.symbol_b}/{pair.timeframe}"),
        children=[
            html.Strong(rule_name(one.rule.spec)),
            html.Span(line),
            html.Strong(signed(one.value)),
            html.Small(f"{pair.timeframe} · {HEDGES[pair.hedge]}"),
            html.Small([html.Span(mark, className=look), f" {said}"]),
        ],
    )


WATCHED = KeptFresh(read_nothing, parts, has_strip=False)
