"""What is missing: the exchange's answers fill gaps, or say that they can't be filled."""

from collections.abc import Sequence

from core.types import Trade
from ingest.live.chain import SymbolChain
from ingest.live.open_gap import OpenGap
from ingest.live.stored_chains import StoredChains
from ingest.store import gaps, market


class MissingIds:
    """Fills the gaps of chains, in the writing thread."""

    def __init__(self, chains: StoredChains) -> None:
        self._chains = chains

    def fill(
        self, symbol: str, gap_id: int, asked_id: int, trades: Sequence[Trade], odd: int = 0
    ) -> bool:
        """Take in the exchange's answer to "trades from `asked_id` on"; False when it was empty.

        An answer that starts later says that the ids between are gone for good, unless it had `odd`
        rows that could not be used: then they stay a gap of their own.
        """
        chain = self._chains.by_symbol[symbol]
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
            self._take_in(chain, gap, inside)
        return True

    def _take_in(self, chain: SymbolChain, gap: OpenGap, inside: list[Trade]) -> None:
        with self._chains.transaction() as tx:
            market.insert_trades(tx, chain.symbol_id, inside)
        self._chains.stops.refute(inside)
        start_ms = gap.from_ms
        is_filled = chain.fill(gap, inside)
        end_ms = gap.to_ms if is_filled else gap.from_ms
        self._chains.rebuild(chain, start_ms, end_ms, inside[0].trade_id)
        # Only now: dying before would leave bars that nobody builds again.
        with self._chains.transaction() as tx:
            if is_filled:
                gaps.close_gap(
                    tx, gap.gap_id, "filled", "fetched from the exchange", self._chains.clock_ms()
                )
            else:
                gaps.shrink_gap(tx, gap.gap_id, gap.from_id, gap.from_ms)
        self._chains.settle_stops()

    def _lose_head(self, chain: SymbolChain, gap: OpenGap, first: Trade) -> None:
        reason = f"the exchange no longer has ids before {first.trade_id}"
        if first.trade_id > gap.to_id:
            self._chains.lose_gap(chain, gap, reason)
            return
        lost = gap.cut_before(first)
        with self._chains.transaction() as tx:
            self._chains.record_gap(tx, chain, lost, reason)
            gaps.shrink_gap(tx, gap.gap_id, gap.from_id, gap.from_ms)
        self._chains.lose_gap(chain, lost, reason)

    def _leave_head(self, chain: SymbolChain, gap: OpenGap, first: Trade) -> None:
        """Go on behind ids that can't be had for now; they are asked for again."""
        if first.trade_id > gap.to_id:
            return
        head = gap.cut_before(first)
        chain.gaps.append(head)
        with self._chains.transaction() as tx:
            self._chains.record_gap(tx, chain, head, "the exchange's row can't be used")
            gaps.shrink_gap(tx, gap.gap_id, gap.from_id, gap.from_ms)

    def give_up(self, symbol: str, gap_id: int) -> None:
        """Say that a gap is too old to be filled."""
        chain = self._chains.by_symbol[symbol]
        gap = chain.find_gap(gap_id)
        if gap is not None:
            self._chains.lose_gap(chain, gap, self._chains.too_old)
