"""The last day of what worker and analyst said of themselves, a word each five minutes."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from app.services.looks import SharedLook
from core.report import AnalystReport, WorkerReport, from_mapping
from core.timeframes import DAY_MS
from ingest.store.reader import Reader, StoredGap

LOOK_MS = 30_000
SLOT_MS = 300_000
SLOTS = DAY_MS // SLOT_MS

Report = TypeVar("Report", WorkerReport, AnalystReport)


class Trends(NamedTuple):
    """A report a slot, the newest last, None where there is none; and the gaps of that day."""

    worker: tuple[WorkerReport | None, ...]
    analyst: tuple[AnalystReport | None, ...]
    gaps: tuple[StoredGap, ...]


class TrendService:
    """Reads them twice a minute at most, for all who look."""

    def __init__(
        self, reader: Reader, now_ms: Callable[[], int], monotonic: Callable[[], float]
    ) -> None:
        self._reader = reader
        self._now_ms = now_ms
        self._look = SharedLook(self._read, now_ms, LOOK_MS, monotonic)

    def view(self) -> Trends:
        """The last day; raises StoreError where the store can't be read."""
        return self._look.value()

    def _read(self) -> Trends:
        last_ms = self._now_ms() // SLOT_MS * SLOT_MS
        first_ms = last_ms - (SLOTS - 1) * SLOT_MS
        gaps = self._reader.gaps(states=("open", "filled", "unfillable"), start_ms=first_ms)
        return Trends(
            self._slots("worker", WorkerReport, first_ms),
            self._slots("analyst", AnalystReport, first_ms),
            tuple(gaps),
        )

    def _slots(self, role: str, kind: type[Report], first_ms: int) -> tuple[Report | None, ...]:
        slots: list[Report | None] = [None] * SLOTS
        for time_ms, payload in self._reader.samples(role, first_ms):
            place = (time_ms - first_ms) // SLOT_MS
            if 0 <= place < SLOTS:
                slots[place] = from_mapping(kind, payload)
        return tuple(slots)
