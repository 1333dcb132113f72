"""Who waits for a z is told for how many bars: as many as it then takes."""

import math

import numpy as np
import pytest

from core import kalman, regression
from core.pair_spec import HEDGES
from core.readiness import wait_for_z
from core.windows import STDERR, ZSCORE

WINDOW, FIT = 20, 60


def zscores(y, x, hedge):
    """z of every row by the kernels themselves."""
    out = np.full((STDERR + 1, len(y)), np.nan)
    windows = (0, FIT, WINDOW)
    if hedge == "kalman":
        kalman.advance(y, x, *windows, kalman.NOTHING_SEEN, 0, out)
    else:
        regression.advance(y, x, hedge, *windows, regression.NOTHING_SEEN, 0, out)
    return out[ZSCORE]


def histories():
    """Rows before the bar to come: none, a few, whole, with one hole and with many."""
    rng = np.random.default_rng(3)
    whole = np.ones(150, dtype=bool)
    yield from (whole[:rows] for rows in (0, 1, WINDOW - 1, WINDOW, WINDOW + 12, 75, 150))
    for begin, end in ((145, 150), (120, 150), (60, 140), (30, 148), (0, 139)):
        holed = whole.copy()
        holed[begin:end] = False
        yield holed
    yield from (rng.random(150) < share for share in (0.95, 0.88, 0.8, 0.5))


@pytest.mark.parametrize("hedge", HEDGES)
def test_so_many_bars_later_there_is_a_z_and_not_before(spec, hedge):
    parameters, rng = spec(hedge=hedge, window=WINDOW, hedge_window=FIT), np.random.default_rng(4)
    for before in histories():
        n = len(before) + 2 * (FIT + WINDOW)
        x = rng.normal(0, 1e-3, n).cumsum()
        y = x + rng.normal(0, 1e-3, n)
        y[: len(before)][~before] = np.nan
        found = np.flatnonzero(np.isfinite(zscores(y, x, hedge)[len(before) :]))
        told = wait_for_z(parameters, before)
        assert told.bars == found[0] + 1, before.sum()
        if told.bars == 1:
            assert told.here >= told.needed


def test_a_hole_is_counted_as_the_fit_counts_it(spec):
    before = np.ones(700, dtype=bool)
    before[500:620] = False
    told = wait_for_z(spec(window=120, hedge_window=600), before)
    assert (told.here, told.needed, told.of) == (480, math.ceil(0.9 * 600), 600)
    # Every row that is there and leaves makes room for one that comes: rows leave before the hole.
    assert told.bars > told.needed - told.here
