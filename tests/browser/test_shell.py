"""What stands around every view: help, keys, the command box."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

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


def offers(screen: Any) -> list[str]:
    words: list[str] = screen.page.locator("#commands [role=option] span").all_inner_texts()
    return words


def test_words_in_any_order_make_the_screen_and_back_undoes_it(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    page = screen.page
    page.keyboard.press("/")
    page.keyboard.type("kalman eth 1m sol entry 1.5 window 60")
    assert offers(screen) == [
        "ETHUSDT / SOLUSDT, Kalman, 1m, entry z 1.5, window 60 in Live",
        "ETHUSDT / SOLUSDT, Kalman, 1m, entry z 1.5, window 60 in Lab",
        "Watch ETHUSDT / SOLUSDT, Kalman, 1m, entry z 1.5, window 60",
    ]
    page.keyboard.press("Enter")
    expect(page.locator("#commands")).to_be_hidden()
    expect(page.locator("#control-entry-z")).to_have_value("1.5")
    expect(page.locator("#control-symbol-a-input")).to_have_value("ETHUSDT")
    query = "symbol_a=ETHUSDT&symbol_b=SOLUSDT&window=60&entry_z=1.5&hedge=kalman"
    with urlopen(f"{desk.url}/analytics/pair?{query}&points=0") as answer:
        z = json.load(answer)["zscore"]
    expect(page.locator("#live-z")).to_have_text(f"{z:+.2f}".replace("-", "−"))
    page.keyboard.press("u")
    expect(page.locator("#control-entry-z")).to_have_value("2")
    expect(page.locator("#live-leg-a")).to_have_text("BTCUSDT")
    # One coin: as either leg, and nothing is chosen for the user.
    page.keyboard.press("Control+k")
    page.keyboard.type("sol")
    assert [words for words in offers(screen) if words.endswith("Live")] == [
        "SOLUSDT / ETHUSDT in Live", "BTCUSDT / SOLUSDT in Live",
    ]  # fmt: skip
    place = offers(screen).index("BTCUSDT / SOLUSDT in Live")
    for _ in range(place):  # the first is taken already
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#control-symbol-b-input")).to_have_value("SOLUSDT")
    assert screen.complaints == []


def test_a_word_that_means_nothing_does_nothing_and_is_named(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    page = screen.page
    page.click("#commands-open")
    page.keyboard.type("sol eth 7m")
    assert offers(screen) == []
    page.keyboard.press("Enter")
    expect(page.locator("#commands [role=status]")).to_contain_text("“7m” is no symbol")
    page.keyboard.press("Escape")
    expect(page.locator("#commands")).to_be_hidden()
    assert page.url == f"{desk.url}/"


def test_a_preset_is_kept_by_name_and_brings_its_screen_back_from_any_view(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(f"{desk.url}/?window=77&hedge=ratio")
    page = screen.page

    def command(words: str) -> None:
        page.keyboard.press("/")
        page.keyboard.type(words)
        expect(page.locator("#commands .on")).to_be_visible()
        page.keyboard.press("Enter")

    command("save evening 77")
    page.goto(f"{desk.url}/health")
    expect(page.locator("#live-badge")).to_have_text("LIVE · BINANCE")
    command("eveni")
    screen.wait_for_charts()
    expect(page.locator("#control-window")).to_have_value("77")
    assert page.locator("#control-hedge input:checked").get_attribute("value") == "ratio"
    command("forget evening")
    page.keyboard.press("/")
    assert not [words for words in offers(screen) if "evening" in words]


def test_link_curl_and_files_are_what_is_on_screen(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(permissions=["clipboard-read", "clipboard-write"])
    screen.open(f"{desk.url}/?entry_z=1.5&exit_z=0&window=60")
    page = screen.page

    def command(words: str) -> None:
        page.keyboard.press("/")
        page.keyboard.type(words)
        page.keyboard.press("Enter")

    command("curl")
    expect(page.locator("#toast")).to_contain_text("call copied")
    call = page.evaluate("navigator.clipboard.readText()")
    assert call.startswith("curl '")
    with urlopen(call.split("'")[1]) as answer:
        body = json.load(answer)
    assert f"{body['zscore']:+.2f}".replace("-", "−") == screen.text("live-z")
    assert (body["entry_z"], body["window"]) == (1.5, 60)
    page.keyboard.press("c")
    expect(page.locator("#copy-link")).to_have_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{desk.url}/?")
    assert "entry_z=1.5" in link
    with page.expect_download() as saved:
        command("json")
    assert json.loads(Path(saved.value.path()).read_text()) == body
    for name in ("trades.csv", "equity.csv"):
        with page.expect_download() as saved:
            command(name)
        with urlopen(call.split("'")[1].replace("/pair?", f"/pair/{name}?")) as answer:
            assert Path(saved.value.path()).read_bytes() == answer.read(), name


def test_keys_press_what_the_sheet_says_and_are_silent_while_one_types(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(color_scheme="dark").open(desk.url)
    page = screen.page
    page.keyboard.press("?")
    listed = dict(
        zip(
            page.locator("#keys dt").all_inner_texts(),
            page.locator("#keys dd").all_inner_texts(),
            strict=True,
        )
    )
    assert {"/", "?", "u", "a", "b", "x", "t", "h", "w", "c", "d", "1", "2", "3"} <= set(listed)
    assert listed["x"] == "Swap the legs"
    page.keyboard.press("x")  # the sheet is open: nothing behind it is pressed
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.keyboard.press("h")
    expect(page.locator("#control-hedge input:checked")).to_have_value("kalman")
    page.keyboard.press("x")
    expect(page.locator("#control-symbol-a-input")).to_have_value("ETHUSDT")
    page.fill("#control-window", "")
    page.keyboard.type("6xd0")
    expect(page.locator("#control-window")).to_have_value("6xd0")
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    page.fill("#control-window", "60")
    page.keyboard.press("Enter")
    page.locator("#control-swap").focus()
    page.keyboard.press("a")
    expect(page.locator("#control-symbol-a-list")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("#control-swap").focus()
    page.keyboard.press("?")
    page.click("#keys input")
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    assert page.evaluate("document.documentElement.dataset.theme") == "light", "keys are off"
    page.keyboard.press("?")
    page.click("#keys input")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    page.wait_for_url("**/alerts*")
    expect(page.locator("#live-badge")).to_have_text("LIVE · BINANCE")
    assert screen.complaints == []


def test_both_dialogs_are_there_for_everybody(desk: Any, open_screen: Callable[..., Any]) -> None:
    screen = open_screen()
    page = screen.page
    page.goto(f"{desk.url}/health")
    expect(page.locator("#live-badge")).to_have_text("LIVE · BINANCE")
    for key in ("?", "/"):
        page.keyboard.press(key)
        expect(page.locator("dialog[open]")).to_be_visible()
        assert screen.serious_in_both_themes("dialog[open]") == []
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)


def test_a_timeframe_without_bars_says_so_in_place_of_charts_and_leads_to_one_that_has_some(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    page = screen.page
    empty = page.locator(".empty-state")
    expect(empty).to_be_hidden()
    page.locator("#control-timeframe input[value='15m']").check(force=True)
    expect(empty).to_be_visible()
    expect(empty.locator("strong")).to_contain_text("No 15m bars of BTCUSDT and ETHUSDT")
    expect(page.locator(".caption").first).to_be_hidden()
    expect(page.locator("#live-overlay text")).to_have_count(0)
    assert screen.serious(".charts") == []
    page.click("#live-empty-link")
    screen.wait_for_charts()
    expect(empty).to_be_hidden()
    expect(page.locator("#control-timeframe input:checked")).to_have_value("1m")
    expect(page.locator(".caption").first).to_be_visible()
    assert screen.complaints == []
