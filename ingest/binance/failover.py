"""Requests to whichever host works: retries, failover, and the one weight budget of all."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Generic, NamedTuple, NoReturn, TypeVar

import httpx
import msgspec
import structlog

from core.errors import (
    ExchangeBlocked,
    ExchangeError,
    FrameError,
    RequestRefused,
    UnknownSymbols,
)
from ingest.binance.answers import read_refusal
from ingest.binance.failures import (
    BLOCK_S,
    NETWORK_ERRORS,
    Failure,
    backoff_delays,
    classify_failure,
    classify_status,
    refused_for_a_while,
)
from ingest.binance.hosts import host_name
from ingest.binance.proxies import DIRECT, Proxies
from ingest.binance.waits import asked_wait_s
from ingest.binance.weights import Hold, WeightBudget

_log = structlog.get_logger()
T = TypeVar("T")

UNKNOWN_SYMBOL = -1121
TOO_MUCH_WEIGHT = -1003
# Refusals that are about the server's state, not about the request.
TRANSIENT_CODES = frozenset((-1000, -1001, -1007, -1008, -1016))
AVOID_S = 30.0
"""A host that failed is passed over for this long while another one works."""
LONGEST_REST_S = 60.0
"""A wait that all hosts ask for, each for itself, is sat through up to this long."""


@dataclass(frozen=True, slots=True)
class _Question(Generic[T]):
    """A request without a host, and how its answer is read."""

    path: str
    params: Mapping[str, str]
    weight: int
    read: Callable[[bytes], T]
    leaves_room: bool


class _Host:
    """One base and when it may be asked again."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.avoid_until = -float("inf")
        self.blocked_until = -float("inf")
        self.resting_until = -float("inf")
        self.words = ""


class _Failed(NamedTuple):
    host: _Host
    failure: Failure


