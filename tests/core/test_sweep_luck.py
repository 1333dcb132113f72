"""What a sweep says of noise, and of a spread that comes back, on its own grid of parameters."""

import math

import numpy as np
import pytest

from core.metrics import shape_of
from core.overfitting import (
    deflated_sharpe,
    distinct_trials,
    mean_block,
    reality_check,
    sharpe_ratios,
)
from core.settings import Settings
from core.sweep import read_grid, sweep
from core.walk_forward import walk_forward

HOUR = 3_600_000
N, SHOWN = 1_600, 1_300
ASKED = {"window": [24, 48, 96], "entry_z": [1.0, 1.5, 2.0, 2.5], "exit_z": [0.0, 0.5]}


def walks(seed):
    """Two legs that move together, and nothing between them comes back."""
    rng = np.random.default_rng(seed)
    common, *own = rng.normal(0.0, 5e-3, (3, N)).cumsum(axis=1)
    return [8.0 + common + leg for leg in own]


def reverting(seed):
    """A spread around a walk that halves in seven hours, with deviations of 2 %."""
    rng = np.random.default_rng(seed)
    leg = 8.0 + rng.normal(0.0, 5e-3, N).cumsum()
    spread, share = np.zeros(N), 0.5 ** (1 / 7)
    for row, shock in enumerate(rng.normal(0.0, 0.02 * math.sqrt(1 - share**2), N - 1), start=1):
        spread[row] = share * spread[row - 1] + shock
    return [leg + spread, leg]


def judged(logs, spec, as_bars):
    """The best cell's p by the reality check, and its deflated Sharpe ratio."""
    legs = [as_bars(np.exp(leg), 0, HOUR) for leg in logs]
    cells = sweep(read_grid(spec, ASKED, Settings()), *legs, 0, (N - 1) * HOUR)
    returns = cells.returns[cells.is_allowed]
    assert len(returns) == 24
    chance = reality_check(returns, mean_block(returns.shape[1], 12.0))
    ratios = sharpe_ratios(returns)
    best, trials = int(np.argmax(ratios)), distinct_trials(returns)
    told = ratios[best], ratios.var(), trials, returns.shape[1], *shape_of(returns[best])
    return chance, deflated_sharpe(*map(float, told))


def shares_of_news(make, seeds, spec, as_bars):
    """How often the reality check is below .05, and the deflated ratio above .95."""
    base = spec(timeframe="1h", bars=SHOWN, hedge_window=250)
    chances, deflated = zip(*(judged(make(seed), base, as_bars) for seed in seeds), strict=True)
    return np.mean(np.array(chances) < 0.05), np.mean(np.array(deflated) > 0.95)


def earned_after(seeds, spec, as_bars):
    """Net of each walk-forward on noise without costs, out of sample."""
    base = spec(timeframe="1h", bars=SHOWN, hedge_window=250, fee_bps=0.0, slippage_bps=0.0)
    nets = []
    for seed in seeds:
        legs = [as_bars(np.exp(leg), 0, HOUR) for leg in walks(seed)]
        grid = read_grid(base, ASKED, Settings())
        every = np.ones(grid.cells, dtype=np.bool_)
        (told,) = walk_forward([every], grid, *legs, 0, (N - 1) * HOUR, 400)
        nets.append(told.equity[-1] - base.notional)
    return np.array(nets)


def in_errors(nets):
    return nets.mean() / (nets.std(ddof=1) / math.sqrt(len(nets)))


def test_chance_is_told_from_a_spread_that_comes_back(spec, as_bars):
    noise, deflated = shares_of_news(walks, range(12), spec, as_bars)
    assert noise <= 2 / 12
    assert deflated <= 1 / 12
    assert shares_of_news(reverting, range(12), spec, as_bars)[0] >= 10 / 12


def test_what_was_chosen_on_noise_earns_nothing_after(spec, as_bars):
    assert abs(in_errors(earned_after(range(12), spec, as_bars))) < 2.5


@pytest.mark.soak
def test_of_200_noise_pairs_few_are_news_and_of_200_true_ones_most(spec, as_bars):
    (noise, noise_deflated), (true, true_deflated) = (
        shares_of_news(make, range(200), spec, as_bars) for make in (walks, reverting)
    )
    print(f"reality check < 0.05: {noise:.1%} of noise pairs, {true:.1%} of reverting ones")
    print(f"deflated Sharpe > 0.95: {noise_deflated:.1%} and {true_deflated:.1%}")
    assert 0.02 <= noise <= 0.09
    assert true > 0.85
    assert noise_deflated <= 0.1


@pytest.mark.soak
def test_walking_forward_on_12_000_noise_pairs_earns_nothing(spec, as_bars):
    """Of the second 200 alone chance is three errors away; all batches scatter as they should."""
    nets = earned_after(range(12_000), spec, as_bars)
    batches = nets.reshape(-1, 200).mean(axis=1)
    scatter = batches.var(ddof=1) / (nets.var(ddof=1) / 200)
    print(f"out of sample on noise: {nets.mean():+.1f} a pair, {in_errors(nets):+.2f} errors,")
    print(f"means of 200 scatter {scatter:.2f} as much as they should")
    assert abs(in_errors(nets)) < 2.5
    assert abs(scatter - 1.0) < 2.5 * math.sqrt(2.0 / (len(batches) - 1))
