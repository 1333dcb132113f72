"""Scans and radar by API: the stored table filtered and in order, honest above it."""

import csv
import io
import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dash import Dash
from flask.testing import FlaskClient

from app import create_app
from app.api.scan import scan_row
from app.services import Desk
from core.job_spec import read_job_spec
from core.pair_spec import read_pair_spec
from core.regression import rolling_hedge
from core.scan_query import ScanQuery
from core.settings import Settings
from core.spread import break_even_z
from ingest.analysis.scanning import scan_market
from ingest.analysis.work import Work
from ingest.store import jobs
from ingest.store.reader import Reader
from tests.support.hours import END_MS, HOUR, Hours

BARS = 1_440
ROWS = 1_600
QUERY = f"timeframe=1h&bars={BARS}&min_quote_volume=0"


class Scanned:
    """A market that was scanned, and a desk over it."""

    def __init__(self, url: str, symbols: int = 8, rows: int = ROWS) -> None:
        self.hours = Hours(url)
        self.hours.fill(symbols, rows)
        self.hours.tell_history(5, 5)
        self.scan()
        self.reader = Reader(url)
        self.now_s = END_MS / 1_000 + 90
        self.app: Dash = create_app(Settings(), self.reader, lambda: self.now_s)
        self.client: FlaskClient = self.app.server.test_client()
        self.requests = itertools.count()

    @property
    def desk(self) -> Desk:
        desk: Desk = self.app.server.extensions["pairdesk"]
        return desk

    def scan(self, bars: int = BARS) -> None:
        spec = read_job_spec({"kind": "scan", "timeframe": "1h", "bars": bars}, Settings())
        with self.hours.writer.transaction() as tx:
            jobs.ask(tx, spec, "me", END_MS)
            claimed = jobs.claim(tx, "scan", END_MS)
        assert claimed is not None
        scan_market(Work(Settings(), self.hours.reader, self.hours.writer, *claimed, spec))

    def get(self, path: str) -> Any:
        # Each from an address of its own: a quick machine asks more in a second than a client may.
        number = next(self.requests)
        self.client.environ_base["REMOTE_ADDR"] = f"10.3.{number // 250}.{number % 250}"
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.json
        return answer.json

    def logs(self, symbol: str) -> np.ndarray:
        return np.log(self.hours.reader.bars(symbol, HOUR).close)


@pytest.fixture(scope="module")
def scanned(empty_database: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scanned]:
    path = tmp_path_factory.mktemp("scanned") / "market.db"
    path.write_bytes(empty_database)
    made = Scanned(f"sqlite:///{path}")
    yield made
    made.reader.close()
    made.hours.shut()


@pytest.fixture
def untested(tmp_path: Path) -> Iterator[Scanned]:
    """A market of which there were too few rows yet to test a pair."""
    made = Scanned(f"sqlite:///{tmp_path}/market.db", symbols=3, rows=12)
    made.hours.tell_history(1, 9)
    made.scan()
    yield made
    made.reader.close()
    made.hours.shut()


