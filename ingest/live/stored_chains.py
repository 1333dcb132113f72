"""The chains of all symbols and the store behind them: what each step of writing works with."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import structlog

from core.timeframes import HOUR_MS, SECOND_MS
from ingest.live import stored_bars
from ingest.live.chain import SymbolChain
from ingest.live.open_gap import OpenGap
from ingest.live.stops import Stops
from ingest.store import gaps, market, pruning
from ingest.store.gaps import Gap
from ingest.store.transaction import Transaction, Writer

log = structlog.get_logger()

SECONDS_PER_TRANSACTION = 900
FORGET_ROWS = 10_000
LAST_MS = 2**62


class StoredChains:
    """Where each symbol stands, in memory and in the store.

    Parameters
    ----------
    writer : the store.
    clock_ms : now; the recording's own clock in a replay.
    pause : called after each transaction, so that other processes get at the database too.
    retain_ms : how long trades are kept.
    """

    def __init__(
        self,
        writer: Writer,
        clock_ms: Callable[[], int],
        pause: Callable[[], None],
        retain_ms: int,
    ) -> None:
        self._writer = writer
        self._pause = pause
        self.clock_ms = clock_ms
        self.retain_ms = retain_ms
        self.stops = Stops(retain_ms)
        self.by_symbol: dict[str, SymbolChain] = {}

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Write in one short transaction, and leave the database to others for a moment."""
        with self._writer.transaction() as tx:
            yield tx
        self._pause()

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Read what is stored; over at once, so nobody else has waited for it."""
        with self._writer.transaction() as tx:
            yield tx

    def make(self, symbol: str, symbol_id: int) -> SymbolChain:
        """Put an empty chain in a symbol's place."""
        chain = self.by_symbol[symbol] = SymbolChain(symbol, symbol_id, self.stops.spans)
        return chain

    # -- gaps ---------------------------------------------------------------------------------

    def record_gap(self, tx: Transaction, chain: SymbolChain, gap: OpenGap, reason: str) -> None:
        """Give a gap a row of its own."""
        gap.gap_id = gaps.open_gap(
            tx,
            chain.symbol_id,
            gap.from_id,
            gap.to_id,
            gap.from_ms,
            gap.to_ms,
            reason,
            self.clock_ms(),
        )

    def lose_gap(self, chain: SymbolChain, gap: Gap | OpenGap, reason: str) -> None:
        """Say that the ids of a gap are lost for good: no bar over it counts."""
        chain.lose(gap)
        self.stops.give_up(gap.from_ms, gap.to_ms)
        with self.transaction() as tx:
            gaps.close_gap(tx, gap.gap_id, "unfillable", reason, self.clock_ms())
            if stored_bars.flag_incomplete(tx, chain, gap.from_ms, gap.to_ms, is_final=True):
                market.rise_revision(tx, chain.symbol_id)
        log.warning("trades are lost", symbol=chain.symbol, reason=reason)

    @property
    def too_old(self) -> str:
        """Why a gap is given up that nobody fills any more."""
        return f"older than the {self.retain_ms // HOUR_MS} h of trades that are kept"

    # -- bars and trades ----------------------------------------------------------------------

    def settle_stops(self) -> None:
        """Once nothing is missing of a long silence, bars that closed in it don't count."""
        missing = (gap for chain in self.by_symbol.values() for gap in chain.gaps)
        for first_ms, last_ms in self.stops.settle(missing):
            first = stored_bars.floor_to(first_ms + SECOND_MS - 1, SECOND_MS)
            last = stored_bars.floor_to(last_ms, SECOND_MS) - 1
            for chain in self.by_symbol.values():
                with self.transaction() as tx:
                    if stored_bars.flag_incomplete(tx, chain, first, last, is_final=False):
                        market.rise_revision(tx, chain.symbol_id)

    def rebuild(self, chain: SymbolChain, start_ms: int, end_ms: int, anchor_id: int) -> None:
        """Build closed bars that overlap [start, end] again, in steps of 15 minutes."""
        assert chain.builder is not None
        start = stored_bars.floor_to(start_ms, SECOND_MS)
        end = min(
            stored_bars.floor_to(end_ms, SECOND_MS) + SECOND_MS, chain.builder.closed_until_ms
        )
        step = SECONDS_PER_TRANSACTION * SECOND_MS
        for first in range(start, end, step):
            last = min(first + step, end)
            with self.transaction() as tx:
                changed = stored_bars.rebuild_seconds(tx, chain, first, last, anchor_id)
                if stored_bars.roll_up_parents(tx, chain, first, last) or changed:
                    market.rise_revision(tx, chain.symbol_id)

    def note_rebuilt(self, chains: Iterable[SymbolChain]) -> None:
        """Closed bars are right again: a restart need not build them once more."""
        with self.transaction() as tx:
            for chain in chains:
                chain.rebuilt()
                market.save_cursor(tx, chain.symbol_id, chain.cursor)

    def forget_trades(self, chain: SymbolChain) -> None:
        """Delete a symbol's stored trades; bars stay, and what was imported."""
        deleted = 1
        while deleted:
            with self.transaction() as tx:
                deleted = pruning.prune_trades(tx, chain.symbol_id, LAST_MS, FORGET_ROWS)
