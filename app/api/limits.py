"""What one client may take of this process, and all of them together.

Requests are counted, and so is the time that they really take of a core: an answer that is kept
costs nearly nothing, the dearest one a hundred times as much, whatever its parameters look like.
"""

import threading
import time
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address, ip_network

from flask import Flask, Response, g, request
from flask_limiter import ApplicationLimit, Limiter
from werkzeug.exceptions import RequestEntityTooLarge, ServiceUnavailable

from app.api.problems import CALLBACK_PATH, CONTENT_TYPE

MAX_BODY_BYTES = 64 * 1024

# Each kind of request has limits of its own: a script takes nothing from the page beside it.
RATES = {
    "api": "50 per second; 1200 per minute",
    "page": "500 per second; 30000 per minute",
    "probes": "50 per second; 1200 per minute",
}
WORK_MS_PER_MINUTE = {"api": 15_000, "page": 30_000, "probes": 5_000}
_MOST_MS_COUNTED = 1_000
"""Of one request: the first ones of a process may have to compile."""

AT_WORK, IN_LINE, PATIENCE_S = 4, 2, 2.0
"""Of a process's eight threads: the rest is the page's."""


def limit_bodies(server: Flask) -> None:
    """Refuse a body that is too long before anything reads it, on every path and for any method."""
    server.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES

    def check() -> None:
        # One that doesn't say its length is cut off by flask where it is read.
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise RequestEntityTooLarge(f"A body may have {MAX_BODY_BYTES:,} bytes here.")

    server.before_request(check)


def limit_requests(server: Flask) -> None:
    """Answer 429 to a client that takes too much; registered before what answers are packed by."""

    def begin() -> None:
        g.begun_s = time.thread_time()

    def tidy(response: Response) -> Response:
        # The limiter writes it on every answer.
        if response.status_code not in (429, 503) or response.mimetype != CONTENT_TYPE:
            response.headers.pop("Retry-After", None)
        elif "Retry-After" in response.headers:
            response.headers["Retry-After"] = str(max(1, int(response.headers["Retry-After"])))
        return response

    server.before_request(begin)
    # Before the limiter's own, so that it runs after it.
    server.after_request(tidy)
    Limiter(
        client_address,
        app=server,
        application_limits=[limit for kind in RATES for limit in _limits(kind)],
        headers_enabled=True,
        storage_uri="memory://",
    )


def limit_analyses(server: Flask, room: "Room | None" = None) -> None:
    """Let few API requests compute at a time; the page's threads stay the page's."""
    room = room or Room(AT_WORK, IN_LINE, PATIENCE_S)

    def enter() -> None:
        if request.path.startswith("/analytics/") and request.method != "OPTIONS":
            if not room.enter():
                raise ServiceUnavailable(
                    "As many analyses as this desk makes at once are under way.", retry_after=1
                )
            g.in_room = True

    def leave(_error: BaseException | None) -> None:
        if g.pop("in_room", False):
            room.leave()

    server.before_request(enter)
    server.teardown_request(leave)


class Room:
    """Lets in few at once, lets a few more wait for a moment, and sends the others away."""

    def __init__(self, at_work: int, in_line: int, patience_s: float) -> None:
        self._places = threading.BoundedSemaphore(at_work + in_line)
        self._work = threading.BoundedSemaphore(at_work)
        self._patience_s = patience_s

    def enter(self) -> bool:
        """Whether there is a place; whoever got one has to leave."""
        if not self._places.acquire(blocking=False):
            return False
        if self._work.acquire(timeout=self._patience_s):
            return True
        self._places.release()
        return False

    def leave(self) -> None:
        self._work.release()
        self._places.release()


def client_address() -> str:
    """Whom a request is counted to: an address, of IPv6 the net that one client has."""
    try:
        address = ip_address((request.remote_addr or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
    return str(address)


def _limits(kind: str) -> Iterator[ApplicationLimit]:
    def elsewhere() -> bool:
        return _kind(request.path) != kind

    yield ApplicationLimit(RATES[kind], scope=kind, exempt_when=elsewhere)
    yield ApplicationLimit(
        f"{WORK_MS_PER_MINUTE[kind]} per minute",
        scope=f"{kind}, milliseconds of work",
        exempt_when=elsewhere,
        error_message="more work than one client may ask for in a minute",
        cost=_work_ms,
        # What it took is known, and taken off, once it is answered.
        deduct_when=lambda _response: True,
    )


def _kind(path: str) -> str | None:
    if path == CALLBACK_PATH:
        return "page"
    if path in ("/metrics", "/readyz"):
        return "probes"
    return "api" if path.startswith(("/analytics", "/api")) else None


def _work_ms() -> int:
    taken_ms = round(1_000 * (time.thread_time() - g.begun_s))
    return min(max(taken_ms, 1), _MOST_MS_COUNTED)
