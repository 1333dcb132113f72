"""A simulated exchange beside the test: on an event loop of its own, in a thread."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ingest.simulator import SimulatedExchange, serve
from tests.support.waiting import HANG_S


@contextmanager
def exchange_in_a_thread(rate: float) -> Iterator[SimulatedExchange]:
    """Serve a market on a free port of loopback for as long as the context lasts."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    try:
        running = asyncio.run_coroutine_threadsafe(serve(rate=rate), loop).result(HANG_S)
        yield running
        asyncio.run_coroutine_threadsafe(running.aclose(), loop).result(HANG_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
