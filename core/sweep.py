"""A grid of parameters traded on one pair, every cell to the bit as the pair itself would be.

A hedge is fitted once per window, hedge window and way of hedging; what differs beside is decided,
filled and marked by one compiled loop without the interpreter's lock, so that threads of the
caller's share the cells.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from core.backtest import COLUMNS, COSTS, ENTRY, EXIT, FLAT, GROSS, fill_rows
from core.bars import align
from core.errors import FieldError, ParameterErrors
from core.grid_spec import AXES, MAX_CELLS, follows_window, go_together
from core.metrics import YEARLY_FROM_MS, period_ends
from core.pair import Ready, ready_rows
from core.pair_spec import PAIR_PARAMETERS, PairSpec, read_pair_spec
from core.parameters import Values
from core.row_plan import plan_rows
from core.settings import Settings
from core.signals import START, decide_rows
from core.types import BoolArray, FloatArray, IntArray, Leg

_FITTED = 3
"""So many of them, the first ones, a fit hangs on."""
CHUNK = 256
"""Cells that are traded in one go: what progress is told by, and cancelling waits for."""
FIGURES = (
    "total_trades", "total_pnl", "avg_pnl", "win_rate", "max_drawdown", "exposure", "costs",
    "sharpe",
)  # fmt: skip
_WITHOUT = ("stop_z", "max_hold_bars")
"""Axes of which a value may be None: the rule is not there."""
_DERIVED = ("hedge_window",)
"""Axes of which a value may be None: it follows from the cell's other values."""
_GO_WITH: Mapping[str, Mapping[str, Any]] = {
    "hedge_window": {"window": 10},
    "exit_z": {"entry_z": 10.0},
    "stop_z": {"entry_z": 0.1},
}
"""Values that let every allowed value of an axis be read by itself."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A pair and the values that each axis takes; an axis that isn't swept has the spec's one."""

    spec: PairSpec
    values: Mapping[str, tuple[Any, ...]]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(self.values[name]) for name in AXES)

    @property
    def cells(self) -> int:
        return math.prod(self.shape)

    def spec_at(self, cell: int) -> PairSpec:
        """The parameters of a cell."""
        places = np.unravel_index(cell, self.shape)
        chosen = zip(AXES, places, strict=True)
        values = {name: self.values[name][place] for name, place in chosen}
        for name in _DERIVED:
            if values[name] is None:
                values[name] = PAIR_PARAMETERS[name].default.value(values)
        return replace(self.spec, **values)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Figures by name, and the periods' returns, of all cells in their order.

    Cells whose parameters don't go together are NaN throughout: `is_allowed`.
    """

    grid: Grid
    is_allowed: BoolArray
    figures: Mapping[str, FloatArray]
    returns: FloatArray
    """(cells, periods)"""

    def median(self, figure: str, shown: Sequence[str]) -> FloatArray:
        """A figure over the shown axes, see `median_over`."""
        return median_over(self.figures[figure].reshape(self.grid.shape), shown)


def median_over(table: FloatArray, shown: Sequence[str]) -> FloatArray:
    """Of a figure over all axes the median over those not shown, never the best; NaN of none.

    Parameters
    ----------
    table : a dimension an axis, in the order of AXES.
    """
    order = [AXES.index(name) for name in shown]
    hidden = [axis for axis in range(len(AXES)) if axis not in order]
    flat = table.transpose(order + hidden).reshape(*(table.shape[axis] for axis in order), -1)
    told = np.full(flat.shape[:-1], np.nan)
    some = ~np.isnan(flat).all(axis=-1)
    told[some] = np.nanmedian(flat[some], axis=-1)
    return told


def read_grid(spec: PairSpec, asked: Mapping[str, Sequence[Any]], settings: Settings) -> Grid:
    """Make a grid of foreign values, each held to the bounds that a pair's own parameter has.

    Parameters
    ----------
    asked : values by axis; None in `stop_z` and `max_hold_bars` means without, in `hedge_window`
        what follows from the window.

    Raises
    ------
    ParameterErrors
        Names every bad axis or value, and a grid of more than MAX_CELLS.
    """
    errors = [
        FieldError(name, "can't be swept", f"one of {', '.join(AXES)}")
        for name in asked
        if name not in AXES
    ]
    values: dict[str, tuple[Any, ...]] = {}
    for name in AXES:
        given = asked.get(name, (getattr(spec, name),))
        read: list[Any] = []
        for value in given:
            if value is None and name in _WITHOUT + _DERIVED:
                read.append(None)
                continue
            try:
                one = read_pair_spec({**_GO_WITH.get(name, {}), name: value}, settings)
                read.append(getattr(one, name))
            except ParameterErrors as refused:
                errors += [error for error in refused.errors if error.field == name]
        values[name] = tuple(dict.fromkeys(read))
        if not len(given):
            errors.append(FieldError(name, "has no value", "one value at least"))
    grid = Grid(spec, values)
    if not errors and grid.cells > MAX_CELLS:
        errors.append(FieldError("axes", f"{grid.cells:,} cells", f"at most {MAX_CELLS:,}"))
    if errors:
        raise ParameterErrors(errors)
    return grid


def grid_of(values: Values, settings: Settings) -> Grid:
    """The grid that a sweep's parameters ask for.

    A hedge window that is the default one for the window follows it along that axis.
    """
    spec = read_pair_spec(
        {name: values[name] for name in PAIR_PARAMETERS if name in values}, settings
    )
    asked = {
        name: values[f"{name}_values"] for name in AXES if values[f"{name}_values"] is not None
    }
    if follows_window(values):
        asked.setdefault("hedge_window", (None,))
    return read_grid(spec, asked, settings)


def is_allowed(spec: PairSpec) -> bool:
    """Whether parameters that are each allowed go together, too."""
    return go_together(spec.window, spec.hedge_window, spec.entry_z, spec.exit_z, spec.stop_z)


class Batch(NamedTuple):
    """Cells of one fit, to be traded in one go."""

    ready: Ready
    ends: IntArray
    """Last shown row of each period, counted from the first shown one."""
    a_year: float
    """Periods in a year."""
    cells: tuple[int, ...]
    specs: tuple[PairSpec, ...]


class Traded(NamedTuple):
    """What came of a batch: figures and returns, a row a cell."""

    cells: tuple[int, ...]
    figures: FloatArray
    returns: FloatArray


def batches(
    grid: Grid, leg_a: Leg, leg_b: Leg, first_open_ms: int, last_open_ms: int
) -> Iterator[Batch]:
    """Fit each hedge once, and deal out the cells that hang on it."""
    inner = math.prod(grid.shape[_FITTED:])
    for outer in range(math.prod(grid.shape[:_FITTED])):
        specs = [grid.spec_at(outer * inner + cell) for cell in range(inner)]
        chosen = [cell for cell in range(inner) if is_allowed(specs[cell])]
        if not chosen:
            continue
        spec = specs[chosen[0]]
        plan = plan_rows(spec, first_open_ms, last_open_ms)
        rows = align(leg_a, leg_b, spec.timeframe_ms, plan.history_start_ms, plan.end_ms)
        ready = ready_rows(spec, plan, rows)[1]
        ends, a_year = period_ends(ready.rows.open_time_ms[ready.first :])
        for begin in range(0, len(chosen), CHUNK):
            some = chosen[begin : begin + CHUNK]
            numbers = tuple(outer * inner + cell for cell in some)
            yield Batch(ready, ends, a_year, numbers, tuple(specs[cell] for cell in some))


def trade_cells(batch: Batch) -> Traded:
    """Trade each cell of a batch on its own; for the most part without the interpreter's lock."""
    ready, ends = batch.ready, batch.ends
    rows, y, x, hedge, given, first = ready
    n, shown = len(rows), len(rows) - first
    position, exit_code = np.empty((2, n), dtype=np.int64)
    equity, table = np.empty(shown), np.empty((shown // 2 + 2, COLUMNS))
    closes = np.empty((len(batch.cells), len(ends)))
    figures = np.full((len(batch.cells), len(FIGURES)), np.nan)
    times = rows.open_time_ms[first:]
    is_long = int(times[-1] - times[0]) >= YEARLY_FROM_MS
    is_sound = np.zeros(len(batch.cells), dtype=np.bool_)
    for index, spec in enumerate(batch.specs):
        stop_z = math.inf if spec.stop_z is None else float(spec.stop_z)
        trips, closed, wins, held, worst, least = _cell(
            y, x, hedge.zscore, hedge.intercept, hedge.hedge_ratio, hedge.spread_mean,
            hedge.spread_std, given.tradable, given.may_enter, given.halted, given.breaks,
            rows.open_a, rows.close_a, rows.open_b, rows.close_b, first, ends,
            float(spec.entry_z), float(spec.exit_z), stop_z, spec.max_hold_bars or 0,
            spec.exit_rule == "anchored", float(spec.notional),
            (spec.fee_bps + spec.slippage_bps) / 1e4, START, FLAT,
            position, exit_code, equity, table, closes[index],
        )  # fmt: skip
        pnl = table[:closed, GROSS] - table[:closed, COSTS]
        figures[index, :7] = (
            closed,
            float(equity[-1] - equity[0]),
            float(pnl.mean()) if closed else math.nan,
            wins / closed if closed else math.nan,
            worst,
            held / shown,
            float(table[:trips, COSTS].sum()),
        )
        is_sound[index] = is_long and least > 0.0
    returns = closes[:, 1:] / closes[:, :-1] - 1.0
    if is_sound.any():
        deviation = returns.std(axis=1, ddof=1)
        told = is_sound & (deviation > 0.0)
        figures[told, 7] = returns[told].mean(axis=1) / deviation[told] * math.sqrt(batch.a_year)
    return Traded(batch.cells, figures, returns)


def sweep(
    grid: Grid,
    leg_a: Leg,
    leg_b: Leg,
    first_open_ms: int,
    last_open_ms: int,
    each: Callable[[Callable[[Batch], Traded], Iterable[Batch]], Iterable[Traded]] = map,
) -> Cells:
    """Trade every cell of a grid.

    Parameters
    ----------
    leg_a, leg_b, first_open_ms, last_open_ms : stored bars, and what is common to both.
    each : maps a function over batches; that of a pool of threads uses every core.

    Notes
    -----
    In-sample: the best of many did best on these rows, see `core.overfitting`.
    """
    figures = np.full((grid.cells, len(FIGURES)), np.nan)
    returns: FloatArray | None = None
    allowed = np.zeros(grid.cells, dtype=np.bool_)
    for done in each(trade_cells, batches(grid, leg_a, leg_b, first_open_ms, last_open_ms)):
        cells = list(done.cells)
        if returns is None:
            returns = np.full((grid.cells, done.returns.shape[1]), np.nan)
        figures[cells], returns[cells], allowed[cells] = done.figures, done.returns, True
    if returns is None:
        returns = np.full((grid.cells, 0), np.nan)
    columns = dict(zip(FIGURES, figures.T.copy(), strict=True))
    return Cells(grid, allowed, columns, returns)


@njit(cache=True, nogil=True)
def _cell(  # type: ignore[no-untyped-def]
    y, x, zscore, intercept, hedge_ratio, spread_mean, spread_std, tradable, may_enter, halted,
    breaks, open_a, close_a, open_b, close_b, first, ends, entry_z, exit_z, stop_z, max_hold,
    anchored, notional, rate, state, book, position, exit_code, equity, table, closes,
):  # fmt: skip
    exit_code[:] = 0  # it is written only where something is left: the last cell's would stand
    decide_rows(
        y, x, zscore, intercept, hedge_ratio, spread_mean, spread_std, tradable, may_enter, halted,
        breaks, entry_z, exit_z, stop_z, max_hold, anchored, state, 0, position, exit_code,
    )  # fmt: skip
    if first > 0 and position[first - 1] != 0:
        # What was decided before the rows that count is not traded, however long it is held.
        inherited, row = position[first - 1], first
        while row < len(position) and position[row] == inherited:
            position[row] = 0
            row += 1
    after = fill_rows(
        open_a[first:], close_a[first:], open_b[first:], close_b[first:], tradable[first:],
        breaks[first:], position[first:], exit_code[first:], hedge_ratio[first:], notional, rate,
        book, equity, table,
    )  # fmt: skip
    closed = after.trips
    wins = held = 0.0
    for trip in range(closed):
        wins += table[trip, GROSS] - table[trip, COSTS] > 0.0
        held += table[trip, EXIT] - table[trip, ENTRY]
    trips = closed
    if after.side != 0:
        table[trips, COSTS] = after.trip_costs
        held += len(equity) - after.entry_row
        trips += 1
    peak, worst, least = -math.inf, 0.0, math.inf
    for row in range(len(equity)):
        peak = max(peak, equity[row])
        worst = min(worst, equity[row] / peak - 1.0)
        least = min(least, equity[row])
    for period in range(len(ends)):
        closes[period] = equity[ends[period]]
    return trips, closed, wins, held, worst, least
