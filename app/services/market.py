"""What is stored of the market itself: symbols and their bars."""

from core.errors import PairdeskError
from core.types import Bars
from ingest.store.reader import Reader, StoredSymbol


class SymbolNotIngested(PairdeskError):
    """The store has no such symbol; `fields` maps parameter names to the symbols asked for."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        super().__init__(", ".join(dict.fromkeys(fields.values())) + ": not ingested here")


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
