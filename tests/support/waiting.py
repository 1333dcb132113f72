"""Waiting for something to come true, however busy the machine is."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

HANG_S = 300.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
"""After so long a wait is taken for a hang: longer where many share the cores from the start, for
a job gives way to all of them. It judges no speed: `make soak` and `make bench` do."""
ENDLESS_S = 4 * HANG_S
"""How long a child lives that a test has to end: far longer than anybody waits for its end."""


def _pause_s(waited_s: float) -> float:
    """How long until the next look: one may cost a query, and many wait at once."""
    return min(0.1, max(0.02, waited_s / 10))


def wait_until(condition: Callable[[], Any], what: str) -> None:
    """Look again and again until something holds."""
    began = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - began
        assert waited_s < HANG_S, f"not within {HANG_S:.0f} s: {what}"
        time.sleep(_pause_s(waited_s))


async def until(condition: Callable[[], Any], what: str) -> None:
    """The same, for what happens on this thread's event loop."""
    began = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - began
        assert waited_s < HANG_S, f"not within {HANG_S:.0f} s: {what}"
        await asyncio.sleep(_pause_s(waited_s))
