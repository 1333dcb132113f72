"""Which pairs of a scan may be asked for, and in which order."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

THIN_QUOTE_VOLUME = 5e6
"""Quote units a day of the thinner leg; what ranks best is mostly below, and can't be traded."""
SORTS: Mapping[str, bool] = MappingProxyType(
    {
        "p_quarters_median": False,
        "pvalue": False,
        "qvalue": False,
        "half_life_bars": False,
        "hurst": False,
        "variance_ratio_24": False,
        "zscore": True,
        "break_even_z": False,
        "hedge_ratio": False,
        "zero_crossings": True,
        "quote_volume_24h": True,
    }
)
"""What rows may be ordered by, and whether the largest come first; z goes by its size.

A pair's own past profit and its correlation are no orders: out of sample they earned nothing.
"""
FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "hub": "a leg makes more than a tenth of all finds",
        "stationary": "a leg reverts by itself",
        "thin": "a leg trades under 5 M a day",
        "negative": "β is not above 0",
        "short": "a leg lacks more than a tenth of the rows",
    }
)


@dataclass(frozen=True, slots=True)
class ScanQuery:
    """Which pairs of a scan, in which order."""

    timeframe: str
    bars: int
    max_q: float | None = None
    max_median: float | None = None
    max_half_life: float | None = None
    min_quote_volume: float = THIN_QUOTE_VOLUME
    flags: str = "all"
    """all, none, or one of `FLAGS`."""
    find: str = ""
    """Part of a symbol, or two parted by a slash."""
    sort: str = "p_quarters_median"
    order: str = ""
    """asc, desc, or as the column is read."""

    @property
    def most(self) -> dict[str, float]:
        """The largest value of each column that is bounded."""
        bounds = {
            "qvalue": self.max_q,
            "p_quarters_median": self.max_median,
            "half_life_bars": self.max_half_life,
        }
        return {name: most for name, most in bounds.items() if most is not None}
