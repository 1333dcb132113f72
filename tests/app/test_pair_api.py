"""What `/analytics/pair` promises: every key, no NaN, reasons, CSV."""

import csv
import io
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.api.pair import pair_json
from app.api.values import iso
from app.services import Desk
from core.pair_spec import HEDGES, PAIR_PARAMETERS, read_pair_spec
from tests.support.answers import strict_json

QUERY = "/analytics/pair?window=30&hedge_window=100&bars=600&entry_z=1.5"

PARAMETERS = {
    "symbol_a": "BTCUSDT",
    "symbol_b": "ETHUSDT",
    "timeframe": "1m",
    "window": 30,
    "entry_z": 1.5,
    "exit_z": 0.375,
    "exit_rule": "moving",
    "stop_z": None,
    "max_hold_bars": None,
    "hedge": "ols",
    "hedge_window": 100,
    "lags": None,
    "since": None,
    "fee_bps": 7.5,
    "slippage_bps": 1.5,
    "notional": 10_000.0,
    "points": 500,
}
KEYS = {
    *PARAMETERS,
    *("as_of", "start", "history_start", "source", "bars", "stale", "gaps", "hedge_ratio"),
    *("intercept", "spread", "zscore", "zscore_provisional", "zscores", "break_even_z", "signal"),
    *("signal_note", "hedge_effectiveness"),
    *("required_z", "half_life_interval"),
    *("correlation", "half_life_bars", "hurst", "cointegration", "series", "backtest", "warnings"),
}
SERIES = {"time", "close_a", "close_b", "hedge_ratio", "spread", "zscore", "position"}
BACKTEST = {
    *("since", "inherited", "total_trades", "total_return", "total_pnl", "avg_pnl"),
    *("avg_pnl_stderr", "win_rate", "profit_factor", "sharpe", "sharpe_stderr", "sortino"),
    *("max_drawdown", "calmar", "exposure", "turnover", "costs"),
    *("avg_hold_bars", "reversion_capture", "equity", "trades"),
}
TRADE = [
    *("side", "entry_time", "exit_time", "entry_z", "exit_z", "quantity_a", "quantity_b"),
    *("pnl", "costs", "bars", "exit_reason"),
]
MINUTE = 60_000
LAST_OPEN_MS = 1_795_401_000_000 // MINUTE * MINUTE


@pytest.fixture
def body(client: FlaskClient) -> dict[str, Any]:
    response = client.get(QUERY)
    assert response.status_code == 200
    assert response.content_type == "application/json"
    parsed: dict[str, Any] = strict_json(response.data)
    return parsed


def test_pair_answers_with_every_key_of_the_contract(body: dict[str, Any]) -> None:
    assert set(body) == KEYS
    hedges = {"ols", "kalman", "ratio", "shrunk", "returns"}
    assert set(body["hedge_ratio"]) == {*hedges, "kalman_stderr", "ols_full_sample"}
    for name in ("intercept", "zscores", "hedge_effectiveness"):
        assert set(body[name]) == hedges
    assert set(body["series"]) == SERIES
    assert set(body["backtest"]) == BACKTEST
    assert set(body["backtest"]["equity"]) == {"time", "value", "drawdown"}
    assert set(body["cointegration"]) == {
        *("statistic", "pvalue", "pvalue_both", "lags", "direction", "critical_5pct"),
        "subwindows",
    }
    assert set(body["cointegration"]["subwindows"]) == {"passing", "of"}
    assert body["backtest"]["trades"]
    assert list(body["backtest"]["trades"][0]) == TRADE


def test_pair_says_which_parameters_it_used(body: dict[str, Any]) -> None:
    assert {name: body[name] for name in PARAMETERS} == PARAMETERS
    assert body["bars"] == len(body["backtest"]["equity"]["time"])
    assert 600 <= body["bars"] < 600 + 128


def test_pair_times_are_iso_in_scalars_and_milliseconds_in_series(body: dict[str, Any]) -> None:
    assert body["as_of"] == "2026-11-23T02:31:00Z"
    assert body["series"]["time"][-1] == LAST_OPEN_MS
    assert body["history_start"] < body["start"] < body["as_of"]
    assert body["backtest"]["trades"][0]["entry_time"].endswith("Z")
    assert body["gaps"] == [
        {
            "symbol": "ETHUSDT",
            "from": "2026-11-23T02:28:29.500Z",
            "to": "2026-11-23T02:30:00Z",
            "reason": "reconnect",
        }
    ]


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_the_local_time_of_the_host_moves_no_time_of_an_answer(
    services: Desk, body: dict[str, Any], in_time_zone: Any, zone: str
) -> None:
    asked = {"window": 30, "hedge_window": 100, "bars": 600, "entry_z": 1.5}
    spec = read_pair_spec(asked, services.settings)
    with in_time_zone(zone):
        answer = pair_json(services.pairs.view(spec), 0)
    for name in ("as_of", "start", "history_start", "gaps", "warnings"):
        assert answer[name] == body[name]
    assert answer["backtest"]["trades"] == body["backtest"]["trades"]


