"""What was computed, kept until it no longer holds, each by one thread at a time."""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from flask import Flask
from flask_caching.backends.base import BaseCache

Value = TypeVar("Value")

RESULT_BYTES = 8 * 2**20
"""Whole results: some eight of the default length. What many more pairs show is kept apart."""
SHOWN_BYTES = 16 * 2**20
"""What ticks show of a result, a few kB a pair."""
ANSWER_BYTES = 8 * 2**20
"""Prepared answers, plain and compressed."""


class BoundedCache(BaseCache):
    """A backend of flask-caching that keeps objects, the least recently used going first.

    All callers get the same object, so arrays are made read-only.
    """

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Hashable, _Sized] = OrderedDict()
        self._lock = threading.Lock()
        self.size_bytes = 0

    @classmethod
    def factory(
        cls, app: Flask, config: dict[str, Any], args: list[Any], kwargs: dict[str, Any]
    ) -> "BoundedCache":
        """Make one for flask-caching; its bound is in `CACHE_THRESHOLD`."""
        return cls(config["CACHE_THRESHOLD"])

    def get(self, key: Hashable) -> Any:
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            self._kept.move_to_end(key)
            return kept.value

    def set(self, key: Hashable, value: Any, timeout: int | timedelta | None = None) -> bool:
        sized = _Sized(value, _settle(value))
        with self._lock:
            self._drop(key)
            self._kept[key] = sized
            self.size_bytes += sized.size_bytes
            while self.size_bytes > self._most_bytes and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))
        return True

    def delete(self, key: Hashable) -> bool:
        with self._lock:
            return self._drop(key)

    def has(self, key: Hashable) -> bool:
        return key in self._kept

    def clear(self) -> bool:
        with self._lock:
            self._kept.clear()
            self.size_bytes = 0
        return True

    def _drop(self, key: Hashable) -> bool:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self.size_bytes -= dropped.size_bytes
        return dropped is not None


class _Sized(NamedTuple):
    value: Any
    size_bytes: int


_PLAIN = frozenset({float, int, str, bool, type(None)})


def _settle(value: Any) -> int:
    """Make the arrays of a value read-only; returns about how many bytes it takes.

    A result may have thousands of round trips: what has no parts is told by its type alone.
    """
    size_bytes = 0
    left = [value]
    while left:
        part = left.pop()
        kind = type(part)
        if kind in _PLAIN:
            size_bytes += sys.getsizeof(part)
        elif kind is np.ndarray:
            part.flags.writeable = False
            size_bytes += part.nbytes
        else:
            size_bytes += sys.getsizeof(part)
            if isinstance(part, list | tuple):
                left.extend(part)
            elif is_dataclass(part):
                left.extend(getattr(part, field.name) for field in fields(part))
            elif isinstance(part, Mapping):
                left.extend(part)
                left.extend(part.values())
    return size_bytes


class Backend(Protocol):
    """What is asked of a flask-caching backend."""

    def get(self, key: Any) -> Any: ...

    def set(self, key: Any, value: Any) -> bool | None: ...


class ResultCache:
    """A cache without stampedes: whoever asks for what is being computed waits for it."""

    def __init__(self, backend: Backend | None = None) -> None:
        self._backend = backend or BoundedCache(RESULT_BYTES)
        self._guard = threading.Lock()
        self._computing: dict[Hashable, tuple[threading.Lock, int]] = {}

    def get(self, key: Hashable) -> Any:
        """What is kept under a key, else None."""
        return self._backend.get(key)

    def set(self, key: Hashable, value: Any) -> None:
        """Keep a value that was made otherwise."""
        self._backend.set(key, value)

    def get_or_compute(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The value kept under `key`, or what `compute` returns, which is kept then."""
        value: Value | None = self._backend.get(key)
        if value is not None:
            return value
        lock = self._enter(key)
        try:
            with lock:
                value = self._backend.get(key)
                if value is None:
                    value = compute()
                    self._backend.set(key, value)
                return value
        finally:
            self._leave(key)

    def _enter(self, key: Hashable) -> threading.Lock:
        with self._guard:
            lock, waiting = self._computing.get(key, (threading.Lock(), 0))
            self._computing[key] = (lock, waiting + 1)
            return lock

    def _leave(self, key: Hashable) -> None:
        with self._guard:
            lock, waiting = self._computing[key]
            if waiting == 1:
                del self._computing[key]
            else:
                self._computing[key] = (lock, waiting - 1)
