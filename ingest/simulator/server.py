"""The simulated exchange on loopback: REST and WebSocket on one port."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import orjson
import structlog

from ingest.simulator.faults import Faults
from ingest.simulator.ledger import Ledger
from ingest.simulator.listing import DEFAULT_COUNT, listings
from ingest.simulator.publisher import Publisher
from ingest.simulator.rest import Answer, RestApi
from ingest.simulator.session import Session, SessionLimits, upgrade

log = structlog.get_logger()

_MAX_HEAD_BYTES = 32_768
_MAX_TARGET = 8_004
_PARENT_LOOK_S = 0.25
# Answered on the event loop at once; all else may have to make history first.
_LIGHT = ("/api/v3/ping", "/api/v3/time", "/api/v3/exchangeInfo")
_BURST = "/simulator/burst"
_STANDSTILL = "/simulator/standstill"
_FAULTS = "/simulator/faults"


class SimulatedExchange:
    """A running exchange; made by `serve`."""

    def __init__(self, ledger: Ledger, host: str, limits: SessionLimits) -> None:
        self.ledger = ledger
        self.host = host
        self.port = 0
        self.faults = Faults()
        self._limits = limits
        self.rest = RestApi(ledger, self.faults)
        self._publisher = Publisher(ledger)
        self._connections: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="simulated-rest")
        self._server: asyncio.Server | None = None
        self._publishing: asyncio.Task[None] | None = None

    @property
    def rest_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.host}:{self.port}"

    async def start(self, port: int) -> None:
        """Listen; port 0 takes a free one."""
        self._server = await asyncio.start_server(
            self._connected, self.host, port, limit=_MAX_HEAD_BYTES
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._publishing = asyncio.create_task(self._publisher.run())

    async def aclose(self) -> None:
        """Close every connection and stop listening."""
        if self._server is not None:
            self._server.close()
        for session in list(self.faults.clients):
            session.close(1001, "Going away")
        if self._publishing is not None:
            self._connections.add(self._publishing)
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            while await self._one_request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # the client went away or never spoke HTTP
        except asyncio.CancelledError:
            return  # `aclose`; asyncio's server logs a task that ends cancelled
        except Exception:
            log.exception("simulated exchange could not serve a connection")
        finally:
            writer.close()

    async def _one_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Serve one request; whether the connection stays open for another."""
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, _, rest = first.partition(" ")
        target, _, version = rest.rpartition(" ")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        if not method or not target.startswith("/") or not version.startswith("HTTP/1."):
            _write(writer, Answer(400, b""), keep=False)
            return False
        if len(target) > _MAX_TARGET:
            _write(writer, Answer(414, b""), keep=False)
            return False
        if headers.get("upgrade", "").lower() == "websocket":
            await self._websocket(head, target, reader, writer)
            return False
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > _MAX_HEAD_BYTES:
            _write(writer, Answer(413, b""), keep=False)
            return False
        await reader.readexactly(int(length))
        keep = headers.get("connection", "").lower() != "close" and version == "HTTP/1.1"
        peer = writer.get_extra_info("peername")
        answer = await self._answer(
            method, target, headers.get("x-mbx-time-unit"), peer[0] if peer else ""
        )
        _write(writer, answer, keep)
        await writer.drain()
        return keep

    async def _answer(
        self, method: str, target: str, time_unit: str | None, address: str
    ) -> Answer:
        path, _, query = target.partition("?")
        loop = asyncio.get_running_loop()
        if path == _BURST and method in ("GET", "POST"):
            return await loop.run_in_executor(self._threads, self.rest.burst, query)
        if path == _STANDSTILL and method in ("GET", "POST"):
            return await loop.run_in_executor(self._threads, self.rest.stand_still, query)
        if path == _FAULTS and method in ("GET", "POST"):
            return self._control(query)
        if method != "GET":
            return Answer(405 if path.startswith("/api/") else 404, b"")
        refusal = self.faults.rest_refusal() if path.startswith("/api/") else None
        if refusal is not None:
            return Answer(*refusal)
        if path in _LIGHT:
            return self.rest.answer(path, query, time_unit, address)
        return await loop.run_in_executor(
            self._threads, self.rest.answer, path, query, time_unit, address
        )

    def _control(self, query: str) -> Answer:
        """Switch faults on and off; answers with what is set."""
        try:
            return Answer(200, orjson.dumps(self.faults.control(query)))
        except ValueError as error:
            return Answer(400, orjson.dumps({"code": -1130, "msg": str(error)}))

    async def _websocket(
        self,
        head: bytes,
        target: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        faults = self.faults
        opened = upgrade(head, target, writer, faults.refuse_upgrade)
        faults.conduct.count_connect(faults.clock(), accepted=opened is not None)
        await writer.drain()
        if opened is None:
            return
        protocol, subscriptions = opened
        session = Session(
            protocol, writer, subscriptions, self._limits, self._publisher.refresh, faults
        )
        if faults.close_on_accept == 1006:
            session.reset()
        elif faults.close_on_accept:
            session.close(faults.close_on_accept)
        faults.clients.add(session)
        faults.conduct.opened(faults.clock())
        self._publisher.add(session)
        try:
            await session.run(reader)
        finally:
            self._publisher.remove(session)
            faults.clients.discard(session)
            faults.conduct.closed(faults.clock())


def _write(writer: asyncio.StreamWriter, answer: Answer, keep: bool) -> None:
    phrase = HTTPStatus(answer.status).phrase
    lines = [
        f"HTTP/1.1 {answer.status} {phrase}",
        "Content-Type: application/json;charset=UTF-8",
        f"Content-Length: {len(answer.body)}",
        f"Connection: {'keep-alive' if keep else 'close'}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
    ]
    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + answer.body)


async def serve(
    port: int = 0,
    *,
    seed: int = 7,
    rate: float = 1.0,
    symbols: int = DEFAULT_COUNT,
    host: str = "127.0.0.1",
    clock: Callable[[], float] = time.time,
    limits: SessionLimits | None = None,
) -> SimulatedExchange:
    """Start a simulated exchange in this event loop.

    Parameters
    ----------
    port : 0 for a free one.
    seed, rate, symbols : decide the whole market together with the time; `rate` 1 is some 30
        aggregates a second over the first 20 symbols.
    clock : seconds since the epoch.
    """
    ledger = Ledger(seed, rate, clock, listings(symbols))
    exchange = SimulatedExchange(ledger, host, limits or SessionLimits())
    await exchange.start(port)
    return exchange


def run(
    port: int,
    seed: int = 7,
    rate: float = 1.0,
    symbols: int = DEFAULT_COUNT,
    with_parent: bool = False,
) -> int:
    """Serve until SIGTERM or SIGINT, or, `with_parent`, until the parent process is gone.

    Returns the exit code: 1 when the port can't be had.
    """
    parent = os.getppid()

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        exchange = await serve(port, seed=seed, rate=rate, symbols=symbols)
        print(f"simulated exchange on {exchange.rest_url} {exchange.ws_url}", flush=True)
        while not stop.is_set() and not (with_parent and os.getppid() != parent):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PARENT_LOOK_S):
                    await stop.wait()
        await exchange.aclose()

    try:
        asyncio.run(main())
    except OSError as error:
        log.error("simulated exchange could not listen", port=port, reason=str(error))
        return 1
    return 0
