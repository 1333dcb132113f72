"""An ordinary environment with a proxy: requests and the feed go the way it says."""

import asyncio
import gc
import http
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from core.errors import SettingsError
from core.settings import Settings
from ingest.binance.connection import open_socket
from ingest.binance.failures import NETWORK_ERRORS, classify_failure
from ingest.binance.hosts import first_answering
from ingest.binance.proxies import Proxies, is_loopback
from tests.support.waiting import HANG_S


def proxies(**variables: str) -> Proxies:
    return Proxies.of(Settings.from_mapping(variables))


@pytest.mark.parametrize(
    ("variables", "url", "way"),
    [
        ({"ALL_PROXY": "socks5://p:1080"}, "https://a.example", "socks5h://p:1080"),
        ({"ALL_PROXY": "socks5h://p"}, "wss://a.example:9443/ws", "socks5h://p:1080"),
        ({"all_proxy": "socks://p:9/"}, "https://a.example", "socks5h://p:9"),  # GNOME writes it so
        ({"all_proxy": "http://low", "ALL_PROXY": "http://up"}, "http://a", "http://low:80"),
        ({"HTTPS_PROXY": "p:3128"}, "wss://a.example", "http://p:3128"),
        ({"HTTPS_PROXY": "p:3128"}, "ws://a.example", None),
        ({"HTTP_PROXY": "p:1", "ALL_PROXY": "p:2"}, "ws://a.example", "http://p:1"),
        ({"HTTP_PROXY": "p:1", "ALL_PROXY": "p:2"}, "https://a.example", "http://p:2"),
        ({"ALL_PROXY": "https://u:p%40ss@p"}, "https://a.example", "https://u:p%40ss@p:443"),
        ({"ALL_PROXY": "http://me@p:1"}, "https://a.example", "http://me:@p:1"),
        ({"ALL_PROXY": "http://[::1]:8080"}, "https://a.example", "http://[::1]:8080"),
        ({"ALL_PROXY": "http://p:1"}, "http://127.0.0.1:9", None),
        ({"ALL_PROXY": "http://p:1"}, "ws://[::1]:9", None),
        ({"ALL_PROXY": "http://p:1"}, "ws://localhost:9", None),
        ({}, "https://a.example", None),
    ],
)
def test_the_way_that_the_environment_names_is_gone(
    variables: dict[str, str], url: str, way: str | None
) -> None:
    assert proxies(**variables).for_url(url) == way


@pytest.mark.parametrize(
    ("entry", "url", "exempt"),
    [
        ("a.example", "https://a.example", True),
        ("a.example", "https://b.a.example", True),
        ("a.example", "https://ba.example", False),
        (".example", "https://a.example", True),
        ("*.example", "https://a.example", True),
        ("A.Example", "https://a.example", True),
        ("a.example:443", "wss://a.example", True),
        ("a.example:8443", "https://a.example", False),
        ("*", "https://a.example", True),
        ("10.0.0.0/8", "https://10.9.8.7", True),
        ("10.0.0.0/8", "https://11.9.8.7", False),
        ("10.0.0.1", "http://10.0.0.1:81", True),
        ("fd00::1", "https://[fd00::1]", True),
        ("[fd00::1]", "https://[fd00::1]", True),
        ("[fd00::1]:443", "https://[fd00::1]", True),
        ("[fd00::1]:444", "https://[fd00::1]", False),
        ("fd00::/8", "https://[fd00::1]", True),
        ("[fd00::]/8", "https://[fd00::1]", True),
        ("fd00::/8", "https://10.0.0.1", False),
        ("10.0.0.0/99", "https://10.0.0.1", False),
        (":", "https://a.example", False),
        (".", "https://a.example", False),
        ("localhost,127.0.0.0/8,::1 a.example", "https://a.example", True),
        ("localhost, 127.0.0.0/8, ::1", "https://a.example", False),
    ],
)
def test_no_proxy_takes_names_addresses_and_nets(entry: str, url: str, exempt: bool) -> None:
    ways = proxies(ALL_PROXY="http://p:1", NO_PROXY=entry)
    assert (ways.for_url(url) is None) is exempt


