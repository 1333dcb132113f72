"""What the exchange sends, as bytes or text, turned into trades and control messages. No I/O.

`parse_frame` reads a frame once into a struct that fits trades in the combined and the raw form
alike; only what doesn't fit is looked at a second time to tell a foreign frame from a broken one.
"""

import re
import sys
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from core.errors import FrameError
from core.symbols import MAX_SYMBOL_LENGTH
from core.types import Trade

TradeEvent: TypeAlias = Literal["aggTrade", "trade"]

MAX_ID = 2**53
"""Above it an id isn't exact in a double: browsers and JSON tools would change it."""
MAX_AGGREGATED = 1_000_000
"""Raw trades that one aggregate may stand for; more would make a bar's count absurd."""
MAX_AMOUNT = 1e18
"""Bound of a price or quantity: products and sums of sane ones stay finite."""
MICROSECONDS_FROM = 10**14
"""Times above are microseconds: as milliseconds they would lie after the year 5100."""

_decimal = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch


class _Payload(Struct, gc=False):
    """Fields of both trade events; None where missing or null."""

    e: str | None = None
    E: int | None = None
    s: str | None = None
    a: int | None = None
    t: int | None = None
    p: str | None = None
    q: str | None = None
    f: int | None = None
    l: int | None = None  # noqa: E741 (the wire's name)
    T: int | None = None
    m: bool | None = None


class _Frame(_Payload, gc=False):
    """A raw frame, or the wrapper of the combined form around one."""

    stream: str | None = None
    data: _Payload | None = None


_decode_frame = msgspec.json.Decoder(_Frame).decode
_new_trade = tuple.__new__
_decode_any = msgspec.json.Decoder().decode


def parse_frame(raw: bytes | str, *, only: TradeEvent | None = None) -> Trade | None:
    """Turn one WebSocket frame into a trade.

    Parameters
    ----------
    raw : a frame in the raw form (bare payload) or the combined one (`{"stream", "data"}`).
    only : the trade event subscribed to; the other one's ids are another id space.

    Returns
    -------
    None for a well-formed frame that isn't a trade: an acknowledgement, a depth update, an event
    this project doesn't know. Times are milliseconds, whatever unit the stream has.

    Raises
    ------
    FrameError
        The frame is no JSON, or says it is a trade and isn't a sane one.
    """
    try:
        frame = _decode_frame(raw)
    except msgspec.ValidationError as error:
        _raise_if_trade(raw, error)
        return None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise FrameError(f"not JSON: {error}") from None
    payload = frame.data or frame
    event = payload.e
    if event == "aggTrade":
        trade_id, first_id, last_id = payload.a, payload.f, payload.l
    elif event == "trade":
        trade_id = first_id = last_id = payload.t
    else:
        if frame.stream is not None and frame.stream.endswith(("@trade", "@aggTrade")):
            raise FrameError(f"{frame.stream} carries {event!r} instead of a trade")
        return None
    if only is not None and event != only:
        raise FrameError(f"a {event} frame where {only} was subscribed to")
    return checked_trade(
        payload.s,
        trade_id,
        payload.p,
        payload.q,
        payload.T,
        payload.E,
        first_id,
        last_id,
        payload.m,
    )


