"""What the page costs a browser: first load and reload, ticks at many rows, a switch of pair."""

import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

from app import create_app
from core.settings import Settings
from core.types import Bar, Origin
from ingest.binance.answers import SymbolInfo
from ingest.store import market
from ingest.store.engine import migrate, open_engine
from ingest.store.reader import Reader
from ingest.store.transaction import Writer

SYMBOLS = ("AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT")
SECOND = 1_000
ROWS = 5_000
EDGE = 1_024
HISTORY = 8_000
TICKS = 30
SWITCHES = 20
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu"]
QUERY = f"symbol_a=AAAUSDT&symbol_b=BBBUSDT&timeframe=1s&bars={ROWS}"
DRAWN = """() => { const plot = document.querySelector('#live-pair-chart .js-plotly-plot');
    return Boolean(plot && plot.data && plot.data.length > 10); }"""
ROWS_DRAWN = """rows => document.querySelector('#live-pair-chart .js-plotly-plot')
    .data.find(trace => trace.meta.rows === 'z').rows.y.length === rows"""
SWITCH = """pair => new Promise(done => {
    const began = performance.now();
    const plot = document.querySelector('#live-pair-chart .js-plotly-plot');
    plot.on('plotly_afterplot', function after() {
        if (plot.layout.meta && plot.layout.meta.view.startsWith(pair)) {
            plot.removeListener('plotly_afterplot', after);
            done(performance.now() - began);
        }
    });
    document.getElementById('control-swap').click();
})"""

PICK = """() => {
    const field = document.getElementById('control-symbol-a-input');
    const spent = [];
    for (let letter = 0; letter < 20; letter++) {
        const began = performance.now();
        field.click();
        field.value = letter % 2 ? 'S' : 'SY';
        field.dispatchEvent(new Event('input', {bubbles: true}));
        document.body.offsetHeight;
        spent.push(performance.now() - began);
        field.blur();
    }
    return spent;
}"""
"""A list of 400 opened and filtered by a letter, laid out: milliseconds each time."""
LISTED = [[f"SY{number:03}", "USDT"] for number in range(400)]


class _Quiet(WSGIRequestHandler):
    def log_request(self, *args: Any) -> None:
        """Say nothing: the table is what counts."""


class _Market:
    """Seconds of a few symbols that go with each other; one more whenever it is asked for."""

    def __init__(self, url: str) -> None:
        migrate(url)
        self._writer, self._rng = Writer(open_engine(url)), np.random.default_rng(3)
        with self._writer.transaction() as tx:
            listed = [SymbolInfo(name, name[:3], "USDT", "TRADING") for name in SYMBOLS]
            self._ids = market.ensure_symbols(tx, listed)
        # Of so many rows the oldest leave `EDGE` at a time: not while ticks are counted.
        self.end_ms = ((int(time.time()) - ROWS) // EDGE * EDGE + ROWS) * SECOND
        common = self._rng.normal(0, 2e-4, HISTORY).cumsum()
        self._own = dict.fromkeys(SYMBOLS, 0.0)
        self._closes = {
            name: [100.0 * np.exp(move + self._pull(name)) for move in common] for name in SYMBOLS
        }
        for name, closes in self._closes.items():
            first_ms = self.end_ms - HISTORY * SECOND
            bars = [_bar(first_ms + row * SECOND, float(close)) for row, close in enumerate(closes)]
            for begin in range(0, HISTORY, 2_000):
                with self._writer.transaction() as tx:
                    part = bars[begin : begin + 2_000]
                    market.upsert_bars(tx, self._ids[name], SECOND, part, Origin.KLINE)

    def _pull(self, name: str) -> float:
        """The next of a symbol's own moves, which come back to nothing in half a minute or so."""
        self._own[name] = 0.97 * self._own[name] + self._rng.normal(0, 2e-4)
        return self._own[name]

    def close_bar(self) -> None:
        with self._writer.transaction() as tx:
            for name, closes in self._closes.items():
                before = self._own[name]
                closes.append(closes[-1] * np.exp(self._pull(name) - before))
                bar = _bar(self.end_ms, float(closes[-1]))
                market.upsert_bars(tx, self._ids[name], SECOND, [bar], Origin.KLINE)
        self.end_ms += SECOND

    def close(self) -> None:
        self._writer.close()


def _bar(open_ms: int, close: float) -> Bar:
    close = round(close, 2)  # as an exchange quotes prices of a hundred
    return Bar(open_ms, close, close, close, close, 1.0, close, 1, 0.5, True)


@contextmanager
def _served() -> Iterator[tuple[str, _Market]]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'market.db'}"
        trades, reader = _Market(url), Reader(url)
        settings = Settings.from_mapping({"DATABASE_URL": url})
        app = create_app(settings, reader, lambda: trades.end_ms / 1_000)
        app.server.extensions["pairdesk"].kernels.warm_up()
        server = make_server("127.0.0.1", 0, app.server, threaded=True, request_handler=_Quiet)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", trades
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            reader.close()
            trades.close()


