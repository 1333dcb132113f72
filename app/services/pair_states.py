"""What is known of a pair, and how it stands: whole results, and what ticks need of them."""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from core import pair as pairs
from core.pair_spec import PairSpec
from core.row_plan import RowPlan
from core.timeframes import Timeframe
from core.types import FloatArray, Listing, NextRow, PairResult
from core.words import moment_text
from ingest.store.reader import Freshness, StoredGap

CLOSING_GRACE_MS = 15_000
"""A bar not closed this long after its end makes a result stale."""
RECENT_BARS = 120
"""Bars of a sparkline."""


class AnalysisKey(NamedTuple):
    """What decides a result: while these stay the same, so do its numbers."""

    spec: PairSpec
    plan: RowPlan
    revision: tuple[int, int]
    """Of both legs: it rises when stored bars are rewritten."""
    listing: Listing


@dataclass(frozen=True, slots=True, eq=False)
class PairSummary:
    """What a watchlist says of a pair; NaN where undefined."""

    zscore: float
    half_life_bars: float
    pvalue_both: float
    required_z: float
    recent_z: FloatArray
    """Of the last bars, the newest one last."""


@dataclass(frozen=True, slots=True, eq=False)
class Closed:
    """A result without its rows: what ticks ask between two closes, at next to no size."""

    key: AnalysisKey
    spec: PairSpec
    start_ms: int
    as_of_ms: int
    history_start_ms: int
    next_row: NextRow
    figures: PairSummary
    reasons: Mapping[str, str]
    imported: bool

    @property
    def last_open_ms(self) -> int:
        return self.as_of_ms - self.spec.timeframe_ms


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What stays the same until a bar closes or is rewritten."""

    result: PairResult
    closed: Closed


@dataclass(frozen=True, slots=True, eq=False)
class PairState:
    """How a pair stands now. Without bars common to both legs `closed` is None; a warning says so.

    `is_newest` is False while a newer result is still to be computed.
    """

    spec: PairSpec
    closed: Closed | None
    source: str | None
    stale: bool
    gaps: tuple[StoredGap, ...]
    warnings: tuple[str, ...]
    zscore_provisional: float
    forming_closes: tuple[float, float] | None
    elsewhere: tuple[Timeframe, ...]
    """Without bars in common: timeframes of which both legs have some."""
    now_ms: int
    is_newest: bool


@dataclass(frozen=True, slots=True, eq=False)
class PairView(PairState):
    """The same with every row of the result."""

    result: PairResult | None

    @property
    def decided_by(self) -> tuple[Hashable, ...]:
        """All that an answer made of this view follows from."""
        decided = self.closed.key if self.closed else self.spec
        provisional = repr(self.zscore_provisional)  # as text: NaN is not equal to itself
        return decided, self.source, self.stale, self.gaps, self.warnings, provisional


class Ahead(NamedTuple):
    """What a client will ask for of a newer result, made while that is at hand.

    Clients that will ask for the same have the same name.
    """

    name: Hashable
    make: Callable[[Closed], object]


def figures_of(result: PairResult) -> PairSummary:
    """Take from a result what a watchlist says of it."""
    found = result.cointegration
    return PairSummary(
        zscore=result.zscore,
        half_life_bars=result.half_life_bars,
        pvalue_both=math.nan if found is None else found.pvalue_both,
        required_z=result.required_z,
        recent_z=result.chosen.zscore[-RECENT_BARS:].copy(),
    )


def without_bars(
    spec: PairSpec, source: str | None, elsewhere: tuple[Timeframe, ...], now_ms: int
) -> PairState:
    """How a pair stands whose legs have no bars in common."""
    since = " of `since` or later" if spec.since is not None else ""
    return PairState(
        spec=spec,
        closed=None,
        source=source,
        stale=True,
        gaps=(),
        warnings=(
            f"bars: no {spec.timeframe} bars{since} that {spec.symbol_a} and"
            f" {spec.symbol_b} have in common are stored yet",
        ),
        zscore_provisional=math.nan,
        forming_closes=None,
        elsewhere=elsewhere,
        now_ms=now_ms,
        is_newest=True,
    )


def state_of(
    closed: Closed,
    legs: tuple[Freshness, Freshness],
    gaps: Iterable[StoredGap],
    *,
    source: str | None,
    now_ms: int,
    is_newest: bool,
) -> PairState:
    """How a pair stands by its last result, what its legs last traded at, and the time."""
    spec, warnings = closed.spec, list[str]()
    stale = now_ms > closed.as_of_ms + spec.timeframe_ms + CLOSING_GRACE_MS
    if stale:
        at = moment_text(closed.as_of_ms)
        warnings.append(f"stale: the last bar of both legs closed at {at}")
    closes, reason = forming_closes(legs, closed)
    if closes and now_ms > last_current_ms(closed):
        closes, reason = None, "the bar after the last closed one is over"
    provisional = math.nan
    if closes and "zscore_provisional" not in closed.reasons:
        provisional = pairs.provisional_zscore(closed, *closes)
    if not math.isfinite(provisional):
        why = reason or closed.reasons.get("zscore_provisional", "undefined")
        warnings.append(f"zscore_provisional: {why}")
    symbols = spec.symbol_a, spec.symbol_b
    return PairState(
        spec=spec,
        closed=closed,
        source=source,
        stale=stale,
        gaps=tuple(
            gap for gap in gaps if gap.symbol in symbols and gap.to_ms >= closed.history_start_ms
        ),
        warnings=tuple(warnings),
        zscore_provisional=provisional,
        forming_closes=closes,
        elsewhere=(),
        now_ms=now_ms,
        is_newest=is_newest,
    )


def last_current_ms(result: Closed | PairResult) -> int:
    """Until when the bar after the last closed one may be the current one."""
    step = result.spec.timeframe_ms
    return result.as_of_ms + step + min(CLOSING_GRACE_MS, step)


def forming_closes(
    legs: tuple[Freshness, Freshness], result: Closed | PairResult
) -> tuple[tuple[float, float] | None, str]:
    """Last prices of both legs, when the bar right after the last closed one has begun."""
    times = [leg.last_event_time_ms for leg in legs]
    prices = [leg.last_price for leg in legs]
    if any(value is None for value in [*times, *prices]):
        return None, "no live price of both legs"
    newest_ms = max(time_ms for time_ms in times if time_ms is not None)
    if newest_ms < result.as_of_ms:
        return None, "the forming bar has no trade yet"
    # The bar after next has begun by then at the latest, and the prices are its own.
    if newest_ms > last_current_ms(result):
        return None, "the last prices are not of the bar after the last closed one"
    price_a, price_b = (price for price in prices if price is not None)
    return (price_a, price_b), ""