class FailoverClient:
    """Asks several hosts that serve the same. One per process: all callers share its budget.

    A failing host is replaced by the next one; attempts are bounded, and what is left is an
    `ExchangeError` with plain words. `UnknownSymbols` is raised only where the exchange itself
    says so.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        wall_clock: Callable[[], float] = time.time,
        rng: Random | None = None,
        concurrency: int = 8,
        attempt_timeout_s: float = 20.0,
        hold: Hold | None = None,
        proxies: Proxies = DIRECT,
    ) -> None:
        if not hosts:
            raise ValueError("at least one host is needed")
        self._hosts = [_Host(base.rstrip("/")) for base in hosts]
        self.clock = clock
        self._sleep = sleep
        self._rng = rng or Random()
        self._proving = asyncio.Lock()
        self._proven = False
        self._slots = asyncio.Semaphore(concurrency)
        self.hold = hold or Hold(wall_clock)
        self.budget = WeightBudget(clock=clock, wall_clock=wall_clock, sleep=sleep, hold=self.hold)
        self._attempt_timeout_s = attempt_timeout_s
        self._attempts = max(4, len(hosts))
        self._http = proxies.client(
            hosts,
            httpx.Timeout(15.0, connect=5.0),  # the exchange gives up after 10 s
            httpx.Limits(max_connections=concurrency),
            transport,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(
        self,
        path: str,
        params: Mapping[str, str],
        weight: int,
        read: Callable[[bytes], T],
        *,
        leaves_room: bool = False,
    ) -> T:
        """Request until an answer is good, the exchange refuses, or attempts are used up.

        `read` makes what is wanted of the answer; with `leaves_room` what the screen waits for
        passes by.
        """
        question = _Question(path, params, weight, read, leaves_room)
        delays = backoff_delays(self._rng, cap=8.0)
        words: list[str] = []
        for attempt in range(self._attempts):
            async with self._slots:
                outcome = await self._try_in_turn(question)
            if not isinstance(outcome, _Failed):
                return outcome
            words.append(f"{host_name(outcome.host.base)}: {outcome.failure.words}")
            if attempt + 1 == self._attempts or outcome.failure.action == "hold":
                continue
            if not self._is_free(self._pick()):
                await self._sleep(next(delays))
        raise ExchangeError("; ".join(dict.fromkeys(words)))

    async def _try_in_turn(self, question: _Question[T]) -> "T | _Failed":
        """Ask once; while no host is known to work one caller finds out, not eight at once."""
        if not self._proven:
            async with self._proving:
                if not self._proven:
                    return await self._try_once(question)
        return await self._try_once(question)

    async def _try_once(self, question: _Question[T]) -> "T | _Failed":
        """Ask one host once, when the budget allows; raises what asking again can't change."""
        await self._let_rest()
        async with self.budget.spend(question.weight, leaves_room=question.leaves_room):
            host = self._pick()
            outcome = await self._ask(host, question)
        self._proven = not isinstance(outcome, Failure)
        if not isinstance(outcome, Failure):
            return outcome
        _log.info(
            "request failed", host=host_name(host.base), path=question.path, reason=outcome.words
        )
        host.words = outcome.words
        if outcome.action == "hold":
            self.budget.hold(outcome.hold_s, outcome.words)
            return _Failed(host, outcome)
        now = self.clock()
        host.resting_until = now + outcome.hold_s
        if outcome.action == "blocked":
            host.blocked_until = now + max(BLOCK_S, outcome.hold_s)
        else:
            host.avoid_until = now + max(AVOID_S, outcome.hold_s)
        return _Failed(host, outcome)

    async def _let_rest(self) -> None:
        """Wait while every host that serves us has asked for a wait of its own."""
        while True:
            now = self.clock()
            serving = [host for host in self._hosts if host.blocked_until <= now]
            first = min(serving, key=lambda host: host.resting_until, default=None)
            if first is None or first.resting_until <= now:
                return
            wait_s = first.resting_until - now
            if wait_s > LONGEST_REST_S:
                words = f"{host_name(first.base)}: {first.words}"
                raise ExchangeError(f"no requests for another {wait_s:.0f} s: {words}")
            await self._sleep(wait_s)

    async def _ask(self, host: _Host, question: _Question[T]) -> T | Failure:
        try:
            async with asyncio.timeout(self._attempt_timeout_s):
                response = await self._http.get(
                    host.base + question.path, params=dict(question.params)
                )
        except NETWORK_ERRORS as error:
            return classify_failure(error, self.hold.exchange_clock())
        used = response.headers.get("x-mbx-used-weight-1m", "")
        if used.isdecimal():
            self.budget.observe(int(used))
        if response.status_code != 200:
            return _judge_refusal(response, self.hold.exchange_clock())
        try:
            return question.read(response.content)
        except (msgspec.DecodeError, UnicodeError, RecursionError, FrameError) as error:
            return Failure("next_host", f"the answer is not the exchange's ({error})"[:300])

    def _is_free(self, host: _Host) -> bool:
        return max(host.avoid_until, host.blocked_until) <= self.clock()

    def _pick(self) -> _Host:
        """Choose the first host that works, else the one that failed longest ago."""
        for host in self._hosts:
            if self._is_free(host):
                return host
        now = self.clock()
        allowed = [host for host in self._hosts if host.blocked_until <= now]
        if not allowed:
            _raise_blocked(self._hosts)
        return min(allowed, key=lambda host: (max(host.resting_until, now), host.avoid_until))


def _judge_refusal(response: httpx.Response, now_s: float) -> Failure:
    """Turn an error answer into a Failure; raise where the request itself is at fault."""
    status, headers, body = response.status_code, response.headers, response.content
    refusal = read_refusal(body) if status == 400 else None
    if refusal is None:
        return classify_status(status, headers, body, now_s)
    if refusal.code == TOO_MUCH_WEIGHT:  # whatever status it comes with
        return refused_for_a_while(429, asked_wait_s(headers, body, now_s))
    words = f"the exchange says: {refusal.msg[:200]} (code {refusal.code})"
    if refusal.code in TRANSIENT_CODES:
        return Failure("next_host", words)
    if refusal.code == UNKNOWN_SYMBOL:
        raise UnknownSymbols(words)
    raise RequestRefused(words, refusal.code)


def _raise_blocked(hosts: Sequence[_Host]) -> NoReturn:
    reasons = dict.fromkeys(f"{host_name(host.base)}: {host.words}" for host in hosts)
    raise ExchangeBlocked("; ".join(reasons))
