"""One WebSocket connection: subscribe, read, notice silence and old age."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from urllib.parse import quote

import msgspec
import structlog
import websockets

from core.errors import FrameError
from core.types import Trade
from ingest.binance.failures import NETWORK_ERRORS, SilentFeedError
from ingest.binance.frames import Shutdown, parse_control, parse_frame
from ingest.binance.hosts import host_name
from ingest.binance.proxies import DIRECT, Proxies
from ingest.binance.quick_frames import QuickConnection

_log = structlog.get_logger()

MAX_URL_LENGTH = 8_000
MAX_STREAMS = 1_024
"""Per connection, by the exchange."""
STREAMS_PER_MESSAGE = 200
MESSAGE_PAUSE_S = 0.6
"""The exchange takes five messages a second, and our pings and pongs are among them."""
MAX_FRAME_BYTES = 4 * 2**20


class Socket(Protocol):
    """What is needed of a WebSocket connection."""

    async def recv(self) -> bytes:
        """Wait for a whole frame."""

    async def send(self, message: str) -> None:
        """Send a text frame."""

    async def close(self) -> None:
        """Close, waiting a little for the other side."""


class LibrarySocket:
    """A connection of the `websockets` library that hands frames on undecoded."""

    def __init__(self, inner: QuickConnection) -> None:
        self._inner = inner

    async def recv(self) -> bytes:
        return await self._inner.recv_text()

    async def send(self, message: str) -> None:
        await self._inner.send(message)

    async def close(self) -> None:
        try:
            await self._inner.close()
        finally:
            self._inner.transport.abort()  # who waits no longer leaves no open socket behind


async def open_socket(
    url: str,
    ping_every_s: float = 20.0,
    pong_within_s: float = 20.0,
    proxies: Proxies = DIRECT,
) -> Socket:
    """Connect with the library's pings on, the way that `proxies` say."""
    inner = await websockets.connect(
        url,
        ping_interval=ping_every_s,
        ping_timeout=pong_within_s,
        open_timeout=10.0,
        close_timeout=2.0,
        max_size=MAX_FRAME_BYTES,
        max_queue=1_024,
        compression=None,
        create_connection=QuickConnection,
        proxy=proxies.for_url(url),
    )
    assert isinstance(inner, QuickConnection)
    return LibrarySocket(inner)


def stream_name(symbol: str) -> str:
    """The stream of a symbol's aggregate trades."""
    return f"{symbol.lower()}@aggTrade"


def split_streams(base: str, symbols: Sequence[str]) -> tuple[str, list[list[str]]]:
    """Put as many streams as fit into the URL, the others into batches to subscribe to."""
    names = [stream_name(symbol) for symbol in symbols]
    url = f"{base}/stream?streams="
    taken = 0
    for name in names:
        longer = url + ("/" if taken else "") + quote(name, safe="@")
        if len(longer) > MAX_URL_LENGTH:
            break
        url = longer
        taken += 1
    rest = names[taken:]
    starts = range(0, len(rest), STREAMS_PER_MESSAGE)
    return url, [rest[start : start + STREAMS_PER_MESSAGE] for start in starts]


