"""gunicorn's threaded worker, with threads only for requests that have arrived whole.

In gunicorn's own a thread reads the request, so a handful of clients that begin one and never end
it take all threads away. Here the event loop gathers the bytes of each request, under a deadline
and a limit, and a thread gets what is there: it never waits for a client's next byte.
"""

import errno
import json
import logging
import re
import selectors
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

from gunicorn.http.unreader import Unreader
from gunicorn.workers.gthread import ThreadWorker

HEAD_LIMIT = 32 * 1024
BODY_LIMIT = 64 * 1024
"""What the app takes; of a longer body it gets what is enough to refuse it."""
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_CHUNK_LINE_LIMIT = 1024
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n")
_REFUSAL_HEADERS = (
    "Connection: close",
    "Content-Type: application/problem+json",
    "Cache-Control: no-store",
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options: DENY",
    "X-Content-Type-Options: nosniff",
    "Referrer-Policy: same-origin",
)

Verdict: TypeAlias = Literal["wait", "whole", "cut", 400, 431]


@dataclass(slots=True)
class Arrival:
    """The bytes of one request as they come in. No I/O.

    `head` is what a thread is given, `rest` what came behind the request: the next one's.
    """

    rest: bytearray = field(default_factory=bytearray)
    head: bytes = b""
    body: bytearray = field(default_factory=bytearray)
    _missing: int = 0
    _is_chunked: bool = False
    _is_cut: bool = False
    _is_last: bool = False

    @property
    def has_begun(self) -> bool:
        return bool(self.head or self.rest)

    @property
    def expects_go_ahead(self) -> bool:
        """Whether the client waits to be told before it sends the body."""
        return b"\r\nexpect:" in self.head.lower() and not self.body and not self.rest

    def take(self, data: bytes) -> Verdict:
        """Add what has arrived, and say whether the request is all there.

        `cut`: it is too long; what there is will do for refusing it, and the connection can't be
        used again. A number is the status to refuse it with at once.
        """
        self.rest += data
        if not self.head:
            verdict = self._take_head()
            if verdict != "whole":
                return verdict
        if self._is_chunked:
            return self._take_chunks()
        self._move(self._missing)
        return "wait" if self._missing else "cut" if self._is_cut else "whole"

    def request(self) -> bytes:
        """What a thread reads: the head as it came, a body in chunks as one of them."""
        if not self._is_chunked:
            return self.head + bytes(self.body)
        chunk = b"%x\r\n%b\r\n" % (len(self.body), bytes(self.body)) if self.body else b""
        return self.head + chunk + b"0\r\n\r\n"

    def _take_head(self) -> Verdict:
        while self.rest.startswith(b"\r\n"):  # allowed before a request
            del self.rest[:2]
        end = self.rest.find(b"\r\n\r\n")
        if end < 0 or end > HEAD_LIMIT:
            return "wait" if len(self.rest) <= HEAD_LIMIT else 431
        self.head = bytes(self.rest[: end + 4])
        del self.rest[: end + 4]
        lowered = self.head.lower()
        length = _LENGTH.search(lowered)
        # A head with both is refused by gunicorn's parser, and so are odd lengths.
        if b"\r\ntransfer-encoding:" in lowered:
            self._is_chunked = True
        elif length is not None:
            self._missing = int(length[1])
            if self._missing > BODY_LIMIT:
                self._missing, self._is_cut = 0, True
        return "whole"

    def _take_chunks(self) -> Verdict:
        """Take chunks off as they are complete: their size, a line's end, and that many bytes."""
        while not self._is_last:
            if self._missing:
                self._move(self._missing - 2)
                if self._missing > 2 or len(self.rest) < 2:
                    return "wait"
                if self.rest[:2] != b"\r\n":
                    return 400
                del self.rest[:2]
                self._missing = 0
            end = self.rest.find(b"\r\n")
            if end < 0:
                return "wait" if len(self.rest) <= _CHUNK_LINE_LIMIT else 400
            size = _CHUNK.fullmatch(self.rest[:end])
            if size is None or end > _CHUNK_LINE_LIMIT:
                return 400
            count = int(size[1], 16)
            if len(self.body) + count > BODY_LIMIT:
                self.body += b"\0" * (BODY_LIMIT + 1 - len(self.body))
                return "cut"
            if count:
                del self.rest[: end + 2]
                self._missing = count + 2
            else:
                del self.rest[:end]
                self._is_last = True
        # Trailers, which nobody here reads, end as a head does.
        end = self.rest.find(b"\r\n\r\n")
        if end < 0:
            return "wait" if len(self.rest) <= HEAD_LIMIT else 431
        del self.rest[: end + 4]
        return "whole"

    def _move(self, count: int) -> None:
        part = self.rest[:count]
        self.body += part
        del self.rest[: len(part)]
        self._missing -= len(part)


class _Arrived(Unreader):  # type: ignore[misc]
    """Gives gunicorn's parser what has arrived, then the end: never a wait for the socket."""

    def chunk(self, size_hint: int | None = None) -> bytes:
        return b""


@dataclass(slots=True)
class _Waiting:
    """A connection that the loop watches: what to do when it is readable, and when time is up."""

    deadline: float
    on_readable: Callable[[], None]
    on_late: Callable[[], None]
    has_begun: Callable[[], bool]


