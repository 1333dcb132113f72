"""The rest of the API: bad input, stored rows, status, health, documentation, limits."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dash import Dash
from flask.testing import FlaskClient

from app import create_app
from app.api import limits
from core.settings import Settings
from ingest.store.reader import Reader
from tests.support.answers import problem

MINUTE = 60_000
LAST_OPEN_MS = 1_795_401_000_000 // MINUTE * MINUTE
PAIR_ROUTES = ("/analytics/pair", "/analytics/pair/trades.csv", "/analytics/pair/equity.csv")

# parameter, bad values; every one of them is refused by name.
BAD_VALUES = {
    "symbol_a": ["", " ", "BTC USDT", "a" * 41, "x/y", "<b>", "%00", "=1+1"],
    "symbol_b": ["", "BTCUSDT", "btcusdt"],
    "timeframe": ["", "2m", "1M", "60000", "1m "],
    "window": ["", "9", "2001", "12.5", "abc", "-120", "1e3", "1_000", "nan", "٣٠", "9" * 5000],
    "entry_z": ["", "0.09", "10.1", "nan", "inf", "-2", "two", "1e999", "0x2", "2,0"],
    "exit_z": ["", "-2.1", "2", "2.5", "nan", "-inf"],
    "stop_z": ["", "2", "1", "1e999", "none", "nan"],
    "max_hold_bars": ["", "0", "20001", "1.5", "-1"],
    "hedge": ["", "OLS", "kalman2", "none"],
    "hedge_window": ["", "119", "10001", "x"],
    "bars": ["", "9", "20001", "NaN"],
    "fee_bps": ["", "-1", "1000.1", "nan"],
    "slippage_bps": ["", "-1", "1001", "inf"],
    "notional": ["", "0", "-1", "1e13", "nan"],
    "points": ["", "-1", "20001", "0.5"],
    "colour": ["red", ""],
    "Window": ["120"],
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param(field, value, id=f"{field}-{number}")
        for field, values in BAD_VALUES.items()
        for number, value in enumerate(values)
    ],
)
def test_bad_parameter_is_refused_by_name(client: FlaskClient, field: str, value: str) -> None:
    for route in PAIR_ROUTES:
        body = problem(client.get(route, query_string={field: value}), 400)
        assert [error["field"] for error in body["errors"]] == [field]
        assert body["errors"][0]["allowed"]
        assert field in body["detail"]


def test_every_bad_parameter_of_a_request_is_named(client: FlaskClient) -> None:
    body = problem(client.get("/analytics/pair?window=1&hedge=x&bars=&extra=1"), 400)
    assert [error["field"] for error in body["errors"]] == ["window", "hedge", "bars", "extra"]
    allowed = {error["field"]: error["allowed"] for error in body["errors"]}
    assert allowed["window"] == "a whole number from 10 to 2000"
    assert allowed["hedge"] == "one of ols, kalman, ratio, shrunk, returns"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/analytics/pair?window=20&window=20", "window"),
        ("/analytics/pair?x=1&x=2", "x"),
        ("/api/bars?symbol=BTCUSDT&symbol=ETHUSDT", "symbol"),
        ("/api/bars", "symbol"),
        ("/api/bars?symbol=", "symbol"),
        ("/api/bars?symbol=BTCUSDT&limit=5001", "limit"),
        ("/api/bars?symbol=BTCUSDT&limit=0", "limit"),
        ("/api/bars?symbol=BTCUSDT&start=yesterday", "start"),
        ("/api/bars?symbol=BTCUSDT&start=-1", "start"),
        ("/api/bars?symbol=BTCUSDT&start=2026-13-01", "start"),
        ("/api/bars?symbol=BTCUSDT&end=99999999999999999", "end"),
        ("/api/bars?symbol=BTCUSDT&start=60000&end=60000", "end"),
        ("/api/bars?symbol=BTCUSDT&timeframe=1d", "timeframe"),
        ("/api/symbols?all=1", "all"),
        ("/api/status?verbose=1", "verbose"),
        ("/healthz?deep=1", "deep"),
        ("/readyz?deep=1", "deep"),
    ],
)
def test_bad_query_is_refused_by_name(client: FlaskClient, path: str, field: str) -> None:
    assert [error["field"] for error in problem(client.get(path), 400)["errors"]] == [field]


@pytest.mark.parametrize(
    "path",
    [
        *("/api", "/api/", "/api/nope", "/api/status/", "/api/bars/x", "/api//status"),
        *("/analytics", "/analytics/", "/analytics/nope", "/analytics/pair/", "/docs/x"),
        *("/analytics/pair/nothing", "/healthz/", "/openapi.json/", "/api/%2e%2e/etc"),
    ],
)
@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "patch", "head"])
def test_unknown_api_path_is_a_problem_and_not_the_page(
    client: FlaskClient, path: str, method: str
) -> None:
    response = client.open(path, method=method)
    if method == "head":
        assert response.status_code == 404
    else:
        problem(response, 404)


@pytest.mark.parametrize(
    "path", [*PAIR_ROUTES, "/api/symbols", "/api/bars", "/api/status", "/healthz", "/docs"]
)
def test_wrong_method_is_a_problem_that_names_the_right_ones(
    client: FlaskClient, path: str
) -> None:
    for method in ("post", "delete"):
        response = client.open(path, method=method)
        problem(response, 405)
        assert "GET" in response.headers["Allow"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/alerts/1/acknowledge", {"POST"}),
        ("/api/channels/phone/test", {"POST"}),
        ("/api/rules/1", {"PATCH", "DELETE"}),
        ("/api/rules", {"GET", "HEAD", "POST"}),
        ("/api/jobs/1", {"GET", "HEAD", "DELETE"}),
        ("/api/status", {"GET", "HEAD"}),
    ],
)
def test_a_path_names_its_own_methods_and_not_the_pages(
    client: FlaskClient, path: str, allowed: set[str]
) -> None:
    """The page takes a GET of any path there is."""
    told = client.options(path)
    assert told.status_code == 200
    assert set(told.headers["Allow"].split(", ")) == allowed | {"OPTIONS"}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - allowed:
        response = client.open(path, method=method)
        problem(response, 405)
        assert set(response.headers["Allow"].split(", ")) == allowed | {"OPTIONS"}


@pytest.mark.parametrize("number", [2**63, 10**30, 10**400])
def test_a_number_that_no_row_can_have_is_a_404(client: FlaskClient, number: int) -> None:
    for path in ("/api/jobs/{}", "/api/jobs/{}/result", "/api/rules/{}/why", "/api/paper/{}"):
        problem(client.get(path.format(number)), 404)
    problem(client.get(f"/api/jobs/{2**63 - 1}"), 404)


def test_page_answers_its_own_paths_and_every_other_is_a_page_of_404(client: FlaskClient) -> None:
    page = client.get("/?symbol_a=SOLUSDT")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    for path in ("/nosuch", "/apis", "/analytics2", "/live/", "/nosuch?symbol_a=BTCUSDT"):
        for method in ("get", "head", "post"):
            response = client.open(path, method=method)
            assert (response.status_code, response.mimetype) == (404, "text/html"), path
        assert 'href="/"' in client.get(path).text


def test_symbols_are_listed_with_what_is_known_of_them(client: FlaskClient) -> None:
    body = client.get("/api/symbols").get_json()
    rows = {row["symbol"]: row for row in body["symbols"]}
    assert set(rows) == {"BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT"}
    assert rows["BTCUSDT"] == {
        "symbol": "BTCUSDT",
        "base": "BTC",
        "quote": "USDT",
        "status": "TRADING",
        "first_bar_ms": LAST_OPEN_MS - 1_499 * MINUTE,
        "last_event_time_ms": LAST_OPEN_MS + MINUTE + 15_000,
    }
    assert rows["DOGEUSDT"]["first_bar_ms"] is None


def test_bars_come_oldest_first_and_the_newest_by_default(client: FlaskClient) -> None:
    body = client.get("/api/bars?symbol=btcusdt").get_json()
    assert body["symbol"] == "BTCUSDT"
    assert body["timeframe"] == "1m"
    assert body["columns"] == [
        *("open_time_ms", "open", "high", "low", "close", "volume", "quote_volume"),
        *("trade_count", "taker_buy_volume", "complete"),
    ]
    times = [row[0] for row in body["rows"]]
    assert times == list(range(LAST_OPEN_MS - 499 * MINUTE, LAST_OPEN_MS + MINUTE, MINUTE))
    assert body["rows"][-1][7:] == [3, 0.5, True]


def test_bars_of_a_range_are_the_same_by_number_and_by_iso_time(client: FlaskClient) -> None:
    start, end = LAST_OPEN_MS - 5 * MINUTE, LAST_OPEN_MS
    by_number = client.get(f"/api/bars?symbol=BTCUSDT&start={start}&end={end}").get_json()
    assert [row[0] for row in by_number["rows"]] == list(range(start, end, MINUTE))
    for first, last in (
        ("2026-11-23T02:25:00Z", "2026-11-23T02:30:00Z"),
        ("2026-11-23T02:25", "2026-11-23T02:30:00.000"),
        ("2026-11-23T03:25:00%2B01:00", "2026-11-23T03:30:00+01:00"),
    ):
        by_iso = client.get(f"/api/bars?symbol=BTCUSDT&start={first}&end={last}").get_json()
        assert by_iso == by_number
    first_two = client.get(f"/api/bars?symbol=BTCUSDT&start={start}&limit=2").get_json()
    assert [row[0] for row in first_two["rows"]] == [start, start + MINUTE]


def test_bars_of_a_symbol_that_is_not_ingested_are_404(client: FlaskClient) -> None:
    body = problem(client.get("/api/bars?symbol=NOPE"), 404)
    assert body["errors"][0]["field"] == "symbol"
    assert client.get("/api/bars?symbol=DOGEUSDT").get_json()["rows"] == []


def test_status_tells_worker_feed_and_database(client: FlaskClient) -> None:
    body = client.get("/api/status").get_json()
    assert body["source"] == "simulated"
    assert body["source_reason"] == "no exchange answers"
    assert body["worker"] == {"state": "running", "pid": 4242, "heartbeat_age_ms": 800}
    feed = {
        "state": "live",
        "host": "127.0.0.1",
        "age_ms": 250,
        "trades_per_s": 12.5,
        "lag_ms_p50": 40.0,
        "lag_ms_p99": 90.0,
        "reconnects": 1,
        "last_error": None,
    }
    assert {name: body["feed"][name] for name in feed} == feed
    assert body["quarantined"] == 2
    assert body["queue_depth"] == 3
    rows = {row["symbol"]: row for row in body["symbols"]}
    symbol = {
        "symbol": "ETHUSDT",
        "last_id": 900,
        "last_event_time_ms": LAST_OPEN_MS + MINUTE + 15_000,
        "missing_ids": 4,
        "open_gaps": 1,
        "unfillable_gaps": 0,
    }
    assert {name: rows["ETHUSDT"][name] for name in symbol} == symbol
    assert rows["BTCUSDT"]["missing_ids"] == 0
    assert body["database"]["kind"] == "sqlite"
    assert body["database"]["size_bytes"] > 0
    assert body["database"]["wal_bytes"] >= 0


def test_silent_worker_is_not_shown_as_live(
    own_desk: Any, open_client: Callable[[Dash], FlaskClient]
) -> None:
    desk, clock = own_desk
    client = open_client(desk)
    assert client.get("/readyz").get_json() == {"ready": True, "reasons": []}
    clock["now"] += 31
    status = client.get("/api/status").get_json()
    assert status["worker"]["state"] == "silent"
    assert status["worker"]["heartbeat_age_ms"] == 31_800
    assert status["feed"]["state"] == "down"
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.get_json() == {"ready": False, "reasons": ["feed: down"]}


def test_ready_only_while_frames_arrive(
    own_desk: Any, open_client: Callable[[Dash], FlaskClient]
) -> None:
    desk, clock = own_desk
    clock["now"] += 16
    ready = open_client(desk).get("/readyz")
    assert ready.status_code == 503
    assert ready.get_json()["reasons"] == ["feed: nothing for more than 15 s"]


@pytest.mark.parametrize("state", ["missing", "empty", "corrupt"])
def test_desk_answers_without_a_database(
    state: str,
    tmp_path: Path,
    database_url: str,
    settings: Settings,
    open_client: Callable[[Dash], FlaskClient],
) -> None:
    url = database_url
    if state == "missing":
        url = f"sqlite:///{tmp_path}/none/market.db"
    if state == "corrupt":
        Path(database_url.removeprefix("sqlite:///")).write_bytes(b"not a database" * 1_000)
    reader = Reader(url)
    client = open_client(create_app(settings, reader))
    assert client.get("/healthz").get_json() == {"status": "ok"}
    status = client.get("/api/status")
    assert status.status_code == 200
    body = status.get_json()
    assert body["worker"] == {"state": "absent", "pid": None, "heartbeat_age_ms": None}
    assert body["feed"]["state"] == "down"
    assert body["feed"]["age_ms"] is None
    assert body["symbols"] == []
    assert client.get("/readyz").status_code == 503
    if state == "empty":
        assert body["database"]["error"] is None
        assert client.get("/api/symbols").get_json() == {"symbols": []}
        assert [
            error["field"] for error in problem(client.get("/analytics/pair"), 404)["errors"]
        ] == [
            "symbol_a",
            "symbol_b",
        ]
    else:
        assert body["database"]["error"]
        for path in ("/analytics/pair", "/api/symbols", "/api/bars?symbol=BTCUSDT"):
            problem(client.get(path), 503)
    reader.close()


def test_failure_inside_is_a_problem_without_a_traceback(
    desk: Dash, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("secret words")

    monkeypatch.setattr(desk.server.extensions["pairdesk"].market, "symbols", fail)
    body = problem(client.get("/api/symbols"), 500)
    assert "secret" not in json.dumps(body)


def test_flood_is_answered_with_429_and_other_clients_are_served(
    desk: Dash,
    client: FlaskClient,
    open_client: Callable[[Dash], FlaskClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time()
    clock = SimpleNamespace(time=lambda: now, thread_time=time.thread_time)
    monkeypatch.setattr(limits, "time", clock)  # within one second
    statuses = [client.get("/api/nope").status_code for _ in range(51)]
    assert statuses == [404] * 50 + [429]
    response = client.get("/api/nope")
    problem(response, 429)
    assert int(response.headers["Retry-After"]) >= 0
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code == 200
    assert open_client(desk).get("/api/symbols").status_code == 200
