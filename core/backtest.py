"""Positions and bars to fills, marked equity and round trips, costs on all four fills."""

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from core.metrics import Trips, drawdown, measure
from core.pair_spec import PairSpec
from core.signals import BREAK, EXIT_REASONS, Conditions, anchored_zscore
from core.spread import expected_reversion
from core.types import (
    Backtest,
    BoolArray,
    FloatArray,
    HedgeSeries,
    Inherited,
    IntArray,
    Metrics,
    PairRows,
    RoundTrip,
    Side,
)

# Columns of the kernel's table of trips, which a sweep reads, too.
(
    _SIDE, ENTRY, EXIT, _DECIDED, _LEFT, _REASON, _QUANTITY_A, _QUANTITY_B, GROSS, COSTS,
    _TRADED,
) = range(11)  # fmt: skip
COLUMNS = 11
_WHOLE_COLUMNS = [_SIDE, ENTRY, EXIT, _DECIDED, _LEFT, _REASON]
_SIDES = np.array(["short_spread", "long_spread"], dtype=object)
_REASONS = np.array(EXIT_REASONS, dtype=object)


def run_backtest(
    spec: PairSpec,
    rows: PairRows,
    y: FloatArray,
    x: FloatArray,
    hedge: HedgeSeries,
    given: Conditions,
    position: IntArray,
    exit_code: IntArray,
    first: int = 0,
) -> tuple[Backtest, dict[str, str]]:
    """Trade the decided positions at the next open and mark them at every close.

    Parameters
    ----------
    rows, y, x, hedge, given, position, exit_code : (n,) all computed rows; `position` as decided
        at the close of each.
    first : index of the first row that counts, < n. What was decided before it is not traded.

    Returns
    -------
    (backtest, reasons): reasons by metric name, for figures that are NaN.

    Notes
    -----
    A decision of row t fills at the open of the next tradable row; one that was taken back
    before such a row came is never filled. With p = ±1, b the hedge ratio of the deciding row and
    N the notional: q_a = p·N/((1+|b|)·open_a), q_b = −p·b·N/((1+|b|)·open_b), frozen until the
    exit. PnL is Σ q·ΔP in quote currency minus (fee + slippage) of the notional of each of the
    four fills. Equity starts at N and is not compounded. At a break nothing can be sold at the
    old prices any more: what is held was left at the close of the last tradable row before it.
    """
    equity, trips = trade(spec, rows, hedge, given, position, exit_code, first)
    times = rows.open_time_ms[first:]
    fall = drawdown(equity)
    metrics, reasons = measure(times, equity, fall, trips)
    zscore, left, decided = hedge.zscore[first:], trips.left, trips.decided
    exit_z = zscore[left]
    if spec.exit_rule == "anchored":
        exit_z = anchored_zscore(y, x, hedge, first + decided, first + left)
    return (
        Backtest(
            since_ms=int(times[0]),
            inherited=_inherited(rows, given.tradable, position, first),
            equity=equity,
            drawdown=fall,
            round_trips=_round_trips(trips, times, zscore[decided], exit_z),
            metrics=metrics,
        ),
        reasons,
    )


def no_backtest(rows: PairRows) -> Backtest:
    """The backtest of rows (n ≥ 1) that can't be traded: NaN in everything."""
    nothing = np.full(len(rows), math.nan)
    figures: dict[str, Any] = dict.fromkeys(Metrics.__slots__, math.nan)
    figures["total_trades"] = 0
    since_ms = int(rows.open_time_ms[0])
    return Backtest(since_ms, None, nothing, nothing, (), Metrics(**figures))


