"""Component ids that belong to no view alone: the shell's and the controls'.

A view has its own in its folder. Scripts write ids as literals; a test compares each with the
components that there are.
"""

HIDDEN = "page-hidden"
"""True while nobody looks."""
THEME = "theme"
THEME_TOGGLE = "theme-toggle"
NOTICES = "notices"
SILENCE = "silence"
SILENCE_AGE = "silence-age"
TOASTS = "toasts"

# The page's own tick: what is asked for, the newest answer, and marks of what the client has.
WATCH_INTERVAL = "watch-interval"
WATCH_REQUEST = "watch-request"
WATCH_NEWS = "watch-news"
WATCH_MARKS = "watch-marks"
FIRING = "firing-count"

SYMBOLS = "page-symbols"
"""What pickers and the command box choose from."""
KNOWN = "page-known"
"""Words that the command box understands."""
COMMANDS = "commands"
COMMANDS_OPEN = "commands-open"
KEYS = "keys"
KEYS_OPEN = "keys-open"

# What the controls hold that is not on screen yet (assets/desk_controls.js).
ASKED = "controls-asked"
ASKED_WORDS = "controls-words"
GO_BACK = "controls-back"
JUDGED = "controls-judged"
LABELS = "controls-labels"
RETRY = "controls-retry"

SWAP = "control-swap"
COPY_LINK = "copy-link"
CHECK_HONESTY = "check-honesty"
HONESTY = "honesty-checks"
WATCH_PAIR = "watch-pair"
FOLD = "controls-fold"
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
