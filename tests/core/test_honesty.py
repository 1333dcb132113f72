import math

import numpy as np
import pytest
from statsmodels.tsa.stattools import coint

from core import regression
from core.honesty import _covariance, _noise, _walk, placebo, truncation_check
from core.pair import analyse_pair
from core.pair_spec import HEDGES
from core.row_plan import plan_rows
from core.types import Metrics, PairRows
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
    real = placebo(free, plan, *legs, runs=60)[0].figures
    assert real["total_return"].rank > 95
    assert real["reversion_capture"].rank > 95
    assert (real["half_life_found"].value, real["half_life_found"].median) == (1.0, 0.0)
    assert real["beyond_entry"].median > 0.1  # a normal z would be there in one row of twenty
    rng = np.random.default_rng(3)
    walks = [as_bars(np.exp(8 + np.cumsum(rng.normal(0, 1e-3, N))), 0, MINUTE) for _ in range(2)]
    chance = placebo(free, plan, *walks, runs=60)[0].figures
    told = chance["total_return"]
    assert 2 < told.rank < 98
    assert told.low < told.median < told.high
    # Winning most trades proves nothing: the placebo does too.
    assert chance["win_rate"].median > 0.5


def test_every_figure_of_the_backtest_has_its_noise(spec, legs):
    parameters = spec(bars=500)
    plan = plan_rows(parameters, 0, (N - 1) * MINUTE)
    told, reason = placebo(parameters, plan, *legs, runs=20)
    result = analyse_pair(parameters, plan, *legs)
    assert (told.runs, reason) == (20, "")
    for name in Metrics.__slots__:
        value = getattr(result.backtest.metrics, name)
        assert told.figures[name].value == pytest.approx(value, nan_ok=True)
    beyond = np.abs(result.chosen.zscore[~np.isnan(result.chosen.zscore)]) >= 2.0
    assert told.figures["beyond_entry"].value == beyond.mean()
    assert told.figures["half_life_bars"].value == result.half_life_bars
    assert told.figures["sharpe"].defined == 0  # under thirty days there is none
    assert told.figures["correlation"].value == result.correlation
    assert told.figures["hedge_effectiveness"].value == result.hedges["ols"].effectiveness
    assert told.figures["pvalue_both"].value == result.cointegration.pvalue_both


def test_noise_of_how_legs_go_together_is_that_of_walks_as_correlated(spec, as_bars):
    """Plain twins of the three figures on walks of its own making, as many runs of each."""
    rng, n, share = np.random.default_rng(11), 1_500, 0.8
    parameters = spec(bars=900)

    def walks():
        steps = rng.normal(0, 1e-3, (2, n))
        steps[1] = share * steps[0] + math.sqrt(1 - share**2) * steps[1]
        return np.cumsum(steps, axis=1)

    legs = [as_bars(np.exp(leg), 0, MINUTE) for leg in walks()]
    plan = plan_rows(parameters, 0, (n - 1) * MINUTE)
    told = placebo(parameters, plan, *legs, runs=150)[0]
    assert told.correlation == pytest.approx(share, abs=0.03)
    plain = {"correlation": [], "hedge_effectiveness": [], "pvalue_both": []}
    for _ in range(150):
        y, x = walks()
        plain["correlation"].append(np.corrcoef(np.diff(y)[-60:], np.diff(x)[-60:])[0, 1])
        changed = [
            [leg[t] - leg[t - 10] for leg in (y, x)]
            + [np.polyfit(x[t - 310 : t - 10], y[t - 310 : t - 10], 1)[0]]
            for t in range(n - 300, n)
        ]
        dy, dx, beta = np.array(changed).T
        plain["hedge_effectiveness"].append(1 - np.var(dy - beta * dx) / np.var(dy))
        pvalues = [coint(*pair)[1] for pair in ((y[-900:], x[-900:]), (x[-900:], y[-900:]))]
        plain["pvalue_both"].append(min(1, 2 * min(pvalues)))
    for name, values in plain.items():
        low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
        noise = told.figures[name]
        assert noise.defined == 150
        spread = (high - low) / 4  # of quantiles of 150 runs each
        assert (noise.low, noise.median) == pytest.approx((low, median), abs=spread), name
        assert noise.high == pytest.approx(high, abs=spread), name


