"""A radar rule at one closed bar: an episode a pair, whichever pair of the universe it is.

A condition is known by its pair, whichever leg comes first in a scan; its direction has the legs
as they stood when it fired, and the pair is judged that way until it resolves.
"""

import math
from collections.abc import Collection
from typing import NamedTuple

from core.episodes import (
    NO_DATA,
    Bench,
    Episode,
    Facts,
    Judgement,
    RuleState,
    Verdict,
    no_data_words,
    plain_value,
)
from core.rule_spec import RuleSpec
from core.words import with_minus

NAMED = 3
_SIDES = {1: "long_spread", -1: "short_spread"}


class Stretch(NamedTuple):
    """A pair that a rule looks at: one that fires, or one that passes and seems far out."""

    symbol_a: str
    symbol_b: str
    zscore: float
    """By the pair's own kernel; NaN where that has none."""
    hedge_ratio: float
    level: float
    """|z| from which on it counts."""
    passes: bool
    """Whether the newest scan lets it pass."""
    qvalue: float
    p_quarters_median: float
    half_life_bars: float

    @property
    def name(self) -> str:
        """The same whichever leg comes first."""
        return "/".join(sorted((self.symbol_a, self.symbol_b)))


class Sky(NamedTuple):
    """All that a rule sees at one bar."""

    pairs: int
    """That pass."""
    stretches: tuple[Stretch, ...]


def judge_radar(
    rule: RuleSpec,
    version: int,
    open_time_ms: int,
    sky: Sky | None,
    state: RuleState,
    *,
    is_late: bool = False,
    seen: Collection[Episode] = (),
    reason: str = "",
) -> Judgement:
    """Judge every pair of one closed bar.

    Parameters
    ----------
    sky : with each pair that is pending, firing or recovering; None where nothing can be seen.
    reason : why nothing can.
    """
    radar = rule.radar
    assert radar is not None, "a radar rule says what it watches"
    bench = Bench(rule, version, open_time_ms, math.nan, state, is_late, seen)
    missing = sky is None
    bench.step(NO_DATA, "on" if missing else "off", NO_DATA, rule.watch.no_data_after_bars, 1)
    stretches = () if sky is None else sky.stretches
    for one in stretches:
        _step(bench, one, radar.back_z)
    # What has been told longer ago than it keeps silent is as if it had never been.
    for name, latch in list(bench.latches.items()):
        told_ms = latch.told_ms or 0
        if latch.stage == "normal" and told_ms + 1e3 * rule.watch.cooldown_s <= open_time_ms:
            del bench.latches[name]
    if sky is None:
        words = no_data_words(bench, rule.watch, reason)
        return bench.judgement(words, math.nan, {}, state.progress)
    beyond = sorted((one for one in stretches if _is_beyond(one)), key=lambda one: -abs(one.zscore))
    farthest = beyond[0] if beyond else None
    values: dict[str, float | int | str | None] = {
        "pairs": sky.pairs,
        "beyond": len(beyond),
        "farthest": farthest and f"{farthest.symbol_a}/{farthest.symbol_b}",
        "zscore": farthest and farthest.zscore,
    }
    return bench.judgement(_words(bench, sky, beyond), math.nan, values, state.progress)


def _step(bench: Bench, one: Stretch, back_z: float) -> None:
    latch, z = bench.latch(one.name), one.zscore
    side = -1 if z > 0.0 else 1
    held = {name: side for side, name in _SIDES.items()}.get(latch.direction.partition(":")[0], 0)
    facts = _facts(one)
    if held and held != side and _is_beyond(one):
        bench.step(one.name, "over", latch.direction, outcome="flip", facts=facts)
        held = 0
    direction = latch.direction if held else f"{_SIDES[side]}:{one.symbol_a}/{one.symbol_b}"
    verdict: Verdict = "between"
    if math.isnan(z):
        verdict = "unknown"
    elif held * -z <= back_z if held else abs(z) <= back_z:
        verdict = "off"
    elif _is_beyond(one) and (one.passes or latch.episode is not None):
        verdict = "on"
    bench.step(one.name, verdict, direction, outcome="revert", facts=facts)


def _is_beyond(one: Stretch) -> bool:
    return abs(one.zscore) >= one.level and one.hedge_ratio > 0.0


def _facts(one: Stretch) -> Facts:
    words = f"{one.symbol_a} / {one.symbol_b} z {one.zscore:+.2f}, counts from {one.level:.2f}"
    values = {name: plain_value(value) for name, value in one._asdict().items()}
    return Facts(with_minus(words), one.zscore, values)


def _words(bench: Bench, sky: Sky, beyond: list[Stretch]) -> str:
    told = f"{len(beyond)} of {sky.pairs:,} pairs that pass are beyond their level"
    if beyond:
        named = "; ".join(_facts(one).words for one in beyond[:NAMED])
        more = f" and {len(beyond) - NAMED} more" if len(beyond) > NAMED else ""
        told += f": {named}{more}"
    return f"{bench.headline()}: {told}"
