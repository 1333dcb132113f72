"""What is told of an import: what each file brought, what it lacks, why one was refused."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ingest.files.dumps import DumpFile
from ingest.files.judging import Account, Hole


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What one file brought, and what it lacks.

    `holes` counts stretches without a bar or trade ids, `missing` the bars or ids in them;
    `first_holes` are the first few.
    """

    dump: DumpFile
    account: Account
    changed_bars: int
    holes: int
    missing: int
    first_holes: tuple[Hole, ...]

    def lines(self) -> Iterator[str]:
        """Yield what a user has to know of it, a subject a line."""
        dump, account = self.dump, self.account
        what = "aggTrades" if dump.timeframe_ms is None else f"klines of {dump.what}"
        yield (
            f"{dump.name}: {dump.symbol} {what}, {iso_time(account.start_ms)} to"
            f" {iso_time(account.end_ms)}: {account.taken:,} rows taken,"
            f" {self.changed_bars:,} bars added or changed"
        )
        if account.repeated:
            yield f"  repeated: {account.repeated:,} rows equal to earlier ones, passed over"
        if account.left_out:
            yield f"  left out: {account.words()}"
        if self.holes:
            told = ", ".join(map(self._hole, self.first_holes))
            more = self.holes - len(self.first_holes)
            yield f"  holes: {told}" + (f" and {more:,} more" if more else "")
            if self.holes > 1:
                yield f"  missing in all: {self.missing:,} {self._units}"

    @property
    def _units(self) -> str:
        return "trade ids" if self.dump.timeframe_ms is None else "bars"

    def _hole(self, hole: Hole) -> str:
        unit = self._units if hole.missing > 1 else self._units.removesuffix("s")
        return f"{iso_time(hole.start_ms)} to {iso_time(hole.end_ms)} ({hole.missing:,} {unit})"


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file of which nothing was imported, and why."""

    path: Path
    reason: str


def iso_time(time_ms: int) -> str:
    """A moment in UTC, in ISO 8601 to the second."""
    return datetime.fromtimestamp(time_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
