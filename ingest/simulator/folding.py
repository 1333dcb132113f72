"""Folding trades into bar rows, exactly: whole ticks and steps, no rounding anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from core.types import BoolArray, IntArray
from ingest.simulator.tape import Prints


@dataclass(frozen=True, slots=True, eq=False)
class BarRows:
    """Bars as columns of whole numbers, oldest first.

    Prices in ticks, volumes in quantity steps, quote volumes in ticks times steps.
    `first_raw_id` is −1 in a bar without trades.
    """

    open_time_ms: IntArray
    open: IntArray
    high: IntArray
    low: IntArray
    close: IntArray
    volume: IntArray
    quote_volume: IntArray
    trade_count: IntArray
    taker_buy_volume: IntArray
    taker_buy_quote: IntArray
    first_raw_id: IntArray

    def __len__(self) -> int:
        return len(self.open_time_ms)

    def between(self, start_ms: int, end_ms: int) -> "BarRows":
        """Rows that open at or after `start_ms` and before `end_ms`."""
        low, high = np.searchsorted(self.open_time_ms, (start_ms, end_ms))
        return BarRows(*(getattr(self, item.name)[low:high] for item in fields(self)))

    def where(self, chosen: BoolArray) -> "BarRows":
        """The rows chosen."""
        return BarRows(*(getattr(self, item.name)[chosen] for item in fields(self)))


NO_ROWS = BarRows(*(np.zeros(0, dtype=np.int64) for _ in fields(BarRows)))


def joined(parts: Sequence[BarRows]) -> BarRows:
    """One after the other."""
    return BarRows(
        *(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(BarRows))
    )


def fold_prints(prints: Prints, first_raw_id: int, interval_ms: int) -> BarRows:
    """Bars of the trades given; buckets without trades are left out.

    Parameters
    ----------
    first_raw_id : raw id of the first trade of `prints`.
    interval_ms : length of a bar; bars start at its multiples.
    """
    quote = prints.price * prints.quantity
    bought = ~prints.buyer_is_maker
    return _reduced(
        BarRows(
            open_time_ms=prints.trade_time_ms,
            open=prints.price,
            high=prints.price,
            low=prints.price,
            close=prints.price,
            volume=prints.quantity,
            quote_volume=quote,
            trade_count=prints.raw_count,
            taker_buy_volume=prints.quantity * bought,
            taker_buy_quote=quote * bought,
            first_raw_id=np.zeros(0, dtype=np.int64),
        ),
        first_raw_id,
        interval_ms,
        0,
    )


def fold_rows(rows: BarRows, interval_ms: int, offset_ms: int = 0) -> BarRows:
    """Longer bars of shorter ones; `offset_ms` moves the boundaries (another time zone's day)."""
    first_raw_id = int(rows.first_raw_id[0]) if len(rows) else 0
    return _reduced(rows, first_raw_id, interval_ms, offset_ms)


def _reduced(rows: BarRows, first_raw_id: int, interval_ms: int, offset_ms: int) -> BarRows:
    times = rows.open_time_ms
    if not len(times):
        return NO_ROWS
    low = (int(times[0]) + offset_ms) // interval_ms
    high = (int(times[-1]) + offset_ms) // interval_ms
    opens = np.arange(low, high + 1, dtype=np.int64) * interval_ms - offset_ms
    bounds = np.append(np.searchsorted(times, opens), len(times))
    present = np.diff(bounds) > 0
    starts = bounds[:-1][present]
    ends = bounds[1:][present] - 1
    counts = np.add.reduceat(rows.trade_count, starts)
    return BarRows(
        open_time_ms=opens[present],
        open=rows.open[starts],
        high=np.maximum.reduceat(rows.high, starts),
        low=np.minimum.reduceat(rows.low, starts),
        close=rows.close[ends],
        volume=np.add.reduceat(rows.volume, starts),
        quote_volume=np.add.reduceat(rows.quote_volume, starts),
        trade_count=counts,
        taker_buy_volume=np.add.reduceat(rows.taker_buy_volume, starts),
        taker_buy_quote=np.add.reduceat(rows.taker_buy_quote, starts),
        first_raw_id=np.cumsum(counts) - counts + first_raw_id,
    )


def dense(
    rows: BarRows, first_open_ms: int, end_ms: int, interval_ms: int, close_before: int
) -> BarRows:
    """Put a flat bar without volume wherever there is none, from `first_open_ms` to `end_ms`."""
    opens = np.arange(first_open_ms, end_ms, interval_ms, dtype=np.int64)
    if len(rows) == len(opens):
        return rows
    at = np.searchsorted(opens, rows.open_time_ms)
    present = np.zeros(len(opens), dtype=np.bool_)
    present[at] = True
    row_of = np.cumsum(present) - 1
    closes = np.concatenate((np.array([close_before], dtype=np.int64), rows.close))[row_of + 1]
    filled: list[IntArray] = []
    for item in fields(BarRows):
        if item.name == "open_time_ms":
            filled.append(opens)
            continue
        price = item.name in ("open", "high", "low", "close")
        absent = closes if price else np.full(len(opens), -(item.name == "first_raw_id"))
        column = absent.astype(np.int64)
        column[at] = getattr(rows, item.name)
        filled.append(column)
    return BarRows(*filled)
