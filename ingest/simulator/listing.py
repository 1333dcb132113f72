"""What the simulated exchange lists, and which of its symbols belong together.

A leader moves with the common factors and a wander of its own. A follower is a multiple of its
leader's log price plus a mean-reverting residual and nothing else: such a pair is cointegrated by
construction, with the hedge ratio written here. Followers of the same leader are cointegrated with
each other too; any other two symbols are not.

Beyond the default symbols the market goes on as far as is asked for, ever thinner, see `listings`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ingest.simulator.noise import hashes_of

SECTORS = ("games", "storage", "lending", "privacy", "oracles", "bridges")
FACTORS = ("market", "contracts", "payments", *SECTORS)


@dataclass(frozen=True, slots=True)
class Residual:
    """Deviation of a follower from its leader: two Ornstein-Uhlenbeck parts, a quick and a slow."""

    std: float
    quick_half_life_min: float
    slow_half_life_min: float


@dataclass(frozen=True, slots=True)
class SimulatedSymbol:
    """One symbol: where its price lives, how it trades and what it moves with.

    `aggregates_per_s` is the mean at rate 1. `loads` are on the first of `FACTORS`, whose daily
    deviation is about 2 %; `daily_std` is the leader's own part.
    """

    base: str
    price: float
    price_decimals: int
    quantity_decimals: int
    aggregates_per_s: float
    loads: tuple[float, ...] = ()
    daily_std: float = 0.0
    leader: str | None = None
    hedge_ratio: float = 0.0
    residual: Residual | None = None
    quote: str = "USDT"

    @property
    def symbol(self) -> str:
        return self.base + self.quote


Listings: TypeAlias = Mapping[str, SimulatedSymbol]


def _leads(
    base: str,
    price: float,
    decimals: tuple[int, int],
    aggregates_per_s: float,
    loads: tuple[float, ...],
    daily_std: float,
) -> SimulatedSymbol:
    return SimulatedSymbol(
        base, price, *decimals, aggregates_per_s, loads=loads, daily_std=daily_std
    )


def _follows(
    leader: str,
    hedge_ratio: float,
    residual: Residual,
    base: str,
    price: float,
    decimals: tuple[int, int],
    aggregates_per_s: float,
) -> SimulatedSymbol:
    return SimulatedSymbol(
        base,
        price,
        *decimals,
        aggregates_per_s,
        leader=leader,
        hedge_ratio=hedge_ratio,
        residual=residual,
    )


LISTINGS: dict[str, SimulatedSymbol] = {
    listing.symbol: listing
    for listing in (
        _leads("BTC", 60_000.0, (2, 5), 6.0, (1.0, 0.0, 0.0), 0.008),
        _follows("BTCUSDT", 1.25, Residual(0.0030, 12, 45), "ETH", 2_500.0, (2, 4), 4.5),
        _leads("SOL", 150.0, (2, 3), 2.4, (1.1, 0.9, 0.0), 0.020),
        _leads("BNB", 580.0, (2, 3), 1.6, (0.7, 0.0, 0.0), 0.015),
        _leads("XRP", 0.6, (4, 0), 1.8, (0.7, 0.0, 0.9), 0.020),
        _leads("DOGE", 0.12, (5, 0), 1.6, (1.2, 0.3, 0.4), 0.030),
        _follows("XRPUSDT", 1.10, Residual(0.0050, 15, 50), "ADA", 0.4, (4, 1), 1.2),
        _follows("SOLUSDT", 0.90, Residual(0.0045, 10, 40), "AVAX", 27.0, (2, 2), 1.2),
        _leads("LINK", 12.0, (3, 2), 1.1, (1.0, 0.5, 0.0), 0.022),
        _leads("LTC", 70.0, (2, 3), 0.9, (0.7, 0.0, 0.8), 0.016),
        _leads("DOT", 5.0, (3, 2), 0.9, (1.0, 0.6, 0.0), 0.020),
        _leads("TRX", 0.13, (5, 1), 0.9, (0.3, 0.0, 0.0), 0.014),
        _follows("LTCUSDT", 1.15, Residual(0.0040, 14, 55), "BCH", 350.0, (1, 3), 0.9),
        _follows("SOLUSDT", 1.20, Residual(0.0060, 16, 60), "NEAR", 4.5, (3, 1), 0.9),
        _follows("LINKUSDT", 1.20, Residual(0.0050, 12, 50), "UNI", 7.0, (3, 2), 0.9),
        _follows("DOTUSDT", 0.85, Residual(0.0040, 10, 35), "ATOM", 6.0, (3, 2), 0.8),
        _leads("ETC", 20.0, (2, 2), 0.8, (0.8, 0.0, 0.6), 0.022),
        _leads("APT", 7.0, (3, 2), 0.9, (1.0, 0.8, 0.0), 0.026),
        _leads("ARB", 0.6, (4, 1), 0.9, (1.0, 0.7, 0.0), 0.028),
        _follows("APTUSDT", 1.10, Residual(0.0055, 14, 45), "SUI", 1.2, (4, 1), 1.1),
    )
}
"""The 20 symbols of `core.settings.DEFAULT_SYMBOLS`, in that order."""
DEFAULT_COUNT = len(LISTINGS)

HALF_LIVES_H = (1, 2, 4, 8, 16, 48)
"""Of the true pairs beyond the default symbols, in turn: some are too slow for a scan to find."""
_FOLLOWS_EVERY, _PEGGED_EVERY = 5, 100


def listings(count: int) -> Listings:
    """The market's first `count` symbols; what one of them does hangs on no other number.

    Symbol 21 and those after it are called C021 and so on, each traded less than the one before:
    most are thin. Every fifth follows the one before it, see `HALF_LIVES_H`; each of the others has
    a part in the market, one in a sector and one of its own. C060 and every hundredth after it is
    all but dead: it stands still but for the step from bid to ask, and so reverts by itself.
    """
    found = list(LISTINGS.values())[:count]
    for number in range(len(found) + 1, count + 1):
        found.append(_further(number, found[-1]))
    return {listing.symbol: listing for listing in found}


def _further(number: int, before: SimulatedSymbol) -> SimulatedSymbol:
    base, rate = f"C{number:03}", 0.6 * (DEFAULT_COUNT / number) ** 1.5
    market, sector, own, level, beta = hashes_of("listing", number, 5)
    price = 0.05 * 2.0 ** round(10 * level)
    decimals = (6 if price < 1.0 else 4, 0 if price < 1.0 else 2)
    if number % _PEGGED_EVERY == 60:
        return _leads(base, 1.0, (4, 2), rate / 100.0, (), 0.0)
    if number % _FOLLOWS_EVERY == 0:
        half_life_min = 60 * HALF_LIVES_H[number // _FOLLOWS_EVERY % len(HALF_LIVES_H)]
        residual = Residual(0.006, half_life_min, half_life_min)
        return _follows(before.symbol, 0.8 + 0.4 * beta, residual, base, price, decimals, rate)
    loads = [0.5 + 0.8 * market] + [0.0] * (len(FACTORS) - 1)
    loads[-len(SECTORS) + number % len(SECTORS)] = 0.4 + 0.6 * sector
    return _leads(base, price, decimals, rate, tuple(loads), 0.015 + 0.02 * own)
