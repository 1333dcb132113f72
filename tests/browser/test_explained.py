"""What a number is and where it comes from, asked on the page itself."""

import json
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.request import urlopen

import pytest
from playwright.sync_api import expect

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]
Z = "plot.data.find(trace => trace.meta.rows === 'z').rows"


def api(desk: Any, path: str) -> dict[str, Any]:
    with urlopen(f"{desk.url}/analytics/pair{path}") as answer:
        body: dict[str, Any] = json.load(answer)
    return body


def api_ms(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1_000)


def value(words: str) -> float:
    return float(words.replace("−", "-"))


def click_bar(screen: Any, row: int) -> int:
    """Click the z chart at a bar; returns its open time."""
    x, y, time_ms = screen.plot(
        f"(() => {{ const z = {Z}, layout = plot._fullLayout, time = z.x0 + {row} * z.dx;"
        " const box = plot.getBoundingClientRect();"
        " return [box.x + layout.xaxis._offset + layout.xaxis.l2p(time),"
        " box.y + layout.yaxis3._offset + layout.yaxis3._length / 2, time]; })()"
    )
    screen.page.mouse.click(x, y)
    return int(time_ms)


def shown(screen: Any) -> dict[str, str]:
    """Numbers of the open panel by their words."""
    pairs = screen.page.locator("#live-explain dl > div").evaluate_all(
        "lines => lines.map(line => [line.children[0].firstChild.data, line.children[1].innerText])"
    )
    return dict(pairs)


@pytest.mark.parametrize("hedge", ["ols", "kalman"])
def test_click_on_the_z_chart_shows_the_numbers_that_make_that_z(
    desk: Any, open_screen: Callable[..., Any], hedge: str
) -> None:
    screen = open_screen().open(f"{desk.url}/?hedge={hedge}&window=60&hedge_window=200")
    # Close enough that a pixel is less than a bar.
    screen.plot(f"pairdesk.span.show(plot, {Z}.x0 + 400 * {Z}.dx, {Z}.x0 + 500 * {Z}.dx)")
    time_ms = click_bar(screen, 430)
    panel = screen.page.locator("#live-explain")
    expect(panel.locator("dl")).to_be_visible()
    told = api(desk, f"/explain?hedge={hedge}&window=60&hedge_window=200&bars=4320&time={time_ms}")
    numbers = shown(screen)
    assert value(numbers["z = (s − mean) / σ"]) == pytest.approx(told["zscore"], abs=6e-5)
    for words, name in (("β", "hedge_ratio"), ("α", "intercept"), ("mean of s", "spread_mean")):
        assert value(numbers[words]) == pytest.approx(told[name], rel=1e-5)
    parts = [
        value(numbers[words]) for words in ("s = ln A − α − β ln B", "mean of s", "σ of the same")
    ]
    assert (parts[0] - parts[1]) / parts[2] == pytest.approx(told["zscore"], rel=1e-3)
    assert screen.plot(f"{Z}.y[430]") == pytest.approx(told["zscore"], abs=6e-4)
    assert "60 rows" in panel.inner_text()
    assert screen.page.locator("#live-picked line").count() == 1
    assert screen.complaints == []


