"""Binds the page's callbacks to one app; each module has a view's or a subject's."""

from dash import Dash

from app.callbacks import live, parameters, scripts
from app.services import PairService


def register_callbacks(app: Dash, services: PairService) -> None:
    """Bind every callback of the page."""
    parameters.register(app, services)
    live.register(app, services)
    scripts.register(app)
