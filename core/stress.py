"""The same trading under other costs, exits and fills: on which assumption its profit hangs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from core.backtest import run_backtest
from core.bars import align
from core.pair import Ready, ready_rows
from core.pair_spec import PairSpec
from core.row_plan import RowPlan
from core.signals import decide_positions
from core.types import Leg

AS_SET, NO_COSTS, TWICE_COSTS = "as_set", "no_costs", "twice_costs"
MOVING, ANCHORED, LATE = "moving", "anchored", "late"
"""Exits at the mean as it moves on, at that of the entry, and every fill a row later."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one variant."""

    trades: int
    """Closed ones."""
    net_bp: float
    """Net of a closed trade in basis points of the notional, on average; NaN without one."""
    net: float
    """Last equity minus first, quote currency; NaN where nothing can be traded."""


def stress(spec: PairSpec, plan: RowPlan, leg_a: Leg, leg_b: Leg) -> Mapping[str, Outcome]:
    """Trade a pair as it is set, and with one assumption changed at a time.

    Notes
    -----
    A late fill is decided on what was known a row before, and sized by the hedge ratio of the row
    that it is decided to wait for.
    """
    rows = align(leg_a, leg_b, spec.timeframe_ms, plan.history_start_ms, plan.end_ms)
    ready = ready_rows(spec, plan, rows)[1]
    fee_bps, slippage_bps = 2.0 * spec.fee_bps, 2.0 * spec.slippage_bps
    variants = {
        AS_SET: spec,
        NO_COSTS: replace(spec, fee_bps=0.0, slippage_bps=0.0),
        TWICE_COSTS: replace(spec, fee_bps=fee_bps, slippage_bps=slippage_bps),
        MOVING: replace(spec, exit_rule="moving"),
        ANCHORED: replace(spec, exit_rule="anchored"),
    }
    told = {name: _outcome(one, ready) for name, one in variants.items()}
    return told | {LATE: _outcome(spec, ready, late=1)}


def _outcome(spec: PairSpec, ready: Ready, late: int = 0) -> Outcome:
    rows, y, x, hedge, given, first = ready
    position, exit_code = decide_positions(spec, y, x, hedge, given)
    if late:
        position, exit_code = (
            np.concatenate((np.zeros(late, dtype=np.int64), decided[:-late]))
            for decided in (position, exit_code)
        )
    metrics = run_backtest(spec, rows, y, x, hedge, given, position, exit_code, first)[0].metrics
    return Outcome(
        trades=metrics.total_trades,
        net_bp=metrics.avg_pnl / spec.notional * 1e4,
        net=metrics.total_pnl,
    )
