"""Rule, judged bar and state in; what happened and the new state out. The one alert machine.

What is news of a z-score is decided by `core.signals` and nothing else: an episode fires where
the signal decides on a position and resolves where the signal leaves it, so that toast, alert,
paper and backtest tell the same entries. What a rule adds lies on top of that: `for_bars` waits
with the news while the position is held and z stays at entry, `keep_bars` waits with the end while
z stays beyond the exit, and cooldown, mute and lateness only hold messages back, never the record.
An episode outlives its position in one case: no gap ends it. The signal gives up after some rows
without z and then waits for z to come back inside the exit; the episode goes on until that happens.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from core.rule_spec import MEASURES, Bound, RuleSpec, Watch
from core.signals import BORN, EXIT_REASONS, Conditions, Progress, decide_on
from core.signals import revive as revive_progress
from core.types import BoolArray, FloatArray, HedgeSeries, IntArray, PairRows, PairSpec

Stage: TypeAlias = Literal["normal", "pending", "firing", "recovering"]
Shown: TypeAlias = Literal["normal", "pending", "firing", "recovering", "no_data"]
Verdict: TypeAlias = Literal["on", "between", "off", "over", "unknown"]
"""What a bar says of a condition: it holds; neither; back beyond the exit; ended for good by
something else than a value; nothing, for there is no value."""

SPREAD, NO_DATA = "spread", "no_data"
_DIRECTIONS = {1: "long_spread", -1: "short_spread"}
_SIDES = {name: side for side, name in _DIRECTIONS.items()}


class Episode(NamedTuple):
    """What makes an episode one and the same, however often it is judged again."""

    version: int
    direction: str
    start_ms: int


class Latch(NamedTuple):
    """One condition of a rule: where it stands, and what of it has been told."""

    stage: Stage = "normal"
    bars: int = 0
    """Judged bars in a row that count towards firing or resolving."""
    direction: str = ""
    episode: Episode | None = None
    told: bool = False
    told_ms: int | None = None
    """When the last message of this condition went out, of whichever episode."""
    peak: float = math.nan
    """The watched value farthest out since the episode fired."""


QUIET = Latch()


@dataclass(frozen=True, slots=True)
class RuleState:
    """All that a rule needs to go on from."""

    born_ms: int
    """Open time of the bar that its signal began at, flat."""
    judged_ms: int | None = None
    """Open time of the last bar judged; None before the first."""
    latches: Mapping[str, Latch] = field(default_factory=dict)
    progress: Progress = BORN


class Event(NamedTuple):
    """One thing that happened to an episode."""

    kind: Literal["fired", "told", "resolved"]
    """`told` is the moment when the message that it fires goes out, at once or held back."""
    episode: Episode
    outcome: str = ""
    """How it ended: revert, stop, time, halted, break, flip, back or gone."""
    tell: bool = False
    """Whether a message goes out."""
    not_before_ms: int = 0
    """When that message may go out."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one bar did to a rule, with its values and in words."""

    open_time_ms: int
    shown: Shown
    words: str
    value: float
    """What is watched: z or the measure; NaN where there is none."""
    values: Mapping[str, float | int | str | None]
    events: tuple[Event, ...]
    is_late: bool
    after: RuleState


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


def revive(stored: Mapping[str, Any]) -> RuleState:
    """Make a state of what came back from the store, see `stored_state`."""
    latches = {}
    for name, values in stored["latches"].items():
        latch = Latch(*values)
        episode = latch.episode and Episode(*latch.episode)
        latches[name] = latch._replace(episode=episode)
    return RuleState(
        born_ms=stored["born_ms"],
        judged_ms=stored["judged_ms"],
        latches=latches,
        progress=revive_progress(stored["progress"]),
    )


def stored_state(state: RuleState) -> dict[str, Any]:
    """A state as plain values that the store can keep."""
    return {
        "born_ms": state.born_ms,
        "judged_ms": state.judged_ms,
        "latches": dict(state.latches),
        "progress": state.progress,
    }


