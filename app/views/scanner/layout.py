"""The Scanner view's tree: frames by id, which the page's tick fills in."""

from dash import html

from app.services import Desk
from app.views.markup import aria
from app.views.scanner import ids


def scanner_view(desk: Desk) -> html.Main:
    """The tree; what it shows comes with the first tick."""
    return html.Main(
        id=ids.MAIN,
        className="scanner",
        children=[
            _frame(ids.UNIVERSE, "Universe", "scan-universe"),
            _frame(ids.CONTROLS, "Which pairs", "scan-controls"),
            _frame(ids.VERDICT, "What the scan is worth", "away-line"),
            _frame(ids.RADAR, "Radar", "scan-radar"),
            html.Div(
                className="alerts-cols",
                children=[
                    html.Div(_frame(ids.TABLE, "Pairs")),
                    html.Div(
                        [
                            _frame(ids.MAP, "Market map"),
                            _frame(ids.FOUND, "Found over scans"),
                            _frame(ids.JOBS, "Jobs"),
                        ]
                    ),
                ],
            ),
        ],
    )


def _frame(component_id: str, label: str, look: str = "panel-desk") -> html.Section:
    return html.Section(id=component_id, className=f"{look} frame", **aria(label=label))
