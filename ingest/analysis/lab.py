"""The lab as jobs: a grid traded on a pair of the store, and what its best is worth."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from core.bars import align
from core.grid_spec import AXES
from core.metrics import period_ends, period_returns, shape_of
from core.overfitting import (
    backtest_overfitting,
    best_entry,
    bootstrap,
    deflated_sharpe,
    distinct_trials,
    mean_block,
    probabilistic_sharpe,
    reality_check,
    sharpe_ratios,
)
from core.pair import trade_rows
from core.pair_spec import PairSpec
from core.parameters import Values
from core.row_plan import plan_rows
from core.spread import break_even_z
from core.sweep import FIGURES, Batch, Cells, Grid, Traded, grid_of, sweep
from core.types import FloatArray, IntArray, Leg
from core.walk_forward import Segment, WalkForward, ratio_by_fold, walk_forward
from ingest.analysis.calendar_nets import by_calendar
from ingest.analysis.executor import usable_cores
from ingest.analysis.pair_bars import shared_bars
from ingest.analysis.work import Answer, Work

Each: TypeAlias = Callable[[Callable[[Batch], Traded], Iterable[Batch]], Iterable[Traded]]
"""A way to map over batches."""
FEWEST_PERIODS = 24
"""Of fewer returns nothing is said of luck."""
DRAWN = 400
"""Points of a curve."""


def sweep_pair(work: Work) -> Answer:
    """Trade a grid over a pair, judge its best, and walk forward with it."""
    started = time.perf_counter()
    grid, legs, first_ms, last_ms = _read(work)
    told: dict[str, Any] = {"warnings": []}
    with _threads() as each:
        cells = sweep(grid, *legs, first_ms, last_ms, _telling(each, work, grid.cells, 0.0, 0.5))
        told |= _cells(cells) | _judged(work, cells, told["warnings"])
        told["bootstrap"] = _luck(grid.spec, *legs, first_ms, last_ms)
        told["walk_forward"] = _walked(work, grid, legs, first_ms, last_ms, each, told["warnings"])
    told["elapsed_s"] = time.perf_counter() - started
    return told, f"{grid.cells:,} combinations in {told['elapsed_s']:.1f} s"


def walk_pair(work: Work) -> Answer:
    """Only the walk-forward."""
    started = time.perf_counter()
    grid, legs, first_ms, last_ms = _read(work)
    warnings: list[str] = []
    with _threads() as each:
        walked = _walked(work, grid, legs, first_ms, last_ms, each, warnings, begin=0.0)
    elapsed_s = time.perf_counter() - started
    told = {"axes": _axes(grid), "walk_forward": walked, "warnings": warnings}
    count = len(walked["segments"]) if walked else 0
    return told | {"elapsed_s": elapsed_s}, f"{count} segments in {elapsed_s:.1f} s"


def _read(work: Work) -> tuple[Grid, tuple[Leg, Leg], int, int]:
    work.tell(0.0, "reads bars; the first run of a machine compiles")
    grid = grid_of(work.spec.values, work.settings)
    spec = grid.spec
    return grid, *shared_bars(work.reader, spec)


@contextmanager
def _threads() -> Iterator[Each]:
    """Maps over this machine's cores with few batches under way, so that a cancel is heard."""
    cores = usable_cores()
    pool = ThreadPoolExecutor(cores)

    def each(function: Callable[[Batch], Traded], batches: Iterable[Batch]) -> Iterator[Traded]:
        coming = iter(batches)
        under_way: list[Future[Traded]] = []
        for batch in coming:
            under_way.append(pool.submit(function, batch))
            for more in islice(coming, 2 * cores - len(under_way)):
                under_way.append(pool.submit(function, more))
            yield under_way.pop(0).result()
        for future in under_way:
            yield future.result()

    try:
        yield each
    finally:
        pool.shutdown(cancel_futures=True)


def _telling(each: Each, work: Work, total: int, begin: float, share: float) -> Each:
    """The same way to map, which says how many combinations are done."""

    def run(function: Callable[[Batch], Traded], batches: Iterable[Batch]) -> Iterator[Traded]:
        done = 0
        for traded in each(function, batches):
            done += len(traded.cells)
            work.tell(begin + share * done / total, f"trades {total:,} combinations")
            yield traded

    return run


