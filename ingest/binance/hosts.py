"""Which hosts are asked, in which order, and whether any of them answers."""

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from core.settings import Settings
from ingest.binance.failures import NETWORK_ERRORS, classify_failure, classify_status
from ingest.binance.proxies import DIRECT, Proxies

# Market-data-only hosts first: they carry all this project needs, and serve more places.
WS_HOSTS = (
    "wss://data-stream.binance.vision",
    "wss://stream.binance.com:9443",
    "wss://stream.binance.com:443",
)
REST_HOSTS = (
    "https://data-api.binance.vision",
    "https://api.binance.com",
    "https://api-gcp.binance.com",
    "https://api1.binance.com",
    "https://api2.binance.com",
    "https://api3.binance.com",
    "https://api4.binance.com",
)


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """The first host that answered, or why none did, in words for the screen."""

    host: str | None
    reason: str


def ws_hosts(settings: Settings) -> tuple[str, ...]:
    """List the WebSocket bases to try, the preferred one first."""
    if settings.binance_ws_url is None:
        return WS_HOSTS
    base = settings.binance_ws_url.get_secret_value()
    return (base.removesuffix("/ws").removesuffix("/stream"),)


def rest_hosts(settings: Settings) -> tuple[str, ...]:
    """List the REST bases to try, the preferred one first."""
    if settings.binance_rest_url is None:
        return REST_HOSTS
    base = settings.binance_rest_url.get_secret_value()
    return (base.removesuffix("/api/v3").removesuffix("/api"),)


async def first_answering(
    hosts: tuple[str, ...],
    timeout_s: float = 10.0,
    transport: httpx.AsyncBaseTransport | None = None,
    proxies: Proxies = DIRECT,
) -> FirstAnswer:
    """Ping all REST hosts at once; the first good answer wins.

    Returns as soon as one host answers or all have failed; `timeout_s` bounds the rest. A host
    that refuses this location counts as not answering.
    """
    client = proxies.client(hosts, httpx.Timeout(timeout_s), httpx.Limits(), transport)
    async with client:
        pings = {asyncio.create_task(_ping(client, host)): host for host in hosts}
        failures: dict[str, str] = {}
        try:
            async with asyncio.timeout(timeout_s):
                for done in asyncio.as_completed(pings):
                    host, failure = await done
                    if failure is None:
                        return FirstAnswer(host, f"{host_name(host)} answers")
                    failures[host] = failure
        except TimeoutError:
            for host in hosts:
                failures.setdefault(host, f"no answer within {timeout_s:g} s")
        finally:
            for ping in pings:
                ping.cancel()
            await asyncio.gather(*pings, return_exceptions=True)
    return FirstAnswer(None, _no_answer_words(hosts, failures))


async def _ping(client: httpx.AsyncClient, host: str) -> tuple[str, str | None]:
    """Ask one host for a sign of life; the words say what was wrong, None that it is well."""
    try:
        response = await client.get(f"{host}/api/v3/ping")
    except NETWORK_ERRORS as error:
        return host, classify_failure(error, time.time()).words
    if response.status_code != 200:
        failure = classify_status(
            response.status_code, response.headers, response.content, time.time()
        )
        return host, failure.words
    # A hotel's sign-in page answers 200 as well.
    if not response.text.lstrip().startswith("{"):
        return host, "the answer is not the exchange's"
    return host, None


def _no_answer_words(hosts: tuple[str, ...], failures: dict[str, str]) -> str:
    """Put the reasons of all hosts in one sentence, each reason once."""
    by_reason: dict[str, list[str]] = {}
    for host in hosts:
        by_reason.setdefault(failures[host], []).append(host_name(host))
    if len(hosts) == 1:
        return f"{host_name(hosts[0])} does not answer: {failures[hosts[0]]}"
    if len(by_reason) == 1:
        return (
            f"Binance does not answer, on none of its {len(hosts)} hosts: {next(iter(by_reason))}"
        )
    return "Binance does not answer: " + "; ".join(
        f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()
    )


def host_name(host: str) -> str:
    """Shorten a base URL to what a person calls the host, without the name and password in it."""
    return urlsplit(host).netloc.rpartition("@")[2]
