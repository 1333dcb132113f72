"""Bars of many symbols on one dense time axis, as of the newest bar that nearly all have."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.bars import BREAK_FACTOR
from core.regression import log_prices
from core.types import PRESENT_SHARE, Bars, Closes, FloatArray

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, eq=False)
class Universe:
    """Log prices of many symbols on the same dense rows; NaN where one has no complete bar.

    Where a price breaks, what lies before is left out: nothing may be reckoned over it.
    """

    symbols: tuple[str, ...]
    timeframe_ms: int
    start_ms: int
    """Open time of the first row."""
    as_of_ms: int
    """Close of the last row."""
    logs: FloatArray
    """(N, n)."""
    quote_volume_24h: FloatArray
    """(N,) of the rows of the last day; of fewer rows than a day has, scaled to one."""


def universe_of(
    bars: Mapping[str, Closes | Bars], timeframe_ms: int, rows: int, share: float = PRESENT_SHARE
) -> Universe | None:
    """Put symbols side by side on exactly `rows` rows.

    Parameters
    ----------
    bars : by symbol; more than `rows` of one do no harm.
    share : of the symbols that must have the last row.

    Returns
    -------
    Universe that ends with the newest bar that so many symbols have, complete; None where there is
    no such bar. So one symbol that is a bar ahead does not make the others look late, and one that
    has stopped does not hold them up.
    """
    symbols = tuple(sorted(bars))
    times = [bars[symbol].open_time_ms[bars[symbol].complete] for symbol in symbols]
    if not symbols:
        return None
    opens, counts = np.unique(np.concatenate(times), return_counts=True)
    enough = np.flatnonzero(counts >= share * len(symbols))
    if not len(enough):
        return None
    last = int(opens[enough[-1]])
    start = last - (rows - 1) * timeframe_ms
    logs = np.full((len(symbols), rows), math.nan)
    volume = np.zeros(len(symbols))
    day_rows = min(rows, max(1, DAY_MS // timeframe_ms))
    for number, symbol in enumerate(symbols):
        own = bars[symbol]
        row = (own.open_time_ms - start) // timeframe_ms
        kept = own.complete & (row >= 0) & (row < rows) & (own.close > 0.0)
        logs[number, row[kept]] = log_prices(own.close[kept])
        of_day = kept & (row >= rows - day_rows)
        volume[number] = float(own.quote_volume[of_day].sum())
        logs[number, : _break_row(logs[number])] = math.nan
    volume *= DAY_MS / (day_rows * timeframe_ms)
    return Universe(symbols, timeframe_ms, start, last + timeframe_ms, logs, volume)


def _break_row(logs: FloatArray) -> int:
    """The row that prices begin anew at; 0 where they never do."""
    present = np.flatnonzero(~np.isnan(logs))
    jumps = np.flatnonzero(np.abs(np.diff(logs[present])) >= math.log(BREAK_FACTOR))
    return int(present[jumps[-1] + 1]) if len(jumps) else 0
