"""Bursts on demand: more trades for some seconds, laid over the market's own."""

import numpy as np

from ingest.simulator.listing import Listings
from ingest.simulator.market import BLOCK_BITS
from ingest.simulator.tape import Prints, Tape

MAX_BURST_TRADES = 2_000_000


def burst_prints(
    tape: Tape, symbol: str, start_ms: int, duration_ms: int, count: int
) -> dict[int, Prints]:
    """Extra trades of one symbol by block, evenly over the time, at the market's own prices.

    Each copies the price, size and side of the market's last trade before it, so a burst adds
    volume and ids but no price that the market did not pay.
    """
    times = start_ms + np.arange(count, dtype=np.int64) * duration_ms // max(count, 1)
    found: dict[int, Prints] = {}
    blocks = times >> BLOCK_BITS
    for block in np.unique(blocks).tolist():
        own = tape.prints(symbol, block, 1)
        mine = times[blocks == block]
        source = np.maximum(np.searchsorted(own.trade_time_ms, mine, side="right") - 1, 0)
        found[block] = Prints(
            trade_time_ms=mine,
            price=own.price[source],
            quantity=own.quantity[source],
            raw_count=np.ones(len(mine), dtype=np.int64),
            buyer_is_maker=own.buyer_is_maker[source],
        )
    return found


def shares(listings: Listings, symbols: list[str], total: int) -> dict[str, int]:
    """Split `total` trades over the symbols in proportion to how they trade."""
    weights = {symbol: listings[symbol].aggregates_per_s for symbol in symbols}
    whole = sum(weights.values())
    bounds, reached = [0], 0.0
    for symbol in symbols:
        reached += weights[symbol]
        bounds.append(round(total * reached / whole))
    return {symbol: bounds[i + 1] - bounds[i] for i, symbol in enumerate(symbols)}