def _axes(grid: Grid) -> dict[str, list[Any]]:
    return {name: list(grid.values[name]) for name in AXES}


def _cells(cells: Cells) -> dict[str, Any]:
    metrics = {name: _plain(cells.figures[name]) for name in FIGURES}
    return {"axes": _axes(cells.grid), "metrics": metrics}


def _plain(values: FloatArray) -> list[float | None]:
    """Numbers as JSON has them, in six digits: a hundred thousand cells are drawn, not traded."""
    return [None if math.isnan(value) else float(f"{value:.6g}") for value in values.tolist()]


def _judged(work: Work, cells: Cells, warnings: list[str]) -> dict[str, Any]:
    """What the best of all combinations is worth."""
    work.tell(0.5, "asks what noise would do")
    traded = np.flatnonzero(cells.is_allowed)
    returns = cells.returns[traded]
    periods = int(returns.shape[1])
    told: dict[str, Any] = {
        "trials": len(traded), "trials_distinct": 0, "periods": periods, "best": None, "pbo": None,
    }  # fmt: skip
    if periods < FEWEST_PERIODS or not len(traded):
        warnings.append(
            f"{periods} hours or days of returns: {FEWEST_PERIODS} are needed to judge luck"
        )
        return told
    ratios = sharpe_ratios(returns)
    best = int(np.argmax(ratios))
    own = returns[best]
    skewness, kurtosis = shape_of(own) if np.ptp(own) > 0.0 else (0.0, 3.0)
    distinct = distinct_trials(returns)
    ratio = float(ratios[best])
    moments = periods, skewness, kurtosis
    spec = cells.grid.spec_at(int(traded[best]))
    held = float(cells.figures["exposure"][traded[best]])
    trips = max(1.0, float(cells.figures["total_trades"][traded[best]]))
    told["trials_distinct"] = distinct
    told["best"] = {
        "index": int(traded[best]),
        "sharpe": ratio,
        "psr": _number(probabilistic_sharpe(ratio, 0.0, *moments)),
        "dsr": _number(deflated_sharpe(ratio, float(ratios.var()), distinct, *moments)),
        "reality_check_p": reality_check(returns, mean_block(periods, held * periods / trips)),
        "parameters": {name: getattr(spec, name) for name in AXES},
    }
    if len(traded) >= 2 and periods >= 20:
        pbo = backtest_overfitting(returns)
        told["pbo"] = {
            "value": pbo.value, "blocks": pbo.blocks, "splits": pbo.splits, "oos_loss": pbo.loss,
        }  # fmt: skip
    return told


def _luck(spec: PairSpec, leg_a: Leg, leg_b: Leg, first_ms: int, last_ms: int) -> dict[str, Any]:
    """How the pair's own parameters might have done with the same hours in another order."""
    plan = plan_rows(spec, first_ms, last_ms)
    rows = align(leg_a, leg_b, spec.timeframe_ms, plan.history_start_ms, plan.end_ms)
    fit, backtest, _ = trade_rows(spec, plan, rows)
    shown = len(backtest.equity)
    times = plan.start_ms + spec.timeframe_ms * np.arange(shown)
    returns, _ = period_returns(times, backtest.equity)
    ratio, deviation = float(fit.series.hedge_ratio[-1]), float(fit.series.spread_std[-1])
    cost = break_even_z(0.0, ratio, deviation, spec.fee_bps, spec.slippage_bps)
    entry = best_entry(cost) if math.isfinite(cost) else None
    own = {
        "curve": _curve(times, backtest.equity - spec.notional),
        "net": float(backtest.equity[-1] - spec.notional),
        "trades": backtest.metrics.total_trades,
        "ou_entry_z": entry,
    }
    if len(returns) < FEWEST_PERIODS:
        return own | {
            "block": None,
            "fan": None,
            "return": None,
            "drawdown": None,
            "note": "too few returns",
        }
    metrics = backtest.metrics
    hold = metrics.avg_hold_bars * len(returns) / shown if metrics.total_trades else 1.0
    block = mean_block(len(returns), hold)
    told = bootstrap(returns, block)
    ends = times[period_ends(times)[0][1:]]
    fan = told.fan * spec.notional
    return own | {
        "fan": {
            "time": _curve(ends, fan[0])["time"],
            **{
                name: _curve(ends, line)["value"]
                for name, line in zip(("low", "median", "high"), fan, strict=True)
            },
        },
        "block": block,
        "return": list(told.total),
        "drawdown": list(told.drawdown),
        "note": "drawdown is indicative: its band holds three in four, not nine in ten",
    }


