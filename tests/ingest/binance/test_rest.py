"""Requests stay within the exchange's limits, and failures are told apart."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import httpx
import pytest

from core.errors import ExchangeBlocked, ExchangeError, RequestRefused, UnknownSymbols
from core.types import Bar
from ingest.binance.answers import odd_rows
from ingest.binance.failures import Failure
from ingest.binance.lane import Gate
from ingest.binance.rest import RestClient, SymbolInfo
from ingest.binance.weights import Hold, WeightBudget

HOSTS = ("https://one.example", "https://two.example", "https://three.example")
MINUTE = 60_000

Answer = Callable[[httpx.Request], httpx.Response]


def refusal(code: int, msg: str, status: int = 400) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "msg": msg})


def kline(open_time_ms: int, close: str = "101.5", trades: int = 7) -> list[Any]:
    return [
        open_time_ms,
        "100.0",
        "102.0",
        "99.5",
        close,
        "12.50000000",
        open_time_ms + MINUTE - 1,
        "1262.50000000",
        trades,
        "4.25000000",
        "430.1",
        "0",
    ]


def aggregate(trade_id: int, **changes: Any) -> dict[str, Any]:
    row = {"a": trade_id, "p": "100.5", "q": "0.25", "f": trade_id * 2, "l": trade_id * 2 + 1}
    return row | {"T": 1_700_000_000_000 + trade_id, "m": True, "M": True} | changes


class Desk:
    """A client whose exchange is a function, and whose time is the test's."""

    def __init__(
        self,
        time: Any,
        answer: Any,
        hosts: tuple[str, ...] = HOSTS[:1],
        hold: Hold | None = None,
    ) -> None:
        self.requests: list[httpx.Request] = []
        self.times: list[float] = []
        self.time = time

        def handle(request: httpx.Request) -> Any:
            self.requests.append(request)
            self.times.append(time.now)
            return answer(request)

        async def handle_later(request: httpx.Request) -> Any:
            return await handle(request)

        later = asyncio.iscoroutinefunction(answer)
        self.client = RestClient(
            hosts,
            httpx.MockTransport(handle_later if later else handle),
            time.clock,
            time.sleep,
            wall_clock=time.wall_clock,
            rng=Random(1),
            hold=hold,
        )

    @property
    def hosts(self) -> list[str]:
        return [request.url.host for request in self.requests]

    def run(self, *calls: Callable[[RestClient], Coroutine[Any, Any, Any]]) -> list[Any]:
        """Make calls at once; gives results and ExchangeErrors."""

        async def together() -> list[Any]:
            tasks = asyncio.gather(*(call(self.client) for call in calls), return_exceptions=True)
            await self.time.finish(tasks)
            await self.client.aclose()
            return list(tasks.result())

        results = asyncio.run(together())
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, ExchangeError):
                raise result
        return results


