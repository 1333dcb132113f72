"""Everything that is read: market data, gaps and what a process says of itself. Never writes."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection

from core.timeframes import TIMEFRAMES
from core.types import Bars, Closes, Leg
from ingest.store.columns import read_columns
from ingest.store.connections import run
from ingest.store.job_reader import JobReader
from ingest.store.job_reader import StoredJob as StoredJob
from ingest.store.pulse import PULSE_ROLE, Pulse
from ingest.store.scan_reader import PastScan as PastScan
from ingest.store.scan_reader import ScanReader
from ingest.store.scan_reader import StoredScan as StoredScan
from ingest.store.watch_reader import ChannelHealth as ChannelHealth
from ingest.store.watch_reader import ChannelTest as ChannelTest
from ingest.store.watch_reader import Decided as Decided
from ingest.store.watch_reader import Kept as Kept
from ingest.store.watch_reader import Standing as Standing
from ingest.store.watch_reader import StoredEpisode as StoredEpisode
from ingest.store.watch_reader import Trip as Trip
from ingest.store.watch_reader import WatchReader


def _bar_times(extreme: str, lengths: Iterable[int]) -> str:
    """MIN or MAX of a symbol's open times, a column each timeframe.

    Each is one look at the index: a symbol may have millions of bars.
    """
    return "".join(
        f", (SELECT {extreme}(open_time_ms) FROM bars"
        f" WHERE symbol_id = symbols.id AND timeframe_ms = {int(length)})"
        for length in lengths
    )


_WITH_CURSORS = "FROM symbols LEFT JOIN cursors ON cursors.symbol_id = symbols.id"
_SYMBOLS = (
    "SELECT symbol, base, quote, status, subscribed, revision, last_event_time_ms, last_id,"
    f" last_price{_bar_times('MIN', TIMEFRAMES.values())} {_WITH_CURSORS}"
)


@dataclass(frozen=True, slots=True)
class StoredSymbol:
    """What is known of one symbol; None where the live feed or any bar is still to come."""

    symbol: str
    base: str
    quote: str
    status: str
    subscribed: bool
    revision: int
    first_bar_ms: int | None
    last_event_time_ms: int | None
    last_id: int | None
    last_price: float | None


@dataclass(frozen=True, slots=True)
class Freshness:
    """What tells whether anything of a symbol has changed; None before its first live trade."""

    revision: int
    last_event_time_ms: int | None
    last_price: float | None
    newest_bars_ms: dict[int, int]
    """Open time of the newest closed bar, by timeframe in ms; only of those that have bars."""
    quote: str
    status: str
    """As the exchange lists it: TRADING, BREAK …"""
    price_decimals: int | None = None
    """As it quotes prices; None while it has not said."""


@dataclass(frozen=True, slots=True)
class StoredGap:
    """Ids that the live feed of a symbol missed, both ends inclusive."""

    symbol: str
    from_id: int
    to_id: int
    from_ms: int
    to_ms: int
    state: str
    reason: str


class MissingIds(NamedTuple):
    """How much of a symbol's live feed is missing."""

    missing: int
    open_gaps: int
    unfillable_gaps: int


class GapCounts(NamedTuple):
    """Gaps of a symbol by how they ended, and the ids in them."""

    open_gaps: int = 0
    filled_gaps: int = 0
    lost_gaps: int = 0
    open_ids: int = 0
    filled_ids: int = 0
    lost_ids: int = 0


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """The last word of the worker, or of another process with a role, about itself."""

    pid: int
    state: str
    heartbeat_ms: int
    payload: dict[str, Any]


