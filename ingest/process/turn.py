"""One process of a role works on a database at a time; the others stand by."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.errors import StoreError
from ingest.schedule import every
from ingest.store.lock import Role, RoleLock, role_lock

log = structlog.get_logger()

STANDBY_S = 1.0
LOCK_CHECK_S = 10.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def ended_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` in the running loop at SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in _SIGNALS:
            # A second order to stop, while the first is carried out, is no news.
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


async def take_turn(
    url: str, role: Role, stop: asyncio.Event, work: Callable[[RoleLock], Awaitable[int]]
) -> int:
    """Stand by until the role's lock is free, then work; the exit code."""
    lock = role_lock(url, role)
    if not await _wait_for(lock, role, stop):
        return 0
    try:
        return await work(lock)
    finally:
        lock.release()


async def _wait_for(lock: RoleLock, role: Role, stop: asyncio.Event) -> bool:
    found_held = 0
    while not stop.is_set():
        try:
            if lock.acquire():
                return True
        except StoreError as error:
            log.warning("the database can't be reached", reason=str(error))
        else:
            found_held += 1
            # Once is no news: each process that starts holds the locks while it checks the file.
            if found_held == 2:
                log.info(f"another {role} is at work; standing by")  # noqa: G004
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STANDBY_S):
                await stop.wait()
    return False


def schedule_lock_check(
    scheduler: AsyncIOScheduler, role: Role, lock: RoleLock, stop: Callable[[], None]
) -> None:
    """Stop where the lock is no longer ours: it ends with PostgreSQL's session."""

    async def check() -> None:
        if not await asyncio.to_thread(lock.is_held):
            log.error(f"the lock on the database was lost; another {role} may have it")  # noqa: G004
            stop()

    every(scheduler, "check lock", LOCK_CHECK_S, check)
