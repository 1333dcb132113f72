"""The html around the page: what must be there before any script of dash runs."""

from dash import Dash

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
META_TAGS = [
    {"name": "viewport", "content": "width=device-width, initial-scale=1"},
    {"name": "description", "content": "Pairdesk, a desk for crypto pairs trading"},
]
THEME_SCRIPT = "theme.js"


def index_html(app: Dash) -> str:
    """Html of the page, with dash's own parts left to dash."""
    theme, icon = app.get_asset_url(THEME_SCRIPT), app.get_asset_url("icon.svg")
    return _PAGE.replace("[theme]", str(theme)).replace("[icon]", str(icon))
