"""Retention works beside ingestion: with millions of rows a step is as short as with few."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ingest.live.upkeep import PRUNE_ROWS
from ingest.store import pruning
from ingest.store.engine import open_engine
from ingest.store.transaction import Transaction, Writer

FEW = 10 * PRUNE_ROWS
MANY = 10 * FEW
INSTRUCTIONS = 1_000
STEPS = 5


def fill(path: Path, rows: int) -> None:
    """As many trades of one symbol and as many 1s bars, by SQLite itself."""
    counted = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "INSERT INTO symbols (id, symbol, base, quote, status, subscribed, revision)"
            " VALUES (1, 'BTCUSDT', '', '', '', 1, 0)"
        )
        database.execute(f"{counted} INSERT INTO trades SELECT 1, i, 1, 1, i, i, i, 0 FROM n")
        database.execute(
            f"{counted} INSERT INTO bars SELECT 1, 1000, i, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 0 FROM n"
        )


def prune_trades(tx: Transaction) -> int:
    return pruning.prune_trades(tx, 1, 2**40, PRUNE_ROWS)


def prune_bars(tx: Transaction) -> int:
    return pruning.prune_bars(tx, 1_000, 2**40, PRUNE_ROWS)


def most_work(path: Path, prune: Callable[[Transaction], int]) -> int:
    """What the costliest of some steps takes, in thousands of SQLite's own instructions."""
    engine = open_engine(f"sqlite:///{path}", checkpoints=True)
    writer = Writer(engine)
    spent: list[int] = []

    def count() -> int:
        spent[-1] += 1
        return 0

    connection = engine.raw_connection()  # the pool has only this one
    assert connection.driver_connection is not None
    connection.driver_connection.set_progress_handler(count, INSTRUCTIONS)
    connection.close()
    for _ in range(STEPS):
        spent.append(0)
        with writer.transaction() as tx:
            assert prune(tx) == PRUNE_ROWS
    writer.close()
    return max(spent)


@pytest.mark.parametrize("prune", [prune_trades, prune_bars])
def test_a_step_of_pruning_takes_no_more_work_however_much_is_stored(
    empty_database: bytes, tmp_path: Path, prune: Callable[[Transaction], int]
) -> None:
    work = []
    for rows in (FEW, MANY):
        path = tmp_path / f"{rows}.db"
        path.write_bytes(empty_database)
        fill(path, rows)
        work.append(most_work(path, prune))
    assert 0 < work[1] <= 1.1 * work[0]


@pytest.mark.soak
@pytest.mark.parametrize("prune", [prune_trades, prune_bars])
def test_pruning_millions_of_rows_never_holds_ingestion_up_for_100_ms(
    database_url: str, prune: Callable[[Transaction], int]
) -> None:
    fill(Path(database_url.removeprefix("sqlite:///")), 1_000_000)
    writer = Writer(open_engine(database_url, checkpoints=True))
    spent = []
    for _ in range(40):
        began = time.perf_counter()
        with writer.transaction() as tx:
            assert prune(tx) == PRUNE_ROWS
        spent.append(time.perf_counter() - began)
    writer.close()
    # One step in forty may meet a disk, or a machine, that is busy with something else.
    assert sorted(spent)[-2] < 0.1
