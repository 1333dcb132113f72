"""Binds the page's callbacks to one app; each module has a view's or a subject's."""

from dash import Dash

from app.services.pairs import PairService
from app.views.live import callbacks, parameters, scripts


def register_callbacks(app: Dash, services: PairService) -> None:
    """Bind every callback of the page."""
    parameters.register(app, services)
    callbacks.register(app, services)
    scripts.register(app)