def trade(
    spec: PairSpec,
    rows: PairRows,
    hedge: HedgeSeries,
    given: Conditions,
    position: IntArray,
    exit_code: IntArray,
    first: int = 0,
) -> tuple[FloatArray, Trips]:
    """Fill and mark, without any figures: see `run_backtest`.

    Returns
    -------
    (equity, trips) of the rows from `first` on; the trips count rows from there, too.
    """
    if first:
        position = _own(position, first)
    n = len(rows) - first
    equity = np.empty(n)
    table = np.empty((n // 2 + 2, COLUMNS))
    book = fill_rows(
        rows.open_a[first:], rows.close_a[first:], rows.open_b[first:], rows.close_b[first:],
        given.tradable[first:], given.breaks[first:], position[first:], exit_code[first:],
        hedge.hedge_ratio[first:], float(spec.notional), (spec.fee_bps + spec.slippage_bps) / 1e4,
        FLAT, equity, table,
    )  # fmt: skip
    table = table[: _list_open(book, table, n)]
    return equity, _as_trips(spec, hedge, first, table, book.side != 0)


def _as_trips(
    spec: PairSpec, hedge: HedgeSeries, first: int, table: FloatArray, is_open: bool
) -> Trips:
    """Name the columns of the kernel's table, and add what each trip had promised."""
    whole = table[:, _WHOLE_COLUMNS].astype(np.int64)
    side, entry, exits, decided, left, reason = whole.T
    return Trips(
        side=side,
        entry=entry,
        exit=exits,
        decided=decided,
        left=left,
        reason=reason,
        quantity_a=table[:, _QUANTITY_A],
        quantity_b=table[:, _QUANTITY_B],
        gross=table[:, GROSS],
        costs=table[:, COSTS],
        traded=table[:, _TRADED],
        promised=expected_reversion(
            hedge.zscore[first + decided],
            spec.exit_z,
            hedge.hedge_ratio[first + decided],
            hedge.spread_std[first + decided],
            spec.notional,
        ),
        closed=len(table) - is_open,
    )


def _own(position: IntArray, first: int) -> IntArray:
    """The positions without what was decided before row `first`, however long it is held."""
    own = position.copy()
    own[:first] = 0
    if position[first - 1]:
        changed = np.flatnonzero(position[first:] != position[first - 1])
        own[first : first + int(changed[0]) if len(changed) else None] = 0
    return own


def _inherited(
    rows: PairRows, tradable: BoolArray, position: IntArray, first: int
) -> Inherited | None:
    """The position that rows before `first` decided on and that row `first` still holds."""
    if not first or not position[first - 1] or position[first] != position[first - 1]:
        return None
    changed = np.flatnonzero(position[:first] != position[first])
    decided = int(changed[-1]) + 1 if len(changed) else 0
    fills = np.flatnonzero(tradable[decided + 1 :])
    side: Side = "long_spread" if position[first] > 0 else "short_spread"
    entry = int(rows.open_time_ms[decided + 1 + fills[0]]) if len(fills) else None
    return Inherited(side, entry)


def _round_trips(
    trips: Trips, times: IntArray, entry_z: FloatArray, exit_z: FloatArray
) -> tuple[RoundTrip, ...]:
    """The trips as domain objects, column by column: there may be thousands."""
    exit_times = times[np.minimum(trips.exit, len(times) - 1)].tolist()
    exit_zs, reasons = exit_z.tolist(), _REASONS[trips.reason].tolist()
    if trips.closed < len(trips.side):
        exit_times[-1], exit_zs[-1], reasons[-1] = None, math.nan, "open"
    columns = (
        _SIDES[(trips.side > 0).astype(np.int64)].tolist(),
        times[trips.entry].tolist(),
        exit_times,
        entry_z.tolist(),
        exit_zs,
        trips.quantity_a.tolist(),
        trips.quantity_b.tolist(),
        (trips.gross - trips.costs).tolist(),
        trips.costs.tolist(),
        (trips.exit - trips.entry).tolist(),
        reasons,
    )
    # What RoundTrip._make does, without its call a trip.
    return tuple(map(partial(tuple.__new__, RoundTrip), zip(*columns, strict=True)))


class TripRow(NamedTuple):
    """One closed trip as the kernel lists it; rows are numbered from the first one on."""

    side: float
    entry: float
    exit: float
    decided: float
    left: float
    reason: float
    quantity_a: float
    quantity_b: float
    gross: float
    costs: float
    traded: float


def trade_on(
    spec: PairSpec,
    rows: PairRows,
    hedge: HedgeSeries,
    given: Conditions,
    position: IntArray,
    exit_code: IntArray,
    book: "Book",
) -> tuple[FloatArray, list[TripRow], "Book"]:
    """Fill and mark new rows alone, going on from the book that the rows before them left.

    Returns
    -------
    (equity, trips closed on these rows, book), to the bit what one run over all rows gives.
    """
    equity = np.empty(len(rows))
    table = np.empty((len(rows) // 2 + 2, COLUMNS))
    after = Book(
        *fill_rows(
            rows.open_a, rows.close_a, rows.open_b, rows.close_b, given.tradable, given.breaks,
            position, exit_code, hedge.hedge_ratio, float(spec.notional),
            (spec.fee_bps + spec.slippage_bps) / 1e4, book, equity, table,
        )
    )  # fmt: skip
    return equity, [TripRow(*line) for line in table[: after.trips - book.trips].tolist()], after


class Book(NamedTuple):
    """What is carried from one row to the next."""

    rows: int = 0  # how many there were; what follows numbers rows from the first of them on
    target: int = 0  # what the last close decided to hold
    asked: int = 0  # row of the last decision to hold something, and its hedge ratio
    asked_ratio: float = 0.0
    left: int = 0  # row that decided to leave the open trip, and its exit code
    left_code: int = 0
    side: int = 0
    entry_row: int = 0
    decided: int = 0  # row whose close decided on the open trip
    trips: int = 0  # closed ones
    quantity_a: float = 0.0
    quantity_b: float = 0.0
    entry_a: float = 0.0
    entry_b: float = 0.0
    trip_costs: float = 0.0
    trip_traded: float = 0.0  # notional of the open trip's fills
    open_pnl: float = 0.0  # gross, of the open trip
    mark_a: float = 0.0
    mark_b: float = 0.0
    last_row: int = 0  # the last tradable one and its closes
    last_a: float = 0.0
    last_b: float = 0.0
    realised: float = 0.0
    costs: float = 0.0


FLAT = Book()
"""The book before the first row."""


@njit(cache=True, nogil=True)
def fill_rows(  # type: ignore[no-untyped-def]
    open_a, close_a, open_b, close_b, tradable, breaks, position, exit_code, hedge_ratio,
    notional, rate, book, equity, table,
):  # fmt: skip
    (
        seen, target, asked, asked_ratio, left, left_code, side, entry_row, decided, trips,
        quantity_a, quantity_b, entry_a, entry_b, trip_costs, trip_traded, open_pnl, mark_a,
        mark_b, last_row, last_a, last_b, realised, costs,
    ) = book  # fmt: skip
    listed = 0
    for index in range(len(position)):
        row = seen + index
        wanted = 0 if breaks[index] else target
        broken = side != 0 and breaks[index]
        if broken or (tradable[index] and side != 0 and wanted != side):
            out_a, out_b = (last_a, last_b) if broken else (open_a[index], open_b[index])
            gross = quantity_a * (out_a - entry_a) + quantity_b * (out_b - entry_b)
            traded = abs(quantity_a) * out_a + abs(quantity_b) * out_b
            costs += traded * rate
            realised += gross
            line = table[listed]
            line[_SIDE], line[ENTRY] = side, entry_row
            line[EXIT] = last_row if broken else row
            line[_DECIDED], line[_LEFT] = decided, row if broken else left
            line[_REASON] = BREAK if broken else left_code
            line[_QUANTITY_A], line[_QUANTITY_B] = quantity_a, quantity_b
            line[GROSS], line[COSTS] = gross, trip_costs + traded * rate
            line[_TRADED] = trip_traded + traded
            listed += 1
            side = 0
        if tradable[index]:
            if side == 0 and wanted != 0:
                side = wanted
                entry_row = row
                decided = asked
                entry_a, entry_b = open_a[index], open_b[index]
                money = 1.0 + abs(asked_ratio)  # in both legs, for 1 in leg A
                quantity_a = side * notional / (money * entry_a)
                quantity_b = -side * asked_ratio * notional / (money * entry_b)
                trip_traded = abs(quantity_a) * entry_a + abs(quantity_b) * entry_b
                trip_costs = trip_traded * rate
                costs += trip_costs
            last_row, last_a, last_b = row, close_a[index], close_b[index]
        if not math.isnan(close_a[index]):
            mark_a, mark_b = close_a[index], close_b[index]
        open_pnl = 0.0
        if side != 0:
            open_pnl = quantity_a * (mark_a - entry_a) + quantity_b * (mark_b - entry_b)
        equity[index] = notional + realised + open_pnl - costs
        if position[index] != target:
            # An order to the other side may come before the one to leave could be filled.
            if side != 0 and target == side:
                left, left_code = row, exit_code[index]
            target = position[index]
            if target != 0:
                asked, asked_ratio = row, hedge_ratio[index]
    return Book(
        seen + len(position), target, asked, asked_ratio, left, left_code, side, entry_row,
        decided, trips + listed, quantity_a, quantity_b, entry_a, entry_b, trip_costs,
        trip_traded, open_pnl, mark_a, mark_b, last_row, last_a, last_b, realised, costs,
    )  # fmt: skip


def _list_open(book: Book, table: FloatArray, rows: int) -> int:
    """List a position still open, as if left after the last row; the number of trips."""
    if book.side == 0:
        return int(book.trips)
    table[book.trips] = (
        book.side, book.entry_row, rows, book.decided, -1, 0, book.quantity_a, book.quantity_b,
        book.open_pnl, book.trip_costs, book.trip_traded,
    )  # fmt: skip
    return int(book.trips) + 1
