"""The Live view's tree: controls, cards, linked charts, and the backtest beside them."""

from dash import dcc, html

from app.services import Desk
from app.views.controls import controls
from app.views.ids import text
from app.views.links import default_spec, listed_symbols
from app.views.live import ids
from app.views.live.cards import cards, summary
from app.views.live.charts import equity_chart, pair_chart
from app.views.live.round_trips import round_trips


def live_view(desk: Desk) -> html.Div:
    """The tree; a link's own parameters and every number come with the first callbacks."""
    symbols = listed_symbols(desk)
    spec = default_spec(desk, symbols)
    return html.Div(
        [
            dcc.Location(id=ids.URL, refresh=False),
            *_stores(),
            controls(spec, symbols),
            _main(),
        ]
    )


def _stores() -> list[dcc.Store | dcc.Interval]:
    return [
        dcc.Store(id=ids.REQUEST),
        dcc.Store(id=ids.SCREEN),
        dcc.Store(id=ids.RELOAD),
        dcc.Store(id=ids.DELTA),
        dcc.Store(id=ids.CURSOR),
        dcc.Store(id=ids.BUSY, data=False),
        dcc.Interval(id=ids.INTERVAL, interval=1_000),
    ]


def _main() -> html.Main:
    return html.Main(
        id=ids.MAIN,
        className="live",
        children=[
            cards(),
            html.Div(
                className="cols",
                children=[
                    pair_chart(),
                    html.Aside(className="side", children=[_backtest(), _round_trips()]),
                ],
            ),
        ],
    )


def _backtest() -> html.Section:
    return html.Section(
        className="panel-desk",
        children=[
            html.H2(["Backtest", html.Span(id=text("fills-note"))]),
            equity_chart(),
            summary(),
            html.P(
                "In-sample parameters: chosen by you, judged on the same bars.", className="note"
            ),
        ],
    )


def _round_trips() -> html.Section:
    return html.Section(
        className="panel-desk trips",
        children=[
            html.H2(
                [
                    "Round trips",
                    html.Span(id=text("trips-note")),
                    html.Span(
                        className="downloads",
                        children=[
                            _download("trades.csv ↓", ids.TRADES_CSV),
                            _download("equity.csv ↓", ids.EQUITY_CSV),
                        ],
                    ),
                ]
            ),
            html.Div(round_trips(), className="grid-box"),
        ],
    )


def _download(label: str, component_id: str) -> html.A:
    return html.A(label, id=component_id, href="#", download="", className="download")
