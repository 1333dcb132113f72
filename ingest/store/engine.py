"""Open the database, bring its schema up to date and say in plain words what is wrong with it."""

import os
import sqlite3
import stat
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import structlog
from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from core.errors import SettingsError, StoreBusy, StoreCorrupt, StoreError, StoreFull
from core.masking import masked
from ingest.store.integrity import find_damage, is_ours, set_aside, suspect
from ingest.store.migrations import HEAD
from ingest.store.salvage import salvage

log = structlog.get_logger()

BUSY_TIMEOUT_S = 5.0
MIGRATION_LOCK_S = 60.0
READERS_CACHE_KB = 512
PRIVATE = stat.S_IRUSR | stat.S_IWUSR
POSTGRES_LOCK = 0x5041_4952  # "PAIR"


class _Meaning(NamedTuple):
    """What is meant by what the driver says, with room for where and for the driver's words."""

    fragments: tuple[str, ...]
    kind: type[StoreError]
    words: str


_MEANINGS = (
    _Meaning(
        ("database is locked", "database table is locked", "deadlock", "lock timeout"),
        StoreBusy,
        "The database{where} is busy: another process holds it{detail}.",
    ),
    _Meaning(
        ("unable to open database file",),
        StoreError,
        "The database{where} is not there or may not be opened; a start of the desk makes it.",
    ),
    _Meaning(
        ("disk is full", "no space left", "disk full"),
        StoreFull,
        "There is no space left for the database{where}{detail}.",
    ),
    _Meaning(
        ("not a database", "malformed", "disk image"),
        StoreCorrupt,
        "The database{where} is broken or is no database{detail}.",
    ),
    _Meaning(
        ("interrupted",),
        StoreError,
        "The database{where} took too long to answer; it was given up.",
    ),
    _Meaning(
        ("disk i/o error",),
        StoreError,
        "The database{where} is broken or is no database{detail}.",
    ),
    _Meaning(
        ("no such table", "no such column", "has no column", "does not exist"),
        StoreError,
        "The database{where} does not have the tables of this version{detail};"
        " a start of the desk brings it up to date.",
    ),
    _Meaning(
        ("connection refused", "could not translate", "failed to resolve", "timeout expired"),
        StoreError,
        "The database{where} can't be reached{detail}.",
    ),
    _Meaning(("",), StoreError, "The database{where} can't be used{detail}."),
)


def sqlite_path(url: str) -> Path | None:
    """File behind an SQLite URL, taken as it is written; None for any other database."""
    if not url.startswith("sqlite:///"):
        return None
    return Path(url.removeprefix("sqlite:///")).absolute()


def open_engine(
    url: str, *, read_only: bool = False, checkpoints: bool = False, durable: bool = False
) -> Engine:
    """Make an engine; nothing is opened before its first connection.

    Parameters
    ----------
    url : SQLAlchemy URL; ``postgresql+psycopg://`` or ``sqlite:///``.
    read_only : Refuse every write. With SQLite the file must exist.
    checkpoints : Let SQLite move its write-ahead log into the file as it grows. One process
        only, the worker: several checkpointers hit a bug of SQLite before 3.51.3.
    durable : What is committed outlives a power failure at once, with SQLite too: for what is
        told to somebody, and can't be fetched again.
    """
    path = sqlite_path(url)
    if path is None:
        options = "-c timezone=UTC -c lock_timeout=5s"
        if read_only:
            options += " -c default_transaction_read_only=on"
            # All that one transaction reads is of one state, as with SQLite.
            options += r" -c default_transaction_isolation=repeatable\ read"
        return create_engine(
            url, pool_pre_ping=True, connect_args={"options": options, "connect_timeout": 10}
        )

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            _sqlite_uri(path, read_only),
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            # The driver's own transaction control is off: `begin` below says when one starts.
            isolation_level=None,
            # The pool hands a connection to one thread at a time.
            check_same_thread=False,
        )

    def prepare(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {1_000 if checkpoints else 0}")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
            # What it has read is void at the next commit of anybody: a bar's legs fit into less.
            connection.execute(f"PRAGMA cache_size = -{READERS_CACHE_KB}")
        else:
            connection.execute("PRAGMA journal_mode = WAL")
            # What a checkpoint has emptied is given back instead of kept at its peak.
            connection.execute(f"PRAGMA journal_size_limit = {64 * 1024 * 1024}")

    begin_text = "BEGIN" if read_only else "BEGIN IMMEDIATE"

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin_text)

    engine = create_engine(URL.create("sqlite", database=str(path)), creator=connect)
    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


def _sqlite_uri(path: Path, read_only: bool) -> str:
    uri = f"file:{quote(str(path))}"
    if not read_only:
        return f"{uri}?mode=rwc"
    # A reader of a WAL database makes the files beside it; where it may not, and none are
    # there, nobody can be writing and the file is as good as immutable.
    if not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists():
        return f"{uri}?mode=ro&immutable=1"
    return f"{uri}?mode=ro"


