"""The machine behind every rule: conditions over judged bars, episodes, and what is told of them.

It knows no z and no figure: a verdict on each condition comes in, see `core.alerts`, and what
happened comes out with the new state. Cooldown, mute and lateness only hold messages back, never
the record.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from core.rule_spec import RuleSpec, Watch
from core.signals import BORN, Progress
from core.signals import revive as revive_progress

Stage: TypeAlias = Literal["normal", "pending", "firing", "recovering"]
Shown: TypeAlias = Literal["normal", "pending", "firing", "recovering", "no_data"]
Verdict: TypeAlias = Literal["on", "between", "off", "over", "unknown"]
"""What a bar says of a condition: it holds; neither; back beyond the exit; ended for good by
something else than a value; nothing, for there is no value."""

NO_DATA = "no_data"


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


class Facts(NamedTuple):
    """What one condition was judged on, where a bar judges several values at once."""

    words: str
    value: float
    values: Mapping[str, float | int | str | None]


def plain_value(value: Any) -> float | int | str | None:
    """A value that JSON has, too: None in place of NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
    facts: Facts | None = None
    """What it was judged on; None: what the whole bar was."""


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


def open_episodes(state: RuleState) -> list[tuple[Episode, Latch]]:
    """What fires or recovers now."""
    return [(latch.episode, latch) for latch in state.latches.values() if latch.episode is not None]


class Bench:
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
        facts: Facts | None = None,
    ) -> None:
        """Move one condition on by a bar; `facts` where the bar's own value is not its own."""
        latch, value = self.latch(name), self._value if facts is None else facts.value
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
            self.events.append(Event("fired", episode, facts=facts))
            latch = latch._replace(episode=episode, told=False, peak=value)
        elif was_on and not is_on:
            assert latch.episode is not None
            until = self._muted_until_ms
            self.events.append(Event("resolved", latch.episode, outcome, latch.told, until, facts))
            latch = latch._replace(episode=None, told=False, peak=math.nan)
        elif is_on and _is_farther(direction, value, latch.peak):
            latch = latch._replace(peak=value)
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
            return "there are no data"
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
                words += f"; held back: {why_not}"
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
    outward = {"long_spread": -1, "below": -1}.get(direction.partition(":")[0], 1)
    return outward * value > outward * peak


def no_data_words(bench: Bench, watch: Watch, reason: str) -> str:
    latch = bench.latch(NO_DATA)
    if latch.stage == "firing":
        fired = any(event.kind == "fired" for event in bench.events)
        return f"{'no data' if fired else 'still no data'}: {reason}"
    return f"nothing to judge: {reason}, {latch.bars} of {watch.no_data_after_bars} bars"
