import numpy as np
import pytest
from numpy.linalg import lstsq

from core.explain import explain_zscore
from core.pair import analyse_pair
from core.pair_spec import HEDGES
from core.row_plan import plan_rows

MINUTE = 60_000
N = 3_000


@pytest.fixture
def legs(log_pair, as_bars):
    y, x = log_pair(N, 8, 0.01)
    return [as_bars(np.exp(leg), 0, MINUTE) for leg in (y, x)]


def explained(spec, legs, row):
    plan = plan_rows(spec, 0, (N - 1) * MINUTE)
    result = analyse_pair(spec, plan, *legs)
    time_ms = int(result.rows.open_time_ms[row])
    return result, explain_zscore(spec, plan, *legs, time_ms)


@pytest.mark.parametrize("hedge", HEDGES)
@pytest.mark.parametrize("row", [0, 1, 333, -1])
def test_explained_z_is_the_z_on_screen_to_the_bit(spec, legs, hedge, row):
    result, told = explained(spec(hedge=hedge), legs, row)
    expected = [
        result.chosen.zscore[row], result.chosen.spread_mean[row], result.chosen.spread_std[row],
        result.chosen.hedge_ratio[row], result.chosen.intercept[row], result.chosen.spread[row],
    ]  # fmt: skip
    got = [
        told.zscore, told.spread_mean, told.spread_std, told.hedge_ratio[-1], told.intercept[-1],
        told.spread[-1],
    ]  # fmt: skip
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("hedge", HEDGES)
def test_a_spreadsheet_reproduces_the_z_from_what_is_told(spec, legs, hedge):
    parameters = spec(hedge=hedge)
    _, told = explained(parameters, legs, 500)
    times = told.rows.open_time_ms
    assert times[-1] == told.open_time_ms
    window = (times >= told.window_start_ms) & (times < told.open_time_ms)
    assert window.sum() == parameters.window
    spread = told.log_a - told.intercept - told.hedge_ratio * told.log_b
    before = spread[window][~np.isnan(spread[window])]
    z = (spread[-1] - before.mean()) / before.std(ddof=1)
    assert z == pytest.approx(told.zscore, abs=1e-8)
    if hedge == "ols":
        fit = (times >= told.fit_start_ms) & (times < told.open_time_ms) & ~np.isnan(told.log_a)
        assert ((times >= told.fit_start_ms) & (times < told.open_time_ms)).sum() == 300
        design = np.c_[np.ones(fit.sum()), told.log_b[fit]]
        intercept, ratio = lstsq(design, told.log_a[fit], rcond=None)[0]
        assert (intercept, ratio) == pytest.approx((told.intercept[-1], told.hedge_ratio[-1]))


def test_nothing_later_than_the_row_is_told(spec, legs):
    result, told = explained(spec(), legs, 100)
    assert told.rows.open_time_ms.max() == result.rows.open_time_ms[100]


@pytest.mark.parametrize(("hedge", "back"), [("ols", 300), ("returns", 310), ("kalman", None)])
def test_the_fit_begins_with_its_window_and_the_filter_with_its_run(spec, legs, hedge, back):
    parameters = spec(hedge=hedge)
    plan = plan_rows(parameters, 0, (N - 1) * MINUTE)
    _, told = explained(parameters, legs, 500)
    first = plan.history_start_ms if back is None else told.open_time_ms - back * MINUTE
    assert told.fit_start_ms == first
    assert told.window_start_ms == told.open_time_ms - 60 * MINUTE
