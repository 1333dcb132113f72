"""A pair asked for again: the same bytes, made and compressed once."""

import json
from typing import Any

import flask_compress.flask_compress as compress
import pytest
from dash import Dash
from flask.testing import FlaskClient

from app.api import pair as routes
from app.api.kept import CompressedBodies
from app.services.cache import BoundedCache

PATH = "/analytics/pair?window=30&hedge_window=100&bars=200&entry_z=1.9"


def test_an_answer_is_made_and_compressed_once(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def counted(name: str, function: Any) -> Any:
        def call(*args: Any) -> Any:
            made.append(name)
            return function(*args)

        return call

    monkeypatch.setattr(routes, "pair_json", counted("body", routes.pair_json))
    compressed = counted("compressed", compress._compress_data)
    monkeypatch.setattr(compress, "_compress_data", compressed)
    plain = client.get(PATH)
    packed = [client.get(PATH, headers={"Accept-Encoding": "gzip"}) for _ in range(3)]
    assert made == ["body", "compressed"]
    assert {answer.get_data() for answer in packed} == {packed[0].get_data()}
    assert packed[0].headers["Content-Encoding"] == "gzip"
    assert {answer.headers["ETag"] for answer in packed} == {plain.headers["ETag"]}
    again = client.get(PATH, headers={"If-None-Match": plain.headers["ETag"]})
    assert (again.status_code, again.get_data()) == (304, b"")


def test_a_kept_answer_is_not_given_for_other_parameters_or_at_another_time(
    own_desk: tuple[Dash, dict[str, float]],
) -> None:
    client = own_desk[0].server.test_client()
    first = client.get(f"{PATH}&points=3").get_json()
    assert len(client.get(f"{PATH}&points=2").get_json()["series"]["time"]) == 2
    assert client.get(f"{PATH}&points=3").get_json() == first
    own_desk[1]["now"] += 3_600
    later = client.get(f"{PATH}&points=3").get_json()
    assert (first["stale"], later["stale"]) == (False, True)
    assert json.dumps(later["warnings"]) != json.dumps(first["warnings"])


def test_a_query_is_judged_once_and_a_bad_one_refused_each_time(
    own_desk: tuple[Dash, dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[Any] = []
    judge = routes.pair_request

    def counted(values: Any, settings: Any) -> Any:
        judged.append(values["window"])
        return judge(values, settings)

    monkeypatch.setattr(routes, "pair_request", counted)
    client = own_desk[0].server.test_client()
    answers = [client.get(f"{PATH}&points=4") for _ in range(3)]
    assert judged == [30]
    assert {answer.get_data() for answer in answers} == {answers[0].get_data()}
    assert {answer.headers["ETag"] for answer in answers} == {answers[0].headers["ETag"]}
    assert client.head(f"{PATH}&points=4").get_data() == b""
    assert client.post(f"{PATH}&points=4").status_code == 405
    for _ in range(2):
        assert client.get(f"{PATH}&points=-4").status_code == 400
        assert client.get("/analytics/pair?symbol_a=NOPEUSDT").status_code == 404


def test_bodies_without_a_tag_are_not_mixed_up() -> None:
    kept = CompressedBodies(BoundedCache(1_000_000))
    kept.set("br;", b"one page")
    assert kept.get("br;") is None
    kept.set("br;tag", b"a pair")
    assert (kept.get("br;tag"), kept.get("gzip;tag")) == (b"a pair", None)
