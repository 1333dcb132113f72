"""Binds the page's callbacks to one app; each module has a view's or a subject's."""

from dash import Dash

from app.services import Desk
from app.views.live import callbacks, parameters, scripts


def register_callbacks(app: Dash, desk: Desk) -> None:
    """Bind every callback of the page."""
    parameters.register(app, desk)
    callbacks.register(app, desk)
    scripts.register(app)
