"""Which rows are computed together, so that a row's numbers belong to it and not to who asks.

Rows are cut into blocks by their absolute number. Whatever remembers (sums, the filter) restarts
for each block, long enough before it to have forgotten where it began. A row's numbers are those
of its own block's run: two requests that cover it otherwise agree to the bit.
"""

from typing import NamedTuple

import numpy as np

from core.pair_spec import PairSpec
from core.regression import CHANGE_ROWS
from core.types import BoolArray, FloatArray
from core.windows import REBUILD_EVERY

FORGETTING = 10
"""Hedge windows after which two filters that began apart differ by some 1e-6 in z."""


class Run(NamedTuple):
    """Rows computed in one go, from `begin` on; those from `first` on are its results."""

    begin: int
    first: int
    stop: int


def block_rows(hedge_window: int) -> int:
    """Rows of a block: the smallest power of two that is at least 10 hedge windows and 1,024."""
    return 1 << (max(REBUILD_EVERY, FORGETTING * hedge_window) - 1).bit_length()


def run_in_rows(spec: PairSpec) -> int:
    """Rows that a block's run begins before it."""
    return FORGETTING * spec.hedge_window + 2 * spec.window


def looks_back(spec: PairSpec) -> int:
    """Rows before a row that its numbers hang on: the filter forgets slowly, a fit all at once."""
    if spec.hedge == "kalman":
        return run_in_rows(spec)
    return spec.hedge_window + (CHANGE_ROWS if spec.hedge == "returns" else 0)


def plan_runs(spec: PairSpec, begin: int, first: int, stop: int) -> tuple[Run, ...]:
    """The runs that compute rows [first, stop), oldest first.

    Parameters
    ----------
    begin : absolute number of the row where the first block's run begins: `run_in_rows` before
        its block, or at the first row stored.
    first, stop : absolute row numbers, first < stop.

    Returns
    -------
    Runs counted from `begin`. What the first one computes on its way to its block counts, too.
    """
    size, run_in = block_rows(spec.hedge_window), run_in_rows(spec)
    runs = [Run(0, 0, stop - begin)]
    for block in range(first // size + 1, (stop - 1) // size + 1):
        edge = block * size - begin
        runs[-1] = runs[-1]._replace(stop=edge)
        runs.append(Run(max(edge - run_in, 0), edge, stop - begin))
    return tuple(runs)


def run_of(runs: tuple[Run, ...], row: int) -> Run:
    """The run whose result a row is."""
    return next(run for run in reversed(runs) if run.first <= row)


def pieces(run: Run, y: FloatArray, x: FloatArray, breaks: BoolArray) -> list[tuple[int, int]]:
    """Cut a run where prices break: [start, stop) of each piece, in which nothing looks back.

    A break right at the first row present is none to this run, which knows no price before it.
    """
    broken = run.begin + np.flatnonzero(breaks[run.begin : run.stop])
    starts: list[int] = broken.tolist()
    if starts and np.isnan(y[run.begin : starts[0]] + x[run.begin : starts[0]]).all():
        del starts[0]
    return list(zip([run.begin, *starts], [*starts, run.stop], strict=True))
