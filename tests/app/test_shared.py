"""Several web processes with one Redis: they count a client's requests together, and an answer
that one has made the others need not make. Without it each goes on alone."""

import itertools
import multiprocessing
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from dash import Dash
from flask.testing import FlaskClient

from app import create_app
from app.api import limits
from app.api import pair as routes
from app.services import shared
from app.services.accounts import TRIES, Accounts, TooManyTries, hash_password
from app.services.looks import SharedLook
from app.services.shared import SharedAnswers, SharedStore
from app.views.health.things import Thing, things
from core.settings import Settings
from ingest.store import process
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.app.conftest import NOW_MS
from tests.support.redis_server import RedisServer

PATH = "/analytics/pair?window=30&hedge_window=100&bars=200&entry_z=1.9&points=5"
FORK = multiprocessing.get_context("fork")
OpenDesk = Callable[[str], Dash]


def with_redis(url: str) -> Settings:
    return Settings.from_mapping({"REDIS_URL": url})


@pytest.fixture
def open_desk(database_url: str, own_writer: Writer) -> Iterator[OpenDesk]:
    """A web process's whole desk, over the test's own market and a Redis."""
    with own_writer.transaction() as tx:
        process.name_database(tx)
    reader = Reader(database_url)

    def open_one(redis_url: str) -> Dash:
        return create_app(with_redis(redis_url), reader, clock=lambda: NOW_MS / 1_000)

    yield open_one
    reader.close()


