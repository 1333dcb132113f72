import math

import numpy as np
import pytest

from core import regression
from core.honesty import _percentile, placebo_check, truncation_check
from core.pair import plan_rows
from core.pair_spec import HEDGES
from core.windows import ZSCORE

MINUTE = 60_000
N = 3_000


@pytest.fixture
def legs(log_pair, as_bars):
    y, x = log_pair(N, 5, 0.01)
    return [as_bars(np.exp(leg), 0, MINUTE) for leg in (y, x)]


@pytest.mark.parametrize("hedge", HEDGES)
def test_cutting_off_the_future_changes_nothing(spec, legs, hedge):
    parameters = spec(hedge=hedge, bars=800)
    check = truncation_check(parameters, plan_rows(parameters, 0, (N - 1) * MINUTE), *legs)
    assert check.differences == ()
    assert check.cuts == 20
    assert check.values_compared > 20 * 14 * 100


def test_a_number_that_has_seen_the_future_is_named(spec, legs, monkeypatch):
    advance = regression.advance

    def leaking(*arguments):
        after = advance(*arguments)
        arguments[-1][ZSCORE] -= np.nanmean(arguments[-1][ZSCORE])
        return after

    monkeypatch.setattr(regression, "advance", leaking)
    parameters = spec(bars=800)
    check = truncation_check(parameters, plan_rows(parameters, 0, (N - 1) * MINUTE), *legs)
    named = {difference.series for difference in check.differences}
    assert "ols.zscore" in named
    assert "ols.hedge_ratio" not in named


def test_a_pair_that_reverts_beats_its_placebo_and_a_random_one_does_not(spec, as_bars, legs):
    free = spec(fee_bps=0.0, slippage_bps=0.0, bars=2_000)
    plan = plan_rows(free, 0, (N - 1) * MINUTE)
    real = placebo_check(free, plan, *legs, runs=100)
    assert real.percentile > 95
    rng = np.random.default_rng(3)
    walks = [as_bars(np.exp(8 + np.cumsum(rng.normal(0, 1e-3, N))), 0, MINUTE) for _ in range(2)]
    chance = placebo_check(free, plan, *walks, runs=100)
    assert 2 < chance.percentile < 98
    assert chance.placebo_5pct < chance.placebo_mean < chance.placebo_95pct
    # Winning most trades proves nothing: the placebo does too.
    assert chance.placebo_win_rate > 0.5


def test_the_same_seed_gives_the_same_answer(spec, legs):
    parameters = spec(bars=500)
    plan = plan_rows(parameters, 0, (N - 1) * MINUTE)
    first, second, other = (
        placebo_check(parameters, plan, *legs, runs=20, seed=seed) for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_too_few_returns_give_no_percentile(spec, legs):
    parameters = spec(bars=10, window=10, hedge_window=10)
    plan = plan_rows(parameters, (N - 20) * MINUTE, (N - 1) * MINUTE)
    check = placebo_check(parameters, plan, *legs)
    assert check.runs == 0
    assert math.isnan(check.percentile)


def test_a_tie_is_half_won_and_ranks_in_the_middle():
    returns = np.array([-0.01, 0.0, 0.0, 0.02])
    assert _percentile(returns, 0.0) == 50.0
    assert _percentile(returns, 0.01) == 75.0
    assert _percentile(returns, -1.0) == 0.0


def test_where_nothing_trades_there_is_no_percentile(spec, legs):
    parameters = spec(bars=500, entry_z=1e6)
    check = placebo_check(parameters, plan_rows(parameters, 0, (N - 1) * MINUTE), *legs, runs=5)
    assert check.total_return == 0.0
    assert math.isnan(check.percentile)
