"""Which rows of a pair to compute, and which of them are shown."""

import math
from dataclasses import dataclass, replace

from core.blocks import block_rows, looks_back, run_in_rows
from core.pair_spec import PairSpec

MAX_ROWS_SINCE = 100_000
"""Result rows that `since` may ask for: 69 days of minutes."""


@dataclass(frozen=True, slots=True)
class RowPlan:
    """Which rows to compute: [history_start_ms, end_ms), the results from start_ms on."""

    history_start_ms: int
    start_ms: int
    present_ms: int
    """First of the rows that the statistics of the present are taken over, up to the last."""
    end_ms: int
    missing_rows: int
    """Rows that the shown ones of the hedge that trades look back to but that aren't stored."""


def plan_rows(spec: PairSpec, first_open_ms: int, last_open_ms: int) -> RowPlan:
    """Choose the rows for a pair whose common stored bars open from first to last.

    The left edge is the newest multiple of `step` that leaves `bars` rows, `step` the largest
    power of two ≤ bars/4, so it stands still for `step` bars: what a chart showed a minute ago it
    shows again. With `since` it is that bar. History begins where the run of its block does, see
    `core.blocks`.

    Raises
    ------
    ValueError
        `since` is after the last bar.
    """
    timeframe_ms = spec.timeframe_ms
    first, end = first_open_ms // timeframe_ms, last_open_ms // timeframe_ms + 1
    if spec.since is None:
        step = 1 << max(0, int(math.log2(spec.bars / 4.0)))
        present = end - spec.bars
        start = present // step * step
    else:
        present = start = spec.since // timeframe_ms
        if start >= end:
            raise ValueError("since is after the last bar")
    run_in, size = run_in_rows(spec), block_rows(spec.hedge_window)
    # Enough is what the rows asked for need; said is a number that stands as long as the edge.
    reach = looks_back(spec)
    missing = first - (start - reach) if first > present - reach else 0
    start = max(start, first)
    return RowPlan(
        history_start_ms=max(start // size * size - run_in, first) * timeframe_ms,
        start_ms=start * timeframe_ms,
        present_ms=max(present, first) * timeframe_ms,
        end_ms=end * timeframe_ms,
        missing_rows=missing,
    )


def plan_new_rows(spec: PairSpec, first_ms: int, last_ms: int) -> RowPlan:
    """Plan the rows that open from `first_ms` to `last_ms`, whatever is stored before them.

    Rows that are not stored are missing ones, so that a row follows each that was judged before.
    """
    return plan_rows(replace(spec, since=first_ms), 0, last_ms)
