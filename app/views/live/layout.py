"""The Live view's tree: controls, cards, linked charts, and the backtest beside them."""

from dash import dcc, html

from app.services import Desk
from app.views.controls import controls
from app.views.ids import text
from app.views.live import ids
from app.views.live.cards import cards, summary, verdict_line
from app.views.live.charts import equity_chart, expectancy_chart, pair_chart
from app.views.live.explained import explained
from app.views.live.round_trips import round_trips
from app.views.live.watch import watch_strip
from app.views.markup import term
from core.pair_spec import read_pair_spec


def live_view(desk: Desk) -> html.Div:
    """The tree; a link's own parameters and every number come with the first callbacks."""
    spec = read_pair_spec({}, desk.settings)
    return html.Div(
        [
            dcc.Location(id=ids.URL, refresh=False),
            *_stores(),
            controls(spec),
            _main(),
        ]
    )


def _stores() -> list[dcc.Store]:
    return [
        dcc.Store(id=ids.REQUESTED),
        dcc.Store(id=ids.REQUEST),
        dcc.Store(id=ids.SCREEN),
        dcc.Store(id=ids.RELOAD),
        dcc.Store(id=ids.DELTA),
        dcc.Store(id=ids.CURSOR),
        dcc.Store(id=ids.WORTH),
        dcc.Store(id=ids.EXPECTANCY),
        dcc.Store(id=ids.NOISE),
    ]


def _main() -> html.Main:
    return html.Main(
        id=ids.MAIN,
        className="live",
        children=[
            verdict_line(),
            cards(),
            html.Div(
                className="cols",
                children=[
                    pair_chart(),
                    html.Aside(
                        className="side",
                        children=[_backtest(), _expectancy(), _round_trips(), explained()],
                    ),
                ],
            ),
            watch_strip(),
        ],
    )


def _backtest() -> html.Section:
    return html.Section(
        className="panel-desk",
        children=[
            html.H2([term("Backtest", "/help#the-backtest"), html.Span(id=text("since-note"))]),
            equity_chart(),
            summary(),
            html.P(
                [html.Span(id=text("noise-note")), term("What noise?", "/help#noise")],
                className="note",
            ),
        ],
    )


def _expectancy() -> html.Section:
    first, second = (html.Span(className=f"key {name}") for name in ("first", "second"))
    return html.Section(
        className="panel-desk",
        children=[
            html.H2(
                [
                    term("Net per trade by entry", "/help#net-per-trade-by-entry"),
                    html.Span(id=text("expectancy-note")),
                    html.Span([first, "1st half", second, "2nd half"]),
                ]
            ),
            expectancy_chart(),
        ],
    )


def _round_trips() -> html.Section:
    return html.Section(
        className="panel-desk trips",
        children=[
            html.H2(
                [
                    term("Round trips", "/help#round-trip"),
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
