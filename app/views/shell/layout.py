"""The page as dash serves it on every load: shell, controls and the Live view."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from app.services import Desk
from app.views import ids
from app.views.controls import MORE_FIELDS, controls
from app.views.links import default_spec, listed_symbols
from app.views.live.layout import live_view
from app.views.markup import aria
from core.pair_spec import PAIR_PARAMETERS, PairSpec
from core.parameters import Derived


def build_layout(desk: Desk) -> html.Div:
    """Build the tree; a link's own parameters arrive with the first callback."""
    symbols = listed_symbols(desk)
    spec = default_spec(desk, symbols)
    return html.Div(
        className="desk",
        children=[
            dcc.Location(id=ids.URL, refresh=False),
            *_stores(),
            _header(),
            html.Div(
                className="notices",
                role="status",
                children=[
                    html.Div(id=ids.SILENCE, className="notice bad"),
                    html.Div(id=ids.NOTICES),
                ],
            ),
            controls(spec, symbols, placeholders(spec)),
            live_view(),
            html.Div(
                className="toasts",
                **aria(live="polite", atomic="true"),
                children=dbc.Toast(
                    id=ids.TOAST, header="", is_open=False, dismissable=True, duration=20_000
                ),
            ),
        ],
    )


def placeholders(spec: PairSpec) -> dict[str, str]:
    """What the optional fields mean when they are left empty."""
    return {field: _meaning(field, getattr(spec, field)) for field in MORE_FIELDS}


def _meaning(field: str, default: Any) -> str:
    derived = PAIR_PARAMETERS[field].default
    if isinstance(derived, Derived):
        return derived.words
    if default is None:
        return "none"
    return default if isinstance(default, str) else f"{default:g}"


def _stores() -> list[dcc.Store | dcc.Interval]:
    return [
        dcc.Store(id=ids.THEME),
        dcc.Store(id=ids.REQUEST),
        dcc.Store(id=ids.SCREEN),
        dcc.Store(id=ids.RELOAD),
        dcc.Store(id=ids.DELTA),
        dcc.Store(id=ids.CURSOR),
        dcc.Store(id=ids.BUSY, data=False),
        dcc.Store(id=ids.HIDDEN, data=False),
        dcc.Interval(id=ids.INTERVAL, interval=1_000),
    ]


def _header() -> html.Header:
    return html.Header(
        className="top",
        children=[
            html.H1(["◧ ", "Pairdesk"]),
            html.Nav(html.A("Live", href="/", className="on", **aria(current="page"))),
            html.Div(
                className="strip",
                children=[
                    html.Span("STARTING", id=ids.text("badge"), className="badge-desk warn"),
                    _figure("feed", "feed-age", keep=True),
                    _figure("missing ids", "missing"),
                    _figure("lag p99", "lag"),
                    _figure("trades/s", "rate", after=True),
                    html.Button(
                        "☾",
                        id=ids.THEME_TOGGLE,
                        className="theme-toggle",
                        title="Dark or light",
                        **aria(label="Switch between dark and light"),
                    ),
                ],
            ),
        ],
    )


def _figure(label: str, key: str, *, keep: bool = False, after: bool = False) -> html.Span:
    value = html.I("–", id=ids.text(key))
    children: list[Any] = [value, f" {label}"] if after else [f"{label} ", value]
    return html.Span(children, className=f"figure figure-{key}{' keep' if keep else ''}")
