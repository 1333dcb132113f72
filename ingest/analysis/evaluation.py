"""Closed bars to judged rules: each rule and bar once, in order, all of it in one transaction."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from core.alerts import judge_data, judge_measure, judge_silence, judge_zscore, z_bars
from core.episodes import NO_DATA, Episode, Judgement, RuleState
from core.pair_spec import PairSpec
from core.paper import Mark, PaperState, trade_bars
from core.radar_rule import judge_radar
from core.rule_spec import RuleSpec
from ingest.analysis.data_facts import data_facts
from ingest.analysis.figures import Figures
from ingest.analysis.radar_sky import RadarSky
from ingest.analysis.revisions import mark_revised
from ingest.store import episodes, paper, rules
from ingest.store.reader import Freshness, Reader, Snapshot
from ingest.store.rules import StoredRule
from ingest.store.transaction import Transaction, Writer

log = structlog.get_logger()

MOST_BARS = 1_000
"""Bars of one rule that are computed in one go: what was missed comes in such pieces."""
MOST_RADAR_BARS = 50
"""Of a radar rule, the newest: who was far out before them and is no more is past."""
CHUNK = 50
"""Judged bars a transaction: others want to write, too."""
PAUSE_S = 0.02
LOOK_S = 1.0
"""After so long a look ends and the next one goes on: the process has to say that it lives."""
QUIET_BARS = 10_000
"""A week of minutes."""
MOST_PRUNED = 1_000
MINUTE_MS, DAY_MS = 60_000, 86_400_000
GRACE_S = 5.0
"""A bar may be so late before it counts as one that has not closed."""


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
    mark: Mark | None


@dataclass(slots=True)
class Tally:
    """What was done since the start, for the report."""

    rules: int = 0
    judged: int = 0
    fired: int = 0
    late: int = 0
    """Bars that were judged when newer ones had closed already."""


class Evaluation:
    """Judges every stored rule over the bars of the store; used from one thread.

    Nothing of it is lost where it dies: what was judged is stored with the bar's number, and all
    else is judged again. An edit, a pause or a deletion is seen at the next look.

    Parameters
    ----------
    now_ms : the time, on a clock that never jumps.
    steady_s : the same clock in seconds from anywhere.
    """

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        now_ms: Callable[[], int],
        steady_s: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._now_ms = now_ms
        self._steady_s = steady_s
        self._pause = pause
        self._figures = Figures(reader)
        self._sky = RadarSky(reader, self._figures, steady_s)
        self._versions: dict[int, int] | None = None
        self._watched: dict[int, Watched] = {}
        self._pruned = 0
        self._failed: dict[int, int] = {}
        self._delays_ms: deque[float] = deque(maxlen=1_000)
        self.tally = Tally()

    @property
    def late_ms_p99(self) -> float | None:
        """From a bar's end to its judgement being stored: 99 of the last 100 took less."""
        delays = sorted(self._delays_ms)
        return delays[math.ceil(0.99 * len(delays)) - 1] if delays else None

    def look(self) -> int:
        """Judge what has closed since the last look; return how many bars that were.

        Raises
        ------
        StoreError
            Nothing of the last chunk is stored; the next look judges it again.
        """
        self._reload()
        if not self._watched:
            return 0
        pairs_ = [one.rule.spec.pair for one in self._watched.values()]
        symbols = {leg for pair in pairs_ if pair for leg in (pair.symbol_a, pair.symbol_b)}
        lengths = sorted({pair.timeframe_ms for pair in pairs_ if pair})
        fresh = self._reader.freshness(sorted(symbols), lengths)
        count, chunk, started_s = 0, list[Judged](), self._steady_s()
        for judged in self._judge_all(fresh):
            chunk.append(judged)
            if len(chunk) == CHUNK:
                count += self._record(chunk)
                chunk = []
                if self._steady_s() - started_s > LOOK_S:
                    return count
                self._pause(PAUSE_S)
        count += self._record(chunk)
        self._mark_revised(fresh)
        return count

    def _mark_revised(self, fresh: dict[str, Freshness]) -> None:
        """Mark what hangs on bars that were rewritten since, of one rule whose legs were.

        The one that has waited longest: the others follow at the next looks, nothing waits for it.
        """
        waiting = []
        for watched in self._watched.values():
            pair = watched.rule.spec.pair
            if pair is None or not {pair.symbol_a, pair.symbol_b} <= fresh.keys():
                continue
            revision = fresh[pair.symbol_a].revision, fresh[pair.symbol_b].revision
            if watched.revision != revision:
                waiting.append((watched, revision))
        if not waiting:
            return
        watched, watched.revision = min(waiting, key=lambda one: one[0].compared_s)
        watched.compared_s = self._steady_s()
        mark_revised(
            self._reader, self._writer, watched.rule,
            lambda times: self._figures.at(watched.rule.spec, times, fresh),
        )  # fmt: skip

    def prune(self, retain_1s_days: int, retain_bars_days: int) -> None:
        """Delete what is too old of one rule, the next one at each call: a short transaction.

        Reasons of bars at which nothing happened go after `QUIET_BARS`, all else when bars do.
        """
        order = sorted(self._watched)
        if not order:
            return
        rule_id = next((one for one in order if one > self._pruned), order[0])
        self._pruned = rule_id
        watched = self._watched[rule_id]
        judged_ms = watched.state.judged_ms
        if judged_ms is None:
            return
        step = watched.rule.spec.timeframe_ms
        days = retain_1s_days if step < MINUTE_MS else retain_bars_days
        before_ms = judged_ms - days * DAY_MS
        with self._writer.transaction() as tx:
            episodes.prune_decisions(
                tx, rule_id, judged_ms - QUIET_BARS * step, before_ms, MOST_PRUNED
            )
            paper.prune_marks(tx, rule_id, before_ms, MOST_PRUNED)

    def _reload(self) -> None:
        """Take in what the user has changed."""
        versions = self._reader.rule_versions()
        if versions == self._versions:
            return
        with self._writer.transaction() as tx:
            wanted = rules.enabled(tx)
            watched = {}
            for rule in wanted:
                kept = self._watched.get(rule.rule_id)
                same = kept is not None and kept.rule.version == rule.version
                watched[rule.rule_id] = kept if same and kept else self._load(tx, rule)
        self._watched, self._versions = watched, versions
        self.tally.rules = len(watched)

    def _load(self, tx: Transaction, rule: StoredRule) -> Watched:
        traded = paper.load_state(tx, rule) if rule.spec.paper else None
        return Watched(rule, episodes.load_state(tx, rule), traded, self._steady_s())

    def _judge_all(self, fresh: dict[str, Freshness]) -> Iterator[Judged]:
        """Every bar that is due, rule by rule; a rule that can't be judged holds up no other."""
        snapshot: Snapshot | None = None
        for watched in list(self._watched.values()):
            rule = watched.rule
            if not self._is_due(watched, fresh):
                continue
            if rule.spec.kind == "data":
                snapshot = snapshot or self._reader.snapshot(None, ())
            try:
                yield from self._judge(watched, fresh, snapshot)
            except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
                if self._failed.get(rule.rule_id) != rule.version:
                    self._failed[rule.rule_id] = rule.version
                    log.error("a rule can't be judged", rule=rule.rule_id, exc_info=error)

    def _is_due(self, watched: Watched, fresh: dict[str, Freshness]) -> bool:
        if watched.rule.spec.kind == "data":
            # A clock that was set back must not stop it: a minute later it is due all the same.
            waited_s = self._steady_s() - watched.moved_s
            return self._now_ms() >= watched.next_ms or waited_s >= MINUTE_MS / 1_000
        newest_ms = self._newest_ms(watched.rule.spec, fresh)
        is_there = newest_ms is not None and newest_ms >= watched.next_ms
        return is_there or self._silent_bars(watched) > 0

    def _judge(
        self, watched: Watched, fresh: dict[str, Freshness], snapshot: Snapshot | None
    ) -> Iterator[Judged]:
        seen = self._seen(watched)
        if watched.rule.spec.kind == "data":
            assert snapshot is not None
            yield self._judge_data(watched, snapshot, seen)
            return
        newest_ms = self._newest_ms(watched.rule.spec, fresh)
        if newest_ms is None or newest_ms < watched.next_ms:
            rule, bars = watched.rule, self._silent_bars(watched)
            told = judge_silence(rule.spec, rule.version, bars, watched.state, seen=seen)
            if told.events:
                yield Judged(watched, told, None)
            return
        step = watched.rule.spec.timeframe_ms
        last_ms = min(newest_ms, watched.next_ms + (MOST_BARS - 1) * step)
        if watched.rule.spec.radar is not None:
            last_ms = newest_ms
        judge = {
            "zscore": self._judge_zscore,
            "relationship": self._judge_relationship,
            "radar": self._judge_radar,
        }[watched.rule.spec.kind]
        yield from judge(watched, fresh, last_ms, newest_ms, seen)

    def _seen(self, watched: Watched) -> frozenset[Episode]:
        """What somebody has acknowledged, of what fires and has not been told."""
        latches = watched.state.latches.values()
        if not any(latch.episode and not latch.told for latch in latches):
            return frozenset()
        with self._writer.transaction() as tx:
            return episodes.acknowledged(tx, watched.rule.rule_id)

    def _silent_bars(self, watched: Watched) -> int:
        """How many bars have not closed in time; 0 while that is nothing to tell."""
        rule, latch = watched.rule.spec, watched.state.latches.get(NO_DATA)
        if rule.timeframe is None or (latch is not None and latch.stage == "firing" and latch.told):
            return 0
        waited_s = self._steady_s() - watched.moved_s - GRACE_S
        bars = int(max(0.0, waited_s) * 1_000 / rule.timeframe_ms)
        return bars if bars >= rule.watch.no_data_after_bars else 0

    def _judge_zscore(
        self,
        watched: Watched,
        fresh: dict[str, Freshness],
        last_ms: int,
        newest_ms: int,
        seen: frozenset[Episode],
    ) -> Iterator[Judged]:
        rule, state = watched.rule, watched.state
        pair = rule.spec.pair
        assert pair is not None, "a z-score rule has a pair"
        new = self._figures.new_rows(pair, watched.next_ms, last_ms, fresh)
        columns = pair, new.rows, new.y, new.x, new.hedge
        given, position, exit_code, bars = z_bars(*columns, new.breaks, state.progress)
        marks: list[Mark] | list[None] = [None] * len(bars)
        if watched.paper is not None:
            marks = trade_bars(*columns, given, position, exit_code, watched.paper)
        for row, (bar, mark) in enumerate(zip(bars, marks, strict=True)):
            judgement = judge_zscore(
                rule.spec, rule.version, bar, state, is_late=bar.open_time_ms < newest_ms,
                seen=seen, reason=new.why_no_z(row) if math.isnan(bar.zscore) else "",
            )  # fmt: skip
            state = judgement.after
            yield Judged(watched, judgement, mark)

    def _judge_relationship(
        self,
        watched: Watched,
        fresh: dict[str, Freshness],
        last_ms: int,
        newest_ms: int,
        seen: frozenset[Episode],
    ) -> Iterator[Judged]:
        rule, state = watched.rule, watched.state
        pair, bound = rule.spec.pair, rule.spec.bound
        assert pair is not None, "a relationship rule has a pair"
        assert bound is not None, "and a bound"
        first_ms = self._figures.first_ms(pair)
        for open_ms in range(watched.next_ms, last_ms + 1, pair.timeframe_ms):
            value, reason = self._figures.measure(pair, bound.measure, open_ms, first_ms, fresh)
            judgement = judge_measure(
                rule.spec, rule.version, open_ms, value, state,
                is_late=open_ms < newest_ms, seen=seen, reason=reason,
            )  # fmt: skip
            state = judgement.after
            yield Judged(watched, judgement, None)

    def _judge_radar(
        self,
        watched: Watched,
        fresh: dict[str, Freshness],
        last_ms: int,
        newest_ms: int,
        seen: frozenset[Episode],
    ) -> Iterator[Judged]:
        rule, state = watched.rule, watched.state
        watch, step = rule.spec.radar, rule.spec.timeframe_ms
        assert watch is not None, "a radar rule says what it watches"
        first_ms = max(watched.next_ms, last_ms - (MOST_RADAR_BARS - 1) * step)
        for open_ms in range(first_ms, last_ms + 1, step):
            sky, reason = self._sky.at(watch, open_ms, state)
            judgement = judge_radar(
                rule.spec, rule.version, open_ms, sky, state,
                is_late=open_ms < newest_ms, seen=seen, reason=reason,
            )  # fmt: skip
            state = judgement.after
            yield Judged(watched, judgement, None)

    def _newest_ms(self, rule: RuleSpec, fresh: dict[str, Freshness]) -> int | None:
        """Open time of the newest bar that can be judged: both legs have it, or nearly all."""
        if rule.radar is not None:
            return self._sky.newest_ms(rule.radar.timeframe)
        return _newest_ms(rule.pair, fresh)

    def _judge_data(self, watched: Watched, snapshot: Snapshot, seen: frozenset[Episode]) -> Judged:
        now_ms = self._now_ms()
        rule, facts = watched.rule, data_facts(snapshot, now_ms)
        minute_ms = max(now_ms, watched.next_ms)
        judgement = judge_data(rule.spec, rule.version, minute_ms, facts, watched.state, seen=seen)
        return Judged(watched, judgement, None)

    def _record(self, chunk: list[Judged]) -> int:
        """Store judged bars; those of a rule that was edited meanwhile are judged again."""
        if not chunk:
            return 0
        now_ms, refused, stored = self._now_ms(), set[int](), list[Judged]()
        with self._writer.transaction() as tx:
            for one in chunk:
                rule = one.watched.rule
                if rule.rule_id in refused:
                    continue
                if not episodes.record(tx, rule, one.judgement, now_ms):
                    refused.add(rule.rule_id)
                    continue
                if one.mark is not None:
                    paper.record(tx, rule, one.mark)
                stored.append(one)
        for watched, judgement, mark in stored:
            self.tally.fired += sum(event.kind == "fired" for event in judgement.events)
            if judgement.after.judged_ms != watched.state.judged_ms:
                watched.moved_s = self._steady_s()
                self.tally.judged += 1
                self.tally.late += judgement.is_late
                if not judgement.is_late:
                    end_ms = judgement.open_time_ms + watched.rule.spec.timeframe_ms
                    self._delays_ms.append(max(0.0, self._now_ms() - end_ms))
            watched.state = judgement.after
            watched.paper = watched.paper if mark is None else mark.state
        for rule_id in refused:
            self._watched.pop(rule_id, None)
            self._versions = None
        return len(stored)


def _newest_ms(pair: PairSpec | None, fresh: dict[str, Freshness]) -> int | None:
    """Open time of the newest bar that both legs have."""
    if pair is None:
        return None
    times = [
        fresh[symbol].newest_bars_ms.get(pair.timeframe_ms)
        for symbol in (pair.symbol_a, pair.symbol_b)
        if symbol in fresh
    ]
    known = [time_ms for time_ms in times if time_ms is not None]
    return min(known) if len(known) == 2 else None
