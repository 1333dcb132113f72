"""The page's own tick, on every view: what fired, and those parts of the view that are text.

A client sends what it asks for and the marks of what it has; it gets what is different.
"""

import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

import orjson
import structlog
from dash import Dash, Input, Output, State, no_update

from app.services import Desk
from app.services.alerts import Record
from app.services.later import Later
from app.services.looks import STATUS_LOOK_MS, SharedLook, SharedLooks
from app.views import ids
from app.views.shell.news import Away, away_since, news_of
from app.views.shell.notices import notice_line, notices
from app.views.shell.strip import source_badge, status_texts
from app.views.view import View
from core.errors import StoreError
from ingest.store.reader import StoredEpisode

QUICK = (f"{ids.WATCH_NEWS}.data",)
"""Asked every second by every client: see `answer_quickly`."""
MOST_ASKED = 64
"""Different questions whose parts are kept."""
_LARGEST = (1 << 53) - 1

log = structlog.get_logger()


class Question(NamedTuple):
    """Which view is open, and what of it."""

    path: str
    asked: Hashable


class Marked(NamedTuple):
    """Content by name, each with a number that tells whether a client has it."""

    content: dict[str, Any]
    marks: dict[str, int]


class _News(NamedTuple):
    """What pages are told, and what it was made of."""

    record: Record
    newest: Sequence[StoredEpisode]
    marked: Marked


class Tick:
    """Answers every client of a process; what many ask for is made once.

    What has fired goes out at once: the view around it may have pairs to compute first. Then there
    is `more`, to be asked for a moment later.
    """

    def __init__(self, desk: Desk, views: Sequence[View]) -> None:
        self._desk = desk
        self._watched = {view.path: view.watched for view in views if view.watched is not None}
        self._news: _News | None = None
        self._parts = SharedLooks[Question, Marked](
            lambda question: SharedLook(
                lambda: _marked(self._make(question)), desk.now_ms, STATUS_LOOK_MS
            ),
            MOST_ASKED,
        )
        self._later = Later()

    def newer(self, request: object, marks: object) -> Any:
        """What a client lacks; no update when it lacks nothing or makes no sense."""
        if not isinstance(request, dict) or not _are_marks(marks):
            return no_update
        assert isinstance(marks, Mapping)
        path = request.get("path")
        view = self._watched.get(path) if isinstance(path, str) else None
        news = self._news_or_nothing()
        parts, more = [news], False
        if view is not None and isinstance(path, str):
            question = Question(path, view.read(request.get("asked")))
            is_news = "news" in marks and marks["news"] != news.marks.get("news")
            made = self._at_hand(question) if is_news else self._parts.value(question)
            if made is None:
                more = True
            else:
                parts.append(made)
        away = self._away(request.get("since"))
        if away is not None:
            parts.append(_marked({"away": asdict(away)}))
        changed = {
            name: content
            for part in parts
            for name, content in part.content.items()
            if marks.get(name) != part.marks[name]
        }
        if not changed:
            return no_update
        told = {name: part.marks[name] for part in parts for name in part.content}
        return {
            "asked": request.get("asked"),
            "now_ms": self._desk.now_ms(),
            "changed": changed,
            "marks": {name: told[name] for name in changed},
            "more": more,
        }

    def _news_or_nothing(self) -> Marked:
        try:
            record, newest = self._desk.watchlist.record(), self._desk.found.newest()
        except StoreError:
            return Marked({}, {})  # the notices say so
        made = self._news
        if made is None or made.record is not record or made.newest is not newest:
            told = {"news": news_of(record, newest, self._desk.settings)}
            made = self._news = _News(record, newest, _marked(told))
        return made.marked

    def _at_hand(self, question: Question) -> Marked | None:
        """What a view says where it is made already; else a thread begins to make it."""
        made = self._parts.at_hand(question)
        if made is None:
            self._later.call(question, partial(self._parts.value, question))
        return made

    def _away(self, since: object) -> Away | None:
        """What happened since a client looked last, by the newest episode that it was told of."""
        if not isinstance(since, dict):
            return None
        last_id, since_ms = since.get("id"), since.get("ms")
        if type(last_id) is not int or type(since_ms) is not int or not 0 <= since_ms <= _LARGEST:
            return None
        try:
            return away_since(self._desk.found.newest(), last_id, since_ms, self._desk.now_ms())
        except StoreError:
            return None

    def _make(self, question: Question) -> dict[str, Any]:
        view, parts = self._watched[question.path], dict[str, Any]()
        try:
            parts = view.parts(self._desk, question.asked)
        except StoreError as error:
            log.warning("a view can't be filled in", path=question.path, error=str(error))
        return parts | (_strip(self._desk) if view.has_strip else {})


def register(app: Dash, desk: Desk, views: Sequence[View]) -> None:
    """Bind the tick."""
    tick = Tick(desk, views)

    # Asked by assets/desk_watch.js, past dash's renderer: nothing sets the marks there.
    @app.callback(
        Output(ids.WATCH_NEWS, "data"),
        Input(ids.WATCH_MARKS, "data"),
        State(ids.WATCH_REQUEST, "data"),
        prevent_initial_call=True,
    )
    def news(marks: object, request: object) -> Any:
        try:
            return tick.newer(request, marks)
        except Exception as error:
            # The page keeps its last state and asks again.
            log.error("callback failed", error=repr(error), exc_info=error)
            return no_update


def _strip(desk: Desk) -> dict[str, Any]:
    status = desk.status.view()
    lines = notices(status, None)
    badge = asdict(source_badge(status, None))
    is_bad = any(look == "bad" for look in (badge["look"], *(line.level for line in lines)))
    strip = {
        "texts": status_texts(status),
        "badge": badge,
        "feed": "cut" if is_bad or status.is_of_before else "live",
        "frame_ms": status.feed.last_frame_ms,
        "now_ms": status.now_ms,
    }
    return {"strip": strip, "notices": [part.to_plotly_json() for part in notice_line(lines)]}


def _marked(content: dict[str, Any]) -> Marked:
    return Marked(content, {name: _mark(part) for name, part in content.items()})


def _mark(part: Any) -> int:
    return zlib.crc32(orjson.dumps(part, option=orjson.OPT_SORT_KEYS, default=_plain))


def _plain(part: Any) -> Any:
    return part.to_plotly_json() if hasattr(part, "to_plotly_json") else str(part)


def _are_marks(marks: object) -> bool:
    return isinstance(marks, dict) and all(
        isinstance(name, str) and type(mark) is int and 0 <= mark <= _LARGEST
        for name, mark in marks.items()
    )
