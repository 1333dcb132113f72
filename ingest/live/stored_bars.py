"""Stored bars of one symbol: closed as time passes, built again, rolled up, flagged.

Every function works inside a transaction that its caller holds.
"""

from collections.abc import Iterable

from core.bars import PARENTS, flat_bar, fold_trades, roll_up
from core.timeframes import MINUTE_MS, SECOND_MS, TIMEFRAMES
from core.types import Bar, Origin, Trade
from ingest.live.chain import SymbolChain
from ingest.store import market
from ingest.store.transaction import Transaction


def floor_to(time_ms: int, length_ms: int) -> int:
    """The start of the interval that a time lies in."""
    return time_ms - time_ms % length_ms


def close_before(tx: Transaction, symbol_id: int, time_ms: int) -> float | None:
    """Close of the second before a time, or of the minute where only that is stored."""
    for length in (SECOND_MS, MINUTE_MS):
        if time_ms % length == 0:
            found = market.bars_between(tx, symbol_id, length, time_ms - length, time_ms)
            if found:
                return found[-1][0].close
    return None


def close_seconds(tx: Transaction, chain: SymbolChain, until_ms: int) -> None:
    """Close the open seconds that end by `until_ms`, and every longer bar they complete."""
    builder = chain.builder
    assert builder is not None
    start = builder.closed_until_ms
    bars = [
        bar
        if not bar.complete or chain.is_whole(bar.open_time_ms, bar.open_time_ms + SECOND_MS)
        else bar._replace(complete=False)
        for bar in builder.close_until(until_ms, chain.whole_from_ms)
    ]
    changes = market.upsert_bars(tx, chain.symbol_id, SECOND_MS, bars, Origin.TRADES)
    changed = changes.rewritten > 0
    end = builder.closed_until_ms
    for parent, child in PARENTS:
        first = floor_to(start, parent)
        if first + parent > end:
            break
        changed |= _roll_up(tx, chain, parent, child, first, end, end)
    if changed:
        market.rise_revision(tx, chain.symbol_id)
    market.save_cursor(tx, chain.symbol_id, chain.cursor)


def rebuild_seconds(
    tx: Transaction, chain: SymbolChain, start_ms: int, end_ms: int, anchor_id: int
) -> bool:
    """Build closed seconds of [start, end) again from stored trades; True when bars changed.

    A stored bar of a better origin stays, and so does one of more trades than there are now: they
    have been pruned since. Seconds before the first price known have none.
    """
    builder = chain.builder
    assert builder is not None
    start = floor_to(start_ms, SECOND_MS)
    end = min(end_ms, builder.closed_until_ms)
    if start >= end:
        return False
    trades = _by_second(market.trades_around(tx, chain.symbol_id, start, end, anchor_id))
    known = {
        bar.open_time_ms: bar
        for bar, _ in market.bars_between(tx, chain.symbol_id, SECOND_MS, start, end)
    }
    close = close_before(tx, chain.symbol_id, start)
    bars: list[Bar] = []
    for second in range(start, end, SECOND_MS):
        whole = chain.is_whole(second, second + SECOND_MS)
        bar = None if close is None else flat_bar(second, close, whole)
        if second in trades:
            bar = fold_trades(trades[second], second, whole)
        stands = known.get(second)
        if stands is not None and stands.trade_count > (bar.trade_count if bar else 0):
            close = stands.close
        elif bar is not None:
            close = bar.close
            bars.append(bar)
    if close is not None and end == builder.closed_until_ms:
        builder.last_close = close
    changes = market.upsert_bars(tx, chain.symbol_id, SECOND_MS, bars, Origin.TRADES)
    return changes.rewritten > 0 or changes.appended > 0


def _by_second(trades: Iterable[Trade]) -> dict[int, list[Trade]]:
    seconds: dict[int, list[Trade]] = {}
    for trade in trades:
        if trade.quantity > 0:
            second = floor_to(trade.trade_time_ms, SECOND_MS)
            seconds.setdefault(second, []).append(trade)
    return seconds


