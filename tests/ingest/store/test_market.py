"""Writing market data: nothing twice, nothing by halves, the better bar wins."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any, cast

import numpy as np
import pytest

from core.errors import StoreError
from core.types import Bar, Origin, Trade
from ingest.binance.answers import SymbolInfo
from ingest.store import gaps, imports, market, process, pruning
from ingest.store.market import BarChanges, FeedCursor
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.support.gaps import missing_ids
from tests.support.market import listing

MINUTE = 60_000


def bar(number: int, close: float = 100.0, complete: bool = True) -> Bar:
    return Bar(number * MINUTE, 100.0, 110.0, 90.0, close, 5.0, 500.0, 7, 2.5, complete)


def trade(trade_id: int, time_ms: int) -> Trade:
    return Trade("BTCUSDT", trade_id, 100.5, 0.25, time_ms, time_ms + 3, trade_id, trade_id, True)


@pytest.fixture
def btc(writer: Writer) -> int:
    with writer.transaction() as tx:
        return market.ensure_symbols(tx, [listing("BTC")])["BTCUSDT"]


def upsert(
    writer: Writer, symbol_id: int, bars: Sequence[Bar], origin: Origin, **options: bool
) -> BarChanges:
    with writer.transaction() as tx:
        return market.upsert_bars(tx, symbol_id, MINUTE, bars, origin, **options)


def stored(writer: Writer, symbol_id: int) -> list[tuple[Bar, Origin]]:
    with writer.transaction() as tx:
        return market.bars_between(tx, symbol_id, MINUTE, 0, 10**15)


def test_numpy_numbers_are_stored_as_numbers_and_not_as_blobs(
    writer: Writer, btc: int, database_url: str
) -> None:
    whole, real = cast(Any, np.int64), cast(Any, np.float64)
    with writer.transaction() as tx:
        odd_bar = Bar(
            whole(0), *map(real, (1, 2, 0.5, 1, 3, 4)), whole(5), real(1), cast(Any, np.bool_(True))
        )
        market.upsert_bars(tx, whole(btc), whole(MINUTE), [odd_bar], Origin.KLINE)
        market.insert_trades(
            tx,
            whole(btc),
            [
                Trade(
                    "BTCUSDT",
                    whole(9),
                    real(1),
                    real(2),
                    whole(10),
                    whole(11),
                    whole(12),
                    whole(12),
                    cast(Any, np.bool_(False)),
                )
            ],
        )
        market.save_cursor(
            tx, whole(btc), FeedCursor(whole(9), real(1), whole(2), whole(3), whole(4))
        )
        gap_id = gaps.open_gap(
            tx, whole(btc), whole(1), whole(2), whole(3), whole(4), "lost", whole(5)
        )
        gaps.shrink_gap(tx, whole(gap_id), whole(2), whole(3))
        imports.record_import(
            tx,
            whole(btc),
            "klines",
            whole(MINUTE),
            whole(0),
            whole(1),
            None,
            None,
            "f",
            whole(1),
            0,
        )
        process.save_status(tx, "worker", 1, "live", whole(5), {})
    path = database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        for table in ("bars", "trades", "cursors", "gaps", "imports", "process_status"):
            row = connection.execute(f"SELECT * FROM {table}").fetchone()
            assert row is not None
            assert not any(isinstance(value, bytes) for value in row), (table, row)


def test_appending_is_told_from_rewriting(writer: Writer, btc: int) -> None:
    bars = [bar(0), bar(1)]
    assert upsert(writer, btc, bars, Origin.KLINE) == BarChanges(appended=2, rewritten=0)
    assert upsert(writer, btc, bars, Origin.KLINE) == BarChanges(0, 0)
    assert upsert(writer, btc, [bar(1, 101.0), bar(2)], Origin.KLINE) == BarChanges(1, 1)
    assert [item.close for item, _ in stored(writer, btc)] == [100.0, 101.0, 100.0]


@pytest.mark.parametrize(
    ("first", "second", "wins"),
    [
        (Origin.ROLL_UP, Origin.KLINE, True),
        (Origin.KLINE, Origin.TRADES, True),
        (Origin.KLINE, Origin.KLINE, True),
        (Origin.KLINE, Origin.ROLL_UP, False),
        (Origin.TRADES, Origin.KLINE, False),
    ],
)
def test_bar_of_the_better_origin_stands(
    writer: Writer, btc: int, first: Origin, second: Origin, wins: bool
) -> None:
    upsert(writer, btc, [bar(0, 100.0)], first)
    changes = upsert(writer, btc, [bar(0, 105.0)], second)
    assert changes == BarChanges(0, int(wins))
    expected = (105.0, second) if wins else (100.0, first)
    assert [(item.close, origin) for item, origin in stored(writer, btc)] == [expected]


def test_incomplete_bar_of_our_trades_gives_way_to_the_exchanges_own(
    writer: Writer, btc: int
) -> None:
    upsert(writer, btc, [bar(0, 99.0, complete=False)], Origin.TRADES)
    assert stored(writer, btc)[0][1] is Origin.INCOMPLETE
    upsert(writer, btc, [bar(0, 100.0)], Origin.KLINE)
    upsert(writer, btc, [bar(0, 99.0, complete=False)], Origin.TRADES)
    assert stored(writer, btc) == [(bar(0, 100.0), Origin.KLINE)]


def test_same_values_from_a_better_origin_are_no_change_but_cannot_be_replaced_by_a_worse_one(
    writer: Writer, btc: int
) -> None:
    upsert(writer, btc, [bar(0)], Origin.ROLL_UP)
    assert upsert(writer, btc, [bar(0)], Origin.TRADES) == BarChanges(0, 0)
    assert upsert(writer, btc, [bar(0, 105.0)], Origin.KLINE) == BarChanges(0, 0)
    assert stored(writer, btc) == [(bar(0), Origin.TRADES)]


def test_bar_found_to_be_wrong_can_be_flagged_whatever_it_came_from(
    writer: Writer, btc: int
) -> None:
    upsert(writer, btc, [bar(0)], Origin.TRADES)
    wrong = bar(0, complete=False)
    assert upsert(writer, btc, [wrong], Origin.INCOMPLETE, keep_better=False) == BarChanges(0, 1)
    assert stored(writer, btc) == [(wrong, Origin.INCOMPLETE)]


def test_imported_bar_stays_imported_and_a_better_bar_becomes_it(
    writer: Writer, btc: int, reader: Reader
) -> None:
    upsert(writer, btc, [bar(0)], Origin.KLINE, imported=True)
    upsert(writer, btc, [bar(0, 101.0), bar(1)], Origin.TRADES)
    upsert(writer, btc, [bar(1, 105.0)], Origin.KLINE, imported=True)
    upsert(writer, btc, [bar(2)], Origin.KLINE, imported=True)
    upsert(writer, btc, [bar(2)], Origin.TRADES)  # the same values, better proven
    columns = reader.bars("BTCUSDT", MINUTE)
    assert columns.imported.tolist() == [True, True, True]
    assert columns.close.tolist() == [101.0, 100.0, 100.0]


def test_error_in_a_transaction_undoes_all_of_it(writer: Writer, btc: int, reader: Reader) -> None:
    def fail_midway() -> None:
        with writer.transaction() as tx:
            market.insert_trades(tx, btc, [trade(1, 1_000)])
            market.upsert_bars(tx, btc, MINUTE, [bar(0)], Origin.TRADES)
            market.rise_revision(tx, btc)
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail_midway()
    assert len(reader.bars("BTCUSDT", MINUTE)) == 0
    symbol = reader.symbol("BTCUSDT")
    assert symbol is not None
    assert symbol.revision == 0
    with writer.transaction() as tx:
        assert market.trade_by_id(tx, btc, 1) is None


def test_undefined_price_is_refused_and_not_stored_as_nothing(writer: Writer, btc: int) -> None:
    with pytest.raises(StoreError):
        upsert(writer, btc, [bar(0, float("nan"))], Origin.TRADES)
    assert stored(writer, btc) == []


def test_bar_of_an_unknown_symbol_is_refused(writer: Writer) -> None:
    with pytest.raises(StoreError, match=r"(?i)foreign key"):
        upsert(writer, 77, [bar(0)], Origin.TRADES)


def test_trade_seen_twice_is_stored_once(writer: Writer, btc: int) -> None:
    with writer.transaction() as tx:
        assert market.insert_trades(tx, btc, [trade(1, 10), trade(2, 20)]) == 2
        assert market.insert_trades(tx, btc, [trade(2, 20), trade(3, 30)]) == 1
        assert [item.trade_id for item in market.trades_around(tx, btc, 0, 100, 2)] == [1, 2, 3]
        assert market.trade_by_id(tx, btc, 3) == trade(3, 30)._replace(event_time_ms=30)
        assert market.trade_by_id(tx, btc, 4) is None


@pytest.mark.parametrize("anchor", [0, 1, 999, 5_000, 9_999, 10_001])
def test_every_trade_of_a_second_is_found_from_any_anchor(
    writer: Writer, btc: int, anchor: int
) -> None:
    with writer.transaction() as tx:
        # Ten trades a millisecond: more than a page inside the range, and on either side of it.
        market.insert_trades(tx, btc, [trade(number, number // 10) for number in range(1, 10_001)])
        found = market.trades_around(tx, btc, 200, 900, anchor)
    assert [item.trade_id for item in found] == list(range(2_000, 9_000))


def test_cursor_and_symbols_survive_a_restart(writer: Writer, btc: int, reader: Reader) -> None:
    cursor = FeedCursor(10, 1.5, 20, 30, 40)
    with writer.transaction() as tx:
        market.ensure_symbols(tx, [listing("ETH")])
        market.set_subscribed(tx, ["BTCUSDT"])
        market.save_cursor(tx, btc, FeedCursor(1, 1.0, 2, 3, 4))
        market.save_cursor(tx, btc, cursor)
        assert market.cursors(tx) == {"BTCUSDT": cursor}
    with writer.transaction() as tx:
        market.set_subscribed(tx, ["ETHUSDT"])
        same = market.ensure_symbols(tx, [listing("BTC", status="HALT")])
    assert same == {"BTCUSDT": btc}
    shown = [(item.symbol, item.status, item.subscribed, item.last_id) for item in reader.symbols()]
    assert shown == [("BTCUSDT", "HALT", False, 10), ("ETHUSDT", "TRADING", True, None)]


def test_guess_does_not_replace_what_the_exchange_said(
    writer: Writer, btc: int, reader: Reader
) -> None:
    with writer.transaction() as tx:
        guess = SymbolInfo("BTCUSDT", "BT", "CUSDT", "IMPORTED")
        assert market.ensure_symbols(tx, [guess], keep_existing=True) == {"BTCUSDT": btc}
    symbol = reader.symbol("BTCUSDT")
    assert symbol is not None
    assert (symbol.base, symbol.quote, symbol.status) == ("BTC", "USDT", "TRADING")


def test_gap_shrinks_and_ends_filled_or_shown_as_lost(
    writer: Writer, btc: int, reader: Reader
) -> None:
    with writer.transaction() as tx:
        filled = gaps.open_gap(tx, btc, 10, 19, 100, 190, "reconnect", 1)
        lost = gaps.open_gap(tx, btc, 30, 34, 300, 340, "reconnect", 2)
        gaps.shrink_gap(tx, lost, 32, 320)
        assert [gap.gap_id for gap in gaps.in_state(tx, "open")] == [filled, lost]
        gaps.close_gap(tx, filled, "filled", "fetched", 3)
        gaps.close_gap(tx, lost, "unfillable", "the exchange has pruned it", 4)
        assert gaps.in_state(tx, "open") == []
        assert [
            (gap.from_id, gap.to_id, gap.symbol) for gap in gaps.in_state(tx, "unfillable")
        ] == [(32, 34, "BTCUSDT")]
    assert missing_ids(reader) == {"BTCUSDT": (3, 0, 1)}
    assert [gap.reason for gap in reader.gaps(["BTCUSDT"], ["unfillable"])] == [
        "the exchange has pruned it"
    ]
    assert reader.gaps(["ETHUSDT"]) == []
    assert reader.gaps(start_ms=341) == []


def record_island(writer: Writer, symbol_id: int, first: int, last: int) -> bool:
    with writer.transaction() as tx:
        return imports.record_import(
            tx, symbol_id, "aggTrades", None, first * 10, last * 10 + 1, first, last, "file", 1, 5
        )


def test_island_is_recorded_once(writer: Writer, btc: int) -> None:
    assert record_island(writer, btc, 1, 5)
    assert not record_island(writer, btc, 1, 5)
    assert record_island(writer, btc, 1, 6)


def test_retention_prunes_old_trades_in_steps_and_never_an_imported_island(
    writer: Writer, btc: int
) -> None:
    record_island(writer, btc, 20, 29)
    record_island(writer, btc, 35, 39)
    with writer.transaction() as tx:
        market.insert_trades(tx, btc, [trade(number, number * 10) for number in range(1, 101)])
    deleted = []
    while not deleted or deleted[-1]:
        with writer.transaction() as tx:
            deleted.append(pruning.prune_trades(tx, btc, 505, 12))
    assert deleted == [12, 7, 5, 11, 0]
    with writer.transaction() as tx:
        left = [item.trade_id for item in market.trades_around(tx, btc, 0, 10_000, 60)]
    assert left == [*range(20, 30), *range(35, 40), *range(51, 101)]


def test_retention_prunes_old_bars_and_never_imported_ones(
    writer: Writer, btc: int, reader: Reader
) -> None:
    with writer.transaction() as tx:
        eth = market.ensure_symbols(tx, [listing("ETH")])["ETHUSDT"]
        market.upsert_bars(tx, btc, MINUTE, [bar(number) for number in range(20)], Origin.KLINE)
        # More than the island, as roll-ups reach beyond it: they must not block what follows.
        island = [bar(number) for number in range(5, 13)]
        market.upsert_bars(tx, btc, MINUTE, island, Origin.KLINE, imported=True)
        imports.record_import(
            tx, btc, "klines", MINUTE, 5 * MINUTE, 10 * MINUTE, None, None, "file", 5, 0
        )
        market.upsert_bars(tx, eth, MINUTE, [bar(number) for number in range(20)], Origin.KLINE)
    deleted = []
    while not deleted or deleted[-1]:
        with writer.transaction() as tx:
            deleted.append(pruning.prune_bars(tx, MINUTE, 15 * MINUTE, 3))
    assert sum(deleted) == 7 + 15
    assert max(deleted) == 3
    btc_left = reader.bars("BTCUSDT", MINUTE).open_time_ms // MINUTE
    assert btc_left.tolist() == [*range(5, 13), *range(15, 20)]
    assert (reader.bars("ETHUSDT", MINUTE).open_time_ms // MINUTE).tolist() == [*range(15, 20)]
