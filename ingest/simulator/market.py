"""Efficient log prices as a function of (seed, absolute time), with random access.

Time is cut by powers of two: a grid point every 1,024 ms, a block every 1,024 points (about 17.5
minutes). Each source of movement is a stationary Ornstein-Uhlenbeck process. Its values on a
coarse lattice are a moving average of hashed noise; between two lattice points it is refined by
midpoints, each drawn from the exact law of the process given its two neighbours. So any stretch of
any day costs the same, and two stretches agree bit for bit where they overlap.

Factors and the leaders' own parts have half-lives of weeks: over days they are random walks, over
years the price stays near its level. Residuals of followers have half-lives of 10 to 60 minutes.
"""

import math
from functools import lru_cache

import numpy as np

from core.types import FloatArray
from ingest.simulator.listing import FACTORS, LISTINGS, Listings
from ingest.simulator.noise import gaussians, key_of

GRID_BITS = 10
BLOCK_BITS = 20
GRID_MS = 1 << GRID_BITS
BLOCK_MS = 1 << BLOCK_BITS

_DAY_MS = 86_400_000.0
_MINUTE_MS = 60_000.0
_WANDER_HALF_LIFE_MS = 14 * _DAY_MS
_FACTOR_DAILY_STD = 0.02
_CACHED_PATHS = 4 * len(FACTORS)


class Process:
    """One stationary Ornstein-Uhlenbeck process.

    Parameters
    ----------
    key : names its noise.
    std : its stationary deviation.
    half_life_ms : how long a deviation takes to halve.
    """

    def __init__(self, key: int, std: float, half_life_ms: float) -> None:
        self._key = key
        # The lattice step lies within a factor of two of the half-life, so that the moving
        # average forgets to 1e-9 within some forty terms.
        self._top_bits = max(GRID_BITS, round(math.log2(half_life_ms)))
        decay = math.log(2.0) / half_life_ms
        rho = math.exp(-decay * (1 << self._top_bits))
        terms = math.ceil(math.log(1e-9) / math.log(rho))
        scale = std * math.sqrt(1.0 - rho * rho)
        self._weights = [scale * rho**j for j in range(terms)]
        # Midpoint of two neighbours `2 * half` apart: r/(1+r²)·(left+right) plus a draw of
        # variance std²·(1−r²)/(1+r²), with r the correlation over `half`.
        self._levels: list[tuple[int, int, float, float]] = []
        for bits in range(self._top_bits - 1, GRID_BITS - 1, -1):
            r = math.exp(-decay * (1 << bits))
            self._levels.append(
                (
                    bits,
                    key_of(key, bits),
                    r / (1.0 + r * r),
                    std * math.sqrt(-math.expm1(-2.0 * decay * (1 << bits)) / (1.0 + r * r)),
                )
            )

    def path(self, first_block: int, blocks: int, grid_bits: int = GRID_BITS) -> FloatArray:
        """Values on the grid from the start of `first_block`, both ends of the stretch included.

        A coarser grid has the very values that a finer one has at the same times.
        """
        start = first_block << BLOCK_BITS
        end = (first_block + blocks) << BLOCK_BITS
        low = start >> self._top_bits
        high = -(-end >> self._top_bits)
        values = self._lattice(low, high)
        for bits, key, weight, std in self._levels:
            if bits < grid_bits:
                break
            middle = values[:-1] + values[1:]
            middle *= weight
            middle += gaussians(key, low, high) * std
            finer = np.empty(2 * len(values) - 1)
            finer[::2] = values
            finer[1::2] = middle
            wanted_low, wanted_high = start >> bits, -(-end >> bits)
            values = finer[wanted_low - 2 * low : wanted_high - 2 * low + 1]
            low, high = wanted_low, wanted_high
        return values

    def _lattice(self, low: int, high: int) -> FloatArray:
        terms = len(self._weights)
        noise = gaussians(self._key, low - terms + 1, high + 1)
        count = high - low + 1
        values = np.zeros(count)
        for j, weight in enumerate(self._weights):
            values += noise[terms - 1 - j : terms - 1 - j + count] * weight
        return values


class Market:
    """Efficient prices of every listed symbol for one seed."""

    def __init__(self, seed: int, listings: Listings = LISTINGS) -> None:
        self.listings = listings
        wander = math.sqrt(_WANDER_HALF_LIFE_MS / (2.0 * math.log(2.0) * _DAY_MS))
        self._factors = [
            Process(key_of(seed, "factor", name), _FACTOR_DAILY_STD * wander, _WANDER_HALF_LIFE_MS)
            for name in FACTORS
        ]
        # Symbol after symbol is asked for the same stretch of time.
        self._factor_path = lru_cache(_CACHED_PATHS)(self._make_factor_path)
        self._own: dict[str, tuple[Process, ...]] = {}
        for symbol, listing in listings.items():
            if listing.residual is None:
                self._own[symbol] = (
                    Process(
                        key_of(seed, "own", symbol),
                        listing.daily_std * wander,
                        _WANDER_HALF_LIFE_MS,
                    ),
                )
            else:
                part = listing.residual.std / math.sqrt(2.0)
                self._own[symbol] = (
                    Process(
                        key_of(seed, "quick", symbol),
                        part,
                        listing.residual.quick_half_life_min * _MINUTE_MS,
                    ),
                    Process(
                        key_of(seed, "slow", symbol),
                        part,
                        listing.residual.slow_half_life_min * _MINUTE_MS,
                    ),
                )

    def prices(
        self, symbol: str, first_block: int, blocks: int, grid_bits: int = GRID_BITS
    ) -> FloatArray:
        """Efficient prices on the grid from the start of `first_block`, both ends included.

        Parameters
        ----------
        grid_bits : of the distance between two points, 2^bits ms.
        """
        move = self._log_move(symbol, first_block, blocks, grid_bits)
        return np.exp(move) * self.listings[symbol].price

    def _log_move(self, symbol: str, first_block: int, blocks: int, grid_bits: int) -> FloatArray:
        listing = self.listings[symbol]
        if listing.leader is not None:
            leader = self._log_move(listing.leader, first_block, blocks, grid_bits)
            move = leader * listing.hedge_ratio
        else:
            move = np.zeros((blocks << (BLOCK_BITS - grid_bits)) + 1)
            for factor, load in enumerate(listing.loads):
                if load:
                    move += self._factor_path(factor, first_block, blocks, grid_bits) * load
        for process in self._own[symbol]:
            move += process.path(first_block, blocks, grid_bits)
        return move

    def _make_factor_path(
        self, factor: int, first_block: int, blocks: int, grid_bits: int
    ) -> FloatArray:
        return self._factors[factor].path(first_block, blocks, grid_bits)
