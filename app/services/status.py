"""The state of worker, feed and database, as API, metrics and page show it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from app.services.kernels import Kernels
from app.services.looks import SharedLook, exchange_now_ms
from app.services.shared import SharedStore
from core.errors import StoreError
from core.report import AnalystReport, FeedReport, WorkerReport, from_mapping
from core.settings import Settings
from ingest.store.reader import (
    DatabaseInfo,
    GapCounts,
    ProcessStatus,
    Reader,
    Snapshot,
    StoredSymbol,
)

SILENT_AFTER_MS = 30_000
"""The supervisor gives a worker up after this long without a heartbeat."""
QUIET_FEED_MS = 15_000
"""A feed without a frame for longer isn't ready."""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """Whether a process lives: absent before there was one, silent without a heartbeat."""

    state: str = "absent"
    pid: int | None = None
    heartbeat_age_ms: int | None = None

    @property
    def is_alive(self) -> bool:
        return self.state not in ("absent", "silent", "stopped")


@dataclass(frozen=True, slots=True)
class SymbolStatus:
    """How complete one symbol's trades are."""

    symbol: str
    last_id: int | None
    last_event_time_ms: int | None
    age_ms: int | None
    subscribed: bool
    missing_ids: int
    lost_ids: int
    open_gaps: int
    filled_gaps: int
    unfillable_gaps: int
    status: str = ""
    """As the exchange lists it."""


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """The database as this process sees it."""

    kind: str
    size_bytes: int | None = None
    wal_bytes: int | None = None
    notice: str | None = None
    """What a start did to it, such as setting a damaged file aside."""
    error: str | None = None
    """Why it can't be read."""


@dataclass(frozen=True, slots=True)
class DeskStatus:
    """All of it at one moment; `report` is the worker's last word, as far as it still holds, and
    `analysis` the analyst's.

    `now_ms` is the exchange's time, where the worker has measured it.
    """

    now_ms: int
    source: str | None
    database: DatabaseStatus
    source_reason: str | None = None
    worker: ProcessState = ProcessState()
    report: WorkerReport = field(default_factory=WorkerReport)
    analyst: ProcessState = ProcessState()
    analysis: AnalystReport = field(default_factory=AnalystReport)
    symbols: tuple[SymbolStatus, ...] = ()
    is_starting: bool = False
    """This desk began so lately that worker and analyst may still be on their way."""
    is_preparing: bool = False
    """This web process can't compute a pair yet: its kernels are being loaded or compiled."""
    redis: str = "off"
    """How this web process found it: up, away, or off without `REDIS_URL`."""

    @property
    def feed(self) -> FeedReport:
        return self.report.feed

    @property
    def feed_age_ms(self) -> int | None:
        """Since the last frame."""
        last_ms = self.feed.last_frame_ms
        return None if last_ms is None else max(0, self.now_ms - last_ms)

    @property
    def worker_lives(self) -> bool:
        return self.worker.is_alive

    @property
    def worker_is_due(self) -> bool:
        """Whether it is on its way, as at every start: one that refused its settings is not."""
        refused = self.worker.state == "stopped" and self.feed.last_error is not None
        return self.is_starting and not self.worker.is_alive and not refused

    @property
    def is_of_before(self) -> bool:
        """Whether what is stored is of before this start."""
        return self.worker_is_due and self.worker.state != "absent"


@dataclass(frozen=True, slots=True)
class Stock:
    """What is stored, and how large it is."""

    symbols: list[StoredSymbol]
    gap_counts: dict[str, GapCounts]
    database: DatabaseInfo


def take_stock(reader: Reader) -> Stock:
    """Count what is stored: of every symbol, so not at every tick."""
    return Stock(reader.symbols(), reader.gap_counts(), reader.database())


