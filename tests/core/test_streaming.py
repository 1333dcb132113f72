"""Bars fed as they come give the bits of the whole array, whatever comes and wherever it halts."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core import kalman, regression
from core.kalman import _kalman, kalman_hedge
from core.regression import ROLLING_HEDGES, advance, rolling_hedge
from core.signals import START, Conditions, decide_positions, decide_rows
from core.types import HedgeSeries

LONGEST = 240
# Steps of a log price: still, by the exchange's smallest step, usual, a crash; or no bar at all.
steps = st.sampled_from([0.0, 0.0, 1e-9, -1e-9, 1e-3, -2e-3, 3e-4, -0.5, math.nan])


@st.composite
def histories(draw):
    """Two legs with holes at some level, the bar number they begin at, and where feeding halts."""
    n = draw(st.integers(1, LONGEST))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    level = draw(st.sampled_from([math.log(1e-6), 0.0, math.log(6e4)]))
    size = draw(st.sampled_from([1e-9, 1e-3]))
    x = level + np.cumsum(random.normal(0, size, n))
    y = 0.5 + 0.8 * x + random.normal(0, size, n)
    for leg in (x, y):
        for row, step in draw(st.dictionaries(st.integers(0, n - 1), steps, max_size=12)).items():
            leg[row:] += 0.0 if math.isnan(step) else step
            if math.isnan(step):
                leg[row] = math.nan
    if draw(st.booleans()):  # a hole longer than the windows
        start = draw(st.integers(0, n - 1))
        y[start : start + draw(st.sampled_from([3, 30, 150]))] = math.nan
    if draw(st.booleans()):  # a leg that stands still for a while
        start = draw(st.integers(0, n - 1))
        x[start : start + 60] = x[start]
    # Near a multiple of 1,024 the sums are rebuilt on the way.
    first_index = draw(st.sampled_from([0, 1, 1_000, 1_024 * 1_000_000 - 77]))
    halts = sorted(draw(st.sets(st.integers(1, n), max_size=8)) | {n})
    return y, x, first_index, halts


@settings(max_examples=150, deadline=None)
@given(
    history=histories(),
    bar_by_bar=st.booleans(),
    hedge_window=st.sampled_from([10, 37, 100]),
    hedge=st.sampled_from(ROLLING_HEDGES),
)
def test_rolling_fit_resumed_anywhere_gives_the_bits_of_the_whole(
    history, bar_by_bar, hedge_window, hedge
):
    y, x, first_index, halts = history
    window = 10
    whole = rolling_hedge(
        y, x, hedge=hedge, first_index=first_index, hedge_window=hedge_window, window=window
    )
    out, state, start = np.full((6, len(y)), np.nan), regression.NOTHING_SEEN, 0
    for stop in range(1, len(y) + 1) if bar_by_bar else halts:
        state = advance(
            y[:stop], x[:stop], hedge, first_index, hedge_window, window, state, start,
            out[:, :stop],
        )  # fmt: skip
        start = stop
    np.testing.assert_array_equal(out, [getattr(whole, name) for name in whole.__slots__])


@settings(max_examples=150, deadline=None)
@given(history=histories(), bar_by_bar=st.booleans(), hedge_window=st.sampled_from([10, 37, 100]))
def test_filter_resumed_anywhere_gives_the_bits_of_the_whole(history, bar_by_bar, hedge_window):
    y, x, first_index, halts = history
    window, discount = 10, 1.0 - 2.0 / (hedge_window + 1.0)
    whole, stderr = kalman_hedge(
        y, x, first_index=first_index, hedge_window=hedge_window, window=window
    )
    out, state, start = np.full((7, len(y)), np.nan), kalman.NOTHING_SEEN, 0
    for stop in range(1, len(y) + 1) if bar_by_bar else halts:
        state = _kalman(
            y[:stop], x[:stop], first_index, discount, window, state, start, out[:, :stop]
        )
        start = stop
    np.testing.assert_array_equal(out[:6], [getattr(whole, name) for name in whole.__slots__])
    np.testing.assert_array_equal(out[6], stderr)


@settings(max_examples=150, deadline=None)
@given(
    runs=st.lists(
        st.tuples(st.sampled_from([-4.0, -2.0, -0.5, 0.0, 2.0, 3.0, math.nan]), st.integers(1, 9)),
        min_size=1,
        max_size=20,
    ),
    seed=st.integers(0, 2**32 - 1),
    stop_z=st.sampled_from([None, 3.0]),
    max_hold=st.sampled_from([None, 1, 4]),
    stretch=st.integers(1, 20),
    rule=st.sampled_from(["moving", "anchored"]),
)
def test_signal_resumed_anywhere_gives_the_decisions_of_the_whole(
    spec_fixture, runs, seed, stop_z, max_hold, stretch, rule
):
    z = np.repeat(*map(np.array, zip(*runs, strict=True)))
    random, n = np.random.default_rng(seed), len(z)
    given = Conditions(*(random.random((4, n)) < [[0.8], [0.9], [0.03], [0.03]]))
    y, x = np.cumsum(random.normal(0, 1, (2, n)), axis=1)
    hedge = HedgeSeries(*random.uniform(0.5, 1.5, (5, n)), z)
    spec = spec_fixture(stop_z=stop_z, max_hold_bars=max_hold, exit_rule=rule)
    whole = decide_positions(spec, y, x, hedge, given)
    position, code = np.zeros((2, n), dtype=np.int64)
    state, start = START, 0
    for stop in [*range(stretch, n, stretch), n]:
        read = (
            y, x, hedge.zscore, hedge.intercept, hedge.hedge_ratio, hedge.spread_mean,
            hedge.spread_std, *given,
        )  # fmt: skip
        state = decide_rows(
            *(column[:stop] for column in read), 2.0, 0.5, math.inf if stop_z is None else stop_z,
            max_hold or 0, rule == "anchored", state, start, position[:stop], code[:stop],
        )  # fmt: skip
        start = stop
    np.testing.assert_array_equal((position, code), whole)


def test_filter_resumed_inside_a_hole_that_it_forgets_all_in_gives_the_bits_of_the_whole(log_pair):
    """There its covariance stops to grow, which hangs on when a row was last seen."""
    y, x = log_pair(400, 2)
    y[100:300] = math.nan
    whole, _ = kalman_hedge(y, x, first_index=0, hedge_window=10, window=10)
    out, state = np.full((7, 400), np.nan), kalman.NOTHING_SEEN
    for start, stop in ((0, 150), (150, 250), (250, 400)):
        state = _kalman(y[:stop], x[:stop], 0, 1.0 - 2.0 / 11.0, 10, state, start, out[:, :stop])
    np.testing.assert_array_equal(out[:6], [getattr(whole, name) for name in whole.__slots__])
