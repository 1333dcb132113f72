"""The Health view's tree: frames by id, which the page's tick fills in."""

from dash import html

from app.services import Desk
from app.views.health import ids
from app.views.markup import aria


def health_view(desk: Desk) -> html.Main:
    """The tree; what it shows comes with the first tick."""
    right = (
        (ids.PROCESSES, "Processes"),
        (ids.SYMBOLS, "Symbols"),
        (ids.EVENTS, "What happened"),
        (ids.CHANNELS, "Channels"),
    )
    return html.Main(
        id=ids.MAIN,
        className="health",
        children=[
            html.Section(
                id=ids.VERDICT, className="away-line frame", **aria(label="How the desk is")
            ),
            html.Div(
                className="alerts-cols",
                children=[
                    html.Div(_frame(ids.THINGS, "Each thing")),
                    html.Div([_frame(*each) for each in right]),
                ],
            ),
        ],
    )


def _frame(component_id: str, label: str) -> html.Section:
    return html.Section(id=component_id, className="panel-desk frame", **aria(label=label))