def begin(state: RuleState | None, born_ms: int) -> RuleState:
    """The state to judge a rule from: as it was left, or begun anew where it was born anew.

    What fires goes on firing through an edit, so that nothing is announced again; only the signal
    begins anew.
    """
    if state is None or state.born_ms == born_ms:
        return state or RuleState(born_ms)
    return RuleState(born_ms, None, state.latches)


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
    bench = _Bench(rule, version, bar.open_time_ms, z, state, is_late, seen)
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
    elif bar.position == side != 0 and _is_at_entry(spec, side, z):
        verdict = "on"
    elif side and bar.position != side and -side * z <= spec.exit_z:
        verdict, outcome = "off", "revert"
    bench.step(SPREAD, verdict, direction, outcome=outcome)
    words = _z_words(spec, rule.watch, bar, state, bench, verdict, outcome, reason)
    values = {name: _plain(getattr(bar, name)) for name in ZBar._fields if name != "progress"}
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
    bench = _Bench(rule, version, open_time_ms, value, state, is_late, seen)
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
        words = _no_data_words(bench, rule.watch, reason or f"no {name}")
    values: dict[str, float | int | str | None] = {
        "measure": bound.measure,
        "value": _plain(value),
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
    bench = _Bench(rule, version, now_ms // 60_000 * 60_000, math.nan, state, False, seen)
    is_stale = facts.feed_age_s is None or facts.feed_age_s > asked.stale_after_s
    age = "never" if facts.feed_age_s is None else f"for {facts.feed_age_s:.0f} s"
    wrong: list[str] = []

    def look(name: str, is_on: bool, words: str, is_known: bool = True) -> None:
        bench.step(
            name, ("on" if is_on else "off") if is_known else "unknown", name, outcome="back"
        )
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
    bench = _Bench(rule, version, last + bars * rule.timeframe_ms, math.nan, state, False, seen)
    waited = max(bars, bench.latch(NO_DATA).bars)
    bench.latches[NO_DATA] = bench.latch(NO_DATA)._replace(bars=waited - 1)
    bench.step(NO_DATA, "on", NO_DATA, rule.watch.no_data_after_bars, 1)
    words = _no_data_words(bench, rule.watch, f"{bars} bars have not closed")
    told = bench.judgement(words, math.nan, {"bars": bars}, state.progress)
    after = RuleState(state.born_ms, state.judged_ms, told.after.latches, state.progress)
    return Judgement(
        told.open_time_ms, told.shown, words, math.nan, told.values, told.events, False, after
    )


class _Bench:
    """One bar of one rule while it is judged."""

    def __init__(
        self,
        rule: RuleSpec,
        version: int,
        open_time_ms: int,
        value: float,
        state: RuleState,
        is_late: bool,
        seen: Collection[Episode],
    ) -> None:
        if state.judged_ms is not None and open_time_ms <= state.judged_ms:
            raise ValueError(f"the bar {open_time_ms} has been judged")
        self._watch, self._version, self._state = rule.watch, version, state
        self._open_time_ms, self._value = open_time_ms, value
        self._close_ms = open_time_ms + rule.timeframe_ms
        self._is_late, self._seen = is_late, seen
        self.latches = dict(state.latches)
        self.events: list[Event] = []

    def latch(self, name: str) -> Latch:
        return self.latches.get(name, QUIET)

    def step(
        self,
        name: str,
        verdict: Verdict,
        direction: str,
        for_bars: int | None = None,
        keep_bars: int | None = None,
        outcome: str = "back",
    ) -> None:
        """Move one condition on by a bar."""
        latch = self.latch(name)
        stage, count = move(
            latch.stage,
            latch.bars,
            verdict,
            for_bars or self._watch.for_bars,
            keep_bars or self._watch.keep_bars,
        )
        was_on, is_on = (each in ("firing", "recovering") for each in (latch.stage, stage))
        if is_on and not was_on:
            episode = Episode(self._version, direction, self._open_time_ms)
            self.events.append(Event("fired", episode))
            latch = latch._replace(episode=episode, told=False, peak=self._value)
        elif was_on and not is_on:
            assert latch.episode is not None
            until = self._muted_until_ms
            self.events.append(Event("resolved", latch.episode, outcome, latch.told, until))
            latch = latch._replace(episode=None, told=False, peak=math.nan)
        elif is_on and _is_farther(direction, self._value, latch.peak):
            latch = latch._replace(peak=self._value)
        latch = latch._replace(
            stage=stage, bars=count, direction="" if stage == "normal" else direction
        )
        if latch != QUIET:
            self.latches[name] = latch
        else:
            self.latches.pop(name, None)

    @property
    def _muted_until_ms(self) -> int:
        until = self._watch.mute_until
        return until if until is not None and until > self._close_ms else 0

    def held_back(self, name: str) -> str:
        """Why the message that this condition fires does not go out yet; empty where it may."""
        latch = self.latch(name)
        if self._is_late:
            return "judged late: told if it still fires at the newest bar"
        if latch.episode in self._seen:
            return "acknowledged: quiet until it resolves"
        if self._muted_until_ms:
            return "muted"
        if name != NO_DATA and self.latch(NO_DATA).stage == "firing":
            return "held back while there are no data"
        wait_ms = self._watch.cooldown_s * 1_000
        if latch.told_ms is not None and self._close_ms - latch.told_ms < wait_ms:
            return "in cooldown"
        return ""

    def judgement(
        self,
        words: str,
        value: float,
        values: Mapping[str, float | int | str | None],
        progress: Progress,
    ) -> Judgement:
        """Tell what may be told, and put the new state together."""
        for name, latch in list(self.latches.items()):
            if latch.stage != "firing" or latch.told or latch.episode is None:
                continue
            why_not = self.held_back(name)
            if not why_not:
                self.latches[name] = latch._replace(told=True, told_ms=self._close_ms)
                self.events.append(Event("told", latch.episode, tell=True))
            elif any(event.episode == latch.episode for event in self.events):
                words += f"; not told: {why_not}"
        after = RuleState(self._state.born_ms, self._open_time_ms, self.latches, progress)
        return Judgement(
            self._open_time_ms, self.shown, words, value, values, tuple(self.events),
            self._is_late, after,
        )  # fmt: skip

    @property
    def shown(self) -> Shown:
        """The state of the whole rule."""
        if self.latch(NO_DATA).stage == "firing":
            return "no_data"
        stages = [latch.stage for name, latch in self.latches.items() if name != NO_DATA]
        order: tuple[Stage, ...] = ("firing", "recovering", "pending")
        return next((stage for stage in order if stage in stages), "normal")

    def headline(self) -> str:
        """What happened, in a word or two."""
        kinds = [event.kind for event in self.events]
        if "fired" in kinds:
            return "fired"
        if "resolved" in kinds:
            return "resolved"
        return {"normal": "no", "firing": "still firing"}.get(self.shown, self.shown)


def move(
    stage: Stage, count: int, verdict: Verdict, for_bars: int, keep_bars: int
) -> tuple[Stage, int]:
    """Move one condition on by one judged bar: the table of all transitions.

    `on` counts towards firing, `off` towards resolving, `between` breaks either count, `unknown`
    counts nothing and breaks nothing: a gap neither fires nor resolves.
    """
    if verdict == "unknown":
        return stage, count
    if stage in ("normal", "pending"):
        if verdict != "on":
            return "normal", 0
        return ("firing", 0) if count + 1 >= for_bars else ("pending", count + 1)
    if verdict == "over":
        return "normal", 0
    if verdict == "off":
        return ("normal", 0) if count + 1 >= keep_bars else ("recovering", count + 1)
    return "firing", 0


def _is_farther(direction: str, value: float, peak: float) -> bool:
    if math.isnan(peak):
        return not math.isnan(value)
    outward = {"long_spread": -1, "below": -1}.get(direction, 1)
    return outward * value > outward * peak


def _is_at_entry(spec: PairSpec, side: int, z: float) -> bool:
    stop_z = math.inf if spec.stop_z is None else spec.stop_z
    return spec.entry_z <= -side * z < stop_z


def _z_words(
    spec: PairSpec,
    watch: Watch,
    bar: ZBar,
    state: RuleState,
    bench: _Bench,
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
        return _no_data_words(bench, watch, reason or "no z")
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
        limit = _signed(math.copysign(spec.entry_z, z), 1)
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


def _no_data_words(bench: _Bench, watch: Watch, reason: str) -> str:
    latch = bench.latch(NO_DATA)
    if latch.stage == "firing":
        fired = any(event.kind == "fired" for event in bench.events)
        return f"{'no data' if fired else 'still no data'}: {reason}"
    return f"nothing to judge: {reason}, {latch.bars} of {watch.no_data_after_bars} bars"


def _limit(side: int, outward: float) -> str:
    """A bound on the outward side of a position, as a condition on z: ≥ 2.0 of a short."""
    return f"≥ {_signed(outward, 1)}" if side < 0 else f"≤ {_signed(-outward, 1)}"


def _signed(value: float, digits: int = 2) -> str:
    return f"{value:+.{digits}f}".replace("-", "−").replace("+", "" if digits == 1 else "+")


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")


def _plain(value: Any) -> float | int | str | None:
    """A value that JSON has, too: None in place of NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def open_episodes(state: RuleState) -> Iterable[tuple[Episode, Latch]]:
    """What fires or recovers now."""
    return [(latch.episode, latch) for latch in state.latches.values() if latch.episode is not None]
