"""Answers become bars, trades and symbols; what is odd among them is passed over."""

import json
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from core.errors import ExchangeError, UnknownSymbols
from core.types import Bar
from ingest.binance.answers import SymbolInfo, odd_rows, read_symbol_list
from ingest.binance.rest import RestClient
from ingest.binance.weights import Hold
from tests.support.rest_client import HOSTS, Answer, Desk, aggregate, refusal

MINUTE = 60_000


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


FROM_MS = 1_700_000_000_000
YEARS_MS = 3 * 365 * 86_400_000


@pytest.mark.parametrize(
    ("odd", "time_ms"),
    [
        *((at, FROM_MS + YEARS_MS) for at in range(5)),
        *((at, FROM_MS - YEARS_MS) for at in range(5)),
        *((at, FROM_MS + 3_600_000) for at in range(4)),
        *((at, FROM_MS + 7) for at in range(1, 5)),
    ],
)
def test_a_trade_of_another_time_than_those_about_it_is_in_no_bar_and_told(
    virtual_time: Any, odd: int, time_ms: int
) -> None:
    # Taken, its own bar would lack it and be complete; ahead of now, all until then were known.
    rows = [aggregate(5 + at, T=FROM_MS + 20_000 * (at + 1)) for at in range(5)]
    rows[odd]["T"] = time_ms
    now_ms = FROM_MS + 7_200_000
    hold = Hold(lambda: now_ms / 1_000)
    desk = Desk(virtual_time, lambda _: httpx.Response(200, json=rows), hold=hold)
    (trades,) = desk.run(lambda client: client.agg_trades("BTCUSDT", start_ms=FROM_MS))
    assert [trade.trade_id for trade in trades] == [5 + at for at in range(5) if at != odd]
    assert desk.client.odd_rows == 1


def test_times_may_step_back_by_seconds_while_ids_rise(virtual_time: Any) -> None:
    rows = [aggregate(5 + at, T=FROM_MS - 10_000 * (at % 2)) for at in range(5)]
    desk = Desk(virtual_time, lambda _: httpx.Response(200, json=rows))
    (trades,) = desk.run(lambda client: client.agg_trades("BTCUSDT", from_id=5))
    assert [trade.trade_id for trade in trades] == [5, 6, 7, 8, 9]


def test_a_bar_of_years_ahead_does_not_make_the_open_one_final(virtual_time: Any) -> None:
    now_ms = MINUTE * 1002 - 20_000
    rows = [kline(MINUTE * 1000), kline(MINUTE * 1001), kline(MINUTE * 2_000_000)]
    answer = with_time(lambda _: httpx.Response(200, json=rows), now_ms)
    desk = Desk(virtual_time, answer, hold=Hold(lambda: now_ms / 1_000))
    (bars,) = desk.run(lambda client: client.klines("BTCUSDT", "1m"))
    assert [bar.open_time_ms // MINUTE for bar in bars] == [1000]
    assert desk.client.odd_rows == 1


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

    async def odd_so_far(client: RestClient) -> int:
        return client.odd_rows

    with capture_logs() as told:
        found, volumes, ids, again, odd = desk.run(
            lambda client: client.exchange_info(),
            lambda client: client.ticker_24h(),
            lambda client: client.newest_raw_ids(["AAAUSDT", "ODDUSDT"]),
            lambda client: client.newest_raw_ids(["AAAUSDT", "ODDUSDT"]),
            odd_so_far,
        )
    assert [(item.symbol, item.status, item.price_decimals) for item in found] == [
        ("AAAUSDT", "TRADING", 5),
        ("BBBUSDT", "TRADING", None),
        ("CCCUSDT", "BREAK", None),
    ]
    assert odd_rows(found) == 2
    assert volumes == {"AAAUSDT": 5.5}
    assert ids == again == {"AAAUSDT": 9}
    assert odd == 2 + 2 + 2 + 2
    # The same row of an answer that is asked for every second fills no log.
    assert [line["what"] for line in told] == ["exchangeInfo", "tickers", "tickers"]


def test_ids_and_times_are_never_asked_for_together(virtual_time: Any) -> None:
    desk = Desk(virtual_time, lambda _: httpx.Response(200, json=[]))
    with pytest.raises(ValueError, match="by id or by time"):
        desk.run(lambda client: client.agg_trades("BTCUSDT", from_id=5, start_ms=1))
    with pytest.raises(ValueError, match="limit is 1001"):
        desk.run(lambda client: client.agg_trades("BTCUSDT", limit=1001))
    assert desk.requests == []


@pytest.mark.parametrize("odd", [7, None, "none", {}, {"limit": "many"}, {"interval": None}])
def test_an_odd_rate_limit_costs_neither_the_symbols_nor_the_other_limits(odd: Any) -> None:
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    entry = {"symbol": "AAAUSDT", "status": "TRADING", "baseAsset": "AAA", "quoteAsset": "USDT"}
    for limits, expected in (([odd, weight | {"limit": 3_000}, odd], 3_000), (odd, None)):
        read = read_symbol_list(json.dumps({"symbols": [entry], "rateLimits": limits}).encode())
        assert [item.symbol for item in read.symbols] == ["AAAUSDT"]
        assert read.weight_per_minute == expected


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
