"""What the exchange answers to requests, as bytes, turned into the domain's types. No I/O.

Every reader raises `FrameError` or msgspec's `DecodeError` on what the exchange can't have meant.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from core.errors import FrameError
from core.types import Bar, Trade
from ingest.binance.frames import MAX_ID, checked_trade, parse_decimal, to_milliseconds

MAX_QUOTE_VOLUME = 1e30


class SymbolInfo(NamedTuple):
    """What the exchange lists of a symbol."""

    symbol: str
    base: str
    quote: str
    status: str


class SymbolList(NamedTuple):
    """The exchange's symbols, and its weight limit where it names one."""

    symbols: list[SymbolInfo]
    weight_per_minute: int | None


class Refusal(Struct):
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


class _RateLimit(Struct):
    rateLimitType: str = ""
    interval: str = ""
    intervalNum: int = 0
    limit: int = 0


class _ExchangeInfo(Struct):
    symbols: list[_Symbol]
    rateLimits: list[_RateLimit] = []


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


class _Ticker(Struct):
    symbol: str
    quoteVolume: str


read_object = msgspec.json.Decoder(dict[str, Any]).decode
_decode_time = msgspec.json.Decoder(_ServerTime).decode
_decode_info = msgspec.json.Decoder(_ExchangeInfo).decode
_decode_klines = msgspec.json.Decoder(list[_Kline]).decode
_decode_aggregates = msgspec.json.Decoder(list[_Aggregate]).decode
_decode_tickers = msgspec.json.Decoder(list[_Ticker]).decode
_decode_refusal = msgspec.json.Decoder(Refusal).decode


def read_time(body: bytes) -> int:
    """Read the exchange's clock, in milliseconds."""
    return to_milliseconds(_decode_time(body).serverTime)


def read_refusal(body: bytes) -> Refusal | None:
    """Read an error body; None where it isn't the exchange's own."""
    try:
        return _decode_refusal(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def read_symbol_list(body: bytes) -> SymbolList:
    """Read the list of symbols."""
    info = _decode_info(body)
    limit = None
    for rate in info.rateLimits:
        per_minute = (rate.interval, rate.intervalNum) == ("MINUTE", 1)
        if rate.rateLimitType == "REQUEST_WEIGHT" and per_minute and rate.limit > 0:
            limit = rate.limit
    symbols = [
        SymbolInfo(row.symbol, row.baseAsset, row.quoteAsset, row.status) for row in info.symbols
    ]
    return SymbolList(symbols, limit)


def read_klines(body: bytes, timeframe_ms: int) -> list[Bar]:
    """Read rows as bars and refuse what no market can have printed; the last may be open yet."""
    bars: list[Bar] = []
    previous_ms = -1
    for row in _decode_klines(body):
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
        if bar.open_time_ms <= previous_ms or bar.open_time_ms % timeframe_ms:
            raise FrameError(f"a kline at {bar.open_time_ms} is out of order or off its grid")
        if not 0.0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
            raise FrameError(f"the kline at {bar.open_time_ms} has absurd prices")
        if not 0 <= bar.trade_count <= MAX_ID:
            raise FrameError(f"the kline at {bar.open_time_ms} has {bar.trade_count} trades")
        previous_ms = bar.open_time_ms
        bars.append(bar)
    return bars


def read_aggregates(body: bytes, symbol: str) -> list[Trade]:
    """Read aggregate trades; the row has no event time, the trade's own stands in."""
    trades = [
        checked_trade(symbol, row.a, row.p, row.q, row.T, row.T, row.f, row.l, row.m)
        for row in _decode_aggregates(body)
    ]
    if any(later.trade_id <= earlier.trade_id for earlier, later in pairwise(trades)):
        raise FrameError("aggregate ids do not rise")
    return trades


def read_quote_volumes(body: bytes) -> dict[str, float]:
    """Read 24-hour tickers: symbol to quote volume."""
    return {
        row.symbol: parse_decimal(row.quoteVolume, MAX_QUOTE_VOLUME)
        for row in _decode_tickers(body)
    }
