"""A desk under load, on loopback, with a server of its own: gunicorn, worker, analyst, exchange.

`make load` takes some ten minutes. LOAD_SECONDS, LOAD_CLIENTS and LOAD_DEAR make it smaller.
The history is written into the store before; the exchange is the blaster, which costs next to
nothing beside what is measured.
"""

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import combinations
from pathlib import Path
from socket import socket
from typing import Any

from benchmarks.dashboards import Connection, Dashboard, Tally, open_all, post_request
from benchmarks.prefilled import prefill

ROOT = Path(__file__).resolve().parent.parent
SECONDS = float(os.environ.get("LOAD_SECONDS", "120"))
CLIENTS = int(os.environ.get("LOAD_CLIENTS", "500"))
SECOND_PAIRS = 64
BESIDE_CLIENTS = min(CLIENTS, 64)
JOBS: Mapping[str, dict[str, Any]] = {
    "sweeps": {
        "kind": "sweep", "symbol_a": "S000USDT", "symbol_b": "S001USDT", "timeframe": "1m",
        "window_values": "40 to 400 by 20", "entry_z_values": "1 to 4 by 0.1",
        "exit_z_values": "-0.5, 0, 0.5", "hedge_values": "ols, kalman, ratio, shrunk, returns",
    },
    "scans": {"kind": "scan", "timeframe": "1m", "bars": 10_000},
}  # fmt: skip
"""Nine thousand combinations with a walk-forward; all pairs of long histories."""
TRADES_PER_S = 500
"""Of all symbols together."""
SYMBOLS = [f"S{number:03d}USDT" for number in range(20)]
EXCHANGE_S = 1_800.0
"""Longer than all takes: it is stopped."""
API_CALLERS, API_PAUSE_S = 2, 0.2
READY_S = 180.0
DEAR, DEAR_EACH = int(os.environ.get("LOAD_DEAR", "1000")), 10
"""Distinct requests whose answers don't all fit into the caches, and how many a client asks."""
DEAR_AT_ONCE, LOOKS = 4, 4
COMPARED_S, COMPARED_TURNS, COMPARED_ASKERS, ADDRESSES_EACH = 1.0, 5, 4, 16


def free_port() -> int:
    """A port that nobody listens on."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def own_address(number: int) -> str:
    """One of the loopback's addresses: limits count each client for itself."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


@contextmanager
def running(command: Sequence[str], log: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours until the end of the block."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environ, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def serving(application: str, port: int, log: Path, **environ: str) -> Iterator[int]:
    """Gunicorn as a desk is served; yields its pid."""
    command = [sys.executable, "-m", "gunicorn", application]
    if application != "wsgi:server":
        # The desk's own configuration starts a worker; the same numbers without it.
        kind = ("--worker-class", "gthread", "--workers", "2", "--threads", "8")
        command += ["--config", "python:benchmarks", "--bind", f"127.0.0.1:{port}", *kind]
        command += ["--keep-alive", "15", "--preload", "--no-control-socket"]
    with running(command, log, PORT=str(port), HOST="127.0.0.1", **environ) as process:
        yield process.pid


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def web_workers(master: int) -> dict[int, float]:
    """Memory in MB of each of gunicorn's workers."""
    return {
        pid: _kilobytes(pid, "Rss") / 1_024
        for pid in children(master)
        if b"ingest" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    }


def whole_desk(pid: int) -> float:
    """Memory in MB of a process and all below it, what several share counted once."""
    return _kilobytes(pid, "Pss") / 1_024 + sum(map(whole_desk, children(pid)))


def _kilobytes(pid: int, what: str) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))


def cpu_s(pids: Iterable[int]) -> float:
    """Seconds of a core that processes have taken so far."""
    stats = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids)
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")


async def wait_until_live(port: int) -> None:
    """Wait until trades come in as asked and all history is there: what comes is not a start's."""
    deadline = time.monotonic() + READY_S
    status: dict[str, Any] = {}
    while time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        connection = Connection(port)
        try:
            status = (await connection.get("/api/status")).json()
        except (OSError, ValueError):
            continue
        finally:
            connection.close()
        history = status["backfill"] or {"done": 0, "total": 1}
        is_fetched = history["done"] >= history["total"] > 0
        if is_fetched and (status["feed"]["trades_per_s"] or 0) > 0.9 * TRADES_PER_S:
            return
    raise TimeoutError(f"not live after {READY_S:.0f} s: {status.get('feed')}")


