"""The page as dash serves it on every load: the shell, and in it the view that the path names."""

import re
from collections.abc import Sequence
from typing import Any

from dash import dcc, html
from flask import request

from app.api.rights import SIGN_OUT
from app.services import Desk
from app.views import ids
from app.views.links import listed_symbols, pickable
from app.views.markup import aria, data, term
from app.views.shell.commands import dialogs, open_button
from app.views.shell.page import HELP
from app.views.text import NONE
from app.views.view import View

HIDDEN_MS = 15_000
"""Between two beats while nobody looks; else assets/desk_watch.js has a clock of its own."""


def asked_view(views: Sequence[View]) -> View:
    """The view whose page asks for its layout; the first one when it does not say.

    Dash asks at one address for every path, so only the referrer tells them apart; the page's own
    meta tag has browsers send it.
    """
    referrer = re.match(r"https?://[^/?#]*([^?#]*)", request.referrer or "")
    return next((view for view in views if referrer and view.path == referrer[1]), views[0])


def page_layout(desk: Desk, views: Sequence[View], shown: View, who: str | None = None) -> html.Div:
    """Build the tree around one of the views, for whoever has signed in."""
    return html.Div(
        className="desk",
        children=[
            dcc.Store(id=ids.THEME),
            dcc.Store(id=ids.HIDDEN, data=False),
            dcc.Store(id=ids.SYMBOLS, data=pickable(listed_symbols(desk))),
            _header(views, shown, who),
            html.Div(
                className="notices",
                role="status",
                children=[
                    html.Div(
                        id=ids.SILENCE,
                        className="notice bad",
                        hidden=True,
                        # What ticks is not read out again and again.
                        children=[
                            html.Span(),
                            html.Span(id=ids.SILENCE_AGE, **aria(hidden="true")),
                        ],
                    ),
                    html.Div(id=ids.NOTICES),
                    html.Div(
                        [html.Span(id=ids.text("answered")), html.Span(id=ids.text("next-bar"))],
                        className="ticks",
                        **aria(hidden="true"),
                    ),
                ],
            ),
            shown.layout(desk),
            dcc.Store(id=ids.WATCH_REQUEST),
            dcc.Store(id=ids.WATCH_NEWS),
            dcc.Store(id=ids.WATCH_MARKS),
            dcc.Interval(id=ids.WATCH_INTERVAL, interval=HIDDEN_MS, disabled=True),
            html.Div(id=ids.TOASTS, className="toasts", role="status", **aria(label="News")),
            *dialogs(views),
        ],
    )


def _header(views: Sequence[View], shown: View, who: str | None) -> html.Header:
    return html.Header(
        className="top",
        children=[
            html.H1(["◧ ", "Pairdesk"]),
            html.Nav(
                [
                    *(_link(view, view is shown, key) for key, view in enumerate(views, 1)),
                    html.A("Help", href=HELP),
                ]
            ),
            open_button(),
            html.Div(
                className="strip",
                children=[
                    html.Span("STARTING", id=ids.text("badge"), className="badge-desk warn"),
                    _figure("feed", "feed-age", "feed", keep=True),
                    _figure("missing ids", "missing", "missing-ids"),
                    _figure("lag p99", "lag", "lag-p99"),
                    _figure("trades/s", "rate", "trades-a-second", after=True),
                    html.Span(
                        id=ids.text("clock"), className="figure", title="The exchange's time"
                    ),
                    html.Button(
                        "☾",
                        id=ids.THEME_TOGGLE,
                        className="theme-toggle",
                        title="Dark or light",
                        **aria(label="Switch between dark and light"),
                        **data(key="d"),
                    ),
                    html.Button(
                        "?", id=ids.KEYS_OPEN, className="theme-toggle", **aria(label="Keys")
                    ),
                    *([] if who is None else [_sign_out(who)]),
                ],
            ),
        ],
    )


def _sign_out(who: str) -> html.Form:
    button = html.Button("Sign out", type="submit", title=f"You are {who}")
    return html.Form(button, action=SIGN_OUT, method="POST", className="sign-out")


def _link(view: View, shown: bool, key: int) -> html.A:
    marked = data(key=key, says=view.title)
    if shown:
        marked |= {"className": "on"} | aria(current="page")
    if view.path == "/alerts":
        count = html.Span(id=ids.FIRING, className="count")
        return html.A([view.title, count], href=view.path, **marked)
    return html.A(view.title, href=view.path, **marked)


def _figure(
    label: str, key: str, place: str, *, keep: bool = False, after: bool = False
) -> html.Span:
    value, said = html.I(NONE, id=ids.text(key)), term(label, f"{HELP}#{place}")
    children: list[Any] = [value, " ", said] if after else [said, " ", value]
    return html.Span(children, className=f"figure figure-{key}{' keep' if keep else ''}")
