"""What of the Live view runs in the browser (assets/desk_live.js)."""

from dash import ClientsideFunction, Dash, Input, Output, State

from app.views import ids as page_ids
from app.views.live import ids

ASSETS = (
    "plotly-cartesian-4.1.1",
    *("desk_candles", "desk_charts", "desk_crosshair", "desk_holes", "desk_lines", "desk_overlay"),
    *("desk_picture", "desk_span", "desk_table"),
)
"""What draws the charts, and the table that leads to a place on them: no other view has any."""


def _in_browser(name: str) -> ClientsideFunction:
    return ClientsideFunction(namespace="desk_live", function_name=name)


def register(app: Dash) -> None:
    """Bind the functions of assets/desk_live.js."""
    app.clientside_callback(
        _in_browser("show"),
        Output(ids.SCREEN, "modified_timestamp"),
        Input(ids.REQUESTED, "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        _in_browser("paint"),
        Output(ids.EXPECTANCY, "modified_timestamp"),
        Input(page_ids.THEME, "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        _in_browser("fold"),
        Output(page_ids.FOLD, "aria-expanded"),
        Input(page_ids.FOLD, "n_clicks"),
        State(page_ids.FOLD, "aria-expanded"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        _in_browser("unfold"),
        Output(page_ids.MORE, "is_open"),
        Output(page_ids.MORE_TOGGLE, "aria-expanded"),
        Input(page_ids.MORE_TOGGLE, "n_clicks"),
        State(page_ids.MORE, "is_open"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        _in_browser("copyLink"),
        Output(page_ids.COPY_LINK, "children"),
        Input(page_ids.COPY_LINK, "n_clicks"),
        prevent_initial_call=True,
    )
