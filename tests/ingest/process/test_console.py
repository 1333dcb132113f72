"""Passwords reach no log, whoever writes the line: we, a library, or a traceback."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
LINES = """
import logging
import structlog
from ingest.process.console import configure_logging

URL = "postgres://desk:secret@db.example/name?password=secret"
configure_logging()
log = structlog.get_logger()
log.warning("lost", url=URL, error=f"can't reach {URL}")
logging.getLogger("library").error("no answer of %s", URL)
try:
    hidden = "secret"
    raise ValueError(f"Could not parse {URL}")
except ValueError:
    log.exception("failed")
    logging.getLogger("library").exception("failed too")
"""


def test_no_line_of_the_log_holds_a_password() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LINES], cwd=ROOT, capture_output=True, text=True, check=True
    )
    shown = done.stdout + done.stderr
    assert shown.count("***@db.example") == 5
    assert shown.count("Traceback (most recent call last)") == 2
    assert "/desk:" not in shown
    # In a traceback the source is shown, never what a variable holds.
    assert [line.strip() for line in shown.splitlines() if "secret" in line] == []
