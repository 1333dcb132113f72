"""A rule of the kind zscore, judged the plain way: what a reader of docs/alerts.md would write.

No state of it is ever stored, nothing of `core.episodes`, `core.alerts` or `core.signals` is used.
"""

import math
from dataclasses import dataclass, field

MINUTE = 60_000


@dataclass
class Told:
    """One episode as it has to be in the record."""

    version: int
    direction: str
    start_ms: int
    end_ms: int | None = None
    outcome: str = ""
    is_told: bool = False
    is_acknowledged: bool = False

    @property
    def key(self) -> tuple[int, str, int]:
        return self.version, self.direction, self.start_ms


@dataclass
class Condition:
    """z beyond entry, or no z at all."""

    side: int = 0
    towards_firing: int = 0
    towards_end: int = 0
    episode: Told | None = None
    last_told_ms: int | None = None


@dataclass
class PlainRule:
    """Judges minute by minute; the parameters are those of the rule, in a plain mapping."""

    asked: dict[str, float]
    version: int = 1
    episodes: list[Told] = field(default_factory=list)
    spread: Condition = field(default_factory=Condition)
    nothing: Condition = field(default_factory=Condition)
    held: int = 0
    blocked: int = 0
    missing: int = 0

    def begin_anew(self) -> None:
        """The signal begins flat; what fires goes on firing."""
        self.held = self.blocked = self.missing = 0

    def signal(self, z: float, ratio: float) -> str:
        """Move the position on by a row; why it was left, or ""."""
        entry, leave, stop = (self.asked[name] for name in ("entry_z", "exit_z", "stop_z"))
        if self.held:
            outward = -self.held * z
            self.missing = self.missing + 1 if math.isnan(z) else 0
            reason = ""
            if outward >= stop:
                reason = "stop"
            elif outward <= leave:
                reason = "revert"
            elif self.missing > 5:
                reason = "no_data"
            if reason:
                self.blocked = 0 if reason == "revert" else self.held
                self.held = 0
            return reason
        if self.blocked and -self.blocked * z <= leave:
            self.blocked = 0
        if ratio > 0.0 and entry <= abs(z) < stop:
            side = -1 if z > 0 else 1
            if side != self.blocked:
                self.held, self.missing = side, 0
        return ""

    def bar(self, open_ms: int, z: float, ratio: float, is_late: bool) -> None:
        """Judge one closed bar."""
        before = self.held
        reason = self.signal(z, ratio)
        self._no_data(open_ms, math.isnan(z), 1)
        spread = self.spread
        if spread.side and self.held == -spread.side:
            self._end(spread, open_ms, "flip")
            spread.side = spread.towards_firing = 0
        if not spread.side:
            spread.side = self.held
        was_held = before == spread.side != 0
        if reason == "stop" and was_held:
            self._end(spread, open_ms, "stop")
            spread.side = spread.towards_firing = 0
        elif math.isnan(z):
            pass
        elif spread.episode is not None:
            inside = -spread.side * z <= self.asked["exit_z"]
            if (reason == "revert" and was_held) or (inside and self.held != spread.side):
                spread.towards_end += 1
                if spread.towards_end >= self.asked["keep_bars"]:
                    self._end(spread, open_ms, "revert")
                    spread.side = 0
            else:
                spread.towards_end = 0
        elif spread.side and self.held == spread.side and ratio > 0.0 and self._is_at_entry(z):
            spread.towards_firing += 1
            if spread.towards_firing >= self.asked["for_bars"]:
                self._fire(spread, open_ms, "long_spread" if self.held > 0 else "short_spread")
        else:
            spread.side = spread.towards_firing = 0
        self._tell(open_ms + MINUTE, is_late)

    def silence(self, open_ms: int, bars: int) -> None:
        """Judge that so many bars have not closed in time."""
        self._no_data(
            open_ms, True, max(bars, self.nothing.towards_firing) - self.nothing.towards_firing
        )
        self._tell(open_ms + MINUTE, is_late=False)

    def _is_at_entry(self, z: float) -> bool:
        outward = -self.spread.side * z
        return self.asked["entry_z"] <= outward < self.asked["stop_z"]

    def _no_data(self, open_ms: int, is_missing: bool, bars: int) -> None:
        nothing = self.nothing
        if not is_missing:
            nothing.towards_firing = 0
            self._end(nothing, open_ms, "back")
        elif nothing.episode is None:
            nothing.towards_firing += bars
            if nothing.towards_firing >= self.asked["no_data_after_bars"]:
                self._fire(nothing, open_ms, "no_data")

    def _fire(self, condition: Condition, open_ms: int, direction: str) -> None:
        condition.episode = Told(self.version, direction, open_ms)
        condition.towards_firing = condition.towards_end = 0
        self.episodes.append(condition.episode)

    def _end(self, condition: Condition, open_ms: int, outcome: str) -> None:
        if condition.episode is not None:
            condition.episode.end_ms = max(open_ms, condition.episode.start_ms)
            condition.episode.outcome = outcome
        condition.episode = None
        condition.towards_end = 0

    def _tell(self, close_ms: int, is_late: bool) -> None:
        for condition in (self.nothing, self.spread):
            episode = condition.episode
            if episode is None or episode.is_told or condition.towards_end:
                continue
            last_ms, rest_ms = condition.last_told_ms, self.asked["cooldown_s"] * 1_000
            if (
                is_late
                or episode.is_acknowledged
                or self.asked["mute_until"] > close_ms
                or (condition is self.spread and self.nothing.episode is not None)
                or (last_ms is not None and close_ms - last_ms < rest_ms)
            ):
                continue
            episode.is_told, condition.last_told_ms = True, close_ms
