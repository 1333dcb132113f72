"""The Scanner view: every pair in an honest order, who is far out now, and what chance finds."""

from dash import Dash

from app.services import Desk
from app.views.scanner.asked import read_asked
from app.views.scanner.layout import scanner_view
from app.views.scanner.parts import parts
from app.views.view import Watched

WATCHED = Watched(read_asked, parts)


def register(app: Dash, desk: Desk) -> None:
    """Bind nothing: the page's tick fills it in, and jobs go to the API."""


__all__ = ["WATCHED", "register", "scanner_view"]
