"""Opening and migrating the database, and the words for what is wrong with it."""

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import alembic.command
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

from core.errors import SettingsError, StoreBusy, StoreError
from ingest.store import engine as engine_module
from ingest.store import migrations
from ingest.store.backup import back_up
from ingest.store.engine import migrate, open_engine
from ingest.store.pulse import Pulse
from ingest.store.reader import ProcessStatus, Reader
from ingest.store.schema import metadata
from ingest.store.transaction import Writer

ROOT = Path(__file__).parents[3]
NOBODY = 65_534


def execute(url: str, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        return connection.execute(sql).fetchall()


def test_migrations_make_exactly_the_tables_that_the_code_uses(database_url: str) -> None:
    engine = open_engine(database_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    made = dict(execute(database_url, "SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    assert {name for name, sql in made.items() if "WITHOUT ROWID" in str(sql)} == {"trades", "bars"}


def test_a_new_migration_cannot_be_forgotten_by_the_quick_start() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_current_head() == migrations.HEAD


def test_a_database_of_the_last_release_keeps_what_its_worker_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/market.db"
    upgrade = alembic.command.upgrade
    with monkeypatch.context() as older:
        older.setattr(alembic.command, "upgrade", lambda config, _: upgrade(config, "0001"))
        migrate(url)
    execute(url, "INSERT INTO worker_status VALUES (1, 77, 'live', 20, '{\"queue_depth\": 3}')")
    migrate(url)
    assert Reader(url).status("worker") == ProcessStatus(77, "live", 20, {"queue_depth": 3})


def test_first_start_makes_folder_and_database_and_the_next_one_changes_nothing(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/new folder/100%25?#/market.db"
    migrate(url)
    path = tmp_path / "new folder" / "100%25?#" / "market.db"
    before = path.read_bytes()
    assert before
    migrate(url)
    assert path.read_bytes() == before
    assert Reader(url).symbols() == []


def test_start_at_head_does_not_pay_for_loading_alembic(database_url: str) -> None:
    code = (
        "import sys; from ingest.store.engine import migrate; migrate(sys.argv[1]);"
        " print('alembic' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, database_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "False"


def test_processes_that_start_together_all_find_a_migrated_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/market.db"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [url] * 4))
    assert execute(url, "SELECT version_num FROM alembic_version") == [(migrations.HEAD,)]


def test_failed_migration_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/market.db"
    execute(url, "CREATE TABLE imports (id INTEGER)")  # the last table to be made is in the way
    with pytest.raises(StoreError):
        migrate(url)
    assert execute(url, "SELECT name FROM sqlite_master WHERE type = 'table'") == [("imports",)]


def test_database_of_a_newer_version_is_refused_in_words(database_url: str) -> None:
    execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SettingsError, match=r"9999.*newer version"):
        migrate(database_url)
    with pytest.raises(StoreError, match="9999"):
        Reader(database_url).symbols()


def test_folder_in_place_of_the_file_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a folder"):
        migrate(f"sqlite:///{tmp_path}")


def test_file_in_place_of_the_folder_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        migrate(f"sqlite:///{tmp_path}/data/market.db")


def test_a_file_that_is_no_database_is_a_settings_error_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    path.write_bytes(b"not a database, whatever its name says" * 100)
    path.chmod(0o644)
    with pytest.raises(SettingsError, match=r"market\.db is no SQLite database"):
        migrate(f"sqlite:///{path}")
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    with pytest.raises(StoreError, match="broken"):
        Reader(f"sqlite:///{path}").symbols()


def test_password_is_not_in_the_message_of_an_unreachable_server() -> None:
    with pytest.raises(StoreError, match="reached") as caught:
        migrate("postgresql+psycopg://desk:secret@127.0.0.1:1/desk?sslpassword=secret")
    assert "secret" not in str(caught.value)
    assert "desk:***@127.0.0.1:1/desk can't be reached" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.public == "The database can't be reached."


def test_write_transaction_holds_the_lock_from_its_start(
    database_url: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_S", 0.01)
    other = Writer(open_engine(database_url))
    # A transaction that only read so far would fail later, in the middle of its writes.
    with writer.transaction(), pytest.raises(StoreBusy, match="busy"), other.transaction():
        pytest.fail("two writers at once")
    other.close()


@pytest.mark.parametrize(("checkpoints", "pages"), [(False, 0), (True, 1_000)])
def test_only_the_worker_checkpoints(database_url: str, checkpoints: bool, pages: int) -> None:
    engine = open_engine(database_url, checkpoints=checkpoints)
    with engine.connect() as connection:

        def pragma(name: str) -> object:
            return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()

        assert pragma("wal_autocheckpoint") == pages
        assert pragma("journal_mode") == "wal"
        assert pragma("synchronous") == 1
        assert pragma("foreign_keys") == 1
        assert pragma("busy_timeout") == 5_000
    engine.dispose()


def test_read_only_engine_refuses_to_write(database_url: str) -> None:
    engine = open_engine(database_url, read_only=True)
    with engine.connect() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.exec_driver_sql("INSERT INTO meta VALUES ('a', 'b')")
    engine.dispose()


def test_database_in_a_read_only_folder_can_still_be_read(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(database_url.removeprefix("sqlite:///"))
    access: Callable[..., bool] = lambda *_: False  # noqa: E731 - root may write anywhere
    monkeypatch.setattr(engine_module.os, "access", access)
    reader = Reader(database_url)
    assert reader.symbols() == []
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    reader.close()


def modes(path: Path) -> dict[str, int]:
    return {
        one.name: stat.S_IMODE(one.stat().st_mode)
        for one in path.parent.iterdir()
        if one.is_file() and not one.name.endswith(".lock")
    }


def test_the_files_of_a_database_are_for_its_user_alone(tmp_path: Path) -> None:
    path, copy = tmp_path / "market.db", tmp_path / "copy.db"
    own = tmp_path / "own.db"
    url = f"sqlite:///{path}"
    before = os.umask(0)
    try:
        migrate(url)
        Pulse(path).prepare()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("INSERT INTO meta (key, value) VALUES ('a', 'b')")
            connection.commit()
            back_up(url, copy)
            back_up(url, own, own=True)
            names = "market.db market.db-wal market.db-shm market.db.pulse copy.db own.db"
            assert modes(path) == dict.fromkeys(names.split(), 0o600)
    finally:
        os.umask(before)


def test_an_older_database_is_made_private_by_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    migrate(f"sqlite:///{path}")
    path.chmod(0o644)
    Path(f"{path}.pulse").touch(0o644)
    migrate(f"sqlite:///{path}")
    assert set(modes(path).values()) == {0o600}


@pytest.mark.parametrize("mode", [0o400, 0o200, 0o000])
def test_a_database_that_may_not_be_read_and_written_is_a_settings_error(mode: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "market.db"
        migrate(f"sqlite:///{path}")
        path.chmod(mode)
        is_root = os.geteuid() == 0
        if is_root:
            # The file stays root's, so that nobody else may use it.
            folder.chmod(0o777)
            for lock in folder.glob("*.lock"):
                lock.unlink()
            os.seteuid(NOBODY)
        try:
            with pytest.raises(SettingsError, match=r"market\.db can't be made, read and written"):
                migrate(f"sqlite:///{path}")
        finally:
            if is_root:
                os.seteuid(0)
