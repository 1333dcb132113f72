"""A job at work: what it is asked with, and how it says how far it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.job_spec import JobSpec
from core.settings import Settings
from ingest.store import jobs
from ingest.store.reader import Reader
from ingest.store.transaction import Writer

TELL_EVERY_S = 0.5
Answer = tuple[Any, str]
"""What came of a job, as JSON can say it (arrays may be numpy's), and in one line of words."""


class NotWanted(Exception):
    """The job was cancelled, or another process has taken it over."""


@dataclass(slots=True)
class Work:
    """A job at work; `tell` says how far it is, and ends it where nobody waits for it any more."""

    settings: Settings
    reader: Reader
    writer: Writer
    job_id: int
    tries: int
    spec: JobSpec
    begin: float = 0.0
    share: float = 1.0
    """What this is of the whole job, where it is one part of several."""
    give_back: Callable[[], None] = lambda: None
    """Lets the machine have memory that is held and needed no more, such as the compiler's."""
    clock: Callable[[], float] = time.monotonic
    _told_at: float = -float("inf")
    _words: str = ""

    def tell(self, progress: float, words: str) -> None:
        """Say how far it is, from 0 to 1; dear only twice a second.

        Raises
        ------
        NotWanted
            Nobody waits for it.
        """
        now = self.clock()
        if words == self._words and now - self._told_at < TELL_EVERY_S:
            return
        self._told_at, self._words = now, words
        with self.writer.transaction() as tx:
            done = self.begin + self.share * progress
            if not jobs.tell(tx, self.job_id, self.tries, done, words):
                raise NotWanted
