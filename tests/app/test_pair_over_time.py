"""What `/analytics/pair` answers as bars close, are rewritten, stay away or have holes."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from dash import Dash
from flask.testing import FlaskClient

from app.api.values import iso
from core.types import Bar, Origin
from ingest.store import market
from ingest.store.transaction import Transaction, Writer
from tests.support.answers import strict_json

QUERY = "/analytics/pair?window=30&hedge_window=100&bars=600&entry_z=1.5"
MINUTE = 60_000
LAST_OPEN_MS = 1_795_401_000_000 // MINUTE * MINUTE


def last_bar(tx: Transaction, symbol_id: int) -> Bar:
    ((bar, _),) = market.bars_between(tx, symbol_id, MINUTE, LAST_OPEN_MS, LAST_OPEN_MS + MINUTE)
    return bar


@pytest.mark.parametrize("encoding", ["identity", "gzip", "br"])
def test_poll_for_the_same_answer_gets_304(client: FlaskClient, encoding: str) -> None:
    headers = {"Accept-Encoding": encoding}
    first = client.get(QUERY, headers=headers)
    assert first.headers.get("Content-Encoding", "identity") == encoding
    again = client.get(QUERY, headers={**headers, "If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert again.data == b""
    other = client.get(f"{QUERY}&points=1", headers={"If-None-Match": first.headers["ETag"]})
    assert other.status_code == 200


def test_pair_is_stale_when_the_next_bar_does_not_come(
    own_desk: Any, open_client: Callable[[Dash], FlaskClient]
) -> None:
    desk, clock = own_desk
    client = open_client(desk)
    closed_at = (LAST_OPEN_MS + 60_000) / 1000
    words = datetime.fromtimestamp(closed_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    for seconds, stale in ((60, False), (75, False), (75.1, True), (3_600, True)):
        clock["now"] = closed_at + seconds
        answer = strict_json(client.get(QUERY).data)
        assert answer["stale"] is stale
        told = f"stale: the last bar of both legs closed at {words} UTC"
        assert [line for line in answer["warnings"] if "stale" in line] == [told] * stale


def test_rewritten_bars_are_shown_once_the_revision_rises(
    own_desk: Any,
    own_writer: Writer,
    own_ids: dict[str, int],
    open_client: Callable[[Dash], FlaskClient],
) -> None:
    client = open_client(own_desk[0])
    before = strict_json(client.get(QUERY).data)
    with own_writer.transaction() as tx:
        key = own_ids["BTCUSDT"]
        bar = last_bar(tx, key)
        changed = bar._replace(close=bar.close * 1.01)
        market.upsert_bars(tx, key, MINUTE, [changed], Origin.TRADES)
        market.rise_revision(tx, key)
    own_desk[1]["now"] += 0.25
    after = strict_json(client.get(QUERY).data)
    assert after["as_of"] == before["as_of"]
    assert after["zscore"] > before["zscore"]


def test_pair_moves_on_when_both_legs_have_closed_a_bar(
    own_desk: Any,
    own_writer: Writer,
    own_ids: dict[str, int],
    open_client: Callable[[Dash], FlaskClient],
) -> None:
    client = open_client(own_desk[0])
    before = strict_json(client.get(QUERY).data)
    for symbol, as_of in (
        ("BTCUSDT", "2026-11-23T02:31:00Z"),
        ("ETHUSDT", "2026-11-23T02:32:00Z"),
    ):
        with own_writer.transaction() as tx:
            key = own_ids[symbol]
            following = last_bar(tx, key)._replace(open_time_ms=LAST_OPEN_MS + MINUTE)
            market.upsert_bars(tx, key, MINUTE, [following], Origin.TRADES)
        own_desk[1]["now"] += 0.25
        after = strict_json(client.get(QUERY).data)
        assert after["as_of"] == as_of
    assert after["start"] == before["start"]
    assert after["series"]["zscore"][-2] == before["zscore"]
    known = before["backtest"]["equity"]["value"]
    assert after["backtest"]["equity"]["value"][:-1] == known


def test_hole_before_the_points_that_are_sent_is_told(
    client: FlaskClient,
    own_desk: Any,
    own_writer: Writer,
    own_ids: dict[str, int],
    open_client: Callable[[Dash], FlaskClient],
) -> None:
    query = "/analytics/pair?window=20&bars=500&points=20"
    whole = strict_json(client.get(query).data)
    assert not any(line.startswith("bars: ") for line in whole["warnings"])
    start = LAST_OPEN_MS - 200 * MINUTE
    with own_writer.transaction() as tx:
        tx.run(
            "DELETE FROM bars WHERE symbol_id = ? AND open_time_ms >= ? AND open_time_ms < ?",
            own_ids["ETHUSDT"],
            start,
            start + 57 * MINUTE,
        )
        market.rise_revision(tx, own_ids["ETHUSDT"])
    answer = strict_json(open_client(own_desk[0]).get(query).data)
    (told,) = [line for line in answer["warnings"] if line.startswith("bars: ")]
    assert told == (
        f"bars: 57 of {whole['bars']} rows have no whole bar of both legs, between {iso(start)}"
        f" and {iso(start + 57 * MINUTE)}"
    )


def test_incomplete_last_bar_gives_null_with_its_reason(
    own_desk: Any,
    own_writer: Writer,
    own_ids: dict[str, int],
    open_client: Callable[[Dash], FlaskClient],
) -> None:
    with own_writer.transaction() as tx:
        key = own_ids["ETHUSDT"]
        broken = last_bar(tx, key)._replace(complete=False)
        market.upsert_bars(tx, key, MINUTE, [broken], Origin.TRADES, keep_better=False)
    answer = strict_json(open_client(own_desk[0]).get(QUERY).data)
    assert answer["zscore"] is None
    assert answer["series"]["zscore"][-1] is None
    assert answer["series"]["close_b"][-1] is None
    assert "zscore: the last bar is missing or incomplete in one leg" in answer["warnings"]
    # The bar to come is judged by the rows before it, and its z needs no bar that is missing.
    assert answer["hedge_ratio"]["ols"] is not None
    assert answer["zscore_provisional"] is not None
    # Where it has none either, the reason is its own.
    short = "/analytics/pair?window=1400&hedge_window=1400&hedge=kalman"
    warnings = strict_json(open_client(own_desk[0]).get(short).data)["warnings"]
    assert "zscore: the last bar is missing or incomplete in one leg" in warnings
    assert "zscore_provisional: too few stored bars to fill the windows" in warnings


def test_imported_bars_are_named_as_the_source(
    own_desk: Any,
    own_writer: Writer,
    own_ids: dict[str, int],
    open_client: Callable[[Dash], FlaskClient],
) -> None:
    client = open_client(own_desk[0])
    assert strict_json(client.get(QUERY).data)["source"] == "simulated"
    with own_writer.transaction() as tx:
        key = own_ids["BTCUSDT"]
        market.upsert_bars(tx, key, MINUTE, [last_bar(tx, key)], Origin.KLINE, imported=True)
        market.rise_revision(tx, key)
    own_desk[1]["now"] += 0.25
    assert strict_json(client.get(QUERY).data)["source"] == "import"
