"""What Live says and does while feed or server are silent, and when they are back."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.browser.words import api, minus

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


def test_clock_runs_again_after_errors_and_silence(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(has_clock=True)
    page = screen.page
    screen.open(desk.url)
    answers: list[str] = []

    def refuse(route: Route) -> None:
        asked = route.request.post_data or ""
        if "watch-news.data" in asked:
            route.abort()  # the page's other tick would be an answer
        elif "live-delta.data" not in asked:
            route.continue_()
        elif len(answers) < 2:
            answers.append("500")
            route.fulfill(status=500, body="")
        else:
            answers.append("silence")
            route.abort()

    page.route("**/_dash-update-component*", refuse)
    screen.until(
        lambda: answers[:3] == ["500", "500", "silence"],
        "errors and silence are met",
        lambda: page.clock.run_for(500),
    )
    silence = page.locator("#silence")
    screen.until(
        lambda: "No answer from the desk's server since" in silence.inner_text(),
        "silence is told",
        lambda: page.clock.run_for(500),
    )
    page.unroute("**/_dash-update-component*")
    answered = len(screen.answers)
    screen.until(
        lambda: len(screen.answers) > answered,
        "the desk is asked again",
        lambda: page.clock.run_for(500),
    )
    expect(silence).to_be_hidden()


def test_a_server_that_is_gone_is_said_within_four_seconds_with_the_time_of_its_last_answer(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk, screen = start_desk(), open_screen(has_clock=True)
    page = screen.page
    pending: set[Any] = set()
    page.on("request", lambda request: pending.add(request))
    page.on("requestfinished", lambda request: pending.discard(request))
    page.on("requestfailed", lambda request: pending.discard(request))
    screen.open(desk.url)
    z = "getComputedStyle(document.querySelector('#live-z')).color"
    bright = page.evaluate(z)
    page.clock.run_for(1_000)
    screen.wait_for_answer("live-delta.data")
    # An answer to a question of before would say, rightly, that the server is there.
    screen.until(lambda: not pending, "every question is answered", lambda: page.evaluate("0"))
    page.route("**/_dash-update-component*", lambda route: route.abort())
    waited = 0
    while not page.is_visible("#silence"):
        page.clock.run_for(500)
        waited += 500
        assert waited <= 4_500, "a dead server looks alive"
    said = page.inner_text("#silence")
    moment = re.search(r"since (\d\d:\d\d:\d\d) UTC", said)
    assert moment, said
    assert page.evaluate(z) != bright
    expect(page.locator(".card-z h2 .cut")).to_have_text(f"z-score of {moment[1]}")
    expect(page.locator("#live-z-forming")).to_be_hidden()
    expect(page.locator("#live-verdict-late")).to_contain_text(f"are of {moment[1]} UTC")
    page.clock.run_for(7_000)
    assert moment[1] in page.inner_text("#silence"), "the time of the last answer moves"
    page.unroute("**/_dash-update-component*")
    screen.until(
        lambda: not page.is_visible("#silence"), "it is back", lambda: page.clock.run_for(500)
    )
    assert page.evaluate(z) == bright


def test_an_answer_without_content_is_an_answer(desk: Any, open_screen: Callable[..., Any]) -> None:
    screen = open_screen(has_clock=True)
    page = screen.page
    screen.open(desk.url)
    page.route("**/_dash-update-component*", lambda route: route.fulfill(status=204))
    for _ in range(12):
        page.clock.run_for(500)
        page.evaluate("() => fetch('/healthz').then(() => 0)")  # what was asked is answered
    assert len([status for _, status, _ in screen.answers if status == 204]) > 5
    assert not page.is_visible("#silence"), "nothing new is taken for a server that is gone"


def test_a_slow_server_is_given_longer_each_time_until_it_answers(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(has_clock=True)
    page = screen.page
    screen.open(desk.url)
    held: list[Route] = []

    def hold(route: Route) -> None:
        is_tick = "live-delta.data" in (route.request.post_data or "")
        held.append(route) if is_tick else route.abort()

    page.route("**/_dash-update-component*", hold)
    for _ in range(60):
        page.clock.run_for(500)
    # Given up after 3, 6 and 12 s: every 3 s an answer that takes longer would never be heard.
    assert 3 <= len(held) <= 5
    assert page.is_visible("#silence")
    held[-1].continue_()
    expect(page.locator("#silence")).to_be_hidden()


def test_ages_go_on_between_answers_and_an_open_bar_ends(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk, screen = start_desk(), open_screen(has_clock=True)
    page = screen.page
    screen.open(desk.url)
    expect(page.locator("#live-z-forming")).to_be_visible()
    first = float(screen.text("live-feed-age").removesuffix(" s"))
    page.clock.run_for(5_000)  # the desk's own clock stands, and so do its answers
    later = float(screen.text("live-feed-age").removesuffix(" s"))
    assert later - first == pytest.approx(5.0, abs=1.1)
    # The bar after the newest closed one ends 40 s from here; a close is waited for 15 s.
    page.clock.run_for(60_000)
    expect(page.locator("#live-z-forming")).to_be_hidden()
    assert page.locator("#live-overlay .forming").count() > 0
    assert not page.locator("#live-overlay .forming").first.is_visible()
    expect(page.locator("#live-next-bar")).to_have_text("next bar is due")
    page.clock.run_for(60_000)  # of a recording's last bar it would be due for ever
    expect(page.locator("#live-next-bar")).to_have_text("")


def test_a_control_that_the_server_did_not_hear_says_so_and_is_asked_for_again(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(has_clock=True)
    page = screen.page
    screen.open(desk.url)
    page.route("**/_dash-update-component*", lambda route: route.abort())
    page.fill("#control-window", "77")
    page.press("#control-window", "Enter")
    field = page.locator("#control-window-field")
    expect(field).to_have_attribute("data-asked", "")
    screen.until(
        lambda: page.is_visible("#controls-asked"),
        "what is not on screen is told",
        lambda: page.clock.run_for(500),
    )
    assert "Window 77 asked for, not on screen yet." in page.inner_text("#controls-asked")
    page.clock.run_for(9_000)
    page.unroute("**/_dash-update-component*")
    wanted = minus(f"{api(desk, 'window=77')['zscore']:+.2f}")
    screen.until(
        lambda: screen.text("live-z") == wanted and not page.is_visible("#controls-asked"),
        "it is on screen",
        lambda: page.clock.run_for(500),
    )
    assert field.get_attribute("data-asked") is None
    assert "window=77" in page.url


def test_a_control_whose_value_cannot_be_had_goes_back_by_hand_and_by_itself(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(has_clock=True)
    page = screen.page
    screen.open(desk.url)

    def refuse(route: Route) -> None:
        """Every question is answered but those of controls and screen."""
        quick = "live-delta.data" in (route.request.post_data or "")
        route.continue_() if quick else route.fulfill(status=500, body="")

    page.route("**/_dash-update-component*", refuse)
    shown = page.locator("#control-timeframe input:checked")
    for by_hand in (True, False):
        page.locator("#control-timeframe input[value='5m']").check(force=True)
        expect(page.locator("#control-timeframe-field")).to_have_attribute("data-asked", "")
        expect(page.locator("html")).to_have_attribute("data-doubt", "")
        if by_hand:
            screen.until(
                lambda: page.is_visible("#controls-back"),
                "the way back is offered",
                lambda: page.clock.run_for(500),
            )
            page.click("#controls-back")
        screen.until(
            lambda: shown.get_attribute("value") == "1m",
            "the control is back",
            lambda: page.clock.run_for(500),
        )
        screen.until(
            lambda: page.locator("html").get_attribute("data-doubt") is None,
            "nothing is in doubt",
            lambda: page.clock.run_for(500),
        )


def test_numbers_go_grey_while_the_feed_is_cut(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    screen = open_screen().open(desk.url)
    z = "getComputedStyle(document.querySelector('#live-z')).color"
    bright = screen.page.evaluate(z)
    desk.state = "down"
    desk.report()
    expect(screen.page.locator("html")).to_have_attribute("data-feed", "cut")
    expect(screen.page.locator("#live-verdict")).to_be_hidden()
    expect(screen.page.locator("#live-verdict-cut")).to_contain_text("Can't say: nothing comes in")
    expect(screen.page).to_have_title(re.compile(r"^\(cut\) z "))
    grey = screen.page.evaluate(z)
    assert grey != bright
    record = "getComputedStyle(document.querySelector('#live-verdict-figures')).color"
    assert screen.page.evaluate(record) == grey, "what a trade earned stays bright"
    labels = "[...document.querySelectorAll('#live-overlay text')]"
    colours = screen.page.evaluate(f"{labels}.map(one => getComputedStyle(one).fill)")
    assert len(colours) > 8
    assert set(colours) == {grey}, "a chart's label stays bright"
    # A feed that has never said anything has no time either.
    screen.page.evaluate("pairdesk.clock.sync({frame_ms: null})")
    expect(screen.page.locator(".card-z h2 .cut")).to_have_text("z-score")
    desk.state = "live"
    desk.report()
    expect(screen.page.locator("html")).to_have_attribute("data-feed", "live")
    assert screen.page.evaluate(z) == bright
