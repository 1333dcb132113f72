"""Fetches what the live feed missed, by id, until it meets the live edge."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import NamedTuple

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.errors import ExchangeError, RequestRefused
from ingest.live.chain import SKIP_MS
from ingest.live.pipeline import Pipeline
from ingest.live.ports import Exchange, Store, ask_trades
from ingest.schedule import every

log = structlog.get_logger()

EVERY_S = 1.0
CONCURRENCY = 4
PAGES_A_ROUND = 50
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0


class AskedGap(NamedTuple):
    """One open gap, as it was when the round began."""

    symbol: str
    gap_id: int
    from_id: int
    from_ms: int
    to_ms: int


@dataclass(slots=True)
class Repair:
    """Fills open gaps.

    Parameters
    ----------
    clock_ms : the exchange's time.
    monotonic : clock of the waits between two tries at a gap.
    retain_ms : gaps that ended longer ago are given up.
    bridge : fetches the exchange's own bars of (symbol, start, end), over long gaps.
    """

    exchange: Exchange
    store: Store
    pipeline: Pipeline
    clock_ms: Callable[[], int]
    monotonic: Callable[[], float]
    retain_ms: int
    bridge: Callable[[str, int, int], Awaitable[None]] | None = None
    _bridged: set[int] = field(default_factory=set)
    # When a gap may be asked for again, and how long to wait then.
    _waits: dict[int, tuple[float, float]] = field(default_factory=dict)

    def schedule(self, scheduler: AsyncIOScheduler) -> None:
        """Go over the open gaps."""
        every(scheduler, "repair gaps", EVERY_S, self.run_once)

    async def run_once(self) -> None:
        """Go over all open gaps once, several symbols at a time."""
        gaps = await self.store(self._open_gaps)
        self._waits = {
            gap.gap_id: self._waits[gap.gap_id] for gap in gaps if gap.gap_id in self._waits
        }
        slots = asyncio.Semaphore(CONCURRENCY)
        await asyncio.gather(*(self._bridge(gap, slots) for gap in gaps))

        async def one_symbol(own: list[AskedGap]) -> None:
            async with slots:
                for gap in own:
                    await self._one_gap(gap)

        groups = [list(own) for _, own in groupby(gaps, key=lambda gap: gap.symbol)]
        await asyncio.gather(*(one_symbol(own) for own in groups))

    def _open_gaps(self) -> list[AskedGap]:
        return [
            AskedGap(chain.symbol, gap.gap_id, gap.from_id, gap.from_ms, gap.to_ms)
            for chain in self.pipeline.chains.values()
            for gap in chain.gaps
        ]

    async def _bridge(self, gap: AskedGap, slots: asyncio.Semaphore) -> None:
        """Lay the exchange's own minutes over a long gap, before any trade is fetched."""
        if self.bridge is None or gap.to_ms - gap.from_ms <= SKIP_MS:
            return
        if gap.gap_id in self._bridged:
            return
        async with slots:
            try:
                await self.bridge(gap.symbol, gap.from_ms, gap.to_ms)
            except ExchangeError as error:
                log.info("bars over a gap have to wait", symbol=gap.symbol, reason=str(error))
                return
        self._bridged.add(gap.gap_id)

    async def _one_gap(self, gap: AskedGap) -> None:
        if self.clock_ms() - gap.to_ms > self.retain_ms:
            await self.store(lambda: self.pipeline.missing.give_up(gap.symbol, gap.gap_id))
            return
        due, wait = self._waits.get(gap.gap_id, (0.0, FIRST_WAIT_S))
        if self.monotonic() < due:
            return
        try:
            if await self._fill(gap):
                self._waits.pop(gap.gap_id, None)
                return
        except RequestRefused as error:
            log.warning("repair is refused", symbol=gap.symbol, reason=str(error))
        except ExchangeError as error:
            log.info("repair has to wait", symbol=gap.symbol, reason=str(error))
        self._waits[gap.gap_id] = (self.monotonic() + wait, min(wait * 2, LONGEST_WAIT_S))

    async def _fill(self, gap: AskedGap) -> bool:
        """Page through one gap; False when the exchange has nothing (yet)."""
        from_id: int | None = gap.from_id
        for _ in range(PAGES_A_ROUND):
            if from_id is None:
                log.debug("gap is closed", symbol=gap.symbol, gap=gap.gap_id)
                return True
            asked = from_id
            page = await ask_trades(self.exchange, gap.symbol, from_id=asked)
            fill = partial(
                self.pipeline.missing.fill, gap.symbol, gap.gap_id, asked, page.trades, page.odd
            )
            if not await self.store(fill):
                return False
            from_id = await self.store(lambda: self._next_id(gap))
        return True

    def _next_id(self, gap: AskedGap) -> int | None:
        found = self.pipeline.chains[gap.symbol].find_gap(gap.gap_id)
        return None if found is None else found.from_id
