"""What is said to be measured is what the scripts measure."""

import numpy as np
import pytest

from benchmarks.method import noise_pairs, way_back
from benchmarks.watching import CLOSES, measure
from core.backtest import trade
from core.pair import ready_rows
from core.pair_spec import HEDGES, read_pair_spec
from core.row_plan import plan_rows
from core.settings import Settings
from core.signals import decide_positions

HOUR = 3_600_000


@pytest.mark.parametrize("hedge", HEDGES)
def test_the_way_back_of_a_z_is_that_of_prices_mean_and_fit(hedge: str) -> None:
    """Trip by trip in plain words, on one pair of walks."""
    asked = {"timeframe": "1h", "hedge": hedge, "window": 30, "bars": 20_000}
    spec, rows = read_pair_spec(asked, Settings()), next(noise_pairs(HOUR))
    plan = plan_rows(spec, int(rows.open_time_ms[0]), int(rows.open_time_ms[-1]))
    ready = ready_rows(spec, plan, rows)[1]
    decided = decide_positions(spec, ready.y, ready.x, ready.hedge, ready.given)
    trips = trade(spec, ready.rows, ready.hedge, ready.given, *decided, ready.first)[1]
    way = way_back(spec, ready, trips)
    assert len(way.price) == trips.closed > 50
    y, x, h = np.log(rows.close_a), np.log(rows.close_b), ready.hedge
    for trip in range(0, trips.closed, 7):
        d, e, side = int(trips.decided[trip]), int(trips.left[trip]), int(trips.side[trip])
        spread = y - h.intercept[d] - h.hedge_ratio[d] * x
        sigma = h.spread_std[d]
        assert way.price[trip] == pytest.approx(side * (spread[e] - spread[d]) / sigma)
        means = [spread[at - 30 : at].mean() for at in (d, e)]
        assert way.mean[trip] == pytest.approx(side * (means[0] - means[1]) / sigma)
        whole = way.price[trip] + way.mean[trip] + way.fit[trip]
        assert whole == pytest.approx(side * (h.zscore[e] - h.zscore[d]))
        assert whole > 2.0 - 0.5 - 1e-9  # it was let in from 2 on, and left within a half


def test_what_watching_costs_is_told_of_rules_that_were_all_judged_at_every_bar() -> None:
    assert measure(2, "1m", symbols=2).judged == 2 * CLOSES
