"""Alerts as a user meets them: toasts on every view, and the view of rules and what they found."""

import csv
import io
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.watched import Analysed, Watched
from tests.browser.watched import analysed as analysed
from tests.browser.watched import watched as watched
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


def tab(page: Page, url: str) -> Page:
    """Another tab of the same browser, at the desk and told what is so far."""
    other = page.context.new_page()
    other.goto(url)
    expect(other.locator("#alerts-watchlist h2")).to_be_visible()
    return other


def test_an_alert_is_told_once_in_each_tab_and_not_again_after_a_reload(
    analysed: Analysed, open_screen: Callable[..., Any]
) -> None:
    """From the bar to the toast with the process that judges; at the second tick at the latest."""
    rule_id = analysed.rule()
    analysed.close()
    wait_until(lambda: analysed.reader.decisions(rule_id, limit=2), "the analyst judges")
    screen = open_screen()
    url = f"{analysed.desk.url}/alerts"
    screen.page.goto(url)
    expect(screen.page.locator("#alerts-watchlist tbody tr")).to_have_count(1)
    second = tab(screen.page, url)
    expect(second.locator("#alerts-watchlist tbody tr")).to_have_count(1)
    screen.page.bring_to_front()
    analysed.close(BTCUSDT=0.03)
    wait = partial(screen.page.wait_for_timeout, 20)
    screen.until(analysed.reader.alerts, "it is recorded", wait)
    ticks = screen.count_answers("watch-news")
    screen.until(lambda: screen.page.locator("#toast").count(), "the toast", wait)
    # One may have been on its way, and the next but one look at the store is a new one.
    assert screen.count_answers("watch-news") <= ticks + 3
    for page in (screen.page, second):
        page.bring_to_front()
        expect(page.locator("#toast")).to_contain_text("BTC / ETH 1m fired at +")
        expect(page.locator("#toast")).to_contain_text("sell BTC, buy ETH")
        expect(page.locator("#firing-count")).to_have_text("1")
        assert page.locator("#toast").count() == 1
    second.locator("#toast .btn-close").click()
    for page in (screen.page, second):
        expect(page.locator("#toast")).to_have_count(0)  # closed in one, closed in all
        page.reload()
        expect(page.locator("#firing-count")).to_have_text("1")
        expect(page.locator("#toast")).to_have_count(0)
    expect(screen.page).to_have_title("(1) Alerts · Pairdesk")
    assert screen.complaints == []


