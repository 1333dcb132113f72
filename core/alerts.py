"""Rule, judged bar and state in; what happened and the new state out, for each kind of rule.

What is news of a z-score is decided by `core.signals` and nothing else: an episode fires where
the signal decides on a position and resolves where the signal leaves it, so that toast, alert,
paper and backtest tell the same entries. What a rule adds lies on top of that: `for_bars` waits
with the news while the position is held and z stays at entry, `keep_bars` waits with the end while
z stays beyond the exit, and cooldown, mute and lateness only hold messages back, never the record.
An episode outlives its position in one case: no gap ends it. The signal gives up after some rows
without z and then waits for z to come back inside the exit; the episode goes on until that happens.
"""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from core.episodes import (
    NO_DATA,
    QUIET,
    Bench,
    Episode,
    Facts,
    Judgement,
    Latch,
    RuleState,
    Verdict,
    no_data_words,
    plain_value,
)
from core.pair_spec import PairSpec
from core.rule_spec import MEASURES, Bound, RuleSpec, Watch
from core.signals import EXIT_REASONS, Conditions, Progress, decide_on
from core.timeframes import MINUTE_MS
from core.types import BoolArray, FloatArray, HedgeSeries, IntArray, PairRows
from core.words import with_minus

SPREAD = "spread"
_DIRECTIONS = {1: "long_spread", -1: "short_spread"}
_SIDES = {name: side for side, name in _DIRECTIONS.items()}


class ZBar(NamedTuple):
    """All that the decision of one row hung on, as `core.signals` saw it."""

    open_time_ms: int
    close_a: float
    close_b: float
    hedge_ratio: float
    intercept: float
    spread: float
    spread_mean: float
    spread_std: float
    zscore: float
    may_enter: bool
    halted: bool
    position: int
    exit_code: int
    progress: Progress
    """To go on from after this row."""


class SymbolFacts(NamedTuple):
    """How one symbol is; None where nothing is known."""

    symbol: str
    status: str
    silent_s: float | None
    missing_ids: int


class DataFacts(NamedTuple):
    """How the data are at one minute; None where nothing is known."""

    symbols: Sequence[SymbolFacts]
    feed_age_s: float | None
    days_left: float | None


def z_bars(
    spec: PairSpec,
    rows: PairRows,
    y: FloatArray,
    x: FloatArray,
    hedge: HedgeSeries,
    breaks: BoolArray,
    progress: Progress,
) -> tuple[Conditions, IntArray, IntArray, list[ZBar]]:
    """Decide on new rows as `core.signals` does, and give each with all that it hung on.

    Parameters
    ----------
    rows, y, x, hedge, breaks : (n,) the new rows alone, which follow those of `progress`.

    Returns
    -------
    Conditions, positions and exit codes of the rows, as paper wants them, and the bars to judge.
    """
    bars: list[ZBar] = []
    facts: list[Conditions] = []
    for row in range(len(rows)):
        one = slice(row, row + 1)
        alone = PairRows(*(getattr(rows, name)[one] for name in PairRows.__slots__))
        fit = HedgeSeries(*(getattr(hedge, name)[one] for name in HedgeSeries.__slots__))
        given, position, exit_code, progress = decide_on(
            spec, alone, y[one], x[one], fit, breaks[one], progress
        )
        facts.append(given)
        bars.append(
            ZBar(
                open_time_ms=int(alone.open_time_ms[0]),
                close_a=float(alone.close_a[0]),
                close_b=float(alone.close_b[0]),
                hedge_ratio=float(fit.hedge_ratio[0]),
                intercept=float(fit.intercept[0]),
                spread=float(fit.spread[0]),
                spread_mean=float(fit.spread_mean[0]),
                spread_std=float(fit.spread_std[0]),
                zscore=float(fit.zscore[0]),
                may_enter=bool(given.may_enter[0]),
                halted=bool(given.halted[0]),
                position=int(position[0]),
                exit_code=int(exit_code[0]),
                progress=progress,
            )
        )
    columns = (
        np.concatenate([getattr(given, name) for given in facts] or [np.zeros(0, np.bool_)])
        for name in Conditions._fields
    )
    positions, codes = (
        np.array([getattr(bar, name) for bar in bars], dtype=np.int64)
        for name in ("position", "exit_code")
    )
    return Conditions(*columns), positions, codes, bars


