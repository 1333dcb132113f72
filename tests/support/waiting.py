"""Waiting for something to come true, however busy the machine is."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

HANG_S = 300.0
"""After so long a wait is taken for a hang. It judges no speed: `make soak` and `make bench` do."""
ENDLESS_S = 4 * HANG_S
"""How long a child lives that a test has to end: far longer than anybody waits for its end."""
_LOOK_S = 0.02


def wait_until(condition: Callable[[], Any], what: str) -> None:
    """Look again and again until something holds."""
    deadline = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {HANG_S:.0f} s: {what}"
        time.sleep(_LOOK_S)


async def until(condition: Callable[[], Any], what: str) -> None:
    """The same, for what happens on this thread's event loop."""
    deadline = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {HANG_S:.0f} s: {what}"
        await asyncio.sleep(_LOOK_S)
