"""Symbols that say nothing: the exchange is asked whether any of their trades is missing."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.errors import ExchangeError
from ingest.live.chain import IdVerdict
from ingest.live.pipeline import Pipeline
from ingest.live.ports import SETTLE_MS, Exchange, Store, ask_trades
from ingest.schedule import every

log = structlog.get_logger()

EVERY_S = 2.0
CONCURRENCY = 4
BEHIND_MS = SETTLE_MS + 2_000
"""A symbol is asked about when its bars are this far behind: the answer closes the oldest two. With
a look every 2 s no bar waits longer than 11 s, however quiet its symbol."""
LIGHT_SYMBOLS = 20
"""Symbols of one light question: it weighs 2, and twenty single ones 80."""
STALLED_MS = 3_000
"""A trade this old should have come by the stream; a younger one may be on its way."""
WAIT_S, FAILED_WAIT_S = 4.0, 10.0
ASKED_A_S = 5
"""Single questions a second at most, a fifth of the request weight: more symbols wait longer."""
LONGEST_ASK_S = 15.0
"""One symbol whose answers hang must not hold up the others."""
RESUBSCRIBE_S = 60.0


@dataclass(slots=True)
class SilenceWatch:
    """Asks the exchange for what comes after the last id of symbols whose bars can't close.

    For most of them one light question about twenty tells that nothing does. The others are asked
    for trades: one whose stream has stalled is named in `stalled`, subscribed to anew, and fed by
    request until its stream is back; one whose ids have begun again gets a new chain.

    Parameters
    ----------
    clock_ms : the exchange's time.
    monotonic : clock of the waits between two questions.
    resubscribe : asks for the streams of symbols anew.
    rejoin : begins a symbol's trades anew from the running minute on.
    """

    exchange: Exchange
    store: Store
    pipeline: Pipeline
    clock_ms: Callable[[], int]
    monotonic: Callable[[], float]
    resubscribe: Callable[[Sequence[str]], None]
    rejoin: Callable[[str], None]
    stalled: set[str] = field(default_factory=set)
    # Symbols of which the light question didn't tell that nothing is missing.
    _others: set[str] = field(default_factory=set)
    # When a symbol may be asked about, and be subscribed to anew, again.
    _ask_at: dict[str, float] = field(default_factory=dict)
    _resubscribe_at: dict[str, float] = field(default_factory=dict)

    def schedule(
        self, scheduler: AsyncIOScheduler, silent_symbols: Callable[[], Sequence[str]]
    ) -> None:
        """Look at the symbols whose bars are behind; single ones apart, they may take long."""
        every(scheduler, "ask quiet symbols", EVERY_S, self.ask_quiet)
        every(scheduler, "ask silent symbols", EVERY_S, lambda: self.ask_others(silent_symbols()))

    async def run_once(self, silent: Sequence[str]) -> None:
        """Do both once; `silent` names the symbols that the stream has brought nothing of."""
        await self.ask_quiet()
        await self.ask_others(silent)

    async def ask_quiet(self) -> None:
        """Ask about twenty symbols at a time whether they have traded since."""
        behind = await self.store(self._behind)
        self._others.intersection_update(behind)
        slots = asyncio.Semaphore(CONCURRENCY)

        async def one(group: dict[str, int]) -> None:
            async with slots:
                told_until_ms = self.clock_ms() - SETTLE_MS
                try:
                    newest = await self.exchange.newest_raw_ids(list(group))
                except ExchangeError as error:
                    log.info("quiet symbols have to wait", symbols=len(group), reason=str(error))
                    self._others.update(group)
                    return
                tell = partial(self.pipeline.edge.tell_quiet, group, newest, told_until_ms)
                others = await self.store(tell)
            self._others.difference_update(group)
            self._others.update(others)

        names = list(behind)
        await asyncio.gather(
            *(
                one({name: behind[name] for name in names[first : first + LIGHT_SYMBOLS]})
                for first in range(0, len(names), LIGHT_SYMBOLS)
            )
        )

    def _behind(self) -> dict[str, int]:
        """Last ids of symbols whose bars wait for a trade or an answer, longest first."""
        now_ms = self.clock_ms()
        waiting = [
            (chain.known_until(now_ms), chain.symbol, chain.last_id)
            for chain in self.pipeline.chains.values()
            if chain.last_id is not None
            and (now_ms - chain.known_until(now_ms) >= BEHIND_MS or chain.unjudged is not None)
        ]
        return {symbol: last_id for _, symbol, last_id in sorted(waiting)}

    async def ask_others(self, silent: Sequence[str]) -> None:
        """Ask for the trades of the others whose turn it is."""
        for name in self._resubscribe_at.keys() - set(silent):
            del self._resubscribe_at[name]
        for name in self.stalled.difference(silent):
            log.info("a stalled symbol is back", symbol=name)
        self.stalled.intersection_update(silent)
        for name in self._ask_at.keys() - self._others:
            del self._ask_at[name]
        now = self.monotonic()
        due = sorted(name for name in self._others if self._ask_at.get(name, 0.0) <= now)
        wait_s = max(WAIT_S, len(self._others) / ASKED_A_S)
        slots = asyncio.Semaphore(CONCURRENCY)

        async def one(symbol: str) -> None:
            async with slots:
                self._ask_at[symbol] = self.monotonic() + wait_s
                try:
                    async with asyncio.timeout(LONGEST_ASK_S):
                        missed = await self._catch_up(symbol)
                except (ExchangeError, TimeoutError) as error:
                    self._ask_at[symbol] = self.monotonic() + max(wait_s, FAILED_WAIT_S)
                    reason = str(error) or "no answer in time"
                    log.info("a silent symbol has to wait", symbol=symbol, reason=reason)
                    return
                if missed and symbol in silent:
                    self._note_stalled(symbol, missed)

        await asyncio.gather(*(one(name) for name in due))

    def _note_stalled(self, symbol: str, missed: int) -> None:
        if symbol not in self.stalled:
            log.warning("a symbol's stream has stalled", symbol=symbol, missed=missed)
        self.stalled.add(symbol)
        now = self.monotonic()
        if self._resubscribe_at.get(symbol, 0.0) <= now:
            self._resubscribe_at[symbol] = now + RESUBSCRIBE_S
            self.resubscribe([symbol])

    async def _catch_up(self, symbol: str) -> int:
        """Fetch from the last known id to the live edge; how many trades the stream kept back."""
        missed = 0
        while True:
            last_id = await self.store(lambda: self.pipeline.chains[symbol].last_id)
            if last_id is None:
                return missed
            told_until_ms = self.clock_ms() - SETTLE_MS
            # From the last known trade on, not after it: an answer that begins with it is of the
            # same chain, and one that has nothing of it proves nothing.
            page = await ask_trades(self.exchange, symbol, from_id=last_id)
            prove = partial(self.pipeline.edge.prove, symbol, last_id, page, told_until_ms)
            verdict = await self.store(prove)
            if verdict is IdVerdict.UNSURE:
                newest = await ask_trades(self.exchange, symbol, limit=1)
                last = newest.trades[-1] if newest.trades else None
                verdict = await self.store(partial(prove, newest=last))
            if verdict is IdVerdict.FOREIGN:
                self.rejoin(symbol)
            if verdict is not IdVerdict.GOES_ON:
                return missed
            overdue_ms = self.clock_ms() - STALLED_MS
            missed += sum(
                trade.trade_id > last_id and trade.trade_time_ms < overdue_ms
                for trade in page.trades
            )
            if page.is_edge:
                return missed
