"""Component ids of the Health view."""

MAIN = "health-main"
VERDICT = "health-verdict"
THINGS = "health-things"
PROCESSES = "health-processes"
SYMBOLS = "health-symbols"
EVENTS = "health-events"
CHANNELS = "health-channels"
