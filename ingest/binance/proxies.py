"""Which proxy a request or a stream goes through: one rule for all, read from the settings."""

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from socksio import SOCKSError

from core.errors import SettingsError
from core.settings import Settings

_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


@dataclass(frozen=True, slots=True, repr=False)
class Proxies:
    """The proxies of the environment, and whom they are not for.

    The libraries' own reading of it is off: one knows no CIDR and stops at IPv6 in `NO_PROXY`, the
    other passes `ALL_PROXY` over. Names are always resolved by a SOCKS proxy, never here.
    """

    http: str | None = None
    https: str | None = None
    exempt: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> "Proxies":
        """Take them from validated settings; `ALL_PROXY` stands in where a scheme has no own."""
        http, https, every = (
            None if given is None else given.get_secret_value()
            for given in (settings.http_proxy, settings.https_proxy, settings.all_proxy)
        )
        exempt = (settings.no_proxy or "").replace(",", " ").split()
        return cls(http or every, https or every, tuple(exempt))

    def for_url(self, url: str) -> str | None:
        """Give the proxy that leads to a URL; None for the direct way, as always to loopback."""
        parts = urlsplit(url)
        proxy = self.https if parts.scheme in ("https", "wss") else self.http
        if proxy is None or is_loopback(url):
            return None
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)
        return None if any(_matches(entry, host, port) for entry in self.exempt) else proxy

    def client(
        self,
        hosts: Sequence[str],
        timeout: httpx.Timeout,
        limits: httpx.Limits,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> httpx.AsyncClient:
        """Make a client that reaches each of these hosts on its way.

        Parameters
        ----------
        transport : instead of the network, in tests.

        Raises
        ------
        SettingsError
            The environment names certificates that can't be used.
        """
        if transport is not None:
            return httpx.AsyncClient(transport=transport, trust_env=False, timeout=timeout)
        context = _certificates()
        ways = {host: proxy for host in hosts if (proxy := self.for_url(host)) is not None}
        transports = {
            proxy: _ThroughProxy(verify=context, limits=limits, proxy=proxy)
            for proxy in set(ways.values())
        }
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(verify=context, limits=limits),
            mounts={_origin(host): transports[proxy] for host, proxy in ways.items()},
            trust_env=False,
            timeout=timeout,
        )

    def request(self, method: str, url: str, **asked: Any) -> httpx.Response:
        """Ask once, on the way to that URL; whatever goes wrong is an `httpx.HTTPError`.

        Raises
        ------
        SettingsError
            As for a client.
        """
        way, context = self.for_url(url), _certificates()
        try:
            return httpx.request(method, url, proxy=way, verify=context, trust_env=False, **asked)
        except (SOCKSError, httpx.InvalidURL) as error:
            raise httpx.UnsupportedProtocol(str(error)) from error


DIRECT = Proxies()


class _ThroughProxy(httpx.AsyncHTTPTransport):
    """Says of a SOCKS proxy that talks nonsense what it says of any other that fails."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except SOCKSError as error:
            raise httpx.ProxyError(str(error), request=request) from error


def _certificates() -> ssl.SSLContext:
    """Certificates to trust: those of `SSL_CERT_FILE` and `SSL_CERT_DIR` where they are set."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise SettingsError(
            "SSL_CERT_FILE, SSL_CERT_DIR or SSLKEYLOGFILE names what can't be used"
            f" ({error.strerror or error}); allowed: files and folders that are there, or nothing"
        ) from None


def is_loopback(url: str) -> bool:
    """Tell whether a URL points at this machine: no proxy can reach it for us."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _origin(url: str) -> str:
    """The part of a URL that tells one host from another, without a user's name."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _matches(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY means a host: a name and what is below it, address or net."""
    if entry == "*":
        return True
    name, entry_port = _split_port(entry.lower())
    if entry_port is not None and entry_port != port:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        domain = name.lstrip("*").strip(".")
        return bool(domain) and f".{host.rstrip('.')}".endswith(f".{domain}")
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False


def _split_port(entry: str) -> tuple[str, int | None]:
    """Part a port from an entry; a bare IPv6 address has colons of its own."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        # [fe80::]/10 is a net in brackets.
        if rest.startswith("/"):
            return name + rest, None
        port = rest.removeprefix(":")
    elif entry.count(":") == 1:
        name, _, port = entry.partition(":")
    else:
        return entry, None
    return name, int(port) if port.isascii() and port.isdigit() else None
