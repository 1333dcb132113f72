"""The trades of every block of time, each a function of (seed, rate, symbol, block).

A block holds the same number of aggregates and of raw trades every time, so the ids of any moment
are a multiplication away. Within the block everything comes from one hash per aggregate: the gap
to the one before (often none: a burst; now and then a silence of seconds), the quantity, how many
raw trades it covers, whether the taker's side changes and how deep into the book it reached.
"""

import math
from dataclasses import dataclass

import numpy as np

from core.types import BoolArray, FloatArray, IntArray
from ingest.simulator.listing import SimulatedSymbol
from ingest.simulator.market import BLOCK_BITS, BLOCK_MS, GRID_BITS, GRID_MS, Market
from ingest.simulator.noise import NORMAL_QUANTILES, HashArray, hashes, key_of

_RAW_PER_AGGREGATE = 1.8
_MEDIAN_NOTIONAL = 300.0
_LOG_NOTIONAL_STD = 1.3
_BOOK_LEVEL_SHARE = 5e-6
_SIDE_CHANGES_OF_8 = 3


@dataclass(frozen=True, slots=True, eq=False)
class Prints:
    """Consecutive aggregates as columns, prices and quantities as whole ticks and steps."""

    trade_time_ms: IntArray
    price: IntArray
    quantity: IntArray
    raw_count: IntArray
    buyer_is_maker: BoolArray

    def __len__(self) -> int:
        return len(self.trade_time_ms)

    def part(self, start: int, end: int) -> "Prints":
        """Rows from `start` to before `end`."""
        rows = slice(start, end)
        return Prints(
            self.trade_time_ms[rows],
            self.price[rows],
            self.quantity[rows],
            self.raw_count[rows],
            self.buyer_is_maker[rows],
        )

    def without(self, start_ms: int, end_ms: int) -> "Prints":
        """Those made before a time and from another on."""
        low, high = (int(i) for i in np.searchsorted(self.trade_time_ms, (start_ms, end_ms)))
        return self if low == high else self.part(0, low).merged(self.part(high, len(self)))

    def merged(self, others: "Prints") -> "Prints":
        """Both, in order of time; at equal times the own ones come first."""
        times = np.concatenate((self.trade_time_ms, others.trade_time_ms))
        order = np.argsort(times, kind="stable")
        return Prints(
            times[order],
            np.concatenate((self.price, others.price))[order],
            np.concatenate((self.quantity, others.quantity))[order],
            np.concatenate((self.raw_count, others.raw_count))[order],
            np.concatenate((self.buyer_is_maker, others.buyer_is_maker))[order],
        )


def _gap_table() -> IntArray:
    """Quantiles of the gap between aggregates, in thousandths of the mean ordinary gap."""
    none, pauses = 1_720, 12
    ordinary = 4_096 - none - pauses
    return np.array(
        [0] * none
        + [round(-1_000 * math.log(1 - (i + 0.5) / ordinary)) for i in range(ordinary)]
        + [round(1_000 * (6 + 10 * i / (pauses - 1))) for i in range(pauses)],
        dtype=np.int64,
    )


def _raw_table() -> IntArray:
    """How the raw trades beyond one an aggregate are shared out: most get none, a few many."""
    return np.array(
        [0] * 150 + [1] * 60 + [2] * 24 + [4] * 12 + [9] * 6 + [20] * 3 + [60], dtype=np.int64
    )


_GAPS = _gap_table()
_RAWS = _raw_table()
_LEVELS = np.array([0] * 11 + [1] * 3 + [2, 3], dtype=np.int64)


def _bits(source: HashArray, shift: int, width: int) -> IntArray:
    return ((source >> np.uint64(shift)) & np.uint64((1 << width) - 1)).astype(np.int64)


