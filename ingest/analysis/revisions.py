"""What was judged or filled on bars that were rewritten since: marked, never judged again.

The record keeps the prices that it hangs on and the figure that was judged. Where a stored bar
says otherwise it was rewritten itself; where the figure comes out otherwise, a bar in its windows.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

from core.pair_spec import PairSpec
from ingest.store import episodes, paper
from ingest.store.reader import Decided, Kept, Reader, Trip
from ingest.store.rules import StoredRule
from ingest.store.transaction import Writer

MOST_COMPARED = 200
"""Of a rule's newest bars and trips: what is rewritten is seldom old."""
MOST_BARS = 5_000
"""Newest bars of a rule whose z is computed again, all in one go."""
MOST_FIGURES = 10
"""Newest bars of a rule whose figure is: each takes a whole pair."""
SAME = 1e-5
"""Two runs of the Kalman filter that began apart differ by 4e-6 in z at most."""

FiguresNow = Callable[[Sequence[int]], Mapping[int, float]]
"""What a rule watches at bars that open at these times, from the bars as they are stored now."""


def mark_revised(reader: Reader, writer: Writer, rule: StoredRule, figures_now: FiguresNow) -> int:
    """Compare the record of a rule with the bars as they are stored now; return what was marked."""
    rule_id, pair = rule.rule_id, rule.spec.pair
    assert pair is not None, "a data rule hangs on no bar"
    asked = rule_id, rule.born_ms, MOST_COMPARED
    events, fills = reader.judged_events(*asked), reader.filled_prices(*asked)
    closes = [
        Kept(one.open_time_ms, one.values["close_a"], one.values["close_b"], is_open=False)
        for one in events
        if one.values.get("close_a") is not None and one.values.get("close_b") is not None
    ]
    judged, filled = rewritten(reader, pair, closes), rewritten(reader, pair, fills)
    if rule.spec.kind == "relationship":
        judged |= _moved(events[:MOST_FIGURES], "value", figures_now)
    elif events or fills:
        decided = reader.decisions(rule_id, since_ms=rule.born_ms, limit=MOST_BARS)
        moved = _moved(decided, "zscore", figures_now)
        judged |= moved & {one.open_time_ms for one in events}
        filled |= _decided_on(moved, decided, reader.paper_trips(rule_id, rule.born_ms))
    if not judged and not filled:
        return 0
    with writer.transaction() as tx:
        marked = sum(episodes.mark_revised(tx, rule_id, time_ms) for time_ms in sorted(judged))
        return marked + sum(paper.mark_revised(tx, rule_id, time_ms) for time_ms in sorted(filled))


def rewritten(reader: Reader, pair: PairSpec, kept: Sequence[Kept]) -> set[int]:
    """Open times of the bars that say otherwise now; one that was pruned says nothing."""
    times = [one.open_time_ms for one in kept]
    legs = [
        reader.prices_at(symbol, pair.timeframe_ms, times)
        for symbol in (pair.symbol_a, pair.symbol_b)
    ]
    found = set()
    for one in kept:
        for bars, price in zip(legs, (one.price_a, one.price_b), strict=True):
            bar = bars.get(one.open_time_ms)
            if bar is not None and (not bar[2] or price != bar[0 if one.is_open else 1]):
                found.add(one.open_time_ms)
    return found


def _moved(decided: Sequence[Decided], name: str, figures_now: FiguresNow) -> set[int]:
    """Open times of the judged bars whose figure comes out otherwise now."""
    # That a bar had not closed in time was told without a figure, maybe of an earlier version.
    kept = {one.open_time_ms: one.values[name] for one in decided if name in one.values}
    now = figures_now(sorted(kept))
    return {time_ms for time_ms, value in now.items() if not _is_same(kept[time_ms], value)}


def _is_same(kept: float | int | str | None, now: float) -> bool:
    """Whether a figure is what it was, but for where a filter's run began."""
    if not isinstance(kept, (int, float)):
        return not math.isfinite(now)  # infinity, too, is kept as none
    return math.isclose(kept, now, rel_tol=SAME, abs_tol=SAME)


def _decided_on(moved: set[int], decided: Sequence[Decided], trips: Sequence[Trip]) -> set[int]:
    """Entry times of the trips that were entered or left by the z of one of these bars."""
    held = (one for one in decided if one.values.get("position"))
    entered = {one.values["zscore"]: one.open_time_ms for one in held}
    left = sorted(one.open_time_ms for one in decided if one.values.get("exit_code"))
    found = set()
    for trip in trips:
        by = {entered.get(trip.entry_z)}
        if trip.exit_ms is not None:
            by |= set(left[: bisect_left(left, trip.exit_ms)][-1:])
        if by & moved:
            found.add(trip.entry_ms)
    return found
