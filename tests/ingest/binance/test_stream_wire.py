"""The feed against real WebSocket servers on loopback: what only a real socket shows."""

import asyncio
import contextlib
import json
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from random import Random
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from core.types import Trade
from ingest.binance.stream import TradeStream
from tests.support.waiting import HANG_S

SPEED = 20.0
"""The stream's clock runs so much faster: its waits are short, its limits keep their order."""

Handler = Callable[[ServerConnection], Awaitable[None]]


def frame(trade_id: int, **changes: Any) -> str:
    payload = {"e": "aggTrade", "E": 1, "s": "BTCUSDT", "a": trade_id, "p": "100.5", "q": "0.5"}
    payload |= {"f": trade_id, "l": trade_id, "T": 1, "m": True} | changes
    return json.dumps({"stream": "btcusdt@aggTrade", "data": payload})


def listen(handler: Handler, **more: Any) -> AbstractAsyncContextManager[Server]:
    return serve(handler, "127.0.0.1", 0, compression=None, close_timeout=0.2, **more)


def url_of(server: Server) -> str:
    port = next(iter(server.sockets)).getsockname()[1]
    return f"ws://127.0.0.1:{port}"


class Listener:
    """A stream of one symbol; gives its trades, and waits for a number of them."""

    def __init__(self, *urls: str) -> None:
        self.ids: list[int] = []
        self._grown = asyncio.Event()
        self.stream = TradeStream(
            urls,
            ["BTCUSDT"],
            self._take,
            clock=lambda: time.monotonic() * SPEED,
            sleep=lambda seconds: asyncio.sleep(seconds / SPEED),
            rng=Random(1),
        )

    def _take(self, trade: Trade, received_ms: int) -> None:
        self.ids.append(trade.trade_id)
        self._grown.set()

    async def __aenter__(self) -> "Listener":
        self._task = asyncio.create_task(self.stream.run())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(HANG_S):
            while not condition():
                self._grown.clear()
                await self._grown.wait()


def reset(connection: ServerConnection) -> None:
    """Cut the TCP connection without a word."""
    transport = connection.transport
    transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


@pytest.mark.parametrize("how", ["1000", "1001", "1008", "1011", "reset"])
def test_feed_comes_back_however_the_connection_ends(how: str) -> None:
    async def run() -> None:
        count = 0

        async def handler(connection: ServerConnection) -> None:
            nonlocal count
            count += 1
            for step in range(3):
                await connection.send(frame(count * 10 + step))
            if count == 3:
                await connection.wait_closed()
            elif how == "reset":
                reset(connection)
            else:
                await connection.close(int(how), "Pong timeout")

        async with listen(handler) as server, Listener(url_of(server)) as listener:
            await listener.until(lambda: 32 in listener.ids)
            state = listener.stream.state
            assert (state.state, state.reconnects) == ("live", 2)
            assert state.last_error is not None
            if how != "reset":
                # What was sent before a proper close is read to its end.
                assert listener.ids == [10, 11, 12, 20, 21, 22, 30, 31, 32]

    asyncio.run(run())


def test_shutdown_and_switch_over_lose_no_trade() -> None:
    async def run() -> None:
        connections: list[ServerConnection] = []
        last_id = 0

        async def handler(connection: ServerConnection) -> None:
            connections.append(connection)
            await connection.wait_closed()
            connections.remove(connection)

        async def trade() -> None:
            nonlocal last_id
            while True:
                if connections:
                    last_id += 1
                    shutdown = ['{"e":"serverShutdown","E":1}'] if last_id in (50, 400) else []
                    for connection in tuple(connections):
                        # The old one may close at any moment; that is the point.
                        with contextlib.suppress(ConnectionClosed):
                            for text in (frame(last_id), *shutdown):
                                await connection.send(text)
                            shutdown = []
                await asyncio.sleep(0.001)

        async with listen(handler) as server, Listener(url_of(server)) as listener:
            trading = asyncio.create_task(trade())
            await listener.until(lambda: listener.ids[-1:] >= [1_200] and len(connections) == 1)
            trading.cancel()
            seen = sorted(set(listener.ids))
            assert seen == list(range(1, seen[-1] + 1))
            assert listener.stream.state.reconnects == 2

    asyncio.run(run())


@pytest.mark.parametrize("status", [HTTPStatus(451), HTTPStatus.FORBIDDEN])
def test_blocked_location_is_said_in_words_and_the_next_host_used(status: HTTPStatus) -> None:
    async def run() -> None:
        refusals = 0

        def refuse(connection: ServerConnection, request: object) -> Any:
            nonlocal refusals
            refusals += 1
            return connection.respond(status, "restricted location")

        async def handler(connection: ServerConnection) -> None:
            await connection.send(frame(1))
            await connection.wait_closed()

        async with (
            listen(handler, process_request=refuse) as blocked,
            listen(handler) as open_host,
            Listener(url_of(blocked), url_of(open_host)) as listener,
        ):
            await listener.until(lambda: listener.ids == [1])
            assert refusals == 1
            assert listener.stream.state.host == url_of(open_host).removeprefix("ws://")
            assert f"(HTTP {status.value})" in (listener.stream.state.last_error or "")

    asyncio.run(run())


def test_host_that_speaks_no_websocket_is_left_for_the_next_one() -> None:
    async def run() -> None:
        async def handler(connection: ServerConnection) -> None:
            await connection.send(frame(1))
            await connection.wait_closed()

        async def web_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            await writer.drain()
            writer.close()

        page = await asyncio.start_server(web_page, "127.0.0.1", 0)
        page_url = f"ws://127.0.0.1:{page.sockets[0].getsockname()[1]}"
        async with (
            page,
            listen(handler) as server,
            Listener(page_url, url_of(server)) as listener,
        ):
            await listener.until(lambda: listener.ids == [1])
            assert listener.stream.state.last_error is not None

    asyncio.run(run())


def test_large_and_fragmented_frames_are_read_whole() -> None:
    async def run() -> None:
        async def handler(connection: ServerConnection) -> None:
            text = frame(1)
            await connection.send([text[:20], text[20:90], text[90:]])
            await connection.send(frame(2, padding="x" * 2**20))
            await connection.send(frame(3).encode())
            await connection.wait_closed()

        async with listen(handler) as server, Listener(url_of(server)) as listener:
            await listener.until(lambda: listener.ids == [1, 2, 3])
            assert listener.stream.state.quarantined == 0

    asyncio.run(run())


def test_loopback_goes_past_a_proxy_that_cannot_reach_it(monkeypatch: Any) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    async def run() -> None:
        async def handler(connection: ServerConnection) -> None:
            await connection.send(frame(1))
            await connection.wait_closed()

        async with listen(handler) as server, Listener(url_of(server)) as listener:
            await listener.until(lambda: listener.ids == [1])

    asyncio.run(run())
