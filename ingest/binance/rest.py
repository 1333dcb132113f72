"""Market data by request: every question that is put to the exchange, and what its answer means."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import structlog

from core.errors import RequestRefused, UnknownSymbols
from core.timeframes import TIMEFRAMES
from core.types import Bar, Trade
from ingest.binance.answers import (
    ExchangeInfo,
    Rows,
    SymbolInfo,
    read_aggregates,
    read_klines,
    read_newest_raw_ids,
    read_object,
    read_quote_volumes,
    read_symbol_list,
    read_time,
)
from ingest.binance.failover import FailoverClient

T = TypeVar("T")

_log = structlog.get_logger()

PAGE_LIMIT = 1_000
"""Most rows of one answer; the exchange documents nothing above."""
ILLEGAL_CHARACTERS = -1100
SETTLE_MS = 5_000
"""The exchange's database may lag its streams by as much: what is newer it may not know yet."""
SERVER_TIME_S = 600.0
"""How long a measured difference between the exchange's clock and ours is believed."""
# More symbols than this in one URL: the whole list costs the same and can't be refused.
MAX_SYMBOLS_IN_URL = 100


class RestClient:
    """Market data by request: what can be asked, and what the answers mean."""

    def __init__(self, http: FailoverClient) -> None:
        self._http = http
        self._clock = http.clock
        # Rows that could not be used, and who is told of klines among them.
        self.odd_rows = 0
        self._told_odd: dict[tuple[str, str], str] = {}
        self.on_odd_klines: Callable[[str, str], None] = lambda symbol, timeframe: None
        self._server_offset_ms: float | None = None
        self._server_offset_at = 0.0

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    @property
    def used_weight(self) -> int:
        """Request weight of the running minute, ours or as the exchange counts it."""
        return self._http.budget.used

    @property
    def used_weight_share(self) -> float:
        """The same as a share of what the exchange allows in a minute."""
        return self._http.budget.used_share

    async def ping(self) -> None:
        """Find out whether the exchange answers; raises ExchangeError otherwise."""
        await self._http.get("/api/v3/ping", {}, 1, read_object)

    async def server_time(self) -> int:
        """Ask the exchange's clock, in milliseconds."""
        server_ms = await self._http.get("/api/v3/time", {}, 1, read_time)
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
        listing: ExchangeInfo = await self._http.get(
            "/api/v3/exchangeInfo", params, 20, read_symbol_list
        )
        if listing.weight_per_minute is not None:
            self._http.budget.set_limit(listing.weight_per_minute)
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
            return read_klines(body, timeframe_ms, self._now_ms())

        bars = await self._http.get("/api/v3/klines", params, 2, read, leaves_room=True)
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
            return read_aggregates(body, symbol, from_id or 0, start_ms or 0, self._now_ms())

        trades = await self._http.get("/api/v3/aggTrades", params, 4, read)
        self._note_odd("aggregates", symbol, trades)
        return trades

    async def newest_raw_ids(self, symbols: Sequence[str]) -> dict[str, int]:
        """Fetch the id of the newest raw trade of each symbol; the fewer symbols the lighter.

        It comes of the exchange's memory: no database lags behind it.
        """
        params = {"symbols": _json_list(symbols), "type": "MINI"}
        weight = _ticker_weight(len(symbols))
        return dict(await self._tickers(params, weight, read_newest_raw_ids))

    async def ticker_24h(self, symbols: Sequence[str] | None = None) -> dict[str, float]:
        """Fetch the quote volume of the last 24 hours by symbol."""
        params: dict[str, str] = {}
        weight = 80
        if symbols is not None and len(symbols) <= MAX_SYMBOLS_IN_URL:
            params["symbols"] = _json_list(symbols)
            weight = _ticker_weight(len(symbols))
        volumes = dict(await self._tickers(params, weight, read_quote_volumes))
        wanted = volumes if symbols is None else set(symbols)
        return {symbol: volume for symbol, volume in volumes.items() if symbol in wanted}

    async def _tickers(
        self, params: Mapping[str, str], weight: int, read: Callable[[bytes], list[T]]
    ) -> list[T]:
        rows = await self._http.get("/api/v3/ticker/24hr", params, weight, read)
        self._note_odd("tickers", "", rows)
        return rows

    def _now_ms(self) -> int:
        return int(self._http.hold.exchange_clock() * 1_000)

    async def _exchange_ms(self, at: float) -> float:
        """Give the exchange's clock at a reading of ours; it errs to the early side."""
        stale = self._clock() - self._server_offset_at > SERVER_TIME_S
        if self._server_offset_ms is None or stale:
            await self.server_time()
        return at * 1_000.0 + (self._server_offset_ms or 0.0)

    def _note_odd(self, what: str, symbol: str, rows: Sequence[Any]) -> int:
        """Count the rows of an answer that were passed over, and tell of the first; of the same
        one once, however often it is asked for."""
        odd = rows.odd if isinstance(rows, Rows) else ()
        self.odd_rows += len(odd)
        if odd and self._told_odd.get((what, symbol)) != odd[0]:
            self._told_odd[what, symbol] = odd[0]
            _log.warning(
                "rows are passed over", what=what, symbol=symbol, rows=len(odd), first=odd[0][:200]
            )
        return len(odd)


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
