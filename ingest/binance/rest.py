"""Requests to the exchange: one client, one weight budget, several hosts, typed failures."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple, NoReturn, TypeVar

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
from core.timeframes import TIMEFRAMES
from core.types import Bar, Trade
from ingest.binance.answers import (
    Rows,
    SymbolList,
    read_aggregates,
    read_klines,
    read_newest_raw_ids,
    read_object,
    read_quote_volumes,
    read_refusal,
    read_symbol_list,
    read_time,
)
from ingest.binance.answers import (
    SymbolInfo as SymbolInfo,
)
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

PAGE_LIMIT = 1_000
"""Most rows of one answer; the exchange documents nothing above."""
UNKNOWN_SYMBOL = -1121
ILLEGAL_CHARACTERS = -1100
TOO_MUCH_WEIGHT = -1003
# Refusals that are about the server's state, not about the request.
TRANSIENT_CODES = frozenset((-1000, -1001, -1007, -1008, -1016))
AVOID_S = 30.0
"""A host that failed is passed over for this long while another one works."""
SETTLE_MS = 5_000
"""The exchange's database may lag its streams by as much: what is newer it may not know yet."""
LONGEST_REST_S = 60.0
"""A wait that all hosts ask for, each for itself, is sat through up to this long."""
SERVER_TIME_S = 600.0
"""How long a measured difference between the exchange's clock and ours is believed."""
# More symbols than this in one URL: the whole list costs the same and can't be refused.
MAX_SYMBOLS_IN_URL = 100


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