def _walked(
    work: Work,
    grid: Grid,
    legs: tuple[Leg, Leg],
    first_ms: int,
    last_ms: int,
    each: Each,
    warnings: list[str],
    begin: float = 0.55,
) -> dict[str, Any] | None:
    values: Values = work.spec.values
    words = "walks forward"
    work.tell(begin, words)
    choices = {("", None): np.ones(grid.cells, dtype=np.bool_)}
    for name in ("hedge", "entry_z"):
        places = np.unravel_index(np.arange(grid.cells), grid.shape)[AXES.index(name)]
        choices |= {(name, value): places == at for at, value in enumerate(grid.values[name])}
    walked = walk_forward(
        list(choices.values()), grid, *legs, first_ms, last_ms, values["train_bars"], each=each,
        tell=lambda share: work.tell(begin + (1.0 - begin) * share, words),
    )  # fmt: skip
    found = walked[0]
    if not found.segments:
        warnings.append(
            f"too few bars to train on {values['train_bars']:,} and test on half as many"
        )
        return None
    by_choice = dict(zip(choices, walked, strict=True))
    hedges = [
        {"hedge": value} | _tested(grid, one)
        for (name, value), one in by_choice.items()
        if name == "hedge"
    ]
    entries = [
        {"entry_z": value, "trained": _trained(grid, one), "tested": _tested(grid, one)}
        for (name, value), one in by_choice.items()
        if name == "entry_z"
    ]
    return {
        "train_bars": values["train_bars"],
        "segments": [_segment(grid, one) for one in found.segments],
        "equity": _curve(found.open_time_ms, found.equity - grid.spec.notional),
        "net": float(found.equity[-1] - grid.spec.notional),
        "calendar": by_calendar(found.open_time_ms, found.equity),
        "trades": sum(one.tested_trades for one in found.segments),
        "hedges": hedges,
        "entries": entries,
    }


def _trained(grid: Grid, walked: WalkForward) -> dict[str, Any]:
    """Net per trade of what was chosen, where it was chosen."""
    told = walked.segments
    nets = np.array([one.trained_net for one in told])
    return _per_trade(nets / grid.spec.notional, np.array([one.trained_trades for one in told]))


def _tested(grid: Grid, walked: WalkForward) -> dict[str, Any]:
    """Net per trade of the same, on what came after."""
    told = walked.segments
    nets = np.array([sum(one.tested_nets) for one in told])
    return _per_trade(nets / grid.spec.notional, np.array([len(one.tested_nets) for one in told]))


def _per_trade(nets: FloatArray, trades: IntArray) -> dict[str, Any]:
    mean, error = ratio_by_fold(nets, trades)
    return {
        "trades": int(trades.sum()),
        "net_bp": _number(1e4 * mean),
        "stderr_bp": _number(1e4 * error),
    }


def _segment(grid: Grid, one: Segment) -> dict[str, Any]:
    chosen = None
    if one.cell is not None:
        spec = grid.spec_at(one.cell)
        chosen = {name: getattr(spec, name) for name in AXES}
    return {
        "train_from": one.plan.train_from_ms,
        "train_to": one.plan.test_from_ms,
        "test_from": one.plan.test_from_ms,
        "test_to": one.plan.test_to_ms,
        "chosen": chosen,
        "is_sharpe": _number(one.trained_sharpe),
        "is_pnl": _number(one.trained_pnl),
        "oos_return": one.tested_pnl / grid.spec.notional,
        "oos_pnl": one.tested_pnl,
        "oos_trades": one.tested_trades,
    }


def _curve(times: Any, values: FloatArray) -> dict[str, list[Any]]:
    """At most so many points of it, the last one among them."""
    rows = np.unique(np.linspace(0, len(values) - 1, min(DRAWN, len(values))).round().astype(int))
    return {"time": times[rows].tolist(), "value": _plain(values[rows])}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