def place(url: str | URL) -> str:
    """Say where a database is, without its password: for the log, not for visitors."""
    if isinstance(url, str):
        path = sqlite_path(url)
        return str(path) if path else place(make_url(url))
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    # What follows the question mark may hold a password too, such as that of a key.
    return url.set(query={}).render_as_string(hide_password=True)


def store_error(error: SQLAlchemyError, url: str | URL) -> StoreError:
    """Say in plain words what a database error means to whoever runs the desk."""
    text = str(error.orig if isinstance(error, DBAPIError) else error)
    detail = masked(" ".join(text.split()))  # PostgreSQL gives advice on lines of its own
    said = detail.lower()
    meaning = next(one for one in _MEANINGS if any(part in said for part in one.fragments))
    return meaning.kind(
        meaning.words.format(where=f" {place(url)}", detail=f" ({detail})"),
        meaning.words.format(where="", detail=""),
    )


def stored_version(connection: Connection) -> str | None:
    """Schema version of an open database; None when it has none yet."""
    if connection.dialect.name == "sqlite":
        table = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
    else:
        table = "SELECT 1 WHERE to_regclass('alembic_version') IS NOT NULL"
    if connection.exec_driver_sql(table).first() is None:
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return None if row is None else str(row[0])


def migrate(url: str) -> None:
    """Bring the database to this version's schema, making file and folder where there are none.

    Processes that start together wait for one another; at head it costs one short query.

    Raises
    ------
    SettingsError
        The database was made by a newer version, the file is something else, or its folder
        can't be made.
    StoreError
        It is broken, unreachable or held by another process.
    """
    path = sqlite_path(url)
    engine = open_engine(url)
    try:
        if path is None:
            _upgrade(engine, url)
            return
        if path.is_dir():
            raise SettingsError(f"DATABASE_URL: {path} is a folder, not a database file")
        if path.exists() and not path.is_file():
            raise SettingsError(f"DATABASE_URL: {path} is no file")
        if path.exists() and path.stat().st_size and not is_ours(path):
            # Before its rights are changed and locks come to lie beside it.
            raise SettingsError(f"DATABASE_URL: {path} is no SQLite database; it is left as it is")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Before the lock, which waits a minute for a file that can't be made.
        make_private(path)
        with FileLock(f"{path}.migrate.lock", timeout=MIGRATION_LOCK_S):
            _replace_if_damaged(path, engine, url)
            _upgrade(engine, url)
    except Timeout as error:
        raise StoreBusy(f"Another process has been migrating {path} for a minute.") from error
    except OSError as error:
        raise SettingsError(
            f"DATABASE_URL: {path} can't be made, read and written by this user ({error.strerror})"
        ) from error
    except SQLAlchemyError as error:
        raise store_error(error, url) from error
    finally:
        engine.dispose()


def make_private(path: Path) -> None:
    """Make a file that its user alone can read and write, or an old one so; SQLite makes those
    beside it alike.

    Raises
    ------
    OSError
        This user can't read or write it.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE))
    for one in (path, *(Path(f"{path}{end}") for end in ("-wal", "-shm", ".pulse"))):
        with suppress(FileNotFoundError):
            found = one.stat()
            if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != PRIVATE:
                one.chmod(PRIVATE)


def _replace_if_damaged(path: Path, engine: Engine, url: str) -> None:
    """Set a damaged file aside and begin a new one with what could be read of the user's own.

    Nobody may be writing to it meanwhile: while worker or analyst live, the file is left alone.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    with ExitStack() as held:
        try:
            for role in ("worker", "analyst"):
                held.enter_context(FileLock(f"{path}.{role}.lock", timeout=0))
        except Timeout:
            return
        damage = find_damage(path)
        if damage is None:
            suspect(path).unlink(missing_ok=True)
        else:
            aside = set_aside(path)
            _upgrade(engine, url)
            kept = salvage(aside, path)
            words = (
                f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC: the database was damaged ({damage}) and"
                f" was set aside as {aside.name}. Market data is fetched again; {kept.words()}."
            )
            log.error("the database was damaged", database=str(path), notice=words)
            with engine.begin() as connection:
                connection.exec_driver_sql(
                    "INSERT INTO meta (key, value) VALUES ('notice', ?)"
                    " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    (words,),
                )


def _upgrade(engine: Engine, url: str) -> None:
    with engine.connect() as connection:
        if stored_version(connection) == HEAD:
            return
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({POSTGRES_LOCK})")
            # Waiting behind another start may have taken long enough for it to be done.
            if stored_version(connection) == HEAD:
                return
        _run_scripts(connection, url)


def _run_scripts(connection: Connection, url: str) -> None:
    # Only a start that isn't at head pays for loading alembic.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option(
        "script_location", str(files("ingest.store.migrations")).replace("%", "%%")
    )
    config.set_main_option("path_separator", "os")
    known: Any = {
        script.revision for script in ScriptDirectory.from_config(config).walk_revisions()
    }
    stored = stored_version(connection)
    if stored is not None and stored not in known:
        raise SettingsError(
            f"DATABASE_URL: {place(url)} has schema {stored}, made by a newer version of the desk;"
            f" this one knows up to {HEAD}. Update the desk or use another database."
        )
    command.upgrade(config, "head")
