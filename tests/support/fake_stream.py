"""A stream of trades whose connector is a script, in time that only the test moves."""

import asyncio
import json
from collections.abc import Callable
from random import Random
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response

from core.types import Trade
from ingest.binance.stream import TradeStream

FOUR = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")
HOUR = 3_600.0
SHUTDOWN = json.dumps({"e": "serverShutdown", "E": 1_700_000_040_000}).encode()


def frame(trade_id: int, symbol: str = "BTCUSDT", **changes: Any) -> bytes:
    payload = {"e": "aggTrade", "E": 1_700_000_040_000, "s": symbol, "a": trade_id, "p": "100.5"}
    payload |= {"q": "0.5", "f": trade_id, "l": trade_id, "T": 1_700_000_040_000, "m": True}
    stream = f"{symbol.lower()}@aggTrade"
    return json.dumps({"stream": stream, "data": payload | changes}).encode()


def refused(status: int, **headers: str) -> InvalidStatus:
    named = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return InvalidStatus(Response(status, "", named))


def closed(code: int = 1001, reason: str = "") -> ConnectionClosedError:
    return ConnectionClosedError(Close(code, reason), None)


class FakeSocket:
    """One connection of the fake exchange: what is fed is received, an exception ends it."""

    def __init__(self, time: Any, url: str) -> None:
        self.url = url
        self.opened_at = time.now
        self.closed_at: float | None = None
        self.sent: list[tuple[float, dict[str, Any]]] = []
        self._time = time
        self._queue: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def feed(self, *items: bytes | Exception) -> None:
        for item in items:
            self._queue.put_nowait(item)

    async def recv(self) -> bytes:
        item = await self._queue.get()
        if isinstance(item, Exception):
            raise item
        return item

    async def send(self, message: str) -> None:
        self.sent.append((self._time.now, json.loads(message)))

    async def close(self) -> None:
        self.closed_at = self._time.now


class FakeExchange:
    """A stream whose connector is a script: `answer(number, url)` feeds a socket or raises."""

    def __init__(self, time: Any) -> None:
        self.time = time
        self.attempts: list[tuple[float, str]] = []
        self.sockets: list[FakeSocket] = []
        self.trades: list[Trade] = []
        self.received_ms: list[int] = []
        self.connected_calls = 0
        self.answer: Callable[[FakeSocket], None] = lambda socket: None

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.attempts]

    def hosts(self) -> list[str]:
        return [url.partition("/stream")[0] for _, url in self.attempts]

    async def connect(self, url: str) -> FakeSocket:
        self.attempts.append((self.time.now, url))
        socket = FakeSocket(self.time, url)
        self.answer(socket)
        self.sockets.append(socket)
        return socket

    def on_trade(self, trade: Trade, received_ms: int) -> None:
        self.trades.append(trade)
        self.received_ms.append(received_ms)

    def on_connected(self) -> None:
        self.connected_calls += 1

    def stream(
        self, symbols: tuple[str, ...] = FOUR, hosts: tuple[str, ...] = ("wss://one",), **more: Any
    ) -> TradeStream:
        return TradeStream(
            hosts,
            symbols,
            more.pop("on_trade", self.on_trade),
            on_connected=self.on_connected,
            connect=self.connect,
            clock=self.time.clock,
            wall_clock=self.time.wall_clock,
            sleep=self.time.sleep,
            rng=Random(3),
            **more,
        )


def play(stream: TradeStream, script: Callable[[], Any]) -> None:
    """Run a stream while a script turns the clock and looks."""

    async def both() -> None:
        task = asyncio.create_task(stream.run())
        acting = asyncio.create_task(script())
        await asyncio.wait((task, acting), return_when=asyncio.FIRST_COMPLETED)
        acting.cancel()
        task.cancel()
        outcomes = await asyncio.gather(task, acting, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    asyncio.run(both())


def most_in_five_minutes(times: list[float]) -> int:
    return max(sum(start <= at < start + 300.0 for at in times) for start in times)