def test_the_page_asks_sooner_in_the_seconds_in_which_what_closed_is_judged(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    """Else half a second more goes by on the average until a toast."""
    page = open_screen(has_clock=True).page
    page.goto(f"{desk.url}/alerts")
    expect(page.locator("#alerts-watchlist h2")).to_be_visible()
    page.evaluate(
        """() => {
            window.beats = [];
            pairdesk.live = { beat: () => beats.push(pairdesk.clock.now()) };
        }"""
    )
    page.clock.run_for(130_000)  # the first minute may still be the browser's own
    paces = [(begin % 60_000, end - begin) for begin, end in pairwise(page.evaluate("beats")[-80:])]
    sooner = [pause for past, pause in paces if past < 3_000]
    usual = [pause for past, pause in paces if 3_000 <= past < 58_500]
    assert len(sooner) >= 9
    assert len(usual) >= 50
    assert sooner == pytest.approx([350.0] * len(sooner), abs=40)
    assert usual == pytest.approx([1_000.0] * len(usual), abs=40)


def test_what_was_seen_leaves_firing_now_and_the_record_says_by_whom(
    watched: Watched, open_screen: Callable[..., Any]
) -> None:
    watched.rule()
    watched.close()
    watched.close(BTCUSDT=0.03)
    screen = open_screen()
    screen.page.goto(f"{watched.desk.url}/alerts")
    card = screen.page.locator(".firing-card")
    expect(card).to_contain_text("sell BTC, buy ETH")
    card.get_by_role("button", name="Why").click()
    expect(screen.page.locator("#alerts-why li.on")).to_contain_text("fired")
    expect(screen.page.locator("#alerts-episode svg.episode")).to_be_visible()
    card.get_by_role("button", name="Acknowledge").click()
    expect(card).to_have_count(0)
    expect(screen.page.locator("#firing-count")).to_have_text("")
    expect(screen.page.locator("#alerts-watchlist tbody tr")).to_contain_text("firing, seen")
    (alert,) = watched.api("/api/alerts")["alerts"]
    assert alert["acknowledged_by"]
    screen.page.locator("#alerts-episode summary").click()
    screen.page.locator("#alerts-episode .menu button").first.click()
    expect(screen.page.locator("#alerts-watchlist tbody tr")).to_contain_text("muted until")
    assert watched.api("/api/rules")["rules"][0]["mute_until"]
    assert screen.complaints == []


def test_history_is_filtered_and_its_csv_is_the_api_s(
    watched: Watched, open_screen: Callable[..., Any]
) -> None:
    watched.rule()
    watched.rule(symbol_b="SOLUSDT")
    watched.close()
    watched.close(BTCUSDT=0.03)
    screen = open_screen()
    screen.page.goto(f"{watched.desk.url}/alerts")
    rows = screen.page.locator("#alerts-history tbody tr")
    expect(rows).to_have_count(2)
    screen.page.select_option("#alerts-history select", "BTCUSDT/SOLUSDT")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("BTC / SOL")
    with screen.page.expect_download() as saved:
        screen.page.get_by_role("link", name="CSV").click()
    table = list(csv.DictReader(io.StringIO(saved.value.path().read_text())))
    (alert,) = watched.api("/api/alerts?symbol_a=BTCUSDT&symbol_b=SOLUSDT")["alerts"]
    assert len(table) == 1
    for name in ("id", "direction", "z_at_start", "words"):
        assert table[0][name] == str(alert[name])
    assert f"{table[0]['start_time'].replace(' ', 'T')}Z" == alert["start_time"]
    screen.page.get_by_role("button", name="data", exact=True).click()
    expect(screen.page.locator("#alerts-history .empty")).to_contain_text("Nothing like that")
    assert screen.complaints == []


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_alerts_and_health_are_there_for_everybody(
    watched: Watched, open_screen: Callable[..., Any], size: tuple[int, int]
) -> None:
    watched.rule(paper=True)
    watched.close()
    watched.close(BTCUSDT=0.03)
    screen = open_screen(*size)
    page = screen.page
    page.goto(f"{watched.desk.url}/alerts#alert-1")
    expect(page.locator("#alerts-episode svg.episode")).to_be_visible()
    expect(page.locator("#live-badge")).to_have_text("LIVE · BINANCE")
    assert screen.serious_in_both_themes() == []
    page.get_by_role("button", name="New rule").click()
    assert screen.serious_in_both_themes() == []
    page.keyboard.press("Escape")
    page.click("nav a:has-text('Health')")
    expect(page.locator("#health-verdict strong")).to_contain_text("normal.")
    assert screen.serious_in_both_themes() == []
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "the page itself scrolls sideways"
    assert screen.complaints == []


def test_health_says_that_the_feed_is_cut_and_empty_views_say_what_to_do(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk(filled=False)
    desk.state = "down"
    desk.report()
    screen = open_screen()
    screen.page.goto(f"{desk.url}/health")
    expect(screen.page.locator("#health-verdict strong")).to_contain_text("The feed is cut.")
    expect(screen.page.locator("#notices")).to_contain_text("The feed is cut")
    expect(screen.page.locator("#health-things tbody tr")).not_to_have_count(0)
    screen.page.click("nav a:has-text('Alerts')")
    expect(screen.page.locator("#alerts-watchlist")).to_contain_text("No rule yet")
    expect(screen.page.locator("#alerts-history")).to_contain_text("Nothing has fired yet")
    assert screen.complaints == []
