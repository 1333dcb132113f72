"""Open dump files and read their lines, within limits: what a file's name and zip say it is."""

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, FileIO, RawIOBase
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal, cast

from core.errors import ImportFileError
from core.symbols import SYMBOL_RULE, read_symbol
from core.timeframes import TIMEFRAMES

MAX_LINE = 4_096
"""Bytes; a row has some 200. A longer one is not read to its end."""
MAX_BLANK_LINES = 100
"""As many may end a file."""
MAX_TEXT_BYTES = 32 * 2**30
"""Text of one file; a month of the busiest symbol's trades is some 8 GB."""
MAX_ZIP_HEAD_BYTES = 2**20
"""A zip's list of members: one dump and a little litter have some hundred bytes. It is read at one
go, and a million names take 650 MB."""
REPORT_LINES = 8_192

_NAME = re.compile(
    r"(?P<symbol>.+)-(?P<kind>[A-Za-z0-9]+)-\d{4}-\d{1,2}(-\d{1,2})?\.(csv|zip)", re.IGNORECASE
)
_CONTRACT = re.compile(r".+(_PERP|_\d{6}|-\d{6}-.+)")
"""Coin-margined, dated and option contracts; a name of spot has no such end."""
_EXAMPLES = (
    "BTCUSDT-1h-2024-01.csv, BTCUSDT-1m-2024-01-05.zip or BTCUSDT-aggTrades-2024-01-05.zip do"
)
_BOM = b"\xef\xbb\xbf"

# What zipfile raises: of a name that is no text ValueError, of a password or of a method that it
# doesn't know RuntimeError.
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    RuntimeError,
)

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class DumpFile:
    """A file and what it holds; `timeframe_ms` is None for trades.

    `is_dump` says that its name told so, after Binance's fashion, and not the user.
    """

    path: Path
    symbol: str
    kind: Literal["klines", "aggTrades"]
    timeframe_ms: int | None
    is_dump: bool = True

    @property
    def name(self) -> str:
        """The file's name as text; names on a disk may be none."""
        return self.path.name.encode("utf-8", "replace").decode()

    @property
    def what(self) -> str:
        """What dumps call it: a timeframe, or aggTrades."""
        return next((name for name, ms in TIMEFRAMES.items() if ms == self.timeframe_ms), self.kind)


def describe(path: Path, symbol: str | None = None, timeframe: str | None = None) -> DumpFile:
    """Tell symbol and kind from a file's name, or from what the user says of it.

    Raises
    ------
    ImportFileError
        The name isn't that of a dump, what it holds can't be used, or it says something else
        than the user.
    """
    named = _named(path.name)
    if symbol is not None and timeframe is not None:
        said = _checked(path, symbol)
        if named is not None and named != (said, timeframe):
            raise ImportFileError(
                f"{path}: its name says {' '.join(named)}, to be read as {said} {timeframe}"
            )
        return DumpFile(path, said, "klines", TIMEFRAMES[timeframe], is_dump=False)
    if named is None:
        raise ImportFileError(
            f"{path}: the name must tell what is inside, as {_EXAMPLES}; of another CSV with a"
            " heading say it with --symbol and --timeframe"
        )
    if _is_of_futures(path.absolute()):
        raise ImportFileError(f"{path}: lies in a folder of futures dumps; only spot is imported")
    name, kind = _checked(path, named[0]), named[1]
    if _CONTRACT.fullmatch(name):
        raise ImportFileError(f"{path}: {name} is a futures or options contract, not spot")
    if kind == "aggTrades":
        return DumpFile(path, name, "aggTrades", None)
    if kind not in TIMEFRAMES:
        raise ImportFileError(
            f"{path}: {kind} can't be imported; allowed: klines of {', '.join(TIMEFRAMES)}"
            " and aggTrades"
        )
    return DumpFile(path, name, "klines", TIMEFRAMES[kind])


def _named(name: str) -> tuple[str, str] | None:
    """Symbol and kind that a name tells after Binance's fashion."""
    match = _NAME.fullmatch(name)
    return None if match is None else (match["symbol"].upper(), match["kind"])


def _is_of_futures(path: PurePath) -> bool:
    folders = {part.lower() for part in path.parent.parts}
    return "futures" in folders and bool({"um", "cm"} & folders)