def test_of_many_refused_pairs_the_first_are_listed_with_why(
    untested: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.scan.MOST_REFUSED", 2)
    body = untested.get(f"/analytics/scan?{QUERY}")
    assert (body["pairs_tested"], body["pairs_refused"], body["rows"]) == (0, 3, [])
    assert [one["reason"] for one in body["refused"]] == ["too few rows"] * 2
    assert "refused: only the first 2 are listed" in body["warnings"]


def test_a_row_says_of_its_pair_what_the_pair_s_own_page_says(scanned: Scanned) -> None:
    body = scanned.get(f"/analytics/scan?{QUERY}&limit=3")
    assert body["rows"]
    for row in body["rows"]:
        own = scanned.get(
            f"/analytics/pair?symbol_a={row['symbol_a']}&symbol_b={row['symbol_b']}"
            f"&timeframe=1h&since={body['start']}&points=0"
        )
        test = own["cointegration"]
        assert (test["direction"], test["lags"]) == (row["direction"], row["lags"])
        for theirs, ours in (
            (test["statistic"], row["statistic"]), (test["pvalue"], row["pvalue"]),
            (own["zscore"], row["zscore"]), (own["break_even_z"], row["break_even_z"]),
            (own["hedge_ratio"]["ols"], row["hedge_ratio_now"]),
            (own["half_life_bars"], row["half_life_bars"]), (own["hurst"], row["hurst"]),
        ):  # fmt: skip
            assert (ours is None) == (theirs is None)
            assert ours is None or ours == pytest.approx(theirs, rel=1e-7)


def test_the_head_says_what_was_found_and_what_chance_finds(scanned: Scanned) -> None:
    body = scanned.get(f"/analytics/scan?{QUERY}")
    assert (body["as_of"], body["age_s"]) == ("2026-11-23T02:00:00Z", 90.0)
    assert (body["pairs_total"], body["pairs_tested"] + body["pairs_refused"]) == (28, 28)
    assert body["found_q05"] >= 1
    low, high = body["null_range_p05"]
    assert 0 <= low <= high <= 28
    assert body["detectable_half_life_bars"] == 14.4
    assert body["warnings"] == []
    assert len(body["symbols"]) == 8
    found = sum(row["pvalue"] < 0.05 for row in body["rows"])
    assert (found, len(body["rows"]), body["next"]) == (body["found_p05"], 28, None)
    assert {row["symbol_a"] for row in body["rows"][:1]} <= {"ACOINUSDT", "BCOINUSDT"}


def test_rows_come_in_order_and_in_pages(scanned: Scanned) -> None:
    whole = scanned.get(f"/analytics/scan?{QUERY}&sort=pvalue")["rows"]
    assert [row["pvalue"] for row in whole] == sorted(row["pvalue"] for row in whole)
    pages, offset = [], 0
    while offset is not None:
        page = scanned.get(f"/analytics/scan?{QUERY}&sort=pvalue&limit=10&offset={offset}")
        pages += page["rows"]
        offset = page["next"]
    assert pages == whole
    far = [
        abs(row["zscore"]) for row in scanned.get(f"/analytics/scan?{QUERY}&sort=zscore")["rows"]
    ]
    assert far == sorted(far, reverse=True)
    told = scanned.get(f"/analytics/scan?{QUERY}&sort=half_life_bars")["rows"]
    known = [row["half_life_bars"] is None for row in told]
    assert known == sorted(known), "pairs without a half-life come last"


def test_filters_leave_what_they_say(scanned: Scanned) -> None:
    every = scanned.get(f"/analytics/scan?{QUERY}")["rows"]
    for query, holds in (
        ("max_q=0.2", lambda row: row["qvalue"] <= 0.2),
        ("max_median=0.3", lambda row: row["p_quarters_median"] <= 0.3),
        ("max_half_life=20", lambda row: (row["half_life_bars"] or math.inf) <= 20),
        ("flags=none", lambda row: not row["flags"]),
        ("flags=negative", lambda row: "negative" in row["flags"]),
        ("find=bcoin", lambda row: "BCOIN" in row["symbol_a"] + row["symbol_b"]),
        (
            "find=hcoin/acoin",
            lambda row: {row["symbol_a"], row["symbol_b"]} == {"ACOINUSDT", "HCOINUSDT"},
        ),
    ):
        found = scanned.get(f"/analytics/scan?{QUERY}&{query}")
        assert found["rows"] == [row for row in every if holds(row)], query
        assert found["pairs_shown"] == len(found["rows"])
        assert found["pairs_tested"] == 28, "the head is of the whole scan"
    assert scanned.get("/analytics/scan?timeframe=1h&min_quote_volume=24000001")["rows"] == []
    assert len(scanned.get("/analytics/scan?timeframe=1h")["rows"]) == 28
    assert all((row["hedge_ratio"] <= 0) == ("negative" in row["flags"]) for row in every)


def test_correlation_and_profit_are_no_orders(scanned: Scanned) -> None:
    for sort in ("correlation", "pnl"):
        refused = scanned.client.get(f"/analytics/scan?{QUERY}&sort={sort}")
        assert refused.status_code == 400
        assert [error["field"] for error in refused.json["errors"]] == ["sort"]


def test_a_scan_stored_before_a_column_was_added_lacks_only_that(scanned: Scanned) -> None:
    table = scanned.desk.scans.table("1h", BARS)
    assert table is not None
    older = {name: cells for name, cells in table.columns.items() if name != "zero_crossings"}
    before = replace(table, columns=older)
    assert scan_row(before, 0) == scan_row(table, 0) | {"zero_crossings": None}
    asked = ScanQuery("1h", BARS, min_quote_volume=0, sort="zero_crossings")
    assert set(before.chosen(asked)) == set(table.chosen(asked)) != set()


def test_the_table_as_csv_is_the_whole_of_it(scanned: Scanned) -> None:
    answer = scanned.client.get(f"/analytics/scan/pairs.csv?{QUERY}&sort=qvalue")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    body = scanned.get(f"/analytics/scan?{QUERY}&sort=qvalue")["rows"]
    assert [(row["symbol_a"], row["symbol_b"]) for row in rows] == [
        (row["symbol_a"], row["symbol_b"]) for row in body
    ]
    assert float(rows[0]["pvalue"]) == body[0]["pvalue"]
    assert [float(part) for part in rows[0]["p_quarters"].split()] == body[0]["p_quarters"]


def test_the_past_of_a_pair_reads_the_same_from_either_side(scanned: Scanned) -> None:
    row = scanned.get(f"/analytics/scan?{QUERY}")["rows"][0]
    a, b = row["symbol_a"], row["symbol_b"]
    for first, second, direction in ((a, b, "a_on_b"), (b, a, "b_on_a")):
        query = f"symbol_a={first}&symbol_b={second}&timeframe=1h"
        (past,) = scanned.get(f"/analytics/scan/history?{query}")["scans"]
        assert (past["direction"], past["as_of"]) == (direction, "2026-11-23T02:00:00Z")
        assert past["pvalue"] == pytest.approx(row["pvalue"], rel=1e-6)
        assert past["p_quarters_median"] == pytest.approx(row["p_quarters_median"], rel=1e-6)
    assert scanned.client.get("/analytics/scan/history?symbol_a=A").status_code == 400


def test_the_past_of_what_is_no_pair_is_refused_and_not_another_pair_s(scanned: Scanned) -> None:
    for symbol in scanned.get(f"/analytics/scan?{QUERY}")["symbols"]:
        answer = scanned.client.get(
            f"/analytics/scan/history?symbol_a={symbol}&symbol_b={symbol}&timeframe=1h"
        )
        assert answer.status_code == 400
        assert answer.json["errors"][0]["message"] == "must differ from symbol_a"
    answer = scanned.client.get("/analytics/scan/history?symbol_a=ACOINUSDT&symbol_b=NOUSDT")
    assert answer.status_code == 404
    assert [error["field"] for error in answer.json["errors"]] == ["symbol_b"]
    known = "symbol_a=ACOINUSDT&symbol_b=BCOINUSDT&timeframe=5m"
    assert scanned.get(f"/analytics/scan/history?{known}")["scans"] == []


def test_without_a_scan_the_answer_says_so(scanned: Scanned) -> None:
    body = scanned.get("/analytics/scan?timeframe=15m")
    assert (body["as_of"], body["rows"], body["pairs_tested"]) == (None, [], 0)
    assert "no scan of 1,440 bars of 15m yet" in body["warnings"][0]
    radar = scanned.get("/analytics/radar?timeframe=15m")
    assert (radar["as_of"], radar["rows"]) == (None, [])


def test_radar_tells_who_is_far_out_and_since_when(scanned: Scanned) -> None:
    spec = read_pair_spec({"timeframe": "1h"}, Settings())
    body = scanned.get("/analytics/radar?timeframe=1h&limit=500")
    table = scanned.get(f"/analytics/scan?{QUERY}")["rows"]
    expected = {}
    for row in table:
        y, x = scanned.logs(row["symbol_a"]), scanned.logs(row["symbol_b"])
        fit = rolling_hedge(y, x, first_index=0, hedge_window=600, window=120)
        b, std, z = fit.hedge_ratio[-1], fit.spread_std[-1], fit.zscore
        even = break_even_z(spec.exit_z, b, std, spec.fee_bps, spec.slippage_bps)
        if abs(z[-1]) >= even and b > 0:
            since = 0
            while since < 200 and abs(z[-1 - since]) >= even and z[-1 - since] * z[-1] > 0:
                since += 1
            expected[row["symbol_a"], row["symbol_b"]] = (z[-1], b, even, since, row["qvalue"])
    found = {
        (row["symbol_a"], row["symbol_b"]): (
            row["zscore"], row["hedge_ratio"], row["break_even_z"], row["since_bars"],
            row["qvalue"],
        )
        for row in body["rows"]
    }  # fmt: skip
    assert found.keys() == expected.keys()
    assert len(found) >= 3
    for pair, values in expected.items():
        np.testing.assert_allclose(found[pair], values, rtol=1e-7)
    sizes = [abs(row["zscore"]) for row in body["rows"]]
    assert sizes == sorted(sizes, reverse=True)
    assert (body["pairs"], body["far_out"]) == (28, len(found))
    beyond = scanned.get("/analytics/radar?timeframe=1h&min_z=2")["rows"]
    assert all(abs(row["zscore"]) >= 2 for row in beyond)
    few = scanned.get("/analytics/radar?timeframe=1h&min_z=0.1&max_q=0.05")["rows"]
    assert all(row["qvalue"] <= 0.05 for row in few)


def test_the_radar_tells_only_of_pairs_that_pass_what_the_scan_says(scanned: Scanned) -> None:
    every = scanned.get("/analytics/radar?timeframe=1h&min_z=0.1&limit=500")["rows"]
    for name, most, column in (("max_median", 0.4, "p_quarters_median"), ("max_q", 0.5, "qvalue"),
                               ("max_half_life", 40, "half_life_bars")):  # fmt: skip
        bound = f"min_z=0.1&limit=500&{name}={most}"
        told = scanned.get(f"/analytics/radar?timeframe=1h&{bound}")["rows"]
        assert told == [row for row in every if row[column] is not None and row[column] <= most]
        assert 0 < len(told) < len(every)
    volume = scanned.get("/analytics/radar?timeframe=1h&min_z=0.1&min_quote_volume=1e12")
    assert (volume["rows"], volume["far_out"]) == ([], 0)


def test_the_radar_follows_each_bar_and_the_table_each_scan(database_url: str) -> None:
    own = Scanned(database_url)
    before, table = own.desk.radar.seen("1h"), own.desk.scans.table("1h", BARS)
    assert before is not None
    assert table is not None
    assert own.desk.radar.seen("1h") is before
    own.hours.close()
    own.now_s += 3_600
    seen = own.desk.radar.seen("1h")
    assert seen is not None
    assert seen.as_of_ms == before.as_of_ms + HOUR
    assert own.desk.scans.table("1h", BARS) is table
    own.scan()
    own.now_s += 1
    newer = own.desk.scans.table("1h", BARS)
    assert newer is not None
    assert newer.scan.as_of_ms == table.scan.as_of_ms + HOUR
    own.reader.close()
    own.hours.shut()
