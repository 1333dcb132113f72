"""Results kept until they no longer hold, each computed by one thread at a time."""

import hashlib
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from flask_caching.backends.simplecache import SimpleCache

Value = TypeVar("Value")

KEPT_RESULTS = 64
KEPT_SECONDS = 3_600


class Backend(Protocol):
    """What is asked of a flask-caching backend."""

    def get(self, key: str) -> Any: ...

    def set(self, key: str, value: Any) -> bool | None: ...


class ResultCache:
    """A bounded cache without stampedes: whoever asks for what is being computed waits for it.

    The backend keeps pickles: every caller gets a copy of its own.
    """

    def __init__(self, backend: Backend | None = None) -> None:
        self._backend = backend or SimpleCache(threshold=KEPT_RESULTS, default_timeout=KEPT_SECONDS)
        self._guard = threading.Lock()
        self._computing: dict[str, tuple[threading.Lock, int]] = {}

    def get_or_compute(self, name: str, compute: Callable[[], Value]) -> Value:
        """The value kept under `name`, or what `compute` returns, which is kept then."""
        key = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()
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

    def _enter(self, key: str) -> threading.Lock:
        with self._guard:
            lock, waiting = self._computing.get(key, (threading.Lock(), 0))
            self._computing[key] = (lock, waiting + 1)
            return lock

    def _leave(self, key: str) -> None:
        with self._guard:
            lock, waiting = self._computing[key]
            if waiting == 1:
                del self._computing[key]
            else:
                self._computing[key] = (lock, waiting - 1)
