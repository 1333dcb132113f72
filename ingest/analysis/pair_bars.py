"""Stored bars of a pair, all that both legs have in common."""

from core.errors import PairdeskError
from core.pair_spec import PairSpec
from core.row_plan import MAX_ROWS_SINCE
from core.types import Leg
from ingest.store.reader import Reader


class NoSharedBars(PairdeskError):
    """There are no bars that both legs have, or not those that are asked for."""


def shared_bars(reader: Reader, spec: PairSpec) -> tuple[tuple[Leg, Leg], int, int]:
    """Both legs, and the open times of the first and last row that they have in common.

    Raises
    ------
    NoSharedBars
        Says so in words.
    """
    step, symbols = spec.timeframe_ms, (spec.symbol_a, spec.symbol_b)
    oldest = [reader.bars(symbol, step, 0, limit=1).open_time_ms for symbol in symbols]
    newest = reader.freshness(symbols, (step,))
    lasts = [one.newest_bars_ms[step] for one in newest.values() if step in one.newest_bars_ms]
    if len(lasts) < 2 or not all(map(len, oldest)):
        raise NoSharedBars(f"{spec.symbol_a} and {spec.symbol_b} have no {spec.timeframe} bars")
    first_ms, last_ms = max(int(times[0]) for times in oldest), min(lasts)
    if last_ms < first_ms:
        raise NoSharedBars(f"{spec.symbol_a} and {spec.symbol_b} share no {spec.timeframe} bar")
    if spec.since is not None and spec.since > last_ms:
        raise NoSharedBars(f"since is after the last {spec.timeframe} bar")
    if spec.since is not None and last_ms - spec.since >= MAX_ROWS_SINCE * step:
        raise NoSharedBars(f"since must be within the last {MAX_ROWS_SINCE:,} bars")
    legs = tuple(reader.leg(symbol, step, first_ms, last_ms + step) for symbol in symbols)
    return (legs[0], legs[1]), first_ms, last_ms
