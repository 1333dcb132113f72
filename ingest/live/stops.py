"""When no symbol traded for long: the exchange itself may have stood still."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import structlog

from core.types import Trade
from ingest.live.open_gap import OpenGap

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
        # Where ids are missing it may have been we who were away: what fills them tells.
        self._doubted: list[tuple[int, int]] = []

    def note(self, groups: Sequence[Sequence[Trade]], now_ms: int) -> None:
        """Follow the newest trade of any symbol; a long time without one may be a stop."""
        newest_ms = max((group[-1].trade_time_ms for group in groups), default=0)
        newest_ms = min(newest_ms, now_ms)
        before_ms, self.market_ms = self.market_ms, max(self.market_ms, newest_ms)
        for group in groups:
            self.refute(group)
        if before_ms == 0 or newest_ms - before_ms <= STOP_MS:
            return
        times = sorted(trade.trade_time_ms for group in groups for trade in group)
        later = [time for time in times if time > before_ms]
        # By a clock that is behind all of them are ahead: the first ends the stop.
        inside = [time for time in later if time <= newest_ms] or later[:1]
        self._doubted += [span for span in pairwise((before_ms, *inside)) if _is_long(span)]

    def settle(self, gaps: Iterable[OpenGap]) -> list[tuple[int, int]]:
        """Take long times without a trade for stops in which no id is missing; those that are new.

        Parameters
        ----------
        gaps : the ids that are missing now, of all symbols.
        """
        if not self._doubted:
            return []
        away = [(gap.from_ms, gap.to_ms) for gap in gaps]
        doubted = [span for span in self._doubted if any(_meet(span, gap) for gap in away)]
        settled = [span for span in self._doubted if span not in doubted]
        self._doubted = doubted
        kept_ms = self.market_ms - self._keep_ms
        self.spans[:] = [span for span in (*self.spans, *settled) if span[1] > kept_ms]
        for first_ms, last_ms in settled:
            log.warning("no symbol traded for a while", from_ms=first_ms, to_ms=last_ms)
        return settled

    def refute(self, trades: Sequence[Trade]) -> None:
        """Cut stops where something has traded after all."""
        if self.spans or self._doubted:
            times = sorted(trade.trade_time_ms for trade in trades)
            self.spans[:] = _cut(self.spans, times)
            self._doubted = _cut(self._doubted, times)

    def give_up(self, first_ms: int, last_ms: int) -> None:
        """Trades of a time are lost: nobody can tell any more whether the exchange stood still."""
        lost = (first_ms, last_ms)
        self._doubted = [span for span in self._doubted if not _meet(span, lost)]


def _is_long(span: tuple[int, int]) -> bool:
    return span[1] - span[0] > STOP_MS


def _meet(span: tuple[int, int], other: tuple[int, int]) -> bool:
    return span[0] < other[1] and other[0] < span[1]


def _cut(spans: Sequence[tuple[int, int]], times: Sequence[int]) -> list[tuple[int, int]]:
    return [
        part
        for first, last in spans
        for part in pairwise((first, *(time for time in times if first < time < last), last))
        if _is_long(part)
    ]