def test_row_for_a_spreadsheet_makes_the_same_z_from_its_own_numbers(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(permissions=["clipboard-read", "clipboard-write"]).open(desk.url)
    page = screen.page
    time_ms = click_bar(screen, 600)
    page.click("#live-explain button:has-text('copy row')")
    expect(page.locator("#live-explain button:has-text('copied')")).to_be_visible()
    heading, row = page.evaluate("navigator.clipboard.readText()").split("\n")
    cells = dict(zip(heading.split("\t"), row.split("\t"), strict=True))
    told = api(desk, f"/explain?time={cells['time']}")
    assert abs(api_ms(told["time"]) - time_ms) <= 120_000, "another bar than the one clicked"
    formula = cells["by formula"]
    assert formula.startswith("=(LN(")
    found = eval(formula[1:], {"LN": math.log})
    assert found == pytest.approx(told["zscore"], rel=1e-9)
    assert float(cells["zscore"]) == told["zscore"]
    assert float(cells["close_a"]) == told["rows"]["close_a"][-1]


def test_explanation_goes_by_keyboard_from_bar_to_bar_and_gives_the_focus_back(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    page = screen.page
    page.focus("#live-explain-newest")
    page.keyboard.press("Enter")
    panel = page.locator("#live-explain")
    expect(panel.locator("dl")).to_be_visible()
    newest = screen.plot(f"{Z}.y.at(-1)")
    assert value(shown(screen)["z = (s − mean) / σ"]) == pytest.approx(newest, abs=6e-4)
    heading = panel.locator("h2").inner_text()
    page.keyboard.press("ArrowLeft")
    expect(panel.locator("h2")).not_to_have_text(heading)
    before = screen.plot(f"{Z}.y.at(-2)")
    z = panel.locator("dl > div:has-text('z = (s') dd")
    screen.until(
        lambda: value(z.inner_text()) == pytest.approx(before, abs=6e-4),
        "the bar before",
        lambda: page.wait_for_timeout(20),
    )
    assert screen.serious("#live-explain") == []
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "live-explain-newest"
    assert page.locator("#live-picked line").count() == 0


def test_another_threshold_keeps_the_explained_bar_and_another_pair_closes_it(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    page = screen.page
    click_bar(screen, 700)
    panel = page.locator("#live-explain")
    expect(panel.locator("dl")).to_be_visible()
    heading, before = panel.locator("h2").inner_text(), shown(screen)["break-even z"]
    page.fill("#control-exit-z", "0")
    page.press("#control-exit-z", "Enter")
    cell = panel.locator("dl > div:has-text('break-even') dd")
    expect(cell).not_to_have_text(before)
    assert panel.locator("h2").inner_text() == heading
    page.locator("#control-timeframe input[value='5m']").check(force=True)
    expect(panel).to_be_hidden()


def test_click_on_a_round_trip_goes_there_and_its_marks_have_reasons(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    query = "entry_z=1&exit_z=0"
    screen = open_screen().open(f"{desk.url}/?{query}")
    page = screen.page
    trips = api(desk, f"?{query}")["backtest"]["trades"]
    trip = trips[1]
    assert trip["exit_reason"] == "revert"
    entry, left = (api_ms(trip[name]) for name in ("entry_time", "exit_time"))
    page.locator(f"#live-round-trips tr[data-row='{entry}']").click()
    expect(page.locator("#live-round-trips tr[aria-current]")).to_have_count(1)
    view = "plot.layout.xaxis.range.map(moment => plot._fullLayout.xaxis.d2l(moment))"
    begin, end = screen.plot(view)
    assert begin < entry < left < end
    assert end - begin < 4 * max(left - entry, 20 * 60_000), "no closer than before"
    # The decision stands a bar before the fill.
    first = screen.plot(f"{Z}.x0")
    click_bar(screen, (entry - first) // 60_000 - 1)
    expect(page.locator("#live-explain .decided")).to_contain_text("entered here")
    page.wait_for_timeout(400)  # two clicks in a row are a double click, which shows all again
    click_bar(screen, (left - first) // 60_000 - 1)
    decided = page.locator("#live-explain .decided:has-text('left here')")
    expect(decided).to_contain_text("z came back to the exit")
    pnl = page.locator(f"#live-round-trips tr[data-row='{entry}'] .col-pnl").inner_text()
    expect(decided).to_contain_text(f"net {pnl}")
    assert screen.complaints == []


def test_every_term_is_explained_where_it_stands_in_the_words_of_help(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    page = screen.page
    tip = page.locator("#term-tip")
    terms = page.locator("a.term")
    assert terms.count() > 20
    helping = page.context.new_page()
    helping.goto(f"{desk.url}/help")
    helped = helping.evaluate(
        "[...document.querySelectorAll('h2, h3')].map(one => ['#' + one.id,"
        " one.nextElementSibling.textContent])"
    )
    words = dict(helped)
    helping.close()
    page.bring_to_front()
    for number in range(terms.count()):
        anchor = (terms.nth(number).get_attribute("href") or "").removeprefix("/help")
        assert anchor in words, anchor
    needed = page.locator(".card-even a.term", has_text="needed z")
    needed.hover()
    expect(tip).to_be_visible()
    expect(tip).to_contain_text(words["#needed-z"][:60])
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.mouse.move(5, 5)
    page.keyboard.press("Tab")  # what is focused next is by keyboard
    needed.focus()
    expect(tip).to_be_visible()
    assert needed.get_attribute("aria-describedby") == "term-tip"
    assert screen.serious() == []
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    expect(opened.value.locator("#needed-z")).to_be_in_viewport()
    assert screen.complaints == []


def test_a_finger_s_first_touch_explains_and_leads_nowhere(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(390, 844, has_touch=True, is_mobile=True).open(desk.url)
    page = screen.page
    pages = len(page.context.pages)
    page.locator(".card-corr a.term").tap()
    tip = page.locator("#term-tip")
    expect(tip).to_be_visible()
    box = tip.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert len(page.context.pages) == pages
    page.locator("#live-verdict").tap()
    expect(tip).to_be_hidden()


def test_a_finger_on_the_z_chart_opens_its_numbers_below(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(390, 844, has_touch=True, is_mobile=True).open(desk.url)
    page = screen.page
    page.locator("#live-plots").scroll_into_view_if_needed()
    x, y = screen.plot(
        "(() => { const layout = plot._fullLayout, box = plot.getBoundingClientRect();"
        " return [box.x + layout.xaxis._offset + 100, box.y + layout.yaxis3._offset + 30]; })()"
    )
    page.touchscreen.tap(x, y)
    panel = page.locator("#live-explain")
    expect(panel.locator("dl")).to_be_visible()
    box = panel.bounding_box()
    assert box is not None
    assert (box["x"], round(box["y"] + box["height"])) == (0, 844)
    page.locator("#live-explain [aria-label=Close]").tap()
    expect(panel).to_be_hidden()
    assert screen.complaints == []