def roll_up_parents(tx: Transaction, chain: SymbolChain, start_ms: int, end_ms: int) -> bool:
    """Roll up again every closed bar above 1s that overlaps [start, end); True when any changed."""
    assert chain.builder is not None
    closed = chain.builder.closed_until_ms
    changed = False
    for parent, child in PARENTS:
        changed |= _roll_up(tx, chain, parent, child, floor_to(start_ms, parent), end_ms, closed)
    return changed


def _roll_up(
    tx: Transaction,
    chain: SymbolChain,
    parent: int,
    child: int,
    start: int,
    end: int,
    closed: int,
    only_complete: bool = False,
) -> bool:
    """Roll up the bars that open in [start, end) and end by `closed`."""
    stop = min(end + parent - 1, closed)
    children: dict[int, list[tuple[Bar, Origin]]] = {}
    if start + parent <= stop:
        for item in market.bars_between(tx, chain.symbol_id, child, start, floor_to(stop, parent)):
            children.setdefault(floor_to(item[0].open_time_ms, parent), []).append(item)
    from_trades: list[Bar] = []
    mixed: list[Bar] = []
    for open_time, items in children.items():
        bar = roll_up([bar for bar, _ in items], open_time, parent // child)
        assert bar is not None
        if bar.complete and chain.is_unfillable(open_time, open_time + parent):
            bar = bar._replace(complete=False)
        if only_complete and not bar.complete:
            continue
        only_trades = all(origin is Origin.TRADES for _, origin in items)
        (from_trades if only_trades else mixed).append(bar)
    changed = market.upsert_bars(tx, chain.symbol_id, parent, from_trades, Origin.TRADES)
    filled = market.upsert_bars(tx, chain.symbol_id, parent, mixed, Origin.ROLL_UP)
    # Of fetched bars no order is known: one that is new may be one that was passed.
    passed = changed.appended + filled.appended if only_complete else 0
    return changed.rewritten + filled.rewritten + passed > 0


def flag_incomplete(
    tx: Transaction, chain: SymbolChain, first_ms: int, last_ms: int, is_final: bool
) -> bool:
    """Mark stored bars of which trades are missing; True when any was thought complete.

    While the trades may still come, the exchange's own bars stand; once they are lost for good
    (`is_final`) no bar over the hole counts.
    """
    changed = False
    for length in TIMEFRAMES.values():
        stored = market.bars_between(
            tx, chain.symbol_id, length, floor_to(first_ms, length), last_ms + 1
        )
        wrong = [
            bar._replace(complete=False)
            for bar, origin in stored
            if bar.complete and (is_final or origin is not Origin.KLINE)
        ]
        market.upsert_bars(tx, chain.symbol_id, length, wrong, Origin.INCOMPLETE, keep_better=False)
        changed |= bool(wrong)
    return changed


def store_klines(
    tx: Transaction, chain: SymbolChain, timeframe_ms: int, bars: Iterable[Bar]
) -> None:
    """Store the exchange's own bars where no better ones are.

    Whoever asks for what is newer meets those after the newest stored; of others he has to be told.
    """
    own = [
        bar._replace(complete=False)
        if chain.is_unfillable(bar.open_time_ms, bar.open_time_ms + timeframe_ms)
        else bar
        for bar in bars
    ]
    if not own:
        return
    newest_ms = market.newest_bar_ms(tx, chain.symbol_id, timeframe_ms)
    passed = [bar for bar in own if newest_ms is not None and bar.open_time_ms <= newest_ms]
    newer = [bar for bar in own if newest_ms is None or bar.open_time_ms > newest_ms]
    changes = market.upsert_bars(tx, chain.symbol_id, timeframe_ms, passed, Origin.KLINE)
    market.upsert_bars(tx, chain.symbol_id, timeframe_ms, newer, Origin.KLINE)
    if any(changes):
        market.rise_revision(tx, chain.symbol_id)


def roll_up_minutes(tx: Transaction, chain: SymbolChain, start_ms: int, end_ms: int) -> None:
    """Roll fetched minutes of [start, end) up; the oldest may be a longer bar's second half."""
    closed = max(end_ms, chain.builder.closed_until_ms if chain.builder else 0)
    changed = False
    for parent, child in PARENTS[1:]:
        first = floor_to(start_ms, parent)
        changed |= _roll_up(tx, chain, parent, child, first, end_ms, closed, only_complete=True)
    if changed:
        market.rise_revision(tx, chain.symbol_id)
