"""The Live view: cards, linked charts, and the backtest beside them."""

from dash import html

from app.views import ids
from app.views.live.cards import cards, summary
from app.views.live.charts import equity_chart, pair_chart
from app.views.live.round_trips import round_trips


def live_view() -> html.Main:
    """The tree; every number in it comes with the first screen."""
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
            html.H2(["Backtest", html.Span(id=ids.text("fills-note"))]),
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
                    html.Span(id=ids.text("trips-note")),
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
