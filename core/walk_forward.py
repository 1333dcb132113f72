"""Parameters chosen on the past and traded on what came after, again and again.

What was best in training is in-sample and says nothing; what counts is the stitched curve of the
tests alone.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.backtest import run_backtest
from core.bars import align
from core.overfitting import sharpe_ratios
from core.pair import ready_rows
from core.pair_spec import PairSpec
from core.row_plan import plan_rows
from core.signals import decide_positions
from core.sweep import Batch, Cells, Grid, Traded, sweep
from core.types import BoolArray, FloatArray, IntArray, Leg

FEWEST_TRADES = 2
"""Closed in training; of fewer nothing is chosen."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Open times of a segment's rows: trained on [train_from, test_from), tested up to test_to."""

    train_from_ms: int
    test_from_ms: int
    test_to_ms: int


@dataclass(frozen=True, slots=True)
class Segment:
    """What training chose and what came of it."""

    plan: Plan
    cell: int | None
    """None where no combination traded enough in training: the test holds nothing."""
    trained_sharpe: float
    """Per period, in-sample; NaN without a choice."""
    trained_pnl: float
    trained_trades: int
    """Closed in training."""
    trained_net: float
    """Of those together, quote currency."""
    tested_pnl: float
    tested_trades: int
    """Round trips entered in the test, the one that its end closed included."""
    tested_nets: tuple[float, ...]
    """Net of each of them, quote currency."""


@dataclass(frozen=True, slots=True, eq=False)
class WalkForward:
    """All segments, and the equity of their tests one after the other."""

    segments: tuple[Segment, ...]
    open_time_ms: IntArray
    equity: FloatArray
    """At the close of each tested row; begins at the notional, not compounded."""


def plan_segments(start_ms: int, end_ms: int, step_ms: int, train_bars: int) -> list[Plan]:
    """Train on L rows, test on the L/2 after them, go on by L/2; the last test may be short.

    A test of less than a quarter of its length is left out: it says nothing.
    """
    train, test = train_bars * step_ms, train_bars // 2 * step_ms
    plans = []
    begin = start_ms
    while begin + train + test // 4 <= end_ms and test:
        middle = begin + train
        plans.append(Plan(begin, middle, min(middle + test, end_ms)))
        begin += test
    return plans


def walk_forward(
    choices: Sequence[BoolArray],
    grid: Grid,
    leg_a: Leg,
    leg_b: Leg,
    first_open_ms: int,
    last_open_ms: int,
    train_bars: int,
    each: Callable[[Callable[[Batch], Traded], Iterable[Batch]], Iterable[Traded]] = map,
    tell: Callable[[float], None] = lambda share: None,
) -> list[WalkForward]:
    """Choose the best among some cells of a grid on each stretch and trade it on the next one.

    Parameters
    ----------
    choices : (cells,) each, which cells may be chosen, a walk each; cells are traded once for all.
    leg_a, leg_b, first_open_ms, last_open_ms, each : see `core.sweep.sweep`.
    train_bars : L; a test has L/2 rows.
    tell : is told which share of the segments is done.

    Notes
    -----
    Chosen is the highest Sharpe ratio per period among combinations that closed FEWEST_TRADES in
    training, the first of equals. Every stretch starts flat; hedges look back as far as they need,
    never ahead. A trip that a test leaves open is closed at the next row's open with costs, so the
    next choice starts flat as well; the last one's is marked.
    """
    spec = grid.spec
    step = spec.timeframe_ms
    whole = plan_rows(spec, first_open_ms, last_open_ms)
    plans = plan_segments(whole.start_ms, whole.end_ms, step, train_bars)
    segments: list[list[Segment]] = [[] for _ in choices]
    pieces: list[list[FloatArray]] = [[] for _ in choices]
    for number, plan in enumerate(plans):
        trained = replace(grid, spec=replace(spec, since=plan.train_from_ms))
        cells = sweep(trained, leg_a, leg_b, first_open_ms, plan.test_from_ms - step, each)
        tested: dict[int, tuple[tuple[float, ...], FloatArray]] = {}
        for place, chosen in enumerate(choices):
            best = _best(cells, chosen)
            if best is not None and best not in tested:
                asked = grid.spec_at(best)
                tested[best] = _test(asked, leg_a, leg_b, first_open_ms, last_open_ms, plan)
            segment, piece = _segment(cells, best, plan, tested)
            segments[place].append(segment)
            pieces[place].append(piece)
        tell((number + 1) / len(plans))
    return [
        WalkForward(tuple(these), *_stitched(spec, plans, equities))
        for these, equities in zip(segments, pieces, strict=True)
    ]


