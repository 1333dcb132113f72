"""What stands around every view: help, keys, the command box."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


def test_help_is_one_link_away_and_a_link_leads_to_its_term(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(color_scheme="light")
    page = screen.page
    page.goto(f"{desk.url}/health")
    page.click("nav a:has-text('Help')")
    expect(page.locator("nav a[aria-current=page]")).to_have_text("Help")
    term = page.locator("#needed-z")
    expect(term).not_to_be_in_viewport()
    page.goto(f"{desk.url}/help#needed-z")
    expect(term).to_be_in_viewport()
    assert screen.serious() == []
    page.click("#theme-toggle")
    assert screen.serious() == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.click(".help nav a:has-text('Five hedges')")
    expect(page.locator("#five-hedges")).to_be_in_viewport()
    page.click("nav a:has-text('Live')")
    screen.wait_for_charts()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert screen.complaints == []
