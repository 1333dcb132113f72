"""Rules over made-up rows, judged bar by bar, and what comes of it in short words."""

import json
import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from core import episodes
from core.alerts import judge_zscore, z_bars
from core.episodes import Episode, Judgement, RuleState, begin, stored_state
from core.rule_spec import RuleSpec, read_rule_spec
from core.settings import Settings
from core.types import BoolArray, FloatArray, HedgeSeries, PairRows

MINUTE = 60_000
GAP = math.nan
FIRED = "firing, fired, !told"


def rule_of(kind: str = "zscore", **asked: Any) -> RuleSpec:
    pair = {} if kind == "data" else {"symbol_a": "AAAUSDT", "symbol_b": "BBBUSDT"}
    return read_rule_spec({"kind": kind, **pair, **asked}, Settings())


def rows_of(
    zs: Sequence[float],
    first: int = 0,
    ratio: float = 1.0,
    traded: bool = True,
    broken: bool = False,
) -> tuple[PairRows, FloatArray, FloatArray, HedgeSeries, BoolArray]:
    """Rows with these z, as columns: (rows, y, x, hedge, breaks)."""
    z = np.asarray(zs, float)
    n = len(z)
    price = np.where(np.isnan(z), math.nan, 100.0)
    times = MINUTE * (first + np.arange(n, dtype=np.int64))
    was_traded = ~np.isnan(z) & traded
    rows = PairRows(times, price, price, price, price, was_traded, was_traded)
    hedge = HedgeSeries(np.full(n, ratio), z * 0, z, z * 0, z * 0 + 1, z)
    return rows, np.log(price), np.log(price), hedge, np.full(n, broken)


def kept(state: RuleState) -> RuleState:
    """A state as the store gives it back after a kill."""
    return episodes.revive(json.loads(json.dumps(stored_state(state))))


class Desk:
    """Judges bar by bar, killed after each."""

    def __init__(self, asked: RuleSpec, version: int = 1) -> None:
        self.rule, self.version = asked, version
        self.state = RuleState(0)
        self.next = 0
        self.told: list[Judgement] = []

    def bar(
        self, z: float, *, is_late: bool = False, seen: Collection[Episode] = (), **row: Any
    ) -> Judgement:
        assert self.rule.pair is not None
        _, _, _, bars = z_bars(self.rule.pair, *rows_of([z], self.next, **row), self.state.progress)
        judged = judge_zscore(
            self.rule, self.version, bars[0], self.state, is_late=is_late, seen=seen
        )
        self.state = kept(judged.after)
        self.next += 1
        self.told.append(judged)
        return judged

    def run(self, *zs: float) -> list[str]:
        return [shorthand(self.bar(z)) for z in zs]

    def edit(self, asked: RuleSpec, reborn: bool = True) -> None:
        self.rule, self.version = asked, self.version + 1
        self.state = begin(self.state, self.next * MINUTE if reborn else self.state.born_ms)


def shorthand(judged: Judgement) -> str:
    """The state after a bar, and what happened at it; "!" where somebody is told."""
    marks = [
        ("!" if event.tell else "") + event.kind + (f" {event.outcome}" if event.outcome else "")
        for event in judged.events
    ]
    return ", ".join(["no data" if judged.shown == "no_data" else judged.shown, *marks])
