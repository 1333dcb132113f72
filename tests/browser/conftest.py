"""A desk over a real store that tests may write on, served on loopback, and a real Chromium."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Error,
    Page,
    Response,
    ViewportSize,
    expect,
    sync_playwright,
)
from werkzeug.serving import WSGIRequestHandler, make_server

from app import create_app
from app.views import VIEWS
from app.views.live import callbacks
from app.views.view import View
from core.settings import Settings
from core.types import Origin
from ingest.store import market, process
from ingest.store.desk_book import DeskBook
from ingest.store.engine import open_engine
from ingest.store.market import FeedCursor
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.support.market import listing, plain_bar
from tests.support.waiting import HANG_S

MINUTE = 60_000
FIRST_CLOSE_MS = 1_795_401_000_000 // MINUTE * MINUTE
BARS = 900
FEW_RUNS = 20
"""Of noise; the fewest that the API allows."""
AXE = Path(__file__).parents[1] / "support/axe/axe-4.10.3.min.js"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--process-per-site",
    # Letters alike in every Chromium, for the pictures.
    "--font-render-hinting=none",
    # A page of a test lives for seconds: what makes long ones fast is a fourth of what it costs.
    "--js-flags=--no-opt --no-maglev",
    "--num-raster-threads=1",
    "--disable-threaded-animation",
    "--disable-features=PaintHolding,BackForwardCache,Translate,MediaRouter,OptimizationHints",
]


class QuietHandler(WSGIRequestHandler):
    def log_request(self, *args: Any) -> None:
        """Say nothing: the tests' own output is what counts."""


@dataclass
class LiveDesk:
    """One market, its desk and its clock; bars are appended as a worker would."""

    url: str
    database_url: str
    writer: Writer
    symbol_ids: dict[str, int]
    closes: dict[str, list[float]] = field(default_factory=dict)
    close_ms: int = FIRST_CLOSE_MS
    now_ms: int = FIRST_CLOSE_MS + 20_000
    state: str = "live"
    source: str = "binance"
    step_ms: int = MINUTE
    stop_serving: Callable[[], None] = lambda: None
    start_serving: Callable[[], None] = lambda: None

    def fill(self, hole: range = range(0)) -> None:
        """Store a history in which the legs revert to each other; ETH has a hole."""
        rng = np.random.default_rng(5)
        x = np.log(3_000.0) + rng.normal(0, 8e-4, BARS).cumsum()
        spread = np.zeros(BARS)
        for row, shock in enumerate(rng.normal(0, 1.2e-3, BARS - 1), start=1):
            spread[row] = 0.95 * spread[row - 1] + shock
        self.closes = {
            "BTCUSDT": np.exp(1.5 + 1.1 * x + spread).tolist(),
            "ETHUSDT": np.exp(x).tolist(),
            "SOLUSDT": np.exp(0.7 * x + rng.normal(0, 1e-3, BARS)).tolist(),
        }
        first_ms = self.close_ms - BARS * self.step_ms
        with self.writer.transaction() as tx:
            for symbol, closes in self.closes.items():
                bars = [
                    plain_bar(first_ms + row * self.step_ms, closes[max(0, row - 1)], close)
                    for row, close in enumerate(closes)
                    if symbol != "ETHUSDT" or row not in hole
                ]
                market.upsert_bars(tx, self.symbol_ids[symbol], self.step_ms, bars, Origin.TRADES)
        self.report()

    def append_bar(self, **changes: float) -> None:
        """Close the next bar; a symbol's change is relative to its last close."""
        with self.writer.transaction() as tx:
            for symbol, closes in self.closes.items():
                close = closes[-1] * (1 + changes.get(symbol, 0.0))
                bar = plain_bar(self.close_ms, closes[-1], close)
                market.upsert_bars(tx, self.symbol_ids[symbol], self.step_ms, [bar], Origin.TRADES)
                closes.append(close)
        self.close_ms += self.step_ms
        self.now_ms += self.step_ms
        self.report()

    def report(self) -> None:
        """Say of worker and feed what holds now."""
        feed = {
            "state": self.state,
            "host": "127.0.0.1",
            "last_frame_ms": self.now_ms - 300,
            "trades_per_s": 412.0,
            "lag_ms_p50": 20.0,
            "lag_ms_p99": 41.0,
            "reconnects": 0,
            "last_error": None if self.state == "live" else "connection refused",
        }
        payload = {
            "feed": feed,
            "quarantined": 0,
            "queue_depth": 0,
            "backfill": {"done": 1, "total": 1, "message": ""},
            "symbols_left_out": [],
        }
        with self.writer.transaction() as tx:
            for symbol, closes in self.closes.items():
                cursor = FeedCursor(900, closes[-1], self.close_ms + 15_000, 0, self.close_ms)
                market.save_cursor(tx, self.symbol_ids[symbol], cursor)
            process.save_status(tx, "worker", 4242, "running", self.now_ms - 500, payload)
            process.save_status(tx, "analyst", 4243, "running", self.now_ms - 500, {})
            process.set_meta(tx, "source", self.source)
            process.set_meta(tx, "source_reason", "no exchange answers here")