def with_time(answer: Answer, at_ms: int) -> Answer:
    """Let an exchange know its clock."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v3/time":
            return httpx.Response(200, json={"serverTime": at_ms})
        return answer(request)

    return handle


def test_klines_become_bars(virtual_time: Any) -> None:
    rows = [kline(MINUTE * 1000), kline(MINUTE * 1001), kline(MINUTE * 1002)]
    answer = with_time(lambda request: httpx.Response(200, json=rows), MINUTE * 1002 + 30_000)
    desk = Desk(virtual_time, answer)
    (bars,) = desk.run(lambda client: client.klines("BTCUSDT", "1m", MINUTE * 1000))
    assert bars == [
        Bar(MINUTE * at, 100.0, 102.0, 99.5, 101.5, 12.5, 1262.5, 7, 4.25, True)
        for at in (1000, 1001)
    ]
    assert dict(desk.requests[0].url.params) == {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "startTime": str(MINUTE * 1000),
        "limit": "1000",
    }


@pytest.mark.parametrize(
    ("seconds_after_close", "taken"), [(-30.0, False), (4.0, False), (6.0, True), (3600.0, True)]
)
def test_last_bar_is_taken_only_once_it_is_final(
    virtual_time: Any, seconds_after_close: float, taken: bool
) -> None:
    now_ms = MINUTE * 1002 + int(seconds_after_close * 1000)
    rows = [kline(MINUTE * 1000), kline(MINUTE * 1001)]
    desk = Desk(virtual_time, with_time(lambda _: httpx.Response(200, json=rows), now_ms))
    (bars,) = desk.run(lambda client: client.klines("BTCUSDT", "1m"))
    assert [bar.open_time_ms // MINUTE for bar in bars] == [1000, 1001][: 1 + taken]


def test_microsecond_klines_fall_on_the_same_grid(virtual_time: Any) -> None:
    row = kline(MINUTE * 28_000_000)
    row[0], row[6] = row[0] * 1000, row[6] * 1000 + 999
    answer = with_time(lambda _: httpx.Response(200, json=[row]), MINUTE * 28_000_002)
    (bars,) = Desk(virtual_time, answer).run(lambda client: client.klines("BTCUSDT", "1m"))
    assert bars[0].open_time_ms == MINUTE * 28_000_000


@pytest.mark.parametrize(
    "rows",
    [
        [kline(MINUTE + 1), kline(MINUTE * 2)],
        [kline(MINUTE * 2), kline(MINUTE)],
        [kline(MINUTE, close="NaN"), kline(MINUTE * 2)],
        [kline(MINUTE, close="200.0"), kline(MINUTE * 2)],
        [kline(MINUTE, close="0"), kline(MINUTE * 2)],
        [kline(MINUTE, trades=-1), kline(MINUTE * 2)],
        [kline(MINUTE)[:6], kline(MINUTE * 2)],
        {"rows": []},
    ],
    ids=lambda rows: repr(rows)[:60],
)
def test_absurd_klines_are_no_bars(virtual_time: Any, rows: Any) -> None:
    desk = Desk(virtual_time, lambda _: httpx.Response(200, json=rows))
    (error,) = desk.run(lambda client: client.klines("BTCUSDT", "1m"))
    assert isinstance(error, ExchangeError)
    assert "the answer is not the exchange's" in str(error)


def test_aggregates_keep_cancelled_links_of_the_chain(virtual_time: Any) -> None:
    rows = [aggregate(5), aggregate(6, p="0", q="0", f=-1, l=-1), aggregate(7)]
    desk = Desk(virtual_time, lambda _: httpx.Response(200, json=rows))
    (trades,) = desk.run(lambda client: client.agg_trades("BTCUSDT", from_id=5, limit=3))
    assert [(trade.trade_id, trade.quantity) for trade in trades] == [(5, 0.25), (6, 0), (7, 0.25)]
    assert trades[0].event_time_ms == trades[0].trade_time_ms == 1_700_000_000_005
    assert dict(desk.requests[0].url.params) == {"symbol": "BTCUSDT", "fromId": "5", "limit": "3"}


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        ([aggregate(6), aggregate(6)], [6]),
        ([aggregate(4), aggregate(5)], [5]),
        ([aggregate(5), aggregate(6, p="-1"), aggregate(7)], [5, 7]),
        ([aggregate(5), aggregate(7), aggregate(6), aggregate(8)], [5, 6, 8]),
        ([aggregate(2**52), aggregate(5), aggregate(6)], [5, 6]),
        ([aggregate(5), aggregate(6) | {"q": None}, aggregate(7)], [5, 7]),
        ([aggregate(5), "nonsense", aggregate(7)], [5, 7]),
    ],
)
def test_one_odd_aggregate_leaves_the_rest_of_its_page(
    virtual_time: Any, rows: Any, ids: list[int]
) -> None:
    desk = Desk(virtual_time, lambda _: httpx.Response(200, json=rows))
    (trades,) = desk.run(lambda client: client.agg_trades("BTCUSDT", from_id=5))
    assert [trade.trade_id for trade in trades] == ids
    # A page is full, or the edge, by what the exchange sent.
    assert odd_rows(trades) == len(rows) - len(ids)


def test_aggregates_none_of_which_can_be_used_are_no_answer(virtual_time: Any) -> None:
    desk = Desk(virtual_time, lambda _: httpx.Response(200, json=[aggregate(5, p=1.5)]))
    (error,) = desk.run(lambda client: client.agg_trades("BTCUSDT", from_id=5))
    assert isinstance(error, ExchangeError)


GOOD = [kline(MINUTE * minute) for minute in range(1, 6)]


def changed(index: int, value: str) -> list[Any]:
    """The third good kline with another value."""
    row = kline(MINUTE * 3)
    return [*row[:index], value, *row[index + 1 :]]


@pytest.mark.parametrize(
    "odd",
    [
        changed(2, "1"),
        changed(4, "-5"),
        changed(3, "0"),
        kline(MINUTE * 3 + 7),
        kline(MINUTE * 3, trades=-1),
        kline(MINUTE * 3)[:6],
        kline(MINUTE * 2),
        kline(MINUTE * 40),
        "nonsense",
        None,
    ],
    ids=lambda row: repr(row)[:50],
)
def test_one_odd_kline_leaves_the_rest_of_its_page_and_is_told(virtual_time: Any, odd: Any) -> None:
    rows = [*GOOD[:2], odd, *GOOD[3:]]
    answers = {"/api/v3/klines": rows, "/api/v3/time": {"serverTime": MINUTE * 100}}
    desk = Desk(virtual_time, lambda asked: httpx.Response(200, json=answers[asked.url.path]))
    told: list[tuple[str, str]] = []

    async def ask(client: Any) -> Any:
        client.on_odd_klines = lambda *what: told.append(what)
        return await client.klines("BTCUSDT", "1m"), client.odd_rows

    ((bars, odd_count),) = desk.run(ask)
    assert [bar.open_time_ms // MINUTE for bar in bars] == [1, 2, 4, 5]
    assert odd_count == 1
    assert told == [("BTCUSDT", "1m")]


def test_one_odd_entry_of_the_list_of_symbols_or_of_the_tickers_is_passed_over(
    virtual_time: Any,
) -> None:
    entry = {"status": "TRADING", "baseAsset": "AAA", "quoteAsset": "USDT"}
    tick = {"filterType": "PRICE_FILTER", "minPrice": "0.0", "tickSize": "0.00001000"}
    answers = {
        "/api/v3/exchangeInfo": {
            "symbols": [
                entry | {"symbol": "AAAUSDT", "filters": [{"filterType": "X"}, tick]},
                {"symbol": "ODDUSDT", "status": None},
                "nonsense",
                entry | {"symbol": "BBBUSDT", "filters": [tick | {"tickSize": 7}, 3]},
                entry | {"symbol": "CCCUSDT", "status": "BREAK", "filters": "none"},
            ]
        },
        "/api/v3/ticker/24hr": [
            {"symbol": "AAAUSDT", "quoteVolume": "5.5", "lastId": 9},
            {"symbol": "ODDUSDT", "quoteVolume": "-5.5", "lastId": None},
            None,
        ],
    }
    desk = Desk(virtual_time, lambda asked: httpx.Response(200, json=answers[asked.url.path]))
    found, volumes, ids = desk.run(
        lambda client: client.exchange_info(),
        lambda client: client.ticker_24h(),
        lambda client: client.newest_raw_ids(["AAAUSDT", "ODDUSDT"]),
    )
    assert [(item.symbol, item.status, item.price_decimals) for item in found] == [
        ("AAAUSDT", "TRADING", 5),
        ("BBBUSDT", "TRADING", None),
        ("CCCUSDT", "BREAK", None),
    ]
    assert odd_rows(found) == 2
    assert volumes == {"AAAUSDT": 5.5}
    assert ids == {"AAAUSDT": 9}


def test_ids_and_times_are_never_asked_for_together(virtual_time: Any) -> None:
    desk = Desk(virtual_time, lambda _: httpx.Response(200, json=[]))
    with pytest.raises(ValueError, match="by id or by time"):
        desk.run(lambda client: client.agg_trades("BTCUSDT", from_id=5, start_ms=1))
    with pytest.raises(ValueError, match="limit is 1001"):
        desk.run(lambda client: client.agg_trades("BTCUSDT", limit=1001))
    assert desk.requests == []


def test_symbol_list_names_base_and_quote(virtual_time: Any) -> None:
    row = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT"}
    body = {"symbols": [row | {"filters": []}], "rateLimits": [], "timezone": "UTC"}
    desk = Desk(virtual_time, lambda _: httpx.Response(200, json=body))
    (infos,) = desk.run(lambda client: client.exchange_info(["BTCUSDT"]))
    assert infos == [SymbolInfo("BTCUSDT", "BTC", "USDT", "TRADING")]
    assert desk.requests[0].url.params["symbols"] == '["BTCUSDT"]'


@pytest.mark.parametrize("code", [-1121, -1100])
def test_one_unknown_symbol_does_not_hide_the_known_ones(virtual_time: Any, code: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "symbols" in request.url.params:
            return refusal(code, "Invalid symbol.")
        rows = [
            {"symbol": name, "status": "TRADING", "baseAsset": name[:3], "quoteAsset": "USDT"}
            for name in ("BTCUSDT", "ETHUSDT", "SOLUSDT")
        ]
        return httpx.Response(200, json={"symbols": rows})

    desk = Desk(virtual_time, answer)
    (infos,) = desk.run(lambda client: client.exchange_info(["BTCUSDT", "NOSUCH", "SOLUSDT"]))
    assert [info.symbol for info in infos] == ["BTCUSDT", "SOLUSDT"]


def test_unknown_symbol_is_said_by_the_exchange_itself(virtual_time: Any) -> None:
    desk = Desk(virtual_time, lambda _: refusal(-1121, "Invalid symbol."), HOSTS)
    (error,) = desk.run(lambda client: client.klines("NOSUCH", "1m"))
    assert isinstance(error, UnknownSymbols)
    assert len(desk.requests) == 1


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


def test_limit_is_taken_from_the_exchange(virtual_time: Any) -> None:
    limits = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 100},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 5},
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("exchangeInfo"):
            return httpx.Response(200, json={"symbols": [], "rateLimits": limits})
        return httpx.Response(200, json=[])

    async def ask(client: RestClient) -> None:
        await client.exchange_info()
        for _ in range(16):
            await client.agg_trades("BTCUSDT")

    desk = Desk(virtual_time, answer)
    desk.run(ask)
    assert sum(at < 60.0 for at in desk.times) == 1 + 15


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


@pytest.mark.parametrize(("count", "weight"), [(1, 2), (20, 2), (21, 40), (101, 80), (None, 80)])
def test_ticker_costs_what_the_exchange_says(
    virtual_time: Any, count: int | None, weight: int
) -> None:
    names = None if count is None else [f"S{number}" for number in range(count)]

    def answer(request: httpx.Request) -> httpx.Response:
        listed = json.loads(request.url.params.get("symbols", '["S0", "S1", "OTHER"]'))
        rows = [{"symbol": name, "quoteVolume": "12.5", "lastPrice": "1"} for name in listed]
        return httpx.Response(200, json=rows)

    async def ask(client: RestClient) -> tuple[dict[str, float], int]:
        return await client.ticker_24h(names), client.used_weight

    ((volumes, used),) = Desk(virtual_time, answer).run(ask)
    assert used == weight
    assert volumes["S0"] == 12.5
    assert names is None or set(volumes) <= set(names)


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
