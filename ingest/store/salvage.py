"""What can't be fetched again, copied from a damaged database file as far as it can be read.

Which tables that are, the schema says: the user's own, with the rows that they refer to. Market
data is fetched again but for what the user's imports brought, and processes start anew.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Table

from core.timeframes import TIMEFRAMES
from ingest.store.schema import metadata, tables_of

_BROUGHT = ("bars", "trades")
"""Tables of the market that imports added to."""
_LAST_ROW = 2**62


@dataclass(slots=True)
class Salvage:
    """Rows kept by table, and the tables of which some could not be."""

    rows: dict[str, int] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    def words(self) -> str:
        """Tell the user what was kept, and what to do about the rest."""
        counts = {name: self.rows.get(name, 0) for name in ("imports", *_BROUGHT)}
        own = {
            name: count
            for name, count in self.rows.items()
            if name not in counts and (count or name in self.lost)
        }
        kept = "{imports} imports ({bars} bars, {trades} trades)".format(**counts)
        kept = ", ".join([kept, *(f"{count} {name}" for name, count in own.items())])
        to_do = ["import the files again"] if self.lost & counts.keys() else []
        if broken := sorted(self.lost & own.keys()):
            to_do.append(f"look through your {', '.join(broken)}")
        return f"{kept} were kept in part: {' and '.join(to_do)}" if to_do else f"{kept} were kept"


def salvage(damaged: Path, fresh: Path) -> Salvage:
    """Copy what is the user's own from one file into a new one, as far as it can be read.

    All that is read is of one moment, so that a file in use can be backed up this way too.
    """
    found = Salvage()
    with (
        closing(sqlite3.connect(f"{damaged.as_uri()}?mode=rw", uri=True)) as old,
        closing(sqlite3.connect(fresh, isolation_level=None)) as new,
    ):
        old.execute("PRAGMA wal_autocheckpoint = 0")
        old.execute("BEGIN")
        new.execute("PRAGMA wal_autocheckpoint = 0")
        new.execute("PRAGMA foreign_keys = ON")  # no row without the one that it refers to
        new.execute("BEGIN IMMEDIATE")
        for table in tables_of("user"):
            _copy_own(old, new, table, found)
        _copy_islands(old, new, found)
        new.execute("COMMIT")
    return found


def _copy_own(
    old: sqlite3.Connection, new: sqlite3.Connection, table: Table, found: Salvage
) -> None:
    """Copy a user's table row by row."""
    found.rows[table.name] = 0
    try:
        columns = _columns(old, new, table)
    except sqlite3.DatabaseError:
        found.lost.add(table.name)
        return
    if not columns:
        return  # an older version's file, from before there was such a table
    place = {name: index for index, name in enumerate(columns)}
    foreign = [key for key in table.foreign_keys if key.column.table.info["owner"] != "user"]
    reading = _RowByRow(old, table, columns)
    for row in reading:
        for key in foreign:
            _copy_parent(old, new, key.column.table, key.column.name, row[place[key.parent.name]])
        try:
            new.execute(_insert(table, columns), row)
            found.rows[table.name] += 1
        except sqlite3.IntegrityError:
            found.lost.add(table.name)
    if not reading.is_whole:
        found.lost.add(table.name)


def _copy_parent(
    old: sqlite3.Connection, new: sqlite3.Connection, table: Table, key: str, value: Any
) -> None:
    """Copy the market's row that a user's row refers to; without it that row can't be kept."""
    where = f"FROM {table.name} WHERE {key} = ?"
    if value is None or new.execute(f"SELECT 1 {where}", (value,)).fetchone():
        return
    with suppress(sqlite3.DatabaseError):
        columns = _columns(old, new, table)
        rows = old.execute(f"SELECT {', '.join(columns)} {where}", (value,)).fetchall()
        new.executemany(_insert(table, columns), rows)


