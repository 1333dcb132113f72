"""Who is told, and how: a channel's test, this browser's notifications, who was away."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.watched import Watched
from tests.browser.watched import watched as watched

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

# A browser that allows notifications and a tab that nobody sees, until the test says otherwise.
HIDDEN = """
window.told = [];
class Told { constructor(heading, more) { window.told.push([heading, more.tag]); } }
Told.permission = 'default';
Told.requestPermission = async () => (Told.permission = 'granted');
window.Notification = Told;
window.isHidden = false;
Object.defineProperty(document, 'hidden', { get: () => window.isHidden });
"""
MINUTES_AWAY = """minutes => {
    const last = JSON.parse(localStorage.getItem('pairdesk.looked'));
    last.at -= minutes * 60000;
    localStorage.setItem('pairdesk.looked', JSON.stringify(last));
}"""


def test_a_channel_is_tried_by_its_button_which_says_what_becomes_of_it(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk(settings={"ALERT_CHANNELS": "phone=json://127.0.0.1:9/secret"})
    screen = open_screen()
    page = screen.page
    page.goto(f"{desk.url}/alerts")
    line = page.locator("#alerts-channels .channel[data-key=phone]")
    expect(line).to_contain_text("nothing sent yet")
    line.get_by_role("button", name="Test phone").click()
    expect(page.locator("#toast")).to_contain_text("Testing phone")
    expect(line).to_contain_text("test: asked, the analyst sends it")
    assert "secret" not in page.content()
    assert screen.complaints == []


def test_a_hidden_tab_notifies_once_and_only_after_it_was_allowed(
    watched: Watched, open_screen: Callable[..., Any]
) -> None:
    watched.rule()
    watched.close()
    screen = open_screen()
    page = screen.page
    page.add_init_script(HIDDEN)
    page.clock.install()
    page.goto(f"{watched.desk.url}/alerts")
    notify = page.get_by_role("button", name="Notify")
    expect(notify).to_have_attribute("aria-pressed", "false")
    notify.click()
    expect(notify).to_have_attribute("aria-pressed", "true")
    page.evaluate(
        "() => { isHidden = true; document.dispatchEvent(new Event('visibilitychange')); }"
    )
    watched.close(BTCUSDT=0.03)
    page.clock.run_for(15_000)  # until a tab that nobody sees asks again
    expect(page).to_have_title("(1) Alerts · Pairdesk")
    page.wait_for_function("() => told.length")
    ((heading, tag),) = page.evaluate("told")
    assert heading.startswith("BTC / ETH 1m fired at +")
    assert tag == "pairdesk-1"
    assert screen.complaints == []


def test_who_comes_back_is_told_in_a_line_what_fired_meanwhile(
    watched: Watched, open_screen: Callable[..., Any]
) -> None:
    watched.rule()
    watched.close()
    screen = open_screen()
    page = screen.page
    page.goto(f"{watched.desk.url}/alerts")
    expect(page.locator("#alerts-watchlist tbody tr")).to_have_count(1)
    page.wait_for_function("() => localStorage.getItem('pairdesk.looked')")
    page.close()
    watched.close(BTCUSDT=0.03)
    page = screen.page.context.new_page()
    page.goto(f"{watched.desk.url}/healthz")
    page.evaluate(MINUTES_AWAY, 30)
    page.goto(f"{watched.desk.url}/alerts")
    line = page.locator("#alerts-away")
    expect(line).to_contain_text("While you were away: 1 fired, none resolved.")
    expect(line).to_contain_text("BTC / ETH")
    expect(page.locator("#toast")).to_have_count(0)
    line.get_by_role("button", name="Mark as seen").click()
    expect(line).to_be_empty()
    page.reload()
    expect(page.locator("#firing-count")).to_have_text("1")
    expect(line).to_be_empty()
    assert screen.complaints == []
