"""Recorded frames through the live pipeline: what the desk showed then, it shows again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from core.errors import FrameError, SettingsError
from core.symbols import is_symbol, split_symbol
from core.types import Trade
from ingest.binance.frames import parse_frame
from ingest.files.importer import ImportedSymbol
from ingest.files.recordings import Unread, read_frames
from ingest.live.chain import LONGEST_SILENCE_MS
from ingest.live.pipeline import GRACE_MS, Pipeline

BATCH = 2_000
MAX_SILENCE_MS = 86_400_000
"""How long after the last trade a recorder's clock still closes bars."""
MAX_LAG_MS = 86_400_000
"""By whatever clock the recorder had: a trade further than this from when it was received, more or
less than its like, is absurd, or its receive time is."""
_FIRST = 101
"""Trades whose median lag says what is ordinary: any one of them may be the absurd one."""


@dataclass(slots=True)
class Replayed:
    """What was in the recording."""

    frames: int = 0
    trades: int = 0
    others: int = 0
    broken: int = 0
    first_received_ms: int = 0
    unread: Unread = field(default_factory=Unread)

    def words(self, new: int | None = None) -> str:
        """What was in it, how many trades of it were new, and what could not be read."""
        known = "" if new is None else f" ({new:,} new)"
        told = (
            f"{self.trades:,} trades{known}, {self.others:,} others passed over,"
            f" {self.broken:,} broken"
        )
        return f"{told}; {self.unread.words()}" if self.unread.words() else told


Write = Callable[[Callable[[], None]], None]


def _directly(work: Callable[[], None]) -> None:
    work()


class Replay:
    """One pass of recorded frames through a pipeline whose clock is the recording's.

    Parameters
    ----------
    paths : files of `<receive time> <raw frame>` lines, gzip allowed.
    speed : 1 is real time; None is as fast as possible.
    monotonic, sleep : how real time passes.
    should_stop : asked once a batch.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        speed: float | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._paths = paths
        self._speed = speed
        self._monotonic = monotonic
        self._sleep = sleep
        self._should_stop = should_stop
        self.result = Replayed()
        self.now_ms = 0
        self._known_symbols: set[str] = set()
        self._lag_ms: int | None = None

    def clock_ms(self) -> int:
        """The recording's clock: the receive time of the frame at hand."""
        return self.now_ms

    def symbols(self) -> list[ImportedSymbol]:
        """Every symbol that trades in the recording.

        Raises
        ------
        SettingsError
            There is none: nothing of it can be understood.
        """
        found: set[str] = set()
        lags: list[int] = []
        look = Replayed()
        for received_ns, frame in read_frames(self._paths, look.unread):
            received_ms = received_ns // 1_000_000
            trade = self._parse(frame, received_ms, look)
            if trade is not None:
                found.add(trade.symbol)
                if len(lags) < _FIRST:
                    lags.append(received_ms - trade.trade_time_ms)
        if not found:
            names = ", ".join(path.name for path in self._paths[:5])
            raise SettingsError(
                f"{names}: nothing to replay: {look.words()}; allowed: lines of a receive time and"
                " a raw frame of Binance's trade streams"
            )
        self._lag_ms = int(median(lags))
        return [ImportedSymbol(name, *split_symbol(name), "TRADING") for name in sorted(found)]

    def run(self, pipeline: Pipeline, write: Write = _directly) -> Replayed:
        """Send every trade through the pipeline; at the end, close what has ended by then.

        Parameters
        ----------
        write : runs work on the pipeline, in the thread that writes.
        """
        result, batch = self.result, list[Trade]()
        started, closed_ms, newest_ms = self._monotonic(), 0, 0
        for received_ns, frame in read_frames(self._paths, result.unread):
            received_ms = received_ns // 1_000_000
            result.frames += 1
            trade = self._parse(frame, received_ms, result)
            # Other frames have no time of their own to judge their receive time by.
            if trade is not None or abs(received_ms - self.now_ms) <= MAX_LAG_MS:
                self.now_ms = received_ms
                result.first_received_ms = result.first_received_ms or received_ms
            if self._speed is not None:
                due = (self.now_ms - result.first_received_ms) / 1_000 / self._speed
                ahead = due - (self._monotonic() - started)
                if ahead > 0.02:
                    closed_ms = self._flush(pipeline, write, batch, closed_ms)
                    self._sleep(ahead)
            if trade is not None:
                if newest_ms and trade.trade_time_ms - newest_ms > LONGEST_SILENCE_MS:
                    closed_ms = self._flush(pipeline, write, batch, closed_ms)
                    write(partial(pipeline.close_recording, trade.trade_time_ms))
                newest_ms = max(newest_ms, trade.trade_time_ms)
                batch.append(trade)
            if len(batch) >= BATCH:
                closed_ms = self._flush(pipeline, write, batch, closed_ms)
            if result.frames % BATCH == 0 and self._should_stop():
                break
        self._flush(pipeline, write, batch, closed_ms)
        # Nothing more will come: no grace, and the recorder's clock counts too, in reason.
        known_ms = pipeline.event_time_ms
        until_ms = max(known_ms, min(self.now_ms, known_ms + MAX_SILENCE_MS))
        write(lambda: pipeline.close_recording(until_ms))
        return result

    def _parse(self, frame: bytes, received_ms: int, result: Replayed) -> Trade | None:
        try:
            trade = parse_frame(frame)
        except FrameError:
            result.broken += 1
            return None
        if trade is None:
            result.others += 1
            return None
        if not self._is_sane(trade, received_ms):
            result.broken += 1
            return None
        result.trades += 1
        return trade

    def _is_sane(self, trade: Trade, received_ms: int) -> bool:
        if trade.symbol not in self._known_symbols:
            if not is_symbol(trade.symbol):
                return False
            self._known_symbols.add(trade.symbol)
        lag_ms = received_ms - trade.trade_time_ms
        return self._lag_ms is None or abs(lag_ms - self._lag_ms) <= MAX_LAG_MS

    def _flush(self, pipeline: Pipeline, write: Write, batch: list[Trade], closed_ms: int) -> int:
        if batch:
            write(lambda: pipeline.ingest(batch))
            batch.clear()
        until = pipeline.event_time_ms - GRACE_MS
        if until // 1_000 > closed_ms // 1_000:
            write(lambda: pipeline.close_bars(until))
            return until
        return closed_ms