@pytest.fixture(scope="package", autouse=True)
def few_noise_runs() -> Iterator[None]:
    """Every page asks for random walks beside its numbers: here a tenth of them will do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks, "RUNS", FEW_RUNS)
        yield


@pytest.fixture(scope="session")
def served_desk(
    empty_database: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., AbstractContextManager[LiveDesk]]:
    """Serves desks, each over a store of its own, for as long as one asks."""
    # One after another at the same address: what a browser has compiled of its scripts is of use.
    free_ports: list[int] = []

    @contextmanager
    def serve_one(
        *,
        filled: bool = True,
        source: str = "binance",
        step_ms: int = MINUTE,
        views: Sequence[View] = VIEWS,
        settings: Mapping[str, str] | None = None,
    ) -> Iterator[LiveDesk]:
        path = tmp_path_factory.mktemp("desk") / "market.db"
        path.write_bytes(empty_database)
        database_url = f"sqlite:///{path}"
        writer = Writer(open_engine(database_url))
        with writer.transaction() as tx:
            symbol_ids = market.ensure_symbols(
                tx, [listing(name) for name in ("BTC", "ETH", "SOL")]
            )
        desk = LiveDesk("", database_url, writer, symbol_ids, source=source, step_ms=step_ms)
        if filled:
            desk.fill()
        else:
            desk.report()
        read = Settings.from_mapping(settings or {})

        def serve(port: int) -> tuple[int, Callable[[], None]]:
            """Serve the desk as a process that has just started would."""
            reader, book = Reader(database_url), DeskBook(database_url)
            app = create_app(read, reader, lambda: desk.now_ms / 1000, views, book)
            server = make_server(
                "127.0.0.1", port, app.server, threaded=True, request_handler=QuietHandler
            )
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()

            def stop() -> None:
                server.shutdown()
                thread.join(HANG_S)
                server.server_close()
                reader.close()
                book.close()

            return server.server_port, stop

        port, desk.stop_serving = serve(free_ports.pop() if free_ports else 0)
        desk.url = f"http://127.0.0.1:{port}"

        def start_serving() -> None:
            _, desk.stop_serving = serve(port)

        desk.start_serving = start_serving
        yield desk
        desk.stop_serving()
        writer.close()
        free_ports.append(port)

    return serve_one


@pytest.fixture(scope="session")
def desk(served_desk: Callable[..., AbstractContextManager[LiveDesk]]) -> Iterator[LiveDesk]:
    """The desk that most tests share."""
    with served_desk() as desk:
        yield desk


@pytest.fixture
def start_desk(
    served_desk: Callable[..., AbstractContextManager[LiveDesk]],
) -> Iterator[Callable[..., LiveDesk]]:
    """Starts desks that only this test writes on."""
    with ExitStack() as desks:
        yield lambda **asked: desks.enter_context(served_desk(**asked))


# Not longer than these tests: Playwright keeps an event loop running in this thread until it is
# stopped, and no other test could run one of its own.
@pytest.fixture(scope="package")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    assert isinstance(request.node, pytest.Package), "it would last for the whole session"
    # The same browser without a window to draw, which is a third of what a page costs.
    names = ("chromium-headless-shell", "chromium", "chromium-browser")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    expect.set_options(timeout=HANG_S * 1_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Screen:
    """A page with what it asked for and complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    answers: list[tuple[str, int, str]] = field(default_factory=list)

    def open(self, url: str) -> "Screen":
        """Load a desk and wait until its charts are drawn."""
        self.page.goto(url)
        self.wait_for_charts()
        return self

    def wait_for_charts(self) -> None:
        self.page.wait_for_function(
            """() => { const plot = document.querySelector('#live-pair-chart .js-plotly-plot');
                return plot && plot.data && plot.data.length > 10
                    && !/^(–|)$/.test(document.querySelector('#live-z').textContent); }"""
        )

    def text(self, component_id: str) -> str:
        return self.page.inner_text(f"#{component_id}")

    def plot(self, expression: str) -> Any:
        """Evaluate with `plot`, the pair's chart."""
        return self.page.evaluate(
            "() => { const plot = document.querySelector('#live-pair-chart .js-plotly-plot');"
            f" return {expression}; }}"
        )

    def rows(self) -> int:
        count: int = self.plot("plot.data.find(trace => trace.meta.rows === 'z').rows.y.length")
        return count

    def deltas(self) -> list[str]:
        return [body for output, _, body in self.answers if output == "live-delta.data"]

    def until(self, condition: Callable[[], Any], what: str, step: Callable[[], None]) -> None:
        """Take steps until something holds; each gives the page's events their turn."""
        deadline = time.monotonic() + HANG_S
        while not condition():
            assert time.monotonic() < deadline, f"not within {HANG_S:.0f} s: {what}"
            step()

    def serious(self, within: str = "html") -> list[str]:
        """What axe finds of the two worst kinds, with the element that it is about."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("place => axe.run(place, {resultTypes: ['violations']})", within)
        return [
            f"{one['id']}: {node['html'][:160]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def serious_in_both_themes(self, within: str = "html") -> list[str]:
        """The same in the dark and in the light; leaves the page in the other theme."""
        theme = "document.documentElement.dataset.theme"
        before, found = self.page.evaluate(theme), self.serious(within)
        # As its button does, which an open dialog would cover.
        self.page.evaluate("document.getElementById('theme-toggle').click()")
        assert {before, self.page.evaluate(theme)} == {"dark", "light"}
        return found + self.serious(within)

    def count_answers(self, output: str) -> int:
        return sum(name.startswith(output) for name, _, _ in self.answers)

    def wait_for_answer(self, output: str) -> None:
        """Wait for the next answer of a callback."""
        seen = self.count_answers(output)
        self.until(
            lambda: self.count_answers(output) > seen,
            f"an answer of {output}",
            lambda: self.page.wait_for_timeout(20),
        )


class Profile:
    """One that has read the page's scripts before, which is most of what a page costs."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        # All pages of a site share a process, and with the last one goes what it has compiled.
        self._stays = context.new_page()
        self._stays.goto(f"{url}/healthz")

    def forget(self) -> None:
        """Close what a test has opened and leave nothing that its pages kept but the scripts."""
        pages = [page for page in self.context.pages if page is not self._stays]
        origins = {urlsplit(page.url)._replace(path="", query="", fragment="").geturl()
                   for page in pages if page.url.startswith("http")}  # fmt: skip
        for page in pages:
            page.close()
        self.context.clear_cookies()
        session = self.context.new_cdp_session(self._stays)
        for origin in origins:
            session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
        session.detach()


