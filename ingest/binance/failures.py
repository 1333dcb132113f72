"""What went wrong between us and the exchange: one verdict and plain words per failure."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

import httpx
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    ProxyError,
    WebSocketException,
)

Action: TypeAlias = Literal["retry", "next_host", "blocked", "hold"]

HOLD_STATUSES = frozenset((418, 429))
BLOCK_S = 300.0
"""A host that refuses us is asked again after this long at the earliest."""
DEFAULT_HOLD_S = {429: 60.0, 418: 120.0}
"""Wait where the exchange names none: the weight window; the shortest ban."""


_Kinds: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]
_CAUSES: tuple[tuple[_Kinds, str], ...] = (
    ((socket.gaierror, UnicodeError), "the host name cannot be resolved"),
    (ssl.SSLError, "the encrypted connection (TLS) failed"),
    (ConnectionRefusedError, "the host refuses connections"),
    ((ConnectionError, EOFError, httpx.RemoteProtocolError), "the connection broke"),
    (OSError, "the network or the host cannot be reached"),
    (InvalidHandshake, "the answer is not a WebSocket's"),
)
"""The most telling cause first, wherever in the chain of errors it stands."""


class SilentFeedError(Exception):
    """A connection stands, and brings no trade."""


NETWORK_ERRORS = (OSError, EOFError, WebSocketException, httpx.HTTPError, SilentFeedError)
"""Everything that a network does to us; what is not among these is a defect of ours."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt, judged.

    `retry`: the same host again. `next_host`: another one, this one later. `blocked`: this host
    refuses us, try it no sooner than in five minutes. `hold`: nothing is to be asked of any host
    for `hold_s` seconds.
    """

    action: Action
    words: str
    hold_s: float = 0.0


def classify_failure(error: BaseException) -> Failure:
    """Judge an exception of connecting, requesting or reading."""
    if isinstance(error, InvalidStatus):
        response = error.response
        return classify_status(response.status_code, response.headers.get("Retry-After"))
    if isinstance(error, SilentFeedError):
        return Failure("retry", str(error))
    if isinstance(error, ConnectionClosed):
        return Failure("retry", _closed_words(error))
    if isinstance(error, ProxyError | httpx.ProxyError):
        return Failure("next_host", "the proxy does not let the connection through")
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return Failure("next_host", "no answer in time")
    chain = _chain(error)
    for kind, words in _CAUSES:
        if any(isinstance(link, kind) for link in chain):
            return Failure("next_host", words)
    return Failure("next_host", f"{type(error).__name__}: {error}"[:200])


def classify_status(status: int, retry_after: str | None = None) -> Failure:
    """Judge an HTTP status other than success, of a request or of a WebSocket upgrade."""
    if status == 451:
        return Failure("blocked", "the exchange does not serve this location (HTTP 451)")
    if status == 403:
        return Failure("blocked", "the exchange's firewall refuses this address (HTTP 403)")
    if status in HOLD_STATUSES:
        hold_s = parse_retry_after(retry_after)
        if hold_s is None:
            hold_s = DEFAULT_HOLD_S[status]
        why = "too many requests" if status == 429 else "this address is banned for a while"
        return Failure("hold", f"{why} (HTTP {status}), asked to wait {hold_s:g} s", hold_s)
    if status >= 500:
        return Failure("next_host", f"the host is out of order (HTTP {status})")
    if 300 <= status < 400:
        return Failure("next_host", f"the host points elsewhere (HTTP {status})")
    return Failure("next_host", f"the host answers HTTP {status}")


def parse_retry_after(value: str | None) -> float | None:
    """Read the header's seconds; None where it is missing or something else."""
    if value is None or not value.strip().isdecimal():
        return None
    return float(value)


def backoff_delays(rng: Random, first: float = 0.5, cap: float = 30.0) -> Iterator[float]:
    """Yield seconds to wait: doubling from `first` to `cap`, each shortened by up to a half.

    The jitter keeps many clients, cut off at once, from coming back at once.
    """
    delay = first
    while True:
        yield delay * rng.uniform(0.5, 1.0)
        delay = min(delay * 2.0, cap)


def _chain(error: BaseException) -> list[BaseException]:
    """List an error and what lies below it: libraries wrap the socket's own error."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and len(chain) < 10:
        chain.append(link)
        link = link.__cause__ or link.__context__
        if isinstance(link, BaseExceptionGroup):
            link = link.exceptions[0]
    return chain


def _closed_words(error: ConnectionClosed) -> str:
    close = error.rcvd or error.sent
    if close is None:
        return "the connection broke"
    side = "the exchange" if error.rcvd is not None else "this side"
    reason = f" {close.reason}" if close.reason else ""
    return f"{side} closed the connection ({close.code}{reason})"
