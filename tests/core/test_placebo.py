"""On independent random walks there is nothing to earn: whoever earns has seen the future.

Each test of a cheat shows that the honest check would have caught it.
"""

from dataclasses import replace

import numpy as np
import pytest

from core.backtest import trade
from core.regression import rolling_hedge
from core.signals import conditions, decide_positions
from core.types import HedgeSeries, PairRows

RUNS, BARS = 1_500, 1_440


def walks(share_a, share_b, rng, correlation=0.0):
    """Random walks that print a price only in a share of bars, and repeat it else.

    In a bar that trades the open is what the walk stood at when the bar began.
    """
    steps = rng.normal(0, 1e-3, (2, BARS + 1))
    steps[1] = correlation * steps[0] + np.sqrt(1 - correlation**2) * steps[1]
    walk = np.cumsum(steps, axis=1)
    traded = rng.random((2, BARS)) < [[share_a], [share_b]]
    traded[:, 0] = True
    last = np.maximum.accumulate(np.where(traded, np.arange(BARS), 0), axis=1)
    logs = np.take_along_axis(walk[:, 1:], last, axis=1)  # the last price printed
    opens = np.where(traded, walk[:, :-1], logs)
    (open_a, open_b), (close_a, close_b) = np.exp(opens), np.exp(logs)
    times = np.arange(BARS, dtype=np.int64) * 60_000
    return PairRows(times, open_a, close_a, open_b, close_b, *traded), logs


def fitted_on_all(y, x):
    """The classic mistake: one hedge ratio fitted on all of history, the future included."""
    ratio = np.polyfit(x, y, 1)[0]
    spread = y - ratio * x
    mean, std = np.full(len(y), spread.mean()), np.full(len(y), spread.std())
    fill = np.full(len(y), ratio)
    return HedgeSeries(fill, 0 * fill, spread, mean, std, (spread - mean) / std)


def change_of_equity(spec, cheat=None, shares=(1.0, 1.0), rule="moving", correlation=0.0):
    rng = np.random.default_rng(20_240_808)
    free = spec(fee_bps=0.0, slippage_bps=0.0, window=60, hedge_window=300, exit_rule=rule)
    breaks = np.zeros(BARS, bool)
    changes = np.empty(RUNS)
    for run in range(RUNS):
        rows, (y, x) = walks(*shares, rng, correlation)
        if cheat == "full-sample fit":
            hedge = fitted_on_all(y, x)
        else:
            hedge = rolling_hedge(y, x, first_index=0, hedge_window=300, window=60)
        # A leg that is idle for 20 bars is none of the matters here: it would be left alone.
        given = conditions(free, rows, np.ones(BARS), breaks)._replace(halted=breaks)
        given = given._replace(may_enter=~breaks)
        position, code = decide_positions(free, y, x, hedge, given)
        if cheat == "fill one bar early":
            position = np.append(position[1:], 0)
            hedge = replace(hedge, hedge_ratio=np.append(hedge.hedge_ratio[1:], 0.0))
        elif cheat == "fill in an untraded bar":
            given = given._replace(tradable=~breaks)
        equity, _ = trade(free, rows, hedge, given, position, code)
        changes[run] = equity[-1] - equity[0]
    return changes


def t_value(changes):
    return changes.mean() / (changes.std(ddof=1) / np.sqrt(len(changes)))


@pytest.mark.parametrize("rule", ["moving", "anchored"])
@pytest.mark.parametrize("shares", [(1.0, 1.0), (0.95, 0.6), (0.9, 0.3), (0.3, 0.05)])
def test_random_walks_earn_nothing(spec, shares, rule):
    changes = change_of_equity(spec, None, shares, rule)
    assert np.count_nonzero(changes) > 0.9 * RUNS  # it does trade
    assert abs(t_value(changes)) < 3


@pytest.mark.parametrize("cheat", ["full-sample fit", "fill one bar early"])
def test_letting_the_future_in_would_be_seen(spec, cheat):
    assert abs(t_value(change_of_equity(spec, cheat))) > 10


@pytest.mark.parametrize("shares", [(0.95, 0.6), (0.9, 0.3), (0.3, 0.05)])
def test_a_fill_at_a_price_that_nobody_traded_at_would_be_seen(spec, shares):
    """Where legs move together the idle one's old price foretells its next.

    On independent walks an old price is as fair as a new one: there the cheat earns nothing.
    """
    assert abs(t_value(change_of_equity(spec, None, shares, correlation=0.7))) < 3
    assert t_value(change_of_equity(spec, "fill in an untraded bar", shares, correlation=0.7)) > 10
