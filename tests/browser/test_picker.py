"""The picker of a symbol, by hand and by keyboard."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

FIELD, VALUE, LIST = "#control-symbol-a-input", "#control-symbol-a", "#control-symbol-a-list"
MARKET = [["BTC", "USDT"], ["ETH", "USDT"], ["SOL", "BTC"], ["SOL", "USDT"], ["SOLV", "USDT"],
          ["WSOL", "USDT"]]  # fmt: skip


def offered(screen: Any) -> list[str]:
    words: list[str] = screen.page.locator(f"{LIST} [role=option]").all_text_contents()
    return words


def test_a_click_and_three_letters_choose_the_coin_and_nothing_else(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    page = screen.page
    page.evaluate("listed => dash_clientside.set_props('page-symbols', {data: listed})", MARKET)
    page.click(FIELD)
    expect(page.locator(LIST)).to_be_visible()
    page.keyboard.type("sol")
    # The coin itself, then coins that begin so, then those that hold it.
    assert offered(screen) == ["SOL BTC", "SOL USDT", "SOLV USDT", "WSOL USDT"]
    marked = page.locator(f"{LIST} .on")
    expect(marked).to_have_text("SOL BTC")
    assert page.get_attribute(FIELD, "aria-activedescendant") == marked.get_attribute("id")
    page.keyboard.press("ArrowDown")
    expect(marked).to_have_text("SOL USDT")
    assert page.get_attribute(VALUE, "value") == "BTCUSDT", "taken before it was chosen"
    page.keyboard.press("Enter")
    expect(page.locator(LIST)).to_be_hidden()
    page.wait_for_url("**symbol_a=SOLUSDT*")
    expect(page.locator(FIELD)).to_have_value("SOLUSDT")
    # It is offered first the next time, once another one stands there.
    page.click("#control-swap")
    expect(page.locator(FIELD)).to_have_value("ETHUSDT")
    page.click(FIELD)
    assert offered(screen)[0] == "SOL USDT"
    expect(page.locator(f"{LIST} [role=group]").first).to_have_attribute("aria-label", "Recent")
    expect(marked).to_have_text("ETH USDT")
    assert screen.complaints == []


def test_nothing_is_taken_that_was_not_in_sight(desk: Any, open_screen: Callable[..., Any]) -> None:
    screen = open_screen().open(desk.url)
    page = screen.page
    for leave in ("Escape", "Tab", "Enter"):
        page.focus(FIELD)
        page.keyboard.type("nosuch" if leave == "Enter" else "sol")
        expect(page.locator(FIELD)).to_have_attribute("aria-expanded", "true")
        page.keyboard.press(leave)
        if leave == "Enter":
            said = page.locator(".picker-popup [role=status] >> visible=true")
            expect(said).to_have_text("No symbol here has “nosuch” in its name")
            page.keyboard.press("Escape")
        expect(page.locator(LIST)).to_be_hidden()
        expect(page.locator(FIELD)).to_have_value("BTCUSDT")
    # Open and Enter, nothing typed and nothing moved: it stays what it was.
    page.click(FIELD)
    page.keyboard.press("Enter")
    expect(page.locator(FIELD)).to_have_value("BTCUSDT")
    assert page.url == f"{desk.url}/"
    assert screen.complaints == []


def test_four_hundred_symbols_are_listed_once_each_and_found_by_any_part(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    page = screen.page
    market = [[f"C{number:03}", "USDT"] for number in range(400)]
    page.evaluate("listed => dash_clientside.set_props('page-symbols', {data: listed})", market)
    page.click(FIELD)
    assert page.locator(f"{LIST} [role=option]").count() == 400
    page.keyboard.press("ArrowUp")
    expect(page.locator(f"{LIST} .on")).to_be_in_viewport()
    page.keyboard.type("39")
    numbers = [39, 139, 239, 339, *range(390, 400)]
    assert sorted(offered(screen)) == [f"C{number:03} USDT" for number in numbers]
    expect(page.locator(f"{LIST} .on")).to_have_text("C039 USDT")


def test_an_open_picker_is_there_for_everybody(desk: Any, open_screen: Callable[..., Any]) -> None:
    screen = open_screen().open(desk.url)
    screen.page.click(FIELD)
    expect(screen.page.locator(LIST)).to_be_visible()
    assert screen.serious_in_both_themes(".controls") == []
    expect(screen.page.locator(LIST)).to_be_visible()
