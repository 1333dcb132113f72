"""Rules as a user makes them, and who may: the form, one click on Live, signing in and out."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app.services.accounts import hash_password
from tests.browser.watched import Watched
from tests.browser.watched import watched as watched

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

PASSWORD = "correct horse battery"
USERS = f"ada:{hash_password(PASSWORD, cost=(14, 8, 1))}"


def make_rule(page: Page, kind: str, **entries: str) -> None:
    """Fill in the form and save it."""
    page.get_by_role("button", name="New rule").click()
    page.select_option("#rule-kind", kind)
    for name, value in entries.items():
        field = page.locator(f"#rule-{name.replace('_', '-')}")
        if field.evaluate("one => one.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#alerts-dialog")).not_to_be_visible()


def test_one_click_on_live_watches_what_is_on_screen(
    watched: Watched, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(f"{watched.desk.url}/?window=80&hedge=kalman")
    screen.page.click("#watch-pair")
    expect(screen.page.locator("#toast")).to_contain_text("Watching BTCUSDT / ETHUSDT 1m")
    (rule,) = watched.api("/api/rules")["rules"]
    assert (rule["window"], rule["hedge"], rule["kind"]) == (80, "kalman", "zscore")
    card = screen.page.locator("#live-watch-strip a")
    expect(card).to_contain_text("BTC / ETH")
    assert f"since={watched.reader.rule(rule['id']).born_ms}" in (card.get_attribute("href") or "")
    screen.page.click("nav a:has-text('Alerts')")
    expect(screen.page.locator("#alerts-watchlist tbody tr")).to_contain_text("Kalman")
    assert "hedge=kalman" in screen.page.url, "the pair goes along to another view"
    assert screen.complaints == []


def test_a_rule_is_made_and_changed_by_the_form_which_shows_what_the_api_refuses(
    watched: Watched, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen()
    page = screen.page
    page.goto(f"{watched.desk.url}/alerts")
    expect(page.locator("#alerts-watchlist .empty")).to_contain_text("No rule yet")
    page.get_by_role("button", name="New rule").click()
    page.fill("#rule-symbol-a", "BTCUSDT")
    page.fill("#rule-symbol-b", "ETHUSDT")
    page.fill("#rule-entry-z", "25")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("[data-error=entry_z]")).to_contain_text("from 0.1 to 10")
    page.fill("#rule-entry-z", "3")
    page.fill("#rule-exit-z", "4")
    page.get_by_role("button", name="Save").click()
    refused = "must be from −entry z to below entry z (3)"
    expect(page.locator("[data-error=exit_z]")).to_have_text(refused)
    page.fill("#rule-exit-z", "")
    page.get_by_role("button", name="Save").click()
    row = page.locator("#alerts-watchlist tbody tr")
    expect(row).to_contain_text("3 / 0.5")
    row.get_by_role("button").click()
    page.get_by_role("button", name="Edit").click()
    page.fill("#rule-entry-z", "3.5")
    page.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("3.5 / ")
    page.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("paused")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    refusals = [text for text in screen.complaints if "400" not in text]
    assert refusals == []


def test_a_rule_of_a_relationship_and_one_of_the_data_are_made_by_the_form_of_their_kind(
    watched: Watched, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen()
    page = screen.page
    page.goto(f"{watched.desk.url}/alerts")
    make_rule(page, "relationship", symbol_a="BTCUSDT", symbol_b="ETHUSDT",
              measure="pvalue_both", above="0.2")  # fmt: skip
    make_rule(page, "data", symbols="BTCUSDT, SOLUSDT", silent_after_s="90")
    expect(page.locator("#alerts-watchlist tbody tr")).to_have_count(2)
    bound, data = sorted(watched.api("/api/rules")["rules"], key=lambda one: one["id"])
    assert (bound["kind"], bound["measure"], bound["above"]) == ("relationship", "pvalue_both", 0.2)
    assert (data["kind"], data["symbols"], data["silent_after_s"]) == (
        "data", ["BTCUSDT", "SOLUSDT"], 90,
    )  # fmt: skip
    suggested = page.locator("#rule-symbol-b").evaluate(
        "one => [...one.list.options].map(o => o.value)"
    )
    assert suggested == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert screen.complaints == []


def test_who_signs_in_may_write_and_who_has_signed_out_sees_nothing_more(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk(settings={"DASHBOARD_USERS": USERS})
    screen = open_screen()
    page = screen.page
    page.goto(f"{desk.url}/alerts")
    expect(page).to_have_url(f"{desk.url}/login?next=%2Falerts")
    assert screen.serious() == []
    for password, told in (("wrong", "No such name and password."), (PASSWORD, "")):
        page.fill("input[name=name]", "ada")
        page.fill("input[name=password]", password)
        page.keyboard.press("Enter")
        if told:
            expect(page.locator("main")).to_contain_text(told)
    expect(page.locator("#alerts-watchlist .empty")).to_contain_text("No rule yet")
    make_rule(page, "zscore", symbol_a="BTCUSDT", symbol_b="ETHUSDT")
    expect(page.locator("#alerts-watchlist tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{desk.url}/login")
    page.go_back()
    expect(page.locator("input[name=password]")).to_be_visible()
    assert "BTC" not in page.inner_text("body")


def test_who_may_not_write_sees_all_and_is_told_how_to_get_the_right(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk(settings={"HOST": "0.0.0.0", "ALLOWED_HOSTS": "127.0.0.1"})
    screen = open_screen()
    screen.page.goto(f"{desk.url}/alerts")
    line = screen.page.locator("#alerts-right")
    expect(line).to_contain_text("Reading only")
    expect(line).to_contain_text("DASHBOARD_USERS")
    expect(screen.page.locator("#alerts-watchlist")).to_contain_text("No rule yet")
