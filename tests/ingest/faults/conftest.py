"""A whole worker against a simulated exchange that misbehaves; the exchange's ledger judges."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from math import isclose
from pathlib import Path
from typing import Any

import pytest

from core.errors import StoreError
from core.settings import Settings
from ingest.simulator import Ledger, SessionLimits, SimulatedExchange
from ingest.simulator.faults import Faults
from ingest.store.reader import Reader
from ingest.worker import Worker
from tests.support.exchange import exchange_in_a_thread
from tests.support.gaps import missing_ids
from tests.support.waiting import HANG_S, until, wait_until

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")
# History costs next to nothing at this rate; what is to be seen live comes as a burst.
RATE = 0.02
ROOT = Path(__file__).resolve().parents[3]
# Over all symbols; little enough for fifteen desks at once on a tenth of a core.
TRADES_PER_S, BUSY_S = 60.0, 600.0
SECOND, MINUTE = 1_000, 60_000


def stored_trades(path: Path, symbol: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        return database.execute(
            "SELECT trade_id, price, quantity, trade_time_ms, trades.first_id, trades.last_id,"
            " buyer_is_maker FROM trades JOIN symbols ON symbols.id = symbol_id"
            " WHERE symbol = ? ORDER BY trade_id",
            (symbol,),
        ).fetchall()


HISTORY_DAYS = 42
"""Less than a desk fetches: what is tried here is what comes in live."""


def judge(
    path: Path,
    ledger: Ledger,
    newest_ids: Mapping[str, int],
    told_before: Callable[[str], int] = lambda symbol: 0,
) -> dict[str, int]:
    """Hold what is stored up to these ids against the ledger; gives the number of trades.

    What came later may be a gap that the end of the worker has left to the next one.

    Parameters
    ----------
    told_before : how much lower ids were told than the ledger has them.
    """
    counts: dict[str, int] = {}
    for symbol, newest_id in newest_ids.items():
        stored = [row for row in stored_trades(path, symbol) if row[0] <= newest_id]
        assert stored, f"nothing stored of {symbol}"
        first, last = stored[0][0], stored[-1][0]
        before = told_before(symbol)
        told = ledger.trades(symbol, first + before, last - first + 1)
        expected = {
            t.trade_id - before: (
                *(t.trade_id - before, t.price, t.quantity, t.trade_time_ms),
                *(t.first_id, t.last_id, int(t.buyer_is_maker)),
            )
            for t in told
        }
        ids = [row[0] for row in stored]
        missing = sorted(set(expected).difference(ids))
        assert not missing, f"{symbol} lacks {len(missing)} of {len(expected)}: {missing[:5]}"
        assert len(ids) == len(expected), f"{symbol} has trades that were never made"
        wrong = [row for row in stored if row != expected[row[0]]]
        assert not wrong, f"{symbol}: {wrong[0]} is {expected[wrong[0][0]]} in the ledger"
        counts[symbol] = len(stored)
        judge_bars(path, ledger, symbol, told[-1].trade_time_ms)
    return counts


def judge_bars(path: Path, ledger: Ledger, symbol: str, until_ms: int) -> None:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        whole_from, closed_until = database.execute(
            "SELECT whole_from_ms, closed_until_ms FROM cursors JOIN symbols"
            " ON symbols.id = symbol_id WHERE symbol = ?",
            (symbol,),
        ).fetchone()
        for length in (SECOND, MINUTE):
            start = -(-whole_from // length) * length
            end = min(closed_until, until_ms) // length * length
            stored = database.execute(
                "SELECT open_time_ms, open, high, low, close, trade_count, complete, volume,"
                " taker_buy_volume, quote_volume FROM bars JOIN symbols ON symbols.id = symbol_id"
                " WHERE symbol = ? AND timeframe_ms = ? AND open_time_ms >= ? AND open_time_ms < ?"
                " AND complete ORDER BY open_time_ms",
                (symbol, length, start, end),
            ).fetchall()
            expected = ledger.bars(symbol, length, start, end)
            where = f"{symbol} {length} ms"
            assert [row[0] for row in stored] == [bar.open_time_ms for bar in expected], where
            for row, bar in zip(stored, expected, strict=True):
                prices = (bar.open_time_ms, *bar[1:5], bar.trade_count, 1)
                assert row[:7] == prices, (where, row, bar)
                sums = (bar.volume, bar.taker_buy_volume, bar.quote_volume)
                for mine, theirs in zip(row[7:], sums, strict=True):
                    assert isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-7), (where, row, bar)


class Desk:
    """A worker in this process, on a database of its own."""

    def __init__(self, path: Path, exchange: SimulatedExchange, symbols: Sequence[str]) -> None:
        self.path = path
        self.exchange = exchange
        self.symbols = tuple(symbols)
        self.reader = Reader(f"sqlite:///{path}")
        self._gaps_before = 0
        self._started_ms = time.time() * 1_000

    @property
    def faults(self) -> Faults:
        return self.exchange.faults

    @property
    def payload(self) -> dict[str, Any]:
        status = self.reader.status("worker")
        return {} if status is None else dict(status.payload)

    def is_complete(self) -> bool:
        """Whether this run's worker has all history."""
        status = self.reader.status("worker")
        return (
            status is not None
            and status.heartbeat_ms > self._started_ms
            and status.state == "running"
            and status.payload["backfill"]["message"] == "complete"
        )

    def last_id(self, symbol: str) -> int:
        stored = self.reader.symbol(symbol)
        return 0 if stored is None or stored.last_id is None else stored.last_id

    def newest_id(self, symbol: str) -> int:
        """The exchange's newest id now, as it is told."""
        newest = self.exchange.ledger.newest_trades(symbol, 1)[-1].trade_id
        return newest - self.faults.told_before(symbol)

    def gap_count(self) -> int:
        """Gaps of any kind that there ever were since the start was through."""
        gaps = self.reader.gaps(self.symbols, ("open", "filled", "unfillable"))
        return len(gaps) - self._gaps_before

    def begin(self) -> None:
        """Count gaps from here on."""
        self._gaps_before += self.gap_count()

    async def live(self) -> dict[str, int]:
        """Wait until every trade made up to now is stored, nothing missing; their newest ids."""
        newest = {symbol: self.newest_id(symbol) for symbol in self.symbols}

        def is_caught_up() -> bool:
            return all(self.last_id(symbol) >= newest[symbol] for symbol in self.symbols) and (
                not any(found.missing for found in missing_ids(self.reader).values())
            )

        await until(is_caught_up, "everything stored")
        return newest

    async def settled(self) -> dict[str, int]:
        """Wait until all is stored and the bars over it are closed; the newest ids of it."""
        newest = await self.live()
        now_ms = self.exchange.ledger.now_ms()

        def is_closed() -> bool:
            ranges = (self.reader.bar_range(symbol, SECOND) for symbol in self.symbols)
            return all(found is not None and found[1] + SECOND >= now_ms for found in ranges)

        await until(is_closed, "bars closed")
        return newest


