"""The command box and the sheet of keys: what both know of the desk; the rest is in the browser.

A key is an attribute of what it presses, `data(key="w")`, on whichever view that stands; the sheet
lists those that are there (assets/desk_keys.js). The box writes links of the page, as a hand would.
"""

from collections.abc import Sequence
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from app.views import ids
from app.views.markup import aria, data
from app.views.shell.page import HELP
from app.views.view import View
from core.pair_spec import PAIR_PARAMETERS
from core.parameters import Choice, Symbol


def open_button() -> html.Button:
    """Where the command box is opened by hand."""
    return html.Button(
        ["Search or command", html.Kbd("/")],
        id=ids.COMMANDS_OPEN,
        className="command-open",
        title="Search or command",
        **aria(keyshortcuts="/ Control+K"),
    )


def dialogs(views: Sequence[View]) -> list[Component]:
    """Both dialogs, closed, and the words that the box understands."""
    return [
        dcc.Store(id=ids.KNOWN, data=known(views)),
        html.Dialog(
            html.Div(**data(part="box")),
            id=ids.COMMANDS,
            className="sheet",
            **aria(label="Command"),
        ),
        html.Dialog(
            html.Div(**data(part="list")), id=ids.KEYS, className="sheet", **aria(label="Keys")
        ),
        html.Dialog(
            html.Div(**data(part="checks")),
            id=ids.HONESTY,
            className="sheet",
            **aria(label="Honesty check"),
        ),
    ]


def known(views: Sequence[View]) -> dict[str, Any]:
    """Parameters by what they are called, what a choice may be, and the views."""
    choices, numbers = {}, {}
    for field, parameter in PAIR_PARAMETERS.items():
        if isinstance(parameter, Choice):
            choices[field] = dict(parameter.choices)
        elif not isinstance(parameter, Symbol):
            numbers[field] = parameter.label
    return {
        "choices": choices,
        "numbers": numbers,
        "views": [[view.path, view.title] for view in views] + [[HELP, "Help"]],
    }
