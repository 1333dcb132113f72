"""Each number and line of Live beside the API's own."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from urllib.request import urlopen

import pytest
from playwright.sync_api import Route, expect

from app.views.live import callbacks
from tests.browser.words import api, minus, number

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


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


def test_verdict_says_the_api_s_own_numbers(desk: Any, open_screen: Callable[..., Any]) -> None:
    screen = open_screen()
    for query in ("", "entry_z=1.25&exit_z=0.25&fee_bps=0&slippage_bps=0", "symbol_a=SOLUSDT"):
        screen.open(f"{desk.url}/?{query}")
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
            never = f"Never: only z {needed:,.1f} would pay {cost:g} bp of costs; here it reached "
            assert f"({needed:.1f})" in words or words.startswith(never)
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
        "Plotly.relayout(plot, {'xaxis.range': [plot.data.find(t => t.meta.rows === 'z').rows.x0,"
        " plot.data.find(t => t.meta.rows === 'z').rows.x0 + 36000000]}).then(() => 1)"
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
    with urlopen(f"{desk.url}/analytics/pair/placebo?runs={callbacks.RUNS}") as answer:
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
