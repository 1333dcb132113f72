"""What the exchange answers to requests, as bytes, turned into the domain's types. No I/O.

Every reader raises `FrameError` or msgspec's `DecodeError` on an answer that the exchange can't
have meant. Of a list only the rows are left out that it can't: `Rows` says how many and why.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from core.bars import STEP_BACK_MS
from core.errors import FrameError
from core.types import Bar, Trade
from ingest.binance.frames import (
    MAX_ID,
    MICROSECONDS_FROM,
    checked_trade,
    parse_decimal,
    to_milliseconds,
)

MAX_QUOTE_VOLUME = 1e30
MAX_DECIMALS = 18
AHEAD_MS = 60_000
"""So far ahead of the exchange's clock no trade can be, while ours is out by seconds."""
T = TypeVar("T")
S = TypeVar("S")


class Rows(list[T]):
    """Usable rows of an answer that had others too; `odd` says of each why it was passed over."""

    odd: tuple[str, ...] = ()

    def take(self, rows: Iterable[T], answer: Sequence[T]) -> None:
        """Add rows of an answer, and what was odd in it."""
        self.extend(rows)
        self.odd += answer.odd if isinstance(answer, Rows) else ()


def odd_rows(rows: Sequence[Any]) -> int:
    """How many rows of the answer were passed over."""
    return len(rows.odd) if isinstance(rows, Rows) else 0


class SymbolInfo(NamedTuple):
    """What the exchange lists of a symbol."""

    symbol: str
    base: str
    quote: str
    status: str
    price_decimals: int | None = None
    """Of its prices, by their smallest step."""


class ExchangeInfo(NamedTuple):
    """The exchange's symbols, and its weight limit where it names one."""

    symbols: list[SymbolInfo]
    weight_per_minute: int | None


class ErrorBody(Struct):
    """Body of an error answer."""

    code: int
    msg: str


class _ServerTime(Struct):
    serverTime: int


class _Symbol(Struct):
    symbol: str
    status: str
    baseAsset: str
    quoteAsset: str
    # Read with care: a filter that can't be read is no reason to do without the symbol.
    filters: Any = None


class _RateLimit(Struct):
    rateLimitType: str = ""
    interval: str = ""
    intervalNum: int = 0
    limit: int = 0


class _ExchangeInfo(Struct):
    symbols: list[msgspec.Raw]
    # Read with care, too: a limit that can't be read is no reason to do without all symbols.
    rateLimits: Any = None


class _Kline(Struct, array_like=True, gc=False):
    open_time: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    close_time: int
    quote_volume: str
    trade_count: int
    taker_buy_volume: str


class _Aggregate(Struct, gc=False):
    a: int
    p: str
    q: str
    f: int
    l: int  # noqa: E741 (the wire's name)
    T: int
    m: bool


class _Volume(Struct):
    symbol: str
    quoteVolume: str


class _Newest(Struct):
    symbol: str
    lastId: int


read_object = msgspec.json.Decoder(dict[str, Any]).decode
_decode_time = msgspec.json.Decoder(_ServerTime).decode
_decode_info = msgspec.json.Decoder(_ExchangeInfo).decode
_decode_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_symbol = msgspec.json.Decoder(_Symbol).decode
_decode_kline = msgspec.json.Decoder(_Kline).decode
_decode_klines = msgspec.json.Decoder(list[_Kline]).decode
_decode_aggregate = msgspec.json.Decoder(_Aggregate).decode
_decode_aggregates = msgspec.json.Decoder(list[_Aggregate]).decode
_decode_volume = msgspec.json.Decoder(_Volume).decode
_decode_newest = msgspec.json.Decoder(_Newest).decode
_decode_refusal = msgspec.json.Decoder(ErrorBody).decode


def read_time(body: bytes) -> int:
    """Read the exchange's clock, in milliseconds."""
    return to_milliseconds(_decode_time(body).serverTime)