def test_pair_shows_only_the_rows_asked_for_and_the_whole_equity(
    client: FlaskClient, body: dict[str, Any]
) -> None:
    for points, shown in ((0, 0), (7, 7), (20_000, body["bars"])):
        answer = strict_json(client.get(f"{QUERY}&points={points}").data)
        assert {len(column) for column in answer["series"].values()} == {shown}
        assert len(answer["backtest"]["equity"]["value"]) == body["bars"]
        tail = answer["series"]["zscore"][-min(shown, 500) or 500 :]
        assert tail == body["series"]["zscore"][500 - min(shown, 500) :]


def test_equity_change_is_the_sum_of_all_trades(body: dict[str, Any]) -> None:
    value = body["backtest"]["equity"]["value"]
    pnl = sum(trade["pnl"] for trade in body["backtest"]["trades"])
    assert value[-1] - value[0] == pytest.approx(pnl, abs=1e-6)
    assert body["backtest"]["total_pnl"] == pytest.approx(pnl, abs=1e-6)


def test_open_trade_comes_last_and_is_not_counted(client: FlaskClient) -> None:
    open_ones = 0
    for entry_z in (0.2, 0.3, 0.4, 0.5, 0.6):
        backtest = strict_json(
            client.get(f"{QUERY.partition('&entry')[0]}&entry_z={entry_z}&exit_z=0.1").data
        )["backtest"]
        closed = [trade for trade in backtest["trades"] if trade["exit_reason"] != "open"]
        assert backtest["total_trades"] == len(closed)
        if len(closed) < len(backtest["trades"]):
            open_ones += 1
            assert backtest["trades"][-1]["exit_reason"] == "open"
            assert backtest["trades"][-1]["exit_time"] is None
    assert open_ones


def test_a_stop_out_of_reach_is_a_stop_all_the_same(client: FlaskClient) -> None:
    answer = client.get("/analytics/pair?points=0&stop_z=1000")
    assert answer.status_code == 200
    assert strict_json(answer.data)["stop_z"] == 1000.0


def test_numbers_arrive_unrounded(body: dict[str, Any], services: Desk) -> None:
    asked = {name: body[name] for name in PAIR_PARAMETERS} | {"bars": 600}
    result = services.pairs.view(read_pair_spec(asked, services.settings)).result
    assert result is not None
    assert body["zscore"] == result.chosen.zscore[-1]
    assert body["series"]["spread"] == result.chosen.spread[-500:].tolist()
    assert body["correlation"] == result.correlation


@pytest.mark.parametrize("hedge", HEDGES)
def test_a_bar_has_the_same_z_whoever_asks_for_it(client: FlaskClient, hedge: str) -> None:
    """For other numbers of bars, since a bar, and taken apart: the same digits."""
    query = f"/analytics/pair?window=30&hedge_window=100&entry_z=1.5&hedge={hedge}"
    long = strict_json(client.get(f"{query}&bars=1500").data)
    short = strict_json(client.get(f"{query}&bars=60").data)
    since = long["series"]["time"][-90]
    exact = strict_json(client.get(f"{query}&since={since}").data)
    assert (exact["since"], exact["start"]) == (iso(since), iso(since))
    assert exact["bars"] == 90
    assert exact["backtest"]["since"] == iso(since)
    assert exact["backtest"]["inherited"] is None
    for answer, rows in ((short, 60), (exact, 90)):
        for name in ("hedge_ratio", "spread", "zscore"):
            assert answer["series"][name][-rows:] == long["series"][name][-rows:]
        for name in ("hedge_ratio", "intercept", "zscores", "hedge_effectiveness"):
            there = {key: value for key, value in answer[name].items() if key in HEDGES}
            assert there == {key: long[name][key] for key in there}
    assert short["signal"] == long["signal"]
    told = strict_json(
        client.get(query.replace("pair?", f"pair/explain?time={since}&bars=90&")).data
    )
    assert told["zscore"] == long["series"]["zscore"][-90]


