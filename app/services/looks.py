"""What the store said a moment ago, shared by every client of this process."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.errors import StoreError
from ingest.store.reader import Snapshot

Value = TypeVar("Value")
Question = TypeVar("Question", bound=Hashable)

TICK_LOOK_MS = 250
"""A tick is a second long: what it shows of the store is at most this old."""
PHASE_MS = 300
"""Of the looks, against the second: by then a 1s bar is stored, and the look that follows at once
has it. Taken at any time of the second, looks had it wait for as much as another quarter."""
STATUS_LOOK_MS = 1_000
"""What people read of worker and feed, ages aside, is at most this old."""


def exchange_now_ms(look: Snapshot, now_ms: int) -> int:
    """The exchange's time: what a worker beside us last measured tells our own clock's error.

    It alone judges how fresh a trade or a bar is.
    """
    worker = look.processes.get("worker")
    ahead_ms = None if worker is None else worker.payload.get("clock_offset_ms")
    return now_ms - ahead_ms if isinstance(ahead_ms, int) else now_ms


class SharedLook(Generic[Value]):
    """Reads at most once in each `every_ms`, in whichever thread asks first; the others share it.

    They are those of `now_ms`, the desk's own clock, `PHASE_MS` behind its full seconds; when it
    is set, what was seen before is looked at again. While one thread reads, the rest go on with
    the look before. A store that can't be read is not asked more often either: its error is shared
    as well.
    """

    def __init__(
        self,
        read: Callable[[], Value],
        now_ms: Callable[[], int],
        every_ms: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._every_ms = every_ms
        self._reading = threading.Lock()
        self._last: _Taken[Value] | None = None

    def value(self) -> Value:
        """The newest look, taken now if the last one is too old.

        Raises
        ------
        StoreError
            The look failed.
        """
        taken = self._last
        if taken is None or self._is_old(taken):
            taken = self._renewed(taken)
        if taken.failure is not None:
            # Each with a traceback of its own.
            raise StoreError(str(taken.failure), taken.failure.public)
        assert taken.value is not None
        return taken.value

    def at_hand(self) -> Value | None:
        """The newest look where it is not too old and has not failed; nothing is looked at."""
        taken = self._last
        return None if taken is None or self._is_old(taken) else taken.value

    def _is_old(self, taken: "_Taken[Value]") -> bool:
        waited_ms = 1_000 * (self._monotonic() - taken.at_s)
        return waited_ms >= self._every_ms or self._turn(self._now_ms()) != self._turn(taken.now_ms)

    def _turn(self, now_ms: int) -> int:
        return (now_ms - PHASE_MS) // self._every_ms

    def _renewed(self, before: "_Taken[Value] | None") -> "_Taken[Value]":
        if not self._reading.acquire(blocking=before is None) and before is not None:
            return before
        try:
            taken = self._last
            # Somebody may have looked while this thread waited.
            if taken is None or self._is_old(taken):
                taken = self._last = self._take()
            return taken
        finally:
            self._reading.release()

    def _take(self) -> "_Taken[Value]":
        begun = self._monotonic(), self._now_ms()
        try:
            return _Taken(*begun, self._read())
        except StoreError as error:
            return _Taken(*begun, None, error)


@dataclass(frozen=True, slots=True)
class _Taken(Generic[Value]):
    at_s: float
    now_ms: int
    value: Value | None
    failure: StoreError | None = None


class SharedLooks(Generic[Question, Value]):
    """One shared look a question; of those that nobody asks any more the oldest go."""

    def __init__(self, look_for: Callable[[Question], SharedLook[Value]], most: int) -> None:
        self._look_for = look_for
        self._most = most
        self._looks: OrderedDict[Question, SharedLook[Value]] = OrderedDict()
        self._lock = threading.Lock()

    def value(self, question: Question) -> Value:
        """The newest answer; raises as `SharedLook.value` does."""
        return self._look(question).value()

    def at_hand(self, question: Question) -> Value | None:
        """The newest answer where nothing has to be looked at for it."""
        return self._look(question).at_hand()

    def _look(self, question: Question) -> SharedLook[Value]:
        with self._lock:
            look = self._looks.get(question) or self._look_for(question)
            self._looks[question] = look
            self._looks.move_to_end(question)
            if len(self._looks) > self._most:
                self._looks.popitem(last=False)
        return look
