"""The Health view: each thing that can go wrong with what is normal and what to do."""

from dash import Dash

from app.services import Desk
from app.views.health.layout import health_view
from app.views.health.parts import parts
from app.views.view import KeptFresh


def read_nothing(raw: object) -> tuple[()]:
    """The view is the same for all."""
    return ()


WATCHED = KeptFresh(read_nothing, parts)


def register(app: Dash, desk: Desk) -> None:
    """Bind nothing: the page's tick fills it in."""


__all__ = ["WATCHED", "health_view", "register"]
