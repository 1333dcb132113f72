"""A small market of whole hours, as a scan finds it in the store."""

import numpy as np

from core.timeframes import TIMEFRAMES
from core.types import Bar, Origin
from ingest.store import market, process
from ingest.store.engine import migrate, open_engine
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.support.market import listing, plain_bar

HOUR = TIMEFRAMES["1h"]
END_MS = 1_795_399_200_000
"""Close of the last bar."""


class Hours:
    """Symbols of which the first two belong together, in a database of the test's own."""

    def __init__(self, url: str) -> None:
        migrate(url)
        self.url = url
        self.reader, self.writer = Reader(url), Writer(open_engine(url))
        self.ids: dict[str, int] = {}
        self.end_ms = END_MS

    def fill(self, symbols: int = 6, rows: int = 400, seed: int = 3) -> None:
        """Hours up to `END_MS`; the spread of the first two symbols halves in three of them."""
        rng = np.random.default_rng(seed)
        logs = 4.0 + rng.normal(0, 5e-3, (symbols, rows)).cumsum(axis=1)
        spread = 0.0
        for row in range(rows):
            spread = 0.5 ** (1 / 3) * spread + rng.normal(0, 2e-3)
            logs[0, row] = 0.4 + 0.9 * logs[1, row] + spread
        names = [f"{chr(ord('A') + number)}COIN" for number in range(symbols)]
        with self.writer.transaction() as tx:
            self.ids = market.ensure_symbols(tx, [listing(name) for name in names])
            market.set_subscribed(tx, self.ids)
            for symbol, closes in zip(self.ids, np.exp(logs), strict=True):
                bars = [
                    self.bar(END_MS - (rows - row) * HOUR, float(close))
                    for row, close in enumerate(closes)
                ]
                market.upsert_bars(tx, self.ids[symbol], HOUR, bars, Origin.KLINE)

    def close(self, *symbols: str, count: int = 1) -> None:
        """Let the next hours close of these symbols, without a name of all."""
        with self.writer.transaction() as tx:
            for number, symbol in enumerate(symbols or self.ids):
                bars = [
                    self.bar(self.end_ms + row * HOUR, 50.0 + (7 * number + row) % 13)
                    for row in range(count)
                ]
                market.upsert_bars(tx, self.ids[symbol], HOUR, bars, Origin.KLINE)

    def bar(self, open_ms: int, close: float) -> Bar:
        return plain_bar(open_ms, close, close)._replace(quote_volume=1e6)

    def tell_history(self, done: int, total: int) -> None:
        """Let the worker say how much of the history it has."""
        history = {"done": done, "total": total, "message": ""}
        with self.writer.transaction() as tx:
            process.save_status(tx, "worker", 1, "running", self.end_ms, {"backfill": history})

    def shut(self) -> None:
        self.reader.close()
        self.writer.close()
