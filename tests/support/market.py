"""Symbols, bars and prices made up for tests."""

import numpy as np

from core.types import Bar, Bars
from ingest.binance.answers import SymbolInfo


def listing(base: str, /, **changes: str) -> SymbolInfo:
    """A symbol that trades against USDT, as the exchange lists it."""
    return SymbolInfo(f"{base}USDT", base, "USDT", "TRADING")._replace(**changes)


def plain_bar(open_time_ms: int, open_: float, close: float) -> Bar:
    """A complete bar between two prices, one unit traded."""
    high, low = max(open_, close), min(open_, close)
    return Bar(open_time_ms, open_, high, low, close, 1.0, close, 3, 0.5, True)


def bars_of(columns: Bars) -> list[Bar]:
    """Stored columns as bars, a row each."""
    cells = (getattr(columns, name) for name in Bar._fields)
    return [Bar(*row) for row in zip(*cells, strict=True)]


def reverting_legs(rows: int, seed: int, persistence: float) -> tuple[np.ndarray, np.ndarray]:
    """Closes of two legs whose log spread reverts: so much of a deviation is left a bar later."""
    rng = np.random.default_rng(seed)
    x = np.log(3_000.0) + rng.normal(0, 8e-4, rows).cumsum()
    spread = np.zeros(rows)
    for row, shock in enumerate(rng.normal(0, 1.2e-3, rows - 1), start=1):
        spread[row] = persistence * spread[row - 1] + shock
    return np.exp(1.5 + 1.1 * x + spread), np.exp(x)
