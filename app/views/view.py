"""What a view is to the page around it."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from dash import Dash
from dash.development.base_component import Component

from app.services import Desk


@dataclass(frozen=True, slots=True)
class KeptFresh:
    """What the page's own tick keeps fresh of a view, see `app.views.shell.tick`.

    `read` makes what a client asks for of anything that it sent; `parts` gives the html of each
    element by id for that, and is asked once a second for all clients who ask for the same.
    `has_strip` says that the view has no tick of its own that fills in strip and notices.
    """

    read: Callable[[object], Hashable]
    parts: Callable[[Desk, Any], dict[str, Any]]
    has_strip: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """A path of the page with its name in the header, its tree, and the callbacks behind it.

    The tree is built anew whenever the view is opened; callbacks are bound once, at the start.
    `quick` names the outputs of those that are answered before dash's own dispatch; `assets`
    scripts and styles that only this view needs, by their names without an ending, and
    `components` packages of dash components likewise: no other page names them.
    """

    path: str
    title: str
    layout: Callable[[Desk], Component]
    register: Callable[[Dash, Desk], None]
    quick: tuple[str, ...] = ()
    watched: KeptFresh | None = None
    assets: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
