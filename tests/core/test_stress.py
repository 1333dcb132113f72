"""Trading with one assumption changed, against the pair's own backtest and a loop over fills."""

import math
from dataclasses import replace

import numpy as np
import pytest

from core.bars import align
from core.pair import ready_rows, trade_rows
from core.row_plan import plan_rows
from core.signals import decide_positions
from core.stress import ANCHORED, AS_SET, LATE, MOVING, NO_COSTS, TWICE_COSTS, stress

HOUR = 3_600_000
N = 1_200


@pytest.fixture
def legs(log_pair, as_bars):
    return [as_bars(np.exp(leg), 0, HOUR) for leg in log_pair(N, 31, 0.01)]


def planned(spec):
    return plan_rows(spec, 0, (N - 1) * HOUR)


def aligned(spec, legs):
    plan = planned(spec)
    return align(*legs, HOUR, plan.history_start_ms, plan.end_ms)


def test_each_variant_is_the_pair_s_own_backtest_with_that_parameter(spec, legs):
    base = spec(timeframe="1h", bars=800, window=40, fee_bps=7.0, slippage_bps=1.0)
    told = stress(base, planned(base), *legs)
    changes = {
        AS_SET: {},
        NO_COSTS: {"fee_bps": 0.0, "slippage_bps": 0.0},
        TWICE_COSTS: {"fee_bps": 14.0, "slippage_bps": 2.0},
        MOVING: {"exit_rule": "moving"},
        ANCHORED: {"exit_rule": "anchored"},
    }
    for name, changed in changes.items():
        asked = replace(base, **changed)
        metrics = trade_rows(asked, planned(asked), aligned(asked, legs))[1].metrics
        assert told[name].trades == metrics.total_trades > 5
        assert told[name].net_bp == pytest.approx(metrics.avg_pnl / base.notional * 1e4)
        assert told[name].net == metrics.total_pnl
    assert told[NO_COSTS].net_bp > told[AS_SET].net_bp > told[TWICE_COSTS].net_bp
    assert told[MOVING] != told[ANCHORED]


def test_late_fills_are_at_the_open_after_the_one_that_was_due(spec, log_pair, as_bars):
    legs = [as_bars(np.exp(leg), 0, HOUR) for leg in log_pair(N, 31)]
    base = spec(timeframe="1h", bars=800, window=40, since=300 * HOUR)
    told = stress(base, planned(base), *legs)[LATE]
    rows, y, x, hedge, given, first = ready_rows(base, planned(base), aligned(base, legs))[1]
    assert first == 0
    position, _ = decide_positions(base, y, x, hedge, given)
    rate = (base.fee_bps + base.slippage_bps) / 1e4
    nets, side, entry = [], 0, None
    for row in range(len(position) - 2):
        if position[row] == side:
            continue
        opens = rows.open_a[row + 2], rows.open_b[row + 2]
        if entry is not None:
            quantities, paid = entry
            gross = sum(
                q * (now - then) for q, now, then in zip(quantities, opens, paid, strict=True)
            )
            fills = sum(
                abs(q) * (now + then) for q, now, then in zip(quantities, opens, paid, strict=True)
            )
            nets.append(gross - rate * fills)
            entry = None
        side = position[row]
        if side:
            ratio = hedge.hedge_ratio[row + 1]
            size = side * base.notional / (1.0 + abs(ratio))
            entry = (size / opens[0], -ratio * size / opens[1]), opens
    assert told.trades == len(nets) > 5
    assert told.net_bp == pytest.approx(np.mean(nets) / base.notional * 1e4, rel=1e-9)


def test_a_pair_that_never_trades_has_no_mean(spec, legs):
    base = spec(timeframe="1h", bars=800, window=40, entry_z=9.9)
    told = stress(base, planned(base), *legs)
    assert {one.trades for one in told.values()} == {0}
    assert all(math.isnan(one.net_bp) for one in told.values())
