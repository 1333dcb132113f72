"""Every component id of the page, so that layout, callbacks, scripts and tests agree.

Ids of texts that the server sends are `live-` and a key of `app.views.live.texts`.
"""

URL = "url"
THEME = "theme"
THEME_TOGGLE = "theme-toggle"
NOTICES = "notices"
SILENCE = "silence"
TOAST = "toast"

# What is on screen: the parameters as validated (a query), the whole screen, the newest delta and
# how far the client has come.
REQUEST = "live-request"
SCREEN = "live-screen"
RELOAD = "live-reload"
DELTA = "live-delta"
CURSOR = "live-cursor"

# The clock: `BUSY` while a delta is under way, `HIDDEN` while nobody looks.
INTERVAL = "live-interval"
BUSY = "live-busy"
HIDDEN = "live-hidden"

MAIN = "live-main"
PAIR_CHART = "live-pair-chart"
FORMING = "live-forming"
EQUITY_CHART = "live-equity-chart"
ROUND_TRIPS = "live-round-trips"
TRADES_CSV = "live-trades-csv"
EQUITY_CSV = "live-equity-csv"

SWAP = "control-swap"
COPY_LINK = "copy-link"
MORE = "more"
MORE_TOGGLE = "more-toggle"


def control(field: str) -> str:
    """Id of the input of a parameter."""
    return f"control-{field.replace('_', '-')}"


def control_field(field: str) -> str:
    """Id of that input with its label and message."""
    return f"{control(field)}-field"


def control_error(field: str) -> str:
    """Id of the message below that input."""
    return f"{control(field)}-error"


def text(key: str) -> str:
    """Id of a text that the server fills in."""
    return f"live-{key}"
