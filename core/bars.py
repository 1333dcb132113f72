"""Trades to 1s bars, bars to longer bars, two legs onto one time axis: the only bar builder."""

from collections.abc import Iterable, Sequence
from math import fsum

import numpy as np

from core.timeframes import SECOND_MS, TIMEFRAMES
from core.types import Bar, BoolArray, FloatArray, Leg, PairRows, Trade

STEP_BACK_MS = 10_000
"""How much earlier than trades of lower ids a trade may lie: ids give the order, not times."""

PARENTS = tuple(
    (length, max(part for part in TIMEFRAMES.values() if part < length and length % part == 0))
    for length in TIMEFRAMES.values()
    if length > SECOND_MS
)
"""Each longer timeframe with the one it is rolled up from, in milliseconds, shortest first."""

_STEP = 8  # decimals of the exchange's smallest step; float noise of sums ends here


def fold_trades(trades: Iterable[Trade], open_time_ms: int, complete: bool) -> Bar:
    """Build the bar of one interval from all its trades, in id order, at least one.

    `fsum` is exact whatever the order of its terms, so a bar built twice is equal to the bit.
    """
    real = [trade for trade in trades if trade.quantity > 0]
    prices = [trade.price for trade in real]
    return Bar(
        open_time_ms=open_time_ms,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=round(fsum(trade.quantity for trade in real), _STEP),
        quote_volume=round(fsum(trade.price * trade.quantity for trade in real), _STEP),
        trade_count=sum(trade.raw_count for trade in real),
        taker_buy_volume=round(
            fsum(trade.quantity for trade in real if not trade.buyer_is_maker), _STEP
        ),
        complete=complete,
    )


def flat_bar(open_time_ms: int, close: float, complete: bool) -> Bar:
    """The bar of an interval without a trade: the last close, volume 0."""
    return Bar(open_time_ms, close, close, close, close, 0.0, 0.0, 0, 0.0, complete)


def roll_up(bars: Sequence[Bar], open_time_ms: int, count: int) -> Bar | None:
    """Build a longer bar from those inside it, oldest first; None when there is none.

    It is complete when all `count` of them are there and complete. Bars without a trade add
    neither open, high nor low: their price is only the last close carried on.
    """
    if not bars:
        return None
    traded = [bar for bar in bars if bar.trade_count] or bars[-1:]
    return Bar(
        open_time_ms=open_time_ms,
        open=traded[0].open,
        high=max(bar.high for bar in traded),
        low=min(bar.low for bar in traded),
        close=traded[-1].close,
        volume=round(fsum(bar.volume for bar in bars), _STEP),
        quote_volume=round(fsum(bar.quote_volume for bar in bars), _STEP),
        trade_count=sum(bar.trade_count for bar in bars),
        taker_buy_volume=round(fsum(bar.taker_buy_volume for bar in bars), _STEP),
        complete=len(bars) == count and all(bar.complete for bar in bars),
    )


class BarBuilder:
    """Builds the 1s bars of one symbol from its live trades.

    Parameters
    ----------
    closed_until_ms : seconds before this are closed already.
    last_close : price that a second without trades repeats; None when not known yet.
    """

    def __init__(self, closed_until_ms: int, last_close: float | None) -> None:
        self.closed_until_ms = closed_until_ms
        self.last_close = last_close
        self._open: dict[int, list[Trade]] = {}

    def add(self, trade: Trade) -> bool:
        """Take in a trade, once; False when its second is closed and has to be rebuilt."""
        second = trade.trade_time_ms - trade.trade_time_ms % SECOND_MS
        if second < self.closed_until_ms:
            return False
        if trade.quantity > 0:
            self._open.setdefault(second, []).append(trade)
        return True

    def close_until(self, time_ms: int, whole_from_ms: int) -> list[Bar]:
        """Close every second that ends by `time_ms`; one bar for each, with trades or without.

        A bar is complete from `whole_from_ms` on. Before the first price known there is none.
        """
        end = time_ms - time_ms % SECOND_MS
        closed: list[Bar] = []
        second = self.closed_until_ms
        if self.last_close is None:
            second = max(second, min(self._open, default=end))
        while second < end:
            whole = second >= whole_from_ms
            trades = self._open.pop(second, None)
            if trades:
                trades.sort(key=_by_id)
                bar = fold_trades(trades, second, whole)
                self.last_close = bar.close
                closed.append(bar)
            elif self.last_close is not None:
                closed.append(flat_bar(second, self.last_close, whole))
            second += SECOND_MS
        self.closed_until_ms = max(self.closed_until_ms, end)
        return closed


def _by_id(trade: Trade) -> int:
    return trade.trade_id


def align(leg_a: Leg, leg_b: Leg, timeframe_ms: int, start_ms: int, end_ms: int) -> PairRows:
    """Put both legs on the dense rows of [start_ms, end_ms), by time and never by position.

    A bar that is missing or incomplete in either leg makes the whole row NaN.
    """
    count = max(0, (end_ms - start_ms) // timeframe_ms)
    columns = [np.full(count, np.nan) for _ in range(4)]
    traded = np.zeros((2, count), dtype=np.bool_)
    for leg, of_leg in ((leg_a, 0), (leg_b, 1)):
        open_, close = columns[2 * of_leg : 2 * of_leg + 2]
        row = (leg.open_time_ms - start_ms) // timeframe_ms
        inside = (row >= 0) & (row < count)
        traded[of_leg, row[inside]] = leg.trade_count[inside] > 0
        usable = leg.complete & inside
        open_[row[usable]] = leg.open[usable]
        close[row[usable]] = leg.close[usable]
    absent = np.isnan(columns[1]) | np.isnan(columns[3])
    for column in columns:
        column[absent] = np.nan
    open_a, close_a, open_b, close_b = columns
    times = start_ms + timeframe_ms * np.arange(count, dtype=np.int64)
    return PairRows(times, open_a, close_a, open_b, close_b, *traded)


BREAK_FACTOR = 5.0
"""A price that moves by it from one bar to the next is not that of the same thing any more."""


def break_rows(rows: PairRows) -> BoolArray:
    """Rows whose close in a leg is BREAK_FACTOR times that of the row present before, or a part.

    A redenomination, a relaunch or a wrong file: nothing may be reckoned over it.
    """
    breaks = np.zeros(len(rows), dtype=np.bool_)
    present = np.flatnonzero(~np.isnan(rows.close_a))
    for close in (rows.close_a, rows.close_b):
        before, after = close[present[:-1]], close[present[1:]]
        jumps = (after >= BREAK_FACTOR * before) | (before >= BREAK_FACTOR * after)
        breaks[present[1:][jumps]] = True
    return breaks


def log_returns(close: FloatArray) -> FloatArray:
    """Log return of each row over the row before it; NaN where either is missing."""
    returns = np.full(len(close), np.nan)
    returns[1:] = np.diff(np.log(close))
    return returns
