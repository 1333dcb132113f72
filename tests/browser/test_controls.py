"""Every control, and what the page does when what is behind it goes away."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import expect

from app.views.controls import FIELDS
from core.pair_spec import PAIR_PARAMETERS
from core.parameters import Choice
from tests.browser.words import api

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

SET = {
    "symbol_a": "SOLUSDT", "symbol_b": "BTCUSDT", "timeframe": "1m", "window": "100",
    "entry_z": "1.5", "exit_z": "0.25", "hedge": "kalman", "exit_rule": "anchored", "stop_z": "6",
    "max_hold_bars": "240", "hedge_window": "300", "lags": "2", "bars": "500",
    "since": "2026-11-22T14:00:00Z", "fee_bps": "5", "slippage_bps": "1", "notional": "25000",
}  # fmt: skip


def test_every_control_changes_screen_and_link_and_its_link_opens_the_same_screen(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    assert set(SET) == set(FIELDS), "a control that no test sets"
    screen = open_screen().open(desk.url)
    page = screen.page
    page.click("#more-toggle")
    for field, value in SET.items():
        control = f"#control-{field.replace('_', '-')}"
        if field.startswith("symbol"):
            page.click(f"{control}-input")
            page.keyboard.type(value)
            page.keyboard.press("Enter")
        elif isinstance(PAIR_PARAMETERS[field], Choice):
            page.locator(f"{control} input[value='{value}']").check(force=True)
        else:
            page.fill(control, value)
            page.press(control, "Enter")
        if field != "timeframe":  # which is the default's own
            page.wait_for_url(f"**{field}=*")
        expect(page.locator("html")).not_to_have_attribute("data-doubt", "")
    query = urlsplit(page.url).query
    assert dict(parse_qsl(query)).keys() == SET.keys()
    body = api(desk, query)
    for field in ("window", "stop_z", "max_hold_bars", "hedge_window", "lags", "fee_bps"):
        assert body[field] == float(SET[field]), field
    shown = f"{body['zscore']:+.2f}".replace("-", "−")
    expect(page.locator("#live-z")).to_have_text(shown)
    expect(page.locator("#live-trades")).to_have_text(str(body["backtest"]["total_trades"]))
    expect(page.locator("#live-more-changed")).to_have_text("10 changed")
    other = open_screen().open(page.url)
    expect(other.page.locator("#live-z")).to_have_text(shown)
    assert urlsplit(other.page.url).query == query
    for field in ("window", "stop_z", "max_hold_bars", "notional"):
        control = other.page.locator(f"#control-{field.replace('_', '-')}")
        expect(control).to_have_value(SET[field])
    assert screen.complaints == other.complaints == []


def test_an_open_page_goes_on_by_itself_once_a_restarted_server_answers(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk, screen = start_desk(), open_screen(has_clock=True)
    page = screen.page
    screen.open(desk.url)
    desk.stop_serving()
    screen.until(
        lambda: page.is_visible("#silence"), "silence is told", lambda: page.clock.run_for(500)
    )
    desk.append_bar(BTCUSDT=0.002)
    desk.start_serving()
    z = f"{api(desk, '')['zscore']:+.2f}".replace("-", "−")
    screen.until(
        lambda: screen.text("live-z") == z and not page.is_visible("#silence"),
        "the bar that closed meanwhile is on screen",
        lambda: page.clock.run_for(500),
    )
    assert page.url == f"{desk.url}/"


def test_a_worker_that_died_is_said_and_numbers_are_of_then(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    screen = open_screen().open(desk.url)
    z = screen.text("live-z")
    desk.now_ms += 120_000  # and no heartbeat since
    notices = screen.page.locator("#notices")
    expect(notices).to_contain_text("The worker is away since")
    expect(screen.page.locator("html")).to_have_attribute("data-feed", "cut")
    expect(screen.page.locator("#live-verdict-cut")).to_contain_text("Can't say")
    assert screen.text("live-z") == z
    desk.report()
    expect(notices).not_to_contain_text("The worker is away")


def test_a_changed_pair_is_asked_for_at_once_and_once(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    """The screen need not wait until dash has gone round to validate controls and link."""
    screen = open_screen().open(f"{desk.url}/?fee_bps=5")
    page, held = screen.page, []

    def hold(route: Any) -> None:
        if not held and "live-url.search" in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    page.route("**/_dash-update-component*", hold)
    screens = screen.count_answers("live-screen.data")
    page.click("#control-swap")
    expect(page.locator("#live-leg-a")).to_have_text("ETHUSDT")
    body = api(desk, "symbol_a=ETHUSDT&symbol_b=BTCUSDT&fee_bps=5")
    expect(page.locator("#live-z")).to_have_text(f"{body['zscore']:+.2f}".replace("-", "−"))
    expect(page.locator("#control-symbol-a-input")).to_have_value("BTCUSDT")
    held[0].continue_()
    expect(page.locator("#control-symbol-a-input")).to_have_value("ETHUSDT")
    page.wait_for_url("**symbol_a=ETHUSDT*fee_bps=5*")
    expect(page.locator("html")).not_to_have_attribute("data-doubt", "")
    screen.wait_for_answer("live-delta.data")
    assert screen.count_answers("live-screen.data") == screens + 1
    assert screen.complaints == []
