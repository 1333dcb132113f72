"""The simulated exchange's ledger judges what a worker has stored."""

import sqlite3
from collections.abc import Callable, Mapping
from math import isclose
from pathlib import Path
from typing import Any

from ingest.simulator import Ledger

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")
# History costs next to nothing at this rate; what is to be seen live comes as a burst.
RATE = 0.02
SECOND, MINUTE = 1_000, 60_000


def stored_trades(path: Path, symbol: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        return database.execute(
            "SELECT trade_id, price, quantity, trade_time_ms, trades.first_id, trades.last_id,"
            " buyer_is_maker FROM trades JOIN symbols ON symbols.id = symbol_id"
            " WHERE symbol = ? ORDER BY trade_id",
            (symbol,),
        ).fetchall()


def judge(
    path: Path,
    ledger: Ledger,
    newest_ids: Mapping[str, int],
    told_before: Callable[[str], int] = lambda symbol: 0,
) -> dict[str, int]:
    """Hold what is stored up to these ids against the ledger; gives the number of trades.

    What came later may be a gap that the end of the worker has left to the next one.

    Parameters
    ----------
    told_before : how much lower ids were told than the ledger has them.
    """
    counts: dict[str, int] = {}
    for symbol, newest_id in newest_ids.items():
        stored = [row for row in stored_trades(path, symbol) if row[0] <= newest_id]
        assert stored, f"nothing stored of {symbol}"
        first, last = stored[0][0], stored[-1][0]
        before = told_before(symbol)
        told = ledger.trades(symbol, first + before, last - first + 1)
        expected = {
            t.trade_id - before: (
                *(t.trade_id - before, t.price, t.quantity, t.trade_time_ms),
                *(t.first_id, t.last_id, int(t.buyer_is_maker)),
            )
            for t in told
        }
        ids = [row[0] for row in stored]
        missing = sorted(set(expected).difference(ids))
        assert not missing, f"{symbol} lacks {len(missing)} of {len(expected)}: {missing[:5]}"
        assert len(ids) == len(expected), f"{symbol} has trades that were never made"
        wrong = [row for row in stored if row != expected[row[0]]]
        assert not wrong, f"{symbol}: {wrong[0]} is {expected[wrong[0][0]]} in the ledger"
        counts[symbol] = len(stored)
        judge_bars(path, ledger, symbol, told[-1].trade_time_ms)
    return counts


def judge_bars(path: Path, ledger: Ledger, symbol: str, until_ms: int) -> None:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        whole_from, closed_until = database.execute(
            "SELECT whole_from_ms, closed_until_ms FROM cursors JOIN symbols"
            " ON symbols.id = symbol_id WHERE symbol = ?",
            (symbol,),
        ).fetchone()
        for length in (SECOND, MINUTE):
            start = -(-whole_from // length) * length
            end = min(closed_until, until_ms) // length * length
            stored = database.execute(
                "SELECT open_time_ms, open, high, low, close, trade_count, complete, volume,"
                " taker_buy_volume, quote_volume FROM bars JOIN symbols ON symbols.id = symbol_id"
                " WHERE symbol = ? AND timeframe_ms = ? AND open_time_ms >= ? AND open_time_ms < ?"
                " AND complete ORDER BY open_time_ms",
                (symbol, length, start, end),
            ).fetchall()
            expected = ledger.bars(symbol, length, start, end)
            where = f"{symbol} {length} ms"
            assert [row[0] for row in stored] == [bar.open_time_ms for bar in expected], where
            for row, bar in zip(stored, expected, strict=True):
                prices = (bar.open_time_ms, *bar[1:5], bar.trade_count, 1)
                assert row[:7] == prices, (where, row, bar)
                sums = (bar.volume, bar.taker_buy_volume, bar.quote_volume)
                for mine, theirs in zip(row[7:], sums, strict=True):
                    assert isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-7), (where, row, bar)
