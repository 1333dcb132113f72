"""Closed bars to judged rules: each rule and bar once, in order, all of it in one transaction."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog

from core.episodes import NO_DATA, Episode
from core.pair_spec import PairSpec
from core.rule_spec import RuleSpec
from core.timeframes import DAY_MS, MINUTE_MS
from ingest.analysis.figures import Figures
from ingest.analysis.judge import Judge, Judged, Watched
from ingest.analysis.radar_sky import RadarSky
from ingest.analysis.revisions import mark_revised
from ingest.store import episodes, paper, rules
from ingest.store.reader import Freshness, Reader, Snapshot
from ingest.store.rules import StoredRule
from ingest.store.transaction import WRITE_PAUSE_S, Transaction, Writer

log = structlog.get_logger()

CHUNK = 50
"""Judged bars a transaction: others want to write, too."""
LOOK_S = 1.0
"""After so long a look ends and the next one goes on: the process has to say that it lives."""
QUIET_BARS = 10_000
"""A week of minutes."""
MOST_PRUNED = 1_000
GRACE_S = 5.0
"""A bar may be so late before it counts as one that has not closed."""
DELAYS_S = 900.0
"""How late judging was is told of so long: a slow start is past by then."""


@dataclass(slots=True)
class EvaluationCounts:
    """What was done since the start, for the report."""

    rules: int = 0
    judged: int = 0
    fired: int = 0
    late: int = 0
    """Bars that were judged when newer ones had closed already."""


@dataclass(frozen=True, slots=True)
class _Delay:
    """How long a bar waited for its judgement."""

    at_s: float
    since_end_ms: float
    since_there_ms: float


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
        self._judge = Judge(self._figures, self._sky)
        self._versions: dict[int, int] | None = None
        self._watched: dict[int, Watched] = {}
        self._pruned = 0
        self._failed: dict[int, int] = {}
        self._delays = deque[_Delay](maxlen=1_000)
        self._looked_ms = 0
        """When the last look began that judged all there was."""
        self.tally = EvaluationCounts()

    @property
    def late_ms_p99(self) -> float | None:
        """From a bar's end to its judgement being stored, of the last quarter of an hour.

        Of a hundred bars 99 took less; the newest one's alone where nothing has closed since.
        What it takes until the bar of a quiet symbol is known is in it.
        """
        return _p99([one.since_end_ms for one in self._recent()])

    @property
    def judging_ms_p99(self) -> float | None:
        """Of the same bars, from when they were there to be judged: what the analyst itself takes.

        Counted from the look before, which did not have the bar yet: too much by one look at most.
        """
        return _p99([one.since_there_ms for one in self._recent()])

    def _recent(self) -> deque[_Delay]:
        since_s = self._steady_s() - DELAYS_S
        while len(self._delays) > 1 and self._delays[0].at_s < since_s:
            self._delays.popleft()
        return self._delays

    def look(self) -> int:
        """Judge what has closed since the last look; return how many bars that were.

        Raises
        ------
        StoreError
            Nothing of the last chunk is stored; the next look judges it again.
        """
        began_ms = self._now_ms()
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
                self._pause(WRITE_PAUSE_S)
        count += self._record(chunk)
        self._looked_ms = began_ms
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
                yield from self._bars_due(watched, fresh, snapshot)
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

    def _bars_due(
        self, watched: Watched, fresh: dict[str, Freshness], snapshot: Snapshot | None
    ) -> Iterator[Judged]:
        seen = self._seen(watched)
        if watched.rule.spec.kind == "data":
            assert snapshot is not None
            return self._judge.facts(watched, snapshot, self._now_ms(), seen)
        newest_ms = self._newest_ms(watched.rule.spec, fresh)
        if newest_ms is None or newest_ms < watched.next_ms:
            return self._judge.silence(watched, self._silent_bars(watched), seen)
        return self._judge.bars(watched, fresh, newest_ms, seen)

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

    def _newest_ms(self, rule: RuleSpec, fresh: dict[str, Freshness]) -> int | None:
        """Open time of the newest bar that can be judged: both legs have it, or nearly all."""
        if rule.radar is not None:
            return self._sky.newest_ms(rule.radar.timeframe)
        return _newest_ms(rule.pair, fresh)

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
                    stored_ms = self._now_ms()
                    there_ms = max(end_ms, self._looked_ms)
                    self._delays.append(
                        _Delay(
                            watched.moved_s,
                            max(0.0, stored_ms - end_ms),
                            max(0.0, stored_ms - there_ms),
                        )
                    )
            watched.state = judgement.after
            watched.paper = watched.paper if mark is None else mark.state
        for rule_id in refused:
            self._watched.pop(rule_id, None)
            self._versions = None
        return len(stored)


def _p99(delays: list[float]) -> float | None:
    return sorted(delays)[math.ceil(0.99 * len(delays)) - 1] if delays else None


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
