"""Clients of a desk that send what its page sends, lean enough not to be what is measured.

One process, one connection a dashboard, as a browser keeps it; of an answer only the cursor counts.
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import brotli
import orjson

_HEAD = (
    "{method} {path} HTTP/1.1\r\n"
    "Host: 127.0.0.1:{port}\r\n"
    "Connection: keep-alive\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/142.0.0.0 Safari/537.36\r\n"
    "Accept: application/json\r\n"
    "Accept-Language: en-GB,en;q=0.9\r\n"
    "{more}\r\n"
)
_CALLBACK = (
    "Content-Type: application/json\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Origin: http://127.0.0.1:{port}\r\n"
    "Referer: http://127.0.0.1:{port}/\r\n"
    "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n"
    "Content-Length: {length}\r\n"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, and how long it took from the moment its request was written."""

    status: int
    headers: str
    body: bytes
    milliseconds: float

    def json(self) -> Any:
        packed = "content-encoding: br" in self.headers
        return orjson.loads(brotli.decompress(self.body) if packed else self.body)


class Connection(asyncio.Protocol):
    """One keep-alive connection; a request at a time, from any address of the loopback."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.port = port
        self._address = address
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._waiting: asyncio.Future[Answer] | None = None
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._transport, self._buffer = None, b""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("closed before it answered"))

    def data_received(self, received: bytes) -> None:
        now = time.perf_counter()
        self._buffer += received
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end or self._waiting is None:
            return
        headers = head.decode("latin-1").lower()
        length = int(headers.partition("content-length: ")[2].split("\r\n", 1)[0] or 0)
        if len(body) >= length:
            self._buffer = b""
            spent = 1e3 * (now - self._began)
            self._waiting.set_result(Answer(int(head[9:12]), headers, body, spent))

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait for its answer.

        Where a kept connection was closed just before, it is asked once more over a new one, as
        browsers do.
        """
        was_open = self._transport is not None
        try:
            return await self._ask(request)
        except ConnectionError:
            if not was_open:
                raise
            return await self._ask(request)

    async def _ask(self, request: bytes) -> Answer:
        loop = asyncio.get_running_loop()
        if self._transport is None:
            await loop.create_connection(
                lambda: self, "127.0.0.1", self.port, local_addr=(self._address, 0)
            )
        assert self._transport is not None
        self._waiting = loop.create_future()
        self._began = time.perf_counter()
        self._transport.write(request)
        return await self._waiting

    async def get(self, path: str, more: str = "", method: str = "GET") -> Answer:
        """Ask without a body."""
        head = _HEAD.format(method=method, path=path, port=self.port, more=more)
        return await self.ask(head.encode())

    async def callback(
        self, output: str, values: dict[str, Any], state: dict[str, Any], changed: str
    ) -> Any:
        """Call one of the page's callbacks; returns what its output becomes, None if unchanged."""
        answer = await self.ask(callback_request(self.port, output, values, state, changed))
        if answer.status != 200:
            raise ConnectionError(f"{output}: {answer.status} {answer.body[:200]!r}")
        component, _, name = output.rpartition(".")
        return answer.json()["response"].get(component, {}).get(name), answer.milliseconds

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def callback_request(
    port: int, output: str, values: dict[str, Any], state: dict[str, Any], changed: str
) -> bytes:
    """A call as dash's own scripts write it."""

    def entries(given: dict[str, Any]) -> list[dict[str, Any]]:
        parts = ((*name.rpartition(".")[::2], value) for name, value in given.items())
        return [{"id": part, "property": name, "value": value} for part, name, value in parts]

    component, _, name = output.rpartition(".")
    body: dict[str, Any] = {
        "output": output,
        "outputs": {"id": component, "property": name},
        "inputs": entries(values),
        "changedPropIds": [changed],
        "parsedChangedPropsIds": [changed],
    }
    if state:
        body["state"] = entries(state)
    return post_request(port, "/_dash-update-component", body)


def post_request(port: int, path: str, body: dict[str, Any]) -> bytes:
    """What the page's own scripts write where they send something."""
    content = orjson.dumps(body)
    more = _CALLBACK.format(port=port, length=len(content))
    return _HEAD.format(method="POST", path=path, port=port, more=more).encode() + content


@dataclass(slots=True)
class Tally:
    """What clients saw: milliseconds of every answer, what went wrong, rows that came."""

    milliseconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    rows: int = 0
    reloads: int = 0

    def quantile(self, share: float) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Dashboard:
    """One open page: a whole screen, then a tick a second with the cursor that came last."""

    def __init__(self, port: int, address: str, query: str, tally: Tally) -> None:
        self._connection = Connection(port, address)
        self._request = {"query": query, "note": ""}
        self._tally = tally
        self._cursor: Any = None

    async def open(self) -> None:
        """Fetch the whole screen."""
        screen, _ = await self._connection.callback(
            "live-screen.data",
            {"live-request.data": self._request, "live-reload.data": None},
            {},
            "live-request.data",
        )
        self._cursor = screen["cursor"]

    async def tick(self) -> None:
        """Ask once for what is newer."""
        try:
            delta, spent = await self._connection.callback(
                "live-delta.data",
                {"live-cursor.data": self._cursor},
                {"live-request.data": self._request},
                "live-cursor.data",
            )
        except (OSError, ValueError) as error:
            self._tally.errors.append(str(error))
            return
        self._tally.milliseconds.append(spent)
        if delta is None:
            return
        if delta.get("reload"):
            self._tally.reloads += 1
            await self.open()
            return
        self._tally.rows += len(delta.get("rows", {}).get("z", ()))
        self._cursor = self._cursor | delta["cursor"]

    async def run(self, until: float, phase: float) -> None:
        """Tick every second, beginning at a share of one; like the page, never twice at once."""
        due = time.monotonic() + phase
        while due < until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self.tick()
            due = max(due + 1.0, time.monotonic())

    def close(self) -> None:
        self._connection.close()


async def open_all(dashboards: Iterable[Dashboard], at_once: int = 4) -> None:
    """Open the pages, a few at a time."""
    places = asyncio.Semaphore(at_once)

    async def one(dashboard: Dashboard) -> None:
        async with places:
            await dashboard.open()

    await asyncio.gather(*map(one, dashboards))