class WholeRequestWorker(ThreadWorker):  # type: ignore[misc]
    """Takes a thread only for a request that is all there."""

    REQUEST_S = 10.0
    """From the first look at a connection until its request is all there."""
    LINGER_S = 2.0
    """How long a client may take to notice that it has been answered, and close."""
    STALLED_READER_S = 10.0
    """How long a client may take nothing of an answer."""
    SPARE = 50
    """When no more than so many connections are free, the oldest unfinished request goes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watched: dict[Any, _Waiting] = {}
        self._swept = 0.0
        self.log.error_log.addFilter(_is_worth_a_line)

    def enqueue_req(self, conn: Any) -> None:
        """Gather the connection's next request; a thread follows when it is all there."""
        if self.cfg.is_ssl:  # whose bytes only gunicorn's own reading understands
            conn.closes = False
            super().enqueue_req(conn)
            return
        if not conn.initialized:
            conn.init()
            _limit_stalls(conn.sock, self.STALLED_READER_S)
            conn.parser.unreader = _Arrived()
        conn.sock.setblocking(False)
        arrival = Arrival()
        self._make_room()
        self._watch(
            conn,
            self.REQUEST_S,
            on_readable=partial(self._receive, conn, arrival),
            on_late=partial(self._refuse_late, conn, arrival),
            has_begun=lambda: arrival.has_begun,
        )
        self._go_on(conn, arrival, conn.parser.unreader.take_buffered())

    def _receive(self, conn: Any, arrival: Arrival) -> None:
        data = _read(conn.sock)
        if data:
            self._go_on(conn, arrival, data)
        elif data is not None:
            self._drop(conn)

    def _go_on(self, conn: Any, arrival: Arrival, data: bytes) -> None:
        waited = not arrival.head
        verdict = arrival.take(data)
        if verdict == "wait":
            if waited and arrival.head and arrival.expects_go_ahead:
                with suppress(OSError):
                    conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif isinstance(verdict, int):
            self._refuse(conn, verdict)
        else:
            self._unwatch(conn)
            conn.parser.unreader.unread(arrival.request() + bytes(arrival.rest))
            conn.closes = verdict == "cut"
            super().enqueue_req(conn)

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        # What is still to come of a cut request would be taken for the next one.
        return not conn.closes and bool(super()._keepalive_after(conn, keepalive))

    def finish_request(self, conn: Any, fs: "Future[bool]") -> None:
        """Wait for the next request, or see the client off without holding up the loop."""
        if not fs.cancelled() and fs.exception() is None and fs.result():
            super().finish_request(conn, fs)
        else:
            self._linger(conn)

    def murder_pending(self) -> None:
        """Be done with whoever's time is up."""
        now = time.monotonic()
        if self.alive and now - self._swept < 0.2:
            return
        self._swept = now
        for one in list(self._watched.values()):
            if one.deadline <= now or not (self.alive or one.has_begun()):
                one.on_late()

    def _make_room(self) -> None:
        if self.nr_conns > self.worker_connections - self.SPARE and self._watched:
            self._drop(next(iter(self._watched)))

    def _refuse_late(self, conn: Any, arrival: Arrival) -> None:
        if arrival.has_begun:
            self._refuse(conn, 408)
        else:
            self._drop(conn)

    def _refuse(self, conn: Any, status: int) -> None:
        with suppress(OSError):
            _send_refusal(conn.sock, status)
        self._unwatch(conn)
        self._linger(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Let gunicorn log what it refuses, and say no more of it than its status."""
        super().handle_error(req, _Refused(client), addr, exc)

    def _linger(self, conn: Any) -> None:
        """Let what was sent arrive: closing with unread bytes would take it back."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
        except OSError:
            self._drop(conn)
            return
        drained = 0

        def drain() -> None:
            nonlocal drained
            data = _read(conn.sock)
            if data is None:
                return
            drained += len(data)
            if not data or drained > BODY_LIMIT:
                self._drop(conn)

        drop = partial(self._drop, conn)
        self._watch(conn, self.LINGER_S, on_readable=drain, on_late=drop, has_begun=lambda: True)

    def _watch(self, conn: Any, seconds: float, **calls: Callable[[], Any]) -> None:
        waiting = _Waiting(time.monotonic() + seconds, **calls)
        self._watched[conn] = waiting
        self.poller.register(conn.sock, selectors.EVENT_READ, lambda _sock: waiting.on_readable())

    def _unwatch(self, conn: Any) -> None:
        if self._watched.pop(conn, None) is not None:
            with suppress(OSError, KeyError, ValueError):
                self.poller.unregister(conn.sock)

    def _drop(self, conn: Any) -> None:
        self._unwatch(conn)
        self.nr_conns -= 1
        conn.close()


class _Refused:
    """Stands in for the socket where gunicorn writes an answer of its own."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def gettimeout(self) -> float:
        return 0.0

    def sendall(self, data: bytes) -> None:
        _send_refusal(self._sock, int(data.split(b" ", 2)[1]))


def _read(sock: Any) -> bytes | None:
    """What has come of a connection: nothing at its end, None while it has nothing to read."""
    try:
        data: bytes = sock.recv(65_536)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""
    return data


def _send_refusal(sock: Any, status: int) -> None:
    """Answer a request that never reaches the app, as guarded as what the app answers."""
    reason = HTTPStatus(status).phrase
    detail = "This is no request that can be answered."
    problem = {"type": "about:blank", "title": reason, "status": status, "detail": detail}
    body = json.dumps({**problem, "errors": []}).encode()
    lines = [f"HTTP/1.1 {status} {reason}", *_REFUSAL_HEADERS, f"Content-Length: {len(body)}"]
    sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)


def _limit_stalls(sock: socket.socket, seconds: float) -> None:
    """Give up on a client that takes nothing of its answer: a thread writes it."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        timeout = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Keep a stalled reader out of the log: anybody could fill it with tracebacks."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, OSError) and error.errno == errno.EAGAIN)
