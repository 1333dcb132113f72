"""What a root prints: log lines on stderr, readable in a terminal and in a container's log."""

import logging
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict

from core.masking import masked


class _Console:
    """stderr that loses a line rather than ending who writes it: its disk may be full."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def _mask(_logger: Any, _method: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = masked(value)
    return event


class _MaskedFormatter(logging.Formatter):
    """What libraries log, without the passwords that may be in it."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def configure_logging() -> None:
    """Send every log line to stderr; called by roots only."""
    handler = logging.StreamHandler()
    handler.setFormatter(_MaskedFormatter("%(levelname)s %(name)s: %(message)s"))
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
            _mask,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Console())),
        cache_logger_on_first_use=False,
    )