def test_rows_since_a_bar_that_is_still_to_come_are_none_and_too_many_are_refused(
    client: FlaskClient,
) -> None:
    answer = strict_json(client.get(f"{QUERY}&since={LAST_OPEN_MS + MINUTE}").data)
    assert (answer["bars"], answer["signal"]) == (0, "no_data")
    assert "of `since` or later" in answer["warnings"][0]
    for since in (LAST_OPEN_MS - 1, 0):
        refused = client.get(f"{QUERY}&since={since}")
        assert refused.status_code == 400
        (error,) = strict_json(refused.data)["errors"]
        assert error["field"] == "since"


def test_every_null_has_a_reason(client: FlaskClient) -> None:
    # Too little history for anything: 12 hours of warm-up were asked for.
    answer = strict_json(client.get("/analytics/pair?window=1800&bars=10&hedge=kalman").data)
    explained = {line.partition(":")[0] for line in answer["warnings"]}
    assert answer["zscore"] is None
    assert answer["signal"] == "no_data"
    nulls = {name for name, value in answer.items() if value is None} - {
        *("stop_z", "max_hold_bars", "lags", "since", "signal_note")
    }
    nulls |= {
        f"{group}.{name}"
        for group in ("hedge_ratio", "intercept", "zscores", "backtest")
        for name, value in answer[group].items()
        if value is None and name != "inherited"
    }
    assert "cointegration" in nulls
    assert nulls <= explained
    assert all(": " in line for line in answer["warnings"])
    rows = answer["bars"]
    assert any(line.startswith(f"series.zscore: {rows} of {rows}") for line in answer["warnings"])


@pytest.mark.parametrize("symbol", ["SOLUSDT", "DOGEUSDT"])
def test_pair_without_common_bars_is_an_answer_with_nulls(client: FlaskClient, symbol: str) -> None:
    response = client.get(f"/analytics/pair?symbol_b={symbol}")
    assert response.status_code == 200
    answer = strict_json(response.data)
    assert set(answer) == KEYS
    assert answer["zscore"] is None
    assert answer["as_of"] is None
    assert answer["signal"] == "no_data"
    assert answer["stale"] is True
    assert answer["series"]["time"] == []
    assert set(answer["backtest"]) == BACKTEST
    assert len(answer["warnings"]) == 1
    assert symbol in answer["warnings"][0]
    for name in ("trades", "equity"):
        text = client.get(f"/analytics/pair/{name}.csv?symbol_b={symbol}").text
        assert len(text.splitlines()) == 1


def test_symbols_are_taken_in_lower_case(client: FlaskClient, body: dict[str, Any]) -> None:
    answer = strict_json(client.get(f"{QUERY}&symbol_a=btcusdt&symbol_b=EthUsdt").data)
    assert answer == body


def test_symbol_that_is_not_ingested_is_named(client: FlaskClient) -> None:
    response = client.get("/analytics/pair?symbol_b=NOPEUSDT")
    assert response.status_code == 404
    assert response.content_type == "application/problem+json"
    problem = strict_json(response.data)
    assert [error["field"] for error in problem["errors"]] == ["symbol_b"]
    assert "NOPEUSDT" in problem["detail"]


def test_provisional_z_takes_the_forming_bar_as_the_next(body: dict[str, Any]) -> None:
    # BTC trades 0.2 % above its last close, ETH at it: the spread is 0.002 up, about 1.4 sigma.
    assert body["zscore_provisional"] is not None
    assert body["zscore_provisional"] > body["zscore"] + 0.5


