"""What tests of the worker's side share: a migrated database file each, and a clock to turn."""

import asyncio
import heapq
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.store.engine import migrate, open_engine
from ingest.store.reader import Reader
from ingest.store.writer import Writer


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a migrated, empty SQLite file: migrating once is enough."""
    path = tmp_path_factory.mktemp("store") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
def database_url(empty_database: bytes, tmp_path: Path) -> str:
    path = tmp_path / "market.db"
    path.write_bytes(empty_database)
    return f"sqlite:///{path}"


@pytest.fixture
def writer(database_url: str) -> Iterator[Writer]:
    writer = Writer(open_engine(database_url))
    yield writer
    writer.close()


@pytest.fixture
def reader(database_url: str) -> Iterator[Reader]:
    reader = Reader(database_url)
    yield reader
    reader.close()


class VirtualTime:
    """A clock that only the test moves: hours of waiting pass in milliseconds.

    `clock` and `sleep` stand in for the monotonic clock and `asyncio.sleep`, `wall_clock` for
    `time.time`; its epoch is the start of a minute.
    """

    epoch_s = 1_700_000_040.0

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def clock(self) -> float:
        return self.now

    def wall_clock(self) -> float:
        return self.epoch_s + self.now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        # At least a moment passes, as with a real clock: rounding must not stop time.
        heapq.heappush(self._sleepers, (self.now + max(seconds, 1e-6), self._count, future))
        await future

    async def settle(self) -> None:
        """Let everything run that waits for nothing but the event loop."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        while loop._ready:  # type: ignore[attr-defined]
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking each sleeper at its own moment."""
        end = self.now + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            await self._wake_next()
        self.now = end

    async def finish(self, task: asyncio.Task[object]) -> None:
        """Let as much time pass as a task needs."""
        await self.settle()
        while not task.done():
            assert self._sleepers, "the task waits for something that no passing time brings"
            await self._wake_next()

    async def _wake_next(self) -> None:
        at, _, future = heapq.heappop(self._sleepers)
        if not future.done():
            self.now = max(self.now, at)
            future.set_result(None)
            await self.settle()


@pytest.fixture
def virtual_time() -> VirtualTime:
    return VirtualTime()
