"""Positions of one rule, traded on paper bar by bar: what the backtest gives, as the bars come."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from core.backtest import FLAT, Book, TripRow, trade_on
from core.pair_spec import PairSpec
from core.signals import EXIT_REASONS, Conditions
from core.types import FloatArray, HedgeSeries, IntArray, PairRows, RoundTrip, Side

NAN = math.nan


class Anchor(NamedTuple):
    """The spread as it stood at a decision."""

    zscore: float = NAN
    intercept: float = NAN
    hedge_ratio: float = NAN
    mean: float = NAN
    std: float = NAN


UNDECIDED = Anchor()


class PaperState(NamedTuple):
    """All that a paper position needs to go on from: plain numbers, which the store keeps."""

    since_ms: int
    """Open time of its first bar, from which on it counts, flat."""
    book: Book = FLAT
    decision: Anchor = UNDECIDED
    """Of the last row whose close decided to hold something."""
    leaving_z: float = NAN
    """The z that the open trip was left at, where it waits to be filled."""
    entry: Anchor = UNDECIDED
    """Of the row that decided on the open trip."""
    hedge_ratio: float = NAN
    """The last one known."""
    open_drift: float = 0.0
    realised_drift: float = 0.0


def revive(stored: Sequence[Any]) -> PaperState:
    """Make a state of what came back from the store as plain lists."""
    state = PaperState(*stored)
    return state._replace(
        book=Book(*state.book), decision=Anchor(*state.decision), entry=Anchor(*state.entry)
    )


class Entered(NamedTuple):
    """Two fills that opened a position; quantities are signed."""

    side: Side
    entry_time_ms: int
    entry_z: float
    hedge_ratio: float
    price_a: float
    price_b: float
    quantity_a: float
    quantity_b: float
    costs: float


class Left(NamedTuple):
    """Two fills that closed one: the round trip, to the bit the backtest's, and its parts.

    pnl = price + hedge drift − costs, the costs of all four fills.
    """

    trip: RoundTrip
    price_a: float
    price_b: float
    price_pnl: float
    drift_pnl: float


class Mark(NamedTuple):
    """What one bar made of a paper position; `state` is what the next one goes on from."""

    open_time_ms: int
    equity: float
    entered: Entered | None
    left: Left | None
    state: PaperState


class Position(NamedTuple):
    """How a rule's paper stands, all in quote currency; equity = notional + both pnl."""

    side: Side | None
    entry_time_ms: int | None
    next_fill_ms: int | None
    """Open of the bar at which what the last close decided is filled; None where nothing waits."""
    quantity_a: float
    quantity_b: float
    mark_a: float
    mark_b: float
    pnl_open: float
    """Net of what its entry cost; 0 while nothing is held."""
    pnl_realised: float
    """Net of all four fills of each closed trip."""
    price_pnl: float
    """Before costs and without the drift, all trips."""
    drift_pnl: float
    costs: float
    equity: float


class Held(NamedTuple):
    """One symbol over all positions."""

    quantity: float
    value: float


class Together(NamedTuple):
    """All positions as one book."""

    notional: float
    equity: float
    pnl_open: float
    pnl_realised: float
    price_pnl: float
    drift_pnl: float
    costs: float
    exposure: dict[str, Held]
    """By symbol, what is held of it over all pairs; largest value first."""


