"""What a request costs: a store of 7 days of minutes, the desk in this process, no network."""

import gc
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from app import create_app
from benchmarks.analysis import BARS_A, BARS_B, MINUTE
from core.settings import Settings
from core.timeframes import TIMEFRAMES
from core.types import Bar, Bars, Origin
from ingest.binance.answers import SymbolInfo
from ingest.store import market
from ingest.store.engine import migrate, open_engine
from ingest.store.reader import Reader
from ingest.store.transaction import Writer

ROWS = 10_080
PATH = "/analytics/pair?symbol_a=AAAUSDT&symbol_b=BBBUSDT"
RUNS = 20
SYMBOLS = 400


def _listing(base: str) -> SymbolInfo:
    return SymbolInfo(f"{base}USDT", base, "USDT", "TRADING")


def _rows(bars: Bars) -> list[Bar]:
    columns = (getattr(bars, name)[:ROWS].tolist() for name in Bars.__slots__ if name != "imported")
    return [Bar(*row) for row in zip(*columns, strict=True)]


def measure_requests() -> list[tuple[str, float]]:
    """Milliseconds of a request: a pair seen first, with its bars in memory, and repeated."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'market.db'}"
        migrate(url)
        writer = Writer(open_engine(url))
        with writer.transaction() as tx:
            ids = market.ensure_symbols(tx, [_listing("AAA"), _listing("BBB")])
            for symbol, bars in (("AAAUSDT", BARS_A), ("BBBUSDT", BARS_B)):
                market.upsert_bars(tx, ids[symbol], MINUTE, _rows(bars), Origin.KLINE)
        settings = Settings.from_mapping({"DATABASE_URL": url})
        app = create_app(settings, Reader(url))
        app.server.extensions["pairdesk"].kernels.warm_up()
        client = app.server.test_client()
        client.get("/healthz")
        gc.collect()
        gc.freeze()  # as wsgi.py does

        def spent(query: str) -> float:
            began = time.perf_counter()
            answer = client.get(PATH + query)
            assert answer.status_code == 200, answer.get_data(as_text=True)
            return (time.perf_counter() - began) * 1e3

        first = spent("")
        # Another entry z is another result; the bars are the ones in memory.
        in_memory = min(spent(f"&entry_z={2 + run / 100}") for run in range(1, RUNS))
        repeated = min(spent("") for _ in range(RUNS))
        writer.close()
    return [
        ("`/analytics/pair`, first touch of a pair", first),
        ("`/analytics/pair`, nothing kept but its bars", in_memory),
        ("`/analytics/pair`, the same again", repeated),
    ]


def measure_freshness() -> list[tuple[str, float]]:
    """Milliseconds of asking the store what has changed, as ticks and the analyst do."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'market.db'}"
        migrate(url)
        writer, reader = Writer(open_engine(url)), Reader(url)
        listed = [_listing(f"S{number:03d}") for number in range(SYMBOLS)]
        names = [listing.symbol for listing in listed]
        bars = _rows(BARS_A)[:500]
        for listing in listed:
            with writer.transaction() as tx:
                key = market.ensure_symbols(tx, [listing])[listing.symbol]
                for length in TIMEFRAMES.values():
                    market.upsert_bars(tx, key, length, bars, Origin.KLINE)

        def spent(symbols: list[str] | None, lengths: Iterable[int]) -> float:
            began = time.perf_counter()
            reader.freshness(symbols, lengths)
            return (time.perf_counter() - began) * 1e3

        of_all = min(spent(None, TIMEFRAMES.values()) for _ in range(RUNS))
        of_one_timeframe = min(spent(None, [MINUTE]) for _ in range(RUNS))
        of_a_pair = min(spent(names[:2], [MINUTE]) for _ in range(RUNS))
        reader.close()
        writer.close()
    return [
        (f"what has changed of {SYMBOLS} symbols, every timeframe", of_all),
        (f"what has changed of {SYMBOLS} symbols, one timeframe", of_one_timeframe),
        ("what has changed of a pair", of_a_pair),
    ]