@pytest.fixture
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a test asks is asked within one second, and costs half of one in work."""
    spent = itertools.count(step=0.5)
    clock = SimpleNamespace(time=lambda: 6_001.0, thread_time=lambda: next(spent))
    monkeypatch.setattr(limits, "time", clock)


def counted_bodies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    made: list[int] = []

    def pair_json(view: Any, points: int) -> dict[str, Any]:
        made.append(points)
        return original(view, points)

    original = routes.pair_json
    monkeypatch.setattr(routes, "pair_json", pair_json)
    return made


def statuses_elsewhere(desk: Dash, count: int) -> list[int]:
    """What a process forked from this one, as gunicorn forks its workers, answers."""
    ours, theirs = FORK.Pipe()

    def ask() -> None:
        client = desk.server.test_client()
        theirs.send([client.get("/api/nope").status_code for _ in range(count)])

    child = FORK.Process(target=ask)
    child.start()
    answers: list[int] = ours.recv()
    child.join()
    return answers


@pytest.mark.usefixtures("still_clock")
def test_a_client_has_one_allowance_of_all_processes(
    open_desk: OpenDesk, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits.time, "thread_time", lambda: 0.0)
    desk = open_desk(redis_server.url)
    assert statuses_elsewhere(desk, 20) == [404] * 20
    assert statuses_elsewhere(desk, 29) == [404] * 29
    here = desk.server.test_client()
    assert [here.get("/api/nope").status_code for _ in range(2)] == [404, 429]
    assert statuses_elsewhere(desk, 1) == [429]
    # The probes have an allowance of their own, and another client its own.
    assert here.get("/metrics").status_code == 200
    other = here.get("/api/nope", environ_base={"REMOTE_ADDR": "10.9.9.9"})
    assert other.status_code == 404


@pytest.mark.usefixtures("still_clock")
def test_work_that_one_process_does_for_a_client_counts_in_the_others(
    open_desk: OpenDesk, redis_server: RedisServer
) -> None:
    first, second = (open_desk(redis_server.socket_url).server.test_client() for _ in "ab")
    # Half a second each of the 15 that a minute has, told to the others with the next request.
    assert {first.get("/api/nope").status_code for _ in range(28)} == {404}
    assert second.get("/api/nope").status_code == 404
    (key,) = redis_server.client.keys("pairdesk:limit:api:*")
    assert redis_server.client.hget(key, "work") == b"13500"
    asked = [client.get("/api/nope").status_code for client in (first, second, first, second)]
    assert asked == [404, 404, 429, 429]
    assert "more work" in second.get("/api/nope").get_json()["detail"]


def test_passwords_are_guessed_no_more_often_where_there_are_more_processes(
    redis_server: RedisServer,
) -> None:
    clock = [6_000.0]
    users = {"DASHBOARD_USERS": f"ada:{hash_password('right', cost=(14, 8, 1))}"}

    def process() -> Accounts:
        store, settings = SharedStore(with_redis(redis_server.url)), Settings.from_mapping(users)
        return Accounts(settings, lambda: clock[0], store, lambda: clock[0])

    first, second = process(), process()
    for one in (first, second, first, second, first):
        assert not one.is_user("ada", "wrong", "10.0.0.1")
    for one in (first, second, process()):
        with pytest.raises(TooManyTries) as caught:
            one.is_user("ada", "right", "10.0.0.1")
        assert caught.value.wait_s == 61
    assert second.is_user("ada", "right", "10.9.9.9")
    clock[0] += 61
    assert second.is_user("ada", "right", "10.0.0.1")
    # While it is away each counts its own.
    redis_server.stop()
    for _ in range(TRIES):
        assert not first.is_user("ada", "wrong", "10.0.0.1")
    with pytest.raises(TooManyTries):
        first.is_user("ada", "right", "10.0.0.1")
    assert second.is_user("ada", "right", "10.0.0.1")


def test_an_answer_is_made_once_for_all_processes_and_is_the_same_to_the_byte(
    open_desk: OpenDesk, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = counted_bodies(monkeypatch)
    answers = [open_desk(redis_server.url).server.test_client().get(PATH) for _ in range(2)]
    assert made == [5]
    assert answers[0].get_data() == answers[1].get_data()
    assert answers[0].headers["ETag"] == answers[1].headers["ETag"]
    # What lies there is the body itself, for a minute, and nothing that has to be unpickled.
    (key,) = redis_server.client.keys("pairdesk:answer:*")
    assert redis_server.client.get(key) == answers[0].get_data()
    assert 0 < redis_server.client.ttl(key) <= 60


def test_nothing_is_shared_with_another_database_nor_with_other_code(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def body_by(name: str | None) -> bytes:
        """What a process over a database of that name answers."""
        meta = {} if name is None else {"name": name}
        look = SharedLook(lambda: SimpleNamespace(meta=meta), lambda: 0, 1_000)
        process = SharedAnswers(SharedStore(with_redis(redis_server.url)), look)
        return process.get_or_make(("pair", 2.0), lambda: made.append(str(name)) or b"{}")

    assert {body_by(name) for name in ("one", "one", "another", "one", None, None)} == {b"{}"}
    assert made == ["one", "another", "None", "None"]
    monkeypatch.setattr(SharedAnswers, "_code", "of a later version")
    body_by("one")
    assert made[4:] == ["one"]


def test_an_answer_too_long_is_not_kept_for_others(redis_server: RedisServer) -> None:
    look = SharedLook(lambda: SimpleNamespace(meta={"name": "one"}), lambda: 0, 1_000)
    answers = SharedAnswers(SharedStore(with_redis(redis_server.url)), look)
    for length in (shared.MOST_BYTES, shared.MOST_BYTES + 1):
        assert len(answers.get_or_make(length, lambda length=length: b"x" * length)) == length
    (key,) = redis_server.client.keys()
    assert redis_server.client.strlen(key) == shared.MOST_BYTES


def test_the_desk_goes_on_while_redis_is_away_says_so_once_and_takes_it_up_again(
    open_desk: OpenDesk,
    redis_server: RedisServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "RETRY_S", 0.0)
    desk = open_desk(redis_server.url)
    client = desk.server.test_client()

    def told() -> tuple[str, bool]:
        state = client.get("/api/status").get_json()["redis"]
        up = "pairdesk_redis_up 1.0" in client.get("/metrics").get_data(as_text=True)
        return state, up

    assert told() == ("up", True)
    redis_server.stop()
    assert [told() for _ in range(3)] == [("away", False)] * 3
    assert client.get(PATH).status_code == 200
    row = redis_row(desk)
    assert (row.now, row.state, row.failing) == ("away", "look", "Redis is away")
    redis_server.start()
    assert told() == ("up", True)
    assert redis_row(desk).state == "normal"
    logged = capsys.readouterr().out
    assert logged.count("Redis is away") == 1
    assert logged.count("Redis is back") == 1
    assert "hush" not in logged


def redis_row(desk: Dash) -> Thing:
    services = desk.server.extensions["pairdesk"]
    rows = things(services.status.view(), services.trends.view(), [])
    (row,) = [one for one in rows if one.name == "Redis"]
    return row


@pytest.mark.usefixtures("still_clock")
def test_limits_hold_by_process_while_redis_is_away(
    open_desk: OpenDesk, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits.time, "thread_time", lambda: 0.0)
    desk = open_desk(redis_server.url)
    client = desk.server.test_client()
    assert statuses_elsewhere(desk, 30) == [404] * 30
    assert client.get("/api/nope").status_code == 404
    redis_server.stop()
    # What it knows of the others it does not forget.
    assert [client.get("/api/nope").status_code for _ in range(20)] == [404] * 19 + [429]


def test_a_store_that_is_away_is_asked_again_after_a_while_and_by_one_request(
    redis_server: RedisServer,
) -> None:
    now = [100.0]
    store = SharedStore(with_redis(redis_server.url), lambda: now[0])
    redis_server.stop()
    assert (store.state, store.get("a"), store.state) == ("up", None, "away")
    redis_server.start()
    now[0] += shared.RETRY_S - 0.1
    store.set("a", b"1", 60)
    assert (store.get("a"), store.add("b", {"x": 2}, 60), store.state) == (None, None, "away")
    now[0] += 0.1
    assert (store.add("b", {"x": 2, "y": 0}, 60), store.state) == ([2, 0], "up")
    store.set("a", b"1", 60)
    assert store.get("a") == b"1"


def test_a_wrong_password_and_a_full_redis_are_as_good_as_none(
    redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = SharedStore(with_redis(redis_server.url.replace("hush%2Fhush", "sesame")))
    assert (wrong.get("a"), wrong.state) == (None, "away")
    logged = capsys.readouterr().out
    assert "Redis is away" in logged
    assert "sesame" not in logged
    redis_server.client.config_set("maxmemory", "1")
    full = SharedStore(with_redis(redis_server.url))
    assert (full.add("b", {"x": 1}, 60), full.state) == (None, "away")


def test_a_redis_that_does_not_answer_holds_a_request_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "ANSWER_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = SharedStore(with_redis(f"redis://127.0.0.1:{silent.getsockname()[1]}"))
        assert [store.get("a") for _ in range(3)] == [None] * 3
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert store.state == "away"


def test_without_redis_nothing_is_said_of_it(client: FlaskClient, desk: Dash) -> None:
    assert client.get("/api/status").get_json()["redis"] == "off"
    assert "redis" not in client.get("/metrics").get_data(as_text=True)
    services = desk.server.extensions["pairdesk"]
    rows = things(services.status.view(), services.trends.view(), [])
    assert "Redis" not in {one.name for one in rows}
