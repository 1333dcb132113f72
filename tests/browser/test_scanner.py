"""The Scanner as a user meets it: a scan asked for, rows ordered, one opened, watched, saved."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from core.job_spec import read_job_spec
from core.settings import Settings
from ingest.analysis.scanning import scan_market
from ingest.analysis.work import Work
from ingest.store import jobs
from ingest.store.reader import Reader
from tests.browser.test_stillness import MOST_MOVED, WATCH, moved

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

BARS = 800
FOCUSED = """() => {
    const one = document.activeElement;
    const named = one.getAttribute("aria-label") || one.closest("label")?.firstChild.textContent;
    const column = one.getAttribute("col-id");
    const kind = one.getAttribute("role") === "gridcell" ? "cell" : "heading";
    return column ? `${kind} ${column}` : named || one.innerText.split("\\n")[0];
}"""
"""The name of what has the focus; in the grid its column."""
BY_TAB = [
    "Bars", "Thinner leg ≥, M/day", "q ≤", "Quarters median ≤", "Half-life ≤, bars", "Flags",
    "Find", "CSV ↓", "Scan now", "cell pair", "Open in Live", "Watch", "Trade on paper",
]  # fmt: skip
"""From the timeframes on; the grid is one stop, the pair that is chosen, before its deeds."""
ASKED = {"kind": "scan", "timeframe": "1m", "bars": BARS}


def ask_scan(desk: Any) -> None:
    with desk.writer.transaction() as tx:
        jobs.ask(tx, read_job_spec(ASKED, Settings()), "me", desk.now_ms)


def do_scan(desk: Any) -> None:
    """What the analyst's child does with the job that waits."""
    reader, spec = Reader(desk.database_url), read_job_spec(ASKED, Settings())
    with desk.writer.transaction() as tx:
        claimed = jobs.claim(tx, "scan", desk.now_ms)
    assert claimed is not None
    scan_market(Work(Settings(), reader, desk.writer, *claimed, spec))
    with desk.writer.transaction() as tx:
        jobs.finish(tx, *claimed, b"{}", "3 pairs", desk.now_ms)
    reader.close()


def api(desk: Any, path: str) -> Any:
    with urlopen(f"{desk.url}{path}") as answer:
        return json.load(answer)


def grid_rows(page: Page) -> Locator:
    """Rows that are filled in."""
    return page.locator("#scanner-grid .ag-row", has=page.locator("a"))


def shown(page: Page) -> list[str]:
    """Pairs from the top down: the grid's own order in the page is another."""
    rows: list[str] = grid_rows(page).evaluate_all(
        """rows => rows.sort((a, b) => a.getAttribute("row-index") - b.getAttribute("row-index"))
            .map(row => row.getAttribute("row-id"))"""
    )
    return rows


def header(page: Page, name: str) -> Locator:
    return page.locator(f"#scanner-grid .ag-header-cell[col-id={name}]")


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [f"{row['symbol_a']}/{row['symbol_b']}" for row in rows]


def tabbed(page: Page, key: str, times: int) -> list[str]:
    """What a key leads to, each time that it is pressed, by name."""
    led: list[str] = []
    for _ in range(times):
        page.keyboard.press(key)
        led.append(page.evaluate(FOCUSED))
    return led


def turn(page: Page) -> Callable[[], None]:
    """Give the page's events their turn."""
    return lambda: page.wait_for_timeout(20)


