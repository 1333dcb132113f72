"""What one client may take of this process, and all of them together.

Requests are counted, and so is the time that they really take of a core: an answer that is kept
costs nearly nothing, the dearest one a hundred times as much, whatever its parameters look like.

With `REDIS_URL` the web processes count together. A library would do it: flask-limiter with its
store in memory costs half a millisecond a request, several times what a tick of the page does.
"""

import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

from flask import Flask, Response, g, request
from werkzeug.exceptions import RequestEntityTooLarge, ServiceUnavailable, TooManyRequests

from app.api.problems import CALLBACK_PATH
from app.services.shared import SharedStore

MAX_BODY_BYTES = 64 * 1024


class Allowance(NamedTuple):
    """What one client may take."""

    per_second: int
    per_minute: int
    work_ms_per_minute: int
    """Milliseconds of a core."""


# Each kind of request has limits of its own: a script takes nothing from the page beside it.
ALLOWANCES = {
    "api": Allowance(50, 1_200, 15_000),
    # Five hundred dashboards behind one proxy are one client: their work counts, which is little.
    # The number is for what the work doesn't show, the reading and writing of a request.
    "page": Allowance(1_000, 60_000, 30_000),
    "probes": Allowance(50, 1_200, 5_000),
}
_MOST_MS_COUNTED = 1_000
"""Of one request: the first ones of a process may have to compile."""

COUNTED_S = 120
"""How long a minute's counts are kept for all processes, whose clocks may differ."""

ANALYSES = 6
"""Of a process's eight threads: the rest is the page's. The services compute fewer at once."""


def limit_bodies(server: Flask) -> None:
    """Refuse a body that is too long before anything reads it, on every path and for any method."""
    server.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES

    def check() -> None:
        # One that doesn't say its length is cut off by flask where it is read.
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise RequestEntityTooLarge(f"A body may have {MAX_BODY_BYTES:,} bytes here.")

    server.before_request(check)


def limit_requests(server: Flask, shared: SharedStore | None = None) -> None:
    """Answer 429 to a client that takes too much; registered before what answers are packed by."""
    tallies = Tallies(shared)

    def begin() -> None:
        kind = _kind(request.path)
        if kind is None:
            return
        g.begun_s = time.thread_time()
        g.tally = tallies.tally(kind, client_address(request.remote_addr), time.time())
        refused = g.tally.exceeded
        if refused is not None:
            words, wait_s = refused
            raise TooManyRequests(words, retry_after=wait_s)

    def settle(response: Response) -> Response:
        tally: Tally | None = g.get("tally")
        if tally is not None:
            spent_ms = 1_000 * (time.thread_time() - g.begun_s)
            tallies.charge(tally, min(spent_ms, _MOST_MS_COUNTED))
            left = max(0, tally.allowance.per_second - tally.in_second)
            response.headers.extend(
                {
                    "X-RateLimit-Limit": str(tally.allowance.per_second),
                    "X-RateLimit-Remaining": str(left),
                    "X-RateLimit-Reset": str(tally.second + 1),
                }
            )
        return response

    server.before_request(begin)
    server.after_request(settle)


@dataclass(slots=True)
class Tally:
    """What a client took in this minute, of one kind of request."""

    allowance: Allowance
    second: int = 0
    in_second: int = 0
    in_minute: int = 0
    work_ms: float = 0.0
    untold_ms: float = 0.0
    """Of the work, what the other processes have not been told."""

    @property
    def exceeded(self) -> tuple[str, int] | None:
        """What was too much, and in how many seconds it is forgotten; None while all is well."""
        rest_of_minute_s = 60 - self.second % 60
        if self.work_ms >= self.allowance.work_ms_per_minute:
            return "more work than one client may ask for in a minute", rest_of_minute_s
        if self.in_minute > self.allowance.per_minute:
            return f"{self.allowance.per_minute} per minute", rest_of_minute_s
        if self.in_second > self.allowance.per_second:
            return f"{self.allowance.per_second} per second", 1
        return None


class Tallies:
    """The tallies of all clients; each minute of the clock begins a new one.

    Parameters
    ----------
    shared : where the other processes count as well. Without it, or while it is away, a client has
        a tally with each process.
    """

    def __init__(self, shared: SharedStore | None = None) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._minute = 0
        self._tallies: dict[tuple[str, str], Tally] = {}

    def tally(self, kind: str, client: str, now_s: float) -> Tally:
        """The client's tally, this request counted."""
        second = int(now_s)
        with self._lock:
            if second // 60 != self._minute:
                self._minute, self._tallies = second // 60, {}
            tally = self._tallies.get((kind, client))
            if tally is None:
                tally = self._tallies[kind, client] = Tally(ALLOWANCES[kind])
            if second != tally.second:
                tally.second, tally.in_second = second, 0
            tally.in_second += 1
            tally.in_minute += 1
        if self._shared is not None and self._shared.state != "off":
            self._count_together(self._shared, f"{kind}:{client}", tally, second)
        return tally

    def _count_together(self, shared: SharedStore, whose: str, tally: Tally, second: int) -> None:
        """Take in what the client took of the other processes, and tell them of this one."""
        with self._lock:
            told_ms = int(tally.untold_ms)
            tally.untold_ms -= told_ms
        amounts = {f"{second % 60}": 1, "minute": 1, "work": told_ms}
        sums = shared.add(f"pairdesk:limit:{whose}:{second // 60}", amounts, COUNTED_S)
        # What was counted here alone stays counted: it was away, or has forgotten.
        with self._lock:
            if sums is None:
                tally.untold_ms += told_ms
                return
            in_second, in_minute, work_ms = sums
            if tally.second == second:
                tally.in_second = max(tally.in_second, in_second)
            tally.in_minute = max(tally.in_minute, in_minute)
            tally.work_ms = max(tally.work_ms, work_ms)

    def charge(self, tally: Tally, work_ms: float) -> None:
        """Add what a request took."""
        with self._lock:
            tally.work_ms += work_ms
            tally.untold_ms += work_ms


def limit_analyses(server: Flask, most: int = ANALYSES) -> None:
    """Let few API requests be at their analyses at a time; the page's threads stay the page's."""
    places = threading.BoundedSemaphore(most)

    def enter() -> None:
        if request.path.startswith("/analytics/") and request.method != "OPTIONS":
            if not places.acquire(blocking=False):
                raise ServiceUnavailable(
                    "As many analyses as this desk makes at once are under way.", retry_after=1
                )
            g.has_place = True

    def leave(_error: BaseException | None) -> None:
        if g.pop("has_place", False):
            places.release()

    server.before_request(enter)
    server.teardown_request(leave)


@lru_cache(4_096)
def client_address(remote: str | None) -> str:
    """Whom a request is counted to: an address, of IPv6 the net that one client has."""
    try:
        address = ip_address((remote or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
    return str(address)


def _kind(path: str) -> str | None:
    if path == CALLBACK_PATH:
        return "page"
    if path in ("/metrics", "/readyz"):
        return "probes"
    return "api" if path.startswith(("/analytics", "/api")) else None