def trade_bars(
    spec: PairSpec,
    rows: PairRows,
    y: FloatArray,
    x: FloatArray,
    hedge: HedgeSeries,
    given: Conditions,
    position: IntArray,
    exit_code: IntArray,
    state: PaperState,
) -> list[Mark]:
    """Fill and mark new bars, one after the other.

    Parameters
    ----------
    rows, y, x, hedge : (n,) the new rows alone; y and x are log prices.
    given, position, exit_code : what `core.signals.decide_on` said of them.
    state : `PaperState(since_ms)` before the first bar, then that of the last mark.

    Returns
    -------
    A mark a row; equity and round trips are to the bit those of `core.backtest.run_backtest`
    over all rows since `since_ms`, wherever it was halted and begun again in between.

    Notes
    -----
    The quantities are frozen at entry while the hedge ratio goes on. **Hedge drift** is what came
    of leg B being held in another amount than the hedge ratio of each row asks for:
    Σ q_b·(1 − β_t/β_decided)·ΔP_b; **price** is all else before costs. It is 0 where β stands
    still, and price + drift − costs is the pnl.
    """
    marks = []
    for row in range(len(rows)):
        one = slice(row, row + 1)
        alone = PairRows(*(getattr(rows, name)[one] for name in PairRows.__slots__))
        fit = HedgeSeries(*(getattr(hedge, name)[one] for name in HedgeSeries.__slots__))
        conditions = Conditions(*(column[one] for column in given))
        equity, lines, book = trade_on(
            spec, alone, fit, conditions, position[one], exit_code[one], state.book
        )
        marks.append(
            _mark(
                spec, alone, float(y[row]), float(x[row]), fit, float(equity[0]), lines, book, state
            )
        )
        state = marks[-1].state
    return marks


def _mark(
    spec: PairSpec,
    rows: PairRows,
    y: float,
    x: float,
    fit: HedgeSeries,
    equity: float,
    lines: list[TripRow],
    book: Book,
    before: PaperState,
) -> Mark:
    known = float(fit.hedge_ratio[0])
    ratio = before.hedge_ratio if math.isnan(known) else known
    entry, drift, realised = before.entry, before.open_drift, before.realised_drift
    entered = left = None
    # A trip left, one entered and one held over the bar: each leg B has its way in this bar.
    start_b = before.book.mark_b
    if lines:
        left = _left(spec, rows, y, x, lines[0], ratio, fit, before)
        realised += left.drift_pnl
        drift = 0.0
    row = book.rows - 1
    if book.side and book.entry_row == row:
        entry, start_b, drift = before.decision, book.entry_b, 0.0
        entered = _entered(spec, before.since_ms, book, entry)
    if book.side:
        drift += _drift(book.quantity_b, ratio, entry.hedge_ratio, book.mark_b - start_b)
    decision, leaving_z = before.decision, before.leaving_z
    zscore = float(fit.zscore[0])
    if book.side and book.left == row:
        leaving_z = _seen_from(spec, entry, y, x, zscore)
    if book.target and book.asked == row:
        decision = Anchor(
            zscore, float(fit.intercept[0]), known, float(fit.spread_mean[0]),
            float(fit.spread_std[0]),
        )  # fmt: skip
    state = PaperState(
        since_ms=before.since_ms,
        book=book,
        decision=decision,
        leaving_z=leaving_z,
        entry=entry,
        hedge_ratio=ratio,
        open_drift=drift if book.side else 0.0,
        realised_drift=realised,
    )
    return Mark(int(rows.open_time_ms[0]), equity, entered, left, state)


def _entered(spec: PairSpec, since_ms: int, book: Book, entry: Anchor) -> Entered:
    return Entered(
        side=_side(book.side),
        entry_time_ms=_time(spec, since_ms, book.entry_row),
        entry_z=entry.zscore,
        hedge_ratio=entry.hedge_ratio,
        price_a=book.entry_a,
        price_b=book.entry_b,
        quantity_a=book.quantity_a,
        quantity_b=book.quantity_b,
        costs=book.trip_costs,
    )