def stored_trades(database: Path) -> int:
    """How many trades have arrived so far."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        return int(opened.execute("SELECT count(*) FROM trades").fetchone()[0])


async def call_api(
    port: int, address: str, queries: Sequence[str], until: float, tally: Tally
) -> None:
    """Ask for pairs as a program does, one after the other."""
    connection, number = Connection(port, address), 0
    while time.monotonic() < until:
        number += 1
        answer = await connection.get(f"/analytics/pair?points=1&{queries[number % len(queries)]}")
        tally.milliseconds.append(answer.milliseconds)
        if answer.status != 200:
            tally.errors.append(f"/analytics/pair: {answer.status}")
        await asyncio.sleep(API_PAUSE_S)
    connection.close()


async def load(
    port: int, queries: Sequence[str], clients: int, pids: Sequence[int]
) -> tuple[Tally, Tally, float]:
    """Open that many dashboards, let them tick, and API callers beside them.

    The last value is how many seconds of a core these processes took meanwhile.
    """
    ticks, calls = Tally(), Tally()
    dashboards = [
        Dashboard(port, own_address(number), queries[number % len(queries)], ticks)
        for number in range(clients)
    ]
    await open_all(dashboards)
    until, began_s = time.monotonic() + SECONDS, cpu_s(pids)
    await asyncio.gather(
        *(dashboard.run(until, number / clients) for number, dashboard in enumerate(dashboards)),
        *(
            call_api(port, own_address(clients + number), queries, until, calls)
            for number in range(API_CALLERS)
        ),
    )
    spent_s = cpu_s(pids) - began_s
    for dashboard in dashboards:
        dashboard.close()
    return ticks, calls, spent_s


async def answers_per_s(port: int, path: str, more: str = "") -> float:
    """How often a path is answered while a few connections ask as fast as they can."""
    until = time.perf_counter() + COMPARED_S

    async def ask(first: int) -> int:
        numbers = range(first, first + ADDRESSES_EACH)
        connections = [Connection(port, own_address(number)) for number in numbers]
        count = 0
        while time.perf_counter() < until:
            answer = await connections[count % ADDRESSES_EACH].get(path, more)
            assert answer.status == 200, answer.body[:200]
            count += 1
        for connection in connections:
            connection.close()
        return count

    askers = range(0, COMPARED_ASKERS * ADDRESSES_EACH, ADDRESSES_EACH)
    return sum(await asyncio.gather(*map(ask, askers))) / COMPARED_S


async def ask_dearly(port: int, queries: Sequence[str], numbers: Iterable[int]) -> None:
    """Ask for answers that are all different, long and dear."""
    for number in numbers:
        connection = Connection(port, own_address(number // DEAR_EACH))
        window, entry_z = 100 + number % 1_000, 2 + number // 1_000 / 10
        path = (
            f"/analytics/pair?{queries[number % len(queries)]}&window={window}&entry_z={entry_z}"
            "&hedge=kalman&points=5000&bars=8000"
        )
        answer = await connection.get(path, "Accept-Encoding: gzip\r\n")
        assert answer.status == 200, answer.body[:200]
        connection.close()


def row(name: str, tally: Tally, cpu_ms: float | None, seconds: float = SECONDS) -> str:
    """A line of the table."""
    p50, p95, p99 = (tally.quantile(share) for share in (0.5, 0.95, 0.99))
    rate, errors = len(tally.milliseconds) / seconds, len(tally.errors)
    cpu = "" if cpu_ms is None else f"{cpu_ms:.2f}"
    return f"| {name} | {rate:,.0f} | {p50:.1f} | {p95:.1f} | {p99:.1f} | {cpu} | {errors} |"


async def phase(
    name: str, port: int, master: int, queries: Sequence[str], clients: int
) -> dict[int, float]:
    """Load and report; the memory of each web worker after it."""
    pids = list(web_workers(master))
    ticks, calls, spent_s = await load(port, queries, clients, pids)
    print(row(f"{name}: ticks", ticks, 1e3 * spent_s / max(1, len(ticks.milliseconds))))
    print(row(f"{name}: API beside them", calls, None), flush=True)
    if ticks.reloads:
        print(f"  {ticks.reloads} whole screens asked for again")
    for words in dict.fromkeys(ticks.errors[:3] + calls.errors[:3]):
        print(f"  {words}", flush=True)
    return web_workers(master)


async def keep_at(port: int, job: dict[str, Any], ended: asyncio.Event) -> None:
    """Have the same job done again and again, the last one to its end."""
    connection = Connection(port)
    while not ended.is_set():
        asked = (await connection.ask(post_request(port, "/api/jobs", job))).json()
        while asked["state"] in ("queued", "running"):
            await asyncio.sleep(0.5)
            asked = (await connection.get(f"/api/jobs/{asked['id']}")).json()
    connection.close()


async def jobs_done(port: int, kind: str) -> int:
    """How many were done."""
    connection = Connection(port)
    jobs = (await connection.get(f"/api/jobs?kind={kind}&limit=200")).json()["jobs"]
    connection.close()
    return sum(job["state"] == "done" for job in jobs)


async def phase_beside(
    what: str, port: int, master: int, queries: Sequence[str]
) -> dict[int, float]:
    """The same while jobs run."""
    job, ended = JOBS[what], asyncio.Event()
    before = await jobs_done(port, job["kind"])
    running = asyncio.create_task(keep_at(port, job, ended))
    name = f"1m bars, {BESIDE_CLIENTS} while {what} run"
    size = await phase(name, port, master, queries, BESIDE_CLIENTS)
    ended.set()
    await running
    print(f"  {await jobs_done(port, job['kind']) - before} {what} done beside it", flush=True)
    return size


async def compare(port: int, folder: Path) -> None:
    """`/analytics/pair` as it is kept, beside a bare Flask route that returns the same bytes."""
    path = f"/analytics/pair?symbol_a={SYMBOLS[0]}&symbol_b={SYMBOLS[1]}"
    connection = Connection(port)
    content = folder / "answer.json"
    content.write_bytes((await connection.get(path)).body)
    connection.close()
    bare = free_port()
    with serving(f'benchmarks.bare:make_server("{content}")', bare, folder / "bare.log"):
        await asyncio.sleep(3.0)
        ours, theirs = [], []
        for _ in range(COMPARED_TURNS):
            ours.append(await answers_per_s(port, path))
            theirs.append(await answers_per_s(bare, path))
    share = sum(ours) / sum(theirs)
    print(
        f"\n/analytics/pair, {content.stat().st_size / 1e3:.0f} kB, asked again:"
        f" {max(ours):,.0f}/s; a bare Flask route with the same bytes: {max(theirs):,.0f}/s;"
        f" {share:.2f} of it",
        flush=True,
    )


async def measure(port: int, master: int, folder: Path, database: Path) -> None:
    """Wait for the feed, then every phase in turn."""
    await wait_until_live(port)
    pairs = [f"symbol_a={a}&symbol_b={b}" for a, b in combinations(SYMBOLS, 2)]
    print(f"{CLIENTS} dashboards of {len(pairs)} pairs, {SECONDS:.0f} s a phase\n")
    print("| phase | answers/s | p50 ms | p95 ms | p99 ms | web CPU ms | errors |")
    print("|---|---|---|---|---|---|---|")
    trades, began, sizes = stored_trades(database), time.monotonic(), [web_workers(master)]
    sizes.append(await phase("1m bars", port, master, pairs, CLIENTS))
    seconds = [f"{pair}&timeframe=1s" for pair in pairs[:SECOND_PAIRS]]
    name = f"1s bars, {SECOND_PAIRS} pairs"
    sizes.append(await phase(name, port, master, seconds, SECOND_PAIRS))
    for what in JOBS:
        sizes.append(await phase_beside(what, port, master, pairs))
    rate = (stored_trades(database) - trades) / (time.monotonic() - began)
    print(f"\ntrades stored beside it: {rate:,.0f}/s")
    print(f"web workers, MB, before and after each phase: {memory(sizes)}")
    print(f"the whole desk, MB, what is shared counted once: {whole_desk(master):.0f}", flush=True)
    await compare(port, folder)
    sizes = []
    for look in range(LOOKS):
        numbers = range(look * DEAR // LOOKS, (look + 1) * DEAR // LOOKS)
        await asyncio.gather(
            *(ask_dearly(port, pairs, numbers[part::DEAR_AT_ONCE]) for part in range(DEAR_AT_ONCE))
        )
        sizes.append(web_workers(master))
    print(f"web workers, MB, after each quarter of {DEAR:,} dear requests: {memory(sizes)}")


def memory(sizes: Sequence[Mapping[int, float]]) -> str:
    """Megabytes of each worker, from one time to the next."""
    return "; ".join(", ".join(f"{size.get(pid, 0):.0f}" for size in sizes) for pid in sizes[-1])


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        database = folder / "market.db"
        url = f"sqlite:///{database}"
        prefill(url, SYMBOLS)
        exchange_log = folder / "exchange.log"
        command = [sys.executable, "-m", "benchmarks.blaster", str(TRADES_PER_S)]
        with running([*command, str(EXCHANGE_S), str(len(SYMBOLS))], exchange_log):
            exchange = first_line(exchange_log)
            with serving(
                "wsgi:server",
                port,
                folder / "desk.log",
                DATABASE_URL=url,
                SOURCE="binance",
                WEB_CONCURRENCY="2",
                SYMBOLS=",".join(SYMBOLS),
                BINANCE_WS_URL=f"ws://127.0.0.1:{exchange}",
                BINANCE_REST_URL=f"http://127.0.0.1:{exchange}",
            ) as master:
                asyncio.run(measure(port, master, folder, database))
    return 0


def first_line(path: Path) -> str:
    """What a process of ours says first."""
    deadline = time.monotonic() + READY_S
    while "\n" not in (text := path.read_text()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path.name} is empty")
        time.sleep(0.05)
    return text.partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
