"""What Prometheus reads: every figure of the health view, from the store and from no process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dash import Dash
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app import create_app
from core.settings import Settings
from ingest.store import gaps, market, process
from ingest.store.pulse import Pulse
from ingest.store.reader import Reader
from ingest.store.transaction import Writer

FEED = {
    "state": "live",
    "host": "127.0.0.1",
    "trades_per_s": 2_000.5,
    "lag_ms_p50": 40.0,
    "lag_ms_p99": 90.0,
    "store_lag_ms_p50": 50.0,
    "store_lag_ms_p99": 110.0,
    "total_lag_ms_p50": 95.0,
    "total_lag_ms_p99": 190.0,
    "trades_received": 123_456,
    "reconnects": 3,
    "failures": {"no answer in time": 2, 'odd "words"\n': 1},
    "last_error": None,
}
SPACE = {
    "used_bytes": 900,
    "free_bytes": 10_000,
    "growth_bytes_per_day": 1_000.0,
    "days_left": 10.0,
}


def metrics(client: FlaskClient) -> dict[tuple[str, ...], float]:
    """Samples by name and the values of their labels, these by name."""
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain; version=0.0.4")
    return {
        (
            sample.name.removeprefix("pairdesk_"),
            *(sample.labels[name] for name in sorted(sample.labels)),
        ): sample.value
        for family in text_string_to_metric_families(response.get_data(as_text=True))
        for sample in family.samples
    }


def test_every_health_figure_is_there_in_base_units(
    own_desk: tuple[Dash, dict[str, float]],
    own_writer: Writer,
    own_ids: dict[str, int],
    open_client: Callable[[Dash], FlaskClient],
) -> None:
    desk, clock = own_desk
    now_ms = int(clock["now"] * 1_000)
    eth = own_ids["ETHUSDT"]
    with own_writer.transaction() as tx:
        market.set_subscribed(tx, ["BTCUSDT", "ETHUSDT"])
        filled = gaps.open_gap(tx, eth, 21, 25, now_ms, now_ms, "reconnect", now_ms)
        gaps.close_gap(tx, filled, "filled", "fetched", now_ms)
        lost = gaps.open_gap(tx, eth, 31, 32, now_ms, now_ms, "reconnect", now_ms)
        gaps.close_gap(tx, lost, "unfillable", "gone", now_ms)
        payload: dict[str, Any] = {
            "feed": FEED | {"last_frame_ms": now_ms - 250},
            "quarantined": 2,
            "queue_depth": 17,
            "dropped": 5,
            "paused": None,
            "space": SPACE,
            "stalled_symbols": ["DOGEUSDT"],
            "unjudged_symbols": ["DOGEUSDT", "SOLUSDT"],
            "odd_rows": 7,
            "request_weight_share": 0.25,
            "clock_offset_ms": 0,
        }
        process.save_status(tx, "worker", 1, "running", now_ms, payload)
    found = metrics(open_client(desk))
    last_event_ms = own_writer_last_event(desk)
    assert (
        found
        | {
            ("worker_up",): 1,
            ("paused",): 0,
            ("database_readable",): 1,
            ("feed_state", "live"): 1,
            ("feed_state", "down"): 0,
            ("feed_age_seconds",): 0.25,
            ("messages_per_second",): 2_000.5,
            ("queue_depth",): 17,
            ("dropped_total",): 5,
            ("quarantined_total",): 2,
            ("reconnects_total",): 3,
            ("trades_received_total",): 123_456,
            ("feed_failures_total", "no answer in time"): 2,
            ("feed_failures_total", 'odd "words"\n'): 1,
            ("lag_seconds", "0.99", "received"): 0.09,
            ("lag_seconds", "0.5", "stored"): 0.05,
            ("lag_seconds", "0.99", "event_to_stored"): 0.19,
            ("database_used_bytes",): 900,
            ("disk_free_bytes",): 10_000,
            ("growth_bytes_per_day",): 1_000,
            ("days_left",): 10,
            ("stalled_symbols",): 1,
            ("unjudged_symbols",): 2,
            ("odd_rows_total",): 7,
            ("request_weight_ratio",): 0.25,
            ("clock_offset_seconds",): 0,
            ("symbol_last_id", "ETHUSDT"): 900,
            ("symbol_missing_ids", "ETHUSDT"): 6,
            ("symbol_lost_ids", "ETHUSDT"): 2,
            ("symbol_missing_ids", "BTCUSDT"): 0,
            ("symbol_gaps", "open", "ETHUSDT"): 1,
            ("symbol_gaps", "filled", "ETHUSDT"): 1,
            ("symbol_gaps", "lost", "ETHUSDT"): 1,
            ("symbol_age_seconds", "ETHUSDT"): (now_ms - last_event_ms) / 1_000,
        }
        == found
    )
    assert found["wal_bytes",] >= 0
    assert found["database_bytes",] > 0
    with own_writer.transaction() as tx:
        market.set_subscribed(tx, ["BTCUSDT"])
    clock["now"] += 1
    left = metrics(open_client(desk))
    assert ("symbol_last_id", "BTCUSDT") in left
    assert not any("ETHUSDT" in labels for labels in left)  # its gaps are nobody's alarm now


def own_writer_last_event(desk: Dash) -> int:
    rows = {row.symbol: row for row in desk.server.extensions["pairdesk"].market.symbols()}
    last_event_ms = rows["ETHUSDT"].last_event_time_ms
    assert last_event_ms is not None
    return int(last_event_ms)


def test_without_a_worker_or_a_database_prometheus_still_gets_an_answer(
    tmp_path: Path, settings: Settings, open_client: Callable[[Dash], FlaskClient]
) -> None:
    reader = Reader(f"sqlite:///{tmp_path}/none.db")
    found = metrics(open_client(create_app(settings, reader)))
    assert found["worker_up",] == 0
    assert found["database_readable",] == 0
    assert ("days_left",) not in found  # unknown is not zero
    assert ("lag_seconds", "0.5", "received") not in found


def test_a_pause_is_told_by_status_page_and_metrics_while_nothing_can_be_written(
    own_desk: tuple[Dash, dict[str, float]],
    database_url: str,
    open_client: Callable[[Dash], FlaskClient],
) -> None:
    desk, clock = own_desk
    now_ms = int(clock["now"] * 1_000)
    pulse = Pulse(Path(database_url.removeprefix("sqlite:///")))
    pulse.prepare()
    paused = {"reason": "There is no space left", "since_ms": now_ms - 5_000}
    pulse.beat(7, "paused", now_ms, {"feed": FEED, "paused": paused})
    client = open_client(desk)
    status = client.get("/api/status").get_json()
    assert status["worker"] == {"state": "paused", "pid": 7, "heartbeat_age_ms": 0}
    assert status["paused"] == paused
    found = metrics(client)
    assert (found["paused",], found["worker_up",]) == (1, 1)
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "nothing is stored: There is no space left" in ready.get_json()["reasons"]
