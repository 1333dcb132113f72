"""The page's own callbacks, whatever view is shown."""

from dash import ClientsideFunction, Dash, Input, Output

from app.views import ids


def register(app: Dash) -> None:
    """Bind the theme's switch (assets/desk_shell.js)."""
    app.clientside_callback(
        ClientsideFunction(namespace="desk_shell", function_name="theme"),
        Output(ids.THEME, "data"),
        Input(ids.THEME_TOGGLE, "n_clicks"),
    )
