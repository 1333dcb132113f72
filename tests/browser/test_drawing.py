"""What a new bar has the charts do: drawn anew only where it moves them."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]
Z = "plot.data.find(trace => trace.meta.rows === 'z')"
COUNTED = """() => { const own = Plotly.redraw; window.drawnAnew = 0;
    Plotly.redraw = plot => { window.drawnAnew += plot.closest('#live-pair-chart') ? 1 : 0;
        return own(plot); }; }"""
PLACES = """() => [...document.querySelectorAll('#live-overlay path.tail')]
    .map(one => one.getAttribute('d').split('L').at(-1).split(' ').map(Number))"""


def add_bar(desk: Any, screen: Any) -> None:
    """Close a bar that changes no position, and wait until the page has its row."""
    rows = screen.rows()
    desk.append_bar(BTCUSDT=1e-5)
    screen.until(
        lambda: screen.rows() == rows + 1, "the row", lambda: screen.page.wait_for_timeout(20)
    )


def test_bar_of_less_than_a_pixel_is_drawn_over_the_charts_until_there_are_more(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    screen = open_screen().open(desk.url)
    width = screen.plot("plot._fullLayout.xaxis._length")
    assert width < screen.rows(), "a bar is wider than a pixel here"
    screen.page.evaluate(COUNTED)
    add_bar(desk, screen)
    assert screen.page.evaluate("window.drawnAnew") == 0
    x, y = screen.plot(
        f"(() => {{ const z = {Z}, layout = plot._fullLayout; return ["
        " layout.xaxis._offset + layout.xaxis.l2p(z.x0 + (z.y.length - 1) * z.dx),"
        " layout.yaxis3._offset + layout.yaxis3.l2p(z.y.at(-1))]; })()"
    )
    ends = screen.page.evaluate(PLACES)
    assert any(abs(end[0] - x) < 0.2 and abs(end[1] - y) < 0.2 for end in ends), (ends, x, y)
    for _ in range(2):
        add_bar(desk, screen)
    assert screen.page.evaluate("window.drawnAnew") == 1
    assert screen.plot(f"plot.calcdata[plot.data.indexOf({Z})].length") >= screen.rows() - 1
    assert screen.complaints == []


def test_bar_out_of_view_draws_nothing_and_is_there_when_one_looks(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    screen = open_screen().open(desk.url)
    screen.plot(f"pairdesk.span.show(plot, {Z}.x0 + 300 * {Z}.dx, {Z}.x0 + 400 * {Z}.dx)")
    screen.page.evaluate(COUNTED)
    for _ in range(3):
        add_bar(desk, screen)
    assert screen.page.evaluate("window.drawnAnew") == 0
    screen.page.click("#live-charts [data-range=all]")
    screen.until(
        lambda: screen.plot(f"plot.calcdata[plot.data.indexOf({Z})].length") == screen.rows(),
        "every row is drawn",
        lambda: screen.page.wait_for_timeout(20),
    )
    assert screen.complaints == []


def test_bar_far_beyond_what_is_in_view_is_drawn_at_once(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    screen = open_screen().open(desk.url)
    screen.page.evaluate(COUNTED)
    desk.append_bar(BTCUSDT=0.2)
    screen.until(
        lambda: screen.page.evaluate("window.drawnAnew") == 1,
        "the jump is drawn",
        lambda: screen.page.wait_for_timeout(20),
    )
    high = screen.plot("plot._fullLayout.yaxis.range[1]")
    assert high > 15, "the axis reaches the jump, in per cent"