def test_what_the_pair_lacks_of_its_legs_going_together_has_a_reason(spec, as_bars):
    rng, n = np.random.default_rng(2), 1_000
    steps = rng.normal(0, 1e-3, (2, n))
    steps[0, -400:] = 0.0  # leg A stands still
    legs = [as_bars(np.exp(leg), 0, MINUTE) for leg in np.cumsum(steps, axis=1)]
    parameters = spec(bars=300)
    told = placebo(parameters, plan_rows(parameters, 0, (n - 1) * MINUTE), *legs, runs=5)[0]
    result = analyse_pair(parameters, plan_rows(parameters, 0, (n - 1) * MINUTE), *legs)
    for name, words in (
        ("correlation", result.reasons["correlation"]),
        ("hedge_effectiveness", result.reasons["hedge_effectiveness.ols"]),
        ("pvalue_both", result.reasons["cointegration"]),
    ):
        assert math.isnan(told.figures[name].value)
        assert told.reasons[name] == words


def test_the_same_seed_gives_the_same_answer(spec, legs):
    parameters = spec(bars=500)
    plan = plan_rows(parameters, 0, (N - 1) * MINUTE)
    first, second, other = (
        repr(placebo(parameters, plan, *legs, runs=20, seed=seed)) for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_too_few_returns_give_no_placebo(spec, legs):
    parameters = spec(bars=10, window=10, hedge_window=10)
    plan = plan_rows(parameters, (N - 20) * MINUTE, (N - 1) * MINUTE)
    assert placebo(parameters, plan, *legs) == (None, "under 50 returns of both legs")


def test_a_tie_is_half_won_and_ranks_in_the_middle():
    walks = np.array([-0.01, 0.0, np.nan, 0.0, 0.02])
    assert _noise(0.0, walks).rank == 50.0
    assert _noise(0.01, walks).rank == 75.0
    assert _noise(-1.0, walks).rank == 0.0
    assert _noise(0.0, walks).defined == 4
    assert math.isnan(_noise(math.nan, walks).rank)
    assert math.isnan(_noise(0.0, np.full(3, math.nan)).median)


def test_where_nothing_trades_there_is_no_rank(spec, legs):
    parameters = spec(bars=500, entry_z=1e6)
    plan = plan_rows(parameters, 0, (N - 1) * MINUTE)
    told = placebo(parameters, plan, *legs, runs=5)[0].figures["total_return"]
    assert told.value == 0.0
    assert math.isnan(told.rank)


@pytest.mark.parametrize("share", [1.0, 0.6, 0.3])
def test_walks_move_trade_and_go_together_as_the_legs_do(share):
    """Closes of different moments hide how far legs move together: it is not taken from them."""
    rng, n = np.random.default_rng(5), 20_000
    steps = np.array([[2e-3, 0.0], [0.7e-3, 0.7141e-3]]) @ rng.normal(size=(2, n + 1))
    rows = _walk(
        PairRows(np.arange(n), *np.ones((4, n)), rng.random(n) < 0.95, rng.random(n) < share),
        np.cov(steps), rng,
    )  # fmt: skip
    rows.open_a[100:110] = rows.close_a[100:110] = np.nan
    rows.open_b[100:110] = rows.close_b[100:110] = np.nan
    covariance = _covariance(rows)
    assert covariance == pytest.approx(np.cov(steps), rel=0.06)
    again = _walk(rows, covariance, rng)
    assert _covariance(again) == pytest.approx(covariance, rel=0.1)
    np.testing.assert_array_equal(again.traded_b, rows.traded_b)
    assert rows.traded_b.mean() == pytest.approx(share, abs=0.02)
    np.testing.assert_array_equal(again.present, rows.present)
    idle = np.flatnonzero(rows.present & ~rows.traded_b)[5:]
    assert (again.open_b[idle] == again.close_b[idle]).all()
    kept = idle[rows.present[idle - 1]]
    np.testing.assert_array_equal(again.close_b[kept], again.close_b[kept - 1])
