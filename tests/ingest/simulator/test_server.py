"""The simulated exchange over real sockets: what a client meets on the wire."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.uri import parse_uri

from ingest.simulator import SessionLimits, SimulatedExchange, serve
from tests.support.simulator import in_loop
from tests.support.waiting import ENDLESS_S, HANG_S, wait_until

ROOT = Path(__file__).parents[3]
# A fast market, so that a test sees many trades in little time.
RATE = 20.0


@asynccontextmanager
async def running(limits: SessionLimits | None = None) -> AsyncIterator[SimulatedExchange]:
    exchange = await serve(rate=RATE, limits=limits)
    try:
        yield exchange
    finally:
        await exchange.aclose()


def client(exchange: SimulatedExchange) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=exchange.rest_url, trust_env=False, timeout=HANG_S)


async def read(ws: ClientConnection) -> Any:
    async with asyncio.timeout(HANG_S):
        return orjson.loads(await ws.recv())


@in_loop
async def test_frames_on_a_combined_stream_are_the_ledger_in_full() -> None:
    async with running() as exchange:
        url = f"{exchange.ws_url}/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade"
        async with connect(url, proxy=None) as ws:
            frames = [await read(ws) for _ in range(150)]
    for symbol in ("BTCUSDT", "ETHUSDT"):
        told = [f["data"] for f in frames if f["stream"] == f"{symbol.lower()}@aggTrade"]
        trades = exchange.ledger.trades(symbol, told[0]["a"], len(told))
        assert [(f["a"], float(f["p"]), float(f["q"]), f["T"], f["E"]) for f in told] == [
            (t.trade_id, t.price, t.quantity, t.trade_time_ms, t.event_time_ms) for t in trades
        ]


@in_loop
async def test_a_raw_stream_takes_control_messages() -> None:
    async with running() as exchange, connect(f"{exchange.ws_url}/ws", proxy=None) as ws:
        await ws.send('{"method":"SUBSCRIBE","params":["btcusdt@aggTrade"],"id":"one"}')
        assert await read(ws) == {"result": None, "id": "one"}
        assert (await read(ws))["e"] == "aggTrade"
        await ws.send('{"method":"SET_PROPERTY","params":["combined",true],"id":2}')
        while "stream" not in (frame := await read(ws)):
            assert frame.get("e") == "aggTrade" or frame == {"result": None, "id": 2}
        assert frame["stream"] == "btcusdt@aggTrade"
        await ws.send('{"method":"UNSUBSCRIBE","params":["btcusdt@aggTrade"],"id":3}')
        while await read(ws) != {"result": None, "id": 3}:
            pass
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await ws.recv()


@in_loop
async def test_unknown_symbols_are_silent_and_do_not_disturb_others() -> None:
    async with running() as exchange:
        async with connect(f"{exchange.ws_url}/ws/BTCUSDT@aggTrade", proxy=None) as ws:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await ws.recv()
        url = f"{exchange.ws_url}/ws/nope@aggTrade/ethusdt@aggTrade"
        async with connect(url, proxy=None) as ws:
            assert (await read(ws))["s"] == "ETHUSDT"


@in_loop
async def test_rest_answers_many_requests_on_few_connections() -> None:
    async with running() as exchange, client(exchange) as http:
        asked = [
            http.get("/api/v3/klines", params={"symbol": "BTCUSDT", "interval": "1m", "limit": 5})
            for _ in range(100)
        ]
        answers = await asyncio.gather(*asked, http.get("/api/v3/nothing"))
        assert [answer.status_code for answer in answers] == [200] * 100 + [404]
        used = max(int(answer.headers["x-mbx-used-weight-1m"]) for answer in answers[:100])
        assert used in range(100, 202, 2)  # less when a minute began meanwhile
        body = (await http.get("/api/v3/klines?symbol=NOPE&interval=1m")).json()
        assert body == {"code": -1121, "msg": "Invalid symbol."}
        micro = await http.get("/api/v3/time", headers={"X-MBX-TIME-UNIT": "MICROSECOND"})
        assert micro.json()["serverTime"] > 10**15
        assert (await http.post("/api/v3/ping")).status_code == 405


@in_loop
async def test_what_is_no_http_is_refused_and_harms_nobody() -> None:
    async with running() as exchange:
        for request, status in (
            (b"hello\r\n\r\n", b"400"),
            (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n\r\n", b"414"),
            (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        ):
            reader, writer = await asyncio.open_connection(exchange.host, exchange.port)
            writer.write(request)
            assert (await reader.read()).split()[1] == status
            writer.close()
        for path, status_code in (("/elsewhere", 404), ("/ws/a@trade?timeUnit=HOUR", 400)):
            with pytest.raises(InvalidStatus) as refused:
                await connect(exchange.ws_url + path, proxy=None)
            assert refused.value.response.status_code == status_code
        async with client(exchange) as http:
            assert (await http.get("/api/v3/ping")).json() == {}


@in_loop
async def test_more_than_five_messages_a_second_end_the_connection() -> None:
    async with running() as exchange, connect(f"{exchange.ws_url}/ws", proxy=None) as ws:
        for i in range(6):
            await ws.send(f'{{"method":"LIST_SUBSCRIPTIONS","id":{i}}}')
        for i in range(5):
            assert await read(ws) == {"result": [], "id": i}
        with pytest.raises(ConnectionClosed) as closed:
            await read(ws)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


@in_loop
async def test_pings_answered_keep_the_connection_and_age_ends_it() -> None:
    # Answers come in one go where the machine is busy: they are not what is limited here.
    limits = SessionLimits(ping_every_s=0.2, pong_within_s=3.0, life_s=3.5, messages_per_s=1_000)
    async with running(limits) as exchange, connect(f"{exchange.ws_url}/ws", proxy=None) as ws:
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001


@in_loop
async def test_pings_not_answered_end_the_connection() -> None:
    limits = SessionLimits(ping_every_s=0.1, pong_within_s=0.3, close_within_s=0.2)
    async with running(limits) as exchange:
        protocol = ClientProtocol(parse_uri(f"{exchange.ws_url}/ws"))
        reader, writer = await asyncio.open_connection(exchange.host, exchange.port)
        protocol.send_request(protocol.connect())
        writer.write(b"".join(protocol.data_to_send()))
        while received := await reader.read(65_536):
            protocol.receive_data(received)
            # The answers the protocol made, its pongs, are thrown away.
            protocol.events_received()
            protocol.data_to_send()
        protocol.receive_eof()
        assert (protocol.close_code, protocol.close_reason) == (1008, "Pong timeout")
        writer.close()


@in_loop
async def test_a_burst_is_streamed_whole_at_thousands_a_second() -> None:
    async with running() as exchange, client(exchange) as http:
        url = f"{exchange.ws_url}/ws/btcusdt@aggTrade"
        async with connect(url, proxy=None) as ws:
            first = (await read(ws))["a"]
            answer = await http.post("/simulator/burst?trades_per_s=4000&seconds=1&symbol=BTCUSDT")
            begin_ms = answer.json()["startTime"]
            ids = [first]
            while True:
                frame = await read(ws)
                ids.append(frame["a"])
                if frame["T"] > begin_ms + 1_000:
                    break
        assert ids == list(range(first, first + len(ids)))
        assert len(ids) > 4_000
        rest = await http.get(f"/api/v3/aggTrades?symbol=BTCUSDT&fromId={ids[-1000]}&limit=1000")
        assert [trade["a"] for trade in rest.json()] == ids[-1000:]


@in_loop
async def test_a_standstill_is_silent_and_the_next_id_follows_the_last() -> None:
    async with running() as exchange, client(exchange) as http:
        refused = await http.post("/simulator/standstill?seconds=86401")
        assert refused.status_code == 400
        url = f"{exchange.ws_url}/stream?streams=btcusdt@aggTrade/btcusdt@kline_1s"
        async with connect(url, proxy=None) as ws:
            answer = await http.post("/simulator/standstill?seconds=2&symbol=BTCUSDT")
            stop = answer.json()
            trades: list[Any] = []
            opens: list[int] = []
            while not opens or opens[-1] < stop["endTime"]:
                frame = (await read(ws))["data"]
                if frame["e"] == "kline":
                    opens.append(frame["k"]["t"])
                else:
                    trades.append(frame)
        ids = [trade["a"] for trade in trades]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert not [t for t in trades if stop["startTime"] <= t["T"] < stop["endTime"]]
        still = [
            open_ms
            for open_ms in range(opens[0], opens[-1], 1_000)
            if stop["startTime"] <= open_ms and open_ms + 1_000 <= stop["endTime"]
        ]
        assert still
        assert not set(still).intersection(opens)


@in_loop
async def test_closing_leaves_no_connection_open() -> None:
    async with running() as exchange:
        # With a bound to its queue the client might not read as far as the close.
        ws = await connect(f"{exchange.ws_url}/ws/btcusdt@aggTrade", proxy=None, max_queue=None)
        await read(ws)
        await exchange.aclose()
        async with asyncio.timeout(HANG_S):
            await ws.wait_closed()
        assert ws.close_code == 1001
        with pytest.raises(OSError, match="onnect"):
            await connect(exchange.ws_url + "/ws", proxy=None)


def ready_port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    words = process.stdout.readline().split()
    assert words[:3] == ["simulated", "exchange", "on"]
    assert words[4] == words[3].replace("http://", "ws://")
    return int(words[3].rpartition(":")[2])


def test_it_ends_on_sigterm() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "from ingest.simulator import run; raise SystemExit(run(0))"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        port = ready_port(process)
        assert httpx.get(f"http://127.0.0.1:{port}/api/v3/ping", trust_env=False).json() == {}
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_S) == 0


def test_no_orphan_is_left_when_the_parent_is_killed() -> None:
    started = "from ingest.simulator import run; run(0, with_parent=True)"
    parent = (
        "import subprocess, sys, time;"
        f"child = subprocess.Popen([sys.executable, '-c', {started!r}]);"
        "print(child.pid, file=sys.stderr, flush=True);"
        f"time.sleep({ENDLESS_S})"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        child = int(process.stderr.readline())
        ready_port(process)
        process.kill()
        process.wait(HANG_S)
        wait_until(lambda: not is_running(child), "the child has ended")


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"
