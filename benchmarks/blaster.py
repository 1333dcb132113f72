"""An exchange that sends plain frames: as many a second as asked, on a core of its own.

`python -m benchmarks.blaster RATE SECONDS SYMBOLS` prints its port, and when all is sent says so.
Every trade follows from its number, so REST can answer for any id. Of the time before there are
flat bars of the last minutes, so that a history that was stored before has no hole at its end.
"""

import asyncio
import base64
import hashlib
import json
import sys
import time
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

CHUNK_S = 0.005
LEAD_S = 1.0
FLAT_S = 180
FLAT_PRICE = "105.00000000"
INTERVALS_MS = {"1s": 1_000, "1m": 60_000}
MAX_UNSENT_BYTES = 64 * 2**20
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Blaster:
    """Trade `number` is of symbol `number % symbols`, at its share of the time."""

    def __init__(self, rate: int, seconds: float, symbols: int) -> None:
        self.rate = rate
        self.count = int(rate * seconds)
        self.symbols = [f"S{number:03d}USDT" for number in range(symbols)]
        self.start_ms: int | None = None

    def trade(self, number: int) -> dict[str, object]:
        assert self.start_ms is not None
        time_ms = self.start_ms + number * 1_000 // self.rate
        return {
            "a": number // len(self.symbols) + 1,
            "p": f"{100 + number % 997 / 100:.2f}000000",
            "q": f"{1 + number % 89 / 1_000:.3f}00000",
            "f": number * 2,
            "l": number * 2 + 1,
            "T": time_ms,
            "m": number % 3 == 0,
        }

    def frame(self, number: int) -> bytes:
        symbol = self.symbols[number % len(self.symbols)]
        trade = self.trade(number)
        payload = (
            f'{{"stream":"{symbol.lower()}@aggTrade","data":{{"e":"aggTrade","E":{trade["T"]},'
            f'"s":"{symbol}","a":{trade["a"]},"p":"{trade["p"]}","q":"{trade["q"]}",'
            f'"f":{trade["f"]},"l":{trade["l"]},"T":{trade["T"]},'
            f'"m":{"true" if trade["m"] else "false"},"M":true}}}}'
        ).encode()
        return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload

    # -- REST ---------------------------------------------------------------------------------

    def answer(self, target: str) -> object:
        url = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        route = url.path.rpartition("/")[2]
        if route == "time":
            return {"serverTime": int(time.time() * 1_000)}
        if route == "exchangeInfo":
            return {
                "symbols": [
                    {"symbol": s, "status": "TRADING", "baseAsset": s[:-4], "quoteAsset": "USDT"}
                    for s in self.symbols
                ]
            }
        if route == "aggTrades":
            return self._agg_trades(query)
        return self._klines(query) if route == "klines" else {}

    def _klines(self, query: dict[str, str]) -> object:
        length = INTERVALS_MS.get(query["interval"])
        if length is None:
            return []
        end_ms = self.start_ms or int(time.time() * 1_000)
        first_ms = max(int(query.get("startTime", 0)), end_ms - FLAT_S * 1_000)
        last_ms = min(int(query.get("endTime", end_ms)), end_ms - length)
        opens = range(-(-first_ms // length) * length, last_ms + 1, length)
        price, nothing = FLAT_PRICE, "0.00000000"
        rows = [
            [at, price, price, price, price, nothing, at + length - 1, nothing, 0, nothing, nothing]
            for at in opens
        ]
        return rows[: int(query.get("limit", 500))]

    def _agg_trades(self, query: dict[str, str]) -> list[dict[str, object]]:
        if self.start_ms is None:
            return []
        own, of = self.symbols.index(query["symbol"]), len(self.symbols)
        if "fromId" in query:
            first = (int(query["fromId"]) - 1) * of + own
        else:
            number = (int(query.get("startTime", 0)) - self.start_ms) * self.rate // 1_000
            first = max(0, -(-(number - own) // of)) * of + own
        now = (int(time.time() * 1_000) - self.start_ms) * self.rate // 1_000
        last = min(self.count, now, first + int(query.get("limit", 1_000)) * of)
        return [self.trade(number) for number in range(max(0, first), last, of)]

    # -- the socket ---------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                target = head.split(" ", 2)[1]
                headers = dict(
                    line.lower().split(": ", 1)[:1] + line.split(": ", 1)[1:]
                    for line in head.split("\r\n")[1:]
                    if ": " in line
                )
                key = headers.get("sec-websocket-key")
                if key is None:
                    body = json.dumps(self.answer(target)).encode()
                    writer.write(
                        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
                    )
                    await writer.drain()
                    continue
                accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest())
                writer.write(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n" % accept
                )
                await writer.drain()
                answering = asyncio.create_task(_answer_pings(reader, writer))
                await self._blast(writer)
                await answering
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client has gone
        finally:
            writer.close()

    async def _blast(self, writer: asyncio.StreamWriter) -> None:
        # Each chunk is encoded when it is due: some 4 µs a frame, and hours need no memory.
        self.start_ms = int((time.time() + LEAD_S) * 1_000)
        step = max(1, int(self.rate * CHUNK_S))
        for first in range(0, self.count, step):
            end = min(first + step, self.count)
            due = self.start_ms / 1_000 + end / self.rate
            await asyncio.sleep(max(0.0, due - time.time()))
            writer.write(b"".join(map(self.frame, range(first, end))))
            if writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
                await writer.drain()
        late = time.time() - (self.start_ms / 1_000 + self.count / self.rate)
        print(f"sent {self.count} {self.start_ms} {late:.3f}", flush=True)


async def _answer_pings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A client's frames are short and masked; the only ones that matter are pings."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            first, length = await reader.readexactly(2)
            mask = await reader.readexactly(4)
            body = await reader.readexactly(length & 0x7F)
            if first == 0x89:
                plain = bytes(byte ^ mask[at % 4] for at, byte in enumerate(body))
                writer.write(bytes((0x8A, len(plain))) + plain)


async def main(rate: int, seconds: float, symbols: int) -> None:
    blaster = Blaster(rate, seconds, symbols)
    server = await asyncio.start_server(blaster.serve, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
