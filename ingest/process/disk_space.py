"""How fast the database grows, and how long the disk lasts at that rate."""

import time
from collections import deque
from collections.abc import Callable

from core.report import Space

DAY_S = 86_400.0
KNOWN_AFTER_S = 600.0
REMEMBERED_S = 86_400.0


class Growth:
    """Compares what is in use now with what was up to a day ago.

    Pages that pruning has freed count as free: with retention at work growth goes to zero, and
    days left are not known, for there is no end.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._seen: deque[tuple[float, int]] = deque()
        self.space = Space()

    def note(self, used_bytes: int, free_bytes: int | None) -> None:
        """Take in what is used and free now."""
        now = self._monotonic()
        self._seen.append((now, used_bytes))
        while now - self._seen[0][0] > REMEMBERED_S:
            self._seen.popleft()
        since, before = self._seen[0]
        growth = days = None
        if now - since >= KNOWN_AFTER_S:
            growth = (used_bytes - before) / (now - since) * DAY_S
            if growth > 0 and free_bytes is not None:
                days = free_bytes / growth
        self.space = Space(used_bytes, free_bytes, growth, days)