def judge_zscore(
    rule: RuleSpec,
    version: int,
    bar: ZBar,
    state: RuleState,
    *,
    is_late: bool = False,
    seen: Collection[Episode] = (),
    reason: str = "",
) -> Judgement:
    """Judge one closed bar of a z-score rule.

    Parameters
    ----------
    bar : the one after `state.judged_ms`, decided on from `state.progress`.
    is_late : a newer bar is closed already: nothing is announced before that one is judged.
    seen : episodes that somebody has acknowledged: quiet until they resolve.
    reason : why there is no z, where there is none.
    """
    spec = rule.pair
    assert spec is not None, "a z-score rule has a pair"
    z, before = bar.zscore, state.progress.state
    bench = Bench(rule, version, bar.open_time_ms, z, state, is_late, seen)
    missing = math.isnan(z)
    bench.step(NO_DATA, "on" if missing else "off", NO_DATA, rule.watch.no_data_after_bars, 1)
    latch = bench.latch(SPREAD)
    side = _SIDES.get(latch.direction, 0)
    outcome = EXIT_REASONS[bar.exit_code] or ""
    if side and bar.position == -side:
        bench.step(SPREAD, "over", latch.direction, outcome="flip")
        side = 0
    side = side or bar.position
    direction = _DIRECTIONS.get(side, "")
    verdict: Verdict = "between"
    if outcome in ("break", "halted", "stop", "time") and before.held == side:
        verdict = "over"
    elif missing or outcome == "no_data":
        verdict = "unknown"
    elif outcome == "revert" and before.held == side:
        verdict = "off"
    elif bar.position == side != 0 and bar.may_enter and _is_at_entry(spec, side, z):
        verdict = "on"
    elif side and bar.position != side and -side * z <= spec.exit_z:
        verdict, outcome = "off", "revert"
    bench.step(SPREAD, verdict, direction, outcome=outcome)
    words = _z_words(spec, rule.watch, bar, state, bench, verdict, outcome, reason)
    values = {name: plain_value(getattr(bar, name)) for name in ZBar._fields if name != "progress"}
    return bench.judgement(words, z, values, bar.progress)


def judge_measure(
    rule: RuleSpec,
    version: int,
    open_time_ms: int,
    value: float,
    state: RuleState,
    *,
    is_late: bool = False,
    seen: Collection[Episode] = (),
    reason: str = "",
) -> Judgement:
    """Judge a figure of a pair at one closed bar; see `judge_zscore`."""
    bound = rule.bound
    assert bound is not None, "a relationship rule has a bound"
    bench = Bench(rule, version, open_time_ms, value, state, is_late, seen)
    missing = math.isnan(value)
    bench.step(NO_DATA, "on" if missing else "off", NO_DATA, rule.watch.no_data_after_bars, 1)
    for direction, limit, outward in (("below", bound.below, -1), ("above", bound.above, 1)):
        if limit is None:
            bench.step(direction, "over", direction, outcome="gone")
            continue
        beyond = outward * (value - limit)
        verdict: Verdict = "off" if beyond <= -bound.hysteresis else "between"
        verdict = "unknown" if missing else "on" if beyond > 0.0 else verdict
        bench.step(direction, verdict, direction)
    name = MEASURES[bound.measure]
    words = f"{bench.headline()}: {name} {_number(value)} is {_beside(bound, value)}"
    if missing:
        words = no_data_words(bench, rule.watch, reason or f"no {name}")
    values: dict[str, float | int | str | None] = {
        "measure": bound.measure,
        "value": plain_value(value),
    }
    return bench.judgement(words, value, values, state.progress)