class Island(NamedTuple):
    """What one file brought, as recorded when it was imported."""

    file: str
    kind: str
    rows: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """All that is stored of one symbol; bars by timeframe: how many, and how many imported."""

    symbol_id: int
    subscribed: bool
    bars: dict[int, tuple[int, int]]
    trades: int
    islands: tuple[Island, ...]


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """Kind and size of the database; the log's size is 0 where there is none."""

    kind: str
    size_bytes: int
    wal_bytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a process asks at every tick, all as of one moment."""

    symbols: dict[str, Freshness]
    gaps: tuple[StoredGap, ...]
    processes: dict[str, ProcessStatus]
    meta: dict[str, str]


class Reader(WatchReader, JobReader, ScanReader):
    """What may be read, by subject; see `ReadConnections` for when it opens what.

    Rules, alerts and paper are of one base, jobs and scans of two others."""

    # -- symbols and bars ---------------------------------------------------------------------

    def symbols(self) -> list[StoredSymbol]:
        """Every symbol in the store, by name."""
        with self._reading() as connection:
            rows = run(connection, f"{_SYMBOLS} ORDER BY symbol").all()
        return [_stored_symbol(row) for row in rows]

    def symbol(self, name: str) -> StoredSymbol | None:
        """One symbol; None when the store doesn't know it."""
        with self._reading() as connection:
            row = run(connection, f"{_SYMBOLS} WHERE symbol = ?", name).first()
        return None if row is None else _stored_symbol(row)

    def bar_range(self, symbol: str, timeframe_ms: int) -> tuple[int, int] | None:
        """Open times of the first and the last stored bar; None when there is none."""
        of_timeframe = "FROM bars WHERE symbol_id = symbols.id AND timeframe_ms = ?"
        with self._reading() as connection:
            row = run(
                connection,
                f"SELECT (SELECT MIN(open_time_ms) {of_timeframe}),"
                f" (SELECT MAX(open_time_ms) {of_timeframe}) FROM symbols WHERE symbol = ?",
                int(timeframe_ms),
                int(timeframe_ms),
                symbol,
            ).first()
        return None if row is None or row[0] is None else (row[0], row[1])

    def bars(
        self,
        symbol: str,
        timeframe_ms: int,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
    ) -> Bars:
        """Bars with start <= open time < end as columns, oldest first; empty when there are none.

        `limit` keeps the first ones from `start_ms` on, or without a start the newest.
        """
        with self._reading() as connection:
            return Bars(
                *read_columns(connection, Bars, symbol, timeframe_ms, start_ms, end_ms, limit)
            )

    def leg(self, symbol: str, timeframe_ms: int, start_ms: int, end_ms: int) -> Leg:
        """The same bars, of which only what a pair needs is read: half the time."""
        with self._reading() as connection:
            return Leg(*read_columns(connection, Leg, symbol, timeframe_ms, start_ms, end_ms, None))

    def closes(self, symbols: Iterable[str], timeframe_ms: int, start_ms: int) -> dict[str, Closes]:
        """What a scan needs of many symbols' bars from a time on, all of one moment."""
        span = timeframe_ms, start_ms, None, None
        with self._reading() as connection:
            return {
                symbol: Closes(*read_columns(connection, Closes, symbol, *span))
                for symbol in symbols
            }

    def prices_at(
        self, symbol: str, timeframe_ms: int, times: Iterable[int]
    ) -> dict[int, tuple[float, float, bool]]:
        """Open, close and whether it is complete, of each bar that there is at these times."""
        asked = sorted(set(times))
        if not asked:
            return {}
        with self._reading() as connection:
            rows = run(
                connection,
                "SELECT open_time_ms, open, close, complete FROM bars"
                " JOIN symbols ON symbols.id = bars.symbol_id WHERE symbol = ?"
                f" AND timeframe_ms = ? AND open_time_ms IN ({_marks(asked)})",
                symbol,
                int(timeframe_ms),
                *map(int, asked),
            ).all()
        return {row[0]: (row[1], row[2], bool(row[3])) for row in rows}

    def holdings(self, symbol: str) -> Holdings | None:
        """Count what is stored of a symbol; None when the store doesn't know it."""
        with self._reading() as connection:
            found = run(
                connection, "SELECT id, subscribed FROM symbols WHERE symbol = ?", symbol
            ).first()
            if found is None:
                return None
            key = int(found[0])
            bars = run(
                connection,
                "SELECT timeframe_ms, COUNT(*), SUM(CASE WHEN imported THEN 1 ELSE 0 END)"
                " FROM bars WHERE symbol_id = ? GROUP BY timeframe_ms ORDER BY timeframe_ms",
                key,
            ).all()
            trades = run(connection, "SELECT COUNT(*) FROM trades WHERE symbol_id = ?", key)
            islands = run(
                connection,
                "SELECT file, kind, rows FROM imports WHERE symbol_id = ? ORDER BY id",
                key,
            ).all()
            return Holdings(
                symbol_id=key,
                subscribed=bool(found[1]),
                bars={row[0]: (int(row[1]), int(row[2])) for row in bars},
                trades=int(trades.scalar_one()),
                islands=tuple(Island(*row) for row in islands),
            )

    # -- what is asked at every tick ----------------------------------------------------------

    def freshness(
        self,
        symbols: Sequence[str] | None = None,
        timeframes_ms: Iterable[int] = tuple(TIMEFRAMES.values()),
    ) -> dict[str, Freshness]:
        """What tells whether anything has changed of these symbols (None: of all), in one query.

        Bars were appended where a timeframe's newest one differs, and rewritten where the
        revision does. A symbol that the store doesn't know is left out. Each symbol and timeframe
        costs one look at the index.
        """
        with self._reading() as connection:
            return _freshness(connection, symbols, tuple(timeframes_ms))

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
                symbols=_freshness(connection, symbols, tuple(timeframes_ms)),
                gaps=tuple(_gaps(connection, symbols, ("open", "unfillable"), None)),
                processes=self._processes(connection),
                meta=_meta(connection),
            )

    def _processes(self, connection: Connection) -> dict[str, ProcessStatus]:
        rows = run(
            connection, "SELECT role, pid, state, heartbeat_ms, payload FROM process_status"
        ).all()
        found = {row[0]: ProcessStatus(row[1], row[2], row[3], json.loads(row[4])) for row in rows}
        beat = None if self._path is None else Pulse(self._path).last()
        stored = found.get(PULSE_ROLE)
        if beat is not None and (stored is None or beat.heartbeat_ms > stored.heartbeat_ms):
            found[PULSE_ROLE] = ProcessStatus(*beat)  # the database takes no writes at the moment
        return found

    # -- what is missing ----------------------------------------------------------------------

    def gaps(
        self,
        symbols: Sequence[str] | None = None,
        states: Sequence[str] = ("open", "unfillable"),
        start_ms: int | None = None,
    ) -> list[StoredGap]:
        """Gaps of these symbols (None: of all) in these states that end at or after a time."""
        with self._reading() as connection:
            return _gaps(connection, symbols, states, start_ms)

    def missing_ids(self) -> dict[str, MissingIds]:
        """Count ids still missing and the gaps they are in, for every symbol that misses any."""
        with self._reading() as connection:
            rows = run(
                connection,
                "SELECT symbol, SUM(to_id - from_id + 1),"
                " SUM(CASE WHEN state = 'open' THEN 1 ELSE 0 END),"
                " SUM(CASE WHEN state = 'unfillable' THEN 1 ELSE 0 END)"
                " FROM gaps JOIN symbols ON symbols.id = gaps.symbol_id"
                " WHERE state IN ('open', 'unfillable') GROUP BY symbol",
            ).all()
        return {row[0]: MissingIds(int(row[1]), int(row[2]), int(row[3])) for row in rows}

    def gap_counts(self) -> dict[str, GapCounts]:
        """How the gaps of every symbol that ever had one stand."""
        with self._reading() as connection:
            rows = run(
                connection,
                "SELECT symbol, "
                + ", ".join(
                    f"SUM(CASE WHEN state = '{state}' THEN {what} ELSE 0 END)"
                    for what in ("1", "to_id - from_id + 1")
                    for state in ("open", "filled", "unfillable")
                )
                + " FROM gaps JOIN symbols ON symbols.id = gaps.symbol_id GROUP BY symbol",
            ).all()
        return {row[0]: GapCounts(*map(int, row[1:])) for row in rows}

    # -- the worker and the database itself ---------------------------------------------------

    def status(self, role: str) -> ProcessStatus | None:
        """What the process of a role ("worker") last said; None before there was one."""
        with self._reading() as connection:
            return self._processes(connection).get(role)

    def samples(self, role: str, since_ms: int) -> list[tuple[int, dict[str, Any]]]:
        """What the process of a role said of itself from a time on, oldest first."""
        with self._reading() as connection:
            rows = run(
                connection,
                "SELECT time_ms, payload FROM process_samples WHERE role = ? AND time_ms >= ?"
                " ORDER BY time_ms",
                role,
                int(since_ms),
            ).all()
        return [(row[0], json.loads(row[1])) for row in rows]

    def meta(self) -> dict[str, str]:
        """Facts about the database: which source fills it, and why that one."""
        with self._reading() as connection:
            return _meta(connection)

    def has_imports(self) -> bool:
        """Tell whether anything was imported from dump files."""
        with self._reading() as connection:
            return run(connection, "SELECT 1 FROM imports LIMIT 1").first() is not None

    def database(self) -> DatabaseInfo:
        """Kind and size of the database."""
        with self._reading() as connection:
            if self._path is not None:
                return DatabaseInfo("sqlite", _size(self._path), _size(Path(f"{self._path}-wal")))
            size = run(connection, "SELECT pg_database_size(current_database())").scalar_one()
        return DatabaseInfo("postgresql", int(size), 0)

    def is_writable(self) -> bool:
        """Tell whether the worker could write now; another writer at work counts as yes."""
        if self._path is None:
            with self._reading() as connection:
                return not run(connection, "SELECT pg_is_in_recovery()").scalar_one()
        try:
            with closing(
                sqlite3.connect(f"{self._path.as_uri()}?mode=rw", uri=True, timeout=0)
            ) as connection:
                connection.execute("PRAGMA wal_autocheckpoint = 0")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            return "locked" in str(error)
        return True


