"""Trades made up, the bars that follow from them by the slow way, and a pipeline to compare."""

import random
from collections.abc import Callable, Sequence
from math import fsum

from core.types import Bar, Trade
from ingest.files.importer import ImportedSymbol
from ingest.live.pipeline import Pipeline
from ingest.store import market
from ingest.store.transaction import Writer

MINUTE = 60_000
START = 1_700_000_100_000 - 1_700_000_100_000 % 3_600_000 + 55 * MINUTE
SYMBOLS = ("AAAUSDT", "BBBUSDT")


def make_trades(symbol: str, seed: int, seconds: int, start_ms: int = START) -> list[Trade]:
    """A busy symbol with bursts of one time, silences, and aggregates over several raw trades."""
    rng = random.Random(seed)
    trades: list[Trade] = []
    time_ms, trade_id, raw_id, price = start_ms, 1_000, 5_000, 100.0
    while time_ms < start_ms + seconds * 1_000:
        price = round(price * (1 + rng.gauss(0, 1e-4)), 2)
        raws = rng.choice((1, 1, 1, 4))
        trades.append(
            Trade(
                symbol,
                trade_id,
                price,
                round(rng.uniform(0.001, 3), 5),
                time_ms,
                time_ms + rng.choice((0, 1)),
                raw_id,
                raw_id + raws - 1,
                rng.random() < 0.5,
            )
        )
        trade_id += 1
        raw_id += raws
        time_ms += rng.choice((0, 0, 3, 40, 200, 900, 5_200 if rng.random() < 0.1 else 70))
    return trades


def plain_bars(trades: Sequence[Trade], length_ms: int, end_ms: int) -> list[Bar]:
    """The slow twin: every bar straight from its trades, dense, without any roll-up."""
    bars: list[Bar] = []
    close: float | None = None
    first = trades[0].trade_time_ms
    for open_time in range(first - first % length_ms, end_ms - length_ms + 1, length_ms):
        own = [
            trade
            for trade in trades
            if open_time <= trade.trade_time_ms < open_time + length_ms and trade.quantity > 0
        ]
        prices = [trade.price for trade in own] or [close or 0.0]
        close = prices[-1]
        bars.append(
            Bar(
                open_time,
                prices[0],
                max(prices),
                min(prices),
                close,
                round(fsum(trade.quantity for trade in own), 8),
                round(fsum(trade.price * trade.quantity for trade in own), 8),
                sum(trade.last_id - trade.first_id + 1 for trade in own),
                round(fsum(trade.quantity for trade in own if not trade.buyer_is_maker), 8),
                open_time > first,
            )
        )
    return bars


def stored_bars(writer: Writer, pipeline: Pipeline, symbol: str, length_ms: int) -> list[Bar]:
    with writer.transaction() as tx:
        found = market.bars_between(tx, pipeline.chains[symbol].symbol_id, length_ms, 0, 2**60)
    return [bar for bar, _ in found]


def stored_trades(writer: Writer, pipeline: Pipeline, symbol: str) -> list[tuple[int, float]]:
    chain = pipeline.chains[symbol]
    with writer.transaction() as tx:
        found = market.trades_around(tx, chain.symbol_id, 0, 2**60, chain.last_id or 0)
    return [(trade.trade_id, trade.price) for trade in found]


def repair(pipeline: Pipeline, ledger: dict[str, list[Trade]], page: int = 40) -> None:
    """What the repair job does, with the ledger as the exchange."""
    for symbol, chain in pipeline.chains.items():
        while chain.gaps:
            gap = chain.gaps[0]
            answer = [t for t in ledger[symbol] if t.trade_id >= gap.from_id][:page]
            assert pipeline.missing.fill(symbol, gap.gap_id, gap.from_id, answer)


def start(writer: Writer, clock_ms: Callable[[], int] = lambda: START) -> Pipeline:
    pipeline = Pipeline(writer, clock_ms)
    pipeline.start(ImportedSymbol(name, name[:3], "USDT", "TRADING") for name in SYMBOLS)
    return pipeline


def close_known(pipeline: Pipeline, until_ms: int) -> None:
    """Close what ends by then, as if the exchange had told that nothing else was traded."""
    pipeline.close_recording(until_ms)
