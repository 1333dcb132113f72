"""Recorded frames through the live pipeline: what the desk showed then, it shows again."""

import glob
import gzip
import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from core.errors import FrameError, SettingsError
from core.symbols import split_symbol
from core.types import Trade
from ingest.binance.frames import parse_frame
from ingest.files.importer import ImportedSymbol
from ingest.live.pipeline import GRACE_MS, Pipeline

BATCH = 2_000


@dataclass(slots=True)
class Replayed:
    """What was in the recording."""

    frames: int = 0
    trades: int = 0
    others: int = 0
    broken: int = 0
    first_received_ms: int = 0
    last_received_ms: int = 0


def find_recordings(where: str) -> list[Path]:
    """The files that a path, folder or glob pattern names.

    Raises
    ------
    SettingsError
        There is none.
    """
    path = Path(where).expanduser()
    if path.is_dir():
        found = [item for item in path.iterdir() if item.is_file() and _is_recording(item)]
    elif path.is_file():
        found = [path]
    else:
        found = [Path(name) for name in glob.glob(str(path)) if Path(name).is_file()]
    if not found:
        raise SettingsError(f"SOURCE=replay:{where} names no file; allowed: a file, folder or glob")
    return sorted(found)


def _is_recording(path: Path) -> bool:
    with _open(path) as file:
        try:
            return _split(file.readline()) is not None
        except (OSError, EOFError):
            return False


def _open(path: Path) -> BufferedReader:
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return BufferedReader(gzip.GzipFile(path)) if is_gzip else path.open("rb")


def _split(line: bytes) -> tuple[int, bytes] | None:
    """Receive time in nanoseconds and raw frame; the time is written in ns, or in s with a dot."""
    stamp, _, frame = line.strip().partition(b" ")
    stamp = stamp.removesuffix(b":")
    seconds, dot, fraction = stamp.partition(b".")
    if not frame or not seconds.isdigit() or (dot and not fraction.isdigit()):
        return None
    if dot:
        return int(seconds) * 10**9 + int(fraction[:9].ljust(9, b"0")), frame
    return int(seconds), frame


def read_frames(paths: Sequence[Path]) -> Iterator[tuple[int, bytes]]:
    """Yield receive time (ns) and frame of all files, merged by receive time.

    Lines that have no receive time, such as a recorder's header, are passed over.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(_open(path)) for path in paths]
        yield from heapq.merge(*(_lines(file) for file in files), key=lambda line: line[0])


def _lines(file: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for line in file:
        split = _split(line)
        if split is not None:
            yield split


class Replay:
    """One pass of recorded frames through a pipeline whose clock is the recording's.

    Parameters
    ----------
    paths : files of `<receive time> <raw frame>` lines, gzip allowed.
    speed : 1 is real time; None is as fast as possible.
    write : runs work on the pipeline, in the thread that writes.
    monotonic, sleep : how real time passes.
    should_stop : asked once a batch.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        speed: float | None = None,
        *,
        write: Callable[[Callable[[], None]], None] = lambda work: work(),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._paths = paths
        self._speed = speed
        self._write = write
        self._monotonic = monotonic
        self._sleep = sleep
        self._should_stop = should_stop
        self.result = Replayed()
        self.now_ms = 0

    def clock_ms(self) -> int:
        """The recording's clock: the receive time of the frame at hand."""
        return self.now_ms

    def symbols(self) -> list[ImportedSymbol]:
        """Every symbol that trades in the recording."""
        found: set[str] = set()
        for _, frame in read_frames(self._paths):
            trade = self._parse(frame, Replayed())
            if trade is not None:
                found.add(trade.symbol)
        return [ImportedSymbol(name, *split_symbol(name), "TRADING") for name in sorted(found)]

    def run(self, pipeline: Pipeline) -> Replayed:
        """Send every trade through the pipeline; at the end, close what has ended by then."""
        result, batch = self.result, list[Trade]()
        started, closed_ms = self._monotonic(), 0
        for received_ns, frame in read_frames(self._paths):
            self.now_ms = received_ns // 1_000_000
            result.frames += 1
            result.first_received_ms = result.first_received_ms or self.now_ms
            if self._speed is not None:
                due = (self.now_ms - result.first_received_ms) / 1_000 / self._speed
                ahead = due - (self._monotonic() - started)
                if ahead > 0.02:
                    closed_ms = self._flush(pipeline, batch, closed_ms)
                    self._sleep(ahead)
            trade = self._parse(frame, result)
            if trade is not None:
                batch.append(trade)
            if len(batch) >= BATCH:
                closed_ms = self._flush(pipeline, batch, closed_ms)
            if result.frames % BATCH == 0 and self._should_stop():
                break
        result.last_received_ms = self.now_ms
        self._flush(pipeline, batch, closed_ms)
        # Nothing more will come: no grace, and the recorder's clock counts too.
        self._write(lambda: pipeline.close_bars(max(pipeline.event_time_ms, self.now_ms)))
        return result

    def _parse(self, frame: bytes, result: Replayed) -> Trade | None:
        try:
            trade = parse_frame(frame)
        except FrameError:
            result.broken += 1
            return None
        if trade is None:
            result.others += 1
        else:
            result.trades += 1
        return trade

    def _flush(self, pipeline: Pipeline, batch: list[Trade], closed_ms: int) -> int:
        if batch:
            self._write(lambda: pipeline.ingest(batch))
            batch.clear()
        until = pipeline.event_time_ms - GRACE_MS
        if until // 1_000 > closed_ms // 1_000:
            self._write(lambda: pipeline.close_bars(until))
            return until
        return closed_ms


def replay_files(paths: Sequence[Path], pipeline: Pipeline, speed: float | None = None) -> Replayed:
    """Send recorded files through a pipeline that has not been started yet."""
    replay = Replay(paths, speed)
    pipeline.start(replay.symbols(), keep_existing=True)
    return replay.run(pipeline)
