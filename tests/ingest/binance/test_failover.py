"""Requests stay within the exchange's limits, and go to a host that works."""

import asyncio
from typing import Any

import httpx
import pytest

from core.errors import ExchangeBlocked, ExchangeError, RequestRefused
from ingest.binance.failures import Failure
from ingest.binance.lane import Gate
from ingest.binance.rest import RestClient
from ingest.binance.weights import Hold, WeightBudget
from tests.support.rest_client import HOSTS, Desk, aggregate, refusal


def test_unreachable_exchange_is_no_unknown_symbol(virtual_time: Any) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no") from ConnectionRefusedError()

    desk = Desk(virtual_time, answer, HOSTS)
    (error,) = desk.run(lambda client: client.exchange_info(["BTCUSDT"]))
    assert type(error) is ExchangeError
    assert "one.example: the host refuses connections" in str(error)
    assert set(desk.hosts) == {"one.example", "two.example", "three.example"}


def test_wrong_request_is_not_repeated(virtual_time: Any) -> None:
    desk = Desk(virtual_time, lambda _: refusal(-1120, "Invalid interval."), HOSTS)
    (error,) = desk.run(lambda client: client.klines("BTCUSDT", "1m"))
    assert isinstance(error, RequestRefused)
    assert error.code == -1120
    assert "Invalid interval." in str(error)
    assert len(desk.requests) == 1


@pytest.mark.parametrize(
    "broken",
    [
        lambda: httpx.Response(503),
        lambda: httpx.Response(504, text="<html>"),
        lambda: httpx.Response(302, headers={"Location": "https://elsewhere.example"}),
        lambda: httpx.Response(200, text="<html>sign in"),
        lambda: httpx.Response(200, content=b'[{"a":1'),
        lambda: refusal(-1007, "Timeout waiting for response from backend server."),
        lambda: refusal(-1008, "Server is busy."),
        lambda: httpx.ReadTimeout("slow"),
    ],
)
def test_next_host_answers_where_one_fails(virtual_time: Any, broken: Any) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "one.example":
            outcome = broken()
            if isinstance(outcome, Exception):
                raise outcome
            return outcome  # type: ignore[no-any-return]
        return httpx.Response(200, json=[aggregate(1)])

    desk = Desk(virtual_time, answer, HOSTS)
    trades, again = desk.run(
        lambda client: client.agg_trades("BTCUSDT"), lambda client: client.agg_trades("ETHUSDT")
    )
    assert [trade.trade_id for trade in trades + again] == [1, 1]
    assert desk.hosts.count("one.example") == 1
    assert virtual_time.now == 0.0


def test_preferred_host_is_tried_again_later(virtual_time: Any) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        healthy = request.url.host != "one.example" or virtual_time.now > 0.0
        return httpx.Response(200, json={}) if healthy else httpx.Response(500)

    async def ping_twice(client: RestClient) -> None:
        await client.ping()
        await virtual_time.sleep(31.0)
        await client.ping()

    desk = Desk(virtual_time, answer, HOSTS)
    desk.run(ping_twice)
    assert desk.hosts == ["one.example", "two.example", "one.example"]


def test_lone_host_is_asked_again_a_few_times_with_growing_pauses(virtual_time: Any) -> None:
    desk = Desk(virtual_time, lambda _: httpx.Response(500))
    (error,) = desk.run(lambda client: client.ping())
    assert isinstance(error, ExchangeError)
    pauses = [later - earlier for earlier, later in zip(desk.times, desk.times[1:], strict=False)]
    assert len(pauses) == 3
    assert 0.25 <= pauses[0] <= 0.5 <= pauses[1] <= 1.0 <= pauses[2] <= 2.0


def test_refusing_hosts_are_asked_once_in_five_minutes(virtual_time: Any) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        return httpx.Response(451 if request.url.host == "one.example" else 403)

    async def keep_asking(client: RestClient) -> str:
        for _ in range(40):
            with pytest.raises(ExchangeBlocked) as caught:
                await client.ping()
            await virtual_time.sleep(10.0)
        return str(caught.value)

    desk = Desk(virtual_time, answer, HOSTS[:2])
    words = desk.run(keep_asking, keep_asking)
    assert sorted(desk.hosts) == ["one.example"] * 2 + ["two.example"] * 2
    assert desk.times[2] - desk.times[0] >= 300.0
    assert "one.example: the exchange does not serve this location (HTTP 451)" in words[0]
    assert "two.example: the exchange's firewall refuses this address (HTTP 403)" in words[0]


@pytest.mark.parametrize("status", [429, 418])
def test_retry_after_holds_every_caller(virtual_time: Any, status: int) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        if virtual_time.now < 40.0:
            headers = {"Retry-After": "40"}
            return httpx.Response(status, json={"code": -1003, "msg": "x"}, headers=headers)
        return httpx.Response(200, json=[aggregate(1)])

    desk = Desk(virtual_time, answer, HOSTS)
    results = desk.run(*[lambda client: client.agg_trades("BTCUSDT")] * 20)
    assert all(trades[0].trade_id == 1 for trades in results)
    # The first one was told; nobody asked any host before the time was over.
    assert [at for at in desk.times if at < 40.0] == [0.0]


