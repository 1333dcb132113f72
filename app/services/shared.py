"""What web processes know together: in Redis where `REDIS_URL` names one.

Without it, and while it is away, each process goes on with what it knows by itself. Only bytes and
counts are kept there, never objects: whoever writes to it can make an answer wrong, not run code.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import structlog

from app.services.looks import SharedLook
from core.masking import masked
from core.settings import Settings
from ingest.store.reader import Snapshot

Value = TypeVar("Value")

ANSWER_S = 0.5
"""Requests wait for it, so it gets no longer than this to answer."""
RETRY_S = 5.0
"""While it is away one request in so many seconds asks whether it is back."""
KEPT_S = 60
"""Most of an answer's worth is over when the next minute closes."""
MOST_BYTES = 2**20
"""Of one answer: with the longest ones a small Redis would be full of few."""

log = structlog.get_logger()


class SharedStore:
    """Keeps bytes and counts for all web processes; safe between threads, opened by the first use.

    Parameters
    ----------
    settings : of them `redis_url`; without it nothing is kept.
    """

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._is_away = False
        self._again_at_s = 0.0
        self._client: Any = None
        self._errors: tuple[type[Exception], ...] = ()
        if settings.redis_url is not None:
            self._open(settings.redis_url.get_secret_value())

    def _open(self, url: str) -> None:
        # Here, because it takes half a second and 25 MB, which most desks need not spend.
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._errors = (redis.RedisError, OSError)
        self._client = redis.from_url(
            url,
            protocol=2,  # servers before 6 know no other
            retry=Retry(NoBackoff(), 0),
            socket_timeout=ANSWER_S,
            socket_connect_timeout=ANSWER_S,
        )

    @property
    def state(self) -> Literal["off", "up", "away"]:
        """As its last answer told, or the lack of one; off without `REDIS_URL`."""
        return "off" if self._client is None else "away" if self._is_away else "up"

    def get(self, key: str) -> bytes | None:
        """What is kept under a key, else None."""
        kept: bytes | None = self._ask(lambda client: client.get(key))
        return kept

    def set(self, key: str, value: bytes, keep_s: int) -> None:
        """Keep bytes for so many seconds."""
        self._ask(lambda client: client.set(key, value, ex=keep_s))

    def add(self, key: str, amounts: Mapping[str, int], keep_s: int) -> list[int] | None:
        """Add to the counts of a key; gives their sums of all processes, None where unknown."""

        def added(client: Any) -> list[int]:
            asked = client.pipeline(transaction=False)
            for name, amount in amounts.items():
                asked.hincrby(key, name, amount)
            *sums, _ = asked.expire(key, keep_s).execute()
            return sums

        return self._ask(added)

    def _ask(self, question: Callable[[Any], Value]) -> Value | None:
        if self._client is None or not self._may_ask():
            return None
        try:
            answer = question(self._client)
        except self._errors as error:
            self._note_away(error)
            return None
        self._note_back()
        return answer

    def _may_ask(self) -> bool:
        if not self._is_away:
            return True
        with self._lock:
            if self._monotonic() < self._again_at_s:
                return False
            self._again_at_s = self._monotonic() + RETRY_S
            return True

    def _note_away(self, error: Exception) -> None:
        with self._lock:
            was_away, self._is_away = self._is_away, True
            self._again_at_s = self._monotonic() + RETRY_S
        if not was_away:
            log.warning(
                "Redis is away: this process counts requests and keeps answers for itself",
                error=masked(str(error)),
            )

    def _note_back(self) -> None:
        if not self._is_away:
            return
        with self._lock:
            was_away, self._is_away = self._is_away, False
        if was_away:
            log.info("Redis is back")


class SharedAnswers:
    """Bodies that any process of the same code has made of the same state of the same database.

    Another code may make another body of the same things, and revisions are a database's own: where
    it has no name yet nothing is shared.
    """

    def __init__(self, store: SharedStore, look: SharedLook[Snapshot]) -> None:
        self._store = store
        self._look = look

    def get_or_make(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """The body kept under all that it follows from, or what `make` gives, which is kept."""
        if self._store.state != "up":
            return make()
        database = self._look.value().meta.get("name")
        if database is None:
            return make()
        what = hashlib.sha256(repr((self._code, database, key)).encode()).hexdigest()
        content = self._store.get(f"pairdesk:answer:{what}")
        if content is None:
            content = make()
            if len(content) <= MOST_BYTES:
                self._store.set(f"pairdesk:answer:{what}", content, KEPT_S)
        return content

    @cached_property
    def _code(self) -> str:
        """A hash of every module that a body is made by."""
        root, code = Path(__file__).parents[2], hashlib.sha256()
        for room in ("app", "core", "ingest"):
            for path in sorted((root / room).rglob("*.py")):
                code.update(path.read_bytes())
        return code.hexdigest()
