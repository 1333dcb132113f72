"""Clients that begin a request and never end it take nothing from those who do; real sockets."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.api.limits import MAX_BODY_BYTES
from ingest.process.web_worker import BODY_LIMIT, HEAD_LIMIT, Arrival, Verdict
from tests.support.waiting import HANG_S

ROOT = Path(__file__).resolve().parents[3]
GET = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /length HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
# One worker with two threads: with as many as that at most to be taken away, none would be left.
CONFIG = """
import sys
sys.path.insert(0, {root!r})
from ingest.process.web_worker import WholeRequestWorker

class Worker(WholeRequestWorker):
    REQUEST_S = {request_s}
    STALLED_READER_S = 1.0

worker_class = Worker
worker_connections = 400
threads = 2
workers = 1
keepalive = 15
graceful_timeout = 1
control_socket_disable = True
loglevel = "warning"

def when_ready(server):
    print("port", server.LISTENERS[0].sock.getsockname()[1], flush=True)
"""
TINY_APP = """
def server(environ, start_response):
    path = environ["PATH_INFO"]
    body = path.encode() if path != "/length" else b"%d" % len(environ["wsgi.input"].read())
    if path == "/large":
        body = b"x" * 50_000_000
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@dataclass
class Web:
    process: "subprocess.Popen[str]"
    port: int

    def open(self, sent: bytes = b"") -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=HANG_S)
        client.sendall(sent)
        return client

    def ask(self, *parts: bytes) -> bytes:
        """Send parts, and read until the other side closes."""
        with self.open() as client:
            for part in parts:
                client.sendall(part)
            return read_all(client)


def read_all(client: socket.socket) -> bytes:
    got = b""
    while part := client.recv(65_536):
        got += part
    return got


def closing(request: bytes) -> bytes:
    return request.replace(b"Host: a\r\n", b"Host: a\r\nConnection: close\r\n", 1)


def start(folder: Path, request_s: float) -> Web:
    (folder / "tiny.py").write_text(TINY_APP)
    config = folder / "conf.py"
    config.write_text(CONFIG.format(root=str(ROOT), request_s=request_s))
    command = ("gunicorn", "-c", str(config), "--bind", "127.0.0.1:0", "tiny:server")
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("port "), line + process.communicate(timeout=HANG_S)[0]
    return Web(process, int(line.split()[1]))


