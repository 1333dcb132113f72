"""The 1s bars of a file's trades, in one pass and little memory."""

from collections.abc import Iterable, Iterator

from core.bars import STEP_BACK_MS, flat_bar, fold_trades
from core.timeframes import DAY_MS, SECOND_MS
from core.types import Bar, Trade

LONGEST_SILENCE_MS = DAY_MS
"""A market that is silent for longer stands still: it has no bars of that time, and two lines of a
file make no millions."""


def second_bars(trades: Iterable[Trade], starts_whole: bool, ends_whole: bool) -> Iterator[Bar]:
    """Build the 1s bars of trades in id order, flat ones between; a hole in the ids breaks them.

    Seconds that a hole touches are incomplete, and seconds inside one that have no trade have no
    bar, nor have those of a silence of more than a day. The first second is incomplete unless
    `starts_whole`, and the last unless `ends_whole`. A time may step back by up to `STEP_BACK_MS`
    while ids rise: a second is closed only after that.
    """
    builder = _Seconds()
    last: Trade | None = None
    due_ms = 0
    for trade in trades:
        if last is None and not starts_whole:
            builder.doubt(0, trade.trade_time_ms)
        elif last is not None and trade.trade_id != last.trade_id + 1:
            times = sorted((last.trade_time_ms, trade.trade_time_ms))
            builder.doubt(*times)
        builder.add(trade)
        last = trade
        if builder.latest_ms >= due_ms:
            yield from builder.close(builder.latest_ms - STEP_BACK_MS)
            due_ms = builder.latest_ms + SECOND_MS
    if last is not None:
        if not ends_whole:
            builder.doubt(last.trade_time_ms, builder.latest_ms)
        yield from builder.close(builder.latest_ms + SECOND_MS)


class _Seconds:
    """Seconds that wait for their last trade."""

    def __init__(self) -> None:
        self.latest_ms = 0
        self._open: dict[int, list[Trade]] = {}
        self._doubts: list[tuple[int, int]] = []
        self._next: int | None = None
        self._close: float | None = None

    def add(self, trade: Trade) -> None:
        second = trade.trade_time_ms - trade.trade_time_ms % SECOND_MS
        # One that the exchange took back has no price, but its second was.
        self._open.setdefault(second, [])
        if trade.quantity > 0:
            self._open[second].append(trade)
        self.latest_ms = max(self.latest_ms, trade.trade_time_ms)

    def doubt(self, from_ms: int, to_ms: int) -> None:
        """Mark the seconds from one time to another, both inclusive, as not all known."""
        self._doubts.append((from_ms - from_ms % SECOND_MS, to_ms))

    def close(self, until_ms: int) -> Iterator[Bar]:
        """Give the seconds that end by a time, in order."""
        end = until_ms - until_ms % SECOND_MS
        start = min(self._open) if self._next is None else self._next
        if start >= end:
            return
        for second in self._due(start, end):
            is_whole = not any(first <= second <= last for first, last in self._doubts)
            trades = self._open.pop(second, None)
            if trades:
                bar = fold_trades(trades, second, is_whole)
                self._close = bar.close
                yield bar
            elif self._close is not None and (is_whole or trades is not None):
                yield flat_bar(second, self._close, is_whole)
        self._next = end
        self._doubts = [doubt for doubt in self._doubts if doubt[1] >= end]

    def _due(self, start: int, end: int) -> Iterator[int]:
        """Seconds of [start, end) that have a trade, or lie in no long silence."""
        for traded in [*sorted(second for second in self._open if second < end), end]:
            if traded - start <= LONGEST_SILENCE_MS:
                yield from range(start, traded, SECOND_MS)
            if traded < end:
                yield traded
            start = traded + SECOND_MS
