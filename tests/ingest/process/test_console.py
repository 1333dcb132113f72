"""What reaches the log, whoever writes the line: no password, no flood, no stranger's line."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from ingest.process.console import LineFormatter, configure_logging, shortened

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
HUGE = "é" * 300_000


@pytest.fixture(autouse=True)
def own_configuration() -> Iterator[None]:
    configure_logging()
    yield
    structlog.reset_defaults()


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


def test_values_of_strangers_start_no_line_and_drive_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    structlog.get_logger().warning("refused", path="/a\n12:00:00 [info] forged\x1b[2J\u202e\ud800")
    structlog.get_logger().warning("refused", path="/a\x1b[2J")
    spaced, plain = capsys.readouterr().err.splitlines()
    assert "12:00:00 [info] forged" in spaced
    assert spaced.isprintable()
    assert plain.endswith(r"path=/a\x1b[2J")


@pytest.mark.parametrize("value", [HUGE, [HUGE], {"query": HUGE}])
def test_no_record_is_longer_than_ten_kilobytes(
    capsys: pytest.CaptureFixture[str], value: object
) -> None:
    structlog.get_logger().warning("refused", value=value)
    assert 100 < len(capsys.readouterr().err.encode()) <= 10_000


def test_traceback_is_plain_and_its_end_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    def deeper(secret: str, level: int) -> None:
        if level == 0:
            raise ValueError(f"{HUGE}\x1b[2J\nand its end")
        deeper(secret, level - 1)

    try:
        deeper("a local of every frame", 300)
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)
    told = capsys.readouterr().err
    assert len(told.encode()) <= 10_000
    assert told.splitlines()[-1] == "and its end"
    assert "Traceback (most recent call last)" in told
    assert "a local of every frame" not in told.replace('deeper("a local of every frame"', "")
    assert "\x1b" not in told


def test_lines_of_libraries_are_shortened_and_escaped_too() -> None:
    record = logging.LogRecord("gunicorn", 30, "", 0, "bad header %r", (HUGE + "\x1b",), None)
    assert len(LineFormatter("%(message)s").format(record).encode()) <= 10_000
    record = logging.LogRecord("library", 30, "", 0, "said \x1b[2J", (), None)
    assert LineFormatter("%(message)s").format(record) == r"said \x1b[2J"


def test_short_records_stay_as_they_are() -> None:
    assert shortened("x" * 8_000) == "x" * 8_000
    assert shortened("a" * 2_000 + "b" * 10 + "c" * 6_000) == (
        "a" * 2_000 + " … 10 bytes left out … " + "c" * 6_000
    )
