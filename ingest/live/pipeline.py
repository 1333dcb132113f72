"""Trades to stored trades and bars: the one path for live, repaired, recorded and first trades.

Everything here runs in the one writing thread, in short transactions. What is missing comes in by
`missing`, and where chains meet the exchange's own by `edge`.
"""

from collections.abc import Callable, Iterable, Sequence

import structlog

from core.timeframes import DAY_MS, MINUTE_MS, SECOND_MS, TIMEFRAMES
from core.types import Bar, Origin, Trade
from ingest.live import stored_bars
from ingest.live.chain import SymbolChain
from ingest.live.edge import LiveEdge
from ingest.live.missing import MissingIds
from ingest.live.stored_chains import LAST_MS, StoredChains
from ingest.store import gaps, market, process
from ingest.store.market import SymbolListing
from ingest.store.transaction import Transaction, Writer

log = structlog.get_logger()

GRACE_MS = 50
"""How long after a second's end its last trades may still come in. A symbol's ids come in order and
its trades are told within a millisecond or two: what is overtaken by more rewrites its bar."""
SYMBOLS_PER_TRANSACTION = 40
BARS_PER_TRANSACTION = 2_000
KLINES_PER_TRANSACTION = 1_000
RETAIN_MS = DAY_MS


class Pipeline:
    """Checks ids, stores trades, closes bars.

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
        self._chains = StoredChains(writer, clock_ms, pause, retain_ms)
        self.missing = MissingIds(self._chains)
        self.edge = LiveEdge(self._chains, self.missing, self.ingest)
        self._listings: list[SymbolListing] | None = None
        self.event_time_ms = 0
        self.trade_count = 0
        self.stops = self._chains.stops

    # -- start --------------------------------------------------------------------------------

    def start(self, listings: Iterable[SymbolListing], *, keep_existing: bool = False) -> None:
        """Take up these symbols where the last run stopped; the state is what is stored."""
        self._listings = listings = list(listings)
        with self._chains.transaction() as tx:
            ids = market.ensure_symbols(tx, listings, keep_existing=keep_existing)
            market.set_subscribed(tx, ids)
            cursors = market.cursors(tx)
            open_gaps, lost = gaps.in_state(tx, "open"), gaps.in_state(tx, "unfillable")
        self._chains.by_symbol.clear()
        oldest_ms = self._chains.clock_ms() - self._chains.retain_ms
        for gap in open_gaps:
            if gap.symbol not in ids and gap.to_ms < oldest_ms:
                left = SymbolChain(gap.symbol, gap.symbol_id)
                self._chains.lose_gap(left, gap, self._chains.too_old)
        for symbol, symbol_id in ids.items():
            chain = self._chains.make(symbol, symbol_id)
            chain.unfillable = [(gap.from_ms, gap.to_ms) for gap in lost if gap.symbol == symbol]
            cursor = cursors.get(symbol)
            own_gaps = [gap for gap in open_gaps if gap.symbol == symbol]
            is_old = cursor and cursor.last_event_time_ms < oldest_ms
            if cursor is None or is_old:
                chain.left_at = None if cursor is None else cursor.last_id
                for gap in own_gaps:
                    self._chains.lose_gap(chain, gap, self._chains.too_old)
                continue
            with self._chains.transaction() as tx:
                closed = cursor.closed_until_ms
                stored = market.trades_around(tx, symbol_id, closed, LAST_MS, cursor.last_id)
                close = stored_bars.close_before(tx, symbol_id, closed)
                last = market.trade_by_id(tx, symbol_id, cursor.last_id)
            if close is None:
                close = cursor.last_price
            chain.resume(cursor, own_gaps, stored, close, last)

    def restart(self) -> None:
        """Forget what is in memory and go on from what is stored; before a start there is none."""
        if self._listings is not None:
            self.start(self._listings, keep_existing=True)

    def probe(self) -> None:
        """Write something small; raises what the database says to that."""
        with self._chains.transaction() as tx:
            process.set_meta(tx, "probed_ms", str(self._chains.clock_ms()))

    @property
    def chains(self) -> dict[str, SymbolChain]:
        """Where each symbol stands; read by others, changed only here."""
        return self._chains.by_symbol

    @property
    def absurd(self) -> int:
        """Trades set aside for ids that no chain can have reached."""
        return sum(chain.absurd for chain in self.chains.values())

    # -- trades -------------------------------------------------------------------------------

    @property
    def unjudged(self) -> list[str]:
        """Symbols with trades that no answer of the exchange has explained yet."""
        return [name for name, chain in self.chains.items() if chain.unjudged is not None]

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
            if symbol in self.chains:
                self.edge.make_way(self.chains[symbol], group[0].trade_id)
        rebuilds: list[tuple[SymbolChain, int, int, int]] = []
        with self._chains.transaction() as tx:
            for symbol, group in by_symbol.items():
                chain = self.chains.get(symbol)
                if chain is not None:
                    for start_ms, end_ms in self._ingest_symbol(tx, chain, group):
                        rebuilds.append((chain, start_ms, end_ms, group[0].trade_id))
        known = [group for name, group in by_symbol.items() if name in self.chains]
        self.stops.note(known, self._chains.clock_ms())
        self._chains.settle_stops()
        for chain, start_ms, end_ms, anchor_id in _merged(rebuilds):
            self._chains.rebuild(chain, start_ms, end_ms, anchor_id)
        if rebuilds:
            self._chains.note_rebuilt({id(chain): chain for chain, *_ in rebuilds}.values())

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
        now_ms = self._chains.clock_ms()
        if accepted.new:
            market.insert_trades(tx, chain.symbol_id, accepted.new)
            self.event_time_ms = max(self.event_time_ms, chain.last_event_ms)
            self.trade_count += len(accepted.new)
        if accepted.late:
            market.insert_trades(tx, chain.symbol_id, accepted.late)
        for gap in accepted.opened:
            self._chains.record_gap(tx, chain, gap, "missed by the live feed")
            if stored_bars.flag_incomplete(tx, chain, gap.from_ms, gap.to_ms, is_final=False):
                market.rise_revision(tx, chain.symbol_id)
        for gap in accepted.closed:
            gaps.close_gap(tx, gap.gap_id, "filled", "came in late", now_ms)
        for start_ms, _ in accepted.rebuild:
            chain.will_rebuild(start_ms)
        if accepted.new or accepted.rebuild:
            market.save_cursor(tx, chain.symbol_id, chain.cursor)
        return accepted.rebuild

    # -- bars ---------------------------------------------------------------------------------

    def close_bars(self, exchange_time_ms: int) -> None:
        """Close every second that ends by then and of which all trades are known to be there.

        Known is what a later trade of the symbol or an answer of the exchange tells: silence isn't.
        """
        until = stored_bars.floor_to(exchange_time_ms, SECOND_MS)
        while True:
            due = []
            for chain in self.chains.values():
                end = min(until, chain.known_until(self.stops.market_ms))
                if chain.builder and chain.builder.closed_until_ms < end:
                    due.append((chain, end))
            if not due:
                return
            for chain, end in due:
                skipped = chain.skip_silence(end)
                if skipped is not None:
                    self._chains.rebuild(chain, *skipped, chain.last_id or 0)
            for first in range(0, len(due), SYMBOLS_PER_TRANSACTION):
                group = due[first : first + SYMBOLS_PER_TRANSACTION]
                step = BARS_PER_TRANSACTION // len(group) * SECOND_MS
                with self._chains.transaction() as tx:
                    for chain, end in group:
                        assert chain.builder is not None
                        stored_bars.close_seconds(
                            tx, chain, min(end, chain.builder.closed_until_ms + step)
                        )

    def close_recording(self, until_ms: int) -> None:
        """Close what ends by then at a recording's end: nobody can be asked what it lacks."""
        self.stops.market_ms = max(self.stops.market_ms, until_ms)
        for chain in self.chains.values():
            if chain.last_id is not None:
                chain.tell_until(until_ms)
        self.close_bars(until_ms)

    def store_klines(self, symbol: str, timeframe: str, bars: Sequence[Bar]) -> None:
        """Store the exchange's own bars where no better ones are."""
        chain, length = self.chains[symbol], TIMEFRAMES[timeframe]
        for first in range(0, len(bars), KLINES_PER_TRANSACTION):
            with self._chains.transaction() as tx:
                part = bars[first : first + KLINES_PER_TRANSACTION]
                stored_bars.store_klines(tx, chain, length, part)
                if length == MINUTE_MS:
                    end_ms = part[-1].open_time_ms + length
                    stored_bars.roll_up_minutes(tx, chain, part[0].open_time_ms, end_ms)

    def count_bars(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> int:
        """How many usable bars are stored; those that can never be complete count as usable."""
        chain, length = self.chains[symbol], TIMEFRAMES[timeframe]
        with self._chains.reading() as tx:
            stored = market.bars_between(tx, chain.symbol_id, length, start_ms, end_ms)
        return sum(
            bar.complete or chain.is_unfillable(bar.open_time_ms, bar.open_time_ms + length)
            for bar, _ in stored
        )

    # -- comparison with the exchange's own bars ----------------------------------------------

    def own_minutes(self, symbol: str, start_ms: int, end_ms: int) -> list[Bar]:
        """Minutes of [start, end) that were built from complete ids."""
        chain = self.chains[symbol]
        with self._chains.reading() as tx:
            stored = market.bars_between(tx, chain.symbol_id, MINUTE_MS, start_ms, end_ms)
        return [bar for bar, origin in stored if origin is Origin.TRADES and bar.complete]

    def mend_minute(self, symbol: str, open_ms: int, trades: Sequence[Trade]) -> Bar | None:
        """Add the exchange's trades of one minute to what is stored, and build it again."""
        chain = self.chains[symbol]
        if trades:
            with self._chains.transaction() as tx:
                market.insert_trades(tx, chain.symbol_id, trades)
        anchor_id = trades[0].trade_id if trades else chain.last_id or 0
        self._chains.rebuild(chain, open_ms, open_ms + MINUTE_MS - 1, anchor_id)
        return next(iter(self.own_minutes(symbol, open_ms, open_ms + MINUTE_MS)), None)

    def miss(self, symbol: str, start_ms: int, end_ms: int) -> None:
        """Leave out our flat bars of [start, end), of which the exchange has none."""
        chain = self.chains[symbol]
        with self._chains.transaction() as tx:
            if stored_bars.flag_incomplete(tx, chain, start_ms, end_ms - 1, is_final=False):
                market.rise_revision(tx, chain.symbol_id)


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
