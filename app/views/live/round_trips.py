"""The table of a backtest's round trips; the browser fills it (assets/desk_table.js)."""

from typing import Any

from dash import html

from app.views.live import ids
from app.views.markup import aria

COLUMNS = {
    "time": "entry, UTC",
    "side": "spread",
    "z": "z",
    "held": "held",
    "why": "left by",
    "pnl": "net PnL",
}


def round_trips() -> html.Div:
    """Newest first; sortable by any column."""
    return html.Div(
        className="round-trips",
        tabIndex=0,  # it scrolls: by keyboard too
        role="region",
        **aria(label="Round trips"),
        children=html.Table(
            [
                html.Thead(html.Tr([_heading(*column) for column in COLUMNS.items()])),
                html.Tbody(id=ids.ROUND_TRIPS),
            ]
        ),
    )


def _heading(field: str, words: str) -> html.Th:
    column: dict[str, Any] = {"data-column": field}
    sort = "descending" if field == "time" else "none"
    return html.Th(
        html.Button(words, **column), scope="col", className=f"col-{field}", **aria(sort=sort)
    )