def _beside(bound: Bound, value: float) -> str:
    if bound.below is not None and value < bound.below:
        return f"below {bound.below:g}"
    if bound.above is not None and value > bound.above:
        return f"above {bound.above:g}"
    inside = {"not below": bound.below, "not above": bound.above}
    return ", ".join(f"{words} {limit:g}" for words, limit in inside.items() if limit is not None)


def judge_data(
    rule: RuleSpec,
    version: int,
    now_ms: int,
    facts: DataFacts,
    state: RuleState,
    *,
    seen: Collection[Episode] = (),
) -> Judgement:
    """Judge the data themselves, once a minute; nothing of it can be judged late.

    While the whole feed is stale its symbols are not told to be silent one by one.
    """
    asked = rule.data
    assert asked is not None, "a data rule says what it watches"
    bench = Bench(rule, version, now_ms // MINUTE_MS * MINUTE_MS, math.nan, state, False, seen)
    is_stale = facts.feed_age_s is None or facts.feed_age_s > asked.stale_after_s
    age = "never" if facts.feed_age_s is None else f"for {facts.feed_age_s:.0f} s"
    wrong: list[str] = []

    def look(name: str, is_on: bool, words: str, is_known: bool = True) -> None:
        verdict: Verdict = ("on" if is_on else "off") if is_known else "unknown"
        # Each tells what is wrong with it, and not with the others too.
        told = Facts(words, math.nan, {"wrong": words})
        bench.step(name, verdict, name, outcome="back", facts=told)
        if is_on and is_known:
            wrong.append(words)

    look("stale", is_stale, f"nothing from the exchange {age}")
    days = facts.days_left
    look(
        "no_space",
        days is not None and days < asked.days_left,
        f"the disk lasts for {_number(days or 0.0)} days",
    )
    watched = [fact for fact in facts.symbols if not asked.symbols or fact.symbol in asked.symbols]
    for symbol, status, silent_s, missing in watched:
        is_silent = silent_s is not None and silent_s > asked.silent_after_s
        words = f"{symbol} silent for {silent_s or 0.0:.0f} s"
        look(f"silent:{symbol}", is_silent, words, is_known=not is_stale)
        look(f"not_trading:{symbol}", status != "TRADING", f"{symbol} is {status}")
        look(f"missing_ids:{symbol}", missing > asked.missing_ids, f"{symbol} misses {missing} ids")
    there = {fact.symbol for fact in watched}
    for name, latch in state.latches.items():
        if ":" in name and name.partition(":")[2] not in there:
            bench.step(name, "over", latch.direction, outcome="gone")
    words = f"{len(there)} of {len(there)} well"
    if wrong:
        words = f"{bench.headline()}: {', '.join(wrong)}"
    values: dict[str, float | int | str | None] = {
        "feed_age_s": facts.feed_age_s,
        "days_left": days,
        "wrong": ", ".join(wrong) or None,
    }
    return bench.judgement(words, math.nan, values, state.progress)


def judge_silence(
    rule: RuleSpec, version: int, bars: int, state: RuleState, *, seen: Collection[Episode] = ()
) -> Judgement:
    """Say that no bar has closed where `bars` of them should have; the record of z stays as it is.

    The bars are judged when they come: only that there are no data is told now.
    """
    last = state.born_ms - rule.timeframe_ms if state.judged_ms is None else state.judged_ms
    bench = Bench(rule, version, last + bars * rule.timeframe_ms, math.nan, state, False, seen)
    waited = max(bars, bench.latch(NO_DATA).bars)
    bench.latches[NO_DATA] = bench.latch(NO_DATA)._replace(bars=waited - 1)
    bench.step(NO_DATA, "on", NO_DATA, rule.watch.no_data_after_bars, 1)
    words = no_data_words(bench, rule.watch, f"{bars} bars have not closed")
    told = bench.judgement(words, math.nan, {"bars": bars}, state.progress)
    after = RuleState(state.born_ms, state.judged_ms, told.after.latches, state.progress)
    return Judgement(
        told.open_time_ms, told.shown, words, math.nan, told.values, told.events, False, after
    )


def _is_at_entry(spec: PairSpec, side: int, z: float) -> bool:
    stop_z = math.inf if spec.stop_z is None else spec.stop_z
    return spec.entry_z <= -side * z < stop_z


def _z_words(
    spec: PairSpec,
    watch: Watch,
    bar: ZBar,
    state: RuleState,
    bench: Bench,
    verdict: Verdict,
    outcome: str,
    reason: str,
) -> str:
    z, latch = bar.zscore, bench.latch(SPREAD)
    was = state.latches.get(SPREAD, QUIET)
    side = _SIDES.get(latch.direction or was.direction, 0)
    told, headline = f"z {_signed(z)}", bench.headline()
    if verdict == "over":
        why = {
            "break": "a price jumped as only a redenomination does",
            "halted": "a leg has stopped trading",
            "stop": f"{told} is at the stop {spec.stop_z or 0.0:g}",
            "time": f"held for {spec.max_hold_bars} bars",
        }[outcome]
        return f"{'resolved' if was.episode else 'no'}: {why}"
    if math.isnan(z):
        return no_data_words(bench, watch, reason or "no z")
    if latch.stage == "normal" and was.episode is None:
        return f"no: {_why_not(spec, bar, state, was)}"
    entry, leave = _limit(side, spec.entry_z), _limit(-side, -spec.exit_z)
    if headline == "fired":
        count = f"for {watch.for_bars} of {watch.for_bars} bars"
        return f"fired: {told} {entry} {count}, β {_number(bar.hedge_ratio)} > 0"
    if latch.stage == "pending":
        return f"pending: {told} {entry} for {latch.bars} of {watch.for_bars} bars"
    if latch.stage == "recovering":
        return f"recovering: {told} {leave} for {latch.bars} of {watch.keep_bars} bars"
    if latch.stage == "normal":
        return f"resolved: {told} {leave} for {watch.keep_bars} of {watch.keep_bars} bars"
    bars = "bar" if watch.keep_bars == 1 else "bars"
    return f"still firing: {told}, leaves at z {leave} for {watch.keep_bars} {bars}"


def _why_not(spec: PairSpec, bar: ZBar, state: RuleState, was: Latch) -> str:
    z, before = bar.zscore, state.progress.state
    stop_z = math.inf if spec.stop_z is None else spec.stop_z
    told = f"z {_signed(z)}"
    if before.blocked and not bar.progress.state.blocked and not bar.position:
        return f"re-armed, {told} is back inside {_number(spec.exit_z)}"
    if abs(z) < spec.entry_z:
        limit = _level(math.copysign(spec.entry_z, z))
        return f"{told} is {'above' if z < 0 else 'below'} {limit}"
    if abs(z) >= stop_z:
        return f"{told} is at the stop {stop_z:g} or beyond"
    if bar.halted:
        return f"{told}, but a leg has stopped trading"
    if not bar.may_enter:
        return f"{told}, but β {_number(bar.hedge_ratio)} is not positive"
    if bar.progress.state.blocked:
        return f"{told}, but it has to come back inside {_number(spec.exit_z)} first"
    return f"{told}, but nothing enters on the bar that leaves"


def _limit(side: int, outward: float) -> str:
    """A bound on the outward side of a position, as a condition on z: ≥ 2.0 of a short."""
    return f"≥ {_level(outward)}" if side < 0 else f"≤ {_level(-outward)}"


def _level(value: float) -> str:
    """An entry or exit as it was asked for: a rule that leaves at 0.25 does not say 0.2."""
    text = with_minus(f"{value + 0.0:g}")
    return text if "." in text else f"{text}.0"


def _signed(value: float) -> str:
    return with_minus(f"{value:+.2f}")


def _number(value: float) -> str:
    return with_minus(f"{value:.4g}")
