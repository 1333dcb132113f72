"""What the user made survives a damaged file, whatever tables are to come."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Engine, ForeignKey, Integer, Table, Text

from core.types import Bar, Origin
from ingest.store import engine as engine_module
from ingest.store import gaps, market, process
from ingest.store.engine import migrate, open_engine
from ingest.store.market import FeedCursor
from ingest.store.reader import Reader
from ingest.store.salvage import salvage
from ingest.store.schema import USER, is_large, metadata, tables_of
from ingest.store.transaction import Writer
from tests.support.market import listing

PAGE = 4_096
ROWS = 1_000


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Table]:
    """A table of the user's that this version of the desk knows and its salvage never heard of."""
    table = Table(
        "notes",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("symbol_id", ForeignKey("symbols.id"), nullable=False),
        Column("words", Text, nullable=False),
        info=USER,
    )
    upgrade = engine_module._upgrade

    def with_notes(engine: Engine, url: str) -> None:
        upgrade(engine, url)
        table.create(engine, checkfirst=True)

    monkeypatch.setattr(engine_module, "_upgrade", with_notes)
    yield table
    metadata.remove(table)


def words(number: int) -> str:
    return f"note {number:04d} " * 20


def fill(url: str) -> Path:
    """Notes on the second of two symbols, and what is the market's and the worker's."""
    migrate(url)
    writer = Writer(open_engine(url, checkpoints=True))
    with writer.transaction() as tx:
        ids = market.ensure_symbols(tx, [listing("BTC"), listing("ETH")])
        key = ids["ETHUSDT"]
        market.upsert_bars(
            tx, key, 60_000, [Bar(0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, 1.0, True)], Origin.KLINE
        )
        market.save_cursor(tx, key, FeedCursor(1, 1.0, 1, 1, 1))
        gaps.open_gap(tx, key, 1, 2, 1, 2, "reconnect", 3)
        process.save_status(tx, "worker", 77, "live", 20, {})
        tx.many(
            "INSERT INTO notes (id, symbol_id, words) VALUES (?, ?, ?)",
            [(number, key, words(number)) for number in range(1, ROWS + 1)],
        )
    writer.close()
    path = Path(url.removeprefix("sqlite:///"))
    rows(path, "VACUUM")  # a note's words stand on its own page only, not where it was before
    return path


def spoil(path: Path, *numbers: int) -> set[int]:
    """Overwrite the pages on which these notes begin; return all notes that were on them."""
    content = path.read_bytes()
    lost: set[int] = set()
    with path.open("r+b") as file:
        for number in numbers:
            page = content.index(words(number).encode()) // PAGE
            on_page = content[page * PAGE : (page + 1) * PAGE]
            lost |= {n for n in range(1, ROWS + 1) if words(n).encode() in on_page}
            file.seek(page * PAGE)
            file.write(os.urandom(PAGE))
    return lost


def rows(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(sql).fetchall()


def test_every_table_says_whose_it_is() -> None:
    owners = ("market", "user", "process")
    assert {table.name: table.info.get("owner") in owners for table in metadata.sorted_tables} == {
        table.name: True for table in metadata.sorted_tables
    }
    assert [table.name for table in tables_of("user") if is_large(table)] == []


def test_a_table_of_the_users_is_kept_row_by_row_around_every_damaged_page(
    tmp_path: Path, notes: Table
) -> None:
    url = f"sqlite:///{tmp_path}/market.db"
    path = fill(url)
    lost = spoil(path, 1, 300, 301, 700, ROWS)
    assert 30 < len(lost) < ROWS // 4
    migrate(url)
    kept = rows(
        path,
        "SELECT notes.id, words, symbol FROM notes JOIN symbols ON symbols.id ="
        " symbol_id ORDER BY notes.id",
    )
    assert kept == [(n, words(n), "ETHUSDT") for n in range(1, ROWS + 1) if n not in lost]
    reader = Reader(url)
    notice = reader.snapshot().meta["notice"]
    assert f"{ROWS - len(lost)} notes were kept in part: look through your notes." in notice
    assert [item.symbol for item in reader.symbols()] == ["ETHUSDT"]  # what a note refers to
    assert reader.bar_range("ETHUSDT", 60_000) is None
    assert reader.gaps() == []
    assert reader.status("worker") is None
    reader.close()


def test_a_table_that_can_be_read_is_kept_whole_where_the_markets_is_not(
    tmp_path: Path, notes: Table
) -> None:
    url = f"sqlite:///{tmp_path}/market.db"
    path = fill(url)
    (root,) = rows(path, "SELECT rootpage FROM sqlite_master WHERE name = 'cursors'")[0]
    with path.open("r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(os.urandom(PAGE))
    migrate(url)
    assert rows(path, "SELECT id, words FROM notes") == [(n, words(n)) for n in range(1, ROWS + 1)]
    reader = Reader(url)
    assert reader.snapshot().meta["notice"].endswith(f", {ROWS} notes were kept.")
    reader.close()


def test_a_row_whose_symbol_cannot_be_read_is_told_and_the_others_stay(
    tmp_path: Path, notes: Table
) -> None:
    url = f"sqlite:///{tmp_path}/market.db"
    old = fill(url)
    with closing(sqlite3.connect(old)) as database, database:
        database.execute("UPDATE notes SET symbol_id = 99 WHERE id = 5")
    fresh = tmp_path / "fresh.db"
    migrate(f"sqlite:///{fresh}")
    found = salvage(old, fresh)
    assert found.rows["notes"] == ROWS - 1
    assert found.lost == {"notes"}
    assert rows(fresh, "SELECT count(*), sum(id = 5) FROM notes") == [(ROWS - 1, 0)]


def test_a_file_of_an_earlier_version_gives_the_columns_that_it_has(
    tmp_path: Path, notes: Table
) -> None:
    url = f"sqlite:///{tmp_path}/market.db"
    old = fill(url)
    fresh = tmp_path / "fresh.db"
    migrate(f"sqlite:///{fresh}")
    with closing(sqlite3.connect(fresh)) as database, database:
        database.execute("ALTER TABLE notes ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'")
    assert salvage(old, fresh).words().endswith(f", {ROWS} notes were kept")
    assert rows(fresh, "SELECT DISTINCT colour FROM notes") == [("blue",)]
    with closing(sqlite3.connect(old)) as database, database:
        database.execute("DROP TABLE notes")
    other = tmp_path / "other.db"
    migrate(f"sqlite:///{other}")
    assert salvage(old, other).words().endswith("0 imports (0 bars, 0 trades) were kept")