class StatusService:
    """Says how the desk is; answers without a worker and without a database too."""

    def __init__(
        self,
        settings: Settings,
        reader: Reader,
        look: SharedLook[Snapshot],
        stock: SharedLook[Stock],
        now_ms: Callable[[], int],
        kernels: Kernels,
        shared: SharedStore,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._now_ms = now_ms
        self._kernels = kernels
        self._shared = shared
        self._look = look
        self._stock = stock
        self._began_ms = now_ms()
        self._described: _Described | None = None

    def view(self) -> DeskStatus:
        """The desk as of the newest look; one that can't be taken is part of the description."""
        status, is_preparing = self._view(), not self._kernels.are_ready
        is_starting = self._now_ms() - self._began_ms < SILENT_AFTER_MS
        redis = self._shared.state
        if not (is_starting or is_preparing) and redis == status.redis:
            return status
        return replace(status, is_starting=is_starting, is_preparing=is_preparing, redis=redis)

    def _view(self) -> DeskStatus:
        settings = self._settings
        status = DeskStatus(
            now_ms=self._now_ms(),
            source=None if settings.source_kind == "auto" else settings.source_kind,
            database=DatabaseStatus("sqlite" if settings.is_sqlite else "postgresql"),
        )
        try:
            stock, look = self._stock.value(), self._look.value()
        except StoreError as error:
            return replace(status, database=replace(status.database, error=error.public))
        described = self._described
        if described is None or described.stock is not stock or described.look is not look:
            described = _Described(stock, look, _filled(status, stock, look))
            self._described = described
        return described.status

    def readiness(self) -> list[str]:
        """Why the desk isn't ready, in words; empty when it is."""
        status = self.view()
        state, age_ms, paused = status.feed.state, status.feed_age_ms, status.report.paused
        reasons = []
        if state != "live":
            reasons.append(f"feed: {state}")
        elif age_ms is None or age_ms > QUIET_FEED_MS:
            reasons.append(f"feed: nothing for more than {QUIET_FEED_MS // 1000} s")
        if status.database.error is not None:
            reasons.append(f"database: {status.database.error}")
        elif not self._is_writable():
            reasons.append("database: not writable")
        elif paused:
            reasons.append(f"nothing is stored: {paused.reason}")
        return reasons

    def _is_writable(self) -> bool:
        try:
            return self._reader.is_writable()
        except StoreError:
            return False


@dataclass(frozen=True, slots=True)
class _Described:
    """A status, and what it was made of: many clients ask between two looks."""

    stock: Stock
    look: Snapshot
    status: DeskStatus


def _filled(status: DeskStatus, stock: Stock, look: Snapshot) -> DeskStatus:
    """With what the store holds."""
    info, meta = stock.database, look.meta
    worker, report = _worker(look, status.now_ms)
    analyst, analysis = _analyst(look, status.now_ms)
    now_ms = exchange_now_ms(look, status.now_ms)
    return replace(
        status,
        now_ms=now_ms,
        source=meta.get("source", status.source),
        source_reason=meta.get("source_reason"),
        worker=worker,
        report=report,
        analyst=analyst,
        analysis=analysis,
        symbols=tuple(_symbol(stored, stock, look, now_ms) for stored in stock.symbols),
        database=DatabaseStatus(info.kind, info.size_bytes, info.wal_bytes, meta.get("notice")),
    )


def _worker(look: Snapshot, now_ms: int) -> tuple[ProcessState, WorkerReport]:
    stored = look.processes.get("worker")
    if stored is None:
        return ProcessState(), WorkerReport()
    report = from_mapping(WorkerReport, stored.payload)
    state = _process(stored, now_ms)
    if state.state == "silent":
        # What a silent worker last said of its feed and of a pause no longer holds.
        report = replace(report, feed=replace(report.feed, state="down"), paused=None)
    return state, report


def _analyst(look: Snapshot, now_ms: int) -> tuple[ProcessState, AnalystReport]:
    stored = look.processes.get("analyst")
    if stored is None:
        return ProcessState(), AnalystReport()
    return _process(stored, now_ms), from_mapping(AnalystReport, stored.payload)


def _process(stored: ProcessStatus, now_ms: int) -> ProcessState:
    age_ms = max(0, now_ms - stored.heartbeat_ms)
    state = stored.state if age_ms <= SILENT_AFTER_MS else "silent"
    return ProcessState(state, stored.pid, age_ms)


def _symbol(stored: StoredSymbol, stock: Stock, look: Snapshot, now_ms: int) -> SymbolStatus:
    gaps = stock.gap_counts.get(stored.symbol, GapCounts())
    # The look is the newer of the two; a symbol may have left the store since.
    fresh = look.symbols.get(stored.symbol)
    last_ms = fresh.last_event_time_ms if fresh else stored.last_event_time_ms
    return SymbolStatus(
        symbol=stored.symbol,
        last_id=stored.last_id,
        last_event_time_ms=last_ms,
        age_ms=None if last_ms is None else max(0, now_ms - last_ms),
        subscribed=stored.subscribed,
        missing_ids=gaps.open_ids + gaps.lost_ids,
        lost_ids=gaps.lost_ids,
        open_gaps=gaps.open_gaps,
        filled_gaps=gaps.filled_gaps,
        unfillable_gaps=gaps.lost_gaps,
        status=fresh.status if fresh else stored.status,
    )
