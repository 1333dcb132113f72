"""Trades to stored trades and bars: the one path for live, repaired, recorded and first trades.

Everything here runs in the one writing thread. A transaction stays short, and `pause` is called
after each, so that other processes get at the database too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

import structlog

from core.bars import SECOND_MS
from core.types import TIMEFRAMES, Bar, Origin, Trade
from ingest.live import stored_bars
from ingest.live.chain import OpenGap, SymbolChain, TradePage, Verdict
from ingest.store import gaps, market, process, pruning
from ingest.store.gaps import Gap
from ingest.store.market import SymbolListing
from ingest.store.transaction import Transaction, Writer

log = structlog.get_logger()

GRACE_MS = 200
"""How long after a second's end its last trades may still come in."""
SYMBOLS_PER_TRANSACTION = 40
SECONDS_PER_TRANSACTION = 900
BARS_PER_TRANSACTION = 2_000
KLINES_PER_TRANSACTION = 500
RETAIN_MS = 24 * 3_600_000
STOP_MS = 30_000
"""Where no symbol has traded for so long, the exchange itself may have stood still."""
FORGET_ROWS = 10_000
LAST_MS = 2**62


class Pipeline:
    """Checks ids, stores trades, closes and repairs bars.

    Parameters
    ----------
    writer : the store.
    clock_ms : now; the recording's own clock in a replay.
    pause : called after each transaction.
    retain_ms : a feed that stopped longer ago than this starts anew instead of being repaired.
    """

    def __init__(
        self,
        writer: Writer,
        clock_ms: Callable[[], int],
        pause: Callable[[], None] = lambda: None,
        retain_ms: int = RETAIN_MS,
    ) -> None:
        self._writer = writer
        self._clock_ms = clock_ms
        self._pause = pause
        self._retain_ms = retain_ms
        self._chains: dict[str, SymbolChain] = {}
        self._listings: list[SymbolListing] | None = None
        self.event_time_ms = 0
        self.trade_count = 0
        # Time of the newest trade of any symbol, and between which of them none traded for long.
        self.market_ms = 0
        self.stops: list[tuple[int, int]] = []

    # -- start --------------------------------------------------------------------------------

    def start(self, listings: Iterable[SymbolListing], *, keep_existing: bool = False) -> None:
        """Take up these symbols where the last run stopped; the state is what is stored."""
        self._listings = listings = list(listings)
        with self._writer.transaction() as tx:
            ids = market.ensure_symbols(tx, listings, keep_existing=keep_existing)
            market.set_subscribed(tx, ids)
            cursors = market.cursors(tx)
            open_gaps, lost = gaps.in_state(tx, "open"), gaps.in_state(tx, "unfillable")
        self._pause()
        self._chains = {}
        for gap in open_gaps:
            if gap.symbol not in ids and gap.to_ms < self._clock_ms() - self._retain_ms:
                left = SymbolChain(gap.symbol, gap.symbol_id)
                self._lose(left, gap, self._too_old)
        for symbol, symbol_id in ids.items():
            chain = self._chains[symbol] = SymbolChain(symbol, symbol_id, self.stops)
            chain.unfillable = [(gap.from_ms, gap.to_ms) for gap in lost if gap.symbol == symbol]
            cursor = cursors.get(symbol)
            own_gaps = [gap for gap in open_gaps if gap.symbol == symbol]
            is_old = cursor and cursor.last_event_time_ms < self._clock_ms() - self._retain_ms
            if cursor is None or is_old:
                chain.left_at = None if cursor is None else cursor.last_id
                for gap in own_gaps:
                    self._lose(chain, gap, self._too_old)
                continue
            with self._writer.transaction() as tx:
                closed = cursor.closed_until_ms
                stored = market.trades_around(tx, symbol_id, closed, LAST_MS, cursor.last_id)
                close = stored_bars.close_before(tx, symbol_id, closed)
                last = market.trade_by_id(tx, symbol_id, cursor.last_id)
            if close is None:
                close = cursor.last_price
            chain.resume(cursor, own_gaps, stored, close, last)
            self._pause()

    def restart(self) -> None:
        """Forget what is in memory and go on from what is stored; before a start there is none."""
        if self._listings is not None:
            self.start(self._listings, keep_existing=True)

    def probe(self) -> None:
        """Write something small; raises what the database says to that."""
        with self._writer.transaction() as tx:
            process.set_meta(tx, "probed_ms", str(self._clock_ms()))

    @property
    def _too_old(self) -> str:
        return f"older than the {self._retain_ms // 3_600_000} h of trades that are kept"

    @property
    def chains(self) -> dict[str, SymbolChain]:
        """Where each symbol stands; read by others, changed only here."""
        return self._chains

    @property
    def absurd(self) -> int:
        """Trades set aside for ids that no chain can have reached."""
        return sum(chain.absurd for chain in self._chains.values())

    # -- trades -------------------------------------------------------------------------------

    @property
    def unjudged(self) -> list[str]:
        """Symbols with trades that no answer of the exchange has explained yet."""
        return [name for name, chain in self._chains.items() if chain.unjudged is not None]

    def ingest(self, trades: Sequence[Trade]) -> None:
        """Store one batch in one transaction, cursors included."""
        by_symbol: dict[str, list[Trade]] = {}
        for trade in trades:
            group = by_symbol.get(trade[0])
            if group is None:
                by_symbol[trade[0]] = [trade]
            else:
                group.append(trade)
        for symbol, group in by_symbol.items():
            if symbol in self._chains:
                self._make_way(self._chains[symbol], group[0].trade_id)
        rebuilds: list[tuple[SymbolChain, int, int, int]] = []
        with self._writer.transaction() as tx:
            for symbol, group in by_symbol.items():
                chain = self._chains.get(symbol)
                if chain is not None:
                    for start_ms, end_ms in self._ingest_symbol(tx, chain, group):
                        rebuilds.append((chain, start_ms, end_ms, group[0].trade_id))
        self._note_market(by_symbol)
        self._pause()
        for chain, start_ms, end_ms, anchor_id in _merged(rebuilds):
            self._rebuild(chain, start_ms, end_ms, anchor_id)
        if rebuilds:
            self._note_rebuilt({id(chain): chain for chain, *_ in rebuilds}.values())

    def _note_rebuilt(self, chains: Iterable[SymbolChain]) -> None:
        with self._writer.transaction() as tx:
            for chain in chains:
                chain.rebuilt()
                market.save_cursor(tx, chain.symbol_id, chain.cursor)
        self._pause()

    def _ingest_symbol(
        self, tx: Transaction, chain: SymbolChain, trades: list[Trade]
    ) -> list[tuple[int, int]]:
        was_unjudged = chain.unjudged is not None
        accepted = chain.accept(trades)
        if chain.unjudged is not None and not was_unjudged:
            log.warning(
                "trades are set aside: their ids are none that this symbol can have reached",
                symbol=chain.symbol,
                trade_id=chain.unjudged.trade_id,
                last_id=chain.last_id,
            )
        now_ms = self._clock_ms()
        if accepted.new:
            market.insert_trades(tx, chain.symbol_id, accepted.new)
            self.event_time_ms = max(self.event_time_ms, chain.last_event_ms)
            self.trade_count += len(accepted.new)
        if accepted.late:
            market.insert_trades(tx, chain.symbol_id, accepted.late)
        for gap in accepted.opened:
            gap.gap_id = self._record(tx, chain, gap, "missed by the live feed")
            if stored_bars.flag_incomplete(tx, chain, gap.from_ms, gap.to_ms, is_final=False):
                market.rise_revision(tx, chain.symbol_id)
        for gap in accepted.closed:
            gaps.close_gap(tx, gap.gap_id, "filled", "came in late", now_ms)
        for start_ms, _ in accepted.rebuild:
            chain.will_rebuild(start_ms)
        if accepted.new or accepted.rebuild:
            market.save_cursor(tx, chain.symbol_id, chain.cursor)
        return accepted.rebuild

    def _record(self, tx: Transaction, chain: SymbolChain, gap: OpenGap, reason: str) -> int:
        return gaps.open_gap(
            tx,
            chain.symbol_id,
            gap.from_id,
            gap.to_id,
            gap.from_ms,
            gap.to_ms,
            reason,
            self._clock_ms(),
        )

    def _note_market(self, by_symbol: Mapping[str, Sequence[Trade]]) -> None:
        """Follow the newest trade of any symbol; a long time without one is noted as a stop."""
        groups = [group for name, group in by_symbol.items() if name in self._chains]
        newest_ms = max((group[-1].trade_time_ms for group in groups), default=0)
        newest_ms = min(newest_ms, self._clock_ms())
        before_ms, self.market_ms = self.market_ms, max(self.market_ms, newest_ms)
        for group in groups:
            self._refute_stops(group)
        if before_ms == 0 or newest_ms - before_ms <= STOP_MS:
            return
        times = sorted(trade.trade_time_ms for group in groups for trade in group)
        inside = [before_ms, *(time for time in times if before_ms < time <= newest_ms)]
        for first_ms, last_ms in pairwise(inside):
            # Ids that are missing were traded: then it was we who were away.
            if last_ms - first_ms > STOP_MS and not any(
                gap.from_ms < last_ms and gap.to_ms > first_ms
                for chain in self._chains.values()
                for gap in chain.gaps
            ):
                self.stops.append((first_ms, last_ms))
                log.warning("no symbol traded for a while", from_ms=first_ms, to_ms=last_ms)
        oldest_ms = newest_ms - self._retain_ms
        self.stops[:] = [stop for stop in self.stops if stop[1] > oldest_ms]

    def _refute_stops(self, trades: Sequence[Trade]) -> None:
        """Forget a stop in which something has traded after all."""
        if self.stops:
            self.stops[:] = [
                (first, last)
                for first, last in self.stops
                if not any(first < trade.trade_time_ms < last for trade in trades)
            ]

    # -- bars ---------------------------------------------------------------------------------

    def close_bars(self, exchange_time_ms: int) -> None:
        """Close every second that ends by then and of which all trades are known to be there.

        Known is what a later trade of the symbol or an answer of the exchange tells: silence isn't.
        """
        until = stored_bars.floor_to(exchange_time_ms, SECOND_MS)
        while True:
            due = []
            for chain in self._chains.values():
                end = min(until, chain.known_until(self.market_ms))
                if chain.builder and chain.builder.closed_until_ms < end:
                    due.append((chain, end))
            if not due:
                return
            for chain, end in due:
                skipped = chain.skip_silence(end)
                if skipped is not None:
                    self._rebuild(chain, *skipped, chain.last_id or 0)
            for first in range(0, len(due), SYMBOLS_PER_TRANSACTION):
                group = due[first : first + SYMBOLS_PER_TRANSACTION]
                step = BARS_PER_TRANSACTION // len(group) * SECOND_MS
                with self._writer.transaction() as tx:
                    for chain, end in group:
                        assert chain.builder is not None
                        stored_bars.close_seconds(
                            tx, chain, min(end, chain.builder.closed_until_ms + step)
                        )
                self._pause()

    def close_recording(self, until_ms: int) -> None:
        """Close what ends by then at a recording's end: nobody can be asked what it lacks."""
        self.market_ms = max(self.market_ms, until_ms)
        for chain in self._chains.values():
            if chain.last_id is not None:
                chain.tell_until(until_ms)
        self.close_bars(until_ms)

    def _rebuild(self, chain: SymbolChain, start_ms: int, end_ms: int, anchor_id: int) -> None:
        """Build closed bars that overlap [start, end] again, in steps of 15 minutes."""
        assert chain.builder is not None
        start = stored_bars.floor_to(start_ms, SECOND_MS)
        end = min(
            stored_bars.floor_to(end_ms, SECOND_MS) + SECOND_MS, chain.builder.closed_until_ms
        )
        step = SECONDS_PER_TRANSACTION * SECOND_MS
        for first in range(start, end, step):
            last = min(first + step, end)
            with self._writer.transaction() as tx:
                changed = stored_bars.rebuild_seconds(tx, chain, first, last, anchor_id)
                if stored_bars.roll_up_parents(tx, chain, first, last) or changed:
                    market.rise_revision(tx, chain.symbol_id)
            self._pause()

    def store_klines(self, symbol: str, timeframe: str, bars: Sequence[Bar]) -> None:
        """Store the exchange's own bars where no better ones are."""
        chain, length = self._chains[symbol], TIMEFRAMES[timeframe]
        for first in range(0, len(bars), KLINES_PER_TRANSACTION):
            with self._writer.transaction() as tx:
                part = bars[first : first + KLINES_PER_TRANSACTION]
                stored_bars.store_klines(tx, chain, length, part)
                if length == stored_bars.MINUTE_MS:
                    end_ms = part[-1].open_time_ms + length
                    stored_bars.roll_up_minutes(tx, chain, part[0].open_time_ms, end_ms)
            self._pause()

    def count_bars(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> int:
        """How many usable bars are stored; those that can never be complete count as usable."""
        chain, length = self._chains[symbol], TIMEFRAMES[timeframe]
        with self._writer.transaction() as tx:
            stored = market.bars_between(tx, chain.symbol_id, length, start_ms, end_ms)
        return sum(
            bar.complete or chain.is_unfillable(bar.open_time_ms, bar.open_time_ms + length)
            for bar, _ in stored
        )

    # -- what is missing ----------------------------------------------------------------------

    def fill_gap(
        self, symbol: str, gap_id: int, asked_id: int, trades: Sequence[Trade], odd: int = 0
    ) -> bool:
        """Take in the exchange's answer to "trades from `asked_id` on"; False when it was empty.

        An answer that starts later says that the ids between are gone for good, unless it had `odd`
        rows that could not be used: then they stay a gap of their own.
        """
        chain = self._chains[symbol]
        gap = chain.find_gap(gap_id)
        if gap is None or gap.from_id != asked_id:
            return True  # it changed meanwhile; the next round asks anew
        if not trades:
            return False
        first_id = trades[0].trade_id
        if first_id > asked_id:
            if odd:
                self._leave_head(chain, gap, trades[0])
            else:
                self._lose_head(chain, gap, trades[0])
            gap = chain.find_gap(gap_id)
            if gap is None:
                return True
        inside = [
            trade
            for offset, trade in enumerate(trades)
            if trade.trade_id == first_id + offset and gap.from_id <= trade.trade_id <= gap.to_id
        ]
        if inside:
            self._fill(chain, gap, inside)
        return True

    def _fill(self, chain: SymbolChain, gap: OpenGap, inside: list[Trade]) -> None:
        with self._writer.transaction() as tx:
            market.insert_trades(tx, chain.symbol_id, inside)
        self._pause()
        self._refute_stops(inside)
        start_ms = gap.from_ms
        is_filled = chain.fill(gap, inside)
        end_ms = gap.to_ms if is_filled else gap.from_ms
        self._rebuild(chain, start_ms, end_ms, inside[0].trade_id)
        # Only now: dying before would leave bars that nobody builds again.
        with self._writer.transaction() as tx:
            if is_filled:
                gaps.close_gap(
                    tx, gap.gap_id, "filled", "fetched from the exchange", self._clock_ms()
                )
            else:
                gaps.shrink_gap(tx, gap.gap_id, gap.from_id, gap.from_ms)
        self._pause()

    def _lose_head(self, chain: SymbolChain, gap: OpenGap, first: Trade) -> None:
        reason = f"the exchange no longer has ids before {first.trade_id}"
        if first.trade_id > gap.to_id:
            self._lose(chain, gap, reason)
            return
        lost = gap.cut_before(first)
        with self._writer.transaction() as tx:
            lost.gap_id = self._record(tx, chain, lost, reason)
            gaps.shrink_gap(tx, gap.gap_id, gap.from_id, gap.from_ms)
        self._lose(chain, lost, reason)

    def _leave_head(self, chain: SymbolChain, gap: OpenGap, first: Trade) -> None:
        """Go on behind ids that can't be had for now; they are asked for again."""
        if first.trade_id > gap.to_id:
            return
        head = gap.cut_before(first)
        chain.gaps.append(head)
        with self._writer.transaction() as tx:
            head.gap_id = self._record(tx, chain, head, "the exchange's row can't be used")
            gaps.shrink_gap(tx, gap.gap_id, gap.from_id, gap.from_ms)
        self._pause()

    def give_up_gap(self, symbol: str, gap_id: int) -> None:
        """Say that a gap is too old to be filled."""
        chain = self._chains[symbol]
        gap = chain.find_gap(gap_id)
        if gap is not None:
            self._lose(chain, gap, self._too_old)

    def _lose(self, chain: SymbolChain, gap: Gap | OpenGap, reason: str) -> None:
        chain.lose(gap)
        with self._writer.transaction() as tx:
            gaps.close_gap(tx, gap.gap_id, "unfillable", reason, self._clock_ms())
            if stored_bars.flag_incomplete(tx, chain, gap.from_ms, gap.to_ms, is_final=True):
                market.rise_revision(tx, chain.symbol_id)
        self._pause()
        log.warning("trades are lost", symbol=chain.symbol, reason=reason)

    # -- the first minute, and the edge after an interruption ---------------------------------

    def needs_first_minute(self, symbol: str, start_ms: int) -> bool:
        """Whether trades from the first minute's start on have yet to be fetched."""
        chain = self._chains[symbol]
        return chain.last_id is None or (
            chain.first_live is not None and chain.whole_from_ms > start_ms
        )

    def add_first_minute(
        self, symbol: str, start_ms: int, answer: TradePage, newest: Trade | None
    ) -> bool:
        """Join the exchange's trades from `start_ms` on to the live feed; False: ask again.

        Parameters
        ----------
        answer : the first trades from the minute's start on.
        newest : where there are none, the newest trade before.
        """
        chain, page = self._chains[symbol], answer.trades
        live = chain.first_live
        if live is None and not page and newest is None:
            return True  # nothing has ever traded: the first trade will be the first of all
        if live is None:
            if not page and newest is not None and newest.trade_time_ms >= start_ms:
                return False  # made meanwhile, or told late: a page has to begin with it
            before = page[0].trade_id - 1 if page else newest.trade_id if newest else 0
            with self._writer.transaction() as tx:
                close = stored_bars.close_before(tx, chain.symbol_id, start_ms)
                if close is None and newest is not None and newest.quantity > 0:
                    close = newest.price
                chain.begin(before, close or 0.0, start_ms, close, None if page else newest)
                if not page:
                    market.save_cursor(tx, chain.symbol_id, chain.cursor)
            self._pause()
            self.ingest(page)
            return True
        if not page:
            return False
        if chain.is_live_foreign(answer, start_ms):
            self.begin_again(symbol)
            return False  # with the exchange's own trades
        gap = chain.join(page[0], start_ms)
        if gap is not None:
            with self._writer.transaction() as tx:
                gap.gap_id = self._record(tx, chain, gap, "before the first live trade")
                market.save_cursor(tx, chain.symbol_id, chain.cursor)
            self._pause()
            self.fill_gap(symbol, gap.gap_id, gap.from_id, page, answer.odd)
        else:
            chain.will_rebuild(start_ms)
            with self._writer.transaction() as tx:
                market.save_cursor(tx, chain.symbol_id, chain.cursor)
            self._pause()
            self._rebuild(chain, start_ms, live.trade_time_ms, live.trade_id)
            self._note_rebuilt([chain])
        return True

    def prove(
        self,
        symbol: str,
        last_id: int,
        answer: TradePage,
        told_until_ms: int,
        newest: Trade | None = None,
    ) -> Verdict:
        """Take in the exchange's trades from `last_id` on: the last ones, or some more to come.

        Parameters
        ----------
        told_until_ms : what a page without more behind it tells of all trades until.
        newest : the exchange's newest trade, asked for when there was none from `last_id` on.
        """
        chain = self._chains[symbol]
        if chain.last_id != last_id:
            return Verdict.GOES_ON  # the live feed has answered meanwhile
        verdict = chain.judge(answer, newest)
        if verdict is Verdict.GOES_ON:
            chain.unjudged = None
            self.ingest([trade for trade in answer.trades if trade.trade_id > last_id])
            if answer.is_edge:
                chain.tell_until(told_until_ms)
        elif verdict is Verdict.FOREIGN:
            self.begin_again(symbol)
        return verdict

    def tell_quiet(
        self, asked: Mapping[str, int], newest_raw_ids: Mapping[str, int], told_until_ms: int
    ) -> list[str]:
        """Take in the exchange's newest raw ids: who has them has all trades until then.

        Returns the symbols that have others and the same last id as when it was asked about them.
        """
        others = []
        for symbol, last_id in asked.items():
            chain = self._chains[symbol]
            if chain.last_id != last_id:
                continue
            raw_id = newest_raw_ids.get(symbol)
            if raw_id is not None and raw_id == chain.last_raw_id and chain.unjudged is None:
                chain.tell_until(told_until_ms)
            else:
                others.append(symbol)
        return others

    def begin_again(self, symbol: str) -> None:
        """Give up a chain that isn't the exchange's any more: the next trade begins another."""
        old = self._chains[symbol]
        log.warning("the ids of a symbol have begun again", symbol=symbol, last_id=old.last_id)
        for gap in tuple(old.gaps):
            self._lose(old, gap, "the ids have begun again")
        self._forget_trades(old)
        with self._writer.transaction() as tx:
            market.forget_cursor(tx, old.symbol_id)
        self._pause()
        chain = self._chains[symbol] = SymbolChain(symbol, old.symbol_id, self.stops)
        chain.unfillable, chain.absurd = old.unfillable, old.absurd

    def _make_way(self, chain: SymbolChain, first_id: int) -> None:
        """Before a chain begins below one that was left: stored ids must not stand in its way."""
        if chain.last_id is None and chain.left_at is not None:
            if first_id <= chain.left_at:
                log.warning("the ids of a symbol have begun again", symbol=chain.symbol)
                self._forget_trades(chain)
            chain.left_at = None

    def _forget_trades(self, chain: SymbolChain) -> None:
        """Delete a symbol's stored trades; bars stay, and what was imported."""
        deleted = 1
        while deleted:
            with self._writer.transaction() as tx:
                deleted = pruning.prune_trades(tx, chain.symbol_id, LAST_MS, FORGET_ROWS)
            self._pause()

    # -- comparison with the exchange's own bars ----------------------------------------------

    def own_minutes(self, symbol: str, start_ms: int, end_ms: int) -> list[Bar]:
        """Minutes of [start, end) that were built from complete ids."""
        chain = self._chains[symbol]
        with self._writer.transaction() as tx:
            stored = market.bars_between(
                tx, chain.symbol_id, stored_bars.MINUTE_MS, start_ms, end_ms
            )
        return [bar for bar, origin in stored if origin is Origin.TRADES and bar.complete]

    def mend_minute(self, symbol: str, open_ms: int, trades: Sequence[Trade]) -> Bar | None:
        """Add the exchange's trades of one minute to what is stored, and build it again."""
        chain = self._chains[symbol]
        if trades:
            with self._writer.transaction() as tx:
                market.insert_trades(tx, chain.symbol_id, trades)
            self._pause()
        anchor_id = trades[0].trade_id if trades else chain.last_id or 0
        self._rebuild(chain, open_ms, open_ms + stored_bars.MINUTE_MS - 1, anchor_id)
        return next(iter(self.own_minutes(symbol, open_ms, open_ms + stored_bars.MINUTE_MS)), None)


def _merged(
    rebuilds: list[tuple[SymbolChain, int, int, int]],
) -> list[tuple[SymbolChain, int, int, int]]:
    """Join ranges of one symbol that touch, so that each bar is built once."""
    merged: list[tuple[SymbolChain, int, int, int]] = []
    for chain, start_ms, end_ms, anchor_id in sorted(
        rebuilds, key=lambda item: (item[0].symbol_id, item[1])
    ):
        if merged and merged[-1][0] is chain and start_ms <= merged[-1][2] + SECOND_MS:
            last = merged[-1]
            merged[-1] = (chain, last[1], max(last[2], end_ms), last[3])
        else:
            merged.append((chain, start_ms, end_ms, anchor_id))
    return merged
