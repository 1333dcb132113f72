"""The page's own callbacks, whatever view is shown."""

from collections.abc import Sequence

from dash import ClientsideFunction, Dash, Input, Output

from app.services import Desk
from app.views import ids
from app.views.shell import tick
from app.views.view import View

QUICK = tick.QUICK


def register(app: Dash, desk: Desk, views: Sequence[View]) -> None:
    """Bind the theme's switch (assets/desk_shell.js) and the page's tick (assets/desk_watch.js)."""
    tick.register(app, desk, views)
    app.clientside_callback(
        ClientsideFunction(namespace="desk_watch", function_name="beat"),
        Output(ids.WATCH_NEWS, "modified_timestamp"),
        Input(ids.WATCH_INTERVAL, "n_intervals"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction(namespace="desk_watch", function_name="begin"),
        Output(ids.WATCH_INTERVAL, "disabled"),
        Input(ids.HIDDEN, "data"),
    )
    app.clientside_callback(
        ClientsideFunction(namespace="desk_picker", function_name="know"),
        Output(ids.SYMBOLS, "modified_timestamp"),
        Input(ids.SYMBOLS, "data"),
    )
    app.clientside_callback(
        ClientsideFunction(namespace="desk_commands", function_name="know"),
        Output(ids.KNOWN, "modified_timestamp"),
        Input(ids.KNOWN, "data"),
    )
    app.clientside_callback(
        ClientsideFunction(namespace="desk_shell", function_name="theme"),
        Output(ids.THEME, "data"),
        Input(ids.THEME_TOGGLE, "n_clicks"),
    )
