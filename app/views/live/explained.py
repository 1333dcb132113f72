"""One z taken apart: where it is shown; assets/desk_explain.js asks the API for it."""

from dash import html

from app.views.live import ids
from app.views.markup import aria, data


def explained() -> html.Section:
    """The panel, over the backtest while it is open."""
    return html.Section(id=ids.EXPLAIN, className="explain", hidden=True, **aria(label="One z"))


def explain_newest() -> html.Button:
    """The way there by keyboard; by pointer it is a click on the chart."""
    key = data(key="e", says="Explain the newest z")
    return html.Button("click to explain a z", id=ids.EXPLAIN_NEWEST, **key)


def picked_mark() -> html.Div:
    """Over the charts, the bar whose z is taken apart."""
    return html.Div(id=ids.PICKED, className="overlay", **aria(hidden="true"))
