"""The cards of one number each, and the backtest's figures."""

from dash import html

from app.views import ids
from app.views.live.texts import SUMMARY, empty_texts
from app.views.markup import aria

CARDS = {
    "z": "z-score",
    "even": "break-even z",
    "hedge": "hedge ratio",
    "half-life": "half-life",
    "coint": "cointegration",
    "corr": "correlation",
    "signal": "signal",
}


def cards() -> html.Section:
    """One card a number; each keeps its size whatever it shows."""
    shown = empty_texts()
    return html.Section(
        className="cards",
        **aria(label="Now"),
        children=[
            html.Div(
                className=f"card-desk card-{key}",
                children=[
                    html.H2(label),
                    html.Strong(shown[key], id=ids.text(key)),
                    html.Small(shown[f"{key}-note"], id=ids.text(f"{key}-note")),
                ],
            )
            for key, label in CARDS.items()
        ],
    )


def summary() -> html.Dl:
    """Figures of the backtest."""
    shown = empty_texts()
    return html.Dl(
        className="kv",
        children=[
            html.Div([html.Dt(label), html.Dd(shown[key], id=ids.text(key))])
            for key, label in SUMMARY.items()
        ],
    )
