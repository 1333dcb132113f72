"""Turns: what all clients want at the same moment is made for one after the other."""

import threading
from collections.abc import Callable

SCREENS_A_S, SCREENS_AT_ONCE = 1.0, 10.0
"""Whole screens that one process makes anew: few, for 35 ms each, and none is waited for."""


class Turns:
    """Lets so many a second pass, and some at once: what all want at the same moment is spread.

    Parameters
    ----------
    a_second : how many may pass in the long run.
    at_once : how many may pass after a quiet while.
    """

    def __init__(self, monotonic: Callable[[], float], a_second: float, at_once: float) -> None:
        self._monotonic = monotonic
        self._a_second, self._at_once = a_second, at_once
        self._lock = threading.Lock()
        self._left, self._at_s = at_once, monotonic()

    def take(self) -> bool:
        """Whether it is one's turn; who has none asks again later."""
        with self._lock:
            now_s = self._monotonic()
            grown = self._left + (now_s - self._at_s) * self._a_second
            self._left, self._at_s = min(self._at_once, grown), now_s
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True
