"""A damaged file costs nothing that can't be fetched again; a backup is whole or not there."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import SettingsError, StoreError
from core.types import Bar, Origin, Trade
from ingest.store import imports, market, process
from ingest.store.backup import back_up
from ingest.store.engine import migrate, open_engine
from ingest.store.integrity import find_damage, suspect
from ingest.store.lock import role_lock
from ingest.store.pulse import Pulse
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.support.market import listing

ROOT = Path(__file__).parents[3]
HOUR = 3_600_000
PAGE = 4_096


def bars(first: int, count: int) -> list[Bar]:
    return [
        Bar((first + i) * HOUR, 1.0, 2.0, 0.5, 1.5, 3.0, 4.0, 5, 1.0, True) for i in range(count)
    ]


def fill(url: str) -> None:
    """4,000 imported hours and 1,000 trades, 20,000 fetched minutes and trades of the feed."""
    writer = Writer(open_engine(url, checkpoints=True))
    with writer.transaction() as tx:
        key = market.ensure_symbols(tx, [listing("BTC")])["BTCUSDT"]
        market.upsert_bars(tx, key, HOUR, bars(0, 4_000), Origin.KLINE, imported=True)
        imports.record_import(
            tx, key, "klines", HOUR, 0, 4_000 * HOUR, None, None, "a.zip", 4_000, 1
        )
        trades = [Trade("BTCUSDT", i, 1.0, 1.0, i, i, i, i, False) for i in range(1, 20_001)]
        market.insert_trades(tx, key, trades)
        imports.record_import(tx, key, "aggTrades", None, 0, 2**40, 1, 1_000, "b.zip", 1_000, 1)
        minutes = [bar._replace(open_time_ms=i * 60_000) for i, bar in enumerate(bars(0, 20_000))]
        market.upsert_bars(tx, key, 60_000, minutes, Origin.KLINE)
    writer.close()


def damage(path: Path, *, first: float, last: float) -> None:
    """Overwrite pages between two shares of the file."""
    pages = path.stat().st_size // PAGE
    with path.open("r+b") as file:
        for page in range(max(1, int(pages * first)), int(pages * last)):
            file.seek(page * PAGE)
            file.write(os.urandom(PAGE))


@pytest.fixture
def path(database_url: str) -> Path:
    fill(database_url)
    return Path(database_url.removeprefix("sqlite:///"))


def asides(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.corrupt-*Z"))


def test_a_sound_file_is_left_alone(path: Path, database_url: str) -> None:
    before = path.read_bytes()
    migrate(database_url)
    assert path.read_bytes() == before
    assert asides(path) == []


def test_a_damaged_file_is_set_aside_and_what_was_imported_is_kept(
    path: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(path, first=0.7, last=0.8)  # fetched minutes
    spoilt = path.read_bytes()
    migrate(database_url)
    (aside,) = asides(path)
    assert aside.read_bytes() == spoilt
    reader = Reader(database_url)
    kept = reader.bars("BTCUSDT", HOUR)
    assert len(kept) == 4_000
    assert kept.imported.all()
    assert reader.bar_range("BTCUSDT", 60_000) is None
    notice = reader.snapshot().meta["notice"]
    assert aside.name in notice
    assert "2 imports (4000 bars, 1000 trades) were kept" in notice
    reader.close()
    assert "set aside" in capsys.readouterr().out
    migrate(database_url)
    assert len(asides(path)) == 1


def test_imports_around_a_page_that_cannot_be_read_are_kept_and_the_user_is_told(
    database_url: str,
) -> None:
    path = Path(database_url.removeprefix("sqlite:///"))
    writer = Writer(open_engine(database_url, checkpoints=True))
    with writer.transaction() as tx:
        key = market.ensure_symbols(tx, [listing("BTC")])["BTCUSDT"]
        market.upsert_bars(tx, key, HOUR, bars(0, 4_000), Origin.KLINE, imported=True)
        imports.record_import(
            tx, key, "klines", HOUR, 0, 4_000 * HOUR, None, None, "a.zip", 4_000, 1
        )
    writer.close()
    damage(path, first=0.6, last=0.63)
    migrate(database_url)
    reader = Reader(database_url)
    kept = reader.bars("BTCUSDT", HOUR).open_time_ms // HOUR
    assert 3_000 < len(kept) < 4_000
    assert (kept[0], kept[-1]) == (0, 3_999)
    assert "kept in part: import the files again" in reader.snapshot().meta["notice"]
    reader.close()


def test_a_file_without_its_header_is_replaced_and_a_foreign_file_never(
    path: Path, database_url: str
) -> None:
    with path.open("r+b") as file:
        file.write(b"\xff" * PAGE)
    with pytest.raises(SettingsError, match="is no SQLite database"):
        migrate(database_url)  # nothing says that this was ever a database
    assert asides(path) == []
    Pulse(path).prepare()
    migrate(database_url)
    assert len(asides(path)) == 1
    assert Reader(database_url).symbols() == []


def test_a_file_that_a_worker_writes_to_is_never_moved_away(path: Path, database_url: str) -> None:
    damage(path, first=0.3, last=0.9)
    lock = role_lock(database_url, "worker")
    assert lock.acquire()
    migrate(database_url)
    assert asides(path) == []
    lock.release()
    migrate(database_url)
    assert len(asides(path)) == 1


def test_damage_that_a_worker_met_is_looked_for_on_every_page(path: Path) -> None:
    damage(path, first=0.7, last=0.72)
    assert find_damage(path, whole_below=0, at_most_s=-1.0) is None  # no time for all pages
    assert find_damage(path, whole_below=0) is not None
    suspect(path).touch()
    assert find_damage(path, whole_below=0, at_most_s=-1.0) is not None


def test_a_backup_while_trades_are_written_is_one_sound_state(
    path: Path, database_url: str, tmp_path: Path
) -> None:
    writer, stop = Writer(open_engine(database_url, checkpoints=True)), threading.Event()
    written: list[int] = []

    def write() -> None:
        trade_id = 20_001
        while not stop.is_set():
            with writer.transaction() as tx:
                rows = [
                    Trade("BTCUSDT", i, 1.0, 1.0, i, i, i, i, False)
                    for i in range(trade_id, trade_id + 50)
                ]
                market.insert_trades(tx, 1, rows)
                process.set_meta(tx, "newest", str(trade_id + 49))
            trade_id += 50
            written.append(trade_id)
            time.sleep(0.001)

    thread = threading.Thread(target=write)
    thread.start()
    target = tmp_path / "copy.db"
    try:
        while not written:
            time.sleep(0.001)
        for _ in range(3):
            before = len(written)
            assert back_up(database_url, target, force=True) == target.stat().st_size
            with closing(sqlite3.connect(target)) as copy:
                (newest,) = copy.execute("SELECT value FROM meta WHERE key = 'newest'").fetchone()
                (last,) = copy.execute("SELECT max(trade_id) FROM trades").fetchone()
                assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert last == int(newest) >= 20_000 + before * 50
    finally:
        stop.set()
        thread.join()
        writer.close()
    assert [item.name for item in tmp_path.glob("copy*")] == ["copy.db"]
    assert len(Reader(f"sqlite:///{target}").bars("BTCUSDT", HOUR)) == 4_000


def test_a_backup_of_what_is_the_users_own_leaves_out_what_can_be_fetched(
    path: Path, database_url: str, tmp_path: Path
) -> None:
    writer = Writer(open_engine(database_url))
    with writer.transaction() as tx:
        process.save_status(tx, "worker", 77, "live", 20, {})
    target = tmp_path / "own.db"
    assert back_up(database_url, target, own=True) == target.stat().st_size
    writer.close()
    assert [item.name for item in tmp_path.glob("own*")] == ["own.db"]
    migrate(f"sqlite:///{target}")
    reader = Reader(f"sqlite:///{target}")
    assert len(reader.bars("BTCUSDT", HOUR)) == 4_000
    assert reader.bar_range("BTCUSDT", 60_000) is None
    assert reader.has_imports()
    assert reader.status("worker") is None
    reader.close()
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT count(*), max(trade_id) FROM trades").fetchone() == (1000, 1000)


def test_a_backup_of_ones_own_that_would_lack_something_is_refused(
    path: Path, database_url: str, tmp_path: Path
) -> None:
    damage(path, first=0.01, last=0.3)
    with pytest.raises(StoreError, match="kept in part"):
        back_up(database_url, tmp_path / "own.db", own=True)
    assert list(tmp_path.glob("own*")) == []


def test_a_backup_replaces_nothing_unasked(path: Path, database_url: str, tmp_path: Path) -> None:
    target = tmp_path / "mine.txt"
    target.write_text("mine")
    command = [sys.executable, "-m", "ingest", "backup", str(target)]
    environ = {"PATH": os.environ["PATH"], "DATABASE_URL": database_url}
    refused = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    assert target.read_text() == "mine"
    done = subprocess.run(
        [*command, "--force"], cwd=ROOT, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(path) in done.stdout
    assert find_damage(target) is None


def test_a_backup_of_another_database_says_how_it_is_done(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="pg_dump") as caught:
        back_up("postgresql+psycopg://desk:secret@db/desk", tmp_path / "copy.db")
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreError, match="no database"):
        back_up(f"sqlite:///{tmp_path}/none.db", tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []
