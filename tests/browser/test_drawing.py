"""What a new bar has the charts do: drawn anew only where it moves them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from app.views.live.packed import packed
from tests.browser.words import api

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]
Z = "plot.data.find(trace => trace.meta.rows === 'z').rows"
NEWEST = f"({Z}.x0 + ({Z}.y.length - 1) * {Z}.dx)"
RANGE_END = "plot._fullLayout.xaxis.d2l(plot._fullLayout.xaxis.range[1])"
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


def test_bars_are_drawn_over_the_charts_as_long_as_there_is_room(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    # Without costs no level moves from bar to bar: that would draw the charts anew.
    screen = open_screen().open(f"{desk.url}/?fee_bps=0&slippage_bps=0")
    screen.page.evaluate(COUNTED)
    room = screen.plot(f"({RANGE_END} - {NEWEST}) / {Z}.dx")
    assert room > 5, "room for a few bars is left at the right"
    add_bar(desk, screen)
    x, y = screen.plot(
        f"(() => {{ const z = {Z}, layout = plot._fullLayout; return ["
        f" layout.xaxis._offset + layout.xaxis.l2p({NEWEST}),"
        " layout.yaxis3._offset + layout.yaxis3.l2p(z.y.at(-1))]; })()"
    )
    ends = screen.page.evaluate(PLACES)
    assert any(abs(end[0] - x) < 0.2 and abs(end[1] - y) < 0.2 for end in ends), (ends, x, y)
    band = screen.plot("plot.data.find(trace => trace.meta.rows === 'high').fillcolor")
    area = f"#live-overlay .area[fill='{band}']"
    fill = screen.page.locator(area).first.evaluate("one => getComputedStyle(one).fill")
    assert fill != "none", "the band goes on too"
    for _ in range(4):
        add_bar(desk, screen)
    assert screen.page.evaluate("window.drawnAnew") == 0
    assert screen.plot(f"{Z}.drawn.count") == screen.rows() - 5
    while screen.page.evaluate("window.drawnAnew") == 0:
        assert screen.plot(f"({NEWEST} - {RANGE_END}) / {Z}.dx") < 3, "it has left the charts"
        add_bar(desk, screen)
    assert screen.plot(f"{Z}.drawn.count") == screen.rows()
    assert screen.plot(f"{RANGE_END} - {NEWEST}") > 0, "there is room again"
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
        lambda: screen.plot(f"{Z}.drawn.count") == screen.rows(),
        "every row is drawn",
        lambda: screen.page.wait_for_timeout(20),
    )
    assert screen.complaints == []


def test_bar_far_beyond_what_is_in_view_is_drawn_at_once(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    query = "fee_bps=0&slippage_bps=0&entry_z=9"
    screen = open_screen().open(f"{desk.url}/?{query}")
    screen.page.evaluate(COUNTED)
    # Of both legs together: neither a mark nor a level that moves has the charts drawn.
    hedge_ratio = api(desk, query)["hedge_ratio"]["ols"]
    desk.append_bar(BTCUSDT=0.2, ETHUSDT=1.2 ** (1 / hedge_ratio) - 1)
    screen.until(
        lambda: screen.page.evaluate("window.drawnAnew") == 1,
        "the jump is drawn",
        lambda: screen.page.wait_for_timeout(20),
    )
    high = screen.plot("plot._fullLayout.yaxis.range[1]")
    assert high > 15, "the axis reaches the jump, in per cent"


def test_a_bar_of_an_open_position_goes_on_with_its_area_and_draws_nothing_anew(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    """Its row of the round trips changes with every bar; the charts were drawn anew for each."""
    desk = start_desk()
    screen = open_screen().open(f"{desk.url}/?fee_bps=0&slippage_bps=0")
    rows = screen.rows()
    desk.append_bar(BTCUSDT=0.03)
    screen.until(lambda: screen.rows() > rows, "it", lambda: screen.page.wait_for_timeout(20))
    add_bar(desk, screen)  # which fills the entry
    assert "short" in screen.text("live-signal")
    screen.page.evaluate(COUNTED)
    last = "#live-round-trips tr:first-child"
    before = screen.page.inner_text(last)
    lines = "[...document.querySelectorAll('#live-round-trips tr')]"
    count = screen.page.evaluate(f"{lines}.map(line => (line.isOld = true)).length")
    screen.page.focus(f"{last} button")
    add_bar(desk, screen)
    add_bar(desk, screen)
    assert screen.page.inner_text(last) != before, "no trip is open"
    made = screen.page.evaluate(f"{lines}.map(line => !line.isOld)")
    assert made == [True] + [False] * (count - 1), "lines that stay are made anew"
    assert screen.page.evaluate("document.activeElement.closest('tr') !== null"), "focus is lost"
    assert screen.page.evaluate("window.drawnAnew") == 0
    areas = "#live-overlay path.area[fill]"
    assert screen.page.locator(areas).count() >= 3, "prices, spread and z"


def test_an_entry_is_marked_over_the_charts_and_draws_nothing_anew(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    query = "fee_bps=0&slippage_bps=0&entry_z=1.5"
    told = api(desk, query)
    assert abs(told["zscore"]) < 1.5, "nothing is held"
    newest_ms = told["series"]["time"][-1]
    sigma = api(desk, f"{query}&time={newest_ms}", "/explain")["spread_std"]
    screen = open_screen().open(f"{desk.url}/?{query}")
    entries = "plot.data.find(trace => trace.meta.marks === 'entry_short')"
    before = screen.plot(f"{entries}.x.length")
    screen.page.evaluate(COUNTED)
    rows = screen.rows()
    desk.append_bar(BTCUSDT=(1.7 - told["zscore"]) * sigma)
    screen.until(lambda: screen.rows() > rows, "it", lambda: screen.page.wait_for_timeout(20))
    assert screen.plot(f"{entries}.x.length") == before + 1
    over = screen.page.locator("#live-overlay path.mark")
    assert over.count() == 1, "it is drawn with its row"
    assert screen.page.evaluate("window.drawnAnew") == 0
    # Where and as large as plotly itself draws it.
    screen.plot("Plotly.redraw(plot).then(() => 1)")
    uid = screen.plot("plot._fullData.find(trace => trace.meta.marks === 'entry_short').uid")
    drawn = screen.page.locator(f"#live-pair-chart .trace{uid} .points path")
    assert drawn.count() == before + 1
    own = drawn.last
    boxes = [one.bounding_box() for one in (over, own)]
    assert boxes[0] == pytest.approx(boxes[1], abs=0.6)
    looks = [one.evaluate("one => getComputedStyle(one).fill") for one in (over, own)]
    assert looks[0] == looks[1]


def test_a_level_that_moves_is_moved_and_draws_nothing_anew(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    """Break-even moves with every bar: for each pixel of it the charts were drawn anew."""
    query = "fee_bps=2&slippage_bps=0"
    screen = open_screen().open(f"{desk.url}/?{query}")
    index = screen.plot("plot.data.findIndex(trace => trace.meta.end === 'even')")
    uid = screen.plot(f"plot._fullData[{index}].uid")
    move = (
        "(level => {{ const y = plot.data[{}].y;"
        " y.splice(0, y.length, level, level, null, -level, -level);"
        " pairdesk.charts.redraw('live-pair-chart'); }})({})"
    )
    stands = (
        f"[...plot.querySelectorAll('.trace{uid} .js-line')].map(line => line.getBBox())"
        ".map(({y, height}) => plot._fullLayout.yaxis3.p2l(y + height / 2))"
    )
    told = api(desk, query)["break_even_z"]
    assert screen.plot(stands) == pytest.approx([told, -told], abs=0.01), "as plotly draws it"
    screen.page.evaluate(COUNTED)
    for level in (told + 0.3, told):
        screen.plot(move.format(index, level))
        assert screen.plot(stands) == pytest.approx([level, -level], abs=0.01)
        assert screen.page.evaluate("window.drawnAnew") == 0
    screen.plot(move.format(index, 40))
    assert screen.page.evaluate("window.drawnAnew") == 1, "it would be out of view"
    assert screen.plot("plot._fullLayout.yaxis3.range[1]") > 40
    assert screen.plot(stands) == pytest.approx([40, -40], abs=0.2)
    assert screen.complaints == []


def fewest(y: Sequence[float | None], size: int) -> list[int]:
    """Rows that are drawn of so many to a column: plainly, one column after another."""
    rows: list[int] = []
    for left in range(0, len(y), size):
        column = list(range(left, min(left + size, len(y))))
        values = [y[row] for row in column]
        at_an_end = left == 0 or column[-1] == len(y) - 1
        if size < 3 or at_an_end or None in values:
            rows += column
        else:
            rows += sorted({column[values.index(low)] for low in (min(values), max(values))})
    return rows


def test_lines_of_many_rows_keep_the_lowest_and_the_highest_of_every_pixel(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    rng = np.random.default_rng(8)
    walk: list[float | None] = rng.normal(size=2_003).cumsum().round(3).tolist()
    walk[700:703], walk[950] = [None] * 3, None
    flat = [1.0] * 2_003
    picked = "([y, size]) => pairdesk.lines.picked(y, { begin: 0, end: y.length, size })"
    for y in (walk, flat):
        for size in (1, 2, 3, 6, 7, 500, 5_000):
            assert screen.page.evaluate(picked, [y, size]) == fewest(y, size), size


def test_rows_that_come_in_steps_are_the_very_numbers_that_were_sent(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    rng = np.random.default_rng(9)
    column: list[float | None] = rng.normal(0, 40, 3_000).cumsum().round(3).tolist()
    column[5], column[900:903] = None, [None] * 3
    for sent in (column, [1.234e-5, None, 9.99e-6], [1 / 3]):
        made = screen.page.evaluate(
            "y => { const figure = { data: [{ y }, {}] }; pairdesk.lines.unpack(figure);"
            " return figure.data[0].y; }",
            packed(sent),
        )
        assert made == sent
    closes = screen.plot("plot.data.find(trace => trace.meta.rows === 'a').rows.customdata")
    assert closes[-500:] == pytest.approx(api(desk, "points=500")["series"]["close_a"], abs=1e-9)


def test_a_zoomed_stretch_is_drawn_row_by_row_and_the_whole_in_few_points(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    screen = open_screen(390, 844).open(desk.url)
    plotted = "(t => ({x: t.x, y: t.y, rows: t.rows}))(plot.data.find(t => t.meta.rows === 'z'))"
    width = screen.plot("plot._fullLayout.xaxis._length")
    whole = screen.plot(plotted)
    y, x0, dx = (whole["rows"][part] for part in ("y", "x0", "dx"))
    size = int(len(y) / width)
    assert size >= 3, "several bars share a pixel here"
    rows = fewest(y, whole["rows"]["drawn"]["size"])
    assert len(whole["y"]) < 0.9 * len(y)
    assert whole["y"] == [y[row] for row in rows]
    assert whole["x"] == [x0 + row * dx for row in rows]
    known = [value for value in y if value is not None]
    drawn = [value for value in whole["y"] if value is not None]
    assert (min(drawn), max(drawn)) == (min(known), max(known))
    screen.plot(f"pairdesk.span.show(plot, {Z}.x0 + 500 * {Z}.dx, {Z}.x0 + 600 * {Z}.dx)")
    near = screen.plot(plotted)
    first = round((near["x"][0] - x0) / dx)
    assert first <= 500
    assert near["y"] == y[first : first + len(near["y"])]
    assert first + len(near["y"]) > 600
    assert screen.rows() == len(y), "rows out of view are kept"


def test_a_chart_below_the_fold_is_drawn_when_one_comes_to_it(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    screen = open_screen(390, 844).open(desk.url)
    page = screen.page
    equity = "pairdesk.charts.plotOf('live-equity-chart')"
    rows = f"{equity}.data[0].rows"
    add_bar(desk, screen)  # from then on it is known whether it is seen
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))")
    drawn = page.evaluate(f"{rows}.drawn.count")
    for _ in range(5):
        add_bar(desk, screen)
    assert page.evaluate(f"{rows}.y.length") == screen.rows(), "its rows are kept"
    assert page.evaluate(f"{rows}.drawn.count") == drawn, "it was drawn unseen"
    page.locator("#live-equity-chart").scroll_into_view_if_needed()
    screen.until(
        lambda: page.evaluate(f"{rows}.drawn.count") == screen.rows(),
        "it is drawn when it is seen",
        lambda: page.wait_for_timeout(20),
    )
    assert screen.complaints == []
