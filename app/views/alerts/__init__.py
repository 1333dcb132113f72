"""The Alerts view: what fires, every rule, what fired before and why; the rules' own form."""

from dash import Dash

from app.services import Desk
from app.views.alerts.asked import read_asked
from app.views.alerts.layout import alerts_view
from app.views.alerts.parts import parts
from app.views.view import KeptFresh

WATCHED = KeptFresh(read_asked, parts)


def register(app: Dash, desk: Desk) -> None:
    """Bind nothing: the page's tick fills it in, and writes go to the API."""


__all__ = ["WATCHED", "alerts_view", "register"]