@pytest.mark.parametrize(
    "value",
    [
        "socks4://p:1",
        "socks4a://p:1",
        "ftp://p:1",
        "http://",
        "http://p:port",
        "http://p:1/path",
        "http://[::1",
        "http://me:secret@:1",
        "http://p p:1",
        "socks5://p:70000",
    ],
)
@pytest.mark.parametrize("key", ["ALL_PROXY", "HTTPS_PROXY", "http_proxy"])
def test_a_proxy_that_cannot_be_used_stops_the_start_in_words(key: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping({key: value})
    assert str(caught.value).startswith(f"{key.upper()}=(hidden) is not usable; allowed: http://")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["/nowhere/ca.pem", "/", "/etc/hostname"])
def test_certificates_that_cannot_be_used_stop_the_start_in_words(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", name)
    with pytest.raises(SettingsError, match=r"SSL_CERT_FILE.* names what can't be used"):
        asyncio.run(first_answering(("https://rest.invalid",), HANG_S, proxies=proxies()))


def test_a_proxys_password_is_in_no_repr() -> None:
    settings = Settings.from_mapping({"ALL_PROXY": "http://me:secret@p:1"})
    assert "secret" not in repr(settings)
    assert "secret" not in str(settings)
    assert "secret" not in repr(Proxies.of(settings))


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("ws://127.0.0.1:9", True),
        ("http://127.8.8.8", True),
        ("http://[::1]:8", True),
        ("http://LOCALHOST:8", True),
        ("https://data-api.binance.vision", False),
        ("http://10.0.0.1", False),
        ("https://localhost.example", False),
        ("nonsense", False),
    ],
)
def test_only_this_machine_goes_past_proxies(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback


class Socks:
    """A SOCKS5 proxy on loopback that takes every name for one server's."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.target = 0
        self.spoils: bytes | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count = (await reader.readexactly(2))[1]
        await reader.readexactly(count)
        if self.spoils is not None:
            writer.write(self.spoils)
            writer.close()
            return
        writer.write(b"\x05\x00")
        _, _, _, kind = await reader.readexactly(4)
        assert kind == 3, "a name goes to the proxy unresolved"
        name = await reader.readexactly((await reader.readexactly(1))[0])
        port = int.from_bytes(await reader.readexactly(2))
        self.asked.append(f"{name.decode()}:{port}")
        ahead, behind = await asyncio.open_connection("127.0.0.1", self.target)
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        await asyncio.gather(_pump(reader, behind), _pump(ahead, writer))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while part := await source.read(65_536):
            sink.write(part)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.close()


@asynccontextmanager
async def socks_to_an_exchange() -> AsyncIterator[tuple[Socks, Proxies]]:
    def answer(_: ServerConnection, request: Request) -> Response | None:
        if not request.path.startswith("/api"):
            return None
        return Response(http.HTTPStatus.OK, "OK", Headers({"Connection": "close"}), b"{}")

    async def greet(connection: ServerConnection) -> None:
        await connection.send("hello")

    proxy = Socks()
    async with (
        serve(greet, "127.0.0.1", 0, process_request=answer) as exchange,
        await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as listening,
        asyncio.timeout(HANG_S),
    ):
        proxy.target = exchange.sockets[0].getsockname()[1]
        port = listening.sockets[0].getsockname()[1]
        yield proxy, proxies(ALL_PROXY=f"socks5://127.0.0.1:{port}")


def test_requests_and_the_feed_go_through_a_socks_proxy() -> None:
    async def scenario() -> None:
        async with socks_to_an_exchange() as (proxy, ways):
            answer = await first_answering(("http://rest.invalid:81",), HANG_S, proxies=ways)
            assert answer.host == "http://rest.invalid:81", answer.reason
            socket = await open_socket("ws://feed.invalid:82/stream", proxies=ways)
            assert await socket.recv() == b"hello"
            await socket.close()
            assert proxy.asked == ["rest.invalid:81", "feed.invalid:82"]

    asyncio.run(scenario())


# The library leaves the socket of such a proxy to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("spoils", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x05\xff"])
def test_a_socks_proxy_that_talks_nonsense_is_a_failure_in_words(spoils: bytes) -> None:
    async def scenario() -> None:
        async with socks_to_an_exchange() as (proxy, ways):
            proxy.spoils = spoils
            answer = await first_answering(("http://rest.invalid:81",), HANG_S, proxies=ways)
            assert answer.host is None
            assert "proxy" in answer.reason
            with pytest.raises(NETWORK_ERRORS) as caught:
                await open_socket("ws://feed.invalid:82/stream", proxies=ways)
            assert classify_failure(caught.value, 0.0).action == "next_host"

    asyncio.run(scenario())
    gc.collect()
