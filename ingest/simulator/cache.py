"""A bounded cache of columns that threads may share."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sized
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value", bound=Sized)


class Cache(Generic[Key, Value]):
    """Keep the values used last, up to `max_rows` rows in all.

    Two threads may both make a missing value: it is the same value, and cheaper than waiting.
    """

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._rows = 0
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = Lock()
        self._generation = 0

    def get(self, key: Key, make: Callable[[Key], Value]) -> Value:
        """The value of `key`, made when it is not there."""
        with self._lock:
            found = self._values.get(key)
            if found is not None:
                self._values.move_to_end(key)
                return found
            generation = self._generation
        made = make(key)
        with self._lock:
            # What was begun before `clear` is out of date by now.
            if generation == self._generation and key not in self._values:
                self._values[key] = made
                self._rows += len(made)
                while self._rows > self._max_rows and len(self._values) > 1:
                    self._rows -= len(self._values.popitem(last=False)[1])
        return made

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
            self._rows = 0
            self._generation += 1
