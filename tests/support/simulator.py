"""What tests of the simulated exchange share: a clock moved by hand, and tests in an event loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> float:
        return self.now_ms / 1_000


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Make a test of a coroutine."""

    def run() -> None:
        asyncio.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
