"""A scan of a whole market as the desk does it: its time, its memory, what others wait for it.

By itself (`python -m benchmarks.scanning`) it measures only that.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from app import create_app
from benchmarks.prefilled import prefill
from core.job_spec import read_job_spec
from core.radar import radar
from core.scan import QUARTERS, Tile, plan_tiles
from core.settings import Settings
from core.tiles import engle_granger_blocks
from core.types import FloatArray
from ingest.analysis.executor import open_executor
from ingest.analysis.jobs import CHILD_ENVIRON
from ingest.store import jobs
from ingest.store.engine import open_engine
from ingest.store.reader import Reader
from ingest.store.transaction import Writer

ROOT = Path(__file__).resolve().parent.parent
SYMBOLS, ROWS = 400, 1_440
WINDOW, HEDGE_WINDOW = 120, 600
MARKETS = (400, 1_000)
RUNS, FEW_RUNS = 5, 3
PAUSE_S = 0.1
ALONE = 30
"""Requests that are timed without a scan beside them."""


def measure_scanning() -> list[tuple[str, str]]:
    """What the tests, a scan and the radar take, and a request beside a scan."""
    radars = (_radar(count, share) for count, share in ((400, 0.0), (400, 0.03)))
    return [*_tested(), *_scanned(), *radars]


def _tested() -> list[tuple[str, str]]:
    """The tests alone, in a process set up as that of a scan."""
    told = subprocess.run(
        [sys.executable, "-m", __name__, *map(str, MARKETS)],
        cwd=ROOT, env=os.environ | CHILD_ENVIRON, check=True, text=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    rows = []
    for symbols, line in zip(MARKETS, told.stdout.splitlines(), strict=True):
        whole_s, quarters_s = map(float, line.split())
        words = f"{symbols:,} symbols, {symbols * (symbols - 1):,} regressions of {ROWS:,} bars"
        rows.append((f"tests of {words}", f"{whole_s:.2f} s"))
        rows.append(("the same on each quarter of the bars", f"{quarters_s:.2f} s"))
    return rows


def _time_tests(symbols: int) -> tuple[float, float]:
    """Seconds that every pair takes on all rows, and on each quarter of them."""
    logs = _walks(symbols, ROWS)
    with open_executor(None) as executor:
        tiles = plan_tiles(logs, executor.cores)

        def best_s(parts: int) -> float:
            pieces = np.array_split(logs, parts, axis=1)
            best = np.inf
            for _ in range(FEW_RUNS):
                began = time.perf_counter()
                for _ in executor.run(_test_tile, pieces, tiles):
                    pass
                best = min(best, time.perf_counter() - began)
            return best

        return best_s(1), best_s(QUARTERS)


def _test_tile(pieces: Sequence[FloatArray], tile: Tile) -> None:
    for logs in pieces:
        first, second = logs[tile.first], logs[tile.second]
        wanted = np.ones((len(first), len(second)), dtype=np.bool_)
        engle_granger_blocks(first, second, np.triu(wanted, 1) if tile.is_diagonal else wanted)


def _scanned() -> list[tuple[str, str]]:
    names = [f"S{number:03d}USDT" for number in range(SYMBOLS)]
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'market.db'}"
        prefill(url, names, bars={"1m": ROWS})
        reader, writer = Reader(url), Writer(open_engine(url))
        client = create_app(Settings.from_mapping({"DATABASE_URL": url}), reader).server
        asked = f"/analytics/pair?symbol_a={names[0]}&symbol_b={names[1]}&bars=700&entry_z="
        number = 0

        def request_ms() -> float:
            nonlocal number
            number += 1
            began = time.perf_counter()
            answer = client.test_client().get(f"{asked}{2 + number / 1e4}")
            assert answer.status_code == 200, answer.get_data(as_text=True)
            return (time.perf_counter() - began) * 1e3

        _run_job(url, reader, writer, lambda: None)  # compiles
        request_ms()
        alone = [request_ms() for _ in range(ALONE)]
        beside: list[float] = []

        def ask() -> None:
            beside.append(request_ms())
            time.sleep(PAUSE_S)

        scan_s, job_s, peak_mb = _run_job(url, reader, writer, ask)
        reader.close()
        writer.close()
    pairs = SYMBOLS * (SYMBOLS - 1) // 2
    return [
        (f"scan of {pairs:,} pairs of {ROWS:,} bars, every column", f"{scan_s:.2f} s"),
        ("its whole job, from reading bars to keeping what was found", f"{job_s:.1f} s"),
        ("its process at most", f"{peak_mb:.0f} MB"),
        ("a pair computed anew, p95, alone", f"{np.quantile(alone, 0.95):.1f} ms"),
        (
            f"a pair computed anew, p95 of {len(beside)}, beside a scan",
            f"{np.quantile(beside, 0.95):.1f} ms",
        ),
    ]


def _run_job(
    url: str, reader: Reader, writer: Writer, meanwhile: Callable[[], None]
) -> tuple[float, float, float]:
    """Have a scan done by a process of its own; seconds of the scan and of the job, MB at most."""
    spec = read_job_spec({"kind": "scan", "timeframe": "1m", "bars": ROWS}, Settings())
    with writer.transaction() as tx:
        jobs.ask(tx, spec, "bench", 0)
        claimed = jobs.claim(tx, "scan", 0)
    assert claimed is not None
    environ = {"DATABASE_URL": url, "SOURCE": "binance", **CHILD_ENVIRON}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "ingest", "job", str(claimed[0])],
        cwd=ROOT,
        env=os.environ | environ,
        stderr=subprocess.DEVNULL,
    )
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        meanwhile()
        time.sleep(0.01)
    job_s = time.perf_counter() - began
    process.returncode = 0
    done = reader.newest_scan("1m")
    assert done is not None
    return done.head["elapsed_s"], job_s, ended[2].ru_maxrss / 1_024


def _walks(symbols: int, rows: int, missing: float = 0.0) -> FloatArray:
    rng = np.random.default_rng(5)
    logs: FloatArray = 4 + rng.normal(0, 1e-3, (symbols, rows)).cumsum(axis=1)
    logs[rng.random(logs.shape) < missing] = np.nan
    return logs


def _radar(symbols: int, missing: float) -> tuple[str, str]:
    logs = _walks(symbols, HEDGE_WINDOW + WINDOW + 1, missing)
    best = np.inf
    for _ in range(RUNS):
        began = time.perf_counter()
        radar(logs, window=WINDOW, hedge_window=HEDGE_WINDOW)
        best = min(best, time.perf_counter() - began)
    words = "with missing bars" if missing else "whole"
    return f"z of every pair of {symbols} symbols, {words}", f"{1e3 * best:.0f} ms"


if __name__ == "__main__":
    if sys.argv[1:]:
        for count in sys.argv[1:]:
            print(*_time_tests(int(count)), flush=True)
    else:
        for job, figure in measure_scanning():
            print(f"| {job} | {figure} |", flush=True)
