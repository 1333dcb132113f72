"""Component ids of the Live view."""

MAIN = "live-main"
URL = "live-url"
"""The address bar. Each view has one of its own: dash runs a callback as soon as one of its outputs
is on the page, and complains when the rest is not."""

# What controls and link ask for: the parameters as validated, a query.
REQUESTED = "live-requested"

# Questions of assets/desk_live.js and their answers: whole screen, newest delta, and how far the
# client has come. Nothing sets them in dash's renderer, so it asks none of them.
REQUEST = "live-request"
SCREEN = "live-screen"
RELOAD = "live-reload"
DELTA = "live-delta"
CURSOR = "live-cursor"

# What comes after the screen: the parameters to judge, what other entries gave, what noise gives.
WORTH = "live-worth"
EXPECTANCY = "live-expectancy"
NOISE = "live-noise"

PAIR_CHART = "live-pair-chart"
OVERLAY = "live-overlay"
EMPTY_LINK = "live-empty-link"
CHARTS = "live-charts"
PLOTS = "live-plots"
CANDLES_NOTE = "live-candles-note"
CROSSHAIR = "live-crosshair"
EXPLAIN = "live-explain"
EXPLAIN_NEWEST = "live-explain-newest"
PICKED = "live-picked"
WATCH_STRIP = "live-watch-strip"
VERDICT = "live-verdict-line"
EQUITY_CHART = "live-equity-chart"
EXPECTANCY_CHART = "live-expectancy-chart"
ROUND_TRIPS = "live-round-trips"
TRADES_CSV = "live-trades-csv"
EQUITY_CSV = "live-equity-csv"
