"""Where a chain meets the exchange's: its first minute, its newest trade, ids that begin again."""

from collections.abc import Callable, Mapping, Sequence

import structlog

from core.types import Trade
from ingest.live import stored_bars
from ingest.live.chain import IdVerdict, SymbolChain, TradePage
from ingest.live.missing import MissingIds
from ingest.live.stored_chains import StoredChains
from ingest.store import market

log = structlog.get_logger()


class LiveEdge:
    """Joins chains to what the exchange tells of them, in the writing thread.

    Parameters
    ----------
    ingest : takes trades the live way.
    """

    def __init__(
        self,
        chains: StoredChains,
        missing: MissingIds,
        ingest: Callable[[Sequence[Trade]], None],
    ) -> None:
        self._chains = chains
        self._missing = missing
        self._ingest = ingest

    def needs_first_minute(self, symbol: str) -> bool:
        """Whether trades from the first minute's start on have yet to be fetched."""
        chain = self._chains.by_symbol[symbol]
        return chain.last_id is None or (chain.first_live is not None and not chain.is_joined)

    def add_first_minute(
        self, symbol: str, start_ms: int, answer: TradePage, newest: Trade | None
    ) -> bool:
        """Join the exchange's trades from `start_ms` on to the live feed; False: ask again.

        Parameters
        ----------
        answer : the first trades from the minute's start on.
        newest : where there are none, the newest trade before.
        """
        chain, page = self._chains.by_symbol[symbol], answer.trades
        live = chain.first_live
        if live is None and not page and newest is None:
            chain.is_joined = True  # nothing has ever traded: the first trade is the first of all
            return True
        if live is None:
            if not page and newest is not None and newest.trade_time_ms >= start_ms:
                return False  # made meanwhile, or told late: a page has to begin with it
            if chain.other_until_ms >= start_ms:
                self._ingest(page)  # begins with its first trade
                return bool(page)
            before = page[0].trade_id - 1 if page else newest.trade_id if newest else 0
            with self._chains.transaction() as tx:
                close = stored_bars.close_before(tx, chain.symbol_id, start_ms)
                if close is None and newest is not None and newest.quantity > 0:
                    close = newest.price
                chain.begin(before, close or 0.0, start_ms, close, None if page else newest)
                if not page:
                    market.save_cursor(tx, chain.symbol_id, chain.cursor)
            self._ingest(page)
            return True
        if not page:
            return False
        if chain.is_live_foreign(answer, start_ms):
            self.begin_again(symbol)
            return False  # with the exchange's own trades
        gap = chain.join(page[0], start_ms)
        if gap is not None:
            with self._chains.transaction() as tx:
                self._chains.record_gap(tx, chain, gap, "before the first live trade")
                market.save_cursor(tx, chain.symbol_id, chain.cursor)
            self._missing.fill(symbol, gap.gap_id, gap.from_id, page, answer.odd)
        else:
            chain.will_rebuild(chain.whole_from_ms)
            with self._chains.transaction() as tx:
                market.save_cursor(tx, chain.symbol_id, chain.cursor)
            self._chains.rebuild(chain, chain.whole_from_ms, live.trade_time_ms, live.trade_id)
            self._chains.note_rebuilt([chain])
        return True

    def prove(
        self,
        symbol: str,
        last_id: int,
        answer: TradePage,
        told_until_ms: int,
        newest: Trade | None = None,
    ) -> IdVerdict:
        """Take in the exchange's trades from `last_id` on: the last ones, or some more to come.

        Parameters
        ----------
        told_until_ms : what a page without more behind it tells of all trades until.
        newest : the exchange's newest trade, asked for when there was none from `last_id` on.
        """
        chain = self._chains.by_symbol[symbol]
        if chain.last_id != last_id:
            return IdVerdict.GOES_ON  # the live feed has answered meanwhile
        verdict = chain.judge(answer, newest)
        if verdict is IdVerdict.GOES_ON:
            chain.unjudged = None
            self._ingest([trade for trade in answer.trades if trade.trade_id > last_id])
            if answer.is_edge:
                chain.tell_until(told_until_ms)
        elif verdict is IdVerdict.FOREIGN:
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
            chain = self._chains.by_symbol[symbol]
            if chain.last_id != last_id:
                continue
            raw_id = newest_raw_ids.get(symbol)
            if raw_id is not None and raw_id == chain.last_raw_id and chain.unjudged is None:
                chain.tell_until(told_until_ms)
            else:
                others.append(symbol)
        return others

    def begin_again(self, symbol: str) -> None:
        """Give up a chain that isn't the exchange's any more: the next trade begins another.

        Its cursor stays until that trade: who is killed in between finds out once more.
        """
        old = self._chains.by_symbol[symbol]
        log.warning("the ids of a symbol have begun again", symbol=symbol, last_id=old.last_id)
        for gap in tuple(old.gaps):
            self._chains.lose_gap(old, gap, "the ids have begun again")
        self._chains.forget_trades(old)
        chain = self._chains.make(symbol, old.symbol_id)
        chain.unfillable, chain.absurd = old.unfillable, old.absurd
        chain.other_until_ms = old.other_until_ms
        if old.first_live is None or old.is_joined:  # else it never was the exchange's
            chain.other_until_ms = max(old.other_until_ms, old.last_event_ms)

    def make_way(self, chain: SymbolChain, first_id: int) -> None:
        """Before a chain begins below one that was left: stored ids must not stand in its way."""
        if chain.last_id is None and chain.left_at is not None:
            if first_id <= chain.left_at:
                log.warning("the ids of a symbol have begun again", symbol=chain.symbol)
                self._chains.forget_trades(chain)
            chain.left_at = None
