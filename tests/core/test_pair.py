import dataclasses
import math

import numpy as np
import pytest

from core.pair import analyse_pair, plan_rows, provisional_zscore
from core.pair_spec import HEDGES
from core.types import Bars

MINUTE = 60_000
FIRST = 29_000_000  # absolute number of the first stored minute
N = 6000


@pytest.fixture
def legs(log_pair, as_bars):
    y, x = log_pair(N, 21, 0.002)
    return tuple(as_bars(np.exp(leg), FIRST, MINUTE) for leg in (y, x))


def until(bars, rows):
    """What was stored when bar number `rows` (exclusive) was still to come."""
    keep = bars.open_time_ms < (FIRST + rows) * MINUTE
    return Bars(*(getattr(bars, name)[keep] for name in Bars.__slots__))


def analyse(spec, legs, rows=N):
    plan = plan_rows(spec, FIRST * MINUTE, (FIRST + rows - 1) * MINUTE)
    return analyse_pair(spec, plan, *(until(leg, rows) for leg in legs))


@pytest.mark.parametrize("bars", [1, 3, 10, 100, 1000, 4320])
def test_left_edge_stands_on_a_step_and_leaves_enough_rows(spec, bars):
    parameters = spec(bars=bars)
    step = 2 ** max(0, math.floor(math.log2(bars / 4)))
    for last in range(9_000_000, 9_000_000 + 2 * step, max(1, step // 16)):
        plan = plan_rows(parameters, 0, last * MINUTE)
        start, end = plan.start_ms // MINUTE, plan.end_ms // MINUTE
        assert start % step == 0
        assert bars <= end - start < bars + step
        begin = plan.history_start_ms // MINUTE
        assert (begin + 10 * 300 + 2 * 60) % 4096 == 0  # the run of a block
        assert 0 <= start - (begin + 10 * 300 + 2 * 60) < 4096
        assert plan.present_ms // MINUTE == end - bars
        assert plan.missing_rows == 0


def test_results_begin_where_stored_history_does_when_it_is_short(spec, legs):
    parameters = spec(bars=20_000)
    result = analyse(parameters, legs)
    assert result.start_ms == result.history_start_ms == FIRST * MINUTE
    assert result.reasons["history"].startswith("begins ")


@pytest.mark.parametrize("hedge", HEDGES)
def test_a_later_request_shows_the_same_past_to_the_bit(spec, legs, hedge):
    """While `start` stands: z, positions, equity and every closed trade are what they were."""
    parameters = spec(hedge=hedge, bars=1000)
    before = analyse(parameters, legs, 5000)
    compared = 0
    for rows in (5001, 5002, 5060, 5130):
        after = analyse(parameters, legs, rows)
        if after.start_ms != before.start_ms:
            continue
        compared += 1
        n = len(before.rows)
        for name in ("hedge_ratio", "intercept", "spread", "spread_mean", "spread_std", "zscore"):
            np.testing.assert_array_equal(
                getattr(before.chosen, name), getattr(after.chosen, name)[:n]
            )
        for name in HEDGES:
            np.testing.assert_array_equal(before.hedge_ratios[name], after.hedge_ratios[name][:n])
        np.testing.assert_array_equal(before.position, after.position[:n])
        np.testing.assert_array_equal(before.backtest.equity, after.backtest.equity[:n])
        closed = [t for t in before.backtest.round_trips if t.exit_reason != "open"]
        assert list(after.backtest.round_trips[: len(closed)]) == closed
    assert compared >= 2


@pytest.mark.parametrize("hedge", HEDGES)
def test_provisional_z_becomes_the_z_of_the_bar_that_closes_there(spec, legs, hedge):
    parameters = spec(hedge=hedge)
    for rows in (5000, 5050, 5100):
        now, then = analyse(parameters, legs, rows), analyse(parameters, legs, rows + 1)
        if now.start_ms != then.start_ms:
            continue
        z = provisional_zscore(now, then.rows.close_a[-1], then.rows.close_b[-1])
        assert z == pytest.approx(then.chosen.zscore[-1], abs=1e-9)
    assert math.isnan(provisional_zscore(now, math.nan, 1.0))


def test_every_undefined_number_has_a_reason(spec, legs):
    result = analyse(spec(), legs, 30)
    assert result.signal == "no_data"
    for name in ("zscore", "spread", "hedge_ratio.ols", "hedge_ratio.kalman", "break_even_z",
                 "cointegration", "half_life_bars", "hurst", "correlation"):  # fmt: skip
        assert result.reasons[name], name


def test_missing_last_bar_gives_no_z_and_says_so(spec, legs):
    cut = 5000
    a = until(legs[0], cut - 1)
    plan = plan_rows(spec(), FIRST * MINUTE, (FIRST + cut - 1) * MINUTE)
    result = analyse_pair(spec(), plan, a, until(legs[1], cut))
    assert math.isnan(result.chosen.zscore[-1])
    assert "missing or incomplete" in result.reasons["zscore"]


def test_incomplete_bar_gives_no_z(spec, legs):
    complete = legs[0].complete.copy()
    complete[-1] = False
    result = analyse(spec(), (dataclasses.replace(legs[0], complete=complete), legs[1]))
    assert math.isnan(result.chosen.zscore[-1])


def test_hedges_are_what_drives_signal_and_backtest(spec, legs):
    ols, kalman = analyse(spec(hedge="ols"), legs), analyse(spec(hedge="kalman"), legs)
    assert ols.hedges == kalman.hedges
    for result in (ols, kalman):
        now = result.hedges[result.spec.hedge]
        assert result.chosen.zscore[-1] == now.zscore
        assert result.chosen.intercept[-1] == now.intercept
        np.testing.assert_array_equal(
            result.chosen.hedge_ratio, result.hedge_ratios[result.spec.hedge]
        )
    assert not np.array_equal(ols.position, kalman.position)