def test_csv_files_hold_what_the_json_shows(client: FlaskClient, body: dict[str, Any]) -> None:
    response = client.get(QUERY.replace("pair?", "pair/trades.csv?"))
    assert response.mimetype == "text/csv"
    assert (
        response.headers["Content-Disposition"]
        == "attachment; filename=BTCUSDT-ETHUSDT-1m-trades.csv"
    )
    rows = list(csv.DictReader(io.StringIO(response.text)))
    prices = ["entry_price_a", "entry_price_b", "exit_price_a", "exit_price_b"]
    pair = ["symbol_a", "symbol_b", "timeframe", "currency"]
    assert list(rows[0]) == [*TRADE, *prices, *pair]
    trades = body["backtest"]["trades"]
    assert [float(row["pnl"]) for row in rows] == [trade["pnl"] for trade in trades]
    # A spreadsheet takes 2026-11-23 02:30:00 for a time, and the same with T and Z for text.
    told = [(trade["exit_time"] or "").replace("T", " ").rstrip("Z") for trade in trades]
    assert [row["exit_time"] for row in rows] == told
    assert any(float(row["quantity_b"]) < 0 for row in rows)
    assert [rows[0][name] for name in pair] == ["BTCUSDT", "ETHUSDT", "1m", "USDT"]
    closed = [row for row in rows if row["exit_time"]]
    assert len(closed) > 5
    for row in closed:
        # By hand from what stands in the row: what was earned on each leg, less four fills.
        legs = [
            [float(row[f"{part}_{leg}"]) for part in ("quantity", "entry_price", "exit_price")]
            for leg in ("a", "b")
        ]
        gross = sum(quantity * (left - entered) for quantity, entered, left in legs)
        assert float(row["pnl"]) == pytest.approx(gross - float(row["costs"]), abs=1e-8)
        rate = (body["fee_bps"] + body["slippage_bps"]) / 1e4
        traded = sum(abs(quantity) * (entered + left) for quantity, entered, left in legs)
        assert float(row["costs"]) == pytest.approx(rate * traded, rel=1e-9)
    if not rows[-1]["exit_time"]:
        assert rows[-1]["exit_price_a"] == rows[-1]["exit_price_b"] == ""

    response = client.get(QUERY.replace("pair?", "pair/equity.csv?"))
    assert response.headers["Content-Disposition"].endswith(
        "filename=BTCUSDT-ETHUSDT-1m-equity.csv"
    )
    rows = list(csv.DictReader(io.StringIO(response.text)))
    numbers = ["close_a", "close_b", "hedge_ratio", "zscore", "position"]
    assert list(rows[0]) == ["time", "value", "drawdown", *numbers, *pair]
    assert [float(row["value"]) for row in rows] == body["backtest"]["equity"]["value"]
    assert rows[-1]["time"] == "2026-11-23 02:30:00"
    newest = {name: column[-1] for name, column in body["series"].items() if name in numbers}
    assert {name: float(rows[-1][name]) for name in numbers} == newest


def cells(client: FlaskClient, address: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(client.get(address).text)))


def as_cell(value: Any) -> str:
    """A value of the JSON as a spreadsheet is to read it."""
    if isinstance(value, str):
        return re.sub(r"(?<=\d)T(?=\d)", " ", value).rstrip("Z")
    return "" if value is None else str(value)


@pytest.mark.parametrize("more", ["", "&hedge=kalman&stop_z=3&max_hold_bars=20"])
def test_every_cell_of_the_csv_files_is_the_json_s(client: FlaskClient, more: str) -> None:
    query = f"{QUERY}{more}&points=20000"
    body = strict_json(client.get(query).data)
    tested, series = body["backtest"], body["series"]
    told = [{name: as_cell(trip[name]) for name in TRADE} for trip in tested["trades"]]
    trades = cells(client, query.replace("pair?", "pair/trades.csv?"))
    assert [{name: row[name] for name in TRADE} for row in trades] == told
    assert len(told) > 5

    equity = cells(client, query.replace("pair?", "pair/equity.csv?"))
    moments = tested["equity"]["time"]
    assert [row["time"] for row in equity] == [as_cell(iso(moment)) for moment in moments]
    for name in ("value", "drawdown"):
        assert [row[name] for row in equity] == [as_cell(x) for x in tested["equity"][name]]
    assert moments == series["time"]
    for name in SERIES - {"time", "spread"}:
        assert [row[name] for row in equity] == [as_cell(x) for x in series[name]], name
    assert any(row["zscore"] for row in equity)

    # Prices of fills are the bars' own, at the moment that stands in the row.
    address = "/api/bars?timeframe=1m&limit=5000&symbol="
    bars = {leg: strict_json(client.get(address + body[f"symbol_{leg}"]).data) for leg in "ab"}
    for leg, answer in bars.items():
        place = {name: answer["columns"].index(name) for name in ("open_time_ms", "open")}
        opens = {as_cell(iso(row[place["open_time_ms"]])): row[place["open"]]
                 for row in answer["rows"]}  # fmt: skip
        for row in trades:
            assert float(row[f"entry_price_{leg}"]) == opens[row["entry_time"]]
            if row["exit_time"] and row["exit_reason"] != "break":
                assert float(row[f"exit_price_{leg}"]) == opens[row["exit_time"]]
