"""Candles in place of lines: they are the API's bars, and belong to pair and timeframe."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

import pytest
from playwright.sync_api import expect

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

LEVELS = """leg => {
    const {xaxis, yaxis} = document.querySelector('#live-pair-chart .js-plotly-plot')._fullLayout;
    const candle = /M([\\d.]+) ([\\d.]+)V[\\d.]+M[\\d.]+ [\\d.]+V([\\d.]+)M[^M]*/g;
    return [...document.querySelectorAll(`#live-overlay path.candle.${leg}`)]
        .flatMap(path => [...path.getAttribute('d').matchAll(candle)])
        .map(([, x, ...ends]) => [Number(x), ...ends.map(y => yaxis.p2l(y - yaxis._offset))])
        .sort(([one], [other]) => one - other);
}"""
"""Place, high and low of each candle of a leg, from left to right, in the chart's per cent."""


def bars(desk: Any, symbol: str, start: float, timeframe: str = "1m") -> list[list[Any]]:
    query = f"symbol={symbol}&timeframe={timeframe}&start={start:.0f}&limit=5000"
    with urlopen(f"{desk.url}/api/bars?{query}") as answer:
        rows: list[list[Any]] = json.load(answer)["rows"]
    return rows


def test_candles_are_the_api_s_bars_and_go_on_with_the_newest(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    screen = open_screen().open(desk.url)
    page = screen.page
    page.click(".ranges button:text-is('1 h')")
    assert page.locator("path.candle").count() == 0
    page.click("[data-do=candles]")
    expect(page.locator("[data-do=candles]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#live-candles-note")).to_have_text("· candles of 1 min")
    width = "plot.data.find(trace => trace.meta.rows === 'a').line.width"
    page.wait_for_function(
        "() => document.querySelector('#live-pair-chart .js-plotly-plot')"
        ".data.find(trace => trace.meta.rows === 'a').line.width === 0"
    )
    for leg, symbol in (("a", "BTCUSDT"), ("b", "ETHUSDT")):
        drawn = page.evaluate(LEVELS, leg)
        base = screen.plot(
            f"plot.data.find(trace => trace.meta.rows === '{leg}').rows.customdata[0]"
        )
        stored = bars(desk, symbol, desk.close_ms - len(drawn) * 60_000)
        assert 55 <= len(drawn) <= 62
        for (_, high, low), row in zip(drawn, stored, strict=True):
            # A pixel's tenth of a chart that is three per cent high.
            assert high == pytest.approx(100 * (row[2] / base - 1), abs=0.01)
            assert low == pytest.approx(100 * (row[3] / base - 1), abs=0.01)

    page.click(".ranges button:text-is('all')")
    expect(page.locator("#live-candles-note")).to_have_text(re.compile("candles of (5|10|15) min"))
    page.click(".ranges button:text-is('1 h')")
    ends = [level for leg in "ab" for _, *levels in page.evaluate(LEVELS, leg) for level in levels]
    low, high = screen.plot("plot._fullLayout.yaxis.range")
    assert high - low < 1.3 * (max(ends) - min(ends)), "the axis keeps to candles out of view"
    desk.append_bar(BTCUSDT=0.004)
    top = bars(desk, "BTCUSDT", desk.close_ms - 60_000)[0][2]
    base = screen.plot("plot.data.find(trace => trace.meta.rows === 'a').rows.customdata[0]")
    page.wait_for_function(
        f"wanted => ({LEVELS})('a').some(([, high]) => Math.abs(high - wanted) < 0.01)",
        arg=100 * (top / base - 1),
    )

    # Another threshold keeps them, another pair has its own lines, and this one its candles again.
    page.fill("#control-entry-z", "1.7")
    page.press("#control-entry-z", "Enter")
    page.wait_for_url("**entry_z=1.7*")
    expect(page.locator("html")).not_to_have_attribute("data-doubt", "")
    expect(page.locator("path.candle").first).to_be_attached()
    page.click("#control-swap")
    expect(page.locator("path.candle")).to_have_count(0)
    expect(page.locator("[data-do=candles]")).to_have_attribute("aria-pressed", "false")
    assert screen.plot(width) > 0
    page.go_back()
    expect(page.locator("path.candle").first).to_be_attached()
    page.click("[data-do=candles]")
    expect(page.locator("path.candle")).to_have_count(0)
    page.wait_for_function(
        "() => document.querySelector('#live-pair-chart .js-plotly-plot')"
        ".data.find(trace => trace.meta.rows === 'a').line.width > 0"
    )
    assert screen.complaints == []
