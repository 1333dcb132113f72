"""The Live view as a user meets it, in a real browser over a real store."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.words import api, minus, number
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


def test_page_opens_with_the_api_s_numbers_and_asks_nobody_else(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    body = api(desk)
    assert number(screen.text("live-z")) == pytest.approx(body["zscore"], abs=0.006)
    assert number(screen.text("live-even")) == pytest.approx(body["break_even_z"], abs=0.006)
    assert float(screen.text("live-hedge")) == pytest.approx(body["hedge_ratio"]["ols"], abs=6e-4)
    assert minus(f"{body['zscore_provisional']:+.2f}") in screen.text("live-z-forming")
    assert screen.text("live-trades") == str(body["backtest"]["total_trades"])
    assert screen.text("live-badge") == "LIVE · BINANCE"
    assert screen.text("live-rate") == "412"
    assert screen.page.title() == f"z {screen.text('live-z')} · BTCUSDT/ETHUSDT · Pairdesk"
    assert screen.rows() == body["bars"]
    shown = screen.page.locator("#live-round-trips tr").count()
    assert shown > 0
    assert screen.complaints == []
    assert [url for url in screen.requests if not url.startswith((desk.url, "data:"))] == []
    assert not any("plotly.min" in url for url in screen.requests), "plotly is loaded twice"


def test_new_bar_arrives_as_a_small_delta_and_zoom_stays(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    rows = screen.rows()
    screen.plot(
        "Plotly.relayout(plot, {'xaxis.range': [plot.data.find(t => t.meta.rows === 'z').rows.x0,"
        " plot.data.find(t => t.meta.rows === 'z').rows.x0 + 7200000]}).then(() => 1)"
    )
    zoom = screen.plot("plot.layout.xaxis.range.map(moment => plot._fullLayout.xaxis.d2l(moment))")
    desk.append_bar(BTCUSDT=2e-4, ETHUSDT=-1e-4)
    screen.page.wait_for_function(
        "rows => document.querySelector('#live-pair-chart .js-plotly-plot')"
        ".data.find(trace => trace.meta.rows === 'z').rows.y.length === rows",
        arg=rows + 1,
    )
    screen.wait_for_answer("live-delta.data")
    carrying = [body for body in screen.deltas() if '"rows"' in body]
    assert len(carrying) == 1
    assert len(carrying[0].encode()) < 2_400, carrying[0]
    body = api(desk)
    expect(screen.page.locator("#live-z")).to_have_text(minus(f"{body['zscore']:+.2f}"))
    last = screen.plot("plot.data.find(trace => trace.meta.rows === 'z').rows.y.at(-1)")
    assert last == pytest.approx(body["zscore"], abs=6e-4)
    assert zoom == screen.plot(
        "plot.layout.xaxis.range.map(moment => plot._fullLayout.xaxis.d2l(moment))"
    )
    assert screen.complaints == []


def test_quiet_second_costs_next_to_nothing_and_a_hidden_tab_nothing(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(has_clock=True)
    screen.open(desk.url)
    screen.wait_for_answer("live-delta.data")
    screen.wait_for_answer("live-delta.data")
    screen.until(
        lambda: screen.count_answers("watch-news.data") > 1,
        "the page's own tick has told all",
        lambda: screen.page.wait_for_timeout(20),
    )
    for output in ("live-delta.data", "watch-news.data"):
        _, status, body = [one for one in screen.answers if one[0] == output][-1]
        assert status in (200, 204)
        assert len(body) < 100
    hide = (
        "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    screen.page.evaluate(hide % "true")
    screen.page.clock.run_for(2_000)  # what was under way has been asked
    asked = len(screen.requests)
    screen.page.clock.run_for(10_000)
    assert len(screen.requests) == asked, "the clock runs although nobody looks"
    screen.page.evaluate(hide % "false")
    screen.wait_for_answer("live-delta.data")


def test_link_reproduces_the_screen_and_back_returns_to_the_one_before(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    query = (
        "symbol_a=SOLUSDT&symbol_b=ETHUSDT&timeframe=1m"
        "&window=60&entry_z=1.5&exit_z=0.2&hedge=kalman"
    )
    screen = open_screen().open(f"{desk.url}/?{query}")
    page = screen.page
    expect(page.locator("#control-window")).to_have_value("60")
    expect(page.locator("#control-entry-z")).to_have_value("1.5")
    expect(page.locator("#control-symbol-a-input")).to_have_value("SOLUSDT")
    assert page.locator("#control-hedge input:checked").get_attribute("value") == "kalman"
    z = api(desk, query)["zscore"]
    expect(page.locator("#live-z")).to_have_text(minus(f"{z:+.2f}"))

    page.fill("#control-window", "80")
    page.press("#control-window", "Enter")
    changed = query.replace("window=60", "window=80")
    expect(page.locator("#live-z")).to_have_text(minus(f"{api(desk, changed)['zscore']:+.2f}"))
    assert page.url == f"{desk.url}/?{changed}"

    page.click("#control-swap")
    swapped = api(desk, changed.replace("_a=SOL", "_a=ETH").replace("_b=ETH", "_b=SOL"))
    expect(page.locator("#live-z")).to_have_text(minus(f"{swapped['zscore']:+.2f}"))
    page.wait_for_url("**symbol_a=ETHUSDT*")  # the screen comes first, and one goes back from here

    page.go_back()
    page.go_back()
    expect(page.locator("#control-window")).to_have_value("60")
    expect(page.locator("#live-z")).to_have_text(minus(f"{z:+.2f}"))
    assert page.url == f"{desk.url}/?{query}"
    assert screen.complaints == []


def test_bad_link_opens_with_defaults_and_says_what_was_not_used(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(f"{desk.url}/?window=5&symbol_a=NOPE&timeframe=7m&hedge=kalman")
    notice = screen.text("notices")
    assert "Window: must be a whole number from 10 to 2000" in notice
    assert "NOPE is not on this desk" in notice
    assert "Timeframe" in notice
    expect(screen.page.locator("#control-window")).to_have_value("120")
    assert screen.page.locator("#control-hedge input:checked").get_attribute("value") == "kalman"


def test_refused_value_is_marked_with_what_is_allowed_and_charts_stay(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    page, z, rows = screen.page, screen.text("live-z"), screen.rows()
    page.fill("#control-entry-z", "25")
    page.press("#control-entry-z", "Enter")
    message = page.locator("#control-entry-z-error")
    expect(message).to_have_text("Must be a number from 0.1 to 10")
    assert "bad" in (page.get_attribute("#control-entry-z-field", "class") or "").split()
    assert (screen.text("live-z"), screen.rows(), page.url) == (z, rows, f"{desk.url}/")
    page.fill("#control-entry-z", "1.9")
    page.press("#control-entry-z", "Enter")
    expect(message).to_be_empty()
    page.wait_for_url("**entry_z=1.9*")
    expect(page.locator("html")).not_to_have_attribute("data-doubt", "")
    bright = page.locator("#live-z").evaluate("one => getComputedStyle(one).color")
    page.click("#control-symbol-a-input")
    page.keyboard.type("ETH")
    page.keyboard.press("Enter")
    expect(page.locator("#control-symbol-a-error")).to_have_text("Must differ from leg B (ETHUSDT)")
    expect(page.locator("html")).to_have_attribute("data-doubt", "")
    expect(page.locator("#controls-words")).to_have_text(
        "The numbers are still those of BTCUSDT / ETHUSDT 1m."
    )
    # Numbers of another pair than the controls' are grey.
    expect(page.locator("#live-z")).not_to_have_css("color", bright)


def zscore_within(desk: Any, low: float, high: float) -> dict[str, Any]:
    """What the API says of a bar just stored, which a look that a tick began before lacks."""
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        found.append(api(desk, "entry_z=4"))
        return bool(low < found[-1]["zscore"] < high)

    wait_until(is_there, f"a z from {low} to {high}")
    return found[-1]


def test_entry_is_announced_once_and_not_again_after_a_reload_nor_while_it_is_held(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    screen = open_screen().open(f"{desk.url}/?entry_z=4")
    toast = screen.page.locator("#toast")
    expect(toast).to_be_hidden()
    desk.append_bar(BTCUSDT=0.03)
    zscore_within(desk, 4, math.inf)
    expect(toast).to_be_visible()
    expect(toast).to_contain_text("BTC sold, ETH bought")
    said = toast.inner_text()
    screen.page.locator("#toast button.btn-close").click()
    expect(toast).to_be_hidden()
    # Back across the threshold and beyond it again, held all the while: no news.
    desk.append_bar(BTCUSDT=-0.025)
    body = zscore_within(desk, 0.5, 4)
    expect(screen.page.locator("#live-z")).to_have_text(minus(f"{body['zscore']:+.2f}"))
    desk.append_bar(BTCUSDT=0.05)
    body = zscore_within(desk, 4, math.inf)
    assert body["backtest"]["trades"][-1]["exit_reason"] == "open"
    expect(screen.page.locator("#live-z")).to_have_text(minus(f"{body['zscore']:+.2f}"))
    expect(toast).to_be_hidden()
    screen.page.reload()
    screen.wait_for_charts()
    screen.wait_for_answer("live-delta.data")
    expect(toast).to_be_hidden()
    assert "entered at the close of" in said


def test_an_entry_of_more_than_ten_minutes_ago_is_no_news(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    desk.append_bar(BTCUSDT=0.03)
    screen = open_screen()
    for minutes, told in ((11, 0), (9, 1)):
        desk.now_ms = desk.close_ms + minutes * 60_000
        desk.report()
        screen.open(f"{desk.url}/?entry_z=4")
        screen.wait_for_answer("live-delta.data")
        expect(screen.page.locator("#toast")).to_have_count(told)
        screen.page.evaluate("localStorage.clear()")  # it has not been here before


def test_theme_covers_charts_and_grid_and_is_remembered(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(color_scheme="light").open(desk.url)
    page = screen.page
    line_color = "plot.data.find(trace => trace.meta.rows === 'z').line.color"
    grid = "getComputedStyle(document.querySelector('.round-trips th')).backgroundColor"
    cell = grid.replace(" th'", " td'").replace("backgroundColor", "color")
    light = (screen.plot(line_color), page.evaluate(cell))
    rows = screen.rows()
    page.click("#theme-toggle")
    page.wait_for_function(
        "color => document.querySelector('#live-pair-chart .js-plotly-plot')"
        ".data.find(trace => trace.meta.rows === 'z').line.color !== color",
        arg=light[0],
    )
    dark = (screen.plot(line_color), page.evaluate(cell))
    assert dark[1] != light[1]
    assert screen.rows() == rows
    page.reload()
    screen.wait_for_charts()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert screen.plot(line_color) == dark[0]


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_no_screen_scrolls_sideways(
    desk: Any, open_screen: Callable[..., Any], width: int, height: int
) -> None:
    screen = open_screen(width, height).open(desk.url)
    assert screen.page.evaluate("document.documentElement.scrollWidth") <= width
    for component_id in ("live-pair-chart", "live-equity-chart", "live-round-trips", "live-z"):
        box = screen.page.locator(f"#{component_id}").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    assert screen.page.locator("#theme-toggle").is_visible()


def test_empty_desk_waits_in_words_and_fills_by_itself(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk(filled=False, source="simulated")
    screen = open_screen()
    screen.page.goto(desk.url)
    notices = screen.page.locator("#notices")
    expect(notices).to_contain_text("Waiting for the first bars")
    expect(notices).to_contain_text("Simulated market: no exchange answers here")
    assert screen.text("live-badge") == "SIMULATED"
    # Plotly's own paper is white, which in the dark is all that one would see.
    for chart in ("#live-pair-chart", "#live-equity-chart"):
        sheet = screen.page.locator(f"{chart} .main-svg").first
        expect(sheet).to_have_css("background-color", "rgba(0, 0, 0, 0)")
    desk.fill()
    screen.wait_for_charts()
    expect(notices).not_to_contain_text("Waiting")
    desk.state = "down"
    desk.report()
    expect(notices).to_contain_text("The feed is cut since")
    expect(notices).to_contain_text("connection refused")
    assert screen.complaints == []


def test_phone_on_its_side_shows_a_chart_and_a_finger_scrolls_over_it(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(844, 390, has_touch=True, is_mobile=True).open(desk.url)
    box = screen.page.locator("#live-pair-chart").bounding_box()
    assert box is not None
    assert box["y"] < 250, "no chart is in sight"
    assert screen.plot("plot.layout.dragmode") is False
    drag = screen.page.locator("#live-pair-chart .nsewdrag").first
    expect(drag).to_have_css("touch-action", "pan-y")
    assert screen.page.evaluate("document.documentElement.scrollWidth") <= 844


def test_first_load_is_below_a_megabyte_and_a_reload_sends_no_script_again(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(is_new=True)
    session = screen.page.context.new_cdp_session(screen.page)
    session.send("Network.enable")
    sent: list[float] = []
    session.on("Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"]))
    screen.open(desk.url)
    assert max(sent) > 300_000, "plotly has not been counted"
    assert sum(sent) < 1_000_000, f"{sum(sent):,.0f} bytes at first"
    sent.clear()
    screen.page.reload()
    screen.wait_for_charts()
    assert sum(sent) < 60_000, f"{sum(sent):,.0f} bytes again"