@pytest.fixture(scope="package")
def profiles() -> dict[str, Profile]:
    """Those that were used, by what was asked of them."""
    return {}


@pytest.fixture
def open_screen(
    browser: Browser, profiles: dict[str, Profile], desk: LiveDesk
) -> Iterator[Callable[..., Screen]]:
    """Opens pages, by the test's own clock if it asks so; `context` options as playwright's.

    The first of a test with the same options has a profile that kept the scripts of earlier ones;
    every other a fresh one, as with `is_new`.
    """
    fresh: list[BrowserContext] = []
    used: dict[str, Profile] = {}

    def context_for(asked: str, is_new: bool, options: dict[str, Any]) -> BrowserContext:
        if is_new or asked in used:
            fresh.append(browser.new_context(**options))
            return fresh[-1]
        if asked not in profiles:
            profiles[asked] = Profile(browser.new_context(**options), desk.url)
        used[asked] = profiles[asked]
        return used[asked].context

    def open_one(
        width: int = 1440,
        height: int = 900,
        *,
        is_new: bool = False,
        has_clock: bool = False,
        color_scheme: Literal["dark", "light"] | None = None,
        reduced_motion: Literal["reduce"] | None = None,
        **options: Any,
    ) -> Screen:
        size: ViewportSize = {"width": width, "height": height}
        context = context_for(f"{has_clock} {options}", is_new, options)
        context.set_default_timeout(HANG_S * 1_000)
        page = context.new_page()
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=color_scheme, reduced_motion=reduced_motion)
        if has_clock:
            page.clock.install()
        screen = Screen(page)

        def keep_answer(response: Response) -> None:
            if not response.url.split("?")[0].endswith("/_dash-update-component"):
                return
            output = (response.request.post_data_json or {}).get("output", "")
            screen.answers.append((output, response.status, _body(response)))

        page.on("console", lambda m: m.type in ("error", "warning") and _note(screen, m.text))
        page.on("pageerror", lambda error: screen.complaints.append(str(error)))
        page.on("request", lambda request: screen.requests.append(request.url))
        page.on("response", keep_answer)
        return screen

    yield open_one
    for context in fresh:
        context.close()
    for profile in used.values():
        profile.forget()


def _body(response: Response) -> str:
    """What was answered; nothing where the page has gone on to another one meanwhile."""
    if response.status != 200:
        return ""
    try:
        return response.text()
    except Error:
        return ""


def _note(screen: Screen, text: str) -> None:
    screen.complaints.append(text)
