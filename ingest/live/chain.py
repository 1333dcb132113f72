"""The id chain of one symbol: how far it can be trusted, what it takes, its open bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from core.bars import STEP_BACK_MS, BarBuilder
from core.timeframes import SECOND_MS
from core.types import Trade
from ingest.live.open_gap import OpenGap
from ingest.store.gaps import Gap
from ingest.store.market import FeedCursor

SKIP_MS = 60_000
"""A gap longer than this leaves no flat bars behind: repair or klines bring real ones."""
MOST_IDS, MOST_IDS_PER_S = 200_000, 5_000
"""An id further ahead than this, by the time that has passed, is a fault and no gap."""
LONGEST_SILENCE_MS = 7_200_000
"""A symbol silent for longer gets no flat seconds; nobody looks at so many."""


class TradePage(NamedTuple):
    """The exchange's answer to a question for trades; `is_edge` when it has no more of them.

    `odd` rows of it could not be used: they may be well the next time.
    """

    trades: Sequence[Trade]
    is_edge: bool
    odd: int = 0


class IdVerdict(Enum):
    """What an answer to "trades from our newest one on" says of our ids."""

    GOES_ON = auto()
    """They are the exchange's: what the answer adds comes after them."""
    UNSURE = auto()
    """It knows nothing from there on: its database lags, or its ids have begun again."""
    FOREIGN = auto()
    """The exchange counts otherwise now."""


@dataclass(slots=True)
class Accepted:
    """What a batch of one symbol's trades turned out to be."""

    new: list[Trade]
    late: list[Trade]
    opened: list[OpenGap]
    closed: list[OpenGap]
    # Bars to build again from stored trades, as times of trades, both ends inclusive.
    rebuild: list[tuple[int, int]]


