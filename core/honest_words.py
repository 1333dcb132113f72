"""What honesty checks found, in the words of a trader."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from core.honesty import Placebo, TruncationCheck
from core.stress import ANCHORED, AS_SET, LATE, MOVING, NO_COSTS, TWICE_COSTS, Outcome
from core.types import Cointegration, Johansen
from core.words import with_minus

NEWS_FROM = 95.0
"""Per cent of random walks that have to do worse before a profit is more than chance."""
TIED_PVALUE = 0.05
"""What p of both directions together has to be below, the level of Johansen's test."""
NET = "total_pnl"
LABELS = {
    "future": "Future cut off",
    "noise": "Random walks",
    "costs": "Costs",
    "exits": "Exits",
    "late": "Fills a bar later",
    "tie": "Cointegration",
}
"""What each check is called."""


@dataclass(frozen=True, slots=True)
class Check:
    """One of them."""

    name: str
    passed: bool | None
    """None where there was nothing to be checked."""
    words: str


@dataclass(frozen=True, slots=True)
class Honesty:
    """All of them, and in a sentence what they come to."""

    words: str
    checks: tuple[Check, ...]


def judge(
    truncation: TruncationCheck,
    placebo: Placebo | None,
    why_no_placebo: str,
    outcomes: Mapping[str, Outcome],
    tie: tuple[Cointegration | None, Johansen | None, str],
) -> Honesty:
    """Say of each check what it found, and what all of them come to."""
    future = _future(truncation)
    as_set = outcomes[AS_SET]
    if not as_set.trades:
        return Honesty(_without_trades(future), (future,))
    checks = (
        future,
        _noise(placebo, why_no_placebo),
        _costs(outcomes),
        _exits(outcomes),
        _late(outcomes),
        _tie(*tie),
    )
    return Honesty(_verdict(checks, as_set), checks)


def _future(found: TruncationCheck) -> Check:
    if not found.differences:
        words = (
            f"The future was cut off {found.cuts} times and {found.values_compared:,} numbers were"
            " computed again: not a bit changed."
        )
        return Check("future", True, words)
    first = min(found.differences, key=lambda one: one.open_time_ms)
    moment = datetime.fromtimestamp(first.open_time_ms / 1_000, UTC)
    words = (
        f"With the future cut off {first.series} of {moment:%Y-%m-%d %H:%M} UTC changes from"
        f" {first.whole!r} to {first.truncated!r}: a number of this desk looks ahead."
    )
    return Check("future", False, words)


def _noise(placebo: Placebo | None, why: str) -> Check:
    if placebo is None:
        return Check("noise", None, f"Not compared with random walks: {why}.")
    found = placebo.figures[NET]
    if math.isnan(found.rank):
        return Check("noise", None, "Random walks under the same rules don't trade: no comparison.")
    reach = with_minus(f"{found.low:+,.0f} to {found.high:+,.0f} in nine of ten")
    words = (
        f"It earned more than {found.rank:.0f} % of {placebo.runs} pairs of random walks under the"
        f" same rules ({reach})"
    )
    if found.rank >= NEWS_FROM:
        return Check("noise", True, f"{words}: that is rare for chance.")
    return Check("noise", False, f"{words}: chance does as well.")


def _costs(outcomes: Mapping[str, Outcome]) -> Check:
    as_set, free, twice = (outcomes[name] for name in (AS_SET, NO_COSTS, TWICE_COSTS))
    told = (
        f"{_bp(as_set)} a trade after costs, {_bp(free)} without any, {_bp(twice)} at twice as much"
    )
    if not free.net_bp > 0.0:
        return Check("costs", False, f"{told}: it loses before it pays anything.")
    if not as_set.net_bp > 0.0:
        return Check("costs", False, f"{told}: the costs take more than it earns.")
    if not twice.net_bp > 0.0:
        return Check("costs", True, f"{told}: it pays its costs, but not twice.")
    return Check("costs", True, f"{told}: it would bear twice the costs.")


def _exits(outcomes: Mapping[str, Outcome]) -> Check:
    moving, anchored = outcomes[MOVING], outcomes[ANCHORED]
    told = (
        f"{_bp(moving)} a trade when it leaves at the mean of then, {_bp(anchored)} when it leaves"
        " at the mean of its entry"
    )
    if anchored.net_bp > 0.0:
        return Check("exits", True, f"{told}: the spread itself came back.")
    if moving.net_bp > 0.0:
        return Check("exits", False, f"{told}: not the spread came back, the mean went after it.")
    return Check("exits", False, f"{told}: neither pays.")


def _late(outcomes: Mapping[str, Outcome]) -> Check:
    as_set, late = outcomes[AS_SET], outcomes[LATE]
    told = f"{_bp(late)} a trade when every fill comes a bar later, {_bp(as_set)} as set"
    if late.net_bp > 0.0:
        return Check("late", True, f"{told}: it doesn't hang on being first.")
    if as_set.net_bp > 0.0:
        return Check("late", False, f"{told}: its profit is gone within a bar.")
    return Check("late", False, f"{told}: it loses either way.")


def _tie(by_residual: Cointegration | None, by_trace: Johansen | None, why: str) -> Check:
    if by_residual is None or by_trace is None:
        return Check("tie", None, f"Not tested: {why}.")
    trace, critical = by_trace.trace[0], by_trace.critical_5pct[0]
    told = (
        f"Engle-Granger, both ways: p {by_residual.pvalue_both:.2g}; Johansen, who asks neither leg"
        f" to be the dependent one: trace {trace:.1f}, of which {critical:.1f} is the 5 % value"
    )
    if by_trace.rank == 2:
        return Check("tie", False, f"{told}, but each leg is stationary without the other.")
    found = [by_residual.pvalue_both < TIED_PVALUE, by_trace.rank == 1]
    if all(found):
        return Check("tie", True, f"{told}: on these rows both tie the legs.")
    if any(found):
        return Check("tie", False, f"{told}: they disagree.")
    return Check("tie", False, f"{told}: neither ties the legs.")


def _bp(outcome: Outcome) -> str:
    if math.isnan(outcome.net_bp):
        return "no trade"
    return with_minus(f"{outcome.net_bp:+.1f} bp")


def _without_trades(future: Check) -> str:
    if not future.passed:
        return "A number looks ahead."
    return "Nothing looks ahead, and it never closed a trade: there is nothing more to check."


def _verdict(checks: tuple[Check, ...], as_set: Outcome) -> str:
    future = checks[0]
    if not future.passed:
        return "A number looks ahead: believe nothing that is shown here."
    failed = [check.name for check in checks if check.passed is False]
    trades = f"{as_set.trades:,} trade{'' if as_set.trades == 1 else 's'}"
    if not failed:
        return f"Nothing looks ahead, and its {_bp(as_set)} a trade ({trades}) stood every check."
    if not as_set.net_bp > 0.0:
        return f"Nothing looks ahead, but it loses: {_bp(as_set)} a trade ({trades})."
    meant = {
        "noise": "chance does as well",
        "costs": "its costs take it",
        "exits": "the mean came to it",
        "late": "it is gone a bar later",
        "tie": "the tests don't tie its legs",
    }
    why = "; ".join(meant[name] for name in failed)
    return f"Nothing looks ahead, but its {_bp(as_set)} a trade ({trades}) is not proven: {why}."
