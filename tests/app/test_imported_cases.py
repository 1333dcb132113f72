"""Files that others reported, from the import to the answer of a real server."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from core.signals import HALTED_ROWS
from tests.support.waiting import HANG_S

ROOT = Path(__file__).resolve().parents[2]
START_MS, HOUR = 1_704_067_200_000, 3_600_000
ROWS, STILL = 360, 60
"""Hours, of which the last ones of one leg have no trade: since 2024-01-13 12:00."""
NAME = "币安人生USDT"
# The desk's own worker class and app, without the processes beside it.
CONFIG = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from ingest.process.web_worker import WholeRequestWorker

worker_class = WholeRequestWorker
control_socket_disable = True
loglevel = "warning"

def when_ready(server):
    print("port", server.LISTENERS[0].sock.getsockname()[1], flush=True)
"""


def kline_rows(phase: float, still: int = 0) -> str:
    """An official file's rows; the last ones of no trade."""
    lines = []
    close = 10.0
    for row in range(ROWS):
        open_ms = START_MS + row * HOUR
        before = close
        traded = 5 if row < ROWS - still else 0
        if traded:
            close = round(10.0 + 0.4 * math.sin(row / 9.0 + phase) + 0.02 * (row * 7 % 11), 8)
        high, low, volume = max(before, close), min(before, close), 3.0 * bool(traded)
        lines.append(
            f"{open_ms},{before},{high},{low},{close},{volume},{open_ms + HOUR - 1},"
            f"{volume * close},{traded},{volume / 2},{volume * close / 2},0"
        )
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A desk on what was imported by the command line, under gunicorn."""
    folder = tmp_path_factory.mktemp("imported")
    files = {"AAAUSDT": kline_rows(0.0), "HALTUSDT": kline_rows(0.6, STILL), NAME: kline_rows(0.3)}
    for name, rows in files.items():
        (folder / f"{name}-1h-2024-01.csv").write_text(rows)
    config = folder / "conf.py"
    config.write_text(CONFIG)
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"sqlite:///{folder}/market.db",
        "SOURCE": "binance",
    }
    command = [sys.executable, "-m", "ingest", "import"]
    paths = [str(path) for path in sorted(folder.glob("*.csv"))]
    done = subprocess.run(
        [*command, *paths], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", str(config), "-b", "127.0.0.1:0", "wsgi:server"],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("port "), line
        url = f"http://127.0.0.1:{line.split()[1]}"
        with httpx.Client(base_url=url, trust_env=False, timeout=HANG_S) as client:
            yield client
    finally:
        server.terminate()
        server.communicate(timeout=HANG_S)


def test_leg_that_has_stopped_is_named_and_nothing_is_entered(served: httpx.Client) -> None:
    asked = "symbol_a=AAAUSDT&symbol_b=HALTUSDT&timeframe=1h&window=60&hedge_window=120&bars=300"
    answer = served.get(f"/analytics/pair?{asked}&entry_z=0.5&exit_z=0.1").json()
    stopped = "HALTUSDT has not traded since 2024-01-13 12:00:00 UTC"
    assert answer["signal_note"] == f"no entry: {stopped}"
    assert answer["signal"] == "flat"
    assert answer["zscore"] is None
    assert answer["zscore_provisional"] is None
    assert set(answer["zscores"].values()) == {None}
    assert f"zscore: {stopped}" in answer["warnings"]
    series, trades = answer["series"], answer["backtest"]["trades"]
    halted = STILL - HALTED_ROWS
    # The rows' z goes on over the leg that stands still, and nobody may act on it.
    assert max(abs(z) for z in series["zscore"][-halted:]) > 0.5
    assert set(series["position"][-halted:]) == {0}
    assert trades
    assert all(trade["entry_time"] < "2024-01-13T12:00:00Z" for trade in trades)


@pytest.mark.parametrize("name", ["trades", "equity"])
def test_csv_of_a_symbol_in_any_script_leaves_the_server(served: httpx.Client, name: str) -> None:
    asked = f"symbol_a={quote(NAME)}&symbol_b=AAAUSDT&timeframe=1h&window=10&bars=20"
    response = served.get(f"/analytics/pair/{name}.csv?{asked}")
    assert response.status_code == 200, response.text
    header = response.headers["Content-Disposition"]
    assert f"filename*=UTF-8''{quote(NAME)}-AAAUSDT-1h-{name}.csv" in header
    assert response.headers["Content-Type"].startswith("text/csv")
    assert len(response.text.splitlines()) >= 1
    listed = json.loads(served.get("/api/symbols").content)["symbols"]
    assert NAME in [one["symbol"] for one in listed]
