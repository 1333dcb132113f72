"""What is stored of the market itself: symbols and their bars."""

from app.services.refusals import SymbolNotIngested
from core.types import Bars
from ingest.store.reader import Reader, StoredSymbol


class MarketService:
    """Answers from stored rows alone; nothing is computed."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def symbols(self) -> list[StoredSymbol]:
        """Every symbol with anything stored."""
        return self._reader.symbols()

    def bars(
        self,
        symbol: str,
        timeframe_ms: int,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
    ) -> Bars:
        """Closed bars, oldest first; with a limit and no start the newest ones.

        Raises
        ------
        SymbolNotIngested
            The store doesn't know the symbol.
        """
        if self._reader.symbol(symbol) is None:
            raise SymbolNotIngested({"symbol": symbol})
        return self._reader.bars(symbol, timeframe_ms, start_ms, end_ms, limit)
