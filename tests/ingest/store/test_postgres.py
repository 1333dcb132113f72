"""The same store on PostgreSQL."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from core.errors import StoreError
from core.types import Bar, Origin, Trade
from ingest.store import gaps, imports, market, process, pruning
from ingest.store.engine import migrate, open_engine
from ingest.store.lock import role_lock
from ingest.store.market import BarChanges, FeedCursor
from ingest.store.reader import Freshness, Reader, Snapshot
from ingest.store.schema import metadata
from ingest.store.transaction import Writer
from tests.support.gaps import missing_ids
from tests.support.market import listing

MINUTE = 60_000


def test_a_worker_that_has_lost_its_lock_unawares_writes_nothing_more(postgres_url: str) -> None:
    migrate(postgres_url)
    first, second = (Writer(open_engine(postgres_url)) for _ in range(2))
    first.take_over("worker")
    with first.transaction() as tx:
        process.set_meta(tx, "source", "binance")
    second.take_over("worker")
    with pytest.raises(StoreError, match="taken over"), first.transaction() as tx:
        process.set_meta(tx, "source", "simulated")
    with second.transaction() as tx:
        process.set_meta(tx, "source_reason", "asked for")
    reader = Reader(postgres_url)
    assert reader.snapshot().meta["source"] == "binance"
    for one in (first, second, reader):
        one.close()


def bar(number: int, close: float = 100.0, complete: bool = True) -> Bar:
    return Bar(number * MINUTE, 100.0, 110.0, 90.0, close, 5.0, 500.0, 7, 2.5, complete)


def test_desk_on_postgres_stores_and_reads_what_it_does_on_sqlite(postgres_url: str) -> None:
    migrate(postgres_url)
    migrate(postgres_url)
    engine = open_engine(postgres_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    writer, reader = Writer(engine), Reader(postgres_url)
    with writer.transaction() as tx:
        btc = market.ensure_symbols(tx, [listing("BTC")])["BTCUSDT"]
        assert market.ensure_symbols(tx, [listing("BTC", base="X")], keep_existing=True) == {
            "BTCUSDT": btc
        }
        market.set_subscribed(tx, ["BTCUSDT"])
        first = [bar(0), bar(1)]
        assert market.upsert_bars(tx, btc, MINUTE, first, Origin.ROLL_UP) == BarChanges(2, 0)
        better = [bar(1, 101.0), bar(2)]
        assert market.upsert_bars(
            tx, btc, MINUTE, better, Origin.KLINE, imported=True
        ) == BarChanges(1, 1)
        assert market.upsert_bars(tx, btc, MINUTE, [bar(1)], Origin.ROLL_UP) == BarChanges(0, 0)
        assert market.upsert_bars(tx, btc, MINUTE, [bar(0)], Origin.TRADES, imported=True) == (0, 0)
        partial = [bar(2, complete=False)]
        assert market.upsert_bars(tx, btc, MINUTE, partial, Origin.TRADES) == BarChanges(0, 0)
        trades = [
            Trade("BTCUSDT", number, 1.5, 2.5, number, number, number, number, True)
            for number in range(1, 601)
        ]
        assert market.insert_trades(tx, btc, trades) == 600
        assert market.insert_trades(tx, btc, trades[:5]) == 0
        assert market.trades_around(tx, btc, 100, 500, 3) == trades[99:499]
        market.save_cursor(tx, btc, FeedCursor(600, 1.5, 2, 3, 4))
        gap_id = gaps.open_gap(tx, btc, 601, 609, 1, 2, "reconnect", 3)
        gaps.shrink_gap(tx, gap_id, 605, 2)
        assert imports.record_import(
            tx, btc, "klines", MINUTE, 0, 3 * MINUTE, None, None, "file", 3, 0
        )
        assert not imports.record_import(
            tx, btc, "klines", MINUTE, 0, 3 * MINUTE, None, None, "file", 3, 0
        )
        market.rise_revision(tx, btc)
        process.save_status(tx, "worker", 5, "live", 6, {"queue_depth": 1})
        process.save_status(tx, "worker", 5, "live", 7, {"queue_depth": 2})
        process.set_meta(tx, "source", "binance")
        assert pruning.prune_trades(tx, btc, 100, 70) == 70
        assert pruning.prune_bars(tx, MINUTE, 10 * MINUTE, 10) == 0
        assert market.cursors(tx) == {"BTCUSDT": FeedCursor(600, 1.5, 2, 3, 4)}
    bars = reader.bars("BTCUSDT", MINUTE, limit=2)
    assert bars.close.tolist() == [101.0, 100.0]
    assert bars.imported.tolist() == [True, True]
    assert reader.bar_range("BTCUSDT", MINUTE) == (0, 2 * MINUTE)
    symbol = reader.symbol("BTCUSDT")
    assert symbol is not None
    assert (symbol.base, symbol.subscribed, symbol.revision, symbol.first_bar_ms) == (
        "BTC",
        True,
        1,
        0,
    )
    assert missing_ids(reader) == {"BTCUSDT": (5, 1, 0)}
    assert [gap.from_id for gap in reader.gaps(["BTCUSDT"], start_ms=0)] == [605]
    status = reader.status("worker")
    assert status is not None
    assert (status.heartbeat_ms, status.payload) == (7, {"queue_depth": 2})
    assert reader.snapshot().meta == {"source": "binance"}
    fresh = {"BTCUSDT": Freshness(1, 2, 1.5, {MINUTE: 2 * MINUTE}, "USDT", "TRADING")}
    assert reader.freshness(["BTCUSDT", "NOSUCH"]) == reader.freshness() == fresh
    assert reader.freshness([]) == {}
    assert reader.snapshot() == Snapshot(
        symbols=fresh,
        gaps=tuple(reader.gaps()),
        processes={"worker": status},
        meta={"source": "binance"},
    )
    with reader._reading() as connection:
        level = connection.exec_driver_sql("SHOW transaction_isolation").scalar_one()
    assert level == "repeatable read"  # a snapshot is of one state
    assert reader.has_imports()
    assert reader.is_writable()
    assert reader.database().kind == "postgresql"
    with pytest.raises(StoreError, match="read-only"), reader._reading() as connection:
        connection.exec_driver_sql("DELETE FROM bars")
    writer.close()
    reader.close()


def test_imports_are_compared_and_taken_back_on_postgres(postgres_url: str) -> None:
    migrate(postgres_url)
    writer, reader = Writer(open_engine(postgres_url)), Reader(postgres_url)
    with writer.transaction() as tx:
        eth = market.ensure_symbols(tx, [listing("ETH")])["ETHUSDT"]
        bars = [bar(number) for number in range(5)]
        market.upsert_bars(tx, eth, MINUTE, bars, Origin.KLINE, imported=True)
        trades = [Trade("ETHUSDT", n, 1.5, 2.5, n, n, n, n, True) for n in range(1, 8)]
        market.insert_trades(tx, eth, trades)
        imports.record_import(tx, eth, "aggTrades", None, 1, 8, 1, 7, "trades.csv", 7, 0)
        assert imports.prices_near(tx, eth, 2 * MINUTE) == [(2 * MINUTE, 100), (3 * MINUTE, 100)]
        market.rise_revision(tx, eth)
    holdings = reader.holdings("ETHUSDT")
    assert holdings is not None
    assert (holdings.bars, holdings.trades) == ({MINUTE: (5, 5)}, 7)
    with writer.transaction() as tx:
        assert imports.own_bars(tx, eth, MINUTE, 2) == 2
        assert [imports.forget_bars(tx, eth, MINUTE, True, 2) for _ in range(3)] == [2, 1, 0]
        assert imports.forget_bars(tx, eth, MINUTE, False, 9) == 2
        assert [imports.forget_trades(tx, eth, True, 4) for _ in range(3)] == [4, 3, 0]
        imports.forget_islands(tx, eth)
        assert imports.is_bare(tx, eth)
        imports.forget_symbol(tx, eth)
        market.ensure_symbols(tx, [listing("ETH")])
    back = reader.symbol("ETHUSDT")
    assert back is not None
    assert back.revision > 1
    writer.close()
    reader.close()


def test_an_analyst_that_takes_over_does_not_push_the_worker_out(postgres_url: str) -> None:
    migrate(postgres_url)
    worker, analyst, second = (Writer(open_engine(postgres_url)) for _ in range(3))
    worker.take_over("worker")
    analyst.take_over("analyst")
    locks = [role_lock(postgres_url, role) for role in ("worker", "analyst", "worker")]
    assert [lock.acquire() for lock in locks] == [True, True, False]
    second.take_over("analyst")
    with worker.transaction() as tx:
        process.set_meta(tx, "source", "binance")
    with pytest.raises(StoreError, match="another analyst"), analyst.transaction() as tx:
        process.set_meta(tx, "source", "simulated")
    for one in (worker, analyst, second):
        one.close()
    for lock in locks:
        lock.release()
