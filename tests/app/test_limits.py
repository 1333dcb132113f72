"""One client can't take the desk from the others, nor a script from the page."""

import itertools
import json
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from dash import Dash
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.api import limits
from app.api.limits import Tallies, limit_analyses
from app.api.problems import register_problems
from tests.support.waiting import HANG_S

CALLBACK = "/_dash-update-component"


@pytest.fixture
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a test asks is asked within one second."""
    now = time.time() // 60 * 60 + 1
    clock = SimpleNamespace(time=lambda: now, thread_time=time.thread_time)
    monkeypatch.setattr(limits, "time", clock)


def is_limited(response: TestResponse) -> bool:
    if response.status_code != 429:
        return False
    assert response.content_type == "application/problem+json"
    assert json.loads(response.data)["status"] == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    return True


@pytest.mark.usefixtures("still_clock")
@pytest.mark.parametrize(
    ("method", "path", "count", "untouched"),
    [
        ("get", "/api/nope", 50, ("/metrics", "/readyz", "/healthz", "/", "/_dash-layout")),
        ("get", "/metrics", 50, ("/api/symbols", "/healthz", "/")),
        ("get", "/readyz", 50, ("/api/symbols", "/healthz", "/")),
        ("post", CALLBACK, 1_000, ("/api/symbols", "/metrics", "/healthz", "/")),
    ],
)
def test_each_kind_of_request_has_a_limit_of_its_own(
    client: FlaskClient, method: str, path: str, count: int, untouched: tuple[str, ...]
) -> None:
    limited = [is_limited(client.open(path, method=method)) for _ in range(count + 1)]
    assert limited == [False] * count + [True]
    assert [client.get(other).status_code for other in untouched] == [200] * len(untouched)


@pytest.mark.usefixtures("still_clock")
def test_work_is_counted_by_what_it_takes(
    client: FlaskClient,
    desk: Dash,
    open_client: Callable[[Dash], FlaskClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readings = itertools.count(step=0.6)
    with monkeypatch.context() as patch:
        patch.setattr(limits.time, "thread_time", lambda: next(readings))
        answers = [is_limited(client.get("/api/symbols")) for _ in range(26)]
    # Each took 0.6 s of the 15 that a minute has; their number alone would be no matter.
    assert answers == [False] * 25 + [True]
    assert "more work" in client.get("/api/symbols").get_json()["detail"]
    # What costs nothing is refused as well, the page and others are not.
    assert client.get("/api/nope").status_code == 429
    assert client.post(CALLBACK).status_code == 400
    assert client.get("/metrics").status_code == 200
    assert open_client(desk).get("/api/symbols").status_code == 200


@pytest.mark.usefixtures("still_clock")
def test_kept_answer_costs_little(client: FlaskClient) -> None:
    path = "/analytics/pair?window=30&hedge_window=100&bars=100&points=10"
    assert {client.get(path).status_code for _ in range(50)} == {200}


@pytest.mark.usefixtures("still_clock")
def test_one_client_has_a_whole_net_of_addresses(desk: Dash) -> None:
    client = desk.server.test_client()

    def ask(address: str) -> int:
        return client.get("/api/nope", environ_base={"REMOTE_ADDR": address}).status_code

    statuses = [ask(f"2001:db8:1:2::{number:x}") for number in range(51)]
    assert statuses == [404] * 50 + [429]
    assert ask("2001:db8:1:3::1") == 404
    mapped = [ask("::ffff:10.77.0.1") for _ in range(25)] + [ask("10.77.0.1") for _ in range(26)]
    assert mapped == [404] * 50 + [429]


def test_what_was_too_much_is_forgotten_when_it_was_said_to_be() -> None:
    tallies, now_s = Tallies(), 6_000.0
    for _ in range(51):
        tally = tallies.tally("api", "one", now_s)
    assert tally.exceeded == ("50 per second", 1)
    assert tallies.tally("api", "one", now_s + 1).exceeded is None
    for second in range(2, 26):
        for _ in range(48):
            tally = tallies.tally("api", "one", now_s + second)
    assert tally.exceeded == ("1200 per minute", 35)
    tally = tallies.tally("page", "one", now_s + 30)
    assert tally.exceeded is None
    tallies.charge(tally, 30_000.0)
    words, wait_s = tallies.tally("page", "one", now_s + 31).exceeded or ("", 0)
    assert ("work" in words, wait_s) == (True, 29)
    assert tallies.tally("page", "one", now_s + 31 + wait_s).exceeded is None
    assert tallies.tally("api", "one", now_s + 60).exceeded is None


@pytest.mark.parametrize(
    "path", ["/api/symbols", "/api/nope", "/analytics/pair?window=1", "/api/bars?symbol=NOPE"]
)
def test_who_may_come_again_at_once_is_not_told_to_wait(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert "Retry-After" not in response.headers
    assert response.headers["X-RateLimit-Limit"] == "50"


def test_being_not_ready_names_no_time(
    own_desk: tuple[Dash, dict[str, float]], open_client: Callable[[Dash], FlaskClient]
) -> None:
    own_desk[1]["now"] += 60
    response = open_client(own_desk[0]).get("/readyz")
    assert response.status_code == 503
    assert "Retry-After" not in response.headers


class Computing:
    """A server with one thing to compute, which takes as long as the test lets it."""

    def __init__(self, most: int) -> None:
        self.begun = threading.Semaphore(0)
        self.end = threading.Event()
        server = Flask("computing")
        limit_analyses(server, most)
        register_problems(server)

        @server.get("/analytics/pair")
        def pair() -> str:
            self.begun.release()
            assert self.end.wait(HANG_S)
            return "computed"

        @server.get("/api/status")
        def status() -> str:
            return "well"

        self.client = server.test_client
        self.statuses: list[int] = []
        self.threads: list[threading.Thread] = []

    def ask(self) -> None:
        def run() -> None:
            self.statuses.append(self.client().get("/analytics/pair").status_code)

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def finish(self) -> list[int]:
        self.end.set()
        for thread in self.threads:
            thread.join(HANG_S)
        return self.statuses


def test_analyses_beyond_the_cap_are_told_when_to_come_again() -> None:
    computing = Computing(2)
    for _ in range(2):
        computing.ask()
        assert computing.begun.acquire(timeout=HANG_S)
    response = computing.client().get("/analytics/pair")
    assert response.status_code == 503
    assert response.content_type == "application/problem+json"
    assert response.headers["Retry-After"] == "1"
    assert computing.client().get("/api/status").status_code == 200
    assert computing.finish() == [200, 200]
    # Whoever has gone left the place, as did who was sent away or failed.
    assert computing.client().get("/analytics/pair").status_code == 200


def test_failed_analysis_leaves_its_place(
    desk: Dash,
    open_client: Callable[[Dash], FlaskClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(desk.server.extensions["pairdesk"].pairs, "view", fail)
        client = open_client(desk)
        assert {client.get("/analytics/pair").status_code for _ in range(10)} == {500}
    assert client.get("/analytics/pair?window=1").status_code == 400
