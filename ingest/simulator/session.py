"""One WebSocket connection of a client: upgrade, control messages, pings, limits, the way out."""

import asyncio
import contextlib
import logging
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from socket import SO_LINGER, SOL_SOCKET

import structlog
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from ingest.simulator.faults import SHUTDOWN, SHUTDOWN_WRAPPED, Disturbance, Faults
from ingest.simulator.stream import Subscriptions, open_address

log = structlog.get_logger()

_READ_BYTES = 65_536
_MAX_UNSENT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How the exchange treats a connection; all in seconds but the message count."""

    ping_every_s: float = 20.0
    pong_within_s: float = 60.0
    life_s: float = 86_400.0
    close_within_s: float = 2.0
    messages_per_s: int = 5


class Session:
    """One accepted connection.

    `send` is the only way out for frames, `upgrade` the only way in for connections.
    """

    def __init__(
        self,
        protocol: ServerProtocol,
        writer: asyncio.StreamWriter,
        subscriptions: Subscriptions,
        limits: SessionLimits,
        on_change: Callable[[], None],
        faults: Faults,
    ) -> None:
        self.subscriptions = subscriptions
        self._protocol = protocol
        self._writer = writer
        self._limits = limits
        self._on_change = on_change
        self._faults = faults
        self._disturbance = Disturbance(faults)
        self.is_mute = self.is_half_open = False
        self._loop = asyncio.get_running_loop()
        self._opened_s = self._pinged_s = self._loop.time()
        self._pings: dict[bytes, float] = {}
        self._window_s, self._messages = self._opened_s, 0
        self._parts: list[bytes] = []

    # Out ------------------------------------------------------------------------------------

    def send(self, texts: Sequence[str]) -> None:
        """Send text messages; a client that does not read is cut off."""
        if self.is_mute:
            return
        self._send(self._disturbance.passed(list(texts)))

    def _send(self, texts: Sequence[str]) -> None:
        if self._protocol.state is not OPEN:
            return
        for text in texts:
            self._protocol.send_text(text.encode())
        self._flush()
        if self._writer.transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            log.warning("simulated exchange cut off a client that does not read")
            self._writer.transport.abort()

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
            self._flush()
            # A peer that does not answer the close is not waited for.
            self._loop.call_later(self._limits.close_within_s, self._writer.transport.abort)

    def reset(self) -> None:
        """Cut the TCP connection without a word."""
        socket = self._writer.get_extra_info("socket")
        socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def announce_shutdown(self) -> None:
        """Say that this connection is about to be closed."""
        text = SHUTDOWN % (time.time() * 1_000)
        self._send([SHUTDOWN_WRAPPED % text if self.subscriptions.combined else text])

    def _flush(self) -> None:
        if self.is_half_open:
            self._protocol.data_to_send()
            return
        for part in _joined(self._protocol.data_to_send()):
            if part:
                self._writer.write(part)
            elif self._writer.can_write_eof():
                with contextlib.suppress(OSError):  # the peer has gone already
                    self._writer.write_eof()

    # In -------------------------------------------------------------------------------------

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Serve the connection until it is closed from either side."""
        timer = asyncio.create_task(self._keep_time())
        try:
            while not self._writer.transport.is_closing():
                received = await reader.read(_READ_BYTES)
                if received:
                    self._protocol.receive_data(received)
                else:
                    self._protocol.receive_eof()
                for event in self._protocol.events_received():
                    if isinstance(event, Frame):
                        self._take(event)
                self._flush()
                if not received or self._protocol.close_expected():
                    return
        finally:
            timer.cancel()

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE or self._protocol.state is not OPEN:
            return
        if frame.opcode is Opcode.PONG and bytes(frame.data) in self._pings:
            answered = self._pings[bytes(frame.data)]
            self._pings = {ping: at for ping, at in self._pings.items() if at > answered}
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._parts.append(bytes(frame.data))
            if not frame.fin:
                return
        self._faults.conduct.messages += 1
        if self._too_many_messages():
            self._faults.conduct.too_many_messages()
            self.close(1008, "Too many requests")
            return
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            message = b"".join(self._parts).decode(errors="replace")
            self._parts = []
            before = dict(self.subscriptions.names)
            reply = self._faults.reply_to(self.subscriptions.reply(message))
            # First what happened before the change, then the reply, then what it changed.
            if before != self.subscriptions.names:
                self._on_change()
            if reply is not None:
                self._send([reply])

    def _too_many_messages(self) -> bool:
        now_s = self._loop.time()
        if now_s - self._window_s >= 1.0:
            self._window_s, self._messages = now_s, 0
        self._messages += 1
        return self._messages > self._limits.messages_per_s

    async def _keep_time(self) -> None:
        """Ping, expect pongs, and end the connection at the end of its life."""
        limits = self._limits
        while self._protocol.state is OPEN:
            now_s = self._loop.time()
            oldest_s = min(self._pings.values(), default=now_s)
            if now_s - oldest_s >= limits.pong_within_s:
                self.close(1008, "Pong timeout")
                return
            if now_s - self._opened_s >= limits.life_s:
                self.close(1001, "Connection reached its age limit")
                return
            if now_s - self._pinged_s >= limits.ping_every_s:
                payload = str(round(now_s * 1_000)).encode()
                self._pings[payload] = self._pinged_s = now_s
                self._protocol.send_ping(payload)
                self._flush()
            due_s = [
                self._pinged_s + limits.ping_every_s,
                self._opened_s + limits.life_s,
                min(self._pings.values(), default=now_s + 60.0) + limits.pong_within_s,
            ]
            await asyncio.sleep(max(0.001, min(due_s) - now_s))


def upgrade(
    head: bytes, target: str, writer: asyncio.StreamWriter, refuse: int = 0
) -> tuple[ServerProtocol, Subscriptions] | None:
    """Answer an upgrade; None when it was refused, and the connection is to be closed."""
    protocol = ServerProtocol(max_size=2**16, logger=logging.getLogger("websockets.server"))
    protocol.receive_data(head)
    request = next(iter(protocol.events_received()), None)
    subscriptions: Subscriptions | None = None
    if isinstance(request, Request) and refuse:
        protocol.send_response(protocol.reject(HTTPStatus(refuse), ""))
    elif isinstance(request, Request):
        try:
            subscriptions = open_address(target)
        except ValueError as error:
            response = protocol.reject(HTTPStatus.BAD_REQUEST, str(error))
        else:
            if subscriptions is None:
                response = protocol.reject(HTTPStatus.NOT_FOUND, "")
            else:
                response = protocol.accept(request)
        protocol.send_response(response)
    for part in _joined(protocol.data_to_send()):
        writer.write(part)
    if subscriptions is None or protocol.state is not OPEN:
        return None
    return protocol, subscriptions


def _joined(parts: Sequence[bytes]) -> list[bytes]:
    """One write for what belongs together; an empty part stands for the end of the stream."""
    whole = b"".join(parts)
    return ([whole] if whole else []) + ([b""] if parts and not parts[-1] else [])
