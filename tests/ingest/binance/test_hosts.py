"""Which hosts are asked, and what the screen says when none answers."""

import asyncio
import socket
import ssl

import httpx
import pytest

from core.errors import SettingsError
from core.settings import Settings
from ingest.binance.hosts import (
    REST_HOSTS,
    WS_HOSTS,
    FirstAnswer,
    first_answering,
    host_name,
    rest_hosts,
    ws_hosts,
)
from tests.support.waiting import HANG_S

HOSTS = ("https://one.example", "https://two.example:9443")


def settings(**variables: str) -> Settings:
    return Settings.from_mapping(variables)


def ask(handler: object, hosts: tuple[str, ...] = HOSTS, timeout_s: float = HANG_S) -> FirstAnswer:
    transport = httpx.MockTransport(handler)  # type: ignore[arg-type]
    return asyncio.run(first_answering(hosts, timeout_s, transport))


def test_market_data_only_hosts_come_first() -> None:
    assert ws_hosts(settings())[0] == "wss://data-stream.binance.vision"
    assert rest_hosts(settings())[0] == "https://data-api.binance.vision"
    assert len(set(WS_HOSTS)) == len(WS_HOSTS) > 1
    assert len(set(REST_HOSTS)) == len(REST_HOSTS) > 1


@pytest.mark.parametrize(
    ("given_url", "base"),
    [
        ("ws://127.0.0.1:9000", "ws://127.0.0.1:9000"),
        ("ws://127.0.0.1:9000/", "ws://127.0.0.1:9000"),
        ("wss://example:9443/ws", "wss://example:9443"),
        ("wss://example/proxy/stream", "wss://example/proxy"),
    ],
)
def test_override_is_the_only_stream_host(given_url: str, base: str) -> None:
    assert ws_hosts(settings(BINANCE_WS_URL=given_url)) == (base,)


@pytest.mark.parametrize("suffix", ["", "/", "/api", "/api/v3"])
def test_override_is_the_only_rest_host(suffix: str) -> None:
    given_url = "http://127.0.0.1:9000" + suffix
    assert rest_hosts(settings(BINANCE_REST_URL=given_url)) == ("http://127.0.0.1:9000",)


@pytest.mark.parametrize("url", ["ws://host:99999", "ws://host:x", "http://host", "ws://a b"])
def test_unusable_override_stops_the_start_and_names_the_key(url: str) -> None:
    with pytest.raises(SettingsError, match="BINANCE_WS_URL"):
        settings(BINANCE_WS_URL=url)


def test_a_base_with_a_password_is_named_without_it() -> None:
    assert host_name("wss://me:secret@stream.example:9443/x") == "stream.example:9443"
    answer = ask(lambda _: httpx.Response(503), hosts=("https://me:secret@one.example",))
    assert answer.reason.startswith("one.example does not answer")
    assert "secret" not in repr(settings(BINANCE_WS_URL="wss://me:secret@stream.example"))


def test_one_answering_host_is_enough() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == "one.example":
            raise httpx.ConnectError("no") from ConnectionRefusedError()
        assert request.url.path == "/api/v3/ping"
        return httpx.Response(200, json={})

    assert ask(handler) == FirstAnswer(HOSTS[1], "two.example:9443 answers")


def test_hanging_host_does_not_keep_an_answering_one_waiting() -> None:
    async def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == "one.example":
            await asyncio.Event().wait()
        return httpx.Response(200, json={})

    assert ask(handler).host == HOSTS[1]


def test_no_network_is_said_at_once_and_in_plain_words() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[Errno -2]") from socket.gaierror(-2, "unknown")

    answer = ask(handler)
    assert answer.host is None
    assert answer.reason == (
        "Binance does not answer, on none of its 2 hosts: the host name cannot be resolved"
    )


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (httpx.Response(451, json={"code": 0}), "does not serve this location (HTTP 451)"),
        (httpx.Response(403, text="<html>"), "firewall refuses this address (HTTP 403)"),
        (httpx.Response(503), "out of order (HTTP 503)"),
        (httpx.Response(302, headers={"Location": "http://x"}), "points elsewhere (HTTP 302)"),
        (httpx.Response(200, text="<html>Please sign in"), "the answer is not the exchange's"),
        (httpx.Response(429, headers={"Retry-After": "7"}), "asked to wait 7 s"),
    ],
)
def test_refusing_host_counts_as_not_answering(response: httpx.Response, words: str) -> None:
    answer = ask(lambda request: response, hosts=HOSTS[:1])
    assert answer.host is None
    assert answer.reason.startswith("one.example does not answer: ")
    assert words in answer.reason


def test_different_reasons_are_named_with_their_hosts() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == "one.example":
            raise httpx.ConnectError("tls") from ssl.SSLError(1, "bad certificate")
        return httpx.Response(451)

    assert ask(handler).reason == (
        "Binance does not answer: one.example: the encrypted connection (TLS) failed;"
        " two.example:9443: the exchange does not serve this location (HTTP 451)"
    )


def test_silent_hosts_cost_no_more_than_the_time_given() -> None:
    async def handler(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    answer = ask(handler, timeout_s=0.02)
    assert answer.host is None
    assert "no answer within 0.02 s" in answer.reason
