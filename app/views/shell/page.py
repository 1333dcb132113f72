"""Html around dash: the head before its scripts run, a 404, and where people sign in."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dash import Dash
from dash.types import RendererHooks
from flask import request

from app.views.view import View

# The theme is set in the head, so that a page never flashes in the other one.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
<link rel="icon" type="image/svg+xml" href="[icon]">
{%css%}
<script src="[theme]"></script>
</head>
<body>
{%app_entry%}
<footer>
{%config%}
{%scripts%}
{%renderer%}
</footer>
</body>
</html>
"""
_PLAIN = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>[title] · Pairdesk</title>
<link rel="icon" type="image/svg+xml" href="[icon]">
<link rel="stylesheet" href="[style]">
<script src="[theme]"></script>
</head>
<body>
<header class="top"><h1>◧ Pairdesk</h1>[nav]
<button id="theme-toggle" class="theme-toggle" title="Dark or light"
 aria-label="Switch between dark and light">☾</button></header>
[main]</body>
</html>
"""
_NOT_FOUND = """<main class="not-found">
<h2>There is nothing at this address.</h2>
<p>The desk begins at <a href="/">Live</a>; a pair and its parameters stand after the ?.</p>
</main>
"""
_SIGN_IN = """<main class="sign-in">
<h2>Sign in</h2>
<p role="alert">[words]</p>
<form method="post" action="/login">
<input type="hidden" name="next" value="[next]">
<label>Name <input name="name" autocomplete="username" required autofocus></label>
<label>Password
<input name="password" type="password" autocomplete="current-password" required></label>
<button type="submit">Sign in</button>
</form>
</main>
"""
_SPARED = ("/deps/polyfill@", "/dash_table/")
"""Polyfills, of which dash needs regenerator-runtime alone, and a table of its own."""
_HERE = ' class="on" aria-current="page"'
META_TAGS = [
    # Which view a request of the layout is for is known from its referrer alone.
    {"name": "referrer", "content": "same-origin"},
    {"name": "viewport", "content": "width=device-width, initial-scale=1"},
    {"name": "description", "content": "Pairdesk, a desk for crypto pairs trading"},
]
HELP = "/help"
THEME_SCRIPT = "theme.js"
SERVER_HOOKS: RendererHooks = {
    "request_pre": "() => window.pairdesk.clock.asked()",
    "request_post": "() => window.pairdesk.clock.answered()",
}
"""How the page knows since when the server has not answered (assets/desk_clock.js)."""


class LeanDash(Dash):
    """Dash, whose page names no script that its view has no use for: see `View`."""

    def __init__(self, views: Sequence[View], **given: Any) -> None:
        super().__init__(**given)
        self._views = views

    def interpolate_index(self, *args: Any, **parts: Any) -> Any:
        """Html of the page that the request at hand is for."""
        others = [view for view in self._views if view.path != request.path]
        spared = [f"/assets/{name}." for view in others for name in view.assets]
        spared += [f"-suites/{name}/" for view in others for name in view.components]
        left_out = "|".join(map(re.escape, [*_SPARED, *spared]))
        script = rf'<script src="[^"]*(?:{left_out})[^"]*"></script>\n?'
        style = rf'<link rel="stylesheet" href="[^"]*(?:{left_out})[^"]*">\n?'
        parts["scripts"] = re.sub(script, "", parts["scripts"])
        parts["css"] = re.sub(style, "", parts["css"])
        return super().interpolate_index(*args, **parts)


def index_html(app: Dash) -> str:
    """Html of the page, with dash's own parts left to dash."""
    return _with_assets(app, _PAGE)


def not_found_html(app: Dash) -> str:
    """Html for a path that no view has."""
    return plain_html(app, "Not found", _NOT_FOUND)


def sign_in_html(app: Dash) -> str:
    """Html of the page to sign in at, with `[words]` and `[next]` to be filled in."""
    return plain_html(app, "Sign in", _SIGN_IN)


def plain_html(app: Dash, title: str, main: str, links: Sequence[tuple[str, str]] = ()) -> str:
    """Html of a page without dash; the link whose name is the title is where one is."""
    nav = "".join(
        f'<a href="{path}"{_HERE if name == title else ""}>{name}</a>' for path, name in links
    )
    page = _with_assets(app, _PLAIN.replace("[title]", title))
    return page.replace("[nav]", f"<nav>{nav}</nav>" if nav else "").replace("[main]", main)


def _with_assets(app: Dash, text: str) -> str:
    for place, name in (("theme", THEME_SCRIPT), ("icon", "icon.svg"), ("style", "desk.css")):
        # Its version in its address, as dash has it for those that it lists itself.
        version = int((Path(app.config.assets_folder) / name).stat().st_mtime)
        text = text.replace(f"[{place}]", f"{app.get_asset_url(name)}?m={version}")
    return text
