"""The charts' frames: captions are html over the figure, which is drawn below them."""

from typing import Any

from dash import dcc, html

from app.views.ids import text
from app.views.live import ids
from app.views.live.figures import CAPTION, EQUITY_HEIGHT, HEIGHT
from app.views.live.series import HEIGHTS
from app.views.live.worth import EXPECTANCY_HEIGHT
from app.views.markup import aria

CONFIG: Any = {
    "displaylogo": False,
    "showSendToCloud": False,
    "showEditInChartStudio": False,
    "displayModeBar": "hover",
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
    "doubleClick": "reset+autosize",
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

CAPTIONS: dict[str, tuple[str, list[Any]]] = {
    "price": (
        "Prices",
        [
            "change since left edge · ",
            html.Span(id=text("leg-a"), className="leg-a"),
            " · ",
            html.Span(id=text("leg-b"), className="leg-b"),
        ],
    ),
    "spread": ("Spread", [html.Span(id=text("spread-note"))]),
    "z": (
        "z-score",
        [
            html.Span("▲", className="long"),
            " long spread · ",
            html.Span("▼", className="short"),
            " short spread · ○ exit · dotted: pays costs if it reverts in full · dash-dot: needed"
            " at this pair's own capture",
        ],
    ),
    "hedge": (
        "Hedge ratio β",
        [html.Span(id=text("hedge-note-chart")), html.Span(id=text("history-note"))],
    ),
}


def pair_chart() -> html.Div:
    """Prices, spread, z and hedge ratio on one time axis."""
    captions = []
    top = 0
    for name, (heading, words) in CAPTIONS.items():
        captions.append(
            html.Div(
                [html.H2(heading), html.Span(words)],
                className="caption",
                style={"top": f"{top}px", "height": f"{CAPTION}px"},
            )
        )
        top += HEIGHTS[name] + CAPTION
    return html.Div(
        className="charts panel-desk",
        role="figure",
        **aria(
            label="Prices, spread, z-score and hedge ratio over time",
            describedby=f"{ids.VERDICT} {text('z')}",
        ),
        children=[
            *captions,
            dcc.Graph(
                id=ids.PAIR_CHART,
                figure=BLANK,
                config=CONFIG,
                responsive=True,
                style={"height": f"{HEIGHT}px"},
            ),
            html.Div(id=ids.OVERLAY, className="overlay", **aria(hidden="true")),
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
        config=CONFIG | {"displayModeBar": False},
        responsive=True,
        style={"height": f"{height}px"},
    )
    return html.Div(graph, role="figure", **aria(label=label, describedby=described_by))
