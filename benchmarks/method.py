"""The measured tables of docs/method.md: all pairs that a database has bars of, beside noise.

    python -m benchmarks.method sqlite:///data/market.db 1h

Every pair is traded at default parameters over all rows that both legs have.
"""

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from core.backtest import trade
from core.bars import align
from core.metrics import Trips
from core.pair import Ready, ready_rows
from core.pair_spec import HEDGES, MAX_BARS, Hedge, PairSpec, read_pair_spec
from core.row_plan import plan_rows
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


WAY = ("|z| ≥ 2", "deviation of z", "price", "mean", "fit", "frozen z further out at the exit")
EARNED = (
    "β ≤ 0", "effectiveness", "trades", "gross bp", "net bp", "pairs with a profit", "capture",
    "break-even z",
)  # fmt: skip


def summary(pairs: Sequence[Told]) -> dict[str, str]:
    """What all pairs gave under one hedge, by column; shares are of all rows and trips together."""
    joined = {
        name: np.concatenate([getattr(told, name) for told in pairs])
        for name in ("zscore", "hedge_ratio", "gross", "costs", "promised")
    }
    price, mean, fit = (np.concatenate(part) for part in zip(*(t.way for t in pairs), strict=True))
    gross, net = joined["gross"], joined["gross"] - joined["costs"]
    moved = float((price + mean + fit).sum())
    return {
        "|z| ≥ 2": f"{np.mean(np.abs(joined['zscore']) >= 2.0):.0%}",
        "deviation of z": f"{joined['zscore'].std():.2f}",
        "price": f"{price.sum() / moved:.0%}",
        "mean": f"{mean.sum() / moved:.0%}",
        "fit": f"{fit.sum() / moved:.0%}",
        "frozen z further out at the exit": f"{np.mean(price < 0.0):.0%}",
        "β ≤ 0": f"{np.mean(joined['hedge_ratio'] <= 0.0):.0%}",
        "effectiveness": f"{np.nanmedian([told.effectiveness for told in pairs]):.2f}",
        "trades": f"{len(gross):,}",
        "gross bp": f"{gross.mean():+.1f}",
        "net bp": f"{net.mean():+.1f}",
        "pairs with a profit": f"{np.mean([np.sum(t.gross - t.costs) > 0.0 for t in pairs]):.0%}",
        "capture": f"{gross.sum() / joined['promised'].sum():.0%}",
        "break-even z": f"{np.median([told.break_even for told in pairs]):.2f}",
    }


def measure(pairs: Iterable[PairRows], timeframe: str) -> dict[Hedge, dict[str, str]]:
    """Trade every pair by every hedge at default parameters."""
    told: dict[Hedge, list[Told]] = {hedge: [] for hedge in HEDGES}
    specs = {
        hedge: read_pair_spec(
            {"timeframe": timeframe, "hedge": hedge, "bars": MAX_BARS}, Settings()
        )
        for hedge in HEDGES
    }
    for rows in pairs:
        for hedge, spec in specs.items():
            told[hedge].append(judge(spec, rows))
    print(f"{len(told['ols'])} pairs of {timeframe}", file=sys.stderr)
    return {hedge: summary(of_hedge) for hedge, of_hedge in told.items()}


def main(url: str, timeframe: str) -> int:
    timeframe_ms = next(length for name, length in TIMEFRAMES.items() if name == timeframe)
    stored = measure(stored_pairs(url, timeframe_ms), timeframe)
    noise = measure(noise_pairs(timeframe_ms), timeframe)
    for columns in (WAY, EARNED):
        print(f"\n| pairs · walks | {' | '.join(columns)} |\n|{'---|' * (1 + len(columns))}")
        for hedge in HEDGES:
            cells = (f"{stored[hedge][name]} · {noise[hedge][name]}" for name in columns)
            print(f"| {hedge} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
