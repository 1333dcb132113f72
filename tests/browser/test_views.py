"""Several views in one page, each with a path of its own."""

from collections.abc import Callable
from typing import Any

import pytest
from dash import Dash, Input, Output, dcc, html
from playwright.sync_api import expect

from app.services import Desk
from app.views import VIEWS
from app.views.view import View

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


def second_layout(desk: Desk) -> html.Main:
    address = dcc.Location(id="second-url", refresh=False)
    return html.Main([address, html.P("not yet", id="second-words")])


def register_second(app: Dash, desk: Desk) -> None:
    app.callback(Output("second-words", "children"), Input("second-url", "search"))(
        lambda search: f"asked for {search}"
    )


def test_views_do_not_disturb_each_other_and_a_path_of_none_says_so(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    second = View("/second", "Second", second_layout, register_second)
    desk = start_desk(views=[*VIEWS, second])
    screen = open_screen()
    screen.page.goto(f"{desk.url}/second?window=60")
    words = screen.page.locator("#second-words")
    expect(words).to_have_text("asked for ?window=60")
    expect(screen.page.locator("nav a[aria-current=page]")).to_have_text("Second")
    screen.page.click("#theme-toggle")
    screen.page.evaluate("history.pushState({}, '', '/second?window=70')")
    screen.page.evaluate("window.dispatchEvent(new CustomEvent('_dashprivate_pushstate'))")
    expect(words).to_have_text("asked for ?window=70")
    assert screen.page.locator("#live-z").count() == 0
    screen.page.click("nav a:has-text('Live')")
    screen.wait_for_charts()
    expect(screen.page.locator("nav a[aria-current=page]")).to_have_text("Live")
    assert screen.complaints == []
    answer = screen.page.goto(f"{desk.url}/nosuch")
    assert answer is not None
    assert answer.status == 404
    expect(screen.page.locator("h2")).to_have_text("There is nothing at this address.")
    screen.page.click("main a")
    screen.wait_for_charts()
