"""Take the pictures of README and docs from the simulated exchange: `make screenshots`."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, Page, sync_playwright

HERE = Path(__file__).resolve().parent
QUERY = "symbol_a=SOLUSDT&symbol_b=AVAXUSDT&timeframe=1m"
PICTURES = {
    "live-dark": (1440, 900, "dark"),
    "live-light": (1440, 900, "light"),
    "live-narrow": (390, 844, "dark"),
}
WATCHED = (
    ("SOLUSDT", "AVAXUSDT", 2.0),
    ("BTCUSDT", "ETHUSDT", 0.5),
    ("ETHUSDT", "LTCUSDT", 0.5),
    ("XRPUSDT", "ADAUSDT", 1.0),
)
"""Low entries, so that some fire soon."""
JOBS = (
    ("scanner", {"kind": "scan", "timeframe": "1h"}, "#scanner-grid .ag-row a"),
    (
        "lab",
        {"kind": "sweep", "symbol_a": "SOLUSDT", "symbol_b": "LINKUSDT", "timeframe": "1h",
         "bars": 4_320, "train_bars": 1_440, "window_values": "40, 60, 80, 100, 120, 160, 200, 240",
         "entry_z_values": "1 to 4 by 0.25", "exit_z_values": "-0.5, 0, 0.5",
         "hedge_values": "ols, kalman, ratio, shrunk, returns", "name": "wide, all hedges"},
        ".heat td",
    ),
)  # fmt: skip
"""What a view shows, the job that makes it, and what is there once it is shown."""
PATIENCE_MS = 600_000
SETTLED = """() => {
    const filled = (id) => document.getElementById(id)?.textContent;
    const plot = document.querySelector("#live-pair-chart .js-plotly-plot");
    return plot?.data?.length > 10 && filled("live-noise-note") && filled("live-expectancy-note")
        && Number(filled("live-trades")) >= 20; }"""


def take(page: Page, name: str, url: str) -> None:
    """Wait until everything that comes after the screen is there, too, and take the picture."""
    page.goto(url)
    page.wait_for_function(SETTLED, timeout=PATIENCE_MS)
    page.wait_for_timeout(1_500)  # fonts, and the charts' last frame
    page.screenshot(path=str(HERE / f"{name}.png"))


def tour(page: Page, port: int) -> None:
    """What is beside the pair: the command box, a rule that watches, and how the desk is."""
    page.goto(f"http://127.0.0.1:{port}/?{QUERY}")
    page.wait_for_function(SETTLED, timeout=PATIENCE_MS)
    page.keyboard.press("/")
    page.keyboard.type("sol avax 5m kalman")
    top = {"x": 0, "y": 0, "width": 1440, "height": 420}
    page.screenshot(path=str(HERE / "command.png"), clip=top)
    for symbol_a, symbol_b, entry_z in WATCHED:
        rule = {"kind": "zscore", "timeframe": "1m", "entry_z": entry_z, "paper": True}
        _post(page, port, "rules", rule | {"symbol_a": symbol_a, "symbol_b": symbol_b})
    for view, ready in (("alerts#alert-1", ".firing-card"), ("health", "#health-things tr")):
        page.goto(f"http://127.0.0.1:{port}/{view}")
        page.wait_for_selector(ready, timeout=PATIENCE_MS)
        page.wait_for_timeout(3_000)  # the watchlist's numbers come with the next ticks
        page.screenshot(path=str(HERE / f"{view.partition('#')[0]}.png"))


def long_work(page: Page, port: int) -> None:
    """What jobs make: a whole market scanned, and a grid of parameters on a pair."""
    for view, asked, ready in JOBS:
        job = _post(page, port, "jobs", asked)
        while job["state"] in ("queued", "running"):
            page.wait_for_timeout(1_000)
            job = page.request.get(f"http://127.0.0.1:{port}/api/jobs/{job['id']}").json()
        assert job["state"] == "done", job
        page.goto(f"http://127.0.0.1:{port}/{view}")
        page.wait_for_selector(ready, timeout=PATIENCE_MS)
        page.wait_for_timeout(3_000)
        page.screenshot(path=str(HERE / f"{view}.png"))


def _post(page: Page, port: int, what: str, body: dict[str, Any]) -> dict[str, Any]:
    """Have the API make something, as the desk's own page does."""
    origin = f"http://127.0.0.1:{port}"
    answer = page.request.post(f"{origin}/api/{what}", data=body, headers={"Origin": origin})
    assert answer.ok, answer.text()
    made: dict[str, Any] = answer.json()
    return made


def main() -> None:
    """Serve a desk of its own, and look at it."""
    names = ("chromium", "chromium-browser", "chromium-headless-shell")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        sys.exit("no chromium on this machine: apt-get install chromium")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        desk = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:server"],
            cwd=HERE.parent,
            env=os.environ
            | {
                "SOURCE": "simulated",
                "SIMULATED_SYMBOLS": "80",
                "SYMBOLS": "TOP:80",
                "PORT": str(port),
                "WEB_CONCURRENCY": "1",
                "DATABASE_URL": f"sqlite:///{folder}/market.db",
            },
        )
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium, args=["--headless", "--no-sandbox"]
                )
                for name, (width, height, theme) in PICTURES.items():
                    page = browser.new_context(
                        viewport={"width": width, "height": height},
                        color_scheme="light" if theme == "light" else "dark",
                    ).new_page()
                    _come_up(page, port)
                    take(page, name, f"http://127.0.0.1:{port}/?{QUERY}")
                    page.context.close()
                page = browser.new_context(
                    viewport={"width": 1440, "height": 900}, color_scheme="dark"
                ).new_page()
                tour(page, port)
                long_work(page, port)
        finally:
            desk.send_signal(signal.SIGTERM)
            desk.wait(30)


def _come_up(page: Page, port: int) -> None:
    """Wait for the server's first answer."""
    for attempt in range(120):
        try:
            page.request.get(f"http://127.0.0.1:{port}/healthz", timeout=1_000)
            return
        except Error:
            if attempt == 119:
                raise
            page.wait_for_timeout(500)


if __name__ == "__main__":
    main()
