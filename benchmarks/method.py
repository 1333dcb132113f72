"""The measured tables of docs/method.md: all pairs that a database has bars of, beside noise.

    python -m benchmarks.method sqlite:///data/market.db 1h

Every pair is traded at default parameters over all rows that both legs have.
"""

import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from core.backtest import trade
from core.bars import align
from core.metrics import Trips
from core.pair import Ready, plan_rows, ready_rows
from core.pair_spec import HEDGES, MAX_BARS, PairSpec, read_pair_spec
from core.settings import Settings
from core.signals import EXIT_REASONS, anchored_zscore, decide_positions
from core.spread import break_even_zs
from core.timeframes import TIMEFRAMES
from core.types import FloatArray, Leg, PairRows
from ingest.store.reader import Reader

NOISE_PAIRS, NOISE_ROWS, NOISE_STEP = 200, 6_000, 5e-3
"""Independent random walks that trade in every bar."""


class WayBack(NamedTuple):
    """By what z came back between two decisions, in units of the first one's σ."""

    price: FloatArray
    mean: FloatArray
    fit: FloatArray


class Told(NamedTuple):
    """What one pair gave under one hedge; money in bp of the notional, a value a closed trip."""

    zscore: FloatArray
    hedge_ratio: FloatArray
    effectiveness: float
    break_even: float
    gross: FloatArray
    costs: FloatArray
    promised: FloatArray
    way: WayBack


def way_back(spec: PairSpec, ready: Ready, trips: Trips) -> WayBack:
    """Take apart the change of z from the decision to enter to that to leave; a value a trip.

    Only trips that reversion ended: the others may have no z then.

    Notes
    -----
    S = y − α_d − β_d·x is the spread as it stood at the decision d, m its mean over the window
    before a row. `price` is how far S came back, `mean` how far m went to meet it, `fit` the rest:
    the hedge moved, or the deviation grew.
    """
    hedge, reverted = ready.hedge, trips.reason == EXIT_REASONS.index("revert")
    side = trips.side[reverted]
    decided, left = ready.first + trips.decided[reverted], ready.first + trips.left[reverted]
    moved = side * (hedge.zscore[left] - hedge.zscore[decided])
    frozen = anchored_zscore(ready.y, ready.x, hedge, decided, left)
    price = side * (frozen - hedge.zscore[decided])
    mean = np.empty(len(side))
    for trip, (entry, row) in enumerate(zip(decided, left, strict=True)):
        spread = ready.y - hedge.intercept[entry] - hedge.hedge_ratio[entry] * ready.x
        before, after = (np.nanmean(spread[at - spec.window : at]) for at in (entry, row))
        mean[trip] = -side[trip] * (after - before) / hedge.spread_std[entry]
    return WayBack(price, mean, moved - price - mean)


def judge(spec: PairSpec, rows: PairRows) -> Told:
    """Trade one pair over all its rows."""
    plan = plan_rows(spec, int(rows.open_time_ms[0]), int(rows.open_time_ms[-1]))
    fit, ready = ready_rows(spec, plan, rows)
    decided = decide_positions(spec, ready.y, ready.x, ready.hedge, ready.given)
    _, trips = trade(spec, ready.rows, ready.hedge, ready.given, *decided, ready.first)
    closed, bps = trips.closed, 1e4 / spec.notional
    ratio, std = fit.series.hedge_ratio, fit.series.spread_std
    evens = break_even_zs(spec.exit_z, ratio, std, spec.fee_bps, spec.slippage_bps)
    return Told(
        zscore=fit.series.zscore[~np.isnan(fit.series.zscore)],
        hedge_ratio=ratio[~np.isnan(ratio)],
        effectiveness=fit.effectiveness,
        break_even=float(np.nanmedian(evens)),
        gross=trips.gross[:closed] * bps,
        costs=trips.costs[:closed] * bps,
        promised=trips.promised[:closed] * bps,
        way=way_back(spec, ready, trips),
    )