class FrameSorter:
    """Sorts the frames of all connections: trades go on, broken ones are counted."""

    def __init__(
        self,
        symbols: Sequence[str],
        on_trade: Callable[[Trade, int], None],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._on_trade = on_trade
        self._clock = clock
        self._wall_clock = wall_clock
        self.last_trade_at = dict.fromkeys(symbols, -float("inf"))
        self.last_frame_ms: int | None = None
        self.last_error: str | None = None
        self.quarantined = 0

    def take(self, raw: bytes) -> Trade | Shutdown | None:
        """Sort one frame; a trade has been handed on when this returns."""
        received_ms = int(self._wall_clock() * 1_000.0)
        self.last_frame_ms = received_ms
        try:
            trade = parse_frame(raw, only="aggTrade")
        except FrameError as error:
            self._quarantine(str(error), raw)
            return None
        if trade is None:
            return self._take_control(raw)
        if trade.symbol not in self.last_trade_at:
            self._quarantine(f"{trade.symbol} was not asked for", raw)
            return None
        self.last_trade_at[trade.symbol] = self._clock()
        self._on_trade(trade, received_ms)
        return trade

    def _take_control(self, raw: bytes) -> Shutdown | None:
        control = parse_control(raw)
        if isinstance(control, Shutdown):
            return control
        if control is not None and control.error is not None:
            self.last_error = f"the exchange refused a subscription: {control.error[:300]}"
            _log.warning("subscription refused", error=control.error, request=control.request_id)
        return None

    def _quarantine(self, words: str, raw: bytes) -> None:
        self.quarantined += 1
        self.last_error = f"frame set aside: {words[:300]}"
        # The first ones tell what is wrong; a flood of the same tells no more.
        if self.quarantined <= 5 or self.quarantined % 1_000 == 0:
            _log.warning(
                "frame set aside", reason=words[:300], count=self.quarantined, frame=repr(raw[:200])
            )


class Connection:
    """An open socket being read. `task` ends, with the reason, when the connection does."""

    def __init__(
        self,
        socket: Socket,
        host: str,
        batches: Sequence[Sequence[str]],
        sorter: FrameSorter,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        silence_limit_s: float,
        max_age_s: float,
        on_subscribed: Callable[[], None],
    ) -> None:
        self.host = host
        self.first_trade = asyncio.Event()
        self.replace = asyncio.Event()
        """Set when a new connection should take over: old age, or the server is shutting down."""
        self._socket = socket
        self._batches = batches
        self._sorter = sorter
        self._clock = clock
        self._sleep = sleep
        self._silence_limit_s = silence_limit_s
        self._max_age_s = max_age_s
        self._on_subscribed = on_subscribed
        self._opened_at = clock()
        self._last_trade_at = self._opened_at
        # Streams to be subscribed to anew, in order; each once, however often it is asked for.
        self._silent: dict[str, None] = {}
        self._has_silent = asyncio.Event()
        self._request_id = 0
        self._subscribed = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    @property
    def age_s(self) -> float:
        return self._clock() - self._opened_at

    def resubscribe(self, streams: Sequence[str]) -> None:
        """Ask for streams anew that have gone silent on a connection that lives."""
        self._silent |= dict.fromkeys(streams)
        self._has_silent.set()

    async def close(self) -> None:
        """Stop reading and close the socket."""
        self.task.cancel()
        try:
            await asyncio.wait((self.task,))
        finally:
            with contextlib.suppress(*NETWORK_ERRORS):
                await self._socket.close()

    async def _run(self) -> None:
        parts = [asyncio.create_task(part()) for part in (self._read, self._watch, self._ask)]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def _read(self) -> None:
        recv, take, clock = self._socket.recv, self._sorter.take, self._clock
        while True:
            arrived = take(await recv())
            if isinstance(arrived, Trade):
                self._last_trade_at = clock()
                if not self.first_trade.is_set():
                    self.first_trade.set()
            elif arrived is not None and not self.replace.is_set():
                _log.info("server is shutting down", host=host_name(self.host))
                self.replace.set()

    async def _ask(self) -> None:
        """Send the subscriptions that the URL had no room for, then later requests, in peace."""
        for batch in self._batches:
            await self._send("SUBSCRIBE", batch)
        self._subscribed.set()
        self._on_subscribed()
        while True:
            await self._has_silent.wait()
            batch = tuple(self._silent)[:STREAMS_PER_MESSAGE]
            for method in ("UNSUBSCRIBE", "SUBSCRIBE"):
                await self._send(method, batch)
            for stream in batch:
                del self._silent[stream]
            if not self._silent:
                self._has_silent.clear()

    async def _send(self, method: str, streams: Sequence[str]) -> None:
        self._request_id += 1
        request = {"method": method, "params": list(streams), "id": self._request_id}
        await self._socket.send(msgspec.json.encode(request).decode())
        await self._sleep(MESSAGE_PAUSE_S)

    async def _watch(self) -> None:
        await self._subscribed.wait()
        since = self._clock()
        while True:
            idle_s = self._clock() - max(since, self._last_trade_at)
            if idle_s >= self._silence_limit_s:
                raise SilentFeedError(f"no trade for {idle_s:.0f} s on an open connection")
            wait_s = self._silence_limit_s - idle_s
            if not self.replace.is_set():
                left_s = self._max_age_s - self.age_s
                if left_s <= 0.0:
                    self.replace.set()
                else:
                    wait_s = min(wait_s, left_s)
            await self._sleep(wait_s)
