"""A migrated database file of its own for each test that asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.store.engine import migrate, open_engine
from ingest.store.reader import Reader
from ingest.store.writer import Writer


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a migrated, empty SQLite file: migrating once is enough."""
    path = tmp_path_factory.mktemp("store") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
def database_url(empty_database: bytes, tmp_path: Path) -> str:
    path = tmp_path / "market.db"
    path.write_bytes(empty_database)
    return f"sqlite:///{path}"


@pytest.fixture
def writer(database_url: str) -> Iterator[Writer]:
    writer = Writer(open_engine(database_url))
    yield writer
    writer.close()


@pytest.fixture
def reader(database_url: str) -> Iterator[Reader]:
    reader = Reader(database_url)
    yield reader
    reader.close()
