"""Nothing moves under the reader's eyes: only what he himself presses changes the page's layout."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.words import api, minus

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

MOST_MOVED = 0.05
"""Share of the window that may move, times how far: browsers call 0.1 good."""
WATCH = """
window.moved = [];
new PerformanceObserver((list) => {
    for (const {value, hadRecentInput, sources} of list.getEntries()) {
        const what = sources.map(({node}) => node && (node.id || node.className || node.nodeName));
        if (!hadRecentInput) { window.moved.push([value, what]); }
    }
}).observe({type: 'layout-shift', buffered: true});
"""


def moved(screen: Any) -> list[Any]:
    """What moved by itself since the page was opened, by how much."""
    found: list[Any] = screen.page.evaluate("window.moved")
    return found


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_live_stands_still_while_it_loads_ticks_warns_and_changes_its_pair(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any], size: tuple[int, int]
) -> None:
    desk, screen = start_desk(), open_screen(*size)
    page = screen.page
    page.add_init_script(WATCH)
    screen.open(desk.url)
    expect(page.locator("#live-win-noise")).not_to_be_empty()
    expect(page.locator("#live-expectancy-note")).not_to_be_empty()
    for move in (0.0002, 0.03):  # the second one enters
        desk.append_bar(BTCUSDT=move)
        z = minus(f"{api(desk)['zscore']:+.2f}")
        expect(page.locator("#live-z")).to_have_text(z)
    desk.state = "down"
    desk.report()
    expect(page.locator("#live-verdict-cut")).to_be_visible()
    desk.state = "live"
    desk.report()
    expect(page.locator("#live-verdict-cut")).to_be_hidden()
    # By no click of his: what comes long after a click counts as moving by itself.
    page.evaluate("document.getElementById('control-swap').click()")
    swapped = api(desk, "symbol_a=ETHUSDT&symbol_b=BTCUSDT")["zscore"]
    expect(page.locator("#live-z")).to_have_text(minus(f"{swapped:+.2f}"))
    expect(page.locator("#live-win-noise")).not_to_be_empty()
    assert sum(value for value, _ in moved(screen)) < MOST_MOVED, moved(screen)


def test_no_other_view_moves_once_it_is_seen(desk: Any, open_screen: Callable[..., Any]) -> None:
    screen = open_screen()
    page = screen.page
    page.add_init_script(WATCH)
    for path, part in (
        ("alerts", "#alerts-history .empty"),
        ("health", "#health-things td"),
        ("lab", "#lab-verdict strong"),
        ("scanner", "#scanner-verdict strong"),
    ):
        page.goto(f"{desk.url}/{path}")
        expect(page.locator(part).first).to_be_visible()
        expect(page.locator("#live-badge")).to_have_text("LIVE · BINANCE")
        assert sum(value for value, _ in moved(screen)) < MOST_MOVED, (path, moved(screen))
