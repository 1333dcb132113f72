"""Find recordings and read whatever of their lines can be read; the rest is counted."""

import glob
import gzip
import heapq
import re
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from core.errors import SettingsError
from ingest.binance.frames import MICROSECONDS_FROM

MAX_LINE = 4 * 2**20
"""Bytes of one frame; a whole order book has less. What is longer is passed over."""
HEADING_LINES = 50
"""A recorder may begin a file with as many lines about itself."""
_CHUNK = 1 << 16
_EARLIEST_MS = 1_262_304_000_000  # 2010: below it a whole number is a time in nanoseconds
_LATEST_MS = 4_102_444_800_000  # 2100
_EVENT_TIME = re.compile(rb'"E"\s*:\s*([0-9]{1,16})\b')
_FRAME_START = re.compile(rb"\{|\[\s*\{")
"""An object, or an array of them: a log's own brackets stand about a time."""

RecordedFrame: TypeAlias = tuple[int, bytes]
"""Receive time in nanoseconds, and the raw frame."""


@dataclass(slots=True)
class Unread:
    """What of some recordings could not be read."""

    lines: int = 0
    """Lines without a receive time, and those too long to be a frame."""
    files: dict[str, str] = field(default_factory=dict)
    """Files that could not be read to their end, and why."""

    def words(self) -> str:
        """Both in words; empty when everything was read."""
        told = [f"{name} can't be read to its end ({why})" for name, why in self.files.items()]
        if self.lines:
            told.append(f"{self.lines:,} lines passed over, without a receive time that is known")
        return "; ".join(told)


def find_recordings(where: str) -> list[Path]:
    """The files that a path, folder or glob pattern names.

    Raises
    ------
    SettingsError
        There is none, or what is there can't be looked at.
    """
    try:
        found = _named(where)
    except (OSError, RuntimeError) as error:  # RuntimeError: the home of a user who isn't one
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(f"SOURCE=replay:{where} can't be looked at ({why})") from None
    if not found:
        raise SettingsError(f"SOURCE=replay:{where} names no file; allowed: a file, folder or glob")
    return sorted(found)


def _named(where: str) -> list[Path]:
    path = Path(where).expanduser()
    if path.is_dir():
        return [item for item in path.iterdir() if item.is_file() and _is_recording(item)]
    if path.is_file():
        return [path]
    return [Path(name) for name in glob.glob(str(path)) if Path(name).is_file()]


def read_frames(paths: Sequence[Path], unread: Unread | None = None) -> Iterator[RecordedFrame]:
    """Yield the frames of all files, merged by receive time.

    A file is open from its own first frame on: a year of daily files opens one after the other.
    """
    unread = Unread() if unread is None else unread
    waiting = [(first, number) for number, path in enumerate(paths) for first in _first_ns(path)]
    # A file without any frame comes last, so that what is wrong with it is told.
    waiting += [(2**63, number) for number in set(range(len(paths))) - {n for _, n in waiting}]
    waiting.sort(reverse=True)
    heads: list[tuple[int, int, bytes, Iterator[RecordedFrame]]] = []
    while heads or waiting:
        if waiting and (not heads or waiting[-1][0] <= heads[0][0]):
            number = waiting.pop()[1]
            frames = _frames(paths[number], unread)
        else:
            received_ns, number, frame, frames = heapq.heappop(heads)
            yield received_ns, frame
        head = next(frames, None)
        if head is not None:
            heapq.heappush(heads, (head[0], number, head[1], frames))


def _is_recording(path: Path) -> bool:
    return bool(_first_ns(path))


def _first_ns(path: Path) -> list[int]:
    """Receive time of a file's first frame, as a list of one or none."""
    with closing(_lines(path, Unread())) as lines:
        for line in islice(lines, HEADING_LINES):
            split = split_line(line)
            if split is not None:
                return [split[0]]
    return []


def _frames(path: Path, unread: Unread) -> Iterator[RecordedFrame]:
    for line in _lines(path, unread):
        split = split_line(line)
        if split is not None:
            yield split
        elif line:
            unread.lines += 1


def _lines(path: Path, unread: Unread) -> Generator[bytes]:
    """Yield lines, stripped, as far as the file can be read; the last may be cut."""
    rest = b""
    is_too_long = False
    try:
        with _open(path) as file:
            while chunk := file.read1(_CHUNK):
                *whole, rest = (rest + chunk).split(b"\n")
                if whole and is_too_long:
                    is_too_long = False
                    del whole[0]
                if is_too_long or len(rest) > MAX_LINE:
                    unread.lines += not is_too_long
                    is_too_long, rest = True, b""
                for line in whole:
                    yield line.strip()
    except (OSError, EOFError, zlib.error) as error:
        unread.files[path.name] = str(error)
    if rest and not is_too_long:
        yield rest.strip()


def _open(path: Path) -> BufferedReader | gzip.GzipFile:
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return gzip.GzipFile(path) if is_gzip else path.open("rb")


def split_line(line: bytes) -> RecordedFrame | None:
    """Split a line into receive time and raw frame; None where there is no time that is known.

    The time is a whole number (nanoseconds, microseconds or milliseconds), seconds with a dot, or
    ISO 8601. A bare frame was received when the exchange says that it was sent.
    """
    line = line.removeprefix(b"\xef\xbb\xbf")
    start = _FRAME_START.search(line)
    if start is None:
        stamp, _, frame = line.partition(b" ")
    else:
        stamp, frame = line[: start.start()], line[start.start() :]
    stamp = stamp.strip(b" \t:,;|[]")
    if start is not None and not stamp:
        sent = _EVENT_TIME.search(frame, 0, 400)
        received_ns = None if sent is None else _whole_ns(int(sent[1]))
    else:
        received_ns = _stamp_ns(stamp) if len(stamp) <= 40 else None
    return None if received_ns is None or not frame else (received_ns, frame)


def _stamp_ns(stamp: bytes) -> int | None:
    seconds, dot, fraction = stamp.partition(b".")
    if seconds.isdigit() and (fraction.isdigit() if dot else len(seconds) <= 19):
        if not dot:
            return _whole_ns(int(seconds))
        return _known(int(seconds) * 10**9 + int(fraction[:9].ljust(9, b"0")))
    try:
        moment = datetime.fromisoformat(stamp.decode())
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return _known((since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000)


def _whole_ns(value: int) -> int | None:
    """A whole number as nanoseconds, by its size."""
    if _EARLIEST_MS <= value < MICROSECONDS_FROM:
        value *= 1_000_000
    elif _EARLIEST_MS * 1_000 <= value < MICROSECONDS_FROM * 1_000:
        value *= 1_000
    return _known(value)


def _known(received_ns: int) -> int | None:
    return received_ns if 0 <= received_ns < _LATEST_MS * 1_000_000 else None
