"""What a root prints: log lines on stderr, readable in a terminal and in a container's log.

Symbols have letters of any script, a terminal has perhaps none of them: those are escaped.

What is logged may be a stranger's text: it is escaped, without passwords, and no record is longer
than 10 kB.
"""

import logging
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict

from core.masking import masked
from core.parameters import printable

_HEAD_BYTES, _TAIL_BYTES = 2_000, 6_000
_LONGEST_LINE = 1_000


class _Console:
    """stderr that loses a line rather than ending who writes it: its disk may be full."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(shortened(text))

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


class LineFormatter(logging.Formatter):
    """What libraries log, as safe to read as our own lines."""

    def format(self, record: logging.LogRecord) -> str:
        return shortened(_safe_lines(super().format(record)))


def shortened(text: str) -> str:
    """A record without its middle where it is long; a traceback says most at its end."""
    content = text.encode("utf-8", "backslashreplace")
    left_out = len(content) - _HEAD_BYTES - _TAIL_BYTES
    if left_out <= 0:
        return text
    head = content[:_HEAD_BYTES].decode("utf-8", "ignore")
    tail = content[-_TAIL_BYTES:].decode("utf-8", "ignore")
    return f"{head} … {left_out:,} bytes left out … {tail}"


def _safe_lines(text: str) -> str:
    return "\n".join(printable(line, _LONGEST_LINE) for line in masked(text).splitlines())


def _safe_values(_logger: Any, _method: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if key == "exception":
            event[key] = _safe_lines(value)
        elif isinstance(value, str):
            event[key] = printable(masked(value), _LONGEST_LINE)
    return event


def configure_logging() -> None:
    """Send every log line to stderr; called by roots only."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # Its "maximum number of running instances reached" is how overlapping runs are meant to end.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=True),
            # A traceback of `rich` shows the values of variables, and takes seconds.
            structlog.processors.format_exc_info,
            _safe_values,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Console())),
        cache_logger_on_first_use=False,
    )
