"""Everything that is read, a base a subject; what others name of it is named here. Never writes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.timeframes import TIMEFRAMES
from ingest.store.gap_reader import GapCounts, GapReader, StoredGap, read_gaps
from ingest.store.job_reader import JobReader, StoredJob
from ingest.store.market_reader import (
    Freshness,
    Holdings,
    MarketReader,
    StoredSymbol,
    read_freshness,
)
from ingest.store.process_reader import DatabaseInfo, ProcessReader, ProcessStatus, read_meta
from ingest.store.scan_reader import PastScan, ScanReader, StoredScan
from ingest.store.watch_reader import (
    ChannelHealth,
    ChannelTest,
    Decided,
    Kept,
    Standing,
    StoredEpisode,
    Trip,
    WatchReader,
)

__all__ = [
    "ChannelHealth",
    "ChannelTest",
    "DatabaseInfo",
    "Decided",
    "Freshness",
    "GapCounts",
    "Holdings",
    "Kept",
    "PastScan",
    "ProcessStatus",
    "Reader",
    "Snapshot",
    "Standing",
    "StoredEpisode",
    "StoredGap",
    "StoredJob",
    "StoredScan",
    "StoredSymbol",
    "Trip",
]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a process asks at every tick, all as of one moment."""

    symbols: dict[str, Freshness]
    gaps: tuple[StoredGap, ...]
    processes: dict[str, ProcessStatus]
    meta: dict[str, str]


class Reader(MarketReader, GapReader, ProcessReader, WatchReader, JobReader, ScanReader):
    """What may be read of one database; see `ReadConnections` for when it opens what."""

    def snapshot(
        self,
        symbols: Sequence[str] | None = None,
        timeframes_ms: Iterable[int] = tuple(TIMEFRAMES.values()),
    ) -> Snapshot:
        """Everything that a tick asks of these symbols (None: of all), from one state of the store.

        `gaps` are those still open or lost for good.
        """
        with self._reading() as connection:
            return Snapshot(
                symbols=read_freshness(connection, symbols, tuple(timeframes_ms)),
                gaps=tuple(read_gaps(connection, symbols, ("open", "unfillable"), None)),
                processes=self._processes(connection),
                meta=read_meta(connection),
            )
