"""A store with a market's history in it: random walks, written in seconds instead of fetched."""

import time
from collections.abc import Mapping

import numpy as np

from core.timeframes import TIMEFRAMES
from core.types import Bar, Origin
from ingest.binance.answers import SymbolInfo
from ingest.store import market
from ingest.store.engine import migrate, open_engine
from ingest.store.transaction import Writer

BARS = {"1m": 10_560, "1s": 7_200}
"""What a pair of the default parameters needs; two hours of seconds, as a first start fetches."""
LAST_PRICE = 105.0
"""About where the blaster's trades begin."""
AT_ONCE = 2_000


def prefill(url: str, symbols: list[str], seed: int = 1, bars: Mapping[str, int] = BARS) -> None:
    """Make the database and fill it with bars of all symbols, up to now."""
    migrate(url)
    writer, rng = Writer(open_engine(url)), np.random.default_rng(seed)
    with writer.transaction() as tx:
        keys = market.ensure_symbols(
            tx, [SymbolInfo(name, name[:-4], "USDT", "TRADING") for name in symbols]
        )
    for timeframe, count in bars.items():
        length = TIMEFRAMES[timeframe]
        end_ms = int(time.time() * 1_000) // length * length
        common = rng.normal(0, 4e-4, count).cumsum()
        for name in symbols:
            rows = _rows(rng, common, end_ms - count * length, length)
            for first in range(0, count, AT_ONCE):
                with writer.transaction() as tx:
                    part = rows[first : first + AT_ONCE]
                    market.upsert_bars(tx, keys[name], length, part, Origin.KLINE)
    writer.close()


def _rows(rng: np.random.Generator, common: np.ndarray, first_ms: int, length: int) -> list[Bar]:
    """A walk that goes with the market, and comes back to it."""
    own = np.convolve(rng.normal(0, 4e-4, len(common)), 0.97 ** np.arange(200))[: len(common)]
    logs = common + own
    closes = LAST_PRICE * np.exp(logs - logs[-1])
    opens = np.concatenate([closes[:1], closes[:-1]])
    times = first_ms + length * np.arange(len(common))
    return [
        Bar(open_ms, open_, max(open_, close), min(open_, close), close, 5.0, 500.0, 9, 2.5, True)
        for open_ms, open_, close in zip(
            times.tolist(), opens.tolist(), closes.tolist(), strict=True
        )
    ]
