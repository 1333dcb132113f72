"""Read Binance's public dump files: lines in, bars or trades out, every line checked.

A generator here stops with `ImportFileError` at the first bad line, so that a caller who has
drained one knows that the whole file is good.
"""

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal

from core.errors import ImportFileError
from core.types import TIMEFRAMES, Bar, Trade

EARLIEST_MS = 1_262_304_000_000  # 2010: what is less is seconds or no time at all
FIRST_MICROSECONDS = 10**14  # as milliseconds this would be the year 5138
FIRST_BEYOND = 10**17
MAX_ID = 2**53
REPORT_LINES = 8_192

_NAME = re.compile(
    r"(?P<symbol>[^\s\-/]{2,20})-(?P<kind>[A-Za-z0-9]+)-\d{4}-\d{2}(-\d{2})?\.(csv|zip)"
)
_KLINE_COLUMNS = 12
_TRADE_COLUMNS = (7, 8)  # futures dumps leave out the last, "best match"
_FLAGS = {b"true": True, b"false": False, b"1": True, b"0": False}

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class DumpFile:
    """A dump file and what its name says; `timeframe_ms` is None for trades."""

    path: Path
    symbol: str
    kind: Literal["klines", "aggTrades"]
    timeframe_ms: int | None


class BadLine(ValueError):
    """What is wrong with one line, in plain words."""


def describe(path: Path) -> DumpFile:
    """Tell symbol and kind from a file's name.

    Raises
    ------
    ImportFileError
        The name isn't that of a dump, or what it holds can't be used.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ImportFileError(
            f"{path}: the name must tell what is inside, as BTCUSDT-1h-2024-01.csv,"
            " BTCUSDT-1m-2024-01-05.zip or BTCUSDT-aggTrades-2024-01-05.zip do"
        )
    symbol, kind = match["symbol"].upper(), match["kind"]
    if kind == "aggTrades":
        return DumpFile(path, symbol, "aggTrades", None)
    if kind not in TIMEFRAMES:
        raise ImportFileError(
            f"{path}: {kind} can't be imported; allowed: klines of {', '.join(TIMEFRAMES)}"
            " and aggTrades"
        )
    return DumpFile(path, symbol, "klines", TIMEFRAMES[kind])


def size_bytes(dump: DumpFile) -> int:
    """Bytes of text that a full read of the file goes through."""
    with _translated(dump.path):
        if dump.path.suffix != ".zip":
            return dump.path.stat().st_size
        with zipfile.ZipFile(dump.path) as archive:
            return _member(dump.path, archive).file_size


def read_klines(dump: DumpFile, on_bytes: OnBytes) -> Iterator[Bar]:
    """Yield a klines file's bars; times rise, holes between them are the exchange's own."""
    assert dump.timeframe_ms is not None
    last = -1
    for number, fields in _lines(dump, on_bytes):
        try:
            bar = _kline(fields, dump.timeframe_ms)
            if bar.open_time_ms <= last:
                raise BadLine("the open time does not rise")
        except ValueError as error:
            raise _refusal(dump, number, error) from None
        last = bar.open_time_ms
        yield bar


def read_trades(dump: DumpFile, on_bytes: OnBytes) -> Iterator[Trade]:
    """Yield an aggTrades file's trades; ids rise and may skip, times never fall."""
    last_id = last_time = -1
    for number, fields in _lines(dump, on_bytes):
        try:
            trade = _trade(fields, dump.symbol)
            if trade.trade_id <= last_id:
                raise BadLine("the trade id does not rise")
            if trade.trade_time_ms < last_time:
                raise BadLine("the time falls")
        except ValueError as error:
            raise _refusal(dump, number, error) from None
        last_id, last_time = trade.trade_id, trade.trade_time_ms
        yield trade


def _kline(fields: list[bytes], timeframe_ms: int) -> Bar:
    if len(fields) != _KLINE_COLUMNS:
        raise BadLine(f"{len(fields)} columns instead of {_KLINE_COLUMNS}")
    open_ms, rest = _time(fields[0])
    if rest or open_ms % timeframe_ms:
        raise BadLine("the open time is not on the grid of the timeframe")
    close_ms, _ = _time(fields[6])
    if not open_ms <= close_ms < open_ms + timeframe_ms:
        raise BadLine("the close time is not inside the bar")
    open_, high, low, close = map(float, fields[1:5])
    if not 0 < low <= open_ <= high or not low <= close <= high or not isfinite(high):
        raise BadLine("prices must be positive, with low <= open, close <= high")
    volume, quote_volume = float(fields[5]), float(fields[7])
    taker_volume, taker_quote = float(fields[9]), float(fields[10])
    for value in (volume, quote_volume, taker_volume, taker_quote):
        if not (value >= 0 and isfinite(value)):
            raise BadLine("volumes must be numbers from 0 up")
    if taker_volume > volume * (1 + 1e-9):
        raise BadLine("takers bought more than was traded")
    count = int(fields[8])
    if not 0 <= count <= MAX_ID:
        raise BadLine("the number of trades must be from 0 up")
    return Bar(
        open_ms, open_, high, low, close, volume, quote_volume, count, taker_volume, complete=True
    )