class RestClient:
    """Market data by request. One client per process: its budget is shared by all callers.

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
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or Random()
        self._proving = asyncio.Lock()
        self._proven = False
        self._slots = asyncio.Semaphore(concurrency)
        self._hold = hold or Hold(wall_clock)
        self._budget = WeightBudget(
            clock=clock, wall_clock=wall_clock, sleep=sleep, hold=self._hold
        )
        self._attempt_timeout_s = attempt_timeout_s
        self._attempts = max(4, len(hosts))
        # Rows that could not be used, and who is told of klines among them.
        self.odd_rows = 0
        self.on_odd_klines: Callable[[str, str], None] = lambda symbol, timeframe: None
        self._server_offset_ms: float | None = None
        self._server_offset_at = 0.0
        self._http = proxies.client(
            hosts,
            httpx.Timeout(15.0, connect=5.0),  # the exchange gives up after 10 s
            httpx.Limits(max_connections=concurrency),
            transport,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    @property
    def used_weight(self) -> int:
        """Request weight of the running minute, ours or as the exchange counts it."""
        return self._budget.used

    @property
    def used_weight_share(self) -> float:
        """The same as a share of what the exchange allows in a minute."""
        return self._budget.used_share

    async def ping(self) -> None:
        """Find out whether the exchange answers; raises ExchangeError otherwise."""
        await self._get("/api/v3/ping", {}, 1, read_object)

    async def server_time(self) -> int:
        """Ask the exchange's clock, in milliseconds."""
        server_ms = await self._get("/api/v3/time", {}, 1, read_time)
        self._server_offset_ms = server_ms - self._clock() * 1_000.0
        self._server_offset_at = self._clock()
        return server_ms

    async def exchange_info(self, symbols: Sequence[str] | None = None) -> list[SymbolInfo]:
        """List symbols, all or those of the given ones that exist.

        One unknown name makes the exchange refuse the whole request: then its whole list is
        asked for, and who is missing in the result is unknown for certain.
        """
        found: Rows[SymbolInfo] = Rows()
        for first in range(0, len(symbols or ()), MAX_SYMBOLS_IN_URL):
            assert symbols is not None
            group = symbols[first : first + MAX_SYMBOLS_IN_URL]
            try:
                listed = await self._listing({"symbols": _json_list(group)})
            except RequestRefused as refusal:
                if refusal.code != ILLEGAL_CHARACTERS:
                    raise
                break
            except UnknownSymbols:
                if len(symbols) == 1:
                    return []
                break
            found.take(listed, listed)
        else:
            if symbols is not None:
                return found
        wanted = None if symbols is None else set(symbols)
        listed, found = await self._listing({}), Rows()
        found.take((item for item in listed if wanted is None or item.symbol in wanted), listed)
        return found

    async def _listing(self, params: Mapping[str, str]) -> list[SymbolInfo]:
        """Ask for the list of symbols, and heed the weight limit that comes with it."""
        listing: SymbolList = await self._get("/api/v3/exchangeInfo", params, 20, read_symbol_list)
        if listing.weight_per_minute is not None:
            self._budget.set_limit(listing.weight_per_minute)
        self._note_odd("exchangeInfo", "", listing.symbols)
        return listing.symbols

    async def klines(
        self,
        symbol: str,
        timeframe: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = PAGE_LIMIT,
    ) -> list[Bar]:
        """Fetch the exchange's own closed bars, oldest first.

        Parameters
        ----------
        start_ms, end_ms : bounds of the open time, both inclusive; without a start, the newest.
        limit : 1 to 1000 rows, the still-open one included.

        Notes
        -----
        A row with a later one behind it is final. The last one is only once the exchange's clock
        has passed its close by five seconds, for the database may lag the stream.
        """
        timeframe_ms = TIMEFRAMES[timeframe]
        asked_at = self._clock()
        params = _window(start_ms, end_ms, limit) | {"symbol": symbol, "interval": timeframe}

        def read(body: bytes) -> list[Bar]:
            return read_klines(body, timeframe_ms)

        bars = await self._get("/api/v3/klines", params, 2, read, leaves_room=True)
        if self._note_odd(f"klines of {timeframe}", symbol, bars):
            self.on_odd_klines(symbol, timeframe)
        if bars:
            final_from_ms = bars[-1].open_time_ms + timeframe_ms + SETTLE_MS
            if await self._exchange_ms(asked_at) < final_from_ms:
                bars.pop()
        return bars

    async def agg_trades(
        self,
        symbol: str,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = PAGE_LIMIT,
    ) -> list[Trade]:
        """Fetch aggregate trades, ids rising: from an id on (inclusive) or of a time window.

        Where history was pruned, the first id returned is a later one than asked for: the
        caller compares. Cancelled aggregates are links of the id chain, of quantity zero.
        """
        if from_id is not None and (start_ms is not None or end_ms is not None):
            raise ValueError("aggregates are asked for by id or by time, not by both")
        params = _window(start_ms, end_ms, limit) | {"symbol": symbol}
        if from_id is not None:
            params["fromId"] = str(from_id)

        def read(body: bytes) -> list[Trade]:
            return read_aggregates(body, symbol, from_id or 0)

        trades = await self._get("/api/v3/aggTrades", params, 4, read)
        self._note_odd("aggregates", symbol, trades)
        return trades

    async def newest_raw_ids(self, symbols: Sequence[str]) -> dict[str, int]:
        """Fetch the id of the newest raw trade of each symbol; the fewer symbols the lighter.

        It comes of the exchange's memory: no database lags behind it.
        """
        params = {"symbols": _json_list(symbols), "type": "MINI"}
        weight = _ticker_weight(len(symbols))
        return await self._get("/api/v3/ticker/24hr", params, weight, read_newest_raw_ids)

    async def ticker_24h(self, symbols: Sequence[str] | None = None) -> dict[str, float]:
        """Fetch the quote volume of the last 24 hours by symbol."""
        params: dict[str, str] = {}
        weight = 80
        if symbols is not None and len(symbols) <= MAX_SYMBOLS_IN_URL:
            params["symbols"] = _json_list(symbols)
            weight = _ticker_weight(len(symbols))
        volumes = await self._get("/api/v3/ticker/24hr", params, weight, read_quote_volumes)
        wanted = volumes if symbols is None else set(symbols)
        return {symbol: volume for symbol, volume in volumes.items() if symbol in wanted}

    async def _exchange_ms(self, at: float) -> float:
        """Give the exchange's clock at a reading of ours; it errs to the early side."""
        stale = self._clock() - self._server_offset_at > SERVER_TIME_S
        if self._server_offset_ms is None or stale:
            await self.server_time()
        return at * 1_000.0 + (self._server_offset_ms or 0.0)

    def _note_odd(self, what: str, symbol: str, rows: Sequence[Any]) -> int:
        """Count the rows of an answer that were passed over, and tell of the first each time."""
        odd = rows.odd if isinstance(rows, Rows) else ()
        self.odd_rows += len(odd)
        if odd:
            _log.warning(
                "rows are passed over", what=what, symbol=symbol, rows=len(odd), first=odd[0][:200]
            )
        return len(odd)

    async def _get(
        self,
        path: str,
        params: Mapping[str, str],
        weight: int,
        read: Callable[[bytes], T],
        *,
        leaves_room: bool = False,
    ) -> T:
        """Request until an answer is good, the exchange refuses, or attempts are used up."""
        delays = backoff_delays(self._rng, cap=8.0)
        words: list[str] = []
        for attempt in range(self._attempts):
            async with self._slots:
                outcome = await self._try_in_turn(path, params, weight, read, leaves_room)
            if not isinstance(outcome, _Failed):
                return outcome
            words.append(f"{host_name(outcome.host.base)}: {outcome.failure.words}")
            if attempt + 1 == self._attempts or outcome.failure.action == "hold":
                continue
            if not self._is_free(self._pick()):
                await self._sleep(next(delays))
        raise ExchangeError("; ".join(dict.fromkeys(words)))

    async def _try_in_turn(
        self,
        path: str,
        params: Mapping[str, str],
        weight: int,
        read: Callable[[bytes], T],
        leaves_room: bool,
    ) -> "T | _Failed":
        """Ask once; while no host is known to work one caller finds out, not eight at once."""
        if not self._proven:
            async with self._proving:
                if not self._proven:
                    return await self._try_once(path, params, weight, read, leaves_room)
        return await self._try_once(path, params, weight, read, leaves_room)

    async def _try_once(
        self,
        path: str,
        params: Mapping[str, str],
        weight: int,
        read: Callable[[bytes], T],
        leaves_room: bool,
    ) -> "T | _Failed":
        """Ask one host once, when the budget allows; raises what asking again can't change."""
        await self._let_rest()
        async with self._budget.spend(weight, leaves_room=leaves_room):
            host = self._pick()
            outcome = await self._ask(host, path, params, read)
        self._proven = not isinstance(outcome, Failure)
        if not isinstance(outcome, Failure):
            return outcome
        _log.info("request failed", host=host_name(host.base), path=path, reason=outcome.words)
        host.words = outcome.words
        if outcome.action == "hold":
            self._budget.hold(outcome.hold_s, outcome.words)
            return _Failed(host, outcome)
        now = self._clock()
        host.resting_until = now + outcome.hold_s
        if outcome.action == "blocked":
            host.blocked_until = now + max(BLOCK_S, outcome.hold_s)
        else:
            host.avoid_until = now + max(AVOID_S, outcome.hold_s)
        return _Failed(host, outcome)

    async def _let_rest(self) -> None:
        """Wait while every host that serves us has asked for a wait of its own."""
        while True:
            now = self._clock()
            serving = [host for host in self._hosts if host.blocked_until <= now]
            first = min(serving, key=lambda host: host.resting_until, default=None)
            if first is None or first.resting_until <= now:
                return
            wait_s = first.resting_until - now
            if wait_s > LONGEST_REST_S:
                words = f"{host_name(first.base)}: {first.words}"
                raise ExchangeError(f"no requests for another {wait_s:.0f} s: {words}")
            await self._sleep(wait_s)

    async def _ask(
        self, host: _Host, path: str, params: Mapping[str, str], read: Callable[[bytes], T]
    ) -> T | Failure:
        try:
            async with asyncio.timeout(self._attempt_timeout_s):
                response = await self._http.get(host.base + path, params=dict(params))
        except NETWORK_ERRORS as error:
            return classify_failure(error, self._hold.exchange_clock())
        used = response.headers.get("x-mbx-used-weight-1m", "")
        if used.isdecimal():
            self._budget.observe(int(used))
        if response.status_code != 200:
            return _judge_refusal(response, self._hold.exchange_clock())
        try:
            return read(response.content)
        except (msgspec.DecodeError, UnicodeError, RecursionError, FrameError) as error:
            return Failure("next_host", f"the answer is not the exchange's ({error})"[:300])

    def _is_free(self, host: _Host) -> bool:
        return max(host.avoid_until, host.blocked_until) <= self._clock()

    def _pick(self) -> _Host:
        """Choose the first host that works, else the one that failed longest ago."""
        for host in self._hosts:
            if self._is_free(host):
                return host
        now = self._clock()
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


def _ticker_weight(symbols: int) -> int:
    """Weight of a request for 24-hour tickers of so many symbols."""
    return 2 if symbols <= 20 else 40


def _json_list(symbols: Sequence[str]) -> str:
    """Write symbols the way the exchange wants a list in a query."""
    return json.dumps(list(symbols), separators=(",", ":"), ensure_ascii=False)


def _window(start_ms: int | None, end_ms: int | None, limit: int) -> dict[str, str]:
    if not 1 <= limit <= PAGE_LIMIT:
        raise ValueError(f"limit is {limit}; allowed: 1 to {PAGE_LIMIT}")
    params = {"limit": str(limit)}
    if start_ms is not None:
        params["startTime"] = str(start_ms)
    if end_ms is not None:
        params["endTime"] = str(end_ms)
    return params
