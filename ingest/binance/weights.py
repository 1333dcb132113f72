"""The request weight that all callers share, and the waits that the exchange asks for."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from core.errors import ExchangeError

_log = structlog.get_logger()

WINDOW_S = 60.0
ROOM_SHARE = 0.25
"""Of what is allowed, history leaves this much to questions that the screen waits for."""


class Hold:
    """Until when nothing is to be asked of the exchange: it bans addresses, not connections.

    Parameters
    ----------
    exchange_clock : seconds of the exchange's clock: by it a wait's end is told where it is a date.
    """

    def __init__(self, exchange_clock: Callable[[], float] = time.time) -> None:
        self.exchange_clock = exchange_clock
        self.until = -float("inf")
        self.words = ""

    def extend(self, until: float, words: str) -> bool:
        """Hold until then; False when a longer hold stands."""
        if until <= self.until:
            return False
        self.until, self.words = until, words
        return True


class WeightBudget:
    """Keeps all requests together under a share of the exchange's weight limit.

    Own requests are counted over any 60 s: whichever minute the exchange counts, and however our
    clock stands to its own, that minute holds no more. What the answers' header says is heeded
    beside it, until the minute ends: others may use the same address.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        limit: int = 6_000,
        share: float = 0.8,
        longest_hold_s: float = 300.0,
        hold: Hold | None = None,
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._sleep = sleep
        self._share = share
        self._longest_hold_s = longest_hold_s
        self._turn, self._history_turn = asyncio.Lock(), asyncio.Lock()
        self._spent: deque[tuple[float, int]] = deque()
        self._spent_sum = 0
        self._unanswered = 0
        self._observed = 0
        self._observed_minute = -1
        self._hold = hold or Hold()
        self.set_limit(limit)

    def set_limit(self, limit: int) -> None:
        """Take the limit per minute from the exchange."""
        self._limit = limit
        self._allowed = max(1, int(limit * self._share))
        self._allowed_to_history = max(1, int(self._allowed * (1.0 - ROOM_SHARE)))

    @asynccontextmanager
    async def spend(self, weight: int, *, leaves_room: bool = False) -> AsyncIterator[None]:
        """Wait for room and for the end of a hold, in order of arrival; then send at once.

        Who `leaves_room` waits in a line of its own, until less is spent: what is asked for the
        screen passes by.

        Raises
        ------
        ExchangeError
            The exchange asked for a longer wait than a caller should sit through.
        """
        if leaves_room:
            async with self._history_turn:
                while (wait_s := self._wait_s(weight, self._allowed_to_history)) > 0.0:
                    await self._sleep(wait_s)
                await self._take(weight)
        else:
            await self._take(weight)
        try:
            yield
        finally:
            self._unanswered -= weight

    async def _take(self, weight: int) -> None:
        async with self._turn:
            while (wait_s := self._wait_s(weight, self._allowed)) > 0.0:
                await self._sleep(wait_s)
            self._spent.append((self._clock(), weight))
            self._spent_sum += weight
            self._unanswered += weight

    def observe(self, used_weight: int) -> None:
        """Heed the exchange's own count, as an answer's header gives it."""
        minute = self._minute()
        if minute != self._observed_minute:
            self._observed, self._observed_minute = 0, minute
        self._observed = max(self._observed, used_weight)

    def hold(self, seconds: float, words: str) -> None:
        """Let nobody send for this long; a shorter hold never ends a longer one."""
        if self._hold.extend(self._clock() + seconds, words):
            _log.warning("requests held", seconds=seconds, reason=words)

    @property
    def used(self) -> int:
        """Weight to be reckoned with now."""
        horizon = self._clock() - WINDOW_S
        while self._spent and self._spent[0][0] <= horizon:
            self._spent_sum -= self._spent.popleft()[1]
        return self._or_observed(self._spent_sum)

    @property
    def used_share(self) -> float:
        """The same of the limit; changes nothing, so that any thread may ask."""
        horizon = self._clock() - WINDOW_S
        spent = sum(weight for sent_s, weight in tuple(self._spent) if sent_s > horizon)
        return self._or_observed(spent) / self._limit

    def _or_observed(self, spent: int) -> int:
        observed = self._observed if self._minute() == self._observed_minute else 0
        return max(spent, observed + self._unanswered)

    def _wait_s(self, weight: int, allowed: int) -> float:
        held_s = self._hold.until - self._clock()
        if held_s > self._longest_hold_s:
            raise ExchangeError(f"no requests for another {held_s:.0f} s: {self._hold.words}")
        if held_s > 0.0:
            return held_s
        used = self.used
        if used == 0 or used + weight <= allowed:
            return 0.0
        if self._spent_sum + weight > allowed and self._spent:
            return max(self._spent[0][0] + WINDOW_S - self._clock(), 0.001)
        if self._unanswered:
            # An answer brings the exchange's newer count.
            return 0.05
        return WINDOW_S - self._wall_clock() % WINDOW_S + 0.001

    def _minute(self) -> int:
        return int(self._wall_clock() // WINDOW_S)
