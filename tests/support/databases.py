"""Stores for tests: SQLite files, PostgreSQL and Redis servers where they can be had."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ingest.store.engine import migrate
from tests.support import postgres
from tests.support.redis_server import NoRedis, RedisServer


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a migrated, empty SQLite file: migrating once is enough."""
    path = tmp_path_factory.mktemp("store") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
def database_url(empty_database: bytes, tmp_path: Path) -> str:
    """A migrated, empty SQLite database of the test's own."""
    path = tmp_path / "market.db"
    path.write_bytes(empty_database)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Engine]:
    """A server of this run; its tests are skipped where there can be none."""
    try:
        with postgres.server() as administrator:
            yield administrator
    except postgres.NoPostgres as reason:
        pytest.skip(str(reason))


@pytest.fixture
def postgres_url(postgres_server: Engine) -> Iterator[str]:
    """An empty PostgreSQL database of the test's own, not migrated."""
    with postgres.database(postgres_server) as url:
        yield url


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own; the test is skipped where there can be none."""
    try:
        server = RedisServer(tmp_path)
    except NoRedis as reason:
        pytest.skip(str(reason))
    server.start()
    yield server
    server.stop()
