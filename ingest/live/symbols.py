"""Which symbols to ingest: those of the settings that the exchange knows."""

from collections.abc import Iterable
from dataclasses import dataclass

from core.errors import SettingsError
from core.settings import Settings
from core.symbols import is_symbol
from ingest.live.ports import SymbolList
from ingest.store.market import SymbolListing

QUOTE = "USDT"
"""`TOP:n` compares volumes in one currency."""


@dataclass(frozen=True, slots=True)
class SymbolChoice:
    """Symbols to ingest, and those asked for that the exchange doesn't know."""

    listings: list[SymbolListing]
    left_out: list[str]

    def with_more(self, listed: Iterable[SymbolListing]) -> "SymbolChoice":
        """The same with some that had been left out."""
        listings = [*self.listings, *listed]
        known = {item.symbol for item in listings}
        return SymbolChoice(listings, [symbol for symbol in self.left_out if symbol not in known])


async def choose_symbols(settings: Settings, exchange: SymbolList) -> SymbolChoice:
    """Look the configured symbols up, or pick the top ones by 24 h quote volume.

    Raises
    ------
    SettingsError
        The exchange answered and knows none of them.
    ExchangeError
        It can't be reached, which says nothing about the symbols.
    """
    if settings.top_symbols is None:
        known = {item.symbol: item for item in await exchange.exchange_info(settings.symbol_list)}
        wanted = settings.symbol_list
    else:
        volumes = await exchange.ticker_24h()
        known = {
            item.symbol: item
            for item in await exchange.exchange_info()
            if item.quote == QUOTE
            and item.status == "TRADING"
            and item.symbol in volumes
            and is_symbol(item.symbol)
        }
        ranked = sorted(known, key=lambda symbol: (-volumes[symbol], symbol))
        wanted = tuple(ranked[: settings.top_symbols])
    found = [known[symbol] for symbol in wanted if symbol in known]
    if not found:
        raise SettingsError(
            f"SYMBOLS={settings.symbols} is not usable: the exchange knows none of them;"
            " allowed: symbols that it lists, such as BTCUSDT,ETHUSDT"
        )
    return SymbolChoice(found, [symbol for symbol in wanted if symbol not in known])
