"""What a view is to the page around it."""

from collections.abc import Callable
from dataclasses import dataclass

from dash import Dash
from dash.development.base_component import Component

from app.services import Desk


@dataclass(frozen=True, slots=True)
class View:
    """A path of the page with its name in the header, its tree, and the callbacks behind it.

    The tree is built anew whenever the view is opened; callbacks are bound once, at the start.
    `quick` names the outputs of those that every client asks every second.
    """

    path: str
    title: str
    layout: Callable[[Desk], Component]
    register: Callable[[Dash, Desk], None]
    quick: tuple[str, ...] = ()
