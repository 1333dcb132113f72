"""The simulated exchange misbehaves as told, and notices when its clients do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from core.errors import FrameError
from ingest.binance.frames import parse_frame
from ingest.simulator import SimulatedExchange, serve
from ingest.simulator.faults import GARBAGE, ODD_FRAMES, UNKNOWN_EVENT
from tests.support.simulator import in_loop
from tests.support.waiting import HANG_S

TWO = "/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade"


@asynccontextmanager
async def running() -> AsyncIterator[tuple[SimulatedExchange, httpx.AsyncClient]]:
    exchange = await serve(rate=40.0)
    try:
        url = exchange.rest_url
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=HANG_S) as http:
            yield exchange, http
    finally:
        await exchange.aclose()


async def frames(ws: ClientConnection, count: int) -> list[Any]:
    async with asyncio.timeout(HANG_S):
        return [orjson.loads(await ws.recv()) for _ in range(count)]


def ids(found: list[Any], symbol: str) -> list[int]:
    return [item["data"]["a"] for item in found if item["data"]["s"] == symbol]


async def to_the_end(ws: ClientConnection) -> tuple[list[str], int]:
    """What is told until the connection ends, and the code it ends with."""
    told: list[str] = []
    try:
        async with asyncio.timeout(HANG_S):
            while True:
                told.append(str(await ws.recv()))
    except ConnectionClosed as end:
        return told, 1006 if end.rcvd is None else end.rcvd.code


@in_loop
async def test_connections_end_in_every_way_that_they_do_outside() -> None:
    async with running() as (exchange, http):
        for code in (1000, 1001, 1006, 1008):
            async with connect(exchange.ws_url + TWO, proxy=None) as ws:
                await frames(ws, 2)
                assert (await http.get(f"/simulator/faults?close={code}")).status_code == 200
                assert (await to_the_end(ws))[1] == code
        exchange.faults.close_on_accept = 1008
        async with connect(exchange.ws_url + TWO, proxy=None) as ws:
            assert (await to_the_end(ws))[1] == 1008
        assert exchange.faults.conduct.most_connects(60.0) == 5


@in_loop
async def test_refused_upgrades_carry_the_status() -> None:
    async with running() as (exchange, _):
        for status in (403, 418, 429, 451, 500, 503):
            exchange.faults.refuse_upgrade = status
            with pytest.raises(InvalidStatus) as caught:
                await connect(exchange.ws_url + TWO, proxy=None)
            assert caught.value.response.status_code == status
        assert exchange.faults.conduct.upgrades_refused == 6


@in_loop
async def test_a_mute_connection_still_answers_pings_and_a_half_open_one_does_not() -> None:
    async with running() as (exchange, _):
        async with connect(exchange.ws_url + TWO, proxy=None, max_queue=None) as ws:
            await frames(ws, 2)
            exchange.faults.mute()
            await asyncio.wait_for(await ws.ping(), HANG_S)
        ws = await connect(
            exchange.ws_url + TWO, proxy=None, max_queue=None, ping_interval=None, close_timeout=0
        )
        await frames(ws, 2)
        exchange.faults.half_open()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(await ws.ping(), 0.3)
        await ws.close()


@in_loop
async def test_a_shutdown_is_announced_before_it_happens() -> None:
    async with running() as (exchange, _), connect(exchange.ws_url + TWO, proxy=None) as ws:
        await frames(ws, 1)
        exchange.faults.shut_down(0.3)
        told = [orjson.loads(text)["stream"] for text in (await to_the_end(ws))[0]]
        assert "!serverShutdown" in told
        assert told[-1] != "!serverShutdown"  # trades went on until the end


@in_loop
async def test_frames_are_lost_repeated_reordered_and_kept_from_one_symbol() -> None:
    async with running() as (exchange, _), connect(exchange.ws_url + TWO, proxy=None) as ws:
        faults = exchange.faults
        await frames(ws, 5)
        faults.drop_next = 7
        found = []
        while faults.drop_next:
            found += await frames(ws, 1)
        found += await frames(ws, 60)
        for symbol in ("BTCUSDT", "ETHUSDT"):
            own = ids(found, symbol)
            assert own == sorted(own)
        missing = sum(own[-1] - own[0] + 1 - len(own) for own in (ids(found, "BTCUSDT"),))
        assert 0 <= missing <= 7
        assert faults.drop_next == 0
        faults.duplicate_share, faults.reorder_by = 0.5, 50
        found = await frames(ws, 300)
        own = ids(found, "BTCUSDT")
        assert own != sorted(own)
        assert len(set(own)) < len(own)
        faults.duplicate_share, faults.reorder_by = 0.0, 0
        faults.stalled = frozenset(["BTCUSDT"])
        # Some are on their way yet; then nothing more comes of it.
        while ids(await frames(ws, 40), "BTCUSDT"):
            pass


@in_loop
async def test_garbage_never_parses_as_a_sane_trade() -> None:
    odd = {GARBAGE[6], GARBAGE[7], GARBAGE[10]}  # sound frames at absurd times or unasked for
    for text in GARBAGE:
        if text not in odd:
            with pytest.raises(FrameError):
                parse_frame(text)
    assert parse_frame(UNKNOWN_EVENT) is None


@in_loop
async def test_garbage_comes_between_trades() -> None:
    async with running() as (exchange, _), connect(exchange.ws_url + TWO, proxy=None) as ws:
        exchange.faults.garbage_every = 5
        missing = set(ODD_FRAMES)
        async with asyncio.timeout(HANG_S):
            while missing:
                missing.discard(str(await ws.recv()))


@in_loop
async def test_requests_meet_bans_errors_and_a_database_that_lags() -> None:
    async with running() as (exchange, http):
        faults = exchange.faults
        url = "/api/v3/aggTrades?symbol=BTCUSDT&limit=1000"
        newest = (await http.get(url)).json()[-1]
        faults.lag_ms = 5_000
        lagging = (await http.get(url)).json()[-1]
        assert lagging["T"] <= newest["T"] - 3_000
        kline = "/api/v3/klines?symbol=BTCUSDT&interval=1s&limit=1"
        assert (await http.get(kline)).json()[-1][0] <= newest["T"] - 3_000
        faults.lag_ms = 0
        faults.pruned = {"BTCUSDT": newest["a"] - 3}
        first = (await http.get(f"{url}&fromId={newest['a'] - 50}")).json()[0]
        assert first["a"] == newest["a"] - 3
        faults.pruned = {}
        faults.tombstone_every = 10
        rows = (await http.get(f"{url}&fromId={newest['a'] - 50}")).json()
        assert all((row["q"] == "0") == (row["a"] % 10 == 0) for row in rows)
        faults.tombstone_every, faults.is_empty = 0, True
        assert (await http.get(url)).json() == []
        faults.is_empty = False
        honest = (await http.get(kline)).json()[-1]
        faults.skewed_from_ms = honest[0]
        skewed = (await http.get(f"{kline}&startTime={honest[0]}")).json()[0]
        assert skewed[4] == skewed[2]
        faults.rest_status, faults.rest_times = 451, 1
        assert (await http.get(url)).status_code == 451
        assert (await http.get(url)).status_code == 200
        now_s = 0.0
        faults.clock = lambda: now_s
        faults.ban(418, 1.0)
        for now_s, calls_in_ban in ((0.0, 0), (0.2, 0), (0.3, 1)):  # noqa: B007 (the clock reads it)
            banned = await http.get(url)
            assert (banned.status_code, banned.headers["Retry-After"]) == (418, "1")
            assert faults.conduct.calls_in_ban == calls_in_ban
        assert faults.conduct.ban_answers == 3
        now_s = 1.0
        assert (await http.get(url)).status_code == 200


@in_loop
async def test_the_control_route_shows_what_is_set_and_refuses_what_it_does_not_know() -> None:
    async with running() as (exchange, http):
        shown = (await http.get("/simulator/faults?lag_ms=500&stalled=BTCUSDT,ETHUSDT")).json()
        assert (shown["lag_ms"], shown["stalled"]) == (500, ["BTCUSDT", "ETHUSDT"])
        assert exchange.faults.lag_ms == 500
        for query in ("nonsense=1", "lag_ms=9&drop_share=2", "close=1234", "rest_status=200"):
            assert (await http.get(f"/simulator/faults?{query}")).status_code == 400
        assert exchange.faults.lag_ms == 500
        assert shown["conduct"]["violations"] == []


@pytest.mark.parametrize("how", ["never", "flat", "nested"])
def test_subscriptions_are_answered_as_told(how: str) -> None:
    async def run() -> None:
        async with running() as (exchange, _):
            await exchange_answer(exchange, how)

    asyncio.run(run())


async def exchange_answer(exchange: SimulatedExchange, how: Any) -> None:
    exchange.faults.acknowledge = how
    async with connect(f"{exchange.ws_url}/ws", proxy=None) as ws:
        await ws.send('{"method":"LIST_SUBSCRIPTIONS","id":3}')
        if how == "never":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ws.recv(), 0.3)
            return
        answer = orjson.loads(await asyncio.wait_for(ws.recv(), HANG_S))
        assert answer["id"] == 3
        assert (answer["error"] if how == "nested" else answer)["code"] == 2


@in_loop
async def test_ids_can_begin_again_rows_be_odd_and_symbols_be_halted() -> None:
    async with running() as (exchange, http):
        url = "/api/v3/aggTrades?symbol=BTCUSDT&limit=50"
        before = (await http.get(url)).json()
        first = before[20]["a"]
        exchange.faults.begun_again = {"BTCUSDT": first}
        after = (await http.get(f"{url}&fromId=1")).json()
        assert [row["a"] for row in after] == list(range(1, len(after) + 1))
        assert [row["f"] for row in after[:20]] == [row["f"] for row in before[20:40]]
        assert (await http.get(f"{url}&fromId={first}")).json() == []
        frame = f'{{"e":"aggTrade","s":"BTCUSDT","a":{first + 7},"p":"1","q":"1","f":3,"l":4}}'
        (told,) = exchange.faults.changed(frame)
        assert orjson.loads(told) == orjson.loads(frame) | {"a": 8}
        await http.get("/simulator/faults?odd_every=10&statuses=BTCUSDT:BREAK&begun_again=")
        rows = (await http.get("/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=30")).json()
        assert sum(row[2] == "0.00000000" for row in rows) == 3
        trades = (await http.get(url)).json()
        assert sum(row["p"] == "-1" for row in trades) == 5
        listed = (await http.get('/api/v3/exchangeInfo?symbols=["BTCUSDT","ETHUSDT"]')).json()
        assert [row["status"] for row in listed["symbols"]] == ["BREAK", "TRADING"]