def _checked(path: Path, symbol: str) -> str:
    try:
        return read_symbol(symbol)
    except ValueError:
        raise ImportFileError(f"{path}: {symbol!r} is no symbol; allowed: {SYMBOL_RULE}") from None


def size_bytes(dump: DumpFile) -> int:
    """Bytes of text that a full read of the file goes through."""
    with _translated(dump.path):
        # Neither a pipe nor a device is opened: it may never end, or never begin.
        status = dump.path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise ImportFileError(f"{dump.path}: is {kind}")
        if not _is_zip(dump.path):
            size = status.st_size
        else:
            with _archive(dump.path) as archive:
                size = _member(dump, archive).file_size
    if size > MAX_TEXT_BYTES:
        raise ImportFileError(f"{dump.path}: holds {size / 2**30:,.0f} GB of text")
    return size


def state(dump: DumpFile) -> tuple[int, int]:
    """What differs where the file was written to in between."""
    with _translated(dump.path):
        status = dump.path.stat()
        return status.st_size, status.st_mtime_ns


def read_lines(dump: DumpFile, on_bytes: OnBytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and text of every line, stripped; none of them is blank, and there is one."""
    read = number = 0
    blank = 0
    for number, line in enumerate(_raw_lines(dump), 1):
        read += len(line)
        if number % REPORT_LINES == 0:
            on_bytes(read)
        if number == 1:
            line = line.removeprefix(_BOM)
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise ImportFileError(f"{dump.path}: is UTF-16 text; save it as UTF-8")
        stripped = line.strip()
        if not stripped and number - (blank or number) < MAX_BLANK_LINES:
            blank = blank or number
            continue
        if blank:
            raise ImportFileError(f"{dump.path}: line {blank}: the line is blank")
        yield number, stripped
    on_bytes(read)


def _raw_lines(dump: DumpFile) -> Iterator[bytes]:
    # A generator, so that what a caller's own code raises is not taken for a broken file.
    with _translated(dump.path), _opened(dump) as text:
        number = 0
        while line := text.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                raise ImportFileError(
                    f"{dump.path}: line {number}: longer than {MAX_LINE:,} characters"
                )
            yield line


@contextmanager
def _opened(dump: DumpFile) -> Iterator[BufferedReader]:
    if not _is_zip(dump.path):
        with dump.path.open("rb") as plain:
            yield plain
        return
    with _archive(dump.path) as archive, archive.open(_member(dump, archive)) as packed:
        # The zip's own reader looks for the end of a line byte by byte once there is a limit.
        yield BufferedReader(cast("RawIOBase", packed))


class _ShortReads(FileIO):
    """Refuses to read much at once: of a zip that is its list of members, however it is told."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_ZIP_HEAD_BYTES:
            raise zipfile.BadZipFile("its list of members is too long")
        return super().read(size)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    with _ShortReads(path) as file, zipfile.ZipFile(file) as archive:
        yield archive


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _member(dump: DumpFile, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [item for item in archive.infolist() if not _is_litter(item.filename)]
    names = [item.filename for item in members]
    if len(members) != 1 or not names[0].lower().endswith(".csv"):
        held = ", ".join(repr(name) for name in names[:3]) or "nothing"
        raise ImportFileError(f"{dump.path}: the zip must hold one CSV file, it holds {held}")
    if members[0].flag_bits & 1:
        raise ImportFileError(f"{dump.path}: the zip is encrypted")
    if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ImportFileError(f"{dump.path}: the zip is packed by a method that dumps don't use")
    held_path = PurePosixPath(names[0].replace("\\", "/"))  # some of Windows' zips
    inside = _named(held_path.name)
    is_foreign = inside is not None and inside != (dump.symbol, dump.what)
    if is_foreign or (dump.is_dump and _is_of_futures(held_path)):
        raise ImportFileError(f"{dump.path}: the zip holds {names[0]!r}, which is another thing")
    return members[0]


def _is_litter(name: str) -> bool:
    """Tell folders and what file managers leave in a zip."""
    path = PurePosixPath(name)
    return (
        name.endswith("/")
        or "__MACOSX" in path.parts
        or path.name.startswith(".")
        or path.name.lower() in ("thumbs.db", "desktop.ini")
    )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImportFileError(f"{path}: can't be read ({error.strerror or error})") from error
    except _BROKEN_ZIP as error:
        raise ImportFileError(f"{path}: the zip is broken ({error})") from error