def read_refusal(body: bytes) -> ErrorBody | None:
    """Read an error body; None where it isn't the exchange's own."""
    try:
        return _decode_refusal(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def read_symbol_list(body: bytes) -> ExchangeInfo:
    """Read the list of symbols."""
    info = _decode_info(body)
    limit = None
    listed = info.rateLimits if isinstance(info.rateLimits, list) else ()
    for rate in _read_rows(listed, lambda row: msgspec.convert(row, _RateLimit), lambda row: row):
        per_minute = (rate.interval, rate.intervalNum) == ("MINUTE", 1)
        if rate.rateLimitType == "REQUEST_WEIGHT" and per_minute and rate.limit > 0:
            limit = rate.limit
    return ExchangeInfo(_all_but_odd(_read_rows(info.symbols, _decode_symbol, _symbol)), limit)


def _symbol(row: _Symbol) -> SymbolInfo:
    if not (row.symbol and row.status):
        raise FrameError("an entry without a name or a status")
    decimals = _price_decimals(row.filters)
    return SymbolInfo(row.symbol, row.baseAsset, row.quoteAsset, row.status, decimals)


def _price_decimals(filters: Any) -> int | None:
    """Decimals that prices need which are multiples of the price filter's step."""
    for item in filters if isinstance(filters, list) else ():
        if isinstance(item, dict) and item.get("filterType") == "PRICE_FILTER":
            size = item.get("tickSize")
            try:
                step = parse_decimal(size) if isinstance(size, str) else 0.0
            except FrameError:
                return None
            decimals = len(str(size).partition(".")[2].rstrip("0"))
            return decimals if step > 0.0 and decimals <= MAX_DECIMALS else None
    return None


def _read_rows(
    rows: Iterable[Any], decode: Callable[[Any], S], convert: Callable[[S], T]
) -> list[T]:
    """Convert what can be, and pass over the rest."""
    good: Rows[T] = Rows()
    odd: list[str] = []
    for row in rows:
        try:
            good.append(convert(decode(row)))
        except (msgspec.DecodeError, UnicodeError, RecursionError, FrameError) as error:
            odd.append(str(error))
    good.odd = tuple(odd)
    return good if odd else list(good)


def _read_list(
    body: bytes,
    decode_all: Callable[[bytes], Sequence[S]],
    decode: Callable[[Any], S],
    convert: Callable[[S], T],
) -> list[T]:
    """Convert the rows of a list: decoded at once, or each by itself where that can't be."""
    try:
        return _read_rows(decode_all(body), lambda row: row, convert)
    except (msgspec.ValidationError, UnicodeError):
        return _read_rows(_decode_rows(body), decode, convert)


def _rising(rows: list[T], key: Callable[[T], int], what: str, slack: int = 0) -> list[T]:
    """Pass over the rows without which all rise: repeated ones and those out of order.

    A row may lie less than `slack` below the one before. Of two that can't follow each other the
    first is odd where the rows about them do without it.
    """
    kept: list[T] = []
    odd: list[str] = []

    def may_follow(row: T, before: T) -> bool:
        return key(row) > key(before) - slack

    for number, row in enumerate(rows):
        later = rows[number + 1 : number + 2]
        while kept and not may_follow(row, kept[-1]) and key(row) != key(kept[-1]):
            if len(kept) > 1:
                is_first = may_follow(row, kept[-2])
            else:
                is_first = not any(may_follow(after, kept[-1]) for after in later)
            if not is_first:
                break
            odd.append(f"{what} {key(kept.pop())} is out of order")
        if kept and not may_follow(row, kept[-1]):
            odd.append(f"{what} {key(row)} is repeated or out of order")
        else:
            kept.append(row)
    if not odd:
        return rows
    found = Rows(kept)
    found.odd = (*(rows.odd if isinstance(rows, Rows) else ()), *odd)
    return found


def _all_but_odd(rows: list[T]) -> list[T]:
    """The rows, unless none of them can be used: that isn't the exchange's answer."""
    if not rows and isinstance(rows, Rows):
        raise FrameError(f"no row of the answer can be used: {rows.odd[0]}")
    return rows


def read_klines(body: bytes, timeframe_ms: int, now_ms: int = MICROSECONDS_FROM) -> list[Bar]:
    """Read rows as bars and pass over what no market can have printed; the last may be open yet.

    None opens after `now_ms`, by the exchange's clock: one before it would pass for over.
    """

    def bar(row: _Kline) -> Bar:
        found = _checked_bar(row, timeframe_ms)
        if found.open_time_ms > now_ms + AHEAD_MS:
            raise FrameError(f"the kline at {found.open_time_ms} is yet to come")
        return found

    rows = _read_list(body, _decode_klines, _decode_kline, bar)
    return _all_but_odd(_rising(rows, lambda bar: bar.open_time_ms, "the kline at"))


def _checked_bar(row: _Kline, timeframe_ms: int) -> Bar:
    bar = Bar(
        to_milliseconds(row.open_time),
        parse_decimal(row.open),
        parse_decimal(row.high),
        parse_decimal(row.low),
        parse_decimal(row.close),
        parse_decimal(row.volume),
        parse_decimal(row.quote_volume, MAX_QUOTE_VOLUME),
        row.trade_count,
        parse_decimal(row.taker_buy_volume),
        True,
    )
    if bar.open_time_ms % timeframe_ms:
        raise FrameError(f"the kline at {bar.open_time_ms} is off its grid")
    if not 0.0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        raise FrameError(f"the kline at {bar.open_time_ms} has absurd prices")
    if not 0 <= bar.trade_count <= MAX_ID:
        raise FrameError(f"the kline at {bar.open_time_ms} has {bar.trade_count} trades")
    return bar


def read_aggregates(
    body: bytes, symbol: str, from_id: int = 0, start_ms: int = 0, now_ms: int = MICROSECONDS_FROM
) -> list[Trade]:
    """Read aggregate trades; the row has no event time, the trade's own stands in.

    A trade of a time that the rows about it deny, or that can't have been yet, would be missing in
    the bar that it belongs to.

    Parameters
    ----------
    from_id, start_ms : what was asked for: nothing lies before it.
    now_ms : by the exchange's clock.
    """

    def trade(row: _Aggregate) -> Trade:
        if row.a < from_id:
            raise FrameError(f"the aggregate {row.a} lies before the id asked for")
        found = checked_trade(symbol, row.a, row.p, row.q, row.T, row.T, row.f, row.l, row.m)
        if not start_ms <= found.trade_time_ms <= now_ms + AHEAD_MS:
            raise FrameError(f"the aggregate {row.a} is of another time, {found.trade_time_ms}")
        return found

    rows = _read_list(body, _decode_aggregates, _decode_aggregate, trade)
    rows = _rising(rows, lambda trade: trade.trade_id, "the aggregate")
    rows = _rising(rows, lambda trade: trade.trade_time_ms, "the aggregate of", STEP_BACK_MS + 1)
    return _all_but_odd(rows)


def read_quote_volumes(body: bytes) -> list[tuple[str, float]]:
    """Read 24-hour tickers: each symbol with its quote volume."""

    def volume(row: _Volume) -> tuple[str, float]:
        return row.symbol, parse_decimal(row.quoteVolume, MAX_QUOTE_VOLUME)

    return _all_but_odd(_read_rows(_decode_rows(body), _decode_volume, volume))


def read_newest_raw_ids(body: bytes) -> list[tuple[str, int]]:
    """Read 24-hour tickers: each symbol with the id of its newest raw trade."""
    return _read_rows(_decode_rows(body), _decode_newest, lambda row: (row.symbol, row.lastId))
