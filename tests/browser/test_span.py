"""What the linked charts show of time, and what is read under the pointer."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from app.views.text import time_text
from core.types import Origin
from ingest.store import market
from tests.browser.conftest import MINUTE
from tests.browser.words import api, minus
from tests.support.market import plain_bar
from tests.support.waiting import HANG_S

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

IN_VIEW = "plot._fullLayout.xaxis.range.map(moment => plot._fullLayout.xaxis.d2l(moment))"
NEWEST = (
    "(trace => trace.x0 + trace.dx * (trace.y.length - 1))"
    "(plot.data.find(t => t.meta.rows === 'z').rows)"
)
HOUR = 3_600_000


def width(screen: Any) -> float:
    begin, end = screen.plot(IN_VIEW)
    return float(end - begin)


def place(screen: Any, x: float, y: float) -> tuple[float, float]:
    """A place of the page: shares of the plots' width, of the z chart's height."""
    left, across, top, high = screen.plot(
        "(({xaxis, yaxis3}, {left, top}) => [left + xaxis._offset, xaxis._length,"
        " top + yaxis3._offset, yaxis3._length])(plot._fullLayout, plot.getBoundingClientRect())"
    )
    return left + x * across, top + y * high


def minutes_of(words: str) -> int:
    hours, minutes = words[-5:].split(":")
    return 60 * int(hours) + int(minutes)


def test_range_buttons_show_so_much_time_and_go_on_with_the_newest_bar(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    page = screen.page
    shown = page.locator(".ranges button:visible").all_inner_texts()
    assert shown == ["1 h", "6 h", "all"], "900 minutes have room for no more"
    page.click(".ranges button:text-is('1 h')")
    assert width(screen) == pytest.approx(HOUR, abs=1)
    # Tests before this one may have let bars close on the desk that they share.
    expect(page.locator("#live-span-words")).to_contain_text(f"of {screen.rows():,} bars")
    newest = screen.plot(NEWEST)
    assert screen.plot(IN_VIEW)[1] >= newest
    desk.append_bar(BTCUSDT=1e-4)
    page.wait_for_function(
        "then => { const plot = document.querySelector('#live-pair-chart .js-plotly-plot');"
        f" return {NEWEST} > then }}",
        arg=newest,
    )
    assert width(screen) == pytest.approx(HOUR, abs=1)
    assert screen.plot(f"{IN_VIEW}[1] - {NEWEST}") >= 0, "the newest bar has left the view"
    page.click("[data-do=follow]")
    before = screen.plot(IN_VIEW)
    desk.append_bar(BTCUSDT=1e-4)
    page.wait_for_function(
        "then => { const plot = document.querySelector('#live-pair-chart .js-plotly-plot');"
        f" return {NEWEST} > then }}",
        arg=newest + MINUTE,
    )
    assert screen.plot(IN_VIEW) == before, "what was fixed has moved"
    page.click(".ranges button:text-is('all')")
    first = screen.plot("plot.data.find(t => t.meta.rows === 'z').rows.x0")
    assert screen.plot(IN_VIEW)[0] <= first
    expect(page.locator("[data-do=follow]")).to_have_attribute("aria-pressed", "true")
    assert screen.complaints == []


def test_zoom_outlives_thirty_bars_whole_screens_theme_and_hedge(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    screen = open_screen(has_clock=True)
    page = screen.page
    query = "bars=560"  # of so many rows the oldest 128 leave at the 26th bar: a whole screen
    screen.open(f"{desk.url}/?{query}")
    z = "plot.data.find(t => t.meta.rows === 'z').rows"
    screen.plot(f"pairdesk.span.show(plot, {z}.x0 + 18e6, {z}.x0 + 25e6)")
    zoom = pytest.approx(screen.plot(IN_VIEW), abs=1)
    screens = screen.count_answers("live-screen.data")

    def meet(condition: Callable[[], bool], what: str) -> None:
        screen.until(condition, what, lambda: page.wait_for_timeout(20))
        assert screen.plot(IN_VIEW) == zoom, f"zoom is lost: {what}"

    for number in range(30):
        newest = screen.plot(NEWEST)
        desk.append_bar(BTCUSDT=1e-4)
        page.clock.run_for(1_000)
        meet(lambda newest=newest: screen.plot(NEWEST) > newest, f"bar {number} is drawn")
    assert screen.count_answers("live-screen.data") == screens + 1
    ink = "plot._fullLayout.font.color"
    was = screen.plot(ink)
    page.keyboard.press("d")
    meet(lambda: screen.plot(ink) != was, "another theme is drawn")
    page.keyboard.press("h")
    kalman = pytest.approx(api(desk, f"{query}&hedge=kalman")["zscore"], abs=6e-4)
    meet(lambda: screen.plot(f"{z}.y.at(-1)") == kalman, "another hedge is drawn")
    assert screen.complaints == []


def test_wheel_zooms_around_the_pointer_and_never_past_the_rows(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    page = screen.page
    whole = width(screen)
    x, y = place(screen, 0.5, 0.5)
    page.mouse.move(x, y)
    under = screen.plot(
        f"plot._fullLayout.xaxis.p2l({x} - plot.getBoundingClientRect().left"
        " - plot._fullLayout.xaxis._offset)"
    )
    page.mouse.wheel(0, -300)
    page.wait_for_function(
        "whole => { const plot = document.querySelector('#live-pair-chart .js-plotly-plot');"
        f" const [from, to] = {IN_VIEW}; return to - from < 0.8 * whole }}",
        arg=whole,
    )
    after = screen.plot(
        f"plot._fullLayout.xaxis.p2l({x} - plot.getBoundingClientRect().left"
        " - plot._fullLayout.xaxis._offset)"
    )
    assert after == pytest.approx(under, abs=0.01 * whole), "it zoomed around another place"
    for _ in range(12):
        page.mouse.wheel(0, -500)
        page.wait_for_timeout(20)
    assert width(screen) >= 20 * MINUTE - 1, "fewer bars than can be read"
    for _ in range(20):
        page.mouse.wheel(0, 500)
        page.wait_for_timeout(20)
    screen.until(
        lambda: width(screen) >= 0.99 * whole,
        "the whole in view again",
        lambda: page.wait_for_timeout(20),
    )
    assert width(screen) <= 1.01 * whole
    assert screen.complaints == []


def test_two_fingers_zoom(desk: Any, open_screen: Callable[..., Any]) -> None:
    screen = open_screen(390, 844, has_touch=True, is_mobile=True).open(desk.url)
    whole = width(screen)
    # Sent as the page gets them: which gestures a browser keeps to itself is its own affair.
    send = """([kind, apart]) => {
        const target = document.querySelector('#live-pair-chart .nsewdrag');
        const {left, top, width, height} = target.getBoundingClientRect();
        [-1, 1].forEach((sign, id) => target.dispatchEvent(new PointerEvent(kind, {
            pointerId: id + 1, pointerType: 'touch', bubbles: true,
            clientX: left + width / 2 + sign * apart, clientY: top + height / 2})));
    }"""
    screen.page.evaluate(send, ["pointerdown", 20])
    for apart in (30, 40, 60, 80):
        screen.page.evaluate(send, ["pointermove", apart])
    screen.page.evaluate(send, ["pointerup", 80])
    screen.until(
        lambda: width(screen) < 0.6 * whole,
        "less time in view",
        lambda: screen.page.wait_for_timeout(20),
    )
    assert screen.complaints == []


def test_crosshair_reads_the_bar_under_the_pointer_in_every_caption(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    page = screen.page
    row = 700
    x = screen.plot(
        "(rows => plot.getBoundingClientRect().left + plot._fullLayout.xaxis._offset"
        f" + plot._fullLayout.xaxis.l2p(rows.x0 + {row} * rows.dx))"
        "(plot.data.find(t => t.meta.rows === 'z').rows)"
    )
    _, y = place(screen, 0.5, 0.5)
    page.mouse.move(x, y)
    value = {
        name: screen.plot(f"plot.data.find(t => t.meta.rows === '{name}').rows.y[{row}]")
        for name in ("z", "spread", "mean", "ols", "a", "b")
    }
    price = screen.plot(f"plot.data.find(t => t.meta.rows === 'a').rows.customdata[{row}]")

    expect(page.locator("#live-reading-z")).to_contain_text(minus(f"z {value['z']:+.2f}"))
    expect(page.locator("#live-reading-spread")).to_have_text(
        minus(f"{value['spread']:+.2f} % · mean {value['mean']:+.2f} %")
    )
    expect(page.locator("#live-reading-hedge")).to_have_text(f"β {value['ols']:.4f}")
    expect(page.locator("#live-reading-price")).to_contain_text(f"BTCUSDT {price:,.1f}")
    assert page.locator("#live-crosshair path").count() == 1
    page.mouse.move(5, 5)
    expect(page.locator("#live-reading-z")).to_have_text("")
    assert page.locator("#live-crosshair path").count() == 0
    page.focus("#live-plots")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    last = screen.plot("plot.data.find(t => t.meta.rows === 'z').rows.y.at(-3)")
    expect(page.locator("#live-reading-z")).to_contain_text(minus(f"z {last:+.2f}"))
    page.keyboard.press("Escape")
    expect(page.locator("#live-reading-z")).to_have_text("")
    assert screen.complaints == []


def test_times_follow_the_reader_s_own_clock_and_are_utc_until_he_says_so(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen(timezone_id="Asia/Kolkata").open(desk.url)
    page = screen.page
    x, y = place(screen, 0.5, 0.5)
    page.mouse.move(x, y)
    label = page.locator("#live-crosshair text")
    utc = label.text_content()
    page.click("[data-do=zone]")
    expect(page.locator("[data-do=zone]")).to_have_text("UTC+5:30")
    page.mouse.move(x, y)
    own = label.text_content()
    assert (minutes_of(own) - minutes_of(utc)) % 1_440 == 330
    ticks = screen.plot(
        "plot._fullLayout.xaxis.tickvals.map((at, i) => [at, plot._fullLayout.xaxis.ticktext[i]])"
    )
    assert len(ticks) >= 4
    for moment, words in ticks:
        minutes = (moment // MINUTE + 330) % 1_440
        assert words.startswith(f"{minutes // 60:02}:{minutes % 60:02}"), (moment, words)
    page.reload()
    screen.wait_for_charts()
    expect(page.locator("[data-do=zone]")).to_have_text("UTC+5:30")


def test_a_hole_is_hatched_over_all_charts_and_says_what_is_missing(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk(filled=False)
    desk.fill(hole=range(860, 868))
    screen = open_screen().open(desk.url)
    expect(screen.page.locator("#live-overlay .hole")).to_have_count(1)
    expect(screen.page.locator("#live-overlay text:has-text('missing')")).to_have_text(
        "8 bars missing"
    )
    expect(screen.page.locator("#live-overlay text:has-text('needed, ')")).to_have_count(0)


def test_the_time_since_a_leg_has_stopped_is_hatched_and_says_so(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk, still = start_desk(), 30
    last = desk.closes["ETHUSDT"][-still - 1]
    first_ms = desk.close_ms - still * MINUTE
    bars = [
        plain_bar(first_ms + row * MINUTE, last, last)._replace(
            volume=0.0, quote_volume=0.0, trade_count=0, taker_buy_volume=0.0
        )
        for row in range(still)
    ]
    with desk.writer.transaction() as tx:
        market.upsert_bars(tx, desk.symbol_ids["ETHUSDT"], MINUTE, bars, Origin.TRADES)
    screen = open_screen()
    screen.page.goto(desk.url)
    hatched = screen.page.locator("#live-overlay .hole")
    expect(hatched).to_have_count(1)
    since = time_text(first_ms)
    said = screen.page.locator("#live-overlay text:has-text('has not traded')")
    expect(said).to_have_text("ETH has not traded")
    expect(screen.page.locator("#live-overlay text:has-text('since')")).to_have_text(
        f"since {since}"
    )
    left, width = screen.page.evaluate(
        """moment => {
            const x = document.querySelector("#live-pair-chart .js-plotly-plot")._fullLayout.xaxis;
            return [x._offset + x.l2p(moment), x.l2p(x.d2l(x.range[1])) - x.l2p(moment)];
        }""",
        first_ms,
    )
    assert float(hatched.get_attribute("x") or 0) == pytest.approx(left, abs=0.1)
    assert 0.5 * width < float(hatched.get_attribute("width") or 0) <= width + 0.1
    expect(screen.page.locator("#live-verdict")).to_contain_text("ETHUSDT has not traded since")
    expect(screen.page.locator("#live-verdict-figures")).to_contain_text("No entry.")


def test_a_z_that_waits_for_bars_says_for_how_many_and_how_long(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk(filled=False)
    desk.fill(hole=range(825, 895))
    screen = open_screen()
    screen.page.goto(desk.url)
    # The hole may have no more than 60 of the fit's 600 rows: 10 more of its rows have to leave it.
    lacks = screen.page.locator("#live-overlay text:has-text('bars needed')")
    expect(lacks).to_have_text("540 of 600 bars needed, 530 here")
    expect(screen.page.locator("#live-overlay text:has-text('ready')")).to_have_text(
        "ready in 8.9 h"
    )
    expect(screen.page.locator("#live-z-note")).to_have_text("ready in 8.9 h")
    expect(screen.page.locator("#live-verdict")).to_contain_text("530 here; ready in 8.9 h.")


def test_the_picture_holds_what_is_on_screen(
    desk: Any, open_screen: Callable[..., Any], tmp_path: Path
) -> None:
    screen = open_screen().open(desk.url)
    screen.page.evaluate(
        """() => { window.written = [];
            const kind = CanvasRenderingContext2D.prototype, own = kind.fillText;
            kind.fillText = function (words, ...place) {
                written.push(words.trim());
                own.call(this, words, ...place);
            }; }"""
    )
    with screen.page.expect_download(timeout=HANG_S * 1_000) as download:
        screen.page.click("[data-do=picture]")
    assert download.value.suggested_filename == "BTCUSDT-ETHUSDT-1m.png"
    path = tmp_path / "charts.png"
    download.value.save_as(path)
    wide, high = struct.unpack(">II", path.read_bytes()[16:24])
    box = screen.page.locator("#live-plots").bounding_box()
    assert (wide, high) == pytest.approx((2 * box["width"], 2 * box["height"]), abs=2)
    written = set(screen.page.evaluate("window.written"))
    assert {"Prices", "Spread", "z-score", "Hedge ratio β"} <= written
    assert {"change since left edge ·", "BTCUSDT", "ETHUSDT", "▲"} <= written
    assert screen.complaints == []
