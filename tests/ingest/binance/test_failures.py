"""Every way to be cut off gets one verdict and words that a person understands."""

import socket
import ssl
from datetime import UTC, datetime
from itertools import islice
from random import Random

import httpx
import pytest
from websockets.datastructures import Headers
from websockets.exceptions import (
    ConnectionClosedError,
    InvalidMessage,
    InvalidProxyStatus,
    InvalidStatus,
)
from websockets.frames import Close
from websockets.http11 import Response

from ingest.binance.failures import (
    NETWORK_ERRORS,
    Failure,
    SilentFeedError,
    backoff_delays,
    classify_failure,
    classify_status,
)
from ingest.binance.waits import asked_wait_s

NOW_S = datetime(2026, 10, 21, 7, 20, tzinfo=UTC).timestamp()


def upgrade_refused(status: int, **headers: str) -> InvalidStatus:
    named = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return InvalidStatus(Response(status, "", named))


@pytest.mark.parametrize(
    ("error", "action", "words"),
    [
        (upgrade_refused(451), "blocked", "does not serve this location (HTTP 451)"),
        (upgrade_refused(403), "blocked", "firewall refuses this address (HTTP 403)"),
        (upgrade_refused(500), "next_host", "out of order (HTTP 500)"),
        (upgrade_refused(504), "next_host", "out of order (HTTP 504)"),
        (upgrade_refused(404), "next_host", "answers HTTP 404"),
        (ConnectionClosedError(Close(1008, "Pong timeout"), None), "retry", "(1008 Pong timeout)"),
        (ConnectionClosedError(Close(1001, ""), None), "retry", "exchange closed the conn"),
        (ConnectionClosedError(None, Close(1009, "big")), "retry", "this side closed"),
        (ConnectionClosedError(None, None), "retry", "the connection broke"),
        (SilentFeedError("no trade for 15 s"), "retry", "no trade for 15 s"),
        (socket.gaierror(-2, "Name or service not known"), "next_host", "cannot be resolved"),
        (UnicodeError("label too long"), "next_host", "cannot be resolved"),
        (ConnectionRefusedError(111, "refused"), "next_host", "refuses connections"),
        (ConnectionResetError(104, "reset"), "next_host", "the connection broke"),
        (OSError(101, "Network is unreachable"), "next_host", "cannot be reached"),
        (ssl.SSLCertVerificationError(1, "self-signed"), "next_host", "(TLS) failed"),
        (TimeoutError(), "next_host", "no answer in time"),
        (httpx.ConnectTimeout("x"), "next_host", "no answer in time"),
        (httpx.RemoteProtocolError("x"), "next_host", "the connection broke"),
        (InvalidMessage("not HTTP"), "next_host", "not a WebSocket's"),
        (InvalidProxyStatus(Response(407, "", Headers())), "next_host", "the proxy"),
        (EOFError(), "next_host", "the connection broke"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_each_failure_has_its_verdict_and_words(error: Exception, action: str, words: str) -> None:
    failure = classify_failure(error, NOW_S)
    assert failure.action == action
    assert words in failure.words
    assert isinstance(error, (*NETWORK_ERRORS, UnicodeError))


def test_cause_is_found_below_what_libraries_wrap_around_it() -> None:
    outer = httpx.ConnectError("All connection attempts failed")
    middle = OSError("All connection attempts failed")
    middle.__cause__ = ExceptionGroup("both", [ConnectionRefusedError(111, "refused")])
    outer.__cause__ = middle
    assert classify_failure(outer, NOW_S) == Failure("next_host", "the host refuses connections")


@pytest.mark.parametrize(("status", "fallback_s"), [(429, 60.0), (418, 120.0)])
def test_wait_asked_for_is_taken_and_a_missing_one_guessed(status: int, fallback_s: float) -> None:
    assert classify_failure(upgrade_refused(status, Retry_After="17"), NOW_S).hold_s == 17.0
    for nonsense in (None, "soon", "-5", "", "1e9", "Wed, 99 Nov 2026 07:28:00 GMT"):
        headers = {} if nonsense is None else {"Retry-After": nonsense}
        failure = classify_status(status, headers, b"banned until soon", NOW_S)
        assert (failure.action, failure.hold_s) == ("hold", fallback_s)


@pytest.mark.parametrize(
    ("retry_after", "date", "body", "wait_s"),
    [
        (" 30 ", None, "", 30.0),
        ("30, 45", None, "", 45.0),  # given twice
        ("Wed, 21 Oct 2026 07:28:00 GMT", None, "", 480.0),
        ("Wednesday, 21-Oct-26 07:28:00 GMT", None, "", 480.0),
        ("Wed Oct 21 07:28:00 2026", None, "", 480.0),
        # Our clock says 07:20, the exchange's 07:27: it is the exchange's date.
        ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:27:00 GMT", "", 60.0),
        ("Wed, 21 Oct 2026 07:19:00 GMT", None, "", 1.0),
        ("0", None, "", 1.0),
        (" 2.5 ", None, "", 2.5),
        ("-5", None, "", None),
        ("1e9", None, "", None),
        (None, None, "IP banned until 1792567500000. Please", 300.0),
        (None, None, "IP banned until 1792567500000000. Please", 300.0),
        (None, "Wed, 21 Oct 2026 07:24:00 GMT", "IP banned until 1792567500000.", 60.0),
        ("30", None, "IP banned until 1792567500000.", 300.0),
        ("600", None, "IP banned until 1792567500000.", 600.0),
        ("9" * 5_000, None, "", 259_200.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None, "", 259_200.0),
        (None, None, "IP banned until 9999999999999999.", 259_200.0),
        (None, None, "IP banned until 100000000000000.", None),
        (None, "Wed, 21 Oct 2026 07:24:00 GMT", "", None),
    ],
)
@pytest.mark.usefixtures("far_from_utc")
def test_each_legal_form_of_a_wait_is_read_by_the_exchanges_clock(
    retry_after: str | None, date: str | None, body: str, wait_s: float | None
) -> None:
    given = {"Retry-After": retry_after, "Date": date}
    headers = {name: value for name, value in given.items() if value is not None}
    assert asked_wait_s(headers, body.encode(), NOW_S) == wait_s


def test_a_refused_upgrade_says_its_wait_in_body_date_or_twice() -> None:
    def judged(body: bytes, *headers: tuple[str, str]) -> float:
        refused = InvalidStatus(Response(418, "", Headers(headers), body))
        return classify_failure(refused, NOW_S).hold_s

    assert judged(b'{"code":-1003,"msg":"IP banned until 1792567500000."}') == 300.0
    assert judged(b"", ("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")) == 480.0
    assert judged(b"", ("Retry-After", "20"), ("Retry-After", "50")) == 50.0
    assert judged(b"") == 120.0


def test_a_host_that_is_out_of_order_may_say_for_how_long() -> None:
    busy = classify_status(503, {"Retry-After": "90"}, b"", NOW_S)
    assert (busy.action, busy.hold_s) == ("next_host", 90.0)
    assert classify_status(503, {}, b"", NOW_S).hold_s == 0.0


def test_delays_double_to_their_cap_and_never_leave_their_band() -> None:
    plain = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    for seed in range(50):
        delays = list(islice(backoff_delays(Random(seed)), len(plain)))
        assert all(full / 2 <= delay <= full for delay, full in zip(delays, plain, strict=True))


def test_two_clients_do_not_come_back_in_step() -> None:
    first, second = (list(islice(backoff_delays(Random(seed)), 5)) for seed in (1, 2))
    assert first != second
