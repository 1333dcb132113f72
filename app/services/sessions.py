"""Sessions that have ended: a copied cookie is worth nothing once its owner has signed out."""

from collections.abc import Callable

import structlog

from app.services.looks import SharedLook
from core.errors import StoreError
from ingest.store.desk_book import DeskBook, signed_out_key
from ingest.store.reader import Snapshot

log = structlog.get_logger()


class Sessions:
    """Tells of each user when his last sign-out was; what began before is over in every process.

    Other processes learn of it with their next look at the store. Without `book`, and while the
    store takes no writes, only this one knows.
    """

    def __init__(
        self, look: SharedLook[Snapshot], now_ms: Callable[[], int], book: DeskBook | None
    ) -> None:
        self._look = look
        self._now_ms = now_ms
        self._book = book
        self._ended_here: dict[str, int] = {}

    def begin(self, name: str) -> int:
        """When a session that begins now began, which is after all that have ended."""
        return max(self._now_ms(), self._ended_ms(name) + 1)

    def is_open(self, name: str, begun_ms: int) -> bool:
        """Whether a session has not been ended."""
        return begun_ms > self._ended_ms(name)

    def end(self, name: str, begun_ms: int) -> None:
        """End this session and every other one of its user."""
        ended_ms = max(self._now_ms(), begun_ms)  # the clock may have been set back
        self._ended_here[name] = ended_ms
        if self._book is not None:
            try:
                self._book.end_sessions(name, ended_ms)
            except StoreError as error:
                log.error("other web processes are not told of a sign-out", reason=str(error))

    def _ended_ms(self, name: str) -> int:
        try:
            told = int(self._look.value().meta.get(signed_out_key(name), -1))
        except StoreError:
            told = -1  # what is known here still holds
        return max(told, self._ended_here.get(name, -1))
