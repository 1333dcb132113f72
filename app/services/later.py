"""Work that somebody waits for without standing there: he asks again a moment later."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import structlog

MOST_CALLS = 1_000
"""What is asked for beyond them is asked for again."""

log = structlog.get_logger()


class Later:
    """Calls that one thread makes, in the order in which they were asked for; each name once.

    The thread is there while there is something to do.
    """

    def __init__(self) -> None:
        self._calls: OrderedDict[Hashable, Callable[[], object]] = OrderedDict()
        self._lock = threading.Lock()
        self._is_running = False

    @property
    def is_busy(self) -> bool:
        """Whether anything waits for its turn or has it."""
        return self._is_running

    def call(self, name: Hashable, function: Callable[[], object]) -> None:
        """Have a function called soon, unless one of that name waits for its turn already."""
        with self._lock:
            if name in self._calls or len(self._calls) >= MOST_CALLS:
                return
            self._calls[name] = function
            if self._is_running:
                return
            self._is_running = True
        threading.Thread(target=self._run, name="later", daemon=True).start()

    def _run(self) -> None:
        while (function := self._next()) is not None:
            try:
                function()
            except Exception as error:
                # Whoever asked is not there to hear of it, and others wait.
                log.error("not computed", error=repr(error), exc_info=error)

    def _next(self) -> Callable[[], object] | None:
        with self._lock:
            if not self._calls:
                self._is_running = False
                return None
            return self._calls.popitem(last=False)[1]