@pytest.mark.parametrize(
    ("status", "headers", "msg"),
    [
        # The epoch of these tests is 2023-11-14 22:14:00.
        (429, {"Retry-After": "Tue, 14 Nov 2023 22:14:40 GMT"}, "x"),
        (418, {}, "Way too much; IP banned until 1700000080000. Please use WebSocket"),
        (400, {}, "Way too much; IP banned until 1700000080000. Please use WebSocket"),
        # The exchange is an hour ahead of us, and says so.
        (
            418,
            {
                "Date": "Tue, 14 Nov 2023 23:14:00 GMT",
                "Retry-After": "Tue, 14 Nov 2023 23:14:40 GMT",
            },
            "x",
        ),
    ],
)
def test_a_wait_in_any_legal_form_holds_every_caller_and_the_feed(
    virtual_time: Any, status: int, headers: dict[str, str], msg: str
) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        if virtual_time.now < 40.0:
            return httpx.Response(status, json={"code": -1003, "msg": msg}, headers=headers)
        return httpx.Response(200, json=[aggregate(1)])

    hold = Hold(virtual_time.wall_clock)
    desk = Desk(virtual_time, answer, HOSTS, hold)
    results = desk.run(*[lambda client: client.agg_trades("BTCUSDT")] * 20)
    assert all(trades[0].trade_id == 1 for trades in results)
    assert [at for at in desk.times if at < 40.0] == [0.0]
    assert hold.until == pytest.approx(40.0)


def test_a_lone_host_that_asks_for_a_while_is_left_alone_for_it(virtual_time: Any) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if virtual_time.now < 45.0:
            return httpx.Response(503, headers={"Retry-After": "45"})
        return httpx.Response(200, json={})

    desk = Desk(virtual_time, answer)
    desk.run(*[lambda client: client.ping()] * 3)
    assert [at for at in desk.times if at < 45.0] == [0.0]
    assert len(desk.requests) == 4


def test_a_host_that_asks_for_a_long_while_is_told_and_the_next_one_asked(
    virtual_time: Any,
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "one.example":
            return httpx.Response(503, headers={"Retry-After": "600"})
        return httpx.Response(200, json={})

    both = Desk(virtual_time, answer, HOSTS[:2])
    both.run(lambda client: client.ping(), lambda client: client.ping())
    assert both.hosts == ["one.example", "two.example", "two.example"]
    alone = Desk(virtual_time, answer)
    (error,) = alone.run(lambda client: client.ping())
    assert "no requests for another 600 s: one.example: the host is out of order" in str(error)
    assert len(alone.requests) == 1


def test_hold_reaches_callers_when_requests_were_going_well(virtual_time: Any) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        number = len(desk.requests)
        await virtual_time.sleep(1.0)
        if number == 30:
            return httpx.Response(429, headers={"Retry-After": "25"})
        return httpx.Response(200, json={})

    desk = Desk(virtual_time, answer)
    desk.run(*[lambda client: client.ping()] * 60)
    told_at = desk.times[29] + 1.0
    assert not [at for at in desk.times if told_at < at < told_at + 25.0]
    assert len(desk.requests) == 61


def test_ban_of_hours_is_reported_and_not_sat_through(virtual_time: Any) -> None:
    desk = Desk(virtual_time, lambda _: httpx.Response(418, headers={"Retry-After": "7200"}))
    (error,) = desk.run(lambda client: client.ping())
    assert "no requests for another 7200 s" in str(error)
    assert "banned" in str(error)
    assert len(desk.requests) == 1


def test_own_requests_stay_below_the_share_in_every_minute(virtual_time: Any) -> None:
    desk = Desk(virtual_time, lambda _: httpx.Response(200, json=[aggregate(1)]))
    desk.run(*[lambda client: client.agg_trades("BTCUSDT")] * 3_000)
    assert len(desk.times) == 3_000
    for start in {round(at) for at in desk.times}:
        in_window = [at for at in desk.times if start <= at < start + 60.0]
        assert len(in_window) * 4 <= 4_800
    assert desk.times[-1] <= 121.0


def test_weight_spent_by_others_is_heeded_until_the_minute_ends(virtual_time: Any) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        used = "4799" if virtual_time.now < 60.0 else "10"
        return httpx.Response(200, json=[], headers={"X-MBX-USED-WEIGHT-1M": used})

    async def ask(client: RestClient) -> None:
        await virtual_time.sleep(20.0)
        await client.agg_trades("BTCUSDT")
        assert client.used_weight == 4_799
        assert client.used_weight_share == 4_799 / 6_000
        await client.agg_trades("BTCUSDT")

    desk = Desk(virtual_time, answer)
    desk.run(ask)
    assert desk.times[0] == 20.0
    assert 60.0 <= desk.times[1] <= 60.1


def test_no_more_than_eight_requests_are_open_at_once(virtual_time: Any) -> None:
    open_now, most = 0, 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await virtual_time.sleep(1.0)
        open_now -= 1
        return httpx.Response(200, json={})

    Desk(virtual_time, answer).run(*[lambda client: client.ping()] * 41)
    assert most == 8
    assert virtual_time.now == 6.0


def test_a_wait_asked_for_on_one_way_holds_the_other(virtual_time: Any) -> None:
    hold = Hold()
    gate = Gate(["wss://one"], virtual_time.clock, hold)
    budget = WeightBudget(
        clock=virtual_time.clock,
        wall_clock=virtual_time.wall_clock,
        sleep=virtual_time.sleep,
        hold=hold,
    )

    async def spend() -> float:
        async with budget.spend(1):
            return float(virtual_time.now)

    async def script() -> None:
        gate.note("wss://one", Failure("hold", "this address is banned for a while", 120.0))
        asking = asyncio.create_task(spend())
        await virtual_time.finish(asking)
        assert asking.result() >= 120.0
        budget.hold(60.0, "too many requests")
        assert gate.wait_s() == pytest.approx(60.0)

    asyncio.run(script())
