"""Alerts as a user meets them: toasts on every view, and the view of rules and what they found."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page, expect

from ingest.analysis.evaluation import Evaluation
from ingest.store.reader import Reader

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

RULE = {"symbol_a": "BTCUSDT", "symbol_b": "ETHUSDT", "timeframe": "1m", "entry_z": 4}


class Watched:
    """A desk whose rules are judged as the analyst does, when the test says so."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk
        self.reader = Reader(desk.database_url)
        self._evaluation = Evaluation(self.reader, desk.writer, lambda: desk.now_ms)

    def api(self, path: str) -> Any:
        with urlopen(f"{self.desk.url}{path}") as answer:
            return json.load(answer)

    def rule(self, **changes: Any) -> int:
        body = json.dumps(RULE | changes).encode()
        headers = {"Content-Type": "application/json", "Origin": self.desk.url}
        with urlopen(Request(f"{self.desk.url}/api/rules", body, headers)) as answer:
            number: int = json.load(answer)["id"]
        return number

    def close(self, **moves: float) -> None:
        """Close a bar and judge it."""
        self.desk.append_bar(**moves)
        self._evaluation.look()


@pytest.fixture
def watched(start_desk: Callable[..., Any]) -> Iterator[Watched]:
    made = Watched(start_desk())
    yield made
    made.reader.close()


def tab(page: Page, url: str) -> Page:
    """Another tab of the same browser, at the desk and told what is so far."""
    other = page.context.new_page()
    other.goto(url)
    expect(other.locator("#alerts-watchlist h2")).to_be_visible()
    return other


def test_an_alert_is_told_once_in_each_tab_and_not_again_after_a_reload(
    watched: Watched, open_screen: Callable[..., Any]
) -> None:
    watched.rule()
    watched.close()
    screen = open_screen()
    url = f"{watched.desk.url}/alerts"
    screen.page.goto(url)
    expect(screen.page.locator("#alerts-watchlist tbody tr")).to_have_count(1)
    second = tab(screen.page, url)
    expect(second.locator("#alerts-watchlist tbody tr")).to_have_count(1)
    watched.close(BTCUSDT=0.03)
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


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_alerts_and_health_are_there_for_everybody(
    watched: Watched, open_screen: Callable[..., Any], theme: str, size: tuple[int, int]
) -> None:
    watched.rule(paper=True)
    watched.close()
    watched.close(BTCUSDT=0.03)
    screen = open_screen(*size, color_scheme=theme)
    page = screen.page
    page.goto(f"{watched.desk.url}/alerts#alert-1")
    expect(page.locator("#alerts-episode svg.episode")).to_be_visible()
    expect(page.locator("#live-badge")).to_have_text("LIVE · BINANCE")
    assert screen.serious() == []
    page.get_by_role("button", name="New rule").click()
    assert screen.serious() == []
    page.keyboard.press("Escape")
    page.click("nav a:has-text('Health')")
    expect(page.locator("#health-verdict strong")).to_contain_text("normal.")
    assert screen.serious() == []
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
