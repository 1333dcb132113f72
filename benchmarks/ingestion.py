"""Ingestion end to end: frames on a socket to durable trades and 1s bars, by the real worker."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from app import create_app
from core.settings import Settings
from core.timeframes import TIMEFRAMES
from core.types import Trade
from ingest.binance.answers import SymbolInfo
from ingest.binance.frames import parse_frame
from ingest.store import market
from ingest.store.engine import migrate, open_engine
from ingest.store.market import FeedCursor
from ingest.store.reader import Reader
from ingest.store.transaction import Writer

ROOT = Path(__file__).resolve().parent.parent
RATE, SECONDS, SYMBOLS = 75_000, 8.0, 20
LATENCY_RATE, LATENCY_SECONDS = 5_000, 20.0
MEMORY_RATE, MEMORY_SECONDS, MEMORY_SYMBOLS = 2_000, 20.0, 100
TWIN_S = 2.0
POLL_S = 0.03
WARM_UP = 3
"""Bars until everything has been used once."""
CAUGHT_UP_S = 20.0
START_S = 60.0


class Run(NamedTuple):
    """What one run of the worker did."""

    sent: int
    stored: int
    bars: int
    seconds: float
    """From the first trade's time to the last one's being durable."""
    behind_s: float
    """From the last trade's time to its being durable."""
    cpu_share: float
    rss_mb: float
    dropped: int


class Desk:
    """A blaster on one core, a worker on another, and the database between."""

    def __init__(self, folder: Path, rate: int, seconds: float, symbols: int) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.path = folder / "market.db"
        self.url = f"sqlite:///{self.path}"
        self.symbols = [f"S{number:03d}USDT" for number in range(symbols)]
        migrate(self.url)
        command = [sys.executable, "-m", "benchmarks.blaster"]
        self.blaster = subprocess.Popen(
            [*command, str(rate), str(seconds), str(symbols)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(self.blaster.pid, cores[-1:])
        port = self._line()
        environ = os.environ | {
            "DATABASE_URL": self.url,
            "SOURCE": "binance",
            "SYMBOLS": ",".join(self.symbols),
            "BINANCE_WS_URL": f"ws://127.0.0.1:{port}",
            "BINANCE_REST_URL": f"http://127.0.0.1:{port}",
        }
        self.log = (folder / "worker.log").open("w")
        self.worker = subprocess.Popen(
            [sys.executable, "-m", "ingest"], cwd=ROOT, env=environ, stderr=self.log
        )
        os.sched_setaffinity(self.worker.pid, cores[:1])

    def _line(self) -> str:
        assert self.blaster.stdout is not None
        return self.blaster.stdout.readline().strip()

    def wait_until_sent(self) -> tuple[int, int]:
        """The number of trades sent, and the first one's time."""
        _, count, start_ms, _ = self._line().split()
        return int(count), int(start_ms)

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.worker.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self, field: str = "VmHWM") -> float:
        """The worker's peak memory; `VmRSS` for what it has now."""
        for line in Path(f"/proc/{self.worker.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1_024
        return 0.0

    def wait_for_first_trade(self) -> None:
        deadline = time.monotonic() + 60.0
        while not self.ask("SELECT count(*) FROM (SELECT 1 FROM trades LIMIT 1)"):
            if time.monotonic() > deadline:
                raise TimeoutError("no trade within a minute")
            time.sleep(0.02)

    def wait_until_stored(self, sent: int) -> None:
        """Every trade was given an id, so the last ids tell when all is stored."""
        last_id = sent // len(self.symbols)
        all_there = f"SELECT count(*) FROM cursors WHERE last_id >= {last_id}"
        deadline = time.monotonic() + CAUGHT_UP_S
        while self.ask(all_there) < len(self.symbols) and time.monotonic() < deadline:
            time.sleep(0.01)

    def ask(self, sql: str) -> int:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as database:
            return int(database.execute(sql).fetchone()[0] or 0)

    def close(self) -> None:
        for process in (self.worker, self.blaster):
            process.send_signal(signal.SIGTERM)
        for process in (self.worker, self.blaster):
            with suppress(subprocess.TimeoutExpired):
                process.wait(10.0)
            process.kill()
            process.wait()
        if self.blaster.stdout is not None:
            self.blaster.stdout.close()
        self.log.close()


@contextmanager
def desk(rate: int, seconds: float, symbols: int) -> Iterator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="pairdesk-bench-"))
    running = Desk(folder, rate, seconds, symbols)
    try:
        yield running
    finally:
        running.close()
        shutil.rmtree(folder)


