"""The Live view as a user meets it, in a real browser over a real store."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from urllib.request import urlopen

import pytest
from playwright.sync_api import Route, expect

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


def api(desk: Any, query: str = "") -> dict[str, Any]:
    with urlopen(f"{desk.url}/analytics/pair?{query}") as answer:
        body: dict[str, Any] = json.load(answer)
    return body


def minus(words: str) -> str:
    return words.replace("-", "−")


def number(words: str) -> float:
    """A number as the page writes it: with a true minus, commas and perhaps a unit."""
    return float(words.split(" ")[0].replace("−", "-").replace(",", ""))


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
        "Plotly.relayout(plot, {'xaxis.range': [plot.data.find(t => t.meta.rows === 'z').x0,"
        " plot.data.find(t => t.meta.rows === 'z').x0 + 7200000]}).then(() => 1)"
    )
    zoom = screen.plot("plot.layout.xaxis.range.map(moment => plot._fullLayout.xaxis.d2l(moment))")
    desk.append_bar(BTCUSDT=2e-4, ETHUSDT=-1e-4)
    screen.page.wait_for_function(
        "rows => document.querySelector('#live-pair-chart .js-plotly-plot')"
        ".data.find(trace => trace.meta.rows === 'z').y.length === rows",
        arg=rows + 1,
    )
    screen.wait_for_answer("live-delta.data")
    carrying = [body for body in screen.deltas() if '"rows"' in body]
    assert len(carrying) == 1
    assert len(carrying[0].encode()) < 2_400, carrying[0]
    body = api(desk)
    expect(screen.page.locator("#live-z")).to_have_text(minus(f"{body['zscore']:+.2f}"))
    last = screen.plot("plot.data.find(trace => trace.meta.rows === 'z').y.at(-1)")
    assert last == pytest.approx(body["zscore"], abs=6e-4)
    assert zoom == screen.plot(
        "plot.layout.xaxis.range.map(moment => plot._fullLayout.xaxis.d2l(moment))"
    )
    assert screen.complaints == []


def test_quiet_second_costs_next_to_nothing_and_a_hidden_tab_nothing(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen()
    screen.page.clock.install()
    screen.open(desk.url)
    screen.wait_for_answer("live-delta.data")
    screen.wait_for_answer("live-delta.data")
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


def test_entry_is_announced_once_and_not_again_after_a_reload_nor_while_it_is_held(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    screen = open_screen().open(f"{desk.url}/?entry_z=4")
    toast = screen.page.locator("#toast")
    expect(toast).to_be_hidden()
    desk.append_bar(BTCUSDT=0.03)
    assert api(desk, "entry_z=4")["zscore"] > 4
    expect(toast).to_be_visible()
    expect(toast).to_contain_text("BTC sold, ETH bought")
    said = toast.inner_text()
    screen.page.locator("#toast button.btn-close").click()
    expect(toast).to_be_hidden()
    # Back across the threshold and beyond it again, held all the while: no news.
    desk.append_bar(BTCUSDT=-0.025)
    expect(screen.page.locator("#live-z")).to_have_text(
        minus(f"{api(desk, 'entry_z=4')['zscore']:+.2f}")
    )
    body = api(desk, "entry_z=4")
    assert 0.5 < body["zscore"] < 4
    desk.append_bar(BTCUSDT=0.05)
    body = api(desk, "entry_z=4")
    assert body["zscore"] > 4
    assert body["backtest"]["trades"][-1]["exit_reason"] == "open"
    expect(screen.page.locator("#live-z")).to_have_text(minus(f"{body['zscore']:+.2f}"))
    expect(toast).to_be_hidden()
    screen.page.reload()
    screen.wait_for_charts()
    screen.wait_for_answer("live-delta.data")
    expect(toast).to_be_hidden()
    assert "entered at the close of" in said


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


@pytest.mark.parametrize("width", [1440, 390])
def test_times_below_the_charts_stand_upright_side_by_side(
    desk: Any, open_screen: Callable[..., Any], width: int
) -> None:
    screen = open_screen(width, 844).open(desk.url)
    for hours in (3, 15, 36, 72, 80, 90, 700):
        labels = screen.page.evaluate(
            """async hours => {
                const plot = document.querySelector('#live-pair-chart .js-plotly-plot');
                const axis = plot._fullLayout.xaxis, newest = axis.r2l(axis.range[1]);
                await Plotly.relayout(plot, {'xaxis.range': [newest - hours * 3.6e6, newest]});
                return [...plot.querySelectorAll('.xtick text')].map(label => {
                    const {left, right, top, bottom} = label.getBoundingClientRect();
                    return [left, right, bottom - top]})}""",
            hours,
        )
        assert len(labels) >= 2, hours
        assert all(right < left for (_, right, _), (left, _, _) in pairwise(sorted(labels))), hours
        assert all(height < 28 for _, _, height in labels), hours  # two lines


def test_large_sums_are_shown_whole(desk: Any, open_screen: Callable[..., Any]) -> None:
    screen = open_screen().open(f"{desk.url}/?notional=10000000&entry_z=1&exit_z=0")
    cut = """() => [
        ...document.querySelectorAll('.kv dd, .card-desk strong, .card-desk small'),
        ...document.querySelectorAll('.verdict strong, .verdict p span, .round-trips td')]
        .filter(cell => cell.scrollWidth > cell.clientWidth).map(cell => cell.innerText)"""
    assert screen.page.evaluate(cut) == []
    assert screen.page.inner_text("dt:has(#live-pnl-unit)") == "net PnL, USDT"
    assert screen.text("live-even-note") == "4 fills: 24 bp of notional"


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


def test_clock_runs_again_after_errors_and_silence(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen()
    page = screen.page
    page.clock.install()
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
    desk, screen = start_desk(), open_screen()
    page = screen.page
    page.clock.install()
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


def test_ages_go_on_between_answers_and_an_open_bar_ends(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk, screen = start_desk(), open_screen()
    page = screen.page
    page.clock.install()
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


def test_a_control_that_the_server_did_not_hear_says_so_and_is_asked_for_again(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen()
    page = screen.page
    page.clock.install()
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
    screen = open_screen()
    page = screen.page
    page.clock.install()
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


def test_verdict_says_the_api_s_own_numbers(desk: Any, open_screen: Callable[..., Any]) -> None:
    for query in ("", "entry_z=1.25&exit_z=0.25&fee_bps=0&slippage_bps=0", "symbol_a=SOLUSDT"):
        screen = open_screen().open(f"{desk.url}/?{query}")
        body = api(desk, query)
        record, trades = screen.text("live-verdict-figures"), body["backtest"]["total_trades"]
        net = 1e4 * body["backtest"]["avg_pnl"] / body["notional"]
        stderr = 1e4 * body["backtest"]["avg_pnl_stderr"] / body["notional"]
        verb = "earned" if net >= 0 else "lost"
        assert f"a trade {verb} {abs(net):.1f} ± {stderr:.1f} bp" in record
        assert f"{trades} trades in" in record
        cost = 2 * (body["fee_bps"] + body["slippage_bps"])
        assert f"after {cost:g} bp of costs" in record
        words, needed = screen.text("live-verdict"), body["required_z"]
        pays = needed is not None and needed <= body["entry_z"] and net > 0
        if needed is None:
            assert words.startswith(("Wait: too few trades", "Never: "))
        elif needed > body["entry_z"]:
            assert f"({needed:.1f})" in words
        assert pays == words.startswith(("Sell", "Buy", "Hold", "Leave", "Nothing"))


def test_hedge_control_offers_five_and_the_chart_draws_the_chosen_one_over_the_others(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    offered = screen.page.locator("#control-hedge label").all_inner_texts()
    assert offered == ["OLS", "Kalman", "ratio", "shrunk", "returns"]
    drawn = (
        "plot.data.filter(one => one.yaxis === 'y4' && one.line.width)"
        ".map(one => [one.meta.rows, one.line.color])"
    )
    for hedge in ("shrunk", "returns"):
        screen.page.locator(f"#control-hedge input[value={hedge}]").check(force=True)
        body = api(desk, f"hedge={hedge}")
        expect(screen.page.locator("#live-z")).to_have_text(minus(f"{body['zscore']:+.2f}"))
        expect(screen.page.locator("#live-hedge")).to_have_text(f"{body['hedge_ratio'][hedge]:.3f}")
        screen.page.wait_for_function(
            "hedge => document.querySelector('#live-pair-chart .js-plotly-plot').data"
            ".filter(one => one.yaxis === 'y4').at(-1).meta.rows === hedge",
            arg=hedge,
        )
        lines = screen.plot(drawn)
        assert len(lines) == 5
        assert len({color for _, color in lines[:-1]}) == 1
        assert lines[-1][0] == hedge
        assert lines[-1][1] != lines[0][1]
    assert screen.complaints == []


def test_labels_stand_apart_and_stay_on_the_second_screen_and_zoomed_in(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    boxes = """() => [...document.querySelectorAll('#live-overlay text')].map(label => {
        const {left, top, bottom} = label.getBoundingClientRect();
        return [label.textContent, Math.round(left), top, bottom]})"""

    def check(entry: str) -> None:
        labels = screen.page.evaluate(boxes)
        words = [label[0] for label in labels]
        assert {f"entry {entry}", f"entry −{entry}", screen.text("live-z")} <= set(words), words
        ordered = sorted((top, bottom) for _, _, top, bottom in labels)
        assert all(below[0] - above[0] >= 10 for above, below in pairwise(ordered)), ordered

    check("2.0")
    screen.page.fill("#control-entry-z", "1.5")
    screen.page.press("#control-entry-z", "Enter")
    expect(screen.page.locator("#live-verdict-figures")).to_contain_text("At 1.5")
    screen.page.wait_for_function(
        "() => [...document.querySelectorAll('#live-overlay text')]"
        ".some(label => label.textContent === 'entry 1.5')"
    )
    check("1.5")
    zoom = "plot.layout.xaxis.range.map(moment => plot._fullLayout.xaxis.d2l(moment))"
    screen.plot(
        "Plotly.relayout(plot, {'xaxis.range': [plot.data.find(t => t.meta.rows === 'z').x0,"
        " plot.data.find(t => t.meta.rows === 'z').x0 + 36000000]}).then(() => 1)"
    )
    before = screen.plot(zoom)
    check("1.5")
    screen.page.click("#theme-toggle")
    screen.page.locator("#control-hedge input[value=kalman]").check(force=True)
    expect(screen.page.locator("#live-hedge-word")).to_contain_text("a filter that forgets")
    screen.wait_for_answer("live-delta.data")
    assert screen.plot(zoom) == before
    check("1.5")


def test_what_noise_gives_comes_after_the_screen_beside_each_number(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen()
    waiting: list[Route] = []
    screen.page.route(
        "**/_dash-update-component*",
        lambda route: (
            waiting.append(route)
            if "live-noise.data" in (route.request.post_data or "")
            else route.continue_()
        ),
    )
    screen.open(desk.url)
    screen.wait_for_answer("live-expectancy.data")
    boxes = "[...document.querySelectorAll('.card-desk, .kv > div, .panel-desk')].map(one => {"
    boxes += " const {x, y, width, height} = one.getBoundingClientRect();"
    boxes += " return [x, y, width, height]})"
    before = screen.page.evaluate(boxes)
    assert screen.text("live-win-noise") == ""
    for route in waiting:
        route.continue_()
    expect(screen.page.locator("#live-win-noise")).not_to_be_empty()
    with urlopen(f"{desk.url}/analytics/pair/placebo?runs=200") as answer:
        figures = json.load(answer)["figures"]
    low, high = (100 * figures["win_rate"][part] for part in ("low", "high"))
    assert screen.text("live-win-noise") == f"{low:.0f}–{high:.0f} %"
    share = figures["beyond_entry"]
    assert screen.text("live-z-noise") == (
        f"|z| ≥ 2: {100 * share['value']:.0f} %"
        f" · noise {100 * share['low']:.0f}–{100 * share['high']:.0f}"
    )
    assert screen.page.evaluate(boxes) == before, "numbers moved when noise came"
    assert screen.complaints == []


def test_expectancy_chart_draws_the_api_s_halves_and_marks_entry_and_costs(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    screen.page.wait_for_function(
        "() => { const plot = document.querySelector('#live-expectancy-chart .js-plotly-plot');"
        " return plot && plot.data && plot.data.length === 4 }"
    )
    drawn = screen.page.evaluate(
        """() => { const plot = document.querySelector('#live-expectancy-chart .js-plotly-plot');
            return {lines: Object.fromEntries(plot.data.map(one => [one.name, [one.x, one.y]])),
                shapes: plot.layout.shapes.map(one => [one.x0, one.y0]),
                words: plot.layout.annotations.map(one => one.text)} }"""
    )
    with urlopen(f"{desk.url}/analytics/pair/expectancy") as answer:
        body = json.load(answer)
    told = {entry["entry_z"]: entry for entry in body["entries"]}
    count = 0
    for name in ("first_half", "second_half"):
        for entry_z, net in zip(*drawn["lines"][name], strict=True):
            half = told[entry_z][name]
            assert (net is None) == (half["trades"] < 5)
            if net is not None:
                count += 1
                assert net == pytest.approx(half["net"], abs=0.006)
    assert count > 4
    assert [2, 0] in drawn["shapes"]
    assert [0, -24] in drawn["shapes"]
    assert drawn["words"] == ["pays costs", "costs 24", "your entry"]


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
    assert screen.page.evaluate(z) != bright
    desk.state = "live"
    desk.report()
    expect(screen.page.locator("html")).to_have_attribute("data-feed", "live")
    assert screen.page.evaluate(z) == bright


def test_round_trips_are_sorted_by_keyboard_and_said_so(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(f"{desk.url}/?entry_z=1&exit_z=0")
    page = screen.page
    cells = page.locator("#live-round-trips td.col-pnl")
    assert cells.count() == len(api(desk, "entry_z=1&exit_z=0&points=0")["backtest"]["trades"])
    page.focus(".round-trips th.col-pnl button")
    for way in ("ascending", "descending"):
        page.keyboard.press("Enter")
        expect(page.locator(".round-trips th.col-pnl")).to_have_attribute("aria-sort", way)
        shown = [number(words) for words in cells.all_inner_texts()]
        assert shown == sorted(shown, reverse=way == "descending")
    page.keyboard.press("Tab")  # no trap: the next stop is outside the heading
    assert page.evaluate("document.activeElement.closest('th') === null")
    headings = page.locator(".round-trips th")
    tops = {round(box["y"]) for box in (one.bounding_box() for one in headings.all()) if box}
    assert len(tops) == 1


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
    screen = open_screen()
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
