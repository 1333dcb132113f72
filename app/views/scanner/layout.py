"""The Scanner view's tree: frames by id, which the page's tick fills in."""

from dash import dcc, html

from app.services import Desk
from app.views.markup import aria
from app.views.scanner import ids
from app.views.scanner.grid import pairs_grid


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
                    html.Div(_pairs()),
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


def _pairs() -> html.Section:
    """What the tick says above and below the grid, which fills itself in, block by block."""
    return html.Section(
        id=ids.TABLE,
        className="panel-desk frame",
        children=[
            html.Div(id=ids.PAIRS),
            html.Div(id=ids.NOTHING),
            html.Div(pairs_grid(), className="scan-grid"),
            html.Div(id=ids.CHOSEN),
            dcc.Store(id=ids.BLOCK_REQUEST),
            dcc.Store(id=ids.BLOCK),
        ],
        **aria(label="Pairs"),
    )


def _frame(component_id: str, label: str, look: str = "panel-desk") -> html.Section:
    return html.Section(id=component_id, className=f"{look} frame", **aria(label=label))
