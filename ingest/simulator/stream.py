"""What a WebSocket client asked for: stream names, addresses and control messages; no socket.

Known kinds: aggTrade, trade, bookTicker, kline_<interval> (also @+08:00), miniTicker and
!miniTicker@arr. Any other well-formed name is accepted and silent, as an unknown or upper-case
symbol is at the exchange.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ingest.simulator.listing import LISTINGS, Listings
from ingest.simulator.wire import INTERVALS

MAX_STREAMS = 1_024
METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")

_WELL_FORMED = re.compile(r"(![A-Za-z]+@arr|[^\s@/]+@[A-Za-z0-9_]+(@[A-Za-z0-9_+:-]+)?)")
_KLINE = re.compile(r"kline_(\w+?)(@\+08:00)?")
_TEXT_ID = re.compile(r"[A-Za-z0-9]{1,36}")
_UTC_PLUS_8_MS = 8 * 3_600_000


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that has something to say."""

    kind: str
    symbol: str
    interval: str = ""
    offset_ms: int = 0


ALL_MINI_TICKERS = Stream("allMiniTickers", "")


def parse_stream(name: str, listings: Listings = LISTINGS) -> Stream | None:
    """The stream behind a name; None for one that stays silent."""
    if name == "!miniTicker@arr":
        return ALL_MINI_TICKERS
    symbol_name, _, kind = name.partition("@")
    symbol = symbol_name.upper()
    if symbol_name != symbol.lower() or symbol not in listings:
        return None
    if kind in ("aggTrade", "trade", "bookTicker", "miniTicker"):
        return Stream(kind, symbol)
    kline = _KLINE.fullmatch(kind)
    if kline is None or kline[1] not in INTERVALS:
        return None
    return Stream("kline", symbol, kline[1], _UTC_PLUS_8_MS if kline[2] else 0)


class _Invalid(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def _invalid(words: str) -> _Invalid:
    return _Invalid(2, f"Invalid request: {words}")


class Subscriptions:
    """One connection's streams and its `combined` property.

    Parameters
    ----------
    combined : whether frames are wrapped as `{"stream": …, "data": …}`.
    unit : 1 for times in milliseconds, 1,000 for microseconds.
    names : the streams asked for in the address.
    """

    def __init__(self, combined: bool, unit: int, names: Iterable[str]) -> None:
        self.combined = combined
        self.unit = unit
        self.names: dict[str, None] = dict.fromkeys(names)

    def reply(self, message: str) -> str:
        """Carry out a control message and answer it."""
        request_id: Any = None
        try:
            request = _decoded(message)
            request_id = _request_id(request)
            answer: dict[str, Any] = {"result": self._carried_out(request, message)}
        except _Invalid as error:
            answer = {"error": {"code": error.code, "msg": error.message}}
        return json.dumps(answer | {"id": request_id}, separators=(",", ":"), ensure_ascii=False)

    def _carried_out(self, request: dict[str, Any], message: str) -> Any:
        method = request.get("method")
        if method is None:
            raise _invalid(f"missing field `method` at line 1 column {len(message)}")
        if method not in METHODS:
            expected = ", ".join(f"`{name}`" for name in METHODS)
            column = message.find(json.dumps(method)) + len(json.dumps(method))
            raise _invalid(
                f"unknown variant `{method}`, expected one of {expected} at line 1 column {column}"
            )
        params = request.get("params", [])
        if not isinstance(params, list):
            raise _invalid("params must be an array")
        if method == "SUBSCRIBE":
            self._subscribe(_stream_names(params))
        elif method == "UNSUBSCRIBE":
            for name in _stream_names(params):
                self.names.pop(name, None)
        elif method == "LIST_SUBSCRIPTIONS":
            if params:
                raise _invalid("too many parameters")
            return list(self.names)
        else:
            return self._property(method == "SET_PROPERTY", params)
        return None

    def _subscribe(self, names: list[str]) -> None:
        wanted = self.names | dict.fromkeys(names)
        if len(wanted) > MAX_STREAMS:
            raise _Invalid(4, "Too many subscriptions")
        self.names = wanted

    def _property(self, set_it: bool, params: list[Any]) -> bool | None:
        if len(params) > 1 + set_it:
            raise _invalid("too many parameters")
        if not params or not isinstance(params[0], str):
            raise _invalid("property name must be a string")
        if params[0] != "combined":
            raise _Invalid(0, "Unknown property")
        if not set_it:
            return self.combined
        if len(params) < 2 or not isinstance(params[1], bool):
            raise _Invalid(1, "Invalid value type: expected Boolean")
        self.combined = params[1]
        return None


def _decoded(message: str) -> dict[str, Any]:
    try:
        request = json.loads(message)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        column = getattr(error, "colno", 1)
        raise _Invalid(3, f"Invalid JSON: expected value at line {line} column {column}") from None
    if not isinstance(request, dict):
        raise _invalid(f"missing field `method` at line 1 column {len(message)}")
    return request


def _request_id(request: dict[str, Any]) -> int | str | None:
    request_id = request.get("id")
    if request_id is None:
        return None
    if isinstance(request_id, str) and _TEXT_ID.fullmatch(request_id):
        return request_id
    if (
        isinstance(request_id, int)
        and not isinstance(request_id, bool)
        and -(2**63) <= request_id < 2**63
    ):
        return request_id
    raise _invalid("request ID must be an unsigned integer")


def _stream_names(params: list[Any]) -> list[str]:
    names = [name for name in params if isinstance(name, str) and _WELL_FORMED.fullmatch(name)]
    if not params or len(names) != len(params):
        raise _invalid("invalid stream")
    return names


def open_address(target: str) -> Subscriptions | None:
    """Read the address of an upgrade: /ws, /ws/<a>/<b>, /stream?streams=<a>/<b>, &timeUnit=.

    None where the exchange has no WebSocket.

    Raises
    ------
    ValueError
        A time unit that does not exist, or too many streams.
    """
    parts = urlsplit(target)
    query = parse_qs(parts.query)
    unit_name = query.get("timeUnit", ["MILLISECOND"])[-1].upper()
    if unit_name not in ("MILLISECOND", "MICROSECOND"):
        raise ValueError("Invalid value for time unit")
    unit = 1_000 if unit_name == "MICROSECOND" else 1
    if parts.path == "/ws" or parts.path.startswith("/ws/"):
        listed, combined = unquote(parts.path[len("/ws/") :]), False
    elif parts.path in ("/stream", "/stream/"):
        listed, combined = "/".join(query.get("streams", [])), True
    else:
        return None
    names = [name for name in listed.split("/") if name]
    if len(names) > MAX_STREAMS:
        raise ValueError("Too many subscriptions")
    return Subscriptions(combined, unit, names)
