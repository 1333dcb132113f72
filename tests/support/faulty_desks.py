"""Workers in this process, each against a simulated exchange of its own that misbehaves."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from core.settings import Settings
from ingest.simulator import Ledger, SessionLimits, SimulatedExchange
from ingest.simulator.faults import Faults
from ingest.store.reader import Reader
from ingest.worker import Worker
from tests.support.gaps import missing_ids
from tests.support.ledger_judge import RATE, SECOND, SYMBOLS, judge
from tests.support.waiting import until

# Over all symbols; little enough for fifteen desks at once on a tenth of a core.
TRADES_PER_S, BUSY_S = 60.0, 600.0


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
            retain_bars_days=2,  # of the long timeframes too: what is judged here is minutes old
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
