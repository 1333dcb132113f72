"""What a page of another name, a frame or a proxy can do with the open port: nothing."""

import json
import re
from collections.abc import Callable

import pytest
from dash import Dash
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, run_wsgi_app

from app import create_app
from app.api.hosts import own_names
from core.errors import SettingsError
from core.settings import Settings
from ingest.store.reader import Reader

EVERY_PATH = (
    *(
        "/",
        "/nosuch",
        "/api/status",
        "/analytics/pair",
        "/api/nope",
        "/healthz",
        "/metrics",
        "/docs",
    ),
    *("/openapi.json", "/_dash-layout", "/_dash-dependencies", "/assets/desk.css", "/_favicon.ico"),
)


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize("method", ["get", "post", "head"])
def test_page_of_another_name_reads_nothing(client: FlaskClient, path: str, method: str) -> None:
    response = client.open(path, method=method, headers={"Host": "rebound.example:8050"})
    assert response.status_code == 421
    assert response.content_type == "application/problem+json"
    if method != "head":
        body = json.loads(response.data)
        assert body["title"] == "Misdirected Request"
        assert "rebound.example:8050" in body["detail"]
        assert "ALLOWED_HOSTS" in body["detail"]


def test_forwarded_name_does_not_count(market_url: str, client: FlaskClient) -> None:
    headers = {"Host": "rebound.example", "X-Forwarded-Host": "127.0.0.1"}
    assert client.get("/api/status", headers=headers).status_code == 421
    reader = Reader(market_url)
    behind = create_app(
        Settings.from_mapping({"TRUSTED_PROXIES": "1"}), reader
    ).server.test_client()
    assert behind.get("/api/status", headers=headers).status_code == 421
    reader.close()


@pytest.mark.parametrize(
    ("variables", "ours", "foreign"),
    [
        (
            {},
            (
                *("127.0.0.1", "127.0.0.1:8050", "localhost", "LOCALHOST:1", "localhost."),
                *("a.localhost", "[::1]", "[::1]:8050", "127.8.8.8"),
            ),
            (
                *("example.com", "localhost.example", "127.0.0.1.example", "10.0.0.5", "", ":8050"),
                *("[::1", "127.0.0.1:x", "127.0.0.1@evil", "localhost/..", "notlocalhost"),
                *("a b", "\x1b[2J"),
            ),
        ),
        ({"HOST": "10.0.0.5"}, ("10.0.0.5", "10.0.0.5:80", "127.0.0.1"), ("10.0.0.6", "desk")),
        ({"HOST": "Desk.lan"}, ("desk.lan", "DESK.LAN:8050"), ("lan", "x.desk.lan")),
        (
            {"HOST": "0.0.0.0"},
            ("10.0.0.5", "[fd00::1]:8050", "localhost"),
            ("desk.example", "10.0.0.5.nip.io", "0x7f000001"),
        ),
        (
            {"ALLOWED_HOSTS": "desk.example.com, .corp.example., Bücher.example"},
            ("desk.example.com:443", "a.corp.example", "xn--bcher-kva.example", "127.0.0.1"),
            ("example.com", "corp.example", "evilcorp.example", "desk.example.com.evil.example"),
        ),
        ({"ALLOWED_HOSTS": "[fd00::7]"}, ("[fd00::7]:8050",), ("[fd00::8]",)),
        ({"ALLOWED_HOSTS": "*"}, ("anything.example",), ("", "[", "a:b:c")),
    ],
)
def test_desk_answers_to_its_own_names_alone(
    variables: dict[str, str], ours: tuple[str, ...], foreign: tuple[str, ...]
) -> None:
    is_ours = own_names(Settings.from_mapping(variables))
    assert [name for name in ours if not is_ours(name)] == []
    assert [name for name in foreign if is_ours(name)] == []


@pytest.mark.parametrize(
    "value", ["https://desk", "desk:8050", "a b", ",", "desk/", "*.example", "."]
)
def test_names_that_no_browser_sends_stop_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match="ALLOWED_HOSTS"):
        Settings.from_mapping({"ALLOWED_HOSTS": value})


def test_probe_of_http_1_0_without_a_host_is_answered(desk: Dash) -> None:
    environ = EnvironBuilder(path="/healthz").get_environ()
    del environ["HTTP_HOST"]
    _, status, _ = run_wsgi_app(desk.server.wsgi_app, environ)
    assert status == "200 OK"


@pytest.mark.parametrize("path", [*EVERY_PATH, "/api/bars", "/assets/swagger-ui/start.js"])
def test_every_answer_has_the_security_headers(client: FlaskClient, path: str) -> None:
    for headers in ({}, {"Host": "rebound.example"}, {"If-None-Match": "*"}):
        with client.get(path, headers=headers) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in policy
            scripts = re.search(r"script-src ([^;]*)", policy)
            assert scripts
            assert re.fullmatch(r"'self'( 'sha256-[0-9A-Za-z+/]{43}=')+", scripts[1])
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["X-Frame-Options"] == "DENY"
            assert response.headers["Referrer-Policy"] == "same-origin"
            assert "Strict-Transport-Security" not in response.headers
            assert "Access-Control-Allow-Origin" not in response.headers


def test_transport_stays_secure_once_it_was(client: FlaskClient) -> None:
    response = client.get("/api/status", base_url="https://localhost")
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"


def open_behind(market_url: str, proxies: int) -> tuple[FlaskClient, Reader]:
    reader = Reader(market_url)
    settings = Settings.from_mapping({"TRUSTED_PROXIES": str(proxies)})
    return create_app(settings, reader).server.test_client(), reader


@pytest.mark.parametrize(("proxies", "secure"), [(0, False), (1, True), (2, False)])
def test_only_as_many_proxies_are_believed_as_there_are(
    market_url: str, proxies: int, secure: bool
) -> None:
    client, reader = open_behind(market_url, proxies)
    response = client.get("/healthz", headers={"X-Forwarded-Proto": "https"})
    assert ("Strict-Transport-Security" in response.headers) is secure
    reader.close()


def test_own_address_in_a_forged_header_evades_no_limit(
    client: FlaskClient, desk: Dash, market_url: str, open_client: Callable[[Dash], FlaskClient]
) -> None:
    statuses = [
        client.get("/api/nope", headers={"X-Forwarded-For": f"10.9.9.{number}"}).status_code
        for number in range(120)
    ]
    assert 429 in statuses
    behind, reader = open_behind(market_url, 1)
    statuses = [
        behind.get(
            "/api/nope", headers={"X-Forwarded-For": f"10.9.9.{number}, 10.8.8.8"}
        ).status_code
        for number in range(120)
    ]
    assert 429 in statuses
    reader.close()