class Desks:
    """Makes desks, each with an exchange of its own on one ledger; judges each at its end.

    A first worker fetches the history; every desk is a restart on a copy of what it stored.
    """

    def __init__(
        self, folder: Path, empty_database: bytes, clock: Callable[[], float] = time.time
    ) -> None:
        self.ledger = Ledger(7, RATE, clock)
        self._clock = clock
        self._busy_until = 0.0
        self._folder = folder
        self._empty_database = self._database = empty_database
        self._is_prepared = False
        self._preparing: asyncio.Lock | None = None
        self._count = 0

    def starting_at(self, time_s: float) -> "Desks":
        """Desks at another time, which passes from now on; their ledger is their own."""
        shift_s = time_s - time.time()
        folder = self._folder / f"at-{time_s:.0f}"
        folder.mkdir()
        return Desks(folder, self._empty_database, lambda: time.time() + shift_s)

    def trade(self) -> None:
        """Have trades for the next minutes at least; history is cheap to ask for."""
        if time.time() > self._busy_until - BUSY_S / 2:
            self.ledger.burst(TRADES_PER_S, BUSY_S, list(SYMBOLS))
            self._busy_until = time.time() + BUSY_S

    async def _keep_trading(self) -> None:
        while True:
            self.trade()
            await asyncio.sleep(10.0)

    async def _prepare(self) -> None:
        self._preparing = self._preparing or asyncio.Lock()
        async with self._preparing:
            if not self._is_prepared:
                self.trade()
                async with self._run(SYMBOLS, {}, lambda desk: None) as desk:
                    await desk.settled()
                with sqlite3.connect(desk.path) as database:
                    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                database.close()
                self._database = desk.path.read_bytes()
                self._is_prepared = True

    @asynccontextmanager
    async def open(
        self,
        *,
        symbols: Sequence[str] = SYMBOLS[:2],
        faults: Mapping[str, Any] | None = None,
        once_complete: Callable[[Desk], None] = lambda desk: None,
        **worker: Any,
    ) -> AsyncIterator[Desk]:
        """Start a worker, give it over when it is live, and judge what it has stored.

        Parameters
        ----------
        faults : of the exchange, from before the start on.
        once_complete : called when history is there, before anything is waited for that may have
            to do without those faults.
        """
        await self._prepare()
        trading = asyncio.create_task(self._keep_trading())
        try:
            async with self._run(symbols, faults or {}, once_complete, **worker) as desk:
                desk.begin()
                yield desk
                newest_ids = await desk.settled()
        finally:
            trading.cancel()
        judge(desk.path, self.ledger, newest_ids, desk.faults.told_before)

    @asynccontextmanager
    async def _run(
        self,
        symbols: Sequence[str],
        faults: Mapping[str, Any],
        once_complete: Callable[[Desk], None],
        **worker: Any,
    ) -> AsyncIterator[Desk]:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        path = folder / "market.db"
        path.write_bytes(self._database)
        exchange = SimulatedExchange(self.ledger, "127.0.0.1", SessionLimits())
        await exchange.start(0)
        for name, value in faults.items():
            setattr(exchange.faults, name, value)
        settings = Settings(
            database_url=f"sqlite:///{path}",
            source="binance",
            symbols=",".join(symbols),
            backfill_days=1,
            binance_rest_url=exchange.rest_url,
            binance_ws_url=exchange.ws_url,
        )
        running = Worker(settings, folder, **{"wall_clock": self._clock} | worker)
        task = asyncio.create_task(running.work())
        desk = Desk(path, exchange, symbols)
        try:
            await until(lambda: task.done() or desk.is_complete(), "history is there")
            once_complete(desk)
            await desk.live()
            yield desk
            running.stop()
            assert await task == 0
        finally:
            running.stop()
            await asyncio.gather(task, return_exceptions=True)
            desk.reader.close()
            await exchange.aclose()


