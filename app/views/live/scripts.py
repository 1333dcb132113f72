"""What runs in the browser (assets/desk.js): drawing, the clock's pauses, theme, toast, link."""

from dash import ClientsideFunction, Dash, Input, Output, State

from app.views import ids


def _in_browser(name: str) -> ClientsideFunction:
    return ClientsideFunction(namespace="desk", function_name=name)


def register(app: Dash) -> None:
    """Bind the functions of assets/desk.js."""
    app.clientside_callback(
        _in_browser("theme"),
        Output(ids.THEME, "data"),
        Input(ids.THEME_TOGGLE, "n_clicks"),
    )
    app.clientside_callback(
        _in_browser("draw"),
        Output(ids.PAIR_CHART, "figure"),
        Output(ids.EQUITY_CHART, "figure"),
        Output(ids.CURSOR, "data"),
        Input(ids.SCREEN, "data"),
        Input(ids.THEME, "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        _in_browser("extend"),
        Output(ids.CURSOR, "data", allow_duplicate=True),
        Output(ids.RELOAD, "data"),
        Input(ids.DELTA, "data"),
        State(ids.CURSOR, "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        _in_browser("pause"),
        Output(ids.INTERVAL, "disabled"),
        Input(ids.BUSY, "data"),
        Input(ids.HIDDEN, "data"),
    )
    app.clientside_callback(
        _in_browser("unfold"),
        Output(ids.MORE, "is_open"),
        Output(ids.MORE_TOGGLE, "aria-expanded"),
        Input(ids.MORE_TOGGLE, "n_clicks"),
        State(ids.MORE, "is_open"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        _in_browser("copyLink"),
        Output(ids.COPY_LINK, "children"),
        Input(ids.COPY_LINK, "n_clicks"),
        State(ids.REQUEST, "data"),
        prevent_initial_call=True,
    )
