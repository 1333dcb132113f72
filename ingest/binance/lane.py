"""One connection's worth of symbols: connect, back off, switch over, judge what broke."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, Literal, TypeAlias

import structlog

from ingest.binance.connection import Connection, Socket, split_streams, stream_name
from ingest.binance.failures import (
    BLOCK_S,
    NETWORK_ERRORS,
    Failure,
    backoff_delays,
    classify_failure,
)
from ingest.binance.hosts import host_name
from ingest.binance.weights import Hold

_log = structlog.get_logger()

FeedState: TypeAlias = Literal["connecting", "live", "down", "blocked"]
Sleep: TypeAlias = Callable[[float], Coroutine[Any, Any, None]]

LONGEST_OVERLAP_S = 60.0
SILENT_SYMBOL_S = 12.0
"""Then it is asked whether anything was missed: with the look every 2 s, well under 15 s."""
QUICK_CAP_S = 2.0
"""Longest wait after a connection that brought a trade."""
JUST_COME_S = 3.0
"""Whoever is told to go every so often makes 100 attempts in five minutes."""
SETTLED_S = 60.0
"""A connection that lived this long was no part of a loop."""
MAX_ATTEMPTS = 150
ATTEMPTS_WINDOW_S = 300.0
"""The exchange bans an address at 300 attempts in five minutes; other programs have theirs."""


class Gate:
    """What all lanes share: hosts that refuse us, a wait asked for, the attempts made."""

    def __init__(self, hosts: Sequence[str], clock: Callable[[], float], hold: Hold) -> None:
        self.hosts = tuple(hosts)
        self._clock = clock
        self._blocked_until = dict.fromkeys(self.hosts, -float("inf"))
        self._resting_until = dict.fromkeys(self.hosts, -float("inf"))
        self._hold = hold
        self._attempts: deque[float] = deque()

    @property
    def all_blocked(self) -> bool:
        return all(until > self._clock() for until in self._blocked_until.values())

    def judge(self, error: BaseException) -> Failure:
        """Classify an error; a date in it is read by the exchange's clock."""
        return classify_failure(error, self._hold.exchange_clock())

    def note(self, host: str, failure: Failure) -> None:
        """Remember what a failure means for every lane."""
        now = self._clock()
        if failure.action == "hold":
            self._hold.extend(now + failure.hold_s, failure.words)
            return
        if failure.action == "blocked":
            self._blocked_until[host] = now + max(BLOCK_S, failure.hold_s)
        self._resting_until[host] = now + failure.hold_s

    def count_attempt(self) -> None:
        """Count one connect against the exchange's limit."""
        self._attempts.append(self._clock())

    def wait_s(self) -> float:
        """Give how long nobody may connect: a hold, all hosts blocked, or too many attempts."""
        now = self._clock()
        while self._attempts and self._attempts[0] <= now - ATTEMPTS_WINDOW_S:
            self._attempts.popleft()
        until = max(self._hold.until, min(self._not_before(host) for host in self.hosts))
        if len(self._attempts) >= MAX_ATTEMPTS:
            until = max(until, self._attempts[0] + ATTEMPTS_WINDOW_S)
        return max(0.0, until - now)

    def host_from(self, index: int) -> str | None:
        """Choose the host at `index`, or the next one that may be asked."""
        turned = self.hosts[index:] + self.hosts[:index]
        now = self._clock()
        return next((host for host in turned if self._not_before(host) <= now), None)

    def _not_before(self, host: str) -> float:
        return max(self._blocked_until[host], self._resting_until[host])