def _left(
    spec: PairSpec,
    rows: PairRows,
    y: float,
    x: float,
    line: TripRow,
    ratio: float,
    fit: HedgeSeries,
    before: PaperState,
) -> Left:
    reason = EXIT_REASONS[int(line.reason)]
    assert reason is not None, "nothing leaves without a reason"
    book = before.book
    if reason == "break":  # at the prices of the last row that could be traded on
        price_a, price_b = book.last_a, book.last_b
        exit_z = _seen_from(spec, before.entry, y, x, float(fit.zscore[0]))
    else:
        price_a, price_b = float(rows.open_a[0]), float(rows.open_b[0])
        exit_z = before.leaving_z
    last = _drift(line.quantity_b, ratio, before.entry.hedge_ratio, price_b - book.mark_b)
    drift = before.open_drift + last
    trip = RoundTrip(
        side=_side(line.side),
        entry_time_ms=_time(spec, before.since_ms, line.entry),
        exit_time_ms=_time(spec, before.since_ms, line.exit),
        entry_z=before.entry.zscore,
        exit_z=exit_z,
        quantity_a=line.quantity_a,
        quantity_b=line.quantity_b,
        pnl=line.gross - line.costs,
        costs=line.costs,
        bars=int(line.exit - line.entry),
        exit_reason=reason,
    )
    return Left(trip, price_a, price_b, line.gross - drift, drift)


def _drift(quantity_b: float, ratio: float, decided: float, change_b: float) -> float:
    return quantity_b * (1.0 - ratio / decided) * change_b


def _seen_from(spec: PairSpec, entry: Anchor, y: float, x: float, zscore: float) -> float:
    """The z that exits look at: the row's own, or that of the spread as entered."""
    if spec.exit_rule != "anchored":
        return zscore
    if not entry.std:
        return NAN
    return (y - entry.intercept - entry.hedge_ratio * x - entry.mean) / entry.std


def _side(side: float) -> Side:
    return "long_spread" if side > 0 else "short_spread"


def _time(spec: PairSpec, since_ms: int, row: float) -> int:
    return since_ms + int(row) * spec.timeframe_ms


def position_of(spec: PairSpec, state: PaperState) -> Position:
    """Say how a paper position stands after its last bar."""
    book = state.book
    is_held = book.side != 0
    costs_open = book.trip_costs if is_held else 0.0
    drift = state.realised_drift + state.open_drift
    return Position(
        side=_side(book.side) if is_held else None,
        entry_time_ms=_time(spec, state.since_ms, book.entry_row) if is_held else None,
        next_fill_ms=_time(spec, state.since_ms, book.rows) if book.target != book.side else None,
        quantity_a=book.quantity_a if is_held else 0.0,
        quantity_b=book.quantity_b if is_held else 0.0,
        mark_a=book.mark_a,
        mark_b=book.mark_b,
        pnl_open=book.open_pnl - costs_open,
        pnl_realised=book.realised - (book.costs - costs_open),
        price_pnl=book.realised + book.open_pnl - drift,
        drift_pnl=drift,
        costs=book.costs,
        equity=spec.notional + book.realised + book.open_pnl - book.costs,
    )


def together(positions: Iterable[tuple[str, str, float, Position]]) -> Together:
    """Add up positions (symbol_a, symbol_b, notional, position) of one quote currency."""
    listed = list(positions)
    held: dict[str, Held] = {}
    for symbol_a, symbol_b, _, position in listed:
        for symbol, quantity, mark in (
            (symbol_a, position.quantity_a, position.mark_a),
            (symbol_b, position.quantity_b, position.mark_b),
        ):
            if quantity:
                so_far = held.get(symbol, Held(0.0, 0.0))
                held[symbol] = Held(so_far.quantity + quantity, so_far.value + quantity * mark)
    notional = math.fsum(part[2] for part in listed)

    def total(name: str) -> float:
        return math.fsum(getattr(position, name) for *_, position in listed)

    return Together(
        notional=notional,
        equity=total("equity"),
        pnl_open=total("pnl_open"),
        pnl_realised=total("pnl_realised"),
        price_pnl=total("price_pnl"),
        drift_pnl=total("drift_pnl"),
        costs=total("costs"),
        exposure=dict(sorted(held.items(), key=lambda item: -abs(item[1].value))),
    )
