"""Every rule beside how its pair stands: the desk at a glance, made once for all who look."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from app.services.alerts import Record
from app.services.looks import SharedLook
from app.services.pair_states import PairState
from app.services.pairs import PairService
from app.services.refusals import StillCompiling, SymbolNotIngested
from core.paper import Position
from core.rule_spec import Bound, RuleSpec
from ingest.store.reader import Snapshot, Standing, StoredEpisode
from ingest.store.rules import StoredRule

COMPUTE_S = 0.5
"""Pairs are computed for so long in one go; those that are left show what was known of them."""


@dataclass(frozen=True, slots=True, eq=False)
class WatchedRule:
    """One rule, what is known of it, and its pair as of the last closed bar.

    `pair` is None for a rule without one, and while nothing of it is computed yet; where newer
    bars have closed than it knows of, its `is_newest` is False. Rules of one spec share it.
    """

    rule: StoredRule
    standing: Standing | None
    firing: tuple[StoredEpisode, ...]
    position: Position | None
    pair: PairState | None
    why_no_pair: str = ""

    @property
    def value(self) -> float:
        """What is watched: z, or the figure of a relationship; NaN where there is none."""
        if self.rule.spec.kind == "zscore":
            closed = self.pair.closed if self.pair else None
            return closed.figures.zscore if closed else math.nan
        found = self.standing.values.get("value") if self.standing else None
        return math.nan if found is None else float(found)

    @property
    def distance_to_entry(self) -> float:
        """How much farther out the value has to come for it to fire; below 0 beyond that."""
        return distance_to_entry(self.rule.spec, self.value)

    @property
    def distance_to_exit(self) -> float:
        """How far what fires still is from where it resolves; NaN while nothing fires."""
        directions = [one.direction for one in self.firing]
        return distance_to_exit(self.rule.spec, self.value, directions)


@dataclass(frozen=True, slots=True, eq=False)
class Watchlist:
    """Every rule in force, by id; another `number` stands for another content."""

    number: int
    rules: tuple[WatchedRule, ...]
    is_whole: bool
    """Each pair is that of its last closed bar."""


class WatchlistService:
    """Puts rules and pairs together; safe between threads.

    One thread at a time computes, and for no longer than `COMPUTE_S`; the others get the list
    before. Between two looks at the store nothing is done at all.
    """

    def __init__(
        self,
        pairs: PairService,
        look: SharedLook[Snapshot],
        record: SharedLook[Record],
        monotonic: Callable[[], float],
    ) -> None:
        self._pairs = pairs
        self._look = look
        self._record = record
        self._monotonic = monotonic
        self._turn = threading.Lock()
        self._made: _Made | None = None

    def record(self) -> Record:
        """Rules and what fires of them as of the newest look, without waiting for any pair.

        Raises
        ------
        StoreError
            The store can't be read.
        """
        return self._record.value()

    def view(self) -> Watchlist:
        """The rules as of the newest look.

        Raises
        ------
        StoreError
            The store can't be read.
        """
        record, look = self._record.value(), self._look.value()
        made = self._made
        if made is not None and (made.holds(record, look) or self._turn.locked()):
            return made.watchlist
        with self._turn:
            made = self._made
            if made is None or not made.holds(record, look):
                number = made.watchlist.number + 1 if made else 1
                made = self._made = _Made(record, look, self._make(record, number))
            return made.watchlist

    def _make(self, record: Record, number: int) -> Watchlist:
        until_s = self._monotonic() + COMPUTE_S
        rules, is_whole = [], True
        for rule in record.rules:
            pair, why_not = self._pair(rule.spec, until_s)
            is_whole &= why_not != "" or rule.spec.pair is None or bool(pair and pair.is_newest)
            rules.append(
                WatchedRule(
                    rule,
                    record.standings.get(rule.rule_id),
                    tuple(record.firing.get(rule.rule_id, ())),
                    record.positions.get(rule.rule_id),
                    pair,
                    why_not,
                )
            )
        return Watchlist(number, tuple(rules), is_whole)

    def _pair(self, spec: RuleSpec, until_s: float) -> tuple[PairState | None, str]:
        if spec.pair is None:
            return None, ""
        try:
            state = self._pairs.known(spec.pair)
            if (state is None or not state.is_newest) and self._monotonic() < until_s:
                state = self._pairs.state(spec.pair)
        except SymbolNotIngested as error:
            return None, str(error)
        except StillCompiling:
            return None, ""  # asked for again with the next look
        return state, ""


@dataclass(frozen=True, slots=True)
class _Made:
    """A watchlist, and what it was made of."""

    record: Record
    look: Snapshot
    watchlist: Watchlist

    def holds(self, record: Record, look: Snapshot) -> bool:
        is_same = self.record is record and self.look is look
        return is_same and self.watchlist.is_whole


def distance_to_entry(spec: RuleSpec, value: float) -> float:
    """How much farther out a value has to come for a rule to fire.

    Parameters
    ----------
    value : z, or the figure that a relationship watches.

    Returns
    -------
    In units of the value; 0 or less where it is there already, NaN for a rule without a value.
    """
    if spec.bound is not None:
        limits = _limits(spec.bound).items()
        return min(
            (outward * (limit - value) for outward, limit in limits if limit is not None),
            default=math.nan,
        )
    return math.nan if spec.pair is None else spec.pair.entry_z - abs(value)


def distance_to_exit(spec: RuleSpec, value: float, directions: list[str]) -> float:
    """How far a value still is from where what fires resolves; NaN where nothing of it fires."""
    for outward, name in ((1, "above"), (-1, "below")):
        limit = _limits(spec.bound)[outward] if spec.bound else None
        if spec.bound and limit is not None and name in directions:
            return outward * (value - limit) + spec.bound.hysteresis
    for outward, name in ((1, "short_spread"), (-1, "long_spread")):
        if spec.pair is not None and name in directions:
            return outward * value - spec.pair.exit_z
    return math.nan


def _limits(bound: Bound) -> dict[int, float | None]:
    """The bounds by the direction that lies beyond them."""
    return {1: bound.above, -1: bound.below}
