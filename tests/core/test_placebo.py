"""On independent random walks there is nothing to earn: whoever earns has seen the future.

Each test of a cheat shows that the honest check would have caught it.
"""

import numpy as np
import pytest

from core.backtest import run_backtest
from core.regression import rolling_hedge
from core.signals import decide_positions
from core.types import HedgeSeries, PairRows

RUNS, BARS = 1_500, 1_440


def rolling_z_in_sample(y, x, window):
    """The classic mistake: one hedge ratio fitted on all of history, the future included."""
    ratio = np.polyfit(x, y, 1)[0]
    spread = y - ratio * x
    z = (spread - spread.mean()) / spread.std()
    fill = np.full(len(y), ratio)
    return HedgeSeries(fill, fill, spread, fill, np.full(len(y), spread.std()), z)


def change_of_equity(spec, cheat):
    rng = np.random.default_rng(20_240_808)
    free = spec(fee_bps=0.0, slippage_bps=0.0, window=60, hedge_window=300)
    complete = np.ones(BARS, bool)
    times = np.arange(BARS, dtype=np.int64) * 60_000
    changes = np.empty(RUNS)
    for run in range(RUNS):
        walk = np.cumsum(rng.normal(0, 1e-3, (2, BARS + 1)), axis=1)
        y, x = walk[:, 1:]
        a, b = np.exp(walk)
        rows = PairRows(times, a[:-1], a[1:], b[:-1], b[1:])  # opens are the closes before
        if cheat == "full-sample fit":
            hedge = rolling_z_in_sample(y, x, 60)
        else:
            hedge = rolling_hedge(y, x, first_index=0, hedge_window=300, window=60)
        position, code = decide_positions(hedge.zscore, complete, free)
        if cheat == "fill one bar early":
            early, early_hedge = np.append(position[1:], 0), np.append(hedge.hedge_ratio[1:], 0.0)
            position, code = early, np.append(code[1:], 0)
            hedge = HedgeSeries(early_hedge, *(getattr(hedge, n) for n in hedge.__slots__[1:]))
        backtest, _ = run_backtest(free, rows, hedge, position, code)
        changes[run] = backtest.equity[-1] - backtest.equity[0]
    return changes


def t_value(changes):
    return changes.mean() / (changes.std(ddof=1) / np.sqrt(len(changes)))


def test_random_walks_earn_nothing(spec):
    changes = change_of_equity(spec, None)
    assert np.count_nonzero(changes) > 0.9 * RUNS  # it does trade
    assert abs(t_value(changes)) < 3


@pytest.mark.parametrize("cheat", ["full-sample fit", "fill one bar early"])
def test_letting_the_future_in_would_be_seen(spec, cheat):
    assert abs(t_value(change_of_equity(spec, cheat))) > 10
