"""REST answers of the simulated exchange: rows, windows, refusals, weights; no socket."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pytest

from ingest.simulator.ledger import DAY_MS, Ledger
from ingest.simulator.rest import RestApi
from tests.support.simulator import Clock

NOW_MS = 1_788_000_123_456
MINUTE = 60_000
OPEN_MINUTE = NOW_MS // MINUTE * MINUTE

Get = Callable[..., Any]


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_MS)


@pytest.fixture
def api(clock: Clock) -> RestApi:
    return RestApi(Ledger(7, 1.0, clock))


@pytest.fixture
def get(api: RestApi) -> Get:
    def ask(path: str, query: str = "", **more: str) -> Any:
        answer = api.answer(f"/api/v3/{path}", query, **more)
        assert answer.status == 200, answer.body
        return orjson.loads(answer.body)

    return ask


def test_ping_time_and_exchange_info(get: Get) -> None:
    assert get("ping") == {}
    assert get("time") == {"serverTime": NOW_MS}
    info = get("exchangeInfo")
    assert (info["timezone"], info["serverTime"]) == ("UTC", NOW_MS)
    assert len(info["symbols"]) == 20
    assert {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
            "limit": 6000} in info["rateLimits"]  # fmt: skip
    one = get("exchangeInfo", "symbol=ETHUSDT")["symbols"]
    assert [(s["symbol"], s["baseAsset"], s["quoteAsset"], s["status"]) for s in one] == [
        ("ETHUSDT", "ETH", "USDT", "TRADING")
    ]
    filters = {f["filterType"]: f for f in one[0]["filters"]}
    assert Decimal(filters["PRICE_FILTER"]["tickSize"]) == Decimal("0.01")
    assert Decimal(filters["LOT_SIZE"]["stepSize"]) == Decimal("0.0001")
    two = get("exchangeInfo", "symbols=%5B%22BTCUSDT%22,%22SUIUSDT%22%5D")["symbols"]
    assert [s["symbol"] for s in two] == ["BTCUSDT", "SUIUSDT"]


def test_klines_are_folds_of_the_agg_trades_also_on_the_wire(get: Get) -> None:
    start = OPEN_MINUTE - 3 * MINUTE
    rows = get("klines", f"symbol=ETHUSDT&interval=1m&startTime={start}")
    assert [row[0] for row in rows] == [start + i * MINUTE for i in range(4)]
    for row in rows:
        trades = get(
            "aggTrades",
            f"symbol=ETHUSDT&startTime={row[0]}&endTime={row[0] + MINUTE - 1}&limit=1000",
        )
        prices = [Decimal(t["p"]) for t in trades]
        sizes = [Decimal(t["q"]) for t in trades]
        taken = [t for t in trades if not t["m"]]
        assert [Decimal(row[i]) for i in (1, 2, 3, 4)] == [
            prices[0], max(prices), min(prices), prices[-1]
        ]  # fmt: skip
        assert Decimal(row[5]) == sum(sizes)
        assert Decimal(row[7]) == sum(p * q for p, q in zip(prices, sizes, strict=True))
        assert row[8] == sum(t["l"] - t["f"] + 1 for t in trades)
        assert Decimal(row[9]) == sum(Decimal(t["q"]) for t in taken)
        assert Decimal(row[10]) == sum(Decimal(t["q"]) * Decimal(t["p"]) for t in taken)
        assert row[6] == row[0] + MINUTE - 1
        assert row[11] == "0"
        assert len(row) == 12


@pytest.mark.parametrize(
    ("window", "first", "count"),
    [
        ("", OPEN_MINUTE - 499 * MINUTE, 500),
        ("&limit=3", OPEN_MINUTE - 2 * MINUTE, 3),
        (f"&startTime={OPEN_MINUTE - 9 * MINUTE}&limit=4", OPEN_MINUTE - 9 * MINUTE, 4),
        (f"&startTime={OPEN_MINUTE - 9 * MINUTE + 1}&limit=4", OPEN_MINUTE - 8 * MINUTE, 4),
        (f"&endTime={OPEN_MINUTE - MINUTE}&limit=3", OPEN_MINUTE - 3 * MINUTE, 3),
        (f"&endTime={OPEN_MINUTE - 1}&limit=1", OPEN_MINUTE - MINUTE, 1),
        (
            f"&startTime={OPEN_MINUTE - 5 * MINUTE}&endTime={OPEN_MINUTE - 3 * MINUTE}",
            OPEN_MINUTE - 5 * MINUTE,
            3,
        ),
        (f"&startTime={OPEN_MINUTE}&endTime={OPEN_MINUTE}", OPEN_MINUTE, 1),
        (f"&startTime={OPEN_MINUTE * 1_000}", OPEN_MINUTE, 1),
        (f"&startTime={NOW_MS + DAY_MS}", None, 0),
        (f"&startTime={OPEN_MINUTE}&endTime={OPEN_MINUTE - MINUTE}", None, 0),
        ("&limit=5000", OPEN_MINUTE - 999 * MINUTE, 1_000),
    ],
)
def test_kline_windows(get: Get, window: str, first: int | None, count: int) -> None:
    rows = get("klines", f"symbol=LINKUSDT&interval=1m{window}")
    assert len(rows) == count
    assert [row[0] for row in rows] == [(first or 0) + i * MINUTE for i in range(count)]


def test_klines_reach_no_further_back_than_the_listing(get: Get) -> None:
    rows = get("klines", "symbol=ARBUSDT&interval=1d&startTime=0&limit=2")
    assert rows[0][0] == (NOW_MS - 400 * DAY_MS) // DAY_MS * DAY_MS
    assert rows[1][0] == rows[0][0] + DAY_MS


@pytest.mark.parametrize("interval", ["1s", "3m", "30m", "2h", "4h", "1d"])
def test_every_interval_ends_with_the_bar_still_open(get: Get, interval: str) -> None:
    last = get("klines", f"symbol=ETCUSDT&interval={interval}&limit=2")[-1]
    assert last[0] <= NOW_MS <= last[6]


def test_days_of_another_time_zone(get: Get) -> None:
    rows = get("klines", "symbol=ETCUSDT&interval=1d&limit=2&timeZone=%2B5:30")
    assert all((row[0] + 330 * MINUTE) % DAY_MS == 0 for row in rows)
    hours = get("klines", f"symbol=ETCUSDT&interval=30m&startTime={rows[0][0]}&limit=48")
    assert Decimal(rows[0][5]) == sum(Decimal(hour[5]) for hour in hours)


def test_agg_trade_windows(get: Get) -> None:
    newest = get("aggTrades", "symbol=BTCUSDT&limit=30")
    assert len(newest) == 30
    assert newest[-1]["T"] <= NOW_MS
    assert set(newest[0]) == {"a", "p", "q", "f", "l", "T", "m", "M"}
    fifth = newest[5]
    by_id = get("aggTrades", f"symbol=BTCUSDT&fromId={fifth['a']}&limit=10")
    assert by_id == newest[5:15]
    until = get("aggTrades", f"symbol=BTCUSDT&endTime={fifth['T']}&limit=3")
    assert until[-1]["T"] <= fifth["T"]
    assert len(until) == 3
    both = get("aggTrades", f"symbol=BTCUSDT&startTime={fifth['T']}&endTime={newest[20]['T']}")
    assert both == [t for t in newest if fifth["T"] <= t["T"] <= newest[20]["T"]]
    since = get("aggTrades", f"symbol=BTCUSDT&startTime={fifth['T']}&limit=4")
    assert since == both[:4]
    assert len(get("aggTrades", "symbol=BTCUSDT")) == 500


def test_raw_trades_are_the_aggregates_taken_apart(get: Get) -> None:
    raw = get("trades", "symbol=XRPUSDT&limit=60")
    assert [t["id"] for t in raw] == list(range(raw[0]["id"], raw[0]["id"] + 60))
    aggregates = {t["f"]: t for t in get("aggTrades", "symbol=XRPUSDT&limit=60")}
    whole = [aggregates[t["id"]] for t in raw if t["id"] in aggregates]
    assert len(whole) > 10
    for aggregate in whole:
        parts = [t for t in raw if aggregate["f"] <= t["id"] <= aggregate["l"]]
        assert sum(Decimal(t["qty"]) for t in parts) == Decimal(aggregate["q"])
        assert {t["price"] for t in parts} == {aggregate["p"]}
    assert get("historicalTrades", f"symbol=XRPUSDT&fromId={raw[7]['id']}&limit=20") == raw[7:27]


def test_day_ticker_agrees_with_the_klines(get: Get) -> None:
    day = get("ticker/24hr", "symbol=BCHUSDT")
    rows = get("klines", f"symbol=BCHUSDT&interval=1m&startTime={day['openTime']}&limit=1000")
    rows += get("klines", f"symbol=BCHUSDT&interval=1m&startTime={rows[-1][6] + 1}&limit=1000")
    assert Decimal(day["quoteVolume"]) == sum(Decimal(row[7]) for row in rows)
    assert day["count"] == sum(row[8] for row in rows) == day["lastId"] - day["firstId"] + 1
    assert Decimal(day["highPrice"]) == max(Decimal(row[2]) for row in rows)
    assert day["lastPrice"] == rows[-1][4] == get("ticker/price", "symbol=BCHUSDT")["price"]
    some = get("ticker/24hr", 'symbols=["BCHUSDT"]')
    assert some == [day]
    assert len(get("ticker/price")) == 20


def test_times_in_microseconds_when_the_header_asks(get: Get) -> None:
    assert get("time", time_unit="MICROSECOND") == {"serverTime": NOW_MS * 1_000}
    row = get("klines", "symbol=BTCUSDT&interval=1m&limit=1", time_unit="microsecond")[0]
    assert (row[0], row[6]) == (OPEN_MINUTE * 1_000, (OPEN_MINUTE + MINUTE) * 1_000 - 1)
    trade = get("aggTrades", "symbol=BTCUSDT&limit=1", time_unit="MICROSECOND")[0]
    assert trade["T"] % 1_000 == 0
    assert trade["T"] > NOW_MS * 900


@pytest.mark.parametrize(
    ("path", "query", "code", "words"),
    [
        ("klines", "interval=1m", -1102, "'symbol' was not sent"),
        ("klines", "symbol=&interval=1m", -1102, "'symbol' was not sent"),
        ("klines", "symbol=BTCUSDT", -1102, "'interval' was not sent"),
        ("klines", "symbol=BTCUSDT&interval=7m", -1120, "Invalid interval."),
        ("klines", "symbol=BTCUSDT&interval=1M", -1120, "Invalid interval."),
        ("klines", "symbol=NOPEUSDT&interval=1m", -1121, "Invalid symbol."),
        ("klines", "symbol=btcusdt&interval=1m", -1100, "'symbol'; legal range is '^[A-Z0-9-_.]"),
        ("klines", "symbol=BTCUSDT&interval=1m&limit=x", -1100, "'limit'; legal range"),
        ("klines", "symbol=BTCUSDT&interval=1m&limit=0", -1130, "'limit' is not valid"),
        ("klines", "symbol=BTCUSDT&interval=1m&limit=", -1105, "Parameter 'limit' was empty."),
        ("klines", "symbol=BTCUSDT&interval=1m&timeZone=15:00", -1130, "'timeZone'"),
        ("klines", "symbol=BTCUSDT&interval=1m&x=1", -1104, "read '2' parameter(s)"),
        ("klines", "symbol=BTCUSDT&symbol=ETHUSDT&interval=1m", -1101, "Duplicate values"),
        ("ping", "x=1", -1101, "expected '0' and received '1'"),
        ("aggTrades", "symbol=BTCUSDT&fromId=1&startTime=1", -1128, "Combination of optional"),
        ("aggTrades", "symbol=BTCUSDT&fromId=-1", -1100, "'fromId'"),
        ("exchangeInfo", "symbols=[]", -1105, "'symbols' was empty"),
        ("exchangeInfo", "symbol=BTCUSDT&symbols=[]", -1128, "Combination of optional"),
        ("exchangeInfo", 'symbols=["BTCUSDT","NOPE"]', -1121, "Invalid symbol."),
        ("exchangeInfo", "symbols=BTCUSDT", -1100, "'symbols'; legal range"),
        ("ticker/24hr", "symbol=BTCUSDT&type=HUGE", -1130, "'type' is not valid"),
    ],
)
def test_refusals(api: RestApi, path: str, query: str, code: int, words: str) -> None:
    answer = api.answer(f"/api/v3/{path}", query)
    body = orjson.loads(answer.body)
    assert (answer.status, body["code"]) == (400, code)
    assert words in body["msg"]


def test_a_wrong_time_unit_and_an_unknown_path(api: RestApi) -> None:
    answer = api.answer("/api/v3/time", "", "HOURS")
    assert (answer.status, orjson.loads(answer.body)["code"]) == (400, -1194)
    assert api.answer("/api/v3/account", "").status == 404


def test_weights_add_up_and_overuse_is_refused_then_banned(api: RestApi, clock: Clock) -> None:
    clock.now_ms = OPEN_MINUTE + 45_000

    def used(path: str, query: str = "") -> int:
        answer = api.answer(f"/api/v3/{path}", query, address="a")
        return int(answer.headers["x-mbx-used-weight-1m"])

    assert used("ping") == 1
    assert used("exchangeInfo") == 21
    assert used("klines", "symbol=BTCUSDT&interval=1m&limit=1") == 23
    assert used("aggTrades", "symbol=BTCUSDT&limit=1") == 27
    assert used("ticker/24hr", "symbol=BTCUSDT") == 29
    assert used("ticker/24hr") == 109
    assert used("klines", "symbol=NOPE&interval=1m") == 111
    while used("exchangeInfo") <= 5_980:
        pass
    refused = api.answer("/api/v3/exchangeInfo", "", address="a")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "15")
    body = orjson.loads(refused.body)
    assert body["code"] == -1003
    assert "limit is 6000 request weight per 1 MINUTE" in body["msg"]
    assert api.answer("/api/v3/ping", "", address="b").status == 200

    while refused.status == 429:
        refused = api.answer("/api/v3/exchangeInfo", "", address="a")
    assert (refused.status, refused.headers["Retry-After"]) == (418, "120")
    assert f"banned until {clock.now_ms + 120_000}." in orjson.loads(refused.body)["msg"]
    clock.now_ms += 60_000
    assert api.answer("/api/v3/ping", "", address="a").status == 418
    clock.now_ms += 60_000
    assert used("ping") == 1


def test_the_budget_begins_anew_each_minute(api: RestApi, clock: Clock) -> None:
    for _ in range(301):
        last = api.answer("/api/v3/exchangeInfo", "")
    assert last.status == 429
    clock.now_ms = OPEN_MINUTE + MINUTE
    assert api.answer("/api/v3/ping", "").headers["x-mbx-used-weight-1m"] == "1"


def test_the_burst_route_says_what_it_did_and_refuses_nonsense(api: RestApi) -> None:
    answer = orjson.loads(api.burst("trades_per_s=2000&seconds=3&symbol=BTCUSDT").body)
    assert answer["trades"] == 6_000
    assert answer["startTime"] > NOW_MS
    assert api.burst("trades_per_s=-1").status == 400
    assert api.burst("trades_per_s=5000000&seconds=60").status == 400
    assert api.burst("symbol=NOPE").status == 400
