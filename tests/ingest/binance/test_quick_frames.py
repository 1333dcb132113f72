"""The short way for frames gives what the library gives, however the network cuts the bytes."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.exceptions import ConnectionClosed

from ingest.binance import quick_frames
from ingest.binance.connection import MAX_FRAME_BYTES, Socket, open_socket

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PING = b"\x89\x03abc"
GOING_AWAY = b"\x88\x02\x03\xe9"


def text(message: bytes, first: int = 0x81) -> bytes:
    length = len(message)
    if length < 126:
        return bytes((first, length)) + message
    if length < 65_536:
        return bytes((first, 126)) + length.to_bytes(2, "big") + message
    return bytes((first, 127)) + length.to_bytes(8, "big") + message


@asynccontextmanager
async def server(stream: bytes, piece: int, received: list[bytes]) -> AsyncIterator[str]:
    """Answers the handshake and sends bytes right behind the answer, in pieces of a size."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line[19:] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-K"))
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        ) + stream
        for start in range(0, len(answer), piece):
            writer.write(answer[start : start + piece])
            await writer.drain()
            await asyncio.sleep(0)
        while got := await reader.read(65_536):
            received.append(got)
            if b"\x88\x82" in got or got[:1] == b"\x88":  # the client's own close
                break
        writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with running:
        yield f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}/"


def unmasked(frames: bytes) -> list[tuple[int, bytes]]:
    """Short frames of a client."""
    found = []
    while frames:
        length, mask = frames[1] & 0x7F, frames[2:6]
        body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(frames[6 : 6 + length]))
        found.append((frames[0], body))
        frames = frames[6 + length :]
    return found


async def read_to_end(socket: Socket) -> tuple[list[bytes], int]:
    messages: list[bytes] = []

    async def read() -> None:
        while True:
            messages.append(bytes(await socket.recv()))

    with pytest.raises(ConnectionClosed) as caught:
        await read()
    assert caught.value.rcvd is not None
    return messages, caught.value.rcvd.code


MESSAGES = [b"{}", b"a" * 125, b"b" * 126, b"c" * 300, b"d" * 65_535, b"", b"e"]
PLAIN = b"".join(map(text, MESSAGES))
FRAGMENTS = text(b"one ", 0x01) + PING + text(b"two", 0x80) + text(b"after")
HUGE = text(b"h" * 70_000) + text(b"after")
STREAMS = {
    "whole frames, then a close": (PLAIN + GOING_AWAY, MESSAGES),
    "a ping between": (PLAIN + PING + PLAIN + GOING_AWAY, MESSAGES * 2),
    "fragments": (
        PLAIN + FRAGMENTS + PLAIN + GOING_AWAY,
        [*MESSAGES, b"one two", b"after", *MESSAGES],
    ),
    "a huge one": (PLAIN + HUGE + GOING_AWAY, [*MESSAGES, b"h" * 70_000, b"after"]),
}


@pytest.mark.parametrize("piece", [1, 3, 1_000, 10**7])
@pytest.mark.parametrize("kind", STREAMS)
def test_no_message_is_lost_or_torn_wherever_the_bytes_are_cut(kind: str, piece: int) -> None:
    stream, expected = STREAMS[kind]
    if piece < 10:  # byte by byte, with less of the same
        expected = [message for message in expected if len(message) < 60_000]
        for message in MESSAGES:
            if len(message) >= 60_000:
                stream = stream.replace(text(message), b"")
        if kind == "a huge one":
            stream = stream.replace(text(b"h" * 70_000), b"")
    received: list[bytes] = []

    async def run() -> tuple[list[bytes], int]:
        async with server(stream, piece, received) as url:
            socket = await open_socket(url)
            found = await read_to_end(socket)
            await socket.close()
            return found

    messages, code = asyncio.run(run())
    assert messages == expected
    assert code == 1001
    answers = unmasked(b"".join(received))
    assert (0x8A, b"abc") in answers or PING not in stream


def test_a_frame_above_the_limit_is_refused_with_1009() -> None:
    head = bytes((0x81, 127)) + (MAX_FRAME_BYTES + 1).to_bytes(8, "big")
    received: list[bytes] = []

    async def run() -> None:
        async with server(text(b"fine") + head, 10**7, received) as url:
            socket = await open_socket(url)
            assert await socket.recv() == b"fine"
            with pytest.raises(ConnectionClosed) as caught:
                await socket.recv()
            assert caught.value.sent is not None
            assert caught.value.sent.code == 1009
            await socket.close()

    asyncio.run(run())


def test_a_reader_that_stops_reading_stops_the_network_instead_of_filling_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quick_frames, "PAUSE_AT", 50)
    monkeypatch.setattr(quick_frames, "RESUME_AT", 10)
    count = 60_000
    stream = b"".join(text(b"%07d" % number * 40) for number in range(count))

    async def settled(size: Callable[[], int]) -> int:
        last = -1
        while size() != last or last == 0:
            last = size()
            await asyncio.sleep(0.1)
        return last

    async def run() -> None:
        async with server(stream + GOING_AWAY, 65_536, []) as url:
            socket = await open_socket(url)
            waiting = socket._inner._texts  # type: ignore[attr-defined]
            assert await settled(lambda: len(waiting)) < 5_000
            messages, _ = await read_to_end(socket)
            assert messages == [b"%07d" % number * 40 for number in range(count)]
            await socket.close()

    asyncio.run(run())


def test_a_close_that_nobody_waits_for_any_more_leaves_no_socket_open() -> None:
    async def run() -> None:
        async with server(b"", 1_000, []) as url:
            socket = await open_socket(url)
            closing = asyncio.create_task(socket.close())
            await asyncio.sleep(0)  # it has said goodbye, and waits for the other side's
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
            assert socket._inner.transport.is_closing()  # type: ignore[attr-defined]

    asyncio.run(run())
