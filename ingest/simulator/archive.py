"""Minutes of days whose trades are no longer served, from a coarser level of the same market.

To fold a year of single trades takes minutes. The market's price is a function of time that is
known at coarse points before it is refined between them, so old minutes are drawn from points
16 s apart: they open and close where the trades did, to a few ticks, and their ranges, volumes
and counts follow the law of the trades' own.
"""

import numpy as np

from core.types import FloatArray, IntArray
from ingest.simulator.folding import BarRows
from ingest.simulator.market import BLOCK_BITS, BLOCK_MS, Market
from ingest.simulator.noise import NORMAL_QUANTILES, HashArray, hashes, key_of
from ingest.simulator.tape import Tape, level_ticks

MINUTE_MS = 60_000

_POINT_BITS = 14
_POINT_MS = 1 << _POINT_BITS
_BEYOND_POINTS = 3 / 8
"""How far at most a minute reaches beyond its points on either side, as a share of their range:
half of it is what a random walk does on average between points so far apart."""
_COUNT_SWING = 0.3
_SIZE_STD = 0.35
_TAKER_STD = 0.08


class Archive:
    """Minute rows of every symbol for one seed and rate, at any time."""

    def __init__(self, market: Market, tape: Tape, seed: int) -> None:
        self._market = market
        self._tape = tape
        self._keys = {symbol: key_of(seed, "archive", symbol) for symbol in market.listings}

    def minutes(self, symbol: str, first_block: int, blocks: int) -> BarRows:
        """Rows of the minutes that open within the blocks; those without a trade are left out."""
        listing = self._market.listings[symbol]
        start_ms = first_block << BLOCK_BITS
        first = -(-start_ms // MINUTE_MS)
        last = -(-(start_ms + blocks * BLOCK_MS) // MINUTE_MS)
        # One more than there are minutes: the end of the last is the start of the next.
        numbers = np.arange(first, last + 1, dtype=np.int64)
        times = numbers * MINUTE_MS
        noise = hashes(self._keys[symbol], numbers)
        points = self._market.prices(symbol, first_block, blocks + 1, _POINT_BITS)
        ticks = points * 10**listing.price_decimals
        edges = _at(ticks, times - start_ms).astype(np.int64)
        opens = edges[:-1] + _bits(noise[:-1], 0, 1)
        closes = edges[1:] + _bits(noise[:-1], 1, 1)
        inner = -((start_ms - times) >> _POINT_BITS)
        highs = np.maximum.reduceat(ticks, inner)[:-1]
        lows = np.minimum.reduceat(ticks, inner)[:-1]
        highs = np.maximum(highs, np.maximum(opens, closes))
        lows = np.minimum(lows, np.minimum(opens, closes))
        beyond = (highs - lows) * (_BEYOND_POINTS / 256)
        level = level_ticks(listing)
        high = (highs + beyond * _bits(noise[:-1], 2, 8)).astype(np.int64) + 1
        high += level * _bits(noise[:-1], 52, 2)
        low = (lows - beyond * _bits(noise[:-1], 10, 8)).astype(np.int64)
        low -= level * _bits(noise[:-1], 54, 2)
        low = np.maximum(low, 1)

        ids = self._ids(symbol, numbers, noise)
        counts = np.diff(ids)
        normal = NORMAL_QUANTILES[_bits(noise[:-1], 28, 12)]
        sizes = np.exp(normal * _SIZE_STD - _SIZE_STD**2 / 2)
        volume = np.rint(counts * self._tape.quantity_per_raw(symbol) * sizes).astype(np.int64)
        volume = np.maximum(volume, counts)
        share = 0.5 + _TAKER_STD * NORMAL_QUANTILES[_bits(noise[:-1], 40, 12)]
        bought = np.rint(volume * np.clip(share, 0.0, 1.0)).astype(np.int64)
        typical = (opens + high + low + closes) // 4
        rows = BarRows(
            open_time_ms=times[:-1],
            open=np.clip(opens, low, high),
            high=high,
            low=low,
            close=np.clip(closes, low, high),
            volume=volume,
            quote_volume=volume * typical,
            trade_count=counts,
            taker_buy_volume=bought,
            taker_buy_quote=bought * typical,
            first_raw_id=ids[:-1],
        )
        return rows if counts.all() else rows.where(counts > 0)

    def _ids(self, symbol: str, numbers: IntArray, noise: HashArray) -> IntArray:
        """Raw id that each minute begins with: even in the long run, uneven in the short."""
        per_minute = self._tape.raws_per_block[symbol] * MINUTE_MS / BLOCK_MS
        swing = (_bits(noise, 18, 10) / 512 - 1.0) * _COUNT_SWING
        return np.floor((numbers + swing) * per_minute).astype(np.int64)


def _at(values: FloatArray, offsets_ms: IntArray) -> FloatArray:
    at = offsets_ms >> _POINT_BITS
    left = values[at]
    found: FloatArray = left + (values[at + 1] - left) * (
        (offsets_ms & (_POINT_MS - 1)) / _POINT_MS
    )
    return found


def _bits(source: HashArray, shift: int, width: int) -> IntArray:
    return ((source >> np.uint64(shift)) & np.uint64((1 << width) - 1)).astype(np.int64)
