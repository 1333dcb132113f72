"""What each kind of rule looks at, bar by bar, and the one loop that carries its state through."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from core.alerts import judge_data, judge_measure, judge_silence, judge_zscore, z_bars
from core.episodes import Episode, Judgement, RuleState
from core.paper import Mark, PaperState, trade_bars
from core.radar_rule import judge_radar
from ingest.analysis.data_facts import data_facts
from ingest.analysis.figures import Figures, Fresh
from ingest.analysis.radar_sky import RadarSky
from ingest.store.reader import Snapshot
from ingest.store.rules import StoredRule

MOST_BARS = 1_000
"""Bars of one rule that are computed in one go: what was missed comes in such pieces."""
MOST_RADAR_BARS = 50
"""Of a radar rule, the newest: who was far out before them and is no more is past."""


@dataclass(slots=True)
class Watched:
    """A rule as it was left after its last judged bar."""

    rule: StoredRule
    state: RuleState
    paper: PaperState | None
    moved_s: float
    """When its last bar was seen, by the steady clock."""
    revision: tuple[int, int] | None = None
    """Of both legs, when its record was last compared with their bars."""
    compared_s: float = -math.inf
    """When that was, by the steady clock."""

    @property
    def next_ms(self) -> int:
        """Open time of the bar to judge next."""
        judged_ms = self.state.judged_ms
        born_ms = self.state.born_ms
        return born_ms if judged_ms is None else judged_ms + self.rule.spec.timeframe_ms


class Judged(NamedTuple):
    """One bar of one rule, still to be recorded."""

    watched: Watched
    judgement: Judgement
    mark: Mark | None = None


class Due(NamedTuple):
    """The bars of a rule that can be judged now."""

    first_ms: int
    last_ms: int
    newest_ms: int
    """Of all that have closed: a bar before it is judged late."""
    seen: frozenset[Episode]
    """What somebody has acknowledged."""

    def is_late(self, open_ms: int) -> bool:
        """Whether newer bars have closed already."""
        return open_ms < self.newest_ms


Bar: TypeAlias = Callable[[int, RuleState], tuple[Judgement, Mark | None]]
"""Judges the bar that opens at a time from the state before it."""


class Judge:
    """Judges bars of rules, and stores nothing.

    Parameters
    ----------
    figures : computes pairs over the bars of the store.
    sky : what radar rules see.
    """

    def __init__(self, figures: Figures, sky: RadarSky) -> None:
        self._figures = figures
        self._sky = sky

    def bars(
        self, watched: Watched, fresh: Fresh, newest_ms: int, seen: frozenset[Episode]
    ) -> Iterator[Judged]:
        """Every bar of a rule up to the newest, in order: each from the state the last one left."""
        spec, first_ms, last_ms = watched.rule.spec, watched.next_ms, newest_ms
        if spec.kind == "radar":
            first_ms = max(first_ms, last_ms - (MOST_RADAR_BARS - 1) * spec.timeframe_ms)
        else:
            last_ms = min(last_ms, first_ms + (MOST_BARS - 1) * spec.timeframe_ms)
        due = Due(first_ms, last_ms, newest_ms, seen)
        judge = {
            "zscore": self._zscore,
            "relationship": self._relationship,
            "radar": self._radar,
        }[spec.kind](watched, fresh, due)
        state = watched.state
        for open_ms in range(first_ms, last_ms + 1, spec.timeframe_ms):
            judgement, mark = judge(open_ms, state)
            state = judgement.after
            yield Judged(watched, judgement, mark)

    def silence(self, watched: Watched, bars: int, seen: frozenset[Episode]) -> Iterator[Judged]:
        """That so many bars have not closed in time, where that is news."""
        rule = watched.rule
        told = judge_silence(rule.spec, rule.version, bars, watched.state, seen=seen)
        if told.events:
            yield Judged(watched, told)

    def facts(
        self, watched: Watched, snapshot: Snapshot, now_ms: int, seen: frozenset[Episode]
    ) -> Iterator[Judged]:
        """The data themselves, as they are now."""
        rule, facts = watched.rule, data_facts(snapshot, now_ms)
        minute_ms = max(now_ms, watched.next_ms)
        judgement = judge_data(rule.spec, rule.version, minute_ms, facts, watched.state, seen=seen)
        yield Judged(watched, judgement)

    def _zscore(self, watched: Watched, fresh: Fresh, due: Due) -> Bar:
        rule = watched.rule
        pair = rule.spec.pair
        assert pair is not None, "a z-score rule has a pair"
        new = self._figures.new_rows(pair, due.first_ms, due.last_ms, fresh)
        columns = pair, new.rows, new.y, new.x, new.hedge
        given, position, exit_code, bars = z_bars(*columns, new.breaks, watched.state.progress)
        marks: list[Mark] | list[None] = [None] * len(bars)
        if watched.paper is not None:
            marks = trade_bars(*columns, given, position, exit_code, watched.paper)

        def judge(open_ms: int, state: RuleState) -> tuple[Judgement, Mark | None]:
            row = (open_ms - due.first_ms) // pair.timeframe_ms
            reason = new.why_no_z(row) if math.isnan(bars[row].zscore) else ""
            judgement = judge_zscore(
                rule.spec, rule.version, bars[row], state,
                is_late=due.is_late(open_ms), seen=due.seen, reason=reason,
            )  # fmt: skip
            return judgement, marks[row]

        return judge

    def _relationship(self, watched: Watched, fresh: Fresh, due: Due) -> Bar:
        rule = watched.rule
        pair, bound = rule.spec.pair, rule.spec.bound
        assert pair is not None, "a relationship rule has a pair"
        assert bound is not None, "and a bound"
        stored_ms = self._figures.first_ms(pair)

        def judge(open_ms: int, state: RuleState) -> tuple[Judgement, None]:
            value, reason = self._figures.measure(pair, bound.measure, open_ms, stored_ms, fresh)
            judgement = judge_measure(
                rule.spec, rule.version, open_ms, value, state,
                is_late=due.is_late(open_ms), seen=due.seen, reason=reason,
            )  # fmt: skip
            return judgement, None

        return judge

    def _radar(self, watched: Watched, fresh: Fresh, due: Due) -> Bar:
        rule, watch = watched.rule, watched.rule.spec.radar
        assert watch is not None, "a radar rule says what it watches"

        def judge(open_ms: int, state: RuleState) -> tuple[Judgement, None]:
            sky, reason = self._sky.at(watch, open_ms, state)
            judgement = judge_radar(
                rule.spec, rule.version, open_ms, sky, state,
                is_late=due.is_late(open_ms), seen=due.seen, reason=reason,
            )  # fmt: skip
            return judgement, None

        return judge
