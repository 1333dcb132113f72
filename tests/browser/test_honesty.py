"""Check honesty, in a browser: what the dialog says is what the API keeps of the check."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from core.settings import Settings
from ingest.analysis import honesty
from ingest.analysis.job import work_off
from ingest.store import jobs
from ingest.store.reader import Reader

pytestmark = pytest.mark.browser


def claim(desk: Any, screen: Any) -> int:
    """The job that the page has asked for, taken as the analyst takes it."""
    taken: list[tuple[int, int]] = []

    def is_there() -> bool:
        with desk.writer.transaction() as tx:
            found = jobs.claim(tx, "lab", desk.now_ms)
        taken.extend([found] if found else [])
        return bool(found)

    screen.until(is_there, "a job", lambda: screen.page.wait_for_timeout(20))
    return taken[0][0]


def test_a_check_of_the_pair_on_screen_says_what_each_part_found(
    desk: Any, open_screen: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(honesty, "RUNS", 20)
    screen = open_screen().open(f"{desk.url}/?window=60&bars=400&entry_z=1.5")
    page = screen.page
    page.click("#check-honesty")
    job_id = claim(desk, screen)
    expect(page.locator("#honesty-checks progress")).to_be_visible()
    assert work_off(job_id, Settings(), desk.database_url) == 0
    expect(page.locator("#honesty-checks li")).to_have_count(6)
    told = page.evaluate(f"fetch('/api/jobs/{job_id}/result').then((answer) => answer.json())")
    assert told["spec"]["window"] == 60
    assert told["spec"]["entry_z"] == 1.5
    expect(page.locator("#honesty-checks .strong")).to_have_text(told["verdict"])
    assert page.locator("#honesty-checks li p").all_inner_texts() == [
        check["words"] for check in told["checks"]
    ]
    assert screen.serious("#honesty-checks") == []
    page.keyboard.press("Escape")
    expect(page.locator("#honesty-checks")).to_be_hidden()


def test_a_check_that_is_cancelled_or_fails_says_so(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    page = screen.page
    page.keyboard.press("y")
    job_id = claim(desk, screen)
    page.click("#honesty-checks button:has-text('Cancel')")
    expect(page.locator("#honesty-checks .bad")).to_contain_text("cancelled")
    reader = Reader(desk.database_url)
    stored = reader.job(job_id)
    reader.close()
    assert stored is not None
    assert stored.state == "cancelled"
