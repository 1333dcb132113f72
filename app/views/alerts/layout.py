"""The Alerts view's tree: frames by id, which the page's tick fills in."""

from dash import html

from app.services import Desk
from app.views.alerts import ids
from app.views.markup import aria


def alerts_view(desk: Desk) -> html.Main:
    """The tree; what it shows comes with the first tick."""
    return html.Main(
        id=ids.MAIN,
        className="alerts",
        children=[
            html.Section(id=ids.AWAY, className="away-line", **aria(label="While you were away")),
            html.Section(id=ids.RIGHT, **aria(label="Right to write")),
            html.Div(
                className="alerts-cols",
                children=[
                    html.Div(
                        [
                            _frame(ids.FIRING, "Firing now", ""),
                            _frame(ids.WATCHLIST, "Watchlist"),
                            _frame(ids.HISTORY, "History"),
                        ]
                    ),
                    html.Div(
                        [
                            _frame(ids.EPISODE, "Episode"),
                            _frame(ids.WHY, "Why"),
                            _frame(ids.CHANNELS, "Channels"),
                        ]
                    ),
                ],
            ),
            html.Dialog(html.Div(id=ids.FORM), id=ids.DIALOG, **aria(label="Rule")),
        ],
    )


def _frame(component_id: str, label: str, look: str = "panel-desk") -> html.Section:
    return html.Section(id=component_id, className=f"{look} frame".strip(), **aria(label=label))
