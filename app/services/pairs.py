"""A pair as of now: the store's bars through core's numbers, kept until something changes."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, TypeVar, get_args

from app.services.cache import SHOWN_BYTES, BoundedCache, ResultCache
from app.services.kernels import Kernels
from app.services.later import Later
from app.services.looks import SharedLook, exchange_now_ms
from app.services.pair_states import (
    Ahead,
    Analysis,
    AnalysisKey,
    Closed,
    PairState,
    PairView,
    figures_of,
    state_of,
    without_bars,
)
from app.services.refusals import ingested
from core import pair as pairs
from core.errors import FieldError, PairdeskError, ParameterErrors
from core.explain import Explanation, explain_zscore
from core.pair_spec import PairSpec
from core.row_plan import MAX_ROWS_SINCE, RowPlan, plan_rows
from core.settings import Settings
from core.timeframes import Timeframe
from core.types import Leg, Listing, PairResult
from ingest.store.bar_cache import BarCache
from ingest.store.reader import Freshness, Reader, Snapshot

MOST_ANALYSES = 2
"""Results computed at once for whoever waits; ticks have a turn of their own beside them."""

Value = TypeVar("Value")


class RowNotThere(PairdeskError):
    """A pair has no result row at the time asked for; the message says which it has."""


class PairService:
    """Computes pairs from stored bars, each until something of it changes; safe between threads."""

    def __init__(
        self,
        settings: Settings,
        reader: Reader,
        look: SharedLook[Snapshot],
        now_ms: Callable[[], int],
        kernels: Kernels,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._look = look
        self._now_ms = now_ms
        self._kernels = kernels
        self._results = ResultCache()
        self._shown = ResultCache(BoundedCache(SHOWN_BYTES))
        self._moment: _Moment | None = None
        self._turns = threading.BoundedSemaphore(MOST_ANALYSES)
        self._tick_turn = threading.Lock()
        self._later = Later()
        self._bars = BarCache(reader)
        self._first_bars: dict[tuple[str, int], _FirstBar] = {}

    def view(self, spec: PairSpec) -> PairView:
        """Everything about a pair at the close of the last bar that both legs have.

        Raises
        ------
        SymbolNotIngested
            The store doesn't know a leg.
        ParameterErrors
            `since` asks for too many rows.
        StoreError
            The store can't be read.
        StillCompiling
            Nothing can be computed yet.
        """
        look = self._look.value()
        key = self._key(look, spec)
        analysis = None if key is None else self._analysis(key)
        if analysis is not None and self._shown.get(spec) is not analysis.closed:
            # What the page ticks on from: whole results of many pairs are not kept for long.
            self._shown.set(spec, analysis.closed)
        state = self._state(look, spec, analysis.closed if analysis else None)
        common = {part.name: getattr(state, part.name) for part in fields(PairState)}
        return PairView(**common, result=analysis.result if analysis else None)

    def state(self, spec: PairSpec, ahead: Ahead | None = None) -> PairState:
        """How a pair stands, for whoever asks only for what is newer.

        The first to ask after a close computes the new result; the others get the state before,
        and ask again a tick later: one thread computes meanwhile what they wait for, one pair
        after the other, and with it what `ahead` makes of it.

        Raises
        ------
        SymbolNotIngested, StoreError, StillCompiling
            As for `view`.
        """
        look = self._look.value()
        moment = self._moment_of(look)
        state = moment.states.get(spec)
        if state is None:
            key = self._key(look, spec)
            closed = None if key is None else self._closed(key, ahead)
            state = self._state(look, spec, closed, key)
            if state.is_newest:
                moment.states[spec] = state
        return state

    def known(self, spec: PairSpec) -> PairState | None:
        """How a pair stands by what has been computed already; None where nothing has been."""
        look = self._look.value()
        key = self._key(look, spec)
        closed: Closed | None = None if key is None else self._shown.get(spec)
        if key is not None and closed is None:
            return None
        return self._state(look, spec, closed, key)

    def shown(self, closed: Closed, name: Hashable, make: Callable[[PairResult], Value]) -> Value:
        """What `make` makes of the result behind a state: once, however many ask for that name."""
        return self._shown.get_or_compute(
            (closed.key, name), lambda: make(self._analysis(closed.key).result)
        )

    def explain(self, spec: PairSpec, open_time_ms: int | None) -> Explanation:
        """Every number behind the z of one result row, the last one unless told otherwise.

        Raises
        ------
        RowNotThere
            No result row opens at that time.
        SymbolNotIngested, StoreError, StillCompiling
            As for `view`.
        """
        legs = _legs(self._look.value(), spec)
        plan = self._plan(spec, legs)
        if plan is None:
            raise RowNotThere("no bar that both legs have in common is stored yet")
        step = spec.timeframe_ms
        last_ms = plan.end_ms - step
        time_ms = last_ms if open_time_ms is None else open_time_ms
        if not plan.start_ms <= time_ms <= last_ms or time_ms % step:
            raise RowNotThere(
                f"a multiple of {step} ms from {plan.start_ms} to {last_ms}, epoch milliseconds"
            )
        self._kernels.demand()
        leg_a, leg_b = self._both(spec, plan, (legs[0].revision, legs[1].revision))
        return explain_zscore(spec, plan, leg_a, leg_b, time_ms)

    def key(self, spec: PairSpec) -> AnalysisKey | None:
        """What the newest numbers of a pair hang on; None without bars in common.

        Raises
        ------
        SymbolNotIngested, StoreError
            As for `view`.
        """
        return self._key(self._look.value(), spec)

    def from_bars(self, key: AnalysisKey, name: str, compute: Callable[[Leg, Leg], Value]) -> Value:
        """What `compute` makes of the bars behind a key: in turn, and once for that name."""

        def computed() -> Value:
            self._kernels.demand()
            with self._turns:
                return compute(*self._both(key.spec, key.plan, key.revision))

        return self._shown.get_or_compute((key, name), computed)

    def _moment_of(self, look: Snapshot) -> "_Moment":
        moment = self._moment
        if moment is None or moment.look is not look:
            moment = self._moment = _Moment(look, {}, {})
        return moment

    def _plan(self, spec: PairSpec, legs: tuple[Freshness, Freshness]) -> RowPlan | None:
        step = spec.timeframe_ms
        symbols = (spec.symbol_a, spec.symbol_b)
        known = [
            (self._first_bar_ms(symbol, step, leg), leg.newest_bars_ms[step])
            for symbol, leg in zip(symbols, legs, strict=True)
            if step in leg.newest_bars_ms
        ]
        if len(known) < 2:
            return None
        first_ms = max(first for first, _ in known)
        last_ms = min(last for _, last in known)
        if max(first_ms, spec.since or 0) > last_ms:
            return None
        if spec.since is not None and last_ms - spec.since >= MAX_ROWS_SINCE * spec.timeframe_ms:
            earliest = last_ms - (MAX_ROWS_SINCE - 1) * spec.timeframe_ms
            words = f"must be within the last {MAX_ROWS_SINCE} bars"
            raise ParameterErrors([FieldError("since", words, f"from {earliest} on")])
        return plan_rows(spec, first_ms, last_ms)

    def _elsewhere(self, look: Snapshot, spec: PairSpec) -> tuple[Timeframe, ...]:
        legs = _legs(look, spec)
        specs = [replace(spec, timeframe=name, since=None) for name in get_args(Timeframe)]
        return tuple(other.timeframe for other in specs if self._plan(other, legs))

    def _first_bar_ms(self, symbol: str, timeframe_ms: int, leg: Freshness) -> int:
        """Open time of the first stored bar, read again when anything of the symbol changed."""
        newest_ms = leg.newest_bars_ms[timeframe_ms]
        kept = self._first_bars.get((symbol, timeframe_ms))
        if kept is None or kept[:2] != (leg.revision, newest_ms):
            stored = self._reader.bar_range(symbol, timeframe_ms)
            # All may have been removed since the look.
            first_ms = newest_ms if stored is None else stored[0]
            kept = _FirstBar(leg.revision, newest_ms, first_ms)
            self._first_bars[(symbol, timeframe_ms)] = kept
        return kept.open_time_ms

    def _key(self, look: Snapshot, spec: PairSpec) -> AnalysisKey | None:
        """What the newest result of a pair is kept under; None without bars in common."""
        keys = self._moment_of(look).keys
        if spec not in keys:
            keys[spec] = self._make_key(look, spec)
        return keys[spec]

    def _make_key(self, look: Snapshot, spec: PairSpec) -> AnalysisKey | None:
        legs = _legs(look, spec)
        plan = self._plan(spec, legs)
        if plan is None:
            return None
        # Taken before the bars: at worst a newer state is kept under an older revision.
        a, b = legs
        listing = Listing(a.quote, b.quote, a.status, b.status, a.price_decimals, b.price_decimals)
        return AnalysisKey(spec, plan, (a.revision, b.revision), listing)

    def _closed(self, key: AnalysisKey, ahead: Ahead | None) -> Closed:
        """The state under a key, or the one before while another is computed."""
        before: Closed | None = self._shown.get(key.spec)
        if before is None:
            # A tick waits for no compiler: the next one asks again.
            closed = self._analysis(key, at_once=True).closed
            self._shown.set(key.spec, closed)
            return closed
        if before.key == key:
            return before
        if self._tick_turn.acquire(blocking=False):
            try:
                return self._renewed(key)
            finally:
                self._tick_turn.release()
        name = ahead.name if ahead else None
        self._later.call((key.spec, name), lambda: self._catch_up(key.spec, ahead))
        return before

    def _catch_up(self, spec: PairSpec, ahead: Ahead | None) -> None:
        """Compute what ticks wait for, and make of it what they will ask for."""
        with self._tick_turn:
            key = self._key(self._look.value(), spec)
            if key is not None:
                closed = self._renewed(key)
                if ahead is not None:
                    ahead.make(closed)

    def _renewed(self, key: AnalysisKey) -> Closed:
        """The state under a key, computed where it isn't kept; for whoever has the ticks' turn."""
        kept: Closed | None = self._shown.get(key.spec)
        if kept is not None and kept.key == key:
            return kept
        closed = self._results.get_or_compute(key, lambda: self._analyse(key)).closed
        self._shown.set(key.spec, closed)
        return closed

    def _analysis(self, key: AnalysisKey, at_once: bool = False) -> Analysis:
        """The result under a key, computed in turn where it isn't kept."""

        def compute() -> Analysis:
            self._kernels.demand(at_once=at_once)
            with self._turns:
                return self._analyse(key)

        return self._results.get_or_compute(key, compute)

    def _analyse(self, key: AnalysisKey) -> Analysis:
        spec, plan, revision, listing = key
        leg_a, leg_b = self._both(spec, plan, revision)
        newest = [leg.imported[-1] for leg in (leg_a, leg_b) if len(leg)]
        result = pairs.analyse_pair(spec, plan, leg_a, leg_b, listing)
        closed = Closed(
            key=key,
            spec=spec,
            start_ms=result.start_ms,
            as_of_ms=result.as_of_ms,
            history_start_ms=result.history_start_ms,
            next_row=result.next_row,
            figures=figures_of(result),
            reasons=result.reasons,
            imported=any(bool(flag) for flag in newest),
        )
        return Analysis(result, closed)

    def _state(
        self,
        look: Snapshot,
        spec: PairSpec,
        closed: Closed | None,
        newest: AnalysisKey | None = None,
    ) -> PairState:
        now_ms = exchange_now_ms(look, self._now_ms())
        if closed is None:
            source, elsewhere = self._source(look, imported=False), self._elsewhere(look, spec)
            return without_bars(spec, source, elsewhere, now_ms)
        return state_of(
            closed,
            _legs(look, spec),
            look.gaps,
            source=self._source(look, imported=closed.imported),
            now_ms=now_ms,
            is_newest=newest is None or closed.key == newest,
        )

    def _both(self, spec: PairSpec, plan: RowPlan, revision: tuple[int, int]) -> tuple[Leg, Leg]:
        span = spec.timeframe_ms, plan.history_start_ms, plan.end_ms
        return (
            self._bars.leg(spec.symbol_a, *span, revision[0]),
            self._bars.leg(spec.symbol_b, *span, revision[1]),
        )

    def _source(self, look: Snapshot, *, imported: bool) -> str | None:
        if imported:
            return "import"
        kind = self._settings.source_kind
        return look.meta.get("source") or (None if kind == "auto" else kind)


@dataclass(frozen=True, slots=True, eq=False)
class _Moment:
    """What is known of pairs as of one look: clients of the same pair share it."""

    look: Snapshot
    keys: dict[PairSpec, AnalysisKey | None]
    states: dict[PairSpec, PairState]


class _FirstBar(NamedTuple):
    revision: int
    newest_ms: int
    open_time_ms: int


def _legs(look: Snapshot, spec: PairSpec) -> tuple[Freshness, Freshness]:
    a, b = ingested({"symbol_a": spec.symbol_a, "symbol_b": spec.symbol_b}, look.symbols)
    return a, b