def measure_throughput(rate: int = RATE, seconds: float = SECONDS, symbols: int = SYMBOLS) -> Run:
    """Send at a rate for some seconds, and see when the last trade is durable."""
    with desk(rate, seconds, symbols) as running:
        running.wait_for_first_trade()
        cpu, began = running.cpu_s(), time.monotonic()
        sent, start_ms = running.wait_until_sent()
        share = (running.cpu_s() - cpu) / (time.monotonic() - began)
        running.wait_until_stored(sent)
        done = time.time()
        time.sleep(1.5)
        return Run(
            sent=sent,
            stored=running.ask("SELECT count(*) FROM trades"),
            bars=running.ask("SELECT count(*) FROM bars WHERE timeframe_ms = 1000"),
            seconds=done - start_ms / 1_000,
            behind_s=done - start_ms / 1_000 - sent / rate,
            cpu_share=share,
            rss_mb=running.rss_mb(),
            dropped=running.ask("SELECT json_extract(payload, '$.dropped') FROM process_status"),
        )


class Memory(NamedTuple):
    """What a worker's memory did while trades came in."""

    rss_mb: list[float]
    """Once a second."""
    sent: int
    stored: int


def measure_memory(
    rate: int = MEMORY_RATE, seconds: float = MEMORY_SECONDS, symbols: int = MEMORY_SYMBOLS
) -> Memory:
    """Look at the worker's memory every second, from the first trade to the last."""
    with desk(rate, seconds, symbols) as running:
        running.wait_for_first_trade()
        samples: list[float] = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            samples.append(running.rss_mb("VmRSS"))
            time.sleep(1.0)
        sent, _ = running.wait_until_sent()
        running.wait_until_stored(sent)
        return Memory(samples, sent, running.ask("SELECT count(*) FROM trades"))


def measure_latency(
    rate: int = LATENCY_RATE, seconds: float = LATENCY_SECONDS, symbols: int = SYMBOLS
) -> list[float]:
    """Milliseconds from the end of each 1s bar to its being in `/analytics/pair`, sorted."""
    with desk(rate, seconds, symbols) as running:
        settings = Settings.from_mapping({"DATABASE_URL": running.url, "SOURCE": "binance"})
        reader = Reader(running.url)
        client = create_app(settings, reader).server.test_client()
        leg_a, leg_b = running.symbols[:2]
        query = f"symbol_a={leg_a}&symbol_b={leg_b}&timeframe=1s&bars=60&window=20&points=0"
        late: list[float] = []
        seen: str | None = None
        started = None
        # The last second of the stream has no later trade to tell that it is over.
        while started is None or time.monotonic() - started < seconds - 2.0:
            answer = client.get(f"/analytics/pair?{query}")
            arrived = time.time()
            as_of = (answer.get_json() or {}).get("as_of") if answer.status_code == 200 else None
            if as_of is not None and as_of != seen:
                end = datetime.fromisoformat(as_of).timestamp()
                started = started or time.monotonic()
                late.append((arrived - end) * 1_000)
                seen = as_of
            time.sleep(POLL_S)
        reader.close()
        return sorted(late[WARM_UP:])


