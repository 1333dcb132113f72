"""The Live view for everybody: by keyboard alone, and as a reader hears it."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

FOCUSED = """() => {
    const one = document.activeElement;
    if (!one || one === document.body) { return null; }
    const seen = (element) => {
        const style = getComputedStyle(element);
        return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1)
            || (style.boxShadow !== 'none' && element.matches('input'));
    };
    // A hidden radio button shows its focus on its label.
    const shown = one.matches('.seg-input') ? one.nextElementSibling : one;
    const {width, height} = shown.getBoundingClientRect();
    return [one.id || one.className || one.textContent, seen(shown) && width > 0 && height > 0];
}"""


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_live_has_no_serious_finding(
    desk: Any, open_screen: Callable[..., Any], size: tuple[int, int]
) -> None:
    screen = open_screen(*size).open(desk.url)
    expect(screen.page.locator("#live-win-noise")).not_to_be_empty()
    if size[0] < 800:
        screen.page.click("#controls-fold")
    screen.page.click("#more-toggle")
    expect(screen.page.locator("#control-fee-bps")).to_be_visible()
    assert screen.serious_in_both_themes() == []


def test_every_stop_of_the_tab_key_is_seen_and_none_is_a_trap(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    stops: list[str] = []
    for _ in range(200):
        screen.page.keyboard.press("Tab")
        found = screen.page.evaluate(FOCUSED)
        if found is None:
            break  # past the last one
        name, is_seen = found
        assert is_seen, f"nobody sees that {name!r} has the focus"
        stops.append(name)
    else:
        pytest.fail(f"never past {stops[-3:]}")
    # In the order in which the page is read: what to look at, what to do with it, what it shows.
    read = ["commands-open", "theme-toggle", "control-symbol-a-input", "control-swap",
            "control-window", "more-toggle", "watch-pair", "copy-link", "live-plots",
            "live-explain-newest", "live-trades-csv"]  # fmt: skip
    assert [name for name in stops if name in read] == read
    for _ in range(3):
        screen.page.keyboard.press("Shift+Tab")
    assert screen.page.evaluate(FOCUSED) is not None
    assert screen.complaints == []


def test_who_wants_less_motion_gets_none(desk: Any, open_screen: Callable[..., Any]) -> None:
    screen = open_screen(reduced_motion="reduce").open(desk.url)
    moving = screen.page.evaluate(
        """() => [...document.querySelectorAll('*')].filter(one => {
            const {transitionDuration, animationName} = getComputedStyle(one);
            return parseFloat(transitionDuration) > 0 || animationName !== 'none';
        }).map(one => one.id || one.className)"""
    )
    assert moving == []
