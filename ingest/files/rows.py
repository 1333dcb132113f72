"""One line of a dump file as a bar or a trade, and what its heading says. No I/O, no memory."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.symbols import split_symbol
from core.types import Bar, Trade
from ingest.binance.answers import MAX_QUOTE_VOLUME
from ingest.binance.frames import MAX_AGGREGATED, MAX_AMOUNT, MAX_ID, MICROSECONDS_FROM

EARLIEST_MS = 1_262_304_000_000  # 2010: what is less is seconds or no time at all
MIN_PRICE = 1e-18
MAX_DIGITS = 40
"""Characters of one number: Python would take minutes over one of a million."""

_KLINE_COLUMNS = 12
_TRADE_COLUMNS = 8
_FLAGS = {b"true": True, b"false": False, b"1": True, b"0": False}
_FUTURES_KLINES = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    b"taker_buy_quote_volume,ignore"
)
"""The heading of futures dumps; spot dumps have none."""
_CONTRACT_USD = (10, 100)
"""What a contract of coin-margined futures is worth."""
_NAMES = {
    "open_time": ("opentime", "time", "timestamp", "unix", "unixtime", "datetime", "date"),
    "open": ("open", "openprice"),
    "high": ("high", "highprice"),
    "low": ("low", "lowprice"),
    "close": ("close", "closeprice"),
    "close_time": ("closetime",),
    "volume": ("volume", "vol", "basevolume", "baseassetvolume"),
    "quote_volume": ("quotevolume", "quoteassetvolume"),
    "trade_count": ("count", "trades", "tradecount", "numberoftrades"),
    "taker_buy_volume": ("takerbuyvolume", "takerbuybasevolume", "takerbuybaseassetvolume"),
    "taker_quote_volume": ("takerbuyquotevolume", "takerbuyquoteassetvolume"),
    "symbol": ("symbol", "pair", "ticker"),
}


class BadLine(ValueError):
    """What is wrong with one line, in plain words."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a line of klines has what; None where it doesn't have it."""

    is_dump: bool
    count: int
    open_time: int
    open: int
    high: int
    low: int
    close: int
    close_time: int | None = None
    volume: int | None = None
    quote_volume: int | None = None
    trade_count: int | None = None
    taker_buy_volume: int | None = None
    taker_quote_volume: int | None = None
    symbol: int | None = None


DUMP_COLUMNS = Columns(True, _KLINE_COLUMNS, 0, 1, 2, 3, 4, 6, 5, 7, 8, 9, 10)


def kline_columns(first: bytes, symbol: str, is_dump: bool) -> Columns | None:
    """Read the first line of a klines file as its heading; None when it is a row already.

    Raises
    ------
    BadLine
        It is the heading of futures dumps (unless the user said what the file is, which
        `is_dump` denies), or it lacks a column that a bar needs.
    """
    cells = [cell.strip().strip(b'"') for cell in first.split(b",")]
    if re.match(rb"[+-]?[0-9]", cells[0]):
        return None
    if is_dump and b",".join(cells).lower() == _FUTURES_KLINES:
        raise BadLine(
            "the heading is that of Binance's futures dumps, spot dumps have none; if it is spot"
            " all the same, say so with --symbol and --timeframe"
        )
    found: dict[str, int] = {}
    # Some write the volumes of both sides as "Volume BTC" and "Volume USDT".
    base, quote = (f"volume{part.lower()}" for part in split_symbol(symbol))
    names = _NAMES | {
        "volume": (*_NAMES["volume"], base),
        "quote_volume": (*_NAMES["quote_volume"], quote),
    }
    plain = [re.sub(r"[^a-z]", "", cell.decode("utf-8", "replace").lower()) for cell in cells]
    for field, spellings in names.items():
        for spelling in spellings:
            if spelling in plain:
                found[field] = plain.index(spelling)
                break
    lacking = [name for name in ("open_time", "open", "high", "low", "close") if name not in found]
    if lacking:
        raise BadLine(f"not a number, nor a heading: it names no {', '.join(lacking)}")
    return Columns(is_dump, len(cells), **found)


def is_note(first: bytes) -> bool:
    """Tell a first line that is about the file, not of it: a link, `sep=,`, a remark."""
    return first.startswith(b"#") or b"," not in first.strip(b",")


def contract_price(bar: Bar) -> float | None:
    """The mean price if the volume counts contracts and the quote volume coins; else None.

    So have it the klines of coin-margined futures, which may have neither heading nor folder.
    """
    for contract in _CONTRACT_USD if bar.quote_volume else ():
        price = contract * bar.volume / bar.quote_volume
        if bar.low * 0.999 <= price <= bar.high * 1.001:  # volumes are rounded
            return price
    return None


def is_trade_heading(first: bytes) -> bool:
    """Tell a heading of aggTrades from a row."""
    return re.sub(rb"[^a-z]", b"", first.partition(b",")[0].lower()) in (
        b"aggtradeid",
        b"aggregatetradeid",
    )


