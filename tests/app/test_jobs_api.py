"""Long work by API: asked for by those who may, looked at, cancelled, its result fetched."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dash import Dash
from flask.testing import FlaskClient

from app import create_app
from core.settings import Settings
from ingest.store import jobs
from ingest.store.desk_book import DeskBook
from ingest.store.jobs import MOST_WAITING
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.app.conftest import NOW_MS

HOME = {"Origin": "http://localhost"}
SCAN = {"kind": "scan", "timeframe": "5m", "bars": 500}


@pytest.fixture
def asking(database_url: str, own_writer: Writer) -> Iterator[FlaskClient]:
    reader, book = Reader(database_url), DeskBook(database_url)
    app = create_app(Settings(), reader, lambda: NOW_MS / 1_000, book=book)
    yield app.server.test_client()
    book.close()
    reader.close()


def ask(client: FlaskClient, **changes: Any) -> Any:
    return client.post("/api/jobs", json=SCAN | changes, headers=HOME)


def test_a_job_is_asked_for_followed_and_its_result_fetched(
    asking: FlaskClient, own_writer: Writer
) -> None:
    asked = ask(asking)
    assert asked.status_code == 202
    assert asked.json == {
        "id": 1, "kind": "scan", "spec": {"timeframe": "5m", "bars": 500}, "state": "queued",
        "progress": 0.0, "message": "waits for its turn", "elapsed_s": None, "tries": 0,
        "asked": "2026-11-23T02:31:20Z", "asked_by": "", "ended": None,
    }  # fmt: skip
    assert asking.get("/api/jobs/1/result").status_code == 404
    with own_writer.transaction() as tx:
        jobs.claim(tx, "scan", NOW_MS - 2_500)
        jobs.tell(tx, 1, 1, 0.25, "tests pairs")
    running = asking.get("/api/jobs/1").json
    assert {key: running[key] for key in ("state", "progress", "message", "elapsed_s")} == {
        "state": "running", "progress": 0.25, "message": "tests pairs", "elapsed_s": 2.5,
    }  # fmt: skip
    with own_writer.transaction() as tx:
        jobs.finish(tx, 1, 1, b'{"pairs_tested":15}', "15 pairs", NOW_MS - 500)
    assert asking.get("/api/jobs/1").json["elapsed_s"] == 2.0
    assert asking.get("/api/jobs/1/result").json == {
        "job_id": 1, "kind": "scan", "state": "done", "progress": 1.0,
        "spec": {"timeframe": "5m", "bars": 500}, "pairs_tested": 15,
    }  # fmt: skip
    assert [job["id"] for job in asking.get("/api/jobs?kind=scan&limit=1").json["jobs"]] == [1]


def test_defaults_are_filled_in_and_bad_values_named(asking: FlaskClient) -> None:
    made = asking.post("/api/jobs", json={"kind": "scan"}, headers=HOME)
    assert made.json["spec"] == {"timeframe": "1h", "bars": 1440}
    for body, field in (({}, "kind"), (SCAN | {"bars": "many"}, "bars"), ([1], "body"),
                        (SCAN | {"colour": "red"}, "colour")):  # fmt: skip
        refused = asking.post("/api/jobs", json=body, headers=HOME)
        assert refused.status_code == 400
        assert [error["field"] for error in refused.json["errors"]] == [field]


def test_a_job_of_a_leg_that_nobody_ingests_is_refused_and_names_it(asking: FlaskClient) -> None:
    for kind in ("sweep", "walk_forward", "report", "honesty"):
        body = {"kind": kind, "symbol_b": "NOPEUSDT"}
        refused = asking.post("/api/jobs", json=body, headers=HOME)
        assert refused.status_code == 404
        assert "symbol_b" in [error["field"] for error in refused.json["errors"]]
    assert asking.get("/api/jobs").json["jobs"] == []


def test_a_job_is_cancelled_and_one_that_has_ended_stays(
    asking: FlaskClient, own_writer: Writer
) -> None:
    ask(asking)
    ask(asking, bars=600)
    with own_writer.transaction() as tx:
        jobs.claim(tx, "scan", NOW_MS)
        jobs.finish(tx, 1, 1, b"{}", "", NOW_MS)
    for job_id, state in ((1, "done"), (2, "cancelled")):
        assert asking.delete(f"/api/jobs/{job_id}", headers=HOME).status_code == 204
        assert asking.get(f"/api/jobs/{job_id}").json["state"] == state
    assert asking.delete("/api/jobs/3", headers=HOME).status_code == 404
    assert asking.get("/api/jobs/3").status_code == 404


def test_who_may_not_write_asks_for_nothing(
    asking: FlaskClient, desk: Dash, open_client: Callable[[Dash], FlaskClient]
) -> None:
    assert asking.post("/api/jobs", json=SCAN).status_code == 403
    assert asking.post("/api/jobs", json=SCAN, headers={"Origin": "http://x"}).status_code == 403
    assert asking.delete("/api/jobs/1").status_code == 403
    read_only = open_client(desk).post("/api/jobs", json=SCAN, headers=HOME)
    assert read_only.status_code == 403
    assert asking.get("/api/jobs").json == {"jobs": []}


def test_too_many_that_wait_are_refused(asking: FlaskClient) -> None:
    answers = [ask(asking, bars=200 + number) for number in range(MOST_WAITING + 1)]
    assert {one.status_code for one in answers[:-1]} == {202}
    assert answers[-1].status_code == 429
    assert answers[-1].headers["Retry-After"]
    assert ask(asking, bars=200).json["id"] == 1
