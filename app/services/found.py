"""What rules found, as the page asks for it every second: one look at the store for all who ask."""

from collections.abc import Callable
from typing import NamedTuple

from app.services.looks import STATUS_LOOK_MS, TICK_LOOK_MS, SharedLook, SharedLooks
from core.timeframes import DAY_MS
from ingest.store.reader import Decided, Reader, StoredEpisode
from ingest.store.rules import StoredRule

NEWEST = 50
"""Episodes that a page is told of by itself; the history has the rest."""
COUNTED_MS = 30 * DAY_MS
MOST_QUESTIONS = 64
WHY_BARS = 40


class EpisodeQuery(NamedTuple):
    """Which episodes of the history are asked for."""

    kind: str | None = None
    symbols: tuple[str, str] | None = None
    before: int | None = None
    limit: int = 20


class History(NamedTuple):
    """A page of the history, newest first, with one episode more where it goes on."""

    episodes: tuple[StoredEpisode, ...]
    lately: int
    """How many of its kind and pair fired within `COUNTED_MS`."""


class EpisodeDetail(NamedTuple):
    """An episode, the version of the rule that it is of, and the bars judged since and before."""

    episode: StoredEpisode | None
    rule: StoredRule | None
    decisions: tuple[Decided, ...]


class Subject(NamedTuple):
    """What is taken apart on the page: an episode, or a rule as it stands."""

    episode_id: int | None = None
    rule_id: int | None = None


class FoundService:
    """Newest episodes, pages of the history, and why; safe between threads."""

    def __init__(
        self, reader: Reader, now_ms: Callable[[], int], monotonic: Callable[[], float]
    ) -> None:
        self._reader, self._now_ms = reader, now_ms
        self._newest = SharedLook(self._read_newest, now_ms, TICK_LOOK_MS, monotonic)
        self._pages = SharedLooks[EpisodeQuery, History](
            lambda page: SharedLook(
                lambda: self._read_page(page), now_ms, STATUS_LOOK_MS, monotonic
            ),
            MOST_QUESTIONS,
        )
        self._judged = SharedLooks[Subject, EpisodeDetail](
            lambda subject: SharedLook(
                lambda: self._read_judged(subject), now_ms, STATUS_LOOK_MS, monotonic
            ),
            MOST_QUESTIONS,
        )

    def newest(self) -> tuple[StoredEpisode, ...]:
        """The last episodes that began, newest first.

        Raises
        ------
        StoreError
            The store can't be read, here and below.
        """
        return self._newest.value()

    def page(self, page: EpisodeQuery) -> History:
        """One page of the history, and how much of the kind fired lately."""
        return self._pages.value(page)

    def judged(self, subject: Subject) -> EpisodeDetail:
        """An episode or a rule with the bars that were judged, newest first."""
        return self._judged.value(subject)

    def _read_newest(self) -> tuple[StoredEpisode, ...]:
        return tuple(self._reader.alerts(limit=NEWEST))

    def _read_page(self, page: EpisodeQuery) -> History:
        since_ms = self._now_ms() - COUNTED_MS
        return History(
            tuple(
                self._reader.alerts(
                    kind=page.kind,
                    symbols=page.symbols,
                    before_id=page.before,
                    limit=page.limit + 1,
                )
            ),
            self._reader.count_alerts(page.kind, page.symbols, since_ms),
        )

    def _read_judged(self, subject: Subject) -> EpisodeDetail:
        reader, episode = self._reader, None
        if subject.episode_id is not None:
            episode = reader.alert(subject.episode_id)
        rule_id = episode.rule_id if episode else subject.rule_id
        if rule_id is None:
            return EpisodeDetail(None, None, ())
        rule = reader.rule(rule_id, episode.version if episode else None)
        if rule is None:
            return EpisodeDetail(episode, None, ())
        before_ms = None
        if episode is not None and episode.end_ms is not None:
            # What came after it is of no account.
            before_ms = episode.end_ms + rule.spec.timeframe_ms
        return EpisodeDetail(
            episode,
            rule,
            tuple(reader.decisions(rule_id, before_ms=before_ms, limit=WHY_BARS)),
        )