def kline(fields: Sequence[bytes], columns: Columns, symbol: str, timeframe_ms: int) -> Bar | None:
    """Read a bar; None where it doesn't begin on the grid of the timeframe.

    Where a file has no volume the bar counts as traded once: nothing says that it stood still.
    """
    if len(fields) != columns.count:
        raise BadLine(f"{len(fields)} columns instead of {columns.count}")
    if columns.symbol is not None and _plain_symbol(fields[columns.symbol]) != _plain_symbol(
        symbol.encode()
    ):
        raise BadLine(f"the row is of another symbol than {symbol}")
    open_ms, rest = _time(fields[columns.open_time], columns.is_dump)
    if columns.close_time is not None:
        close_ms, _ = _time(fields[columns.close_time], columns.is_dump)
        if not open_ms <= close_ms < open_ms + timeframe_ms:
            raise BadLine("the close time is not inside the bar")
    open_, high, low, close = (
        _number(fields[column])
        for column in (columns.open, columns.high, columns.low, columns.close)
    )
    if not MIN_PRICE <= low <= open_ <= high <= MAX_AMOUNT or not low <= close <= high:
        raise BadLine("prices must be positive and sane, with low <= open, close <= high")
    volume = _volume(fields, columns.volume, MAX_AMOUNT)
    taker_volume = _volume(fields, columns.taker_buy_volume, MAX_AMOUNT)
    if columns.volume is not None and taker_volume > volume * (1 + 1e-9):
        raise BadLine("takers bought more than was traded")
    if columns.trade_count is not None:
        count = _whole(fields[columns.trade_count])
    else:
        count = int(columns.volume is None or volume > 0)
    if not 0 <= count <= MAX_ID:
        raise BadLine("the number of trades must be from 0 up")
    quote_volume = _volume(fields, columns.quote_volume, MAX_QUOTE_VOLUME)
    _volume(fields, columns.taker_quote_volume, MAX_QUOTE_VOLUME)
    if rest or open_ms % timeframe_ms:
        return None
    return Bar(
        open_ms,
        open_,
        high,
        low,
        close,
        volume,
        quote_volume,
        count,
        taker_volume,
        complete=True,
    )


def trade(fields: Sequence[bytes], symbol: str) -> Trade:
    """Read an aggregate trade of spot."""
    if len(fields) == _TRADE_COLUMNS - 1:
        raise BadLine("7 columns instead of 8, as futures dumps have: another market")
    if len(fields) != _TRADE_COLUMNS:
        raise BadLine(f"{len(fields)} columns instead of {_TRADE_COLUMNS}")
    trade_id, first_id, last_id = (_whole(fields[column]) for column in (0, 3, 4))
    price, quantity = _number(fields[1]), _number(fields[2])
    time_ms, _ = _time(fields[5], True)
    # An aggregate that the exchange took back keeps its place in the chain of ids.
    is_tombstone = price == quantity == 0.0 and first_id == last_id == -1
    if not is_tombstone:
        if not (MIN_PRICE <= price <= MAX_AMOUNT and MIN_PRICE <= quantity <= MAX_AMOUNT):
            raise BadLine("price and quantity must be sane numbers above 0")
        if not 0 <= first_id <= last_id <= min(MAX_ID, first_id + MAX_AGGREGATED):
            raise BadLine("the raw trade ids are not a range")
    if not 0 <= trade_id <= MAX_ID:
        raise BadLine("the trade id is out of range")
    is_maker = _FLAGS.get(fields[6].strip().lower())
    if is_maker is None:
        raise BadLine("buyer-maker must be true or false")
    return Trade(symbol, trade_id, price, quantity, time_ms, time_ms, first_id, last_id, is_maker)


def _number(field: bytes) -> float:
    # Python would read 1_000 as a number, and take a long text for ever.
    if len(field) > MAX_DIGITS or b"_" in field:
        raise BadLine("not a number")
    return float(field)


def _whole(field: bytes) -> int:
    if len(field) > MAX_DIGITS or b"_" in field:
        raise BadLine("not a number")
    return int(field)


def _volume(fields: Sequence[bytes], column: int | None, largest: float) -> float:
    if column is None:
        return 0.0
    value = _number(fields[column])
    if not 0 <= value <= largest:
        raise BadLine("volumes must be sane numbers from 0 up")
    return value


def _time(field: bytes, is_dump: bool) -> tuple[int, int]:
    """Milliseconds, and what is left of a time in microseconds.

    Dumps have whole milliseconds or microseconds; other files may have seconds, nanoseconds, a
    dot and zeros behind any of them, or ISO 8601.
    """
    if not is_dump and b"-" in field[1:]:
        moment = datetime.fromisoformat(field[:MAX_DIGITS].decode().strip())
        return round(
            (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000
        ), 0
    if not is_dump and not field.partition(b".")[2].strip(b" 0"):
        field = field.partition(b".")[0]
    value, rest = _whole(field), 0
    if not is_dump and value >= MICROSECONDS_FROM * 1_000:
        value, rest = divmod(value, 1_000_000)
    if value >= MICROSECONDS_FROM:
        value, rest = divmod(value, 1_000)
    elif not is_dump and value < EARLIEST_MS // 10:
        value *= 1_000
    if not EARLIEST_MS <= value < MICROSECONDS_FROM:
        raise BadLine("a time is neither milliseconds nor microseconds since 1970")
    return value, rest


def _plain_symbol(field: bytes) -> str:
    return re.sub(r"[^\w]", "", field.decode("utf-8", "replace").upper())