class Lane:
    """Keeps one connection reading, and a second one while it switches over.

    `open_connection(socket, host, batches)` starts reading; `on_failure(host, words)` is told of
    every failure.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        gate: Gate,
        *,
        connect: Callable[[str], Coroutine[Any, Any, Socket]],
        open_connection: Callable[["Lane", Socket, str, list[list[str]]], Connection],
        on_failure: Callable[[str, str], None],
        clock: Callable[[], float],
        sleep: Sleep,
        rng: Random,
        overlap_s: float,
    ) -> None:
        self.symbols = tuple(symbols)
        self.connections = 0
        self.subscribed_at: float | None = None
        self._gate = gate
        self._connect = connect
        self._open_connection = open_connection
        self._on_failure = on_failure
        self._clock = clock
        self._sleep = sleep
        self._rng = rng
        self._overlap_s = overlap_s
        self._current: Connection | None = None
        self._open: set[Connection] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._host_index = 0
        self._not_before = -float("inf")
        self._failing = False
        self._slow = backoff_delays(rng)
        self._quick = backoff_delays(rng, cap=QUICK_CAP_S)

    @property
    def host(self) -> str:
        """The host that is read, or else the one whose turn it is."""
        return self._current.host if self._current else self._gate.hosts[self._host_index]

    @property
    def state(self) -> FeedState:
        # A copy: the writing thread looks too, while this one opens and closes.
        if any(one.first_trade.is_set() and not one.task.done() for one in tuple(self._open)):
            return "live"
        if self._open:
            return "connecting"
        if self._gate.all_blocked:
            return "blocked"
        return "down" if self._failing else "connecting"

    def silent_symbols(self, last_trade_at: dict[str, float]) -> list[str]:
        """Name the symbols without a trade for a while, on a connection that stands as long."""
        horizon = self._clock() - SILENT_SYMBOL_S
        if not self._open or self.subscribed_at is None or self.subscribed_at > horizon:
            return []
        return [name for name in self.symbols if last_trade_at[name] <= horizon]

    def resubscribe(self, symbols: Sequence[str]) -> None:
        """Ask anew for the streams of those symbols that are this lane's."""
        own = [stream_name(symbol) for symbol in symbols if symbol in self.symbols]
        if own and self._current is not None and not self._current.task.done():
            self._current.resubscribe(own)

    async def run(self) -> None:
        """Connect, read, replace, for ever."""
        try:
            while True:
                fresh = await self._connect_in_turn()
                old, self._current = self._current, fresh
                if old is not None:
                    self._current = await self._overlap(old, fresh)
                if self._current is not None:
                    await self._read_until_due(self._current)
        finally:
            for one in tuple(self._open):
                self._drop(one)
            await asyncio.gather(*self._closing, return_exceptions=True)

    async def _connect_in_turn(self) -> Connection:
        """Open a connection, however long it takes; the current one is read meanwhile."""
        while True:
            await self._wait_for_turn()
            host = self._gate.host_from(self._host_index)
            if host is None:
                continue
            self._host_index = self._gate.hosts.index(host)
            url, batches = split_streams(host, self.symbols)
            self._gate.count_attempt()
            try:
                socket = await self._connect(url)
            except (*NETWORK_ERRORS, UnicodeError) as error:
                self._back_off(host, self._gate.judge(error), brought_trade=False)
                continue
            self.connections += 1
            _log.info("feed connected", host=host_name(host), symbols=len(self.symbols))
            fresh = self._open_connection(self, socket, host, batches)
            self._open.add(fresh)
            return fresh

    async def _wait_for_turn(self) -> None:
        """Sleep until the next attempt is due; the current connection's end may hasten it."""
        while True:
            if self._current is not None and self._current.task.done():
                lost, self._current = self._current, None
                self._lose(lost)
            wait_s = max(self._not_before - self._clock(), self._gate.wait_s())
            if wait_s <= 0.0:
                return
            if self._current is None:
                await self._sleep(wait_s)
            else:
                await _first_of(self._current.task, self._sleep(wait_s))

    async def _overlap(self, old: Connection, fresh: Connection) -> Connection | None:
        """Read both until the new one has proven itself; give the one to go on with."""
        longest = self._sleep(LONGEST_OVERLAP_S)
        await _first_of(old.task, fresh.task, fresh.first_trade.wait(), longest)
        if not (old.task.done() or fresh.task.done()):
            await _first_of(old.task, fresh.task, self._sleep(self._overlap_s))
        if fresh.task.done():
            self._lose(fresh)
            return old
        if old.task.done():
            _reason(old)
        self._drop(old)
        _log.info("feed switched over", host=host_name(fresh.host))
        return fresh

    async def _read_until_due(self, current: Connection) -> None:
        """Wait until a connection has ended or should be replaced."""
        await _first_of(current.task, current.replace.wait())
        if current.task.done():
            self._current = None
            self._lose(current)
        elif current.age_s < JUST_COME_S:
            # Told to go when it has hardly come: that may be a loop. An older one must not wait:
            # what it is told ahead may be little more than a second.
            self._delay_next(brought_trade=current.first_trade.is_set())

    def _lose(self, lost: Connection) -> None:
        """Draw the consequences of a connection's end."""
        self._drop(lost)
        error = _reason(lost)
        if lost.age_s >= SETTLED_S:
            self._quick = backoff_delays(self._rng, cap=QUICK_CAP_S)
        self._back_off(lost.host, self._gate.judge(error), lost.first_trade.is_set())

    def _back_off(self, host: str, failure: Failure, brought_trade: bool) -> None:
        self._failing = not brought_trade
        self._gate.note(host, failure)
        self._on_failure(host, failure.words)
        _log.warning(
            "feed failure", host=host_name(host), reason=failure.words, action=failure.action
        )
        if failure.action == "blocked":
            self._not_before = self._clock()
            return
        self._delay_next(brought_trade)
        if not brought_trade and failure.action != "hold":
            self._host_index = (self._gate.hosts.index(host) + 1) % len(self._gate.hosts)

    def _delay_next(self, brought_trade: bool) -> None:
        if brought_trade:
            self._slow = backoff_delays(self._rng)
        self._not_before = self._clock() + next(self._quick if brought_trade else self._slow)

    def _drop(self, done: Connection) -> None:
        """Close a connection on the side: a dead peer must not delay its successor."""
        self._open.discard(done)
        task = asyncio.create_task(done.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _reason(ended: Connection) -> BaseException:
    """Give why a connection ended; what isn't the network's doing is raised."""
    error = ended.task.exception() or EOFError("the connection ended by itself")
    if not isinstance(error, NETWORK_ERRORS):
        raise error
    return error


async def _first_of(*waiting: asyncio.Task[Any] | Coroutine[Any, Any, Any]) -> None:
    """Return when the first one is through; coroutines are cancelled then, tasks go on."""
    own = [asyncio.create_task(one) for one in waiting if not isinstance(one, asyncio.Task)]
    tasks = [one for one in waiting if isinstance(one, asyncio.Task)]
    try:
        await asyncio.wait((*own, *tasks), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in own:
            task.cancel()
        await asyncio.gather(*own, return_exceptions=True)