@pytest.fixture(scope="module")
def desks(empty_database: bytes, tmp_path_factory: pytest.TempPathFactory) -> Desks:
    return Desks(tmp_path_factory.mktemp("desks"), empty_database)


class Processes:
    """Workers as processes on one database, against an exchange in a thread of this one."""

    def __init__(self, path: Path, exchange: SimulatedExchange) -> None:
        self.path = path
        self.exchange = exchange
        self.reader = Reader(f"sqlite:///{path}")
        self.started: list[subprocess.Popen[bytes]] = []

    @property
    def ledger(self) -> Ledger:
        return self.exchange.ledger

    def trade(self, trades_per_s: float, seconds: float) -> None:
        self.ledger.burst(trades_per_s, seconds, list(SYMBOLS))

    def start(self) -> "subprocess.Popen[bytes]":
        environ = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"sqlite:///{self.path}",
            "SOURCE": "binance",
            "SYMBOLS": ",".join(SYMBOLS),
            "BACKFILL_DAYS": "1",
            "BINANCE_REST_URL": self.exchange.rest_url,
            "BINANCE_WS_URL": self.exchange.ws_url,
        }
        with self._log(len(self.started)).open("wb") as log:
            command = [sys.executable, "-m", "ingest"]
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=log)
        self.started.append(process)
        return process

    def _log(self, number: int) -> Path:
        return self.path.with_name(f"worker-{number}.log")

    def has_said(self, process: "subprocess.Popen[bytes]", words: str) -> bool:
        """Whether a worker's log has a line with these words."""
        return words in self._log(self.started.index(process)).read_text()

    def stop(self, process: "subprocess.Popen[bytes]") -> None:
        process.terminate()
        assert process.wait(HANG_S) == 0

    def pid(self) -> int | None:
        """Whose heartbeat was stored last."""
        status = self.reader.status("worker")
        return None if status is None else status.pid

    def state(self) -> str | None:
        """The worker's own word; kept beside the database while that takes nothing."""
        status = self.reader.status("worker")
        return None if status is None else status.state

    def rss_mb(self, process: "subprocess.Popen[bytes]") -> float:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1_024 for line in lines if line.startswith("VmRSS"))

    @staticmethod
    def until(condition: Callable[[], Any], what: str) -> None:
        def holds() -> bool:
            try:
                return bool(condition())
            except StoreError:
                return False  # held for a moment

        wait_until(holds, what)

    def caught_up(self) -> float:
        """Wait until all trades made up to now are stored, nothing missing; how long it took."""
        started = time.monotonic()
        self._stored_up_to_now()
        return time.monotonic() - started

    def _stored_up_to_now(self) -> dict[str, int]:
        newest = {name: self.ledger.newest_trades(name, 1)[-1].trade_id for name in SYMBOLS}

        def is_caught_up() -> bool:
            stored = [self.reader.symbol(name) for name in SYMBOLS]
            return all(
                one is not None and (one.last_id or 0) >= newest[one.symbol] for one in stored
            ) and not any(found.missing for found in missing_ids(self.reader).values())

        self.until(is_caught_up, "everything stored")
        return newest

    def judge(self) -> dict[str, int]:
        """Hold all that is stored against the ledger, once the bars over it are closed."""
        newest_ids = self._stored_up_to_now()
        now_ms = self.ledger.now_ms()

        def is_closed() -> bool:
            ranges = [self.reader.bar_range(name, SECOND) for name in SYMBOLS]
            return all(found is not None and found[1] + SECOND >= now_ms for found in ranges)

        self.until(is_closed, "bars closed")
        for process in self.started:
            if process.poll() is None:
                self.stop(process)
        return judge(self.path, self.ledger, newest_ids)

    def close(self) -> None:
        self.reader.close()
        for number, process in enumerate(self.started):
            if process.poll() is None:
                process.kill()
            process.wait()
            print(self._log(number).read_text(), file=sys.stderr)  # shown when the test fails


@pytest.fixture(scope="module")
def exchange() -> Iterator[SimulatedExchange]:
    with exchange_in_a_thread(RATE) as running:
        yield running


@pytest.fixture
def processes_at(
    empty_database: bytes, exchange: SimulatedExchange
) -> Iterator[Callable[[Path], Processes]]:
    """Makes workers on a database in some folder."""
    made: list[Processes] = []

    def make(folder: Path) -> Processes:
        path = folder / "market.db"
        path.write_bytes(empty_database)
        made.append(Processes(path, exchange))
        return made[-1]

    yield make
    for processes in made:
        processes.close()


@pytest.fixture
def processes(tmp_path: Path, processes_at: Callable[[Path], Processes]) -> Processes:
    return processes_at(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little space; only root can have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
