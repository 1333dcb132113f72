"""What `/api/status` shows of a process is what it said, and all of it is documented."""

import pytest
from flask.testing import FlaskClient

from app.api.health import status_json
from app.services import Desk
from app.services.status import DatabaseStatus, DeskStatus, ProcessState
from core.report import BackfillReport, FeedReport, Pause, ReconciliationReport, WorkerReport

NOW_MS = 1_795_401_000_000
STATUS = DeskStatus(
    now_ms=NOW_MS,
    source="binance",
    database=DatabaseStatus("sqlite", 1_000, 20),
    worker=ProcessState("running", 4242, 400),
    report=WorkerReport(
        feed=FeedReport("live", last_frame_ms=NOW_MS - 250),
        paused=Pause("There is no space left", NOW_MS),
        backfill=BackfillReport(31, 80, "1m history"),
        reconciliation=ReconciliationReport(9, 1, 2, ("BTCUSDT at 12:00",)),
    ),
)


@pytest.mark.parametrize(
    ("shape", "part"),
    [
        ("Status", None),
        ("Worker", "worker"),
        ("Feed", "feed"),
        ("Database", "database"),
        ("Paused", "paused"),
        ("Backfill", "backfill"),
        ("Reconciliation", "reconciliation"),
    ],
)
def test_every_key_of_the_status_is_documented(
    client: FlaskClient, shape: str, part: str | None
) -> None:
    schemas = client.get("/openapi.json").get_json()["components"]["schemas"]
    body = status_json(STATUS)
    assert set(schemas[shape]["properties"]) == set(body if part is None else body[part])


def test_symbols_of_the_status_are_documented(client: FlaskClient, services: Desk) -> None:
    schemas = client.get("/openapi.json").get_json()["components"]["schemas"]
    (row, *_) = status_json(services.status.view())["symbols"]
    assert set(schemas["SymbolFeed"]["properties"]) == set(row)


def test_ages_are_as_of_now_and_a_frame_from_the_future_is_of_now() -> None:
    assert status_json(STATUS)["feed"]["age_ms"] == 250
    ahead = DeskStatus(NOW_MS - 1_000, "binance", STATUS.database, report=STATUS.report)
    assert status_json(ahead)["feed"]["age_ms"] == 0
    assert status_json(DeskStatus(NOW_MS, None, STATUS.database))["feed"]["age_ms"] is None
