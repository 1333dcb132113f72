"""The commands that load files and end: dumps and recordings, with a line of progress."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from core.errors import StoreBusy
from ingest.files.forgetting import forget
from ingest.files.importer import ImportProgress, import_files
from ingest.files.recordings import find_recordings
from ingest.files.replay import Replay
from ingest.files.summary import RefusedFile
from ingest.live.pipeline import Pipeline
from ingest.store import process
from ingest.store.engine import migrate, open_engine
from ingest.store.lock import role_lock
from ingest.store.reader import Reader
from ingest.store.transaction import Writer

BAR_WIDTH = 30
REDRAW_S = 0.1


class ProgressBar:
    """A bar that redraws itself in a terminal; elsewhere one line per file and phase."""

    def __init__(self) -> None:
        self._drawn_at = 0.0
        self._label = ""
        self._is_open = False

    def __call__(self, progress: ImportProgress) -> None:
        """Draw how far a file is."""
        label = f"{progress.phase} {progress.path.name}"
        is_done = progress.done >= progress.total
        if not sys.stderr.isatty():
            if label != self._label:
                print(label, file=sys.stderr)
        elif is_done or label != self._label or time.monotonic() - self._drawn_at > REDRAW_S:
            share = progress.done / progress.total if progress.total else 1.0
            filled = "█" * round(share * BAR_WIDTH)
            end = "\n" if is_done else ""
            bar = f"\r{label} {filled:░<{BAR_WIDTH}} {share:4.0%}"
            print(bar, end=end, file=sys.stderr, flush=True)
            self._drawn_at, self._is_open = time.monotonic(), not is_done
        self._label = label

    def end(self) -> None:
        """Leave the line of a bar that got no further."""
        if self._is_open:
            print(file=sys.stderr)
        self._is_open = False


def load_dumps(
    files: Sequence[str], url: str, symbol: str | None = None, timeframe: str | None = None
) -> int:
    """Import files into a database; works beside a running worker. 1 if any was refused."""
    migrate(url)
    writer = Writer(open_engine(url))
    progress = ProgressBar()
    refused = 0
    try:
        for result in import_files(files, writer, progress, symbol=symbol, timeframe=timeframe):
            progress.end()
            if isinstance(result, RefusedFile):
                refused += 1
                print(f"refused: {result.reason}", file=sys.stderr, flush=True)
            else:
                print("\n".join(result.lines()), flush=True)
    finally:
        writer.close()
    if refused:
        print(f"{refused} of {len(files)} files refused", file=sys.stderr)
    return 1 if refused else 0


def forget_symbols(symbols: Sequence[str], imported_only: bool, url: str) -> int:
    """Remove what was imported or stored of symbols, after saying what."""
    migrate(url)
    reader, writer = Reader(url), Writer(open_engine(url))
    try:
        forget(symbols, imported_only, url, reader, writer, lambda text: print(text, flush=True))
    finally:
        reader.close()
        writer.close()
    return 0


def replay_recordings(files: Sequence[str], speed: float | None, url: str) -> int:
    """Send recordings through the pipeline into the database of replays."""
    paths = sorted({path for name in files for path in find_recordings(name)}, key=Path.resolve)
    migrate(url)
    lock = role_lock(url, "worker")
    if not lock.acquire():
        raise StoreBusy("A worker is replaying into this database; stop it first.")
    writer = Writer(open_engine(url, checkpoints=True))
    try:
        replay = Replay(paths, speed)
        pipeline = Pipeline(writer, replay.clock_ms)
        pipeline.start(replay.symbols(), keep_existing=True)
        started = time.monotonic()
        result = replay.run(pipeline)
        with writer.transaction() as tx:
            process.set_meta(tx, "source", "replay")
            process.set_meta(tx, "source_reason", ", ".join(path.name for path in paths))
            process.save_status(tx, "worker", os.getpid(), "ended", int(time.time() * 1_000), {})
    finally:
        writer.close()
        lock.release()
    print(
        f"{result.frames:,} frames in {time.monotonic() - started:.1f} s:"
        f" {result.words(pipeline.trade_count)}"
    )
    return 0
