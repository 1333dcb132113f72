"""What went wrong between us and the exchange: one verdict and plain words per failure."""

import socket
import ssl
from collections.abc import Iterator, Mapping
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

from ingest.binance.waits import asked_wait_s

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
    for `hold_s` seconds. Of the others `hold_s` is about their one host: it asked for so long.
    """

    action: Action
    words: str
    hold_s: float = 0.0


def classify_failure(error: BaseException, now_s: float) -> Failure:
    """Judge an exception of connecting, requesting or reading; `now_s` as in `classify_status`."""
    if isinstance(error, InvalidStatus):
        response = error.response
        # The library's own headers raise where one is given twice.
        headers = httpx.Headers(list(response.headers.raw_items()))
        return classify_status(response.status_code, headers, bytes(response.body or b""), now_s)
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


def classify_status(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
    """Judge an HTTP status other than success, of a request or of a WebSocket upgrade.

    Parameters
    ----------
    now_s : the exchange's clock, where the answer itself has no `Date`.
    """
    wait_s = asked_wait_s(headers, body, now_s)
    if status in HOLD_STATUSES:
        return refused_for_a_while(status, wait_s)
    hold_s = wait_s or 0.0
    if status == 451:
        return Failure("blocked", "the exchange does not serve this location (HTTP 451)", hold_s)
    if status == 403:
        words = "the exchange's firewall refuses this address (HTTP 403)"
        return Failure("blocked", words, hold_s)
    if status >= 500:
        return Failure("next_host", f"the host is out of order (HTTP {status})", hold_s)
    if 300 <= status < 400:
        return Failure("next_host", f"the host points elsewhere (HTTP {status})", hold_s)
    return Failure("next_host", f"the host answers HTTP {status}", hold_s)


def refused_for_a_while(status: int, wait_s: float | None) -> Failure:
    """Say that nobody may ask for as long as the exchange says, or for a guess of ours."""
    hold_s = DEFAULT_HOLD_S[status] if wait_s is None else wait_s
    why = "too many requests" if status == 429 else "this address is banned for a while"
    return Failure("hold", f"{why} (HTTP {status}), asked to wait {hold_s:.0f} s", hold_s)


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
