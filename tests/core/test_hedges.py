"""What a hedge is worth, and what would have been traded with it, seen from outside the sample."""

import numpy as np
import pandas as pd
import pytest

from core.hedges import hedge_effectiveness
from core.pair import analyse_pair
from core.pair_spec import HEDGES
from core.row_plan import plan_rows

MINUTE = 60_000
H = 200


def twin(y, x, ratio, hedge_window):
    """The contract as pandas says it."""
    frame = pd.DataFrame({"y": y, "x": x, "ratio": ratio})
    changed = frame[["y", "x"]].diff(10)
    left = changed["y"] - frame["ratio"].shift(10) * changed["x"]
    both = pd.concat([left, changed["y"]], axis=1, keys=["left", "whole"]).iloc[-hedge_window:]
    both = both.dropna()
    return 1 - both["left"].var() / both["whole"].var()


@pytest.mark.parametrize("missing", [0.0, 0.002])
def test_effectiveness_is_the_variance_that_yesterdays_ratio_took_away(log_pair, missing):
    y, x = log_pair(900, 3, missing)
    ratio = 0.8 + np.cumsum(np.random.default_rng(4).normal(0, 0.01, 900))
    for end in (H + 10, 500, 900):
        got = hedge_effectiveness(y[:end], x[:end], ratio[:end], H)
        assert got == pytest.approx(twin(y[:end], x[:end], ratio[:end], H), rel=1e-9)


def test_a_perfect_hedge_takes_all_and_a_wrong_one_adds_risk():
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.normal(0, 1e-3, 600))
    y = 2.0 * x
    for ratio, expected in ((2.0, 1.0), (0.0, 0.0), (4.0, 0.0), (-2.0, -3.0)):
        given = np.full(600, ratio)
        assert hedge_effectiveness(y, x, given, H) == pytest.approx(expected, abs=1e-9)


def test_the_ratio_that_a_change_ends_with_plays_no_part(log_pair):
    """A ratio that saw the change would look better than anybody could have traded it."""
    y, x = log_pair(600, 5)
    ratio = np.full(600, 0.8)
    whole = hedge_effectiveness(y, x, ratio, H)
    ratio[-10:] = 1e9
    assert hedge_effectiveness(y, x, ratio, H) == whole
    ratio[-11] = 0.0
    assert hedge_effectiveness(y, x, ratio, H) != whole


def test_too_few_changes_and_a_leg_that_stands_still_have_none(log_pair):
    y, x = log_pair(600, 6)
    ratio = np.full(600, 0.8)
    assert np.isfinite(hedge_effectiveness(y[-190:], x[-190:], ratio[-190:], H))
    assert np.isnan(hedge_effectiveness(y[-189:], x[-189:], ratio[-189:], H))
    assert np.isnan(hedge_effectiveness(np.full(600, 3.0), x, ratio, H))


def test_every_hedge_is_judged_whichever_trades(spec, log_pair, as_bars):
    y, x = log_pair(5_000, 7)
    bars = [as_bars(np.exp(leg), 0, MINUTE) for leg in (y, x)]
    by_hedge = {}
    for hedge in HEDGES:
        parameters = spec(hedge=hedge, hedge_window=H, bars=1_200)
        result = analyse_pair(parameters, plan_rows(parameters, 0, 4_999 * MINUTE), *bars)
        by_hedge[hedge] = result
        expected = twin(y[-1_200:], x[-1_200:], result.chosen.hedge_ratio[-1_200:], H)
        for other in HEDGES:
            assert result.hedges[other] == by_hedge.get(other, result).hedges[other]
        assert result.hedges[hedge].effectiveness == pytest.approx(expected, abs=1e-9)
        assert 0.3 < result.hedges[hedge].effectiveness < 1.0
    assert (by_hedge["ratio"].chosen.hedge_ratio == 1.0).all()
    halfway = (by_hedge["ols"].chosen.hedge_ratio + 1.0) / 2.0
    np.testing.assert_allclose(by_hedge["shrunk"].chosen.hedge_ratio[-1_200:], halfway[-1_200:])
