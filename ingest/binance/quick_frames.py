"""A WebSocket connection whose plain text frames take a short way past the library's machinery.

The library spends about 15 µs on a frame: tens of thousands a second would take a core to
themselves. What nearly every frame of a server is, one whole unmasked text message, is cut out of
the received bytes here. Everything else (handshake, pings, close, fragments, too long a frame) is
handed to the library, which keeps all its rules.
"""

from collections import deque
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.protocol import OPEN

TEXT = 0x81
"""First byte of a final, uncompressed text frame."""
CLOSE = 0x88
_HEAD_END = b"\r\n\r\n"
PAUSE_AT, RESUME_AT = 8_192, 1_024
"""Frames waiting to be read at which the network is made to wait, and to go on."""


class QuickConnection(ClientConnection):
    """A client connection with `recv_text`, which is to be used instead of `recv`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._texts: deque[bytes] = deque()
        self._partial = b""
        self._head = b""
        self._is_plain = False
        self._is_paused = False
        self._waiter: Any = None

    async def recv_text(self) -> bytes:
        """Wait for the next message.

        Raises
        ------
        ConnectionClosed
            The connection has ended, and every message before its end was given.
        """
        while not self._texts:
            if self._is_paused:
                self._is_paused = False
                self.transport.resume_reading()
            if self._is_plain or self.protocol.state is not OPEN:
                return await self.recv(decode=False)
            self._waiter = self.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._is_paused and len(self._texts) < RESUME_AT:
            self._is_paused = False
            self.transport.resume_reading()
        return self._texts.popleft()

    def data_received(self, data: bytes) -> None:
        if self.response is None:
            data = self._take_head(data)
        if not data:
            return
        if self._is_plain or self.protocol.state is not OPEN:
            super().data_received(data)
            return
        if self._partial:
            data = self._partial + data
        at = self._cut(data)
        self._partial = data[at:]
        if len(self._texts) > PAUSE_AT and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wake()

    def _take_head(self, data: bytes) -> bytes:
        """Hand the answer to the handshake over, and give what came right behind it."""
        before = len(self._head)
        self._head += data
        end = self._head.find(_HEAD_END)
        cut = len(data) if end < 0 else end + len(_HEAD_END) - before
        super().data_received(data[:cut])
        return data[cut:]

    def _cut(self, data: bytes) -> int:
        """Take every whole frame; give where the first one that isn't whole begins."""
        at, size = 0, len(data)
        append, longest = self._texts.append, self.protocol.max_message_size
        while size - at >= 2:
            first, length = data[at], data[at + 1]
            start = at + 2
            if length == 126:
                start += 2
                if size < start:
                    return at
                length = data[at + 2] << 8 | data[at + 3]
            elif length > 126:
                break
            if first == TEXT and (longest is None or length <= longest):
                end = start + length
                if end > size:
                    return at
                append(data[start:end])
                at = end
            elif first > CLOSE:  # ping, pong: whole and short
                end = start + length
                if end > size:
                    return at
                super().data_received(data[at:end])
                at = end
            else:
                break
        else:
            return at
        # Something else: from here on the library reads.
        self._is_plain = True
        super().data_received(data[at:])
        return size

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
