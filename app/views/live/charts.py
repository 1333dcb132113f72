"""The charts' frames: captions are html over the figure, which is drawn below them."""

from typing import Any

from dash import dcc, html

from app.views.ids import text
from app.views.live import ids
from app.views.live.explained import explain_newest, picked_mark
from app.views.live.figures import EQUITY_HEIGHT, HEIGHT
from app.views.live.worth import EXPECTANCY_HEIGHT
from app.views.markup import aria, data, term

CONFIG: Any = {
    "displaylogo": False,
    "showSendToCloud": False,
    "showEditInChartStudio": False,
    "displayModeBar": False,
    "doubleClick": "autosize",
    "responsive": True,
}

# Until the first screen is there: plotly's own empty figure is a white sheet.
BLANK: Any = {
    "data": [],
    "layout": {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": {"visible": False},
        "yaxis": {"visible": False},
    },
}

CAPTIONS: dict[str, tuple[Any, list[Any]]] = {
    "price": (
        "Prices",
        [
            "change since left edge · ",
            html.Span(id=text("leg-a"), className="leg-a"),
            " · ",
            html.Span(id=text("leg-b"), className="leg-b"),
            html.Span(id=ids.CANDLES_NOTE),
        ],
    ),
    "spread": (term("Spread", "/help#spread"), [html.Span(id=text("spread-note"))]),
    "z": (
        term("z-score", "/help#z-score"),
        [
            html.Span("▲", className="long"),
            " long spread · ",
            html.Span("▼", className="short"),
            " short spread · ○ exit · ",
            explain_newest(),  # before what is cut first where there is no room
            " · ",
            term("dotted: pays costs if it reverts in full", "/help#break-even-z"),
            " · ",
            term("dash-dot: needed at this pair's own capture", "/help#needed-z"),
        ],
    ),
    "hedge": (
        term("Hedge ratio β", "/help#hedge-ratio-β"),
        [html.Span(id=text("hedge-note-chart")), html.Span(id=text("history-note"))],
    ),
}


RANGES = {
    "15 min": 900_000,
    "1 h": 3_600_000,
    "6 h": 21_600_000,
    "1 d": 86_400_000,
    "7 d": 7 * 86_400_000,
    "30 d": 30 * 86_400_000,
    "90 d": 90 * 86_400_000,
    "all": "all",
}
"""How much time a button shows; the browser hides those that the rows have no room for."""
AXES = {"price": "yaxis", "spread": "yaxis2", "z": "yaxis3", "hedge": "yaxis4"}


def pair_chart() -> html.Div:
    """Prices, spread, z and hedge ratio on one time axis, and above them which stretch of time."""
    captions = [
        html.Div(
            [
                html.H2(heading),
                html.Span(words),
                html.Span(id=text(f"reading-{name}"), className="reading"),
            ],
            className="caption",
            **data(axis=AXES[name]),
        )
        for name, (heading, words) in CAPTIONS.items()
    ]
    chart = dcc.Graph(id=ids.PAIR_CHART, figure=BLANK, config=CONFIG, responsive=True)
    return html.Div(
        id=ids.CHARTS,
        className="charts panel-desk",
        children=[
            _chart_head(),
            html.Div(
                [
                    *captions,
                    chart,
                    html.Div(id=ids.OVERLAY, className="overlay", **aria(hidden="true")),
                    picked_mark(),
                    html.Div(id=ids.CROSSHAIR, className="overlay cross", **aria(hidden="true")),
                    empty_state(),
                ],
                id=ids.PLOTS,
                className="plots",
                style={"minHeight": f"{HEIGHT}px"},
                tabIndex=0,
                role="figure",
                **aria(
                    label="Prices, spread, z-score and hedge ratio over time; arrow keys read bars",
                    describedby=f"{ids.VERDICT} {text('z')}",
                ),
            ),
        ],
    )


def empty_state() -> html.Div:
    """What stands in place of charts that can't be drawn: why, what is done, and what helps."""
    return html.Div(
        className="empty-state",
        children=[
            html.Strong(id=text("empty")),
            html.P(id=text("empty-help")),
            html.A(id=ids.EMPTY_LINK, className="btn btn-desk", href="#"),
        ],
    )


def _chart_head() -> html.Div:
    """Buttons over the charts; assets/desk_span.js and desk_picture.js listen to them."""
    ranges = [
        html.Button(name, **data(range=str(width)), **aria(pressed="false"))
        for name, width in RANGES.items()
    ]
    return html.Div(
        className="chart-head",
        children=[
            html.Div(ranges, className="seg ranges", role="group", **aria(label="Time in view")),
            html.Span(id=text("span-words"), className="span-words"),
            html.Button(
                "Candles",
                title="Open, high, low and close of both legs in place of lines",
                **data(do="candles", key="k"),
                **aria(pressed="false"),
            ),
            html.Button(
                ["Follow newest ", html.B()],
                title="Keep the newest bar in view",
                **data(do="follow", key="n"),
                **aria(pressed="true"),
            ),
            html.Button("UTC", title="Times of UTC or of your own clock", **data(do="zone")),
            html.Button("PNG ↓", title="The charts as a picture", **data(do="picture", key="p")),
            html.Button(
                "⤢",
                title="Whole screen",
                **data(do="screen", key="f"),
                **aria(label="Whole screen"),
            ),
        ],
    )


def equity_chart() -> html.Div:
    """Equity and drawdown."""
    return _small_chart(
        ids.EQUITY_CHART, EQUITY_HEIGHT, "Equity and drawdown over time", text("pnl")
    )


def expectancy_chart() -> html.Div:
    """Net per trade by entry."""
    return _small_chart(
        ids.EXPECTANCY_CHART, EXPECTANCY_HEIGHT, "Net per trade by entry z", text("verdict-figures")
    )


def _small_chart(component_id: str, height: int, label: str, described_by: str) -> html.Div:
    """A chart with its name and, for who can't see it, the text that says the same in short."""
    graph = dcc.Graph(
        id=component_id,
        figure=BLANK,
        config=CONFIG,
        responsive=True,
        style={"height": f"{height}px"},
    )
    return html.Div(graph, role="figure", **aria(label=label, describedby=described_by))
