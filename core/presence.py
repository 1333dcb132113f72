"""Which bar nearly all symbols of a market have."""

import math
from collections.abc import Iterable

PRESENT_SHARE = 0.9
"""Of the symbols that must have the last row of a scan."""


def newest_common_ms(newest_ms: Iterable[int]) -> int | None:
    """The newest open time that nine symbols of ten have reached, by the newest bar of each."""
    times = sorted(newest_ms, reverse=True)
    return times[math.ceil(PRESENT_SHARE * len(times)) - 1] if times else None
