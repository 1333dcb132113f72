"""When the market is scanned: after the close of a bar that nearly all symbols have."""

from collections.abc import Callable

from core.job_spec import JobSpec, job_body, read_job_spec
from core.presence import newest_common_ms
from core.report import BackfillReport, WorkerReport, from_mapping
from core.settings import Settings
from core.timeframes import TIMEFRAMES
from ingest.store import jobs
from ingest.store.reader import Freshness, Reader
from ingest.store.transaction import Writer

BY_SCHEDULE = "schedule"


class ScanTimes:
    """Asks for a scan of each timeframe of `SCAN_TIMEFRAMES` once a bar; used from one thread.

    The first one waits for the history, or for the next bar; another one of the same bar comes only
    when the history has become whole since.
    """

    def __init__(
        self, reader: Reader, writer: Writer, settings: Settings, now_ms: Callable[[], int]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._settings = settings
        self._now_ms = now_ms
        self._asked: dict[str, tuple[int, bool]] = {}

    def look(self) -> None:
        """Ask for what is due."""
        if not self._settings.scanned_timeframes:
            return
        is_whole = is_history_whole(self._reader)
        for timeframe in self._settings.scanned_timeframes:
            spec = read_job_spec({"kind": "scan", "timeframe": timeframe}, self._settings)
            if self._is_due(spec, is_whole):
                with self._writer.transaction() as tx:
                    jobs.ask(tx, spec, BY_SCHEDULE, self._now_ms())

    def _is_due(self, spec: JobSpec, is_whole: bool) -> bool:
        timeframe, bars = spec.values["timeframe"], spec.values["bars"]
        step = TIMEFRAMES[timeframe]
        newest = newest_bars(self._reader, step)
        last_ms = newest_common_ms(newest.values())
        if len(newest) < 2 or last_ms is None:
            return False
        now = last_ms + step, is_whole
        if self._asked.get(timeframe) == now:
            return False
        if timeframe not in self._asked and is_history_coming(self._reader):
            self._asked[timeframe] = now  # soon there is more to be scanned
            return False
        if any(one.body == job_body(spec) for one in self._reader.open_jobs()):
            return False  # it is asked for again if that one is of an older bar
        self._asked[timeframe] = now
        made = self._reader.newest_scan(timeframe, bars)
        if made is None or made.as_of_ms < now[0]:
            return True
        return is_whole and not made.head["is_history_whole"]


def newest_bars(reader: Reader, timeframe_ms: int) -> dict[str, int]:
    """Open time of the newest bar of every symbol that is scanned."""
    return {
        name: one.newest_bars_ms[timeframe_ms]
        for name, one in fresh_symbols(reader, timeframe_ms).items()
    }


def fresh_symbols(reader: Reader, timeframe_ms: int) -> dict[str, Freshness]:
    """Every symbol that is scanned and has bars: those that are streamed, or where none is, all
    that were imported."""
    stored = reader.symbols()
    names = [one.symbol for one in stored if one.subscribed] or [one.symbol for one in stored]
    fresh = reader.freshness(names, (timeframe_ms,))
    return {name: one for name, one in fresh.items() if one.newest_bars_ms}


def is_history_whole(reader: Reader) -> bool:
    """Whether the worker has fetched all the history that it is to have."""
    history = _history(reader)
    return history is not None and history.done >= history.total > 0


def is_history_coming(reader: Reader) -> bool:
    """Whether it is fetching it."""
    history = _history(reader)
    return history is not None and history.done < history.total


def _history(reader: Reader) -> BackfillReport | None:
    worker = reader.status("worker")
    return from_mapping(WorkerReport, worker.payload).backfill if worker else None