def stop(web: Web) -> str:
    web.process.terminate()
    return web.process.communicate(timeout=HANG_S)[0]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A server that waits for the end of a request longer than any test lasts."""
    web = start(tmp_path_factory.mktemp("web"), 10 * HANG_S)
    yield web
    assert "Traceback" not in stop(web)


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"GET /hello HTTP/1.1\r\nHost: a\r\n",
        POST + b"Content-Length: 10\r\n\r\n123",
        POST + b"Content-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        CHUNKED + b"5\r\n123",
        CHUNKED + b"5\r\n12345\r\n",
        CHUNKED + b"0\r\nTrailer: x\r\n",
        GET + b"GET /hello HTTP/1.1\r\n",  # one whole request, and a half behind it
        GET + POST + b"Content-Length: 10\r\n\r\n",
        closing(GET),  # answered, and never closed from the other side
        POST + b"Content-Length: 100000\r\n\r\n",  # more than is taken
    ],
)
def test_two_hundred_unfinished_requests_leave_the_page_where_it_is(web: Web, half: bytes) -> None:
    with ExitStack() as clients:
        for _ in range(200):
            clients.enter_context(web.open(half))
        for _ in range(20):
            assert web.ask(closing(GET)).endswith(b"\r\n\r\n/hello")


def test_more_unfinished_ones_than_connections_make_room_for_others(web: Web) -> None:
    with ExitStack() as clients:
        for _ in range(450):
            clients.enter_context(web.open(b"GET / HTTP/1.1\r\n"))
        assert web.ask(closing(GET)).endswith(b"/hello")


def test_readers_that_take_nothing_give_their_threads_back(web: Web) -> None:
    with ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(web.open(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"))
        assert web.ask(closing(GET)).endswith(b"/hello")


def test_an_unfinished_request_is_refused_when_its_time_is_up(tmp_path: Path) -> None:
    web = start(tmp_path, 0.5)
    try:
        for half in (b"GET / HTTP/1.1\r\n", POST + b"Content-Length: 9\r\n\r\n1", CHUNKED):
            assert web.ask(half).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert web.ask(b"") == b""
        # A byte now and then makes the time no longer.
        with web.open(b"GET /") as client:
            client.settimeout(0.05)
            for _ in range(int(HANG_S / 0.05)):
                client.sendall(b"x")
                try:
                    answer = client.recv(100)
                except TimeoutError:
                    continue
                break
            assert answer.startswith(b"HTTP/1.1 408")
    finally:
        assert "Traceback" not in stop(web)


def test_requests_arrive_whole_however_they_were_cut(web: Web) -> None:
    whole = POST + b"Connection: close\r\nContent-Length: 5\r\n\r\n12345"
    for at in range(1, len(whole), 7):
        assert web.ask(whole[:at], whole[at:]).endswith(b"\r\n\r\n5")


def test_requests_sent_at_once_are_answered_in_order(web: Web) -> None:
    chunked = CHUNKED + b"3;ext=1\r\nabc\r\n4\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n"
    sized = POST + b"Content-Length: 2\r\n\r\nab"
    answer = web.ask(GET + chunked + sized + GET + closing(GET))
    bodies = [part.partition(b"HTTP/1.1")[0] for part in answer.split(b"\r\n\r\n")[1:]]
    assert bodies == [b"/hello", b"7", b"2", b"/hello", b"/hello"]


def test_a_client_that_asks_first_is_told_to_go_on(web: Web) -> None:
    head = POST + b"Connection: close\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    with web.open(head) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(b"abcd")
        assert read_all(client).endswith(b"\r\n\r\n4")


@pytest.mark.parametrize(
    "body",
    [
        b"x\r\n",
        b"-1\r\n",
        b"0x3\r\nabc\r\n",
        b"1_0\r\n",
        b"\r\n\r\n",
        b"3\r\nabcd\r\n",
        b"3\nabc\n0\n\n0\r\n",
        b"9" * 2_000,
    ],
)
def test_malformed_chunks_are_refused(web: Web, body: bytes) -> None:
    assert web.ask(CHUNKED + body).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_head_without_end_is_refused(web: Web) -> None:
    endless = GET[:-2] + b"X: " + b"x" * HEAD_LIMIT
    assert web.ask(endless).startswith(b"HTTP/1.1 431 ")


def test_both_ways_to_say_a_length_are_refused(web: Web) -> None:
    both = CHUNKED.replace(b"Host", b"Content-Length: 3\r\nHost") + b"0\r\n\r\n"
    assert web.ask(both).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"<script>alert(1)</script>\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", 400),
        (b"GET /" + b"x" * 8_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (POST + b"Transfer-Encoding: nosuch\r\n\r\n0\r\n\r\n", 501),
        (CHUNKED + b"x\r\n", 400),
        (GET[:-2] + b"X: " + b"x" * HEAD_LIMIT, 431),
        (GET[:-2] + b"X: 1\r\n" * 120 + b"\r\n", 431),
    ],
)
def test_what_never_reaches_the_app_is_refused_with_the_security_headers(
    web: Web, request_bytes: bytes, status: int
) -> None:
    head, _, body = web.ask(request_bytes).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first.startswith(f"HTTP/1.1 {status} ")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["status"] == status
    assert b"script" not in body


def taken(data: bytes, step: int) -> tuple[Verdict, Arrival]:
    arrival = Arrival()
    for start in range(0, len(data), step):
        verdict = arrival.take(data[start : start + step])
        if verdict != "wait":
            arrival.rest += data[start + step :]
            return verdict, arrival
    return "wait", arrival


@pytest.mark.parametrize("step", [1, 2, 3, 1_000_000])
def test_chunks_are_read_the_same_in_whatever_pieces_they_come(step: int) -> None:
    data = CHUNKED + b"3\r\nabc\r\n0A \r\n0123456789\r\n000\r\nT: x\r\n\r\nNEXT"
    verdict, arrival = taken(data, step)
    assert (verdict, bytes(arrival.body), bytes(arrival.rest)) == (
        "whole",
        b"abc0123456789",
        b"NEXT",
    )
    assert arrival.request() == CHUNKED + b"d\r\nabc0123456789\r\n0\r\n\r\n"


def test_a_long_body_is_cut_where_the_app_refuses_it() -> None:
    assert MAX_BODY_BYTES == BODY_LIMIT
    exactly = b"%x\r\n%b\r\n0\r\n\r\n" % (BODY_LIMIT, b"x" * BODY_LIMIT)
    assert taken(CHUNKED + exactly, 10_000)[0] == "whole"
    verdict, arrival = taken(CHUNKED + b"%x\r\n" % (BODY_LIMIT + 1), 10_000)
    assert (verdict, len(arrival.body)) == ("cut", BODY_LIMIT + 1)
    sized = POST + b"Content-Length: %d\r\n\r\n"
    assert taken(sized % BODY_LIMIT, 10_000)[0] == "wait"
    assert taken(sized % (BODY_LIMIT + 1), 10_000)[0] == "cut"
