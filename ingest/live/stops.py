"""When no symbol traded for long: the exchange itself may have stood still."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import structlog

from core.types import Trade
from ingest.live.chain import SymbolChain

log = structlog.get_logger()

STOP_MS = 30_000
"""Where no symbol has traded for so long, the exchange itself may have stood still."""


class Stops:
    """The time of the market's newest trade, and the long times without any before it.

    Parameters
    ----------
    keep_ms : stops that ended longer ago are forgotten.
    """

    def __init__(self, keep_ms: int) -> None:
        self._keep_ms = keep_ms
        self.market_ms = 0
        # From the last trade before to the first one after; chains look at this very list.
        self.spans: list[tuple[int, int]] = []

    def note(
        self, groups: Sequence[Sequence[Trade]], now_ms: int, chains: Iterable[SymbolChain]
    ) -> None:
        """Follow the newest trade of any symbol; a long time without one is noted as a stop."""
        newest_ms = max((group[-1].trade_time_ms for group in groups), default=0)
        newest_ms = min(newest_ms, now_ms)
        before_ms, self.market_ms = self.market_ms, max(self.market_ms, newest_ms)
        for group in groups:
            self.refute(group)
        if before_ms == 0 or newest_ms - before_ms <= STOP_MS:
            return
        times = sorted(trade.trade_time_ms for group in groups for trade in group)
        inside = [before_ms, *(time for time in times if before_ms < time <= newest_ms)]
        gaps = [gap for chain in chains for gap in chain.gaps]
        for first_ms, last_ms in pairwise(inside):
            # Ids that are missing were traded: then it was we who were away.
            if last_ms - first_ms > STOP_MS and not any(
                gap.from_ms < last_ms and gap.to_ms > first_ms for gap in gaps
            ):
                self.spans.append((first_ms, last_ms))
                log.warning("no symbol traded for a while", from_ms=first_ms, to_ms=last_ms)
        self.spans[:] = [span for span in self.spans if span[1] > newest_ms - self._keep_ms]

    def refute(self, trades: Sequence[Trade]) -> None:
        """Forget a stop in which something has traded after all."""
        if self.spans:
            self.spans[:] = [
                (first, last)
                for first, last in self.spans
                if not any(first < trade.trade_time_ms < last for trade in trades)
            ]
