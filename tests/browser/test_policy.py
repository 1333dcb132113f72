"""The security headers in a real browser: nothing of ours is refused, all that is foreign is."""

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


@pytest.fixture
def foreign_page(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Serves a page of another origin."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def serve(html: str) -> str:
        (tmp_path / "page.html").write_text(html)
        return f"http://127.0.0.1:{server.server_port}/page.html"

    yield serve
    server.shutdown()
    server.server_close()


def test_page_with_charts_and_grid_works_without_a_complaint(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    expect(screen.page.locator("#live-round-trips tr").first).to_be_visible()
    screen.page.click(".round-trips th button >> nth=1")
    # A chart is saved from a link of its own making.
    with screen.page.expect_download() as saved:
        screen.page.click("#live-charts [data-do=picture]")
    assert Path(saved.value.path()).read_bytes().startswith(b"\x89PNG")
    desk.append_bar(BTCUSDT=0.001)
    screen.wait_for_answer("live-delta.data")
    assert screen.complaints == []


def test_documentation_tries_a_route_without_a_complaint(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen()
    screen.page.goto(f"{desk.url}/docs")
    screen.page.click("#swagger-ui [id$=healthz] button.opblock-summary-control")
    screen.page.click("#swagger-ui .try-out__btn")
    screen.page.click("#swagger-ui button.execute")
    expect(screen.page.locator(".live-responses-table td.response-col_status").last).to_have_text(
        "200"
    )
    assert screen.complaints == []


def test_script_that_somebody_gets_into_the_page_does_not_run(
    desk: Any, open_screen: Callable[..., Any]
) -> None:
    screen = open_screen().open(desk.url)
    for tag in ("window.ran = 1", ""):
        screen.page.evaluate(
            """text => {
                const script = document.createElement("script");
                if (text) { script.textContent = text; }
                else { script.src = "http://127.0.0.1:9/x.js"; }
                document.body.append(script);
            }""",
            tag,
        )
    screen.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x: onerror=ran=1>')"
    )
    screen.until(
        lambda: sum("Content Security Policy" in text for text in screen.complaints) >= 3,
        "three refusals",
        lambda: screen.page.wait_for_timeout(20),
    )
    assert screen.page.evaluate("window.ran === undefined")


def test_page_of_another_origin_can_neither_frame_nor_read_the_desk(
    desk: Any, open_screen: Callable[..., Any], foreign_page: Callable[[str], str]
) -> None:
    screen = open_screen()
    screen.page.goto(foreign_page(f"<iframe src='{desk.url}/'></iframe>"))
    screen.until(
        lambda: any("frame-ancestors" in text for text in screen.complaints),
        "the frame is refused",
        lambda: screen.page.wait_for_timeout(20),
    )
    said = screen.page.evaluate(
        """url => Promise.all(["cors", "no-cors"].map(mode => fetch(url, {mode}).then(
            answer => answer.text().then(text => text || "nothing"), error => "refused")))""",
        f"{desk.url}/api/status",
    )
    assert said == ["refused", "refused"]