def test_a_scan_is_asked_for_read_and_its_pair_opened_with_the_same_p(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk, screen = start_desk(), open_screen()
    page = screen.page
    page.goto(f"{desk.url}/scanner")
    expect(page.locator("#scanner-verdict")).to_contain_text("Nothing is scanned yet.")
    page.get_by_role("button", name="1m", exact=True).click()
    page.get_by_role("textbox", name="Bars", exact=True).fill(str(BARS))
    page.get_by_role("textbox", name="Bars", exact=True).press("Enter")
    expect(page.locator("#scanner-universe")).to_contain_text("800 bars of 1m")
    page.get_by_role("button", name="Scan now").click()
    waiting = page.locator("#scanner-jobs")
    expect(waiting).to_contain_text("queued")
    page.get_by_role("button", name="Cancel").click()
    expect(waiting).to_contain_text("cancelled")
    page.get_by_role("button", name="Scan now").click()
    expect(waiting).to_contain_text("queued")
    do_scan(desk)
    desk.now_ms += 2_000

    page.get_by_role("button", name="Show thin pairs, too").click()
    query = f"timeframe=1m&bars={BARS}&min_quote_volume=0"
    expect(grid_rows(page)).to_have_count(3)
    rows = api(desk, f"/analytics/scan?{query}")["rows"]
    assert shown(page) == names(rows)
    by_z = api(desk, f"/analytics/scan?{query}&sort=zscore")["rows"]
    header(page, "zscore").click()
    expect(header(page, "zscore")).to_have_attribute("aria-sort", "descending")
    expect(page.locator("#scanner-pairs h2")).to_contain_text("by z")
    screen.until(lambda: shown(page) == names(by_z), "the largest z", turn(page))
    header(page, "zscore").focus()
    page.keyboard.press("Enter")
    expect(header(page, "zscore")).to_have_attribute("aria-sort", "ascending")
    screen.until(lambda: shown(page) == names(by_z[::-1]), "the smallest z", turn(page))

    with page.expect_download() as download:
        page.get_by_role("link", name="CSV ↓").click()
    with urlopen(f"{desk.url}/analytics/scan/pairs.csv?{query}&sort=zscore&order=asc") as answer:
        assert download.value.path().read_bytes() == answer.read()

    page.locator("#scanner-table h2").click()
    page.keyboard.press("ArrowDown")
    chosen = by_z[-1]
    expect(page.locator(".scan-chosen")).to_contain_text("p both over 1 scan")
    pair = f"{chosen['symbol_a'].removesuffix('USDT')} / {chosen['symbol_b'].removesuffix('USDT')}"
    page.get_by_role("button", name=f"Watch {pair}").click()
    expect(page.locator(".toast-desk")).to_contain_text("Watching")
    (rule,) = api(desk, "/api/rules")["rules"]
    assert (rule["symbol_a"], rule["symbol_b"]) == (chosen["symbol_a"], chosen["symbol_b"])
    assert (rule["timeframe"], rule["paper"]) == ("1m", False)
    assert screen.serious() == []
    page.get_by_role("button", name="1h", exact=True).focus()
    assert tabbed(page, "Tab", len(BY_TAB)) == BY_TAB
    back = ["Watch", "Open in Live", "cell pair", "heading pair", *BY_TAB[8::-1]]
    assert tabbed(page, "Shift+Tab", len(back)) == back

    # The next scan takes neither the order away nor the choice.
    ask_scan(desk)
    do_scan(desk)
    desk.now_ms += 2_000
    expect(page.locator(".scan-chosen")).to_contain_text("p both over 2 scans")
    assert shown(page) == names(by_z[::-1])
    selected = page.locator("#scanner-grid .ag-row-selected")
    expect(selected).to_have_attribute("row-id", names([chosen])[0])

    page.locator("#scanner-table h2").click()
    page.keyboard.press("Enter")
    page.wait_for_url("**/?*since=*")
    asked = {name: value[0] for name, value in parse_qs(urlsplit(page.url).query).items()}
    own = api(desk, f"/analytics/pair?{urlsplit(page.url).query}&points=0")
    assert (asked["symbol_a"], asked["symbol_b"]) == (chosen["symbol_a"], chosen["symbol_b"])
    assert own["cointegration"]["pvalue"] == pytest.approx(chosen["pvalue"], rel=1e-9)

    page.go_back()  # to what was asked for, in its order
    expect(selected).to_have_attribute("row-id", names([chosen])[0])
    expect(header(page, "zscore")).to_have_attribute("aria-sort", "ascending")
    assert shown(page) == names(by_z[::-1])
    assert [one for one in screen.complaints if "favicon" not in one] == []


def test_a_phone_shows_the_whole_of_it_without_sliding_sideways(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk, screen = start_desk(), open_screen(390, 844)
    ask_scan(desk)
    do_scan(desk)
    page = screen.page
    lost: list[Route] = []

    def lose_the_first_block(route: Route) -> None:
        is_first = "scanner-block.data" in (route.request.post_data or "") and not lost
        if is_first:
            lost.append(route)
            route.abort()
        else:
            route.fallback()

    page.add_init_script(WATCH)
    page.route("**/_dash-update-component", lose_the_first_block)
    page.goto(f"{desk.url}/scanner")
    page.get_by_role("button", name="1m", exact=True).click()
    page.get_by_role("textbox", name="Bars", exact=True).fill(str(BARS))
    page.get_by_label("Thinner leg").fill("0")
    page.get_by_label("Thinner leg").press("Enter")
    expect(grid_rows(page)).to_have_count(3)  # it was asked for again
    assert len(lost) == 1
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert screen.serious_in_both_themes() == []

    page.reload()  # what was asked for is kept, and nothing moves under it
    expect(grid_rows(page)).to_have_count(3)
    assert sum(value for value, _ in moved(screen)) < MOST_MOVED, moved(screen)
