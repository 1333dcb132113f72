"""The Lab view: a grid of parameters traded on a pair, and how sure one can be of its best."""

from dash import Dash

from app.services import Desk
from app.views.lab.asked import read_asked
from app.views.lab.layout import lab_view
from app.views.lab.parts import parts
from app.views.view import KeptFresh

WATCHED = KeptFresh(read_asked, parts)


def register(app: Dash, desk: Desk) -> None:
    """Bind nothing: the page's tick fills it in, and a run is asked of the API."""


__all__ = ["WATCHED", "lab_view", "register"]