def _best(cells: Cells, chosen: BoolArray) -> int | None:
    """The cell that did best in training; None where none of them traded enough."""
    enough = chosen & cells.is_allowed & (cells.figures["total_trades"] >= FEWEST_TRADES)
    if not enough.any() or cells.returns.shape[1] < 2:
        return None
    candidates = np.flatnonzero(enough)
    return int(candidates[np.argmax(sharpe_ratios(cells.returns[candidates]))])


def _segment(
    cells: Cells,
    best: int | None,
    plan: Plan,
    tested: Mapping[int, tuple[tuple[float, ...], FloatArray]],
) -> tuple[Segment, FloatArray]:
    spec = cells.grid.spec
    if best is None:
        rows = (plan.test_to_ms - plan.test_from_ms) // spec.timeframe_ms
        nothing = Segment(plan, None, math.nan, math.nan, 0, 0.0, 0.0, 0, ())
        return nothing, np.full(rows, spec.notional)
    nets, equity = tested[best]
    trades = int(cells.figures["total_trades"][best])
    segment = Segment(
        plan=plan,
        cell=best,
        trained_sharpe=float(sharpe_ratios(cells.returns[best : best + 1])[0]),
        trained_pnl=float(cells.figures["total_pnl"][best]),
        trained_trades=trades,
        trained_net=trades * float(cells.figures["avg_pnl"][best]),
        tested_pnl=float(equity[-1]) - spec.notional,
        tested_trades=len(nets),
        tested_nets=nets,
    )
    return segment, equity


def _test(
    spec: PairSpec, leg_a: Leg, leg_b: Leg, first_open_ms: int, last_open_ms: int, plan: Plan
) -> tuple[tuple[float, ...], FloatArray]:
    """Nets of the test's round trips, and equity at its closes and, where closed, a row after."""
    step = spec.timeframe_ms
    asked = replace(spec, since=plan.test_from_ms)
    # One row more, at whose open what is held is closed.
    last_ms = min(plan.test_to_ms, last_open_ms)
    rows_plan = plan_rows(asked, first_open_ms, last_ms)
    rows = align(leg_a, leg_b, step, rows_plan.history_start_ms, rows_plan.end_ms)
    _, (shown, y, x, hedge, given, first) = ready_rows(asked, rows_plan, rows)
    position, exit_code = decide_positions(asked, y, x, hedge, given)
    if last_ms == plan.test_to_ms:
        position[-2:] = 0
    backtest, _ = run_backtest(asked, shown, y, x, hedge, given, position, exit_code, first)
    return tuple(trip.pnl for trip in backtest.round_trips), backtest.equity


def _stitched(
    spec: PairSpec, plans: list[Plan], pieces: list[FloatArray]
) -> tuple[IntArray, FloatArray]:
    """One curve of all tests: each begins where the one before it ended."""
    if not plans:
        return np.empty(0, dtype=np.int64), np.empty(0)
    step = spec.timeframe_ms
    begin, end = plans[0].test_from_ms, plans[-1].test_to_ms
    times = np.arange(begin, end, step)
    equity = np.full(len(times), spec.notional)
    for plan, piece in zip(plans, pieces, strict=True):
        first = (plan.test_from_ms - begin) // step
        rows = (plan.test_to_ms - plan.test_from_ms) // step
        base = equity[first]
        equity[first : first + rows] = base + piece[:rows] - spec.notional
        # What closing at the next open cost is seen from that row on.
        equity[first + rows :] = base + piece[-1] - spec.notional
    return times, equity


def ratio_by_fold(sums: FloatArray, counts: IntArray) -> tuple[float, float]:
    """Mean of values that are known by segment, as sums and counts, and its standard error.

    Returns
    -------
    (m, s.e.): m = ΣS/Σn, NaN of no value; s.e. = √(k/(k − 1)·Σ(S − m·n)²)/Σn over the k segments
    that have some, NaN under 2 of them. What values of a segment have in common does not make it
    small.
    """
    folds = counts > 0
    many, total = int(folds.sum()), float(counts.sum())
    if not many:
        return math.nan, math.nan
    mean = float(sums[folds].sum()) / total
    if many < 2:
        return mean, math.nan
    scatter = float(np.square(sums[folds] - mean * counts[folds]).sum())
    return mean, math.sqrt(many / (many - 1.0) * scatter) / total
