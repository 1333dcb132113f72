"""What live ingestion has of the outside: an exchange and a store.

Only here and where the feed is put together does it know whose exchange that is.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from core.types import Bar, Trade
from ingest.binance.answers import odd_rows
from ingest.binance.rest import PAGE_LIMIT, SETTLE_MS
from ingest.live.chain import TradePage
from ingest.store.market import SymbolListing

__all__ = [
    "PAGE_LIMIT",
    "SETTLE_MS",
    "Exchange",
    "Store",
    "SymbolList",
    "ask_trades",
    "odd_rows",
]

T = TypeVar("T")


class Exchange(Protocol):
    """What is asked of the exchange; the REST client has it."""

    async def klines(
        self,
        symbol: str,
        timeframe: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = PAGE_LIMIT,
    ) -> list[Bar]: ...

    async def agg_trades(
        self,
        symbol: str,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = PAGE_LIMIT,
    ) -> list[Trade]: ...

    async def newest_raw_ids(self, symbols: Sequence[str]) -> dict[str, int]: ...


class SymbolList(Protocol):
    """What an exchange lists of its symbols, and how much they trade."""

    async def exchange_info(
        self, symbols: Sequence[str] | None = None
    ) -> Sequence[SymbolListing]: ...

    async def ticker_24h(self) -> dict[str, float]: ...


class Store(Protocol):
    """Runs work on the pipeline in the writing thread."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


async def ask_trades(
    exchange: Exchange,
    symbol: str,
    *,
    from_id: int | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    limit: int | None = None,
) -> TradePage:
    """Ask for a page of trades: only who asked knows whether the answer is full, or the edge."""
    limit = limit or PAGE_LIMIT
    trades = await exchange.agg_trades(
        symbol, from_id=from_id, start_ms=start_ms, end_ms=end_ms, limit=limit
    )
    odd = odd_rows(trades)
    return TradePage(trades, len(trades) + odd < limit, odd)
