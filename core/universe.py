"""Bars of many symbols on one dense time axis, as of the newest bar that nearly all have."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from core.bars import BREAK_FACTOR
from core.presence import PRESENT_SHARE
from core.regression import log_prices
from core.timeframes import DAY_MS
from core.types import Bars, Closes, FloatArray, Leg


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


class LogRows(NamedTuple):
    """Log prices of many symbols on the same dense rows, see `Universe`."""

    symbols: tuple[str, ...]
    start_ms: int
    as_of_ms: int
    logs: FloatArray


def log_rows(
    bars: Mapping[str, Closes | Bars | Leg],
    timeframe_ms: int,
    rows: int,
    share: float = PRESENT_SHARE,
) -> LogRows | None:
    """Put the prices of symbols side by side on exactly `rows` rows.

    Parameters
    ----------
    bars : by symbol; more than `rows` of one do no harm.
    share : of the symbols that must have the last row.

    Returns
    -------
    LogRows that end with the newest bar that so many symbols have, complete; None where there is
    no such bar. So one symbol that is a bar ahead does not make the others look late, and one that
    has stopped does not hold them up.
    """
    symbols = tuple(sorted(bars))
    if not symbols:
        return None
    times = [bars[symbol].open_time_ms[bars[symbol].complete] for symbol in symbols]
    opens, counts = np.unique(np.concatenate(times), return_counts=True)
    enough = np.flatnonzero(counts >= share * len(symbols))
    if not len(enough):
        return None
    last = int(opens[enough[-1]])
    start = last - (rows - 1) * timeframe_ms
    logs = np.full((len(symbols), rows), math.nan)
    for number, symbol in enumerate(symbols):
        own = bars[symbol]
        row = (own.open_time_ms - start) // timeframe_ms
        kept = own.complete & (row >= 0) & (row < rows) & (own.close > 0.0)
        logs[number, row[kept]] = log_prices(own.close[kept])
        logs[number, : _break_row(logs[number])] = math.nan
    return LogRows(symbols, start, last + timeframe_ms, logs)


def universe_of(
    bars: Mapping[str, Closes | Bars], timeframe_ms: int, rows: int, share: float = PRESENT_SHARE
) -> Universe | None:
    """The same as a universe, which knows what each symbol trades; see `log_rows`."""
    found = log_rows(bars, timeframe_ms, rows, share)
    if found is None:
        return None
    day_rows = min(rows, max(1, DAY_MS // timeframe_ms))
    day_start = found.as_of_ms - day_rows * timeframe_ms
    volume = np.zeros(len(found.symbols))
    for number, symbol in enumerate(found.symbols):
        own = bars[symbol]
        of_day = (own.open_time_ms >= day_start) & (own.open_time_ms < found.as_of_ms)
        of_day &= own.complete & (own.close > 0.0)
        volume[number] = float(own.quote_volume[of_day].sum())
    volume *= DAY_MS / (day_rows * timeframe_ms)
    symbols, start_ms, as_of_ms, logs = found
    return Universe(symbols, timeframe_ms, start_ms, as_of_ms, logs, volume)


def _break_row(logs: FloatArray) -> int:
    """The row that prices begin anew at; 0 where they never do."""
    present = np.flatnonzero(~np.isnan(logs))
    jumps = np.flatnonzero(np.abs(np.diff(logs[present])) >= math.log(BREAK_FACTOR))
    return int(present[jumps[-1] + 1]) if len(jumps) else 0