def _trade(fields: list[bytes], symbol: str) -> Trade:
    if len(fields) not in _TRADE_COLUMNS:
        raise BadLine(f"{len(fields)} columns instead of {_TRADE_COLUMNS[-1]}")
    trade_id, first_id, last_id = int(fields[0]), int(fields[3]), int(fields[4])
    price, quantity = float(fields[1]), float(fields[2])
    time_ms, _ = _time(fields[5])
    # An aggregate that the exchange took back keeps its place in the chain of ids.
    is_tombstone = price == quantity == 0.0 and first_id == last_id == -1
    if not is_tombstone:
        if not (price > 0 and quantity > 0 and isfinite(price) and isfinite(quantity)):
            raise BadLine("price and quantity must be numbers above 0")
        if not 0 <= first_id <= last_id <= MAX_ID:
            raise BadLine("the raw trade ids are not a range")
    if not 0 <= trade_id <= MAX_ID:
        raise BadLine("the trade id is out of range")
    is_maker = _FLAGS.get(fields[6].strip().lower())
    if is_maker is None:
        raise BadLine("buyer-maker must be true or false")
    return Trade(symbol, trade_id, price, quantity, time_ms, time_ms, first_id, last_id, is_maker)


def _time(field: bytes) -> tuple[int, int]:
    """Milliseconds, and what is left of a time in microseconds."""
    value = int(field)
    rest = 0
    if value >= FIRST_MICROSECONDS:
        value, rest = divmod(value, 1_000)
    if not EARLIEST_MS <= value < FIRST_BEYOND // 1_000:
        raise BadLine("a time is neither milliseconds nor microseconds since 1970")
    return value, rest


def _lines(dump: DumpFile, on_bytes: OnBytes) -> Iterator[tuple[int, list[bytes]]]:
    """Yield number and fields of every line but a header; at least one, none of them blank."""
    read = rows = number = 0
    blank = False
    for number, line in enumerate(_raw_lines(dump.path), 1):
        read += len(line)
        if number % REPORT_LINES == 0:
            on_bytes(read)
        stripped = line.strip()
        if not stripped:
            blank = True
            continue
        if blank:
            raise ImportFileError(f"{dump.path}: line {number - 1}: the line is blank")
        if number == 1 and _is_header(stripped, dump.kind):
            continue
        if b"_" in stripped:  # Python would read 1_000 as a number
            raise _refusal(dump, number, BadLine("not a number"))
        rows += 1
        yield number, stripped.split(b",")
    if not rows:
        raise ImportFileError(f"{dump.path}: there is no row in it")
    on_bytes(read)


def _is_header(line: bytes, kind: str) -> bool:
    first = re.sub(rb"[^a-z]", b"", line.partition(b",")[0].lower())
    return first in ((b"opentime",) if kind == "klines" else (b"aggtradeid", b"aggregatetradeid"))


def _raw_lines(path: Path) -> Iterator[bytes]:
    # A generator, so that what a caller's own code raises is not taken for a broken file.
    with _translated(path):
        if path.suffix != ".zip":
            with path.open("rb") as plain:
                yield from plain
            return
        with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive)) as packed:
            yield from packed


def _member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [item for item in archive.infolist() if not item.is_dir()]
    if len(members) != 1 or not members[0].filename.endswith(".csv"):
        raise ImportFileError(f"{path}: the zip must hold one CSV file and nothing else")
    if members[0].flag_bits & 1:
        raise ImportFileError(f"{path}: the zip is encrypted")
    return members[0]


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImportFileError(f"{path}: can't be read ({error.strerror or error})") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ImportFileError(f"{path}: the zip is broken ({error})") from error


def _refusal(dump: DumpFile, number: int, error: ValueError) -> ImportFileError:
    words = str(error) if isinstance(error, BadLine) else "not a number"
    return ImportFileError(f"{dump.path}: line {number}: {words}; nothing of it was imported")
