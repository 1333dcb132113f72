"""Receivers of messages on loopback: of HTTP and of mail."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

import pytest

Server = TypeVar("Server", bound=socketserver.BaseServer)


class Sink(ThreadingHTTPServer):
    """Takes what is posted, or answers as it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taker)
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.taken: list[tuple[str, Any]] = []
        self.asked: list[str] = []


class Taker(BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, headers = self.server.answers.pop(0) if self.server.answers else (200, {})
        if status == 200:
            self.server.taken.append((self.path, body))
        self.send_response(status)
        for name, value in (headers | {"Content-Length": "0"}).items():
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, _ = self.server.answers.pop(0) if self.server.answers else (200, {})
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class MailSink(socketserver.ThreadingTCPServer):
    """Takes mail, as far as SMTP needs it, or refuses every recipient while `is_full`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MailTaker)
        self.is_full = False
        self.mails: list[EmailMessage] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class MailTaker(socketserver.StreamRequestHandler):
    server: MailSink

    def handle(self) -> None:
        self._say("220 sink")
        for line in self.rfile:
            command = line[:4].upper()
            if command == b"DATA":
                self._say("354 go on")
                self._take()
            elif command == b"RCPT" and self.server.is_full:
                self._say("452 no room")
            elif command == b"QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 sink")

    def _take(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.server.mails.append(mail)
        self._say("250 taken")

    def _say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


@contextmanager
def _served(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def mail_sink() -> Iterator[MailSink]:
    with _served(MailSink()) as made:
        yield made


@pytest.fixture
def sink() -> Iterator[Sink]:
    with _served(Sink()) as made:
        yield made