def _stored_symbol(row: Any) -> StoredSymbol:
    first_bars = [value for value in row[9:] if value is not None]
    return StoredSymbol(
        symbol=row[0],
        base=row[1],
        quote=row[2],
        status=row[3],
        subscribed=bool(row[4]),
        revision=row[5],
        first_bar_ms=min(first_bars, default=None),
        last_event_time_ms=row[6],
        last_id=row[7],
        last_price=row[8],
    )


def _freshness(
    connection: Connection, symbols: Sequence[str] | None, lengths: tuple[int, ...]
) -> dict[str, Freshness]:
    if symbols is not None and not symbols:
        return {}
    sql = (
        "SELECT symbol, quote, status, price_decimals, revision, last_event_time_ms, last_price"
        f"{_bar_times('MAX', lengths)} {_WITH_CURSORS}"
    )
    if symbols is not None:
        sql += f" WHERE symbol IN ({_marks(symbols)})"
    rows = run(connection, sql, *(symbols or ())).all()
    return {
        row[0]: Freshness(
            revision=row[4],
            last_event_time_ms=row[5],
            last_price=row[6],
            newest_bars_ms={
                length: open_time_ms
                for length, open_time_ms in zip(lengths, row[7:], strict=True)
                if open_time_ms is not None
            },
            quote=row[1],
            status=row[2],
            price_decimals=row[3],
        )
        for row in rows
    }


def _gaps(
    connection: Connection,
    symbols: Sequence[str] | None,
    states: Sequence[str],
    start_ms: int | None,
) -> list[StoredGap]:
    if not states or (symbols is not None and not symbols):
        return []
    sql = (
        "SELECT symbol, from_id, to_id, from_ms, to_ms, state, reason FROM gaps"
        f" JOIN symbols ON symbols.id = gaps.symbol_id WHERE state IN ({_marks(states)})"
    )
    values: list[Any] = list(states)
    if symbols is not None:
        sql += f" AND symbol IN ({_marks(symbols)})"
        values += symbols
    if start_ms is not None:
        sql += " AND to_ms >= ?"
        values.append(int(start_ms))
    rows = run(connection, f"{sql} ORDER BY from_ms, symbol, from_id", *values).all()
    return [StoredGap(*row) for row in rows]


def _meta(connection: Connection) -> dict[str, str]:
    rows = run(connection, "SELECT key, value FROM meta").all()
    return {row[0]: row[1] for row in rows}


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
