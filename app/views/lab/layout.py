"""The Lab view's tree: frames by id, which the page's tick fills in."""

from dash import html

from app.services import Desk
from app.views.lab import ids
from app.views.markup import aria


def lab_view(desk: Desk) -> html.Main:
    """The tree; what it shows comes with the first tick."""
    return html.Main(
        id=ids.MAIN,
        className="lab",
        children=[
            html.Section(
                [
                    html.Div(id=ids.FORM, className="lab-fields"),
                    html.Div(id=ids.COUNT, className="lab-count", role="status"),
                ],
                className="lab-form",
                **aria(label="What is tried"),
            ),
            html.Section(id=ids.VERDICT, **aria(label="What it is worth")),
            html.Section(id=ids.CARDS, className="lab-cards", **aria(label="Figures")),
            html.Div(
                className="lab-cols",
                children=[
                    html.Div(
                        [
                            _frame(ids.MAP, "Combinations"),
                            _frame(ids.RUNS, "Runs"),
                            _frame(ids.COMPARE, "Two runs"),
                        ]
                    ),
                    html.Div([_frame(ids.ENTRIES, "Trained and tested"), _frame(ids.LUCK, "Luck")]),
                    html.Div(
                        [
                            _frame(ids.WALK, "Walk-forward"),
                            _frame(ids.HEDGES, "Hedges"),
                            _frame(ids.HONEST, "Honesty"),
                        ]
                    ),
                ],
            ),
        ],
    )


def _frame(component_id: str, label: str) -> html.Section:
    return html.Section(id=component_id, className="panel-desk frame", **aria(label=label))
