"""One rule for what is news: the page's toast, alerts and the backtest tell the same entries."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.views.live.screen import news
from core.alerts import judge_zscore, z_bars
from core.episodes import RuleState
from core.pair import analyse_pair, new_rows
from core.pair_spec import PairSpec
from core.row_plan import plan_new_rows, plan_rows
from core.rule_spec import RuleSpec, read_rule_spec
from core.settings import Settings
from core.signals import BORN
from core.types import Leg

MINUTE = 60_000
ROWS, BORN_AT = 700, 520
OPPOSED = (1, 6)
"""Seeds whose legs move against each other: fits give β ≤ 0, and nothing is entered."""
SIDES = {1: "long_spread", -1: "short_spread"}


def path(seed: int) -> tuple[Leg, Leg]:
    """Two legs that drift apart and come back, with holes, idle spells and a redenomination."""
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.normal(0, 1e-3, ROWS))
    spread = np.zeros(ROWS)
    for row, shock in enumerate(rng.standard_t(3, ROWS - 1) * 6e-4, start=1):
        spread[row] = rng.choice([0.85, 0.98]) * spread[row - 1] + shock
    ratio = -0.3 if seed in OPPOSED else 0.8
    prices = np.exp([4.0 + ratio * x + spread, 3.0 + x])
    if seed % 3 == 0:
        prices[rng.integers(2), rng.integers(BORN_AT + 60, ROWS) :] *= 10.0
    trades = rng.random((2, ROWS)) < 0.9
    began = rng.integers(BORN_AT, ROWS - 40)
    trades[rng.integers(2), began : began + 30] = False
    there = rng.random((2, ROWS)) > 0.01
    began = rng.integers(BORN_AT, ROWS - 20)
    there[:, began : began + rng.integers(1, 12)] = False
    times = np.arange(ROWS, dtype=np.int64) * MINUTE
    legs = (
        Leg(
            times[kept], price[kept], price[kept], traded[kept].astype(np.int64),
            np.ones(kept.sum(), bool), np.zeros(kept.sum(), bool),
        )
        for price, traded, kept in zip(prices, trades, there, strict=True)
    )  # fmt: skip
    leg_a, leg_b = legs
    return leg_a, leg_b


def rule_of(seed: int) -> RuleSpec:
    rng = np.random.default_rng(seed)
    entry_z = float(rng.choice([1.0, 1.5, 2.0]))
    asked: dict[str, Any] = {
        "symbol_a": "AAAUSDT", "symbol_b": "BBBUSDT", "window": 20, "hedge_window": 40,
        "entry_z": entry_z, "exit_z": float(rng.choice([-0.5, 0.0, 0.4])),
        "hedge": str(rng.choice(["ols", "kalman", "ratio", "returns"])),
        "exit_rule": str(rng.choice(["moving", "anchored"])),
    }  # fmt: skip
    if rng.random() < 0.5:
        asked["stop_z"] = entry_z + 0.75
    if rng.random() < 0.5:
        asked["max_hold_bars"] = 6
    return read_rule_spec({"kind": "zscore", **asked}, Settings())


def fired(rule: RuleSpec, leg_a: Leg, leg_b: Leg) -> set[tuple[int, str]]:
    """Bars and sides that an alert of the rule fires at, judged one by one."""
    spec = rule.pair
    assert spec is not None
    plan = plan_new_rows(spec, BORN_AT * MINUTE, (ROWS - 1) * MINUTE)
    rows = new_rows(spec, plan, leg_a, leg_b)
    bars = z_bars(spec, rows.rows, rows.y, rows.x, rows.hedge, rows.breaks, BORN)[-1]
    state, told = RuleState(0), set()
    for bar in bars:
        judged = judge_zscore(rule, 1, bar, state)
        state = judged.after
        for event in judged.events:
            if event.kind == "fired" and event.episode.direction != "no_data":
                told.add((event.episode.start_ms, event.episode.direction))
    return told


def toasted(spec: PairSpec, leg_a: Leg, leg_b: Leg) -> set[tuple[int, str]]:
    """Bars and sides that a page which is open all the while makes a toast of."""
    told = set()
    for end in range(BORN_AT, ROWS):
        result = analyse_pair(spec, plan_rows(spec, 0, end * MINUTE), leg_a, leg_b)
        toast = news(result, "key")
        if toast is not None:
            side = "long_spread" if toast["heading"].startswith("▲") else "short_spread"
            told.add((int(toast["id"].rpartition("@")[2]), side))
    return told


@pytest.mark.parametrize("seed", range(12))
def test_toasts_alerts_and_backtest_tell_the_same_entries(seed: int) -> None:
    rule, legs = rule_of(seed), path(seed)
    assert rule.pair is not None
    spec = replace(rule.pair, since=BORN_AT * MINUTE)
    result = analyse_pair(spec, plan_rows(spec, 0, (ROWS - 1) * MINUTE), *legs)
    before = np.concatenate(([0], result.position[:-1]))
    rows = np.flatnonzero((result.position != 0) & (result.position != before))
    entered = {
        (int(result.rows.open_time_ms[row]), SIDES[int(result.position[row])]) for row in rows
    }
    assert entered or seed in OPPOSED
    assert fired(rule, *legs) == entered
    assert toasted(spec, *legs) == entered
    filled = {trip.entry_time_ms for trip in result.backtest.round_trips}
    assert len(filled) <= len(entered)  # a decision taken back before it could fill is no trip
    assert all(any(time_ms > open_ms for open_ms, _ in entered) for time_ms in filled)