def checked_trade(
    symbol: str | None,
    trade_id: int | None,
    price: str | None,
    quantity: str | None,
    trade_time: int | None,
    event_time: int | None,
    first_id: int | None,
    last_id: int | None,
    buyer_is_maker: bool | None,
) -> Trade:
    """Build a trade from wire values, of a frame or a REST row.

    An aggregate whose trades were cancelled (price and quantity zero, ids −1) passes: its id is
    a link of the chain.

    Raises
    ------
    FrameError
        A value is missing or absurd; the message names it.
    """
    if (
        symbol is None
        or trade_id is None
        or price is None
        or quantity is None
        or trade_time is None
        or event_time is None
        or first_id is None
        or last_id is None
        or buyer_is_maker is None
    ):
        raise FrameError("a trade lacks a field or holds null")
    if not 0 < len(symbol) <= MAX_SYMBOL_LENGTH:
        raise FrameError(f"a symbol of {len(symbol)} characters")
    symbol = sys.intern(symbol)
    # Tens of thousands a second come through here: a call costs as much as what it does.
    if _decimal(price) is None or _decimal(quantity) is None:
        raise FrameError(f"not a decimal number: {price[:40]!r} or {quantity[:40]!r}")
    price_value = float(price)
    quantity_value = float(quantity)
    if price_value > MAX_AMOUNT or quantity_value > MAX_AMOUNT:
        raise FrameError(f"absurdly large: {price[:40]} or {quantity[:40]}")
    if not 0 <= trade_time < MICROSECONDS_FROM:
        trade_time = to_milliseconds(trade_time)
    if not 0 <= event_time < MICROSECONDS_FROM:
        event_time = to_milliseconds(event_time)
    if not (
        0 <= trade_id <= MAX_ID
        and 0 <= first_id <= last_id <= min(MAX_ID, first_id + MAX_AGGREGATED)
        and price_value > 0.0
        and quantity_value > 0.0
    ):
        is_tombstone = price_value == quantity_value == 0.0 and first_id == last_id == -1
        if not (is_tombstone and 0 <= trade_id <= MAX_ID):
            raise FrameError(
                f"{symbol}: absurd trade: id {trade_id} ({first_id}…{last_id}),"
                f" price {price[:40]}, quantity {quantity[:40]}"
            )
    return _new_trade(
        Trade,
        (
            symbol,
            trade_id,
            price_value,
            quantity_value,
            trade_time,
            event_time,
            first_id,
            last_id,
            buyer_is_maker,
        ),
    )


def parse_decimal(text: str, largest: float = MAX_AMOUNT) -> float:
    """Read the wire's decimal string; stricter than `float`, which takes 'nan', '1_0' and ' 1'."""
    if _decimal(text) is None:
        raise FrameError(f"not a decimal number: {text[:40]!r}")
    value = float(text)
    if value > largest:
        raise FrameError(f"absurdly large: {text[:40]}")
    return value


def to_milliseconds(time: int) -> int:
    """Bring a wire time in milliseconds or microseconds to milliseconds."""
    if time > MICROSECONDS_FROM:
        time //= 1_000
    if not 0 <= time < MICROSECONDS_FROM:
        raise FrameError(f"absurd time {time}")
    return time


def _raise_if_trade(raw: bytes | str, error: msgspec.ValidationError) -> None:
    """Tell a foreign frame, whose fields mean something else, from a broken trade."""
    try:
        frame: Any = _decode_any(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise FrameError(f"not JSON: {error}") from None
    if isinstance(frame, list):
        return  # the raw form of an array stream
    if not isinstance(frame, dict):
        raise FrameError(f"neither object nor array: {type(frame).__name__}")
    payload = frame.get("data", frame)
    stream = frame.get("stream")
    claims_trade = isinstance(stream, str) and stream.endswith(("@trade", "@aggTrade"))
    if isinstance(payload, list) and not claims_trade:
        return
    if not isinstance(payload, dict):
        raise FrameError(f"{stream!r} carries {type(payload).__name__} instead of an object")
    event = payload.get("e")
    if claims_trade or event in ("aggTrade", "trade") or not isinstance(event, str | None):
        raise FrameError(f"a field of the wrong type: {error}")


class Shutdown(NamedTuple):
    """The server is about to close this connection; a new one is to be opened at once."""


class Reply(NamedTuple):
    """Answer to a control message; `error` is None where it was accepted."""

    request_id: int | str | None
    error: str | None


def parse_control(raw: bytes | str) -> Shutdown | Reply | None:
    """Read a frame that isn't a trade as a control message; None where it isn't one either.

    Errors come flat (`{"code", "msg", "id"}`) or nested (`{"error": {"code", "msg"}, "id"}`).
    """
    try:
        frame: Any = _decode_any(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not isinstance(frame, dict):
        return None
    inner = frame.get("data")
    payload = inner if isinstance(inner, dict) else frame
    if payload.get("e") == "serverShutdown":
        return Shutdown()
    request_id = frame.get("id")
    if not isinstance(request_id, int | str | None):
        return None
    nested = frame.get("error")
    error = nested if isinstance(nested, dict) else frame
    if "code" in error and "msg" in error:
        return Reply(request_id, f"{error['msg']} (code {error['code']})")
    return Reply(request_id, None) if "result" in frame else None