def measure_start() -> dict[str, float]:
    """Seconds from a worker's start without any history to a z on the API, a timeframe each.

    Of the default pair with default parameters; the exchange is the simulated one.
    """
    folder = Path(tempfile.mkdtemp(prefix="pairdesk-bench-"))
    given = {"DATABASE_URL": f"sqlite:///{folder}/market.db", "SOURCE": "simulated"}
    settings = Settings.from_mapping(given)
    url = settings.resolved_database_url(ROOT)
    migrate(url)
    reader = Reader(url)
    app = create_app(settings, reader)
    app.server.extensions["pairdesk"].kernels.warm_up()
    client, found = app.server.test_client(), dict[str, float]()
    began = time.monotonic()
    worker = subprocess.Popen(
        [sys.executable, "-m", "ingest"],
        cwd=ROOT,
        env=os.environ | given,
        stderr=subprocess.DEVNULL,
    )
    try:
        while len(found) < len(TIMEFRAMES) and time.monotonic() - began < START_S:
            for timeframe in TIMEFRAMES.keys() - found.keys():
                answer = client.get(f"/analytics/pair?timeframe={timeframe}&points=0")
                if answer.status_code == 200 and answer.get_json()["zscore"] is not None:
                    found[timeframe] = time.monotonic() - began
            time.sleep(POLL_S)
    finally:
        worker.terminate()
        worker.wait()
        reader.close()
        shutil.rmtree(folder)
    return found


def measure_twin(seconds: float = TWIN_S) -> float:
    """Trades a second when each one is parsed, inserted and committed by itself."""
    folder = Path(tempfile.mkdtemp(prefix="pairdesk-bench-"))
    url = f"sqlite:///{folder}/market.db"
    migrate(url)
    writer = Writer(open_engine(url, checkpoints=True))

    from benchmarks.blaster import Blaster

    frames = Blaster(1_000, 10.0, 1)
    frames.start_ms = 1_700_000_000_000
    raws = [frames.frame(number)[4:] for number in range(10_000)]
    with writer.transaction() as tx:
        listed = SymbolInfo("S000USDT", "S000", "USDT", "TRADING")
        key = market.ensure_symbols(tx, [listed])[listed.symbol]
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds and count < len(raws):
        trade = parse_frame(raws[count], only="aggTrade")
        assert isinstance(trade, Trade)
        with writer.transaction() as tx:
            market.insert_trades(tx, key, [trade])
            market.save_cursor(
                tx,
                key,
                FeedCursor(
                    trade.trade_id, trade.price, trade.event_time_ms, 0, trade.trade_time_ms
                ),
            )
        count += 1
    spent = time.perf_counter() - began
    writer.close()
    shutil.rmtree(folder)
    return count / spent


def measure_ingestion() -> Iterator[tuple[str, str]]:
    """What `python -m benchmarks` prints: a job and its figure, about a minute in all."""
    run = measure_throughput()
    twin = measure_twin()
    if run.stored < run.sent:
        yield f"{run.sent:,} trades sent in {SECONDS:.0f} s", f"only {run.stored:,} stored"
    achieved = run.stored / run.seconds
    yield "trades/s, socket to durable row and 1s bar, worker on one core", f"{achieved:,.0f}"
    yield "  of that core", f"{run.cpu_share:.0%}"
    yield "  last trade to durable", f"{run.behind_s * 1_000:,.0f} ms"
    yield "  dropped", f"{run.dropped:,}"
    yield "  worker's peak memory", f"{run.rss_mb:,.0f} MB"
    memory = measure_memory()
    name = f"worker's memory at {MEMORY_RATE:,} trades/s of {MEMORY_SYMBOLS} symbols, at most"
    yield name, f"{max(memory.rss_mb):,.0f} MB"
    yield "trades/s with a commit a trade", f"{twin:,.0f} ({achieved / twin:,.0f}× fewer)"
    late = measure_latency()
    if late:
        median, high = late[len(late) // 2], late[len(late) * 99 // 100]
        name = f"end of a 1s bar to /analytics/pair at {LATENCY_RATE:,} trades/s, p50 / p99"
        yield name, f"{median:,.0f} / {high:,.0f} ms"
    started = measure_start()
    for timeframe in TIMEFRAMES:
        took_s = started.get(timeframe)
        figure = f"not within {START_S:.0f} s" if took_s is None else f"{took_s:.1f} s"
        yield f"a worker's start without history to a z at {timeframe} on the API", figure


if __name__ == "__main__":
    for job, figure in measure_ingestion():
        print(f"{job}: {figure}")