def _copy_islands(old: sqlite3.Connection, new: sqlite3.Connection, found: Salvage) -> None:
    """Copy the bars and trades that the imports brought."""
    found.rows |= dict.fromkeys(_BROUGHT, 0)
    islands = new.execute(
        "SELECT symbol_id, start_ms, end_ms, first_id, last_id FROM imports"
    ).fetchall()
    for symbol_id, start_ms, end_ms, first_id, last_id in islands:
        for length in TIMEFRAMES.values():
            where = (
                "symbol_id = ? AND timeframe_ms = ? AND open_time_ms >= ? AND open_time_ms < ?"
                " AND imported"
            )
            values: tuple[Any, ...] = (symbol_id, length, start_ms, end_ms)
            _copy_from_both_ends(old, new, "bars", where, "open_time_ms", values, found)
        if first_id is not None:
            where = "symbol_id = ? AND trade_id >= ? AND trade_id <= ?"
            values = (symbol_id, first_id, last_id)
            _copy_from_both_ends(old, new, "trades", where, "trade_id", values, found)


def _copy_from_both_ends(
    old: sqlite3.Connection,
    new: sqlite3.Connection,
    name: str,
    where: str,
    key: str,
    values: Sequence[Any],
    found: Salvage,
) -> None:
    """Copy rows of a large table from both ends towards a page that can't be read."""
    table = metadata.tables[name]
    before = new.total_changes
    is_whole = False
    with suppress(sqlite3.DatabaseError):
        columns = _columns(old, new, table)
        for direction in ("ASC", "DESC"):
            order = f"ORDER BY {key} {direction}"
            select = f"SELECT {', '.join(columns)} FROM {name} WHERE {where} {order}"
            reading = _UpToDamage(old, select, values)
            new.executemany(_insert(table, columns, "OR IGNORE"), reading)
            if is_whole := reading.is_whole:
                break
    found.rows[name] += new.total_changes - before
    if not is_whole:
        found.lost.add(name)


def _columns(old: sqlite3.Connection, new: sqlite3.Connection, table: Table) -> list[str]:
    """Columns that both files have; the old one may be of an earlier version."""
    there, here = (
        [row[1] for row in database.execute(f"PRAGMA table_info({table.name})")]
        for database in (old, new)
    )
    return [name for name in here if name in there]


def _insert(table: Table, columns: Sequence[str], conflict: str = "") -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT {conflict} INTO {table.name} ({', '.join(columns)}) VALUES ({marks})"


class _UpToDamage:
    """Rows of a query up to the first one that can't be read."""

    def __init__(self, old: sqlite3.Connection, select: str, values: Sequence[Any]) -> None:
        self._query = (select, values)
        self._old = old
        self.is_whole = False

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        with suppress(sqlite3.DatabaseError):
            yield from self._old.execute(*self._query)
            self.is_whole = True


class _RowByRow:
    """Rows of a table by their number, over every page that can't be read."""

    def __init__(self, old: sqlite3.Connection, table: Table, columns: Sequence[str]) -> None:
        self._old = old
        self._select = (
            f"SELECT rowid, {', '.join(columns)} FROM {table.name} WHERE rowid >= ? ORDER BY rowid"
        )
        self.is_whole = True

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        number: int | None = 1
        while number is not None:
            try:
                for row in self._old.execute(self._select, (number,)):
                    number = int(row[0]) + 1
                    yield row[1:]
                return
            except sqlite3.DatabaseError:
                self.is_whole = False
            # The driver looks a row ahead, and gives none before one that it can't read.
            found = self._next(number)
            if found is None:
                number = self._after_damage(number)
            else:
                for row in found:
                    number = int(row[0]) + 1
                    yield row[1:]

    def _after_damage(self, number: int) -> int | None:
        """The first row number from which on rows can be read again; None when there is none."""
        step = 1
        while self._next(number + step) is None:
            step *= 2
            if step > _LAST_ROW:
                return None
        low, high = number + step // 2, number + step
        while high - low > 1:
            middle = (low + high) // 2
            if self._next(middle) is None:
                low = middle
            else:
                high = middle
        return high

    def _next(self, number: int) -> list[tuple[Any, ...]] | None:
        """The first row from a number on, if there is one; None where it can't be read."""
        try:
            return self._old.execute(f"{self._select} LIMIT 1", (number,)).fetchall()
        except sqlite3.DatabaseError:
            return None