def stored_pairs(url: str, timeframe_ms: int) -> Iterator[PairRows]:
    """The rows of every two symbols that have bars in common."""
    reader = Reader(url)
    legs: dict[str, Leg] = {}
    for stored in reader.symbols():
        span = reader.bar_range(stored.symbol, timeframe_ms)
        if span is not None:
            legs[stored.symbol] = reader.leg(
                stored.symbol, timeframe_ms, span[0], span[1] + timeframe_ms
            )
    reader.close()
    for leg_a, leg_b in itertools.combinations(legs.values(), 2):
        first = max(leg_a.open_time_ms[0], leg_b.open_time_ms[0])
        last = min(leg_a.open_time_ms[-1], leg_b.open_time_ms[-1])
        if last > first:
            yield align(leg_a, leg_b, timeframe_ms, int(first), int(last) + timeframe_ms)


def noise_pairs(timeframe_ms: int) -> Iterator[PairRows]:
    """Independent random walks, each bar opening at the close before."""
    rng = np.random.default_rng(1)
    times = timeframe_ms * np.arange(NOISE_ROWS, dtype=np.int64)
    traded = np.ones((2, NOISE_ROWS), np.bool_)
    for _ in range(NOISE_PAIRS):
        walk = np.exp(np.cumsum(rng.normal(0.0, NOISE_STEP, (2, NOISE_ROWS + 1)), axis=1))
        (open_a, open_b), (close_a, close_b) = walk[:, :-1], walk[:, 1:]
        yield PairRows(times, open_a, close_a, open_b, close_b, *traded)


def line(name: str, pairs: list[Told]) -> str:
    """A row of the table: what all pairs gave under one hedge."""
    zscore = np.concatenate([told.zscore for told in pairs])
    ratio = np.concatenate([told.hedge_ratio for told in pairs])
    gross = np.concatenate([told.gross for told in pairs])
    costs = np.concatenate([told.costs for told in pairs])
    promised = np.concatenate([told.promised for told in pairs])
    price, mean, fit = (np.concatenate(part) for part in zip(*(t.way for t in pairs), strict=True))
    moved = (price + mean + fit).sum()
    earned = np.mean([(told.gross - told.costs).sum() > 0 for told in pairs])
    cells = (
        f"{100 * np.mean(np.abs(zscore) >= 2):.0f} %, {zscore.std():.2f}",
        *(f"{100 * part.sum() / moved:.0f}" for part in (price, mean, fit)),
        f"{100 * np.mean(price < 0):.0f} %",
        f"{100 * np.mean(ratio <= 0):.0f} %",
        f"{np.nanmedian([told.effectiveness for told in pairs]):.2f}",
        f"{len(gross):,}",
        f"{gross.mean():+.1f}",
        f"{(gross - costs).mean():+.1f}",
        f"{100 * earned:.0f} %",
        f"{100 * gross.sum() / promised.sum():.0f} %",
        f"{np.median([told.break_even for told in pairs]):.2f}",
    )
    return f"| {name} | {' | '.join(cells)} |"


HEADING = (
    "hedge", "|z| ≥ 2, deviation of z", "price %", "mean %", "fit %", "frozen z worse at exit",
    "β ≤ 0", "effectiveness", "trades", "gross bp", "net bp", "pairs with a profit", "capture",
    "break-even z",
)  # fmt: skip


def table(name: str, pairs: Iterable[PairRows], timeframe: str) -> None:
    """Print one table, a row a hedge."""
    told: dict[str, list[Told]] = {hedge: [] for hedge in HEDGES}
    rows = 0
    for pair in pairs:
        rows = max(rows, len(pair))
        for hedge in HEDGES:
            asked = {"timeframe": timeframe, "hedge": hedge, "bars": MAX_BARS}
            told[hedge].append(judge(read_pair_spec(asked, Settings()), pair))
    print(f"\n{name}: {len(told['ols'])} pairs of {timeframe}, {rows:,} rows at most\n")
    print(f"| {' | '.join(HEADING)} |\n{'|---' * len(HEADING)}|")
    for hedge in HEDGES:
        print(line(hedge, told[hedge]), flush=True)


def main(url: str, timeframe: str) -> int:
    timeframe_ms = next(length for name, length in TIMEFRAMES.items() if name == timeframe)
    table("Stored", stored_pairs(url, timeframe_ms), timeframe)
    table("Independent random walks", noise_pairs(timeframe_ms), timeframe)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
