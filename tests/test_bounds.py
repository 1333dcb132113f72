"""No test judges speed: a wait may only be bounded by what would be a hang on any machine."""

import re
from pathlib import Path

BOUND = re.compile(r"(?:\btimeout=|\btimeout\(|\.wait\(|\.join\(|\.result\(|\.acquire\()(\d+)")


def test_no_wait_is_bounded_by_seconds_of_its_own() -> None:
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in sorted(Path(__file__).parent.rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        # Less than a second is a look at silence.
        if any(int(seconds) >= 1 for seconds in BOUND.findall(line))
    ]
    assert found == [], "take HANG_S of tests/support/waiting.py instead"