class SymbolChain:
    """The id chain of one symbol. Knows no database: the pipeline stores what it finds."""

    def __init__(self, symbol: str, symbol_id: int, stops: Sequence[tuple[int, int]] = ()) -> None:
        self.symbol = symbol
        self.symbol_id = symbol_id
        # When no symbol traded: the pipeline's own list.
        self._stops = stops
        self.last_id: int | None = None
        self.last_price = 0.0
        self.last_trade_ms = 0
        # The newest trade, by which an answer is recognised; None while only its id is known.
        self.last_trade: Trade | None = None
        self.last_event_ms = 0
        # The first live trade, and whether what came before it was asked for.
        self.first_live: Trade | None = None
        self.is_joined = False
        # Until when a chain traded that was given up; its trades can't be asked for any more.
        self.other_until_ms = 0
        self.whole_from_ms = 0
        self.builder: BarBuilder | None = None
        self.gaps: list[OpenGap] = []
        self.unfillable: list[tuple[int, int]] = []
        # Until when all trades are known: by the newest one of its own, and by what REST has told.
        self._traded_until_ms = self._told_until_ms = 0
        # Closed bars from here on are about to be built again: dying before must not leave them.
        self.rebuild_from_ms: int | None = None
        # Trades set aside; the first of them that nobody has judged yet.
        self.absurd = 0
        self.unjudged: Trade | None = None
        # Last id of a chain that was too old to go on with.
        self.left_at: int | None = None

    def resume(
        self,
        cursor: FeedCursor,
        gaps: Sequence[Gap],
        stored: Sequence[Trade],
        last_close: float | None,
        last_trade: Trade | None = None,
    ) -> None:
        """Go on where the last run stopped; `stored` are its trades of seconds not closed yet."""
        self.last_id = cursor.last_id
        self.last_trade = last_trade
        self.last_price = cursor.last_price
        self.last_event_ms = cursor.last_event_time_ms
        # A trade is up to a moment older than its event.
        self.last_trade_ms = cursor.last_event_time_ms - SECOND_MS
        self.whole_from_ms = cursor.whole_from_ms
        self.builder = BarBuilder(cursor.closed_until_ms, last_close)
        self.gaps = [
            OpenGap(gap.gap_id, gap.from_id, gap.to_id, gap.from_ms, gap.to_ms) for gap in gaps
        ]
        for trade in stored:
            self.builder.add(trade)
            self.last_trade_ms = trade.trade_time_ms
            self._note_traded(trade.trade_time_ms)
            for gap in self.gaps:
                if gap.from_id <= trade.trade_id <= gap.to_id:
                    gap.received.add(trade.trade_id)

    def begin(
        self,
        last_id: int,
        last_price: float,
        time_ms: int,
        last_close: float | None,
        last_trade: Trade | None = None,
    ) -> None:
        """Start the chain after `last_id`, whole from a second's start on."""
        self.last_id = last_id
        self.last_trade = last_trade
        self.last_price = last_price
        self.last_trade_ms = self.last_event_ms = self.whole_from_ms = time_ms
        self.builder = BarBuilder(time_ms, last_close)

    def join(self, first: Trade, start_ms: int) -> OpenGap | None:
        """Reach back from the first live trade to a second's start, whose first trade is given.

        Returns the gap between the two, unless the exchange tells of no earlier trade. Where
        another chain traded after that second, only what follows the first trade is whole.
        """
        live = self.first_live
        assert live is not None
        self.is_joined = True
        is_alone = self.other_until_ms < start_ms
        self.whole_from_ms = from_ms = start_ms if is_alone else first.trade_time_ms + 1
        if first.trade_id >= live.trade_id:
            return None
        gap = OpenGap(0, first.trade_id, live.trade_id - 1, from_ms, live.trade_time_ms)
        self.gaps.append(gap)
        return gap

    @property
    def last_raw_id(self) -> int | None:
        """Raw id that the newest trade ends with; None where it isn't known."""
        last = self.last_trade
        return None if last is None or last.last_id < 0 else last.last_id

    # -- how far it can be trusted ------------------------------------------------------------

    def tell_until(self, time_ms: int) -> None:
        """REST has told of all trades of the seconds that end by then."""
        self._told_until_ms = max(self._told_until_ms, time_ms - time_ms % SECOND_MS)

    def known_until(self, market_ms: int) -> int:
        """Up to when all trades are known: one of its own came later, or REST has told.

        What REST has told counts up to `market_ms`, the newest trade of any symbol: behind it the
        exchange may stand still, and then bars are its own to tell.
        """
        told = min(self._told_until_ms, market_ms - market_ms % SECOND_MS)
        return max(self._traded_until_ms, told)

    def _note_traded(self, time_ms: int) -> None:
        self._traded_until_ms = max(self._traded_until_ms, time_ms - time_ms % SECOND_MS)

    def judge(self, answer: TradePage, newest: Trade | None = None) -> IdVerdict:
        """Compare our newest trade with the exchange's trades from its id on.

        An answer without any says nothing by itself: then `newest`, the exchange's newest trade,
        decides. A later trade with a lower id is of another chain.
        """
        last_id, last = self.last_id, self.last_trade
        assert last_id is not None
        if not answer.trades:
            if newest is None or newest.trade_id > last_id:
                return IdVerdict.UNSURE
            last_ms = self.last_trade_ms + 2 * SECOND_MS if last is None else last.trade_time_ms
            return IdVerdict.FOREIGN if newest.trade_time_ms > last_ms else IdVerdict.UNSURE
        first = answer.trades[0]
        if first.trade_id > last_id:
            return IdVerdict.FOREIGN if self._is_absurd(first, last_id) else IdVerdict.GOES_ON
        if last is None or first.trade_time_ms == last.trade_time_ms:
            return IdVerdict.GOES_ON
        return IdVerdict.FOREIGN

    def is_live_foreign(self, answer: TradePage, start_ms: int) -> bool:
        """Whether the first live trade can't be of the chain that REST tells of from a time on."""
        live = self.first_live
        if live is None or not answer.trades:
            return False
        first = answer.trades[0]
        if live.trade_id < first.trade_id:
            return live.trade_time_ms >= start_ms + STEP_BACK_MS
        return live.trade_id - first.trade_id > _most_ids_in(
            live.trade_time_ms - first.trade_time_ms
        )

    def fill(self, gap: OpenGap, trades: Sequence[Trade]) -> bool:
        """Take trades from a gap's first id on into the open bars; True when none is missing."""
        assert self.builder is not None
        for trade in trades:
            if trade.trade_id not in gap.received:
                self.builder.add(trade)
        gap.from_id = trades[-1].trade_id + 1
        gap.from_ms = trades[-1].trade_time_ms
        if gap.from_id <= gap.to_id and not gap.trim():
            return False
        self.gaps.remove(gap)
        return True

    def lose(self, gap: Gap | OpenGap) -> None:
        """The ids of a gap are lost for good: no bar over it is ever whole."""
        self.gaps = [other for other in self.gaps if other.gap_id != gap.gap_id]
        self.unfillable.append((gap.from_ms, gap.to_ms))

    # -- bars ---------------------------------------------------------------------------------

    @property
    def cursor(self) -> FeedCursor:
        """What a restart needs; only after the first trade."""
        assert self.last_id is not None
        assert self.builder is not None
        return FeedCursor(
            self.last_id,
            self.last_price,
            self.last_event_ms,
            self.whole_from_ms,
            self.builder.closed_until_ms
            if self.rebuild_from_ms is None
            else min(self.rebuild_from_ms, self.builder.closed_until_ms),
        )

    def will_rebuild(self, start_ms: int) -> None:
        """Let a restart begin no later than at this time, until `rebuilt`."""
        start = start_ms - start_ms % SECOND_MS
        if self.rebuild_from_ms is None or start < self.rebuild_from_ms:
            self.rebuild_from_ms = start

    def rebuilt(self) -> None:
        """Closed bars are right again."""
        self.rebuild_from_ms = None

    def is_whole(self, start_ms: int, end_ms: int) -> bool:
        """Whether every trade of [start, end) is known to be there.

        While the whole exchange stood still it may not even have a bar.
        """
        if start_ms < self.whole_from_ms:
            return False
        return not (
            any(gap.from_ms < end_ms and gap.to_ms >= start_ms for gap in self.gaps)
            or self.is_unfillable(start_ms, end_ms)
            or any(first <= start_ms and end_ms <= last for first, last in self._stops)
        )

    def is_unfillable(self, start_ms: int, end_ms: int) -> bool:
        """Whether trades of [start, end) are lost for good."""
        return any(first < end_ms and last >= start_ms for first, last in self.unfillable)

    def find_gap(self, gap_id: int) -> OpenGap | None:
        """The open gap of that number, if it still is."""
        return next((gap for gap in self.gaps if gap.gap_id == gap_id), None)

    def skip_silence(self, until_ms: int) -> tuple[int, int] | None:
        """Go on near `until_ms` where flat bars up to there would be too many to be of use.

        Returns the times whose bars, open until then, have to be built from stored trades.
        """
        assert self.builder is not None
        closed_until = self.builder.closed_until_ms
        if until_ms - max(closed_until, self.last_trade_ms) <= LONGEST_SILENCE_MS:
            return None
        self.builder = BarBuilder(until_ms - SECOND_MS, self.last_price)
        return closed_until, self.last_trade_ms

    # -- trades -------------------------------------------------------------------------------

    def accept(self, trades: Sequence[Trade]) -> Accepted:
        """Check ids and take the trades into the open bars.

        Last id + 1 goes on, a smaller one is a duplicate unless it is missing, a bigger one
        opens a gap. A gap that the same batch fills again (reordered frames) is none.
        """
        start = self.last_id
        if start is not None and [trade.trade_id for trade in trades] == list(
            range(start + 1, start + 1 + len(trades))
        ):
            accepted = Accepted(list(trades), [], [], [], [])
        else:
            accepted = self._sort_out(trades)
        if accepted.new:
            self._advance(accepted.new)
        self._fold(accepted)
        return accepted

    def _sort_out(self, trades: Sequence[Trade]) -> Accepted:
        accepted = Accepted([], [], [], [], [])
        for trade in trades:
            last_id = self.last_id
            if last_id is None or trade.trade_id == last_id + 1:
                accepted.new.append(trade)
            elif trade.trade_id > last_id:
                if self._is_absurd(trade, last_id):
                    self._set_aside(trade)
                    continue
                gap = OpenGap(
                    0, last_id + 1, trade.trade_id - 1, self.last_trade_ms, trade.trade_time_ms
                )
                self.gaps.append(gap)
                accepted.opened.append(gap)
                accepted.new.append(trade)
            else:
                self._take_late(trade, accepted)
                continue
            if last_id is None:
                self._begin_with(trade)
            self.last_id = trade.trade_id
            self.last_trade_ms = trade.trade_time_ms
        for gap in [gap for gap in self.gaps if gap.received and gap.trim()]:
            self.gaps.remove(gap)
            if gap in accepted.opened:
                accepted.opened.remove(gap)
            else:
                accepted.closed.append(gap)
        return accepted

    def _is_absurd(self, trade: Trade, last_id: int) -> bool:
        return trade.trade_id - last_id > _most_ids_in(trade.trade_time_ms - self.last_trade_ms)

    def _set_aside(self, trade: Trade) -> None:
        self.absurd += 1
        if self.unjudged is None:
            self.unjudged = trade

    def _take_late(self, trade: Trade, accepted: Accepted) -> None:
        if trade.trade_time_ms > self.last_trade_ms + SECOND_MS:
            # Times rise with ids: another market's ids, or one that has begun again.
            self._set_aside(trade)
            return
        for gap in self.gaps:
            if gap.from_id <= trade.trade_id <= gap.to_id and trade.trade_id not in gap.received:
                gap.received.add(trade.trade_id)
                accepted.late.append(trade)
                accepted.rebuild.append((gap.from_ms, gap.to_ms))
                return

    def _begin_with(self, trade: Trade) -> None:
        second = trade.trade_time_ms - trade.trade_time_ms % SECOND_MS
        self.first_live = trade
        self.builder = BarBuilder(second, None)
        # Trades before it in the same millisecond may be unknown.
        self.whole_from_ms = trade.trade_time_ms + 1

    def _advance(self, new: Sequence[Trade]) -> None:
        last = self.last_trade = new[-1]
        self.last_id = last.trade_id
        self.last_trade_ms = last.trade_time_ms
        self._note_traded(max(trade.trade_time_ms for trade in new))
        self.last_event_ms = max(self.last_event_ms, last.event_time_ms)
        self.last_price = next(
            (trade.price for trade in reversed(new) if trade.quantity > 0), self.last_price
        )

    def _fold(self, accepted: Accepted) -> None:
        assert self.builder is not None
        skipped = [gap for gap in accepted.opened if self._skip(gap, accepted)]
        add = self.builder.add
        for trade in accepted.new:
            if not add(trade):
                # The flat seconds after it carried an older price on.
                time_ms = trade.trade_time_ms
                end_ms = min(self.builder.closed_until_ms, time_ms + LONGEST_SILENCE_MS)
                ends = [gap.from_ms for gap in skipped if gap.from_ms >= time_ms]
                accepted.rebuild.append((time_ms, min((*ends, end_ms))))
        for trade in accepted.late:
            add(trade)

    def _skip(self, gap: OpenGap, accepted: Accepted) -> bool:
        """Restart the bars behind a long gap instead of drawing flat ones through it."""
        assert self.builder is not None
        second = gap.to_ms - gap.to_ms % SECOND_MS
        closed_until = self.builder.closed_until_ms
        if gap.to_ms - gap.from_ms <= SKIP_MS or second <= closed_until:
            return False
        accepted.rebuild.append((closed_until, gap.from_ms))
        self.builder = BarBuilder(second, None)
        return True


def _most_ids_in(passed_ms: int) -> int:
    """How many ids a chain may rise by in a time."""
    return MOST_IDS + max(0, passed_ms) // SECOND_MS * MOST_IDS_PER_S
