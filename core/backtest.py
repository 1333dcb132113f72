"""Positions and bars to fills, marked equity and round trips, costs on all four fills."""

import math
from functools import partial
from typing import NamedTuple

import numpy as np
from numba import njit

from core.metrics import drawdown, measure
from core.signals import EXIT_REASONS
from core.spread import expected_reversion
from core.types import (
    Backtest,
    FloatArray,
    HedgeSeries,
    IntArray,
    PairRows,
    PairSpec,
    RoundTrip,
)

# Columns of the kernel's trade table.
(
    _SIDE, _ENTRY, _EXIT, _DECIDED, _LEFT, _QUANTITY_A, _QUANTITY_B, _GROSS, _COSTS,
) = range(9)  # fmt: skip
_COLUMNS = 9
_WHOLE_COLUMNS = [_SIDE, _ENTRY, _EXIT, _DECIDED, _LEFT]
_SIDES = np.array(["short_spread", "long_spread"], dtype=object)
_REASONS = np.array(EXIT_REASONS, dtype=object)


def run_backtest(
    spec: PairSpec,
    rows: PairRows,
    hedge: HedgeSeries,
    position: IntArray,
    exit_code: IntArray,
) -> tuple[Backtest, dict[str, str]]:
    """Trade the decided positions at the next open and mark them at every close.

    Parameters
    ----------
    rows, hedge, position, exit_code : (n,) the result rows, n ≥ 1; `position` as decided at
        the close of each.

    Returns
    -------
    (backtest, reasons): reasons by metric name, for figures that are NaN.

    Notes
    -----
    A decision of row t fills at the open of the next row complete in both legs; one that was
    taken back before such a row came is never filled. With p = ±1, b the hedge ratio of the
    deciding row and N the notional: q_a = p·N/((1+|b|)·open_a), q_b = −p·b·N/((1+|b|)·open_b),
    frozen until the exit. PnL is Σ q·ΔP in quote currency minus (fee + slippage) of the notional
    of each of the four fills. Equity starts at N and is not compounded. Reversion capture is
    Σ realised gross / Σ N·s·(|z_in| − exit_z)/(1+|b|), s the z-window's deviation at the decision.
    """
    n = len(rows)
    complete = ~np.isnan(rows.close_a)
    equity = np.empty(n)
    table = np.empty((n // 2 + 2, _COLUMNS))
    book = _run(
        rows.open_a, rows.close_a, rows.open_b, rows.close_b, complete, position,
        hedge.hedge_ratio, float(spec.notional), (spec.fee_bps + spec.slippage_bps) / 1e4,
        FLAT, 0, equity, table,
    )  # fmt: skip
    table = table[: _list_open(book, table, n)]
    closed = table[: book.trips]
    fall = drawdown(equity)
    metrics, reasons = measure(
        rows.open_time_ms,
        equity,
        fall,
        int(book.held),
        float(book.fills_notional),
        float(book.costs),
        _reversion_capture(spec, hedge, closed),
        closed[:, _GROSS] - closed[:, _COSTS],
        closed[:, _EXIT] - closed[:, _ENTRY],
        spec.notional,
    )
    round_trips = _round_trips(table, rows, hedge, exit_code, bool(book.side))
    return Backtest(equity, fall, round_trips, metrics), reasons


def _round_trips(
    table: FloatArray, rows: PairRows, hedge: HedgeSeries, exit_code: IntArray, is_open: bool
) -> tuple[RoundTrip, ...]:
    """The kernel's table as round trips, column by column: there may be thousands.

    `is_open` says that the last one has not been closed.
    """
    whole = table[:, _WHOLE_COLUMNS].astype(np.int64)
    side, entry, exits, decided, left = whole.T
    exit_times = rows.open_time_ms[np.minimum(exits, len(rows) - 1)].tolist()
    exit_z = hedge.zscore[left].tolist()
    reasons = _REASONS[exit_code[left]].tolist()
    if is_open:
        exit_times[-1], exit_z[-1], reasons[-1] = None, math.nan, "open"
    columns = (
        _SIDES[(side > 0).astype(np.int64)].tolist(),
        rows.open_time_ms[entry].tolist(),
        exit_times,
        hedge.zscore[decided].tolist(),
        exit_z,
        table[:, _QUANTITY_A].tolist(),
        table[:, _QUANTITY_B].tolist(),
        (table[:, _GROSS] - table[:, _COSTS]).tolist(),
        table[:, _COSTS].tolist(),
        (exits - entry).tolist(),
        reasons,
    )
    # What RoundTrip._make does, without its call a trip.
    return tuple(map(partial(tuple.__new__, RoundTrip), zip(*columns, strict=True)))


def _reversion_capture(spec: PairSpec, hedge: HedgeSeries, closed: FloatArray) -> float:
    decided = closed[:, _DECIDED].astype(np.int64)
    promised = float(
        expected_reversion(
            hedge.zscore[decided],
            spec.exit_z,
            hedge.hedge_ratio[decided],
            hedge.spread_std[decided],
            spec.notional,
        ).sum()
    )
    return float(closed[:, _GROSS].sum()) / promised if promised > 0.0 else math.nan


class Book(NamedTuple):
    """What is carried from one row to the next."""

    side: int = 0
    entry_row: int = 0
    decided: int = 0  # row whose close decided on the open trip
    changed: int = 0  # row of the last decision of all
    held: int = 0  # rows with a position at their close
    trips: int = 0  # closed ones
    quantity_a: float = 0.0
    quantity_b: float = 0.0
    entry_a: float = 0.0
    entry_b: float = 0.0
    trip_costs: float = 0.0
    open_pnl: float = 0.0  # gross, of the open trip
    mark_a: float = 0.0
    mark_b: float = 0.0
    realised: float = 0.0
    costs: float = 0.0
    fills_notional: float = 0.0


FLAT = Book()
"""The book before the first row."""


@njit(cache=True)
def _run(  # type: ignore[no-untyped-def]
    open_a, close_a, open_b, close_b, complete, position, hedge_ratio, notional, rate,
    book, start, equity, table,
):  # fmt: skip
    (
        side, entry_row, decided, changed, held, trips, quantity_a, quantity_b, entry_a, entry_b,
        trip_costs, open_pnl, mark_a, mark_b, realised, costs, fills_notional,
    ) = book  # fmt: skip
    for row in range(start, len(position)):
        if row > 0 and complete[row]:
            target = position[row - 1]
            if side != 0 and target != side:
                gross = quantity_a * (open_a[row] - entry_a) + quantity_b * (open_b[row] - entry_b)
                traded = abs(quantity_a) * open_a[row] + abs(quantity_b) * open_b[row]
                fills_notional += traded
                costs += traded * rate
                trip_costs += traded * rate
                realised += gross
                line = table[trips]
                line[_SIDE], line[_ENTRY], line[_EXIT] = side, entry_row, row
                line[_DECIDED], line[_LEFT] = decided, changed
                line[_QUANTITY_A], line[_QUANTITY_B] = quantity_a, quantity_b
                line[_GROSS], line[_COSTS] = gross, trip_costs
                trips += 1
                side = 0
            if side == 0 and target != 0:
                side = target
                entry_row = row
                decided = changed
                beta = hedge_ratio[decided]
                entry_a, entry_b = open_a[row], open_b[row]
                quantity_a = side * notional / ((1.0 + abs(beta)) * entry_a)
                quantity_b = -side * beta * notional / ((1.0 + abs(beta)) * entry_b)
                traded = abs(quantity_a) * entry_a + abs(quantity_b) * entry_b
                fills_notional += traded
                trip_costs = traded * rate
                costs += trip_costs
        if complete[row]:
            mark_a, mark_b = close_a[row], close_b[row]
        open_pnl = 0.0
        if side != 0:
            held += 1
            open_pnl = quantity_a * (mark_a - entry_a) + quantity_b * (mark_b - entry_b)
        equity[row] = notional + realised + open_pnl - costs
        if position[row] != (position[row - 1] if row > 0 else 0):
            changed = row
    return Book(
        side, entry_row, decided, changed, held, trips, quantity_a, quantity_b, entry_a, entry_b,
        trip_costs, open_pnl, mark_a, mark_b, realised, costs, fills_notional,
    )  # fmt: skip


def _list_open(book: Book, table: FloatArray, rows: int) -> int:
    """List a position still open, as if left after the last row; the number of trips."""
    if book.side == 0:
        return int(book.trips)
    table[book.trips] = (
        book.side, book.entry_row, rows, book.decided, -1,
        book.quantity_a, book.quantity_b, book.open_pnl, book.trip_costs,
    )  # fmt: skip
    return int(book.trips) + 1
