"""What a root prints: log lines on stderr, readable in a terminal and in a container's log."""

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog


class _Console:
    """stderr that loses a line rather than ending who writes it: its disk may be full."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def configure_logging() -> None:
    """Send every log line to stderr; called by roots only."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # Its "maximum number of running instances reached" is how overlapping runs are meant to end.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=True),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Console())),
        cache_logger_on_first_use=False,
    )
