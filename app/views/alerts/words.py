"""Rules, states and episodes in the words of the Alerts view; pure."""

import math

from app.services.watchlist import WatchedRule
from app.views.text import NONE, coin, count, plain, signed, time_text
from core.pair_spec import HEDGES
from core.radar_spec import RadarWatch
from core.rule_spec import MEASURES, Z_KINDS, RuleSpec
from core.spread import A_WALK
from core.words import duration_text
from ingest.store.reader import StoredEpisode

STATES = {
    "normal": "quiet",
    "pending": "pending",
    "firing": "firing",
    "recovering": "recovering",
    "no_data": "no data",
    "paused": "paused",
    "": "not judged yet",
}
OUTCOMES = {
    "revert": "resolved", "stop": "stopped", "time": "held too long", "halted": "trading halted",
    "break": "ended by a break", "flip": "ended by the other side", "back": "resolved",
    "gone": "ended", "paused": "paused by you", "edited": "edited by you",
    "deleted": "deleted by you",
}  # fmt: skip
EVENTS = {"pending": "waits", "delivered": "✓"}


def rule_name(spec: RuleSpec) -> str:
    """Whom a rule watches."""
    if spec.pair is not None:
        return f"{coin(spec.pair.symbol_a)} / {coin(spec.pair.symbol_b)}"
    if spec.radar is not None:
        return "any pair that passes"
    if spec.data is None or not spec.data.symbols:
        return "all symbols"
    names = [coin(symbol) for symbol in spec.data.symbols]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def rule_words(spec: RuleSpec) -> str:
    """What of it, in small: timeframe, hedge, window, entry and exit, or the bound."""
    pair, bound = spec.pair, spec.bound
    if spec.radar is not None:
        return _radar_words(spec.radar)
    if pair is None:
        return "data · silent, ids missing, disk"
    if bound is not None:
        limits = [
            f"{sign} {plain(value, 'g')}"
            for sign, value in (("<", bound.below), (">", bound.above))
            if value is not None
        ]
        return f"{pair.timeframe} · {MEASURES[bound.measure]} {' or '.join(limits)}"
    return (
        f"{pair.timeframe} · {HEDGES[pair.hedge]} · {pair.window:,}"
        f" · {pair.entry_z:g} / {plain(pair.exit_z, 'g')}"
    )


def _radar_words(radar: RadarWatch) -> str:
    limits = [
        f"{name} {value:g}"
        for name, value in (
            ("q ≤", radar.max_q),
            ("quarters ≤", radar.max_median),
            ("half-life ≥", radar.min_half_life),
            ("half-life ≤", radar.max_half_life),
        )
        if value is not None
    ]
    level = "break-even" if radar.min_z is None else f"{radar.min_z:g}"
    return " · ".join((radar.timeframe, "radar", *limits, f"|z| ≥ {level}"))


def state_of(one: WatchedRule) -> str:
    """Key of the state of a rule."""
    if not one.rule.spec.watch.enabled:
        return "paused"
    return one.standing.shown if one.standing else ""


def is_seen(one: WatchedRule) -> bool:
    """Whether somebody has seen all that fires of a rule."""
    return bool(one.firing) and all(each.acknowledged_ms is not None for each in one.firing)


def distance(one: WatchedRule) -> tuple[float, str]:
    """How far the next event is: a number to sort by, and words."""
    spec = one.rule.spec
    out, back = one.distance_to_entry, one.distance_to_exit
    if one.firing and math.isfinite(back):
        return max(0.0, back), f"{max(0.0, back):.2f} to exit"
    if not math.isfinite(out):
        return math.inf, NONE
    if spec.bound is not None:
        return max(0.0, out), f"{max(0.0, out):.3g} away"
    return max(0.0, out), f"{out:.2f} to entry" if out > 0.0 else "beyond entry"


def half_life(one: WatchedRule) -> str:
    """In time; like a walk where the spread can't be told from one."""
    closed, pair = one.pair.closed if one.pair else None, one.rule.spec.pair
    if closed is None or pair is None:
        return NONE
    bars = closed.figures.half_life_bars
    if math.isfinite(bars):
        return duration_text(bars * pair.timeframe_ms)
    is_walk = closed.reasons.get("half_life_bars", "").startswith(A_WALK)
    return "like a walk" if is_walk else NONE


def needed(one: WatchedRule) -> str:
    """The entry that would have paid, of a rule that trades."""
    closed = one.pair.closed if one.pair else None
    if closed is None or one.rule.spec.kind != "zscore" or math.isnan(closed.figures.required_z):
        return NONE
    value = closed.figures.required_z
    return "never" if math.isinf(value) else f"{value:.1f}"


def outcome(one: StoredEpisode, timeframe_ms: int) -> str:
    """How an episode stands or ended."""
    if one.state != "resolved":
        seen = f", seen by {one.acknowledged_by}" if one.acknowledged_by else ""
        return f"{one.state}{seen}"
    how = OUTCOMES.get(one.outcome, one.outcome)
    if one.end_ms is None or one.outcome in ("paused", "edited", "deleted"):
        return how
    bars = round((one.end_ms - one.start_ms) / timeframe_ms)
    after = f" after {count(bars, 'bar')}" if bars else ""
    at = f", z {signed(one.value_at_end)}" if one.value_at_end is not None else ""
    return f"{how}{after}{at if one.kind in Z_KINDS else ''}"


def value_text(one: StoredEpisode, value: float | None) -> str:
    """z with its sign, any other figure plainly."""
    if value is None:
        return NONE
    return signed(value) if one.kind in Z_KINDS else plain(value, ".4g")


def moment(time_ms: int, timeframe: str | None = None) -> str:
    """A bar's time, to the second where its bars are seconds."""
    return time_text(time_ms, timeframe == "1s")