def measure_page() -> list[tuple[str, str]]:
    """Rows of what was measured and the figure; one that says so where there is no browser."""
    names = ("chromium", "chromium-browser", "chromium-headless-shell")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        return [("the page in a browser", "no chromium on this machine")]
    with _served() as (url, trades), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            return list(_measured(browser, f"{url}/?{QUERY}", trades))
        finally:
            browser.close()


def _measured(browser: Browser, address: str, trades: _Market) -> Iterator[tuple[str, str]]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Performance.enable")
    sent: list[float] = []
    session.on("Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"]))
    for name in ("first load", "reload"):
        sent.clear()
        began = time.perf_counter()
        page.goto(address) if name == "first load" else page.reload()
        page.wait_for_function(DRAWN)
        drawn = time.perf_counter() - began
        page.locator("#live-win-noise:not(:empty)").wait_for()
        painted = page.evaluate("performance.getEntriesByType('paint')[0].startTime")
        yield (
            f"{name}: first paint, charts of {ROWS:,} rows drawn",
            f"{painted:.0f}, {1e3 * drawn:.0f} ms",
        )
        yield f"{name}: bytes", f"{sum(sent):,.0f}"
    spent, told = _ticks(page, session, sent, trades)
    yield f"main thread of a tick with a closed bar, {ROWS:,} rows: p50, p95", _quantiles(spent)
    yield "bytes of such a tick", f"{statistics.median(told):,.0f}"
    switched = []
    for number in range(SWITCHES):
        pair = "BBBUSDT AAAUSDT" if number % 2 == 0 else "AAAUSDT BBBUSDT"
        trades.close_bar()  # nothing is kept of the pair as it is now
        switched.append(page.evaluate(SWITCH, pair))
    yield "switch of pair until drawn: p50, p95", _quantiles(switched)
    page.evaluate("listed => dash_clientside.set_props('page-symbols', {data: listed})", LISTED)
    yield (
        f"picker of {len(LISTED)} symbols, opened and a letter typed: p50, p95",
        _quantiles(page.evaluate(PICK)),
    )


def _ticks(
    page: Page, session: CDPSession, sent: list[float], trades: _Market
) -> tuple[list[float], list[float]]:
    """Milliseconds of the main thread, and bytes, from a bar's close until its rows are there."""
    spent, told = [], []
    for _ in range(TICKS):
        rows = page.evaluate(
            "document.querySelector('#live-pair-chart .js-plotly-plot')"
            ".data.find(trace => trace.meta.rows === 'z').rows.y.length"
        )
        before = _busy_ms(session)
        sent.clear()
        trades.close_bar()
        page.wait_for_function(ROWS_DRAWN, arg=rows + 1, polling=100)
        page.wait_for_timeout(300)  # what the new rows have the page do
        spent.append(_busy_ms(session) - before)
        told.append(sum(sent))
    return spent, told


def _busy_ms(session: CDPSession) -> float:
    """The main thread's own time so far: what else the machine does has no part in it."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1e3 * float(next(one["value"] for one in metrics if one["name"] == "ThreadTime"))


def _quantiles(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{statistics.median(ordered):.0f}, {ordered[int(0.95 * len(ordered))]:.0f} ms"
