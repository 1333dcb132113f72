"""Reading what the web shows, whatever state the database is in."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from core.errors import StoreError
from core.types import Bar, Origin
from ingest.store import gaps, market, process
from ingest.store.engine import migrate, open_engine
from ingest.store.market import FeedCursor
from ingest.store.reader import DatabaseInfo, Freshness, ProcessStatus, Reader, Snapshot, StoredGap
from ingest.store.transaction import Writer
from tests.support.market import bars_of, listing

SECOND, MINUTE = 1_000, 60_000


def bar(number: int, length: int = MINUTE) -> Bar:
    close = 100.0 + number
    return Bar(number * length, close, close + 1, close - 1, close, 5.0, 500.0, 7, 2.5, number != 3)


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@pytest.fixture
def filled(writer: Writer) -> Writer:
    """Ten minutes of BTCUSDT and three seconds that begin before them."""
    with writer.transaction() as tx:
        ids = market.ensure_symbols(tx, [listing("BTC"), listing("ETH")])
        minutes = [bar(number) for number in range(10, 20)]
        market.upsert_bars(tx, ids["BTCUSDT"], MINUTE, minutes, Origin.KLINE)
        seconds = [bar(number, SECOND) for number in range(2, 5)]
        market.upsert_bars(tx, ids["BTCUSDT"], SECOND, seconds, Origin.TRADES)
    return writer


@pytest.mark.parametrize(
    ("start", "end", "limit", "numbers"),
    [
        (None, None, None, range(10, 20)),
        (12, 15, None, range(12, 15)),
        (None, None, 3, range(17, 20)),
        (None, 15, 3, range(12, 15)),
        (12, None, 3, range(12, 15)),
        (30, None, None, range(0)),
        (None, None, 0, range(0)),
    ],
)
def test_bars_come_oldest_first_from_start_to_before_end(
    filled: Writer,
    reader: Reader,
    start: int | None,
    end: int | None,
    limit: int | None,
    numbers: range,
) -> None:
    bars = reader.bars(
        "BTCUSDT",
        MINUTE,
        None if start is None else start * MINUTE,
        None if end is None else end * MINUTE,
        limit,
    )
    assert bars.open_time_ms.tolist() == [number * MINUTE for number in numbers]


@pytest.mark.parametrize("name", ["timeframe", "start", "end", "limit"])
def test_a_number_of_an_array_asks_for_the_same_bars_as_a_plain_one(
    filled: Writer, reader: Reader, name: str
) -> None:
    """As blobs they would compare as larger than any time, and nothing would be found."""
    asked: dict[str, Any] = {
        "timeframe": MINUTE, "start": 12 * MINUTE, "end": 15 * MINUTE, "limit": 2
    }  # fmt: skip
    asked[name] = np.int64(asked[name])
    bars = reader.bars("BTCUSDT", *asked.values())
    assert bars.open_time_ms.tolist() == [12 * MINUTE, 13 * MINUTE]


def test_columns_hold_what_was_written_in_their_own_types(filled: Writer, reader: Reader) -> None:
    bars = reader.bars("BTCUSDT", SECOND)
    assert bars_of(bars) == [bar(number, SECOND) for number in range(2, 5)]
    assert bars.complete.tolist() == [True, False, True]
    for columns in (bars, reader.bars("NOSUCH", SECOND)):
        assert columns.open_time_ms.dtype == np.int64
        assert columns.trade_count.dtype == np.int64
        assert columns.close.dtype == np.float64
        assert columns.complete.dtype == columns.imported.dtype == np.bool_


def test_range_and_symbols_tell_what_is_there(filled: Writer, reader: Reader) -> None:
    assert reader.bar_range("BTCUSDT", MINUTE) == (10 * MINUTE, 19 * MINUTE)
    assert reader.bar_range("ETHUSDT", MINUTE) is None
    assert reader.bar_range("NOSUCH", MINUTE) is None
    assert [(item.symbol, item.first_bar_ms) for item in reader.symbols()] == [
        ("BTCUSDT", 2 * SECOND),
        ("ETHUSDT", None),
    ]
    assert reader.symbol("NOSUCH") is None


def listened(reader: Reader) -> list[str]:
    """The statements that a reader sends from now on."""
    statements: list[str] = []
    event.listen(
        reader._open(), "before_cursor_execute", lambda _c, _k, sql, *_: statements.append(sql)
    )
    return statements


def test_what_is_asked_every_second_never_reads_through_the_bars(
    filled: Writer, reader: Reader
) -> None:
    reader.symbols()
    statements = listened(reader)
    reader.symbols()
    reader.bar_range("BTCUSDT", MINUTE)
    reader.freshness()
    reader.freshness(["BTCUSDT", "ETHUSDT"])
    statements = [sql for sql in statements if sql != "BEGIN"]
    assert len(statements) == 4
    engine = open_engine(reader._url, read_only=True)
    with engine.connect() as connection:
        for sql in statements:
            marks = ("x",) * sql.count("?")
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", marks).all()
            bars = [row[3] for row in plan if " bars " in f"{row[3]} "]
            assert bars
            assert all("symbol_id=? AND timeframe_ms=?" in step for step in bars), bars
    engine.dispose()


def test_revision_rises_only_for_the_symbol_that_changed(filled: Writer, reader: Reader) -> None:
    with filled.transaction() as tx:
        ids = market.ensure_symbols(tx, [listing("BTC")])
        market.rise_revision(tx, ids["BTCUSDT"])
    assert [item.revision for item in reader.symbols()] == [1, 0]


LISTED = ("USDT", "TRADING")


def test_every_change_of_a_symbol_shows_in_its_freshness(filled: Writer, reader: Reader) -> None:
    untouched = Freshness(0, None, None, {}, *LISTED)
    before = reader.freshness()
    assert before == {
        "BTCUSDT": Freshness(0, None, None, {SECOND: 4 * SECOND, MINUTE: 19 * MINUTE}, *LISTED),
        "ETHUSDT": untouched,
    }
    with filled.transaction() as tx:
        key = market.ensure_symbols(tx, [listing("BTC")])["BTCUSDT"]
        market.upsert_bars(tx, key, MINUTE, [bar(20)], Origin.KLINE)
    appended = Freshness(0, None, None, {SECOND: 4 * SECOND, MINUTE: 20 * MINUTE}, *LISTED)
    assert reader.freshness() == {"BTCUSDT": appended, "ETHUSDT": untouched}
    with filled.transaction() as tx:
        market.save_cursor(tx, key, FeedCursor(7, 100.5, 21 * MINUTE, 0, 5 * SECOND))
        market.rise_revision(tx, key)
    assert reader.freshness(["BTCUSDT"]) == {
        "BTCUSDT": Freshness(1, 21 * MINUTE, 100.5, appended.newest_bars_ms, *LISTED)
    }
    assert reader.freshness(["ETHUSDT", "NOSUCH"]) == {"ETHUSDT": untouched}
    only_minutes = reader.freshness(["BTCUSDT"], [MINUTE])
    assert only_minutes["BTCUSDT"].newest_bars_ms == {MINUTE: 20 * MINUTE}
    assert reader.freshness([]) == {}


def test_a_tick_sees_one_state_of_the_store_while_a_writer_goes_on(
    filled: Writer, reader: Reader
) -> None:
    with filled.transaction() as tx:
        key = market.ensure_symbols(tx, [listing("BTC")])["BTCUSDT"]
        gaps.open_gap(tx, key, 10, 19, MINUTE, 2 * MINUTE, "reconnect", 0)
        process.save_status(tx, "worker", 77, "live", 20, {"queue_depth": 3})
        process.save_status(tx, "analyst", 78, "idle", 21, {})
        process.set_meta(tx, "source", "binance")

    def write_between(_connection: object, _cursor: object, sql: str, *_: object) -> None:
        if "FROM gaps" in sql:
            with filled.transaction() as tx:
                process.set_meta(tx, "source", "simulated")
                gaps.open_gap(tx, key, 30, 39, MINUTE, 2 * MINUTE, "reconnect", 0)

    event.listen(reader._open(), "before_cursor_execute", write_between)
    gap = StoredGap("BTCUSDT", 10, 19, MINUTE, 2 * MINUTE, "open", "reconnect")
    seen = reader.snapshot(["BTCUSDT"])
    event.remove(reader._open(), "before_cursor_execute", write_between)
    assert seen == Snapshot(
        symbols=reader.freshness(["BTCUSDT"]),
        gaps=(gap,),
        processes={
            "worker": ProcessStatus(77, "live", 20, {"queue_depth": 3}),
            "analyst": ProcessStatus(78, "idle", 21, {}),
        },
        meta={"source": "binance"},
    )
    assert reader.snapshot(["ETHUSDT"]).gaps == ()
    assert len(reader.snapshot().gaps) == 2
    assert reader.snapshot().meta == {"source": "simulated"}


def test_status_and_meta_come_back_as_they_were_said(filled: Writer, reader: Reader) -> None:
    assert reader.status("worker") is None
    payload = {"feed": {"state": "live", "lag_ms_p50": None}, "quarantined": 0}
    with filled.transaction() as tx:
        process.save_status(tx, "worker", 1, "starting", 10, {})
        process.save_status(tx, "worker", 77, "live", 20, payload)
        process.set_meta(tx, "source", "binance")
        process.set_meta(tx, "source", "simulated")
    assert reader.status("worker") == ProcessStatus(77, "live", 20, payload)
    assert reader.status("analyst") is None
    assert reader.snapshot().meta == {"source": "simulated"}
    assert not reader.has_imports()


def test_a_database_has_one_name_for_good_and_no_other_one_has_it(
    filled: Writer, reader: Reader, empty_database: bytes, tmp_path: Path
) -> None:
    other_path = tmp_path / "other.db"
    other_path.write_bytes(empty_database)
    other = Writer(open_engine(f"sqlite:///{other_path}"))
    names = set()
    for writer in (filled, other, filled):
        with writer.transaction() as tx:
            process.name_database(tx)
            names.add(tx.run("SELECT value FROM meta WHERE key = 'name'").scalar_one())
    other.close()
    assert len(names) == 2
    assert reader.snapshot().meta["name"] in names


def test_size_of_the_database_and_its_log_are_told(filled: Writer, reader: Reader) -> None:
    info = reader.database()
    assert info.kind == "sqlite"
    assert info.size_bytes > 0
    assert info.wal_bytes > 0
    filled.close()
    reader.close()


def test_reader_opens_nothing_before_it_is_asked(tmp_path: Path) -> None:
    Reader(f"sqlite:///{tmp_path}/market.db")
    assert list(tmp_path.iterdir()) == []


def test_missing_database_is_an_error_in_words_until_it_is_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/market.db"
    reader = Reader(url)
    with pytest.raises(StoreError, match="not there"):
        reader.symbols()
    assert not reader.is_writable()
    assert list(tmp_path.iterdir()) == []
    migrate(url)
    assert reader.symbols() == []
    assert reader.is_writable()
    reader.close()


def test_empty_file_is_not_taken_for_a_database(tmp_path: Path) -> None:
    (tmp_path / "market.db").touch()
    with pytest.raises(StoreError, match="schema none"):
        Reader(f"sqlite:///{tmp_path}/market.db").bars("BTCUSDT", MINUTE)


def test_database_that_was_replaced_is_read_anew(
    filled: Writer, reader: Reader, empty_database: bytes
) -> None:
    assert len(reader.symbols()) == 2
    path = path_of(reader._url)
    filled.close()
    for leftover in path.parent.glob("market.db-*"):
        leftover.unlink()
    fresh = path.with_name("fresh.db")
    fresh.write_bytes(empty_database)
    fresh.replace(path)
    assert reader.symbols() == []


def test_page_is_readable_while_a_writer_is_at_work(filled: Writer, reader: Reader) -> None:
    with filled.transaction() as tx:
        ids = market.ensure_symbols(tx, [listing("BTC")])
        market.upsert_bars(tx, ids["BTCUSDT"], MINUTE, [bar(20)], Origin.KLINE)
        assert reader.bar_range("BTCUSDT", MINUTE) == (10 * MINUTE, 19 * MINUTE)
        assert reader.is_writable()
    assert reader.bar_range("BTCUSDT", MINUTE) == (10 * MINUTE, 20 * MINUTE)


def test_page_is_readable_after_the_worker_has_gone(filled: Writer, reader: Reader) -> None:
    filled.close()
    path = path_of(reader._url)
    assert not path.with_name("market.db-wal").exists()  # a clean end folds the log in
    assert len(reader.bars("BTCUSDT", MINUTE)) == 10


def test_reader_cannot_write(filled: Writer, reader: Reader) -> None:
    with pytest.raises(StoreError, match="readonly"), reader._reading() as connection:
        connection.exec_driver_sql("DELETE FROM bars")
    assert len(reader.bars("BTCUSDT", MINUTE)) == 10


def test_many_threads_read_at_once(filled: Writer, reader: Reader) -> None:
    with ThreadPoolExecutor(16) as pool:
        sizes = list(pool.map(lambda _: len(reader.bars("BTCUSDT", MINUTE)), range(64)))
    assert sizes == [10] * 64


@pytest.fixture
def other_writer(database_url: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path_of(database_url), isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def test_database_held_by_another_writer_counts_as_writable(
    other_writer: sqlite3.Connection, reader: Reader
) -> None:
    assert reader.is_writable()


def test_database_info_of_an_empty_log(database_url: str, reader: Reader) -> None:
    size = path_of(database_url).stat().st_size
    assert reader.database() == DatabaseInfo("sqlite", size, 0)