class Tape:
    """Trades of every symbol for one seed and rate, before any burst."""

    def __init__(self, market: Market, seed: int, rate: float) -> None:
        self._market = market
        self.listings = market.listings
        self._keys = {symbol: key_of(seed, "tape", symbol) for symbol in self.listings}
        notionals = np.exp(NORMAL_QUANTILES * _LOG_NOTIONAL_STD) * _MEDIAN_NOTIONAL
        self._quantities = {
            symbol: np.maximum(
                np.rint(notionals / item.price * 10**item.quantity_decimals).astype(np.int64), 1
            )
            for symbol, item in self.listings.items()
        }
        self.aggregates_per_block = {
            symbol: max(1, round(item.aggregates_per_s * rate * BLOCK_MS / 1_000))
            for symbol, item in self.listings.items()
        }
        self.raws_per_block = {
            symbol: round(count * _RAW_PER_AGGREGATE)
            for symbol, count in self.aggregates_per_block.items()
        }

    def quantity_per_raw(self, symbol: str) -> float:
        """Mean quantity of a raw trade, in steps."""
        share = self.aggregates_per_block[symbol] / self.raws_per_block[symbol]
        return float(self._quantities[symbol].mean()) * share

    def prints(self, symbol: str, first_block: int, blocks: int) -> Prints:
        """All aggregates of `blocks` blocks; the future ones too, they are as certain."""
        count = self.aggregates_per_block[symbol]
        key = self._keys[symbol]
        index = np.arange(first_block * count, (first_block + blocks) * count, dtype=np.int64)
        noise = hashes(key, index).reshape(blocks, count)
        block_noise = hashes(key ^ 1, np.arange(first_block, first_block + blocks, dtype=np.int64))

        gaps = _GAPS[_bits(noise, 0, 12)]
        elapsed = np.cumsum(gaps, axis=1)
        whole = elapsed[:, -1] + _GAPS[_bits(block_noise, 0, 12)] + 1_000
        offsets = (elapsed * (BLOCK_MS / whole)[:, None]).astype(np.int64)
        np.minimum(offsets, BLOCK_MS - 1, out=offsets)
        offsets += (np.arange(blocks, dtype=np.int64) << BLOCK_BITS)[:, None]

        changes = (_bits(noise, 32, 3) < _SIDE_CHANGES_OF_8) & (gaps > 0)
        changes[:, 0] ^= (block_noise >> np.uint64(63)).astype(np.bool_)
        sells = (np.cumsum(changes, axis=1).ravel() & 1).astype(np.bool_)

        raw_counts = self._raw_counts(symbol, noise).ravel()
        quantities = self._quantities[symbol][_bits(noise, 12, 12)].ravel()
        offsets = offsets.ravel()
        grid = self._market.prices(symbol, first_block, blocks)
        levels = _LEVELS[_bits(noise, 36, 4)]
        return Prints(
            trade_time_ms=offsets + (first_block << BLOCK_BITS),
            price=_prices(self.listings[symbol], grid, offsets, sells, levels),
            quantity=np.maximum(quantities, raw_counts),
            raw_count=raw_counts,
            buyer_is_maker=sells,
        )

    def _raw_counts(self, symbol: str, noise: HashArray) -> IntArray:
        extra = self.raws_per_block[symbol] - self.aggregates_per_block[symbol]
        shares = np.cumsum(_RAWS[_bits(noise, 24, 8)], axis=1)
        # Half a raw trade over makes the last floor exactly `extra`, whatever the rounding.
        scale = (extra + 0.5) / np.maximum(shares[:, -1], 1)
        given = (shares * scale[:, None]).astype(np.int64)
        given[:, -1] = extra
        counts: IntArray = given + 1
        counts[:, 1:] -= given[:, :-1]
        return counts


def _prices(
    listing: SimulatedSymbol,
    grid: FloatArray,
    offsets: IntArray,
    sells: BoolArray,
    levels: IntArray,
) -> IntArray:
    """Ticks paid: the efficient price rounded to the bid or the ask and some levels beyond."""
    at = offsets >> GRID_BITS
    left = grid[at]
    efficient = left + (grid[at + 1] - left) * ((offsets & (GRID_MS - 1)) / GRID_MS)
    ticks = 10**listing.price_decimals
    bids = (efficient * ticks).astype(np.int64)
    beyond = levels.ravel() * level_ticks(listing)
    # Buyers pay the ask, one tick above the bid, and more; sellers get the bid and less.
    paid: IntArray = bids + 1 + beyond - sells * (1 + 2 * beyond)
    return np.maximum(paid, 1)


def level_ticks(listing: SimulatedSymbol) -> int:
    """How far two levels of a symbol's book lie apart."""
    return max(1, round(listing.price * float(10**listing.price_decimals) * _BOOK_LEVEL_SHARE))


def event_time_ms(trade_time_ms: int) -> int:
    """When the stream tells of a trade: up to 3 ms later, never out of order."""
    return trade_time_ms | 3
