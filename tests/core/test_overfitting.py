"""What a best of many is worth: published figures, brute force, and noise that must not pass."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import erfi

from core.overfitting import (
    backtest_overfitting,
    best_entry,
    bootstrap,
    deflated_sharpe,
    distinct_trials,
    expected_maximum,
    mean_block,
    probabilistic_sharpe,
    reality_check,
    sharpe_ratios,
    stationary_rows,
)


def test_probabilistic_and_deflated_ratios_are_the_published_ones():
    told = probabilistic_sharpe(1.585 / math.sqrt(12), 0.0, 24, -2.448, 10.164)
    assert told == pytest.approx(0.9132343069, abs=1e-10)
    told = deflated_sharpe(2.5 / math.sqrt(250), 0.5 / 250, 100, 1_250, -3.0, 10.0)
    assert told == pytest.approx(0.9003968344, abs=1e-10)
    assert expected_maximum(100) == pytest.approx(2.5306028932, abs=1e-10)
    assert expected_maximum(1) == 0.0
    assert math.isnan(probabilistic_sharpe(3.0, 0.0, 24, 9.0, 10.0))


def test_expected_maximum_is_about_that_of_simulated_values():
    highest = np.random.default_rng(1).standard_normal((4_000, 50)).max(axis=1)
    assert expected_maximum(50) == pytest.approx(highest.mean(), abs=0.05)  # of many trials


def test_trial_that_does_not_move_has_a_ratio_of_zero_and_copies_are_one_trial():
    returns = np.array([[0.01, -0.02, 0.03], [0.0, 0.0, 0.0], [0.01, -0.02, 0.03]])
    ratios = sharpe_ratios(returns)
    assert ratios[0] == pytest.approx(returns[0].mean() / returns[0].std(ddof=1))
    assert ratios[1] == 0.0
    assert distinct_trials(returns) == 2


def test_resamples_are_blocks_of_the_mean_length_that_go_on_round_the_end():
    rows = stationary_rows(400, 8.0, 300, np.random.default_rng(2))
    follows = (np.diff(rows, axis=1) % 400) == 1
    assert 1.0 / (1.0 - follows.mean()) == pytest.approx(8.0, rel=0.05)
    assert np.bincount(rows.ravel(), minlength=400).min() > 150  # every period is drawn alike
    assert ((rows[:, 1:] == 0) & (rows[:, :-1] == 399)).any()


@pytest.mark.parametrize(
    ("periods", "hold", "block"), [(1_000, 0.0, 10.0), (1_000, 40.0, 80.0), (100, 90.0, 25.0)]
)
def test_blocks_hold_a_trade_and_leave_four_to_mix(periods, hold, block):
    assert mean_block(periods, hold) == pytest.approx(block)


def slow_reality_check(returns, block, resamples, seed):
    rows = stationary_rows(returns.shape[1], block, resamples, np.random.default_rng(seed))
    observed = sharpe_ratios(returns)
    reached = 0
    for resample in rows:
        reached += (sharpe_ratios(returns[:, resample]) - observed).max() >= observed.max()
    return (1 + reached) / (resamples + 1)


@pytest.mark.parametrize("seed", range(4))
def test_reality_check_equals_resampling_trial_by_trial(seed):
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.02, 1.0, (7, 90)) * rng.uniform(1e-4, 1e-2, (7, 1))
    returns[3] = 0.0
    assert reality_check(returns, 5.0, 200, seed) == slow_reality_check(returns, 5.0, 200, seed)


def test_reality_check_passes_noise_as_seldom_as_it_says_and_skill_nearly_always():
    rng = np.random.default_rng(5)
    common = rng.normal(0, 1, (200, 1, 250))
    noise = 0.7 * common + rng.normal(0, 1, (200, 30, 250))
    passed = [reality_check(trials, 4.0, 200, seed) < 0.05 for seed, trials in enumerate(noise)]
    assert 0.01 <= np.mean(passed) <= 0.09
    skilled = noise[:60].copy()
    skilled[:, 4] += 0.35
    passed = [reality_check(trials, 4.0, 200, seed) < 0.05 for seed, trials in enumerate(skilled)]
    assert np.mean(passed) > 0.85


def slow_overfitting(returns, blocks):
    trials, periods = returns.shape
    size = periods // blocks
    parts = np.split(returns[:, periods - size * blocks :], blocks, axis=1)
    logits, losses = [], []
    for train in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[i] for i in train], axis=1)
        outside = np.concatenate([parts[i] for i in range(blocks) if i not in train], axis=1)
        best = int(np.argmax(sharpe_ratios(inside)))
        tested = sharpe_ratios(outside)
        same = np.isclose(tested, tested[best], rtol=1e-9, atol=1e-12)
        below = sum(t < tested[best] and not s for t, s in zip(tested, same, strict=True))
        share = (below + (same.sum() + 1) / 2) / (trials + 1)
        logits.append(math.log(share / (1 - share)))
        losses.append(outside[best].mean() < 0)
    return np.mean(np.array(logits) <= 0), np.mean(losses)


@pytest.mark.parametrize("seed", range(4))
def test_overfitting_equals_a_count_of_every_split(seed):
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.05, 1.0, (9, 83)) * 1e-3
    returns[2] = 0.0
    told = backtest_overfitting(returns, 8)
    value, loss = slow_overfitting(returns, 8)
    assert (told.value, told.loss) == (pytest.approx(value), pytest.approx(loss))
    assert (told.blocks, told.splits) == (8, 70)


def test_equal_trials_say_nothing_and_a_steady_best_is_not_overfitted():
    rng = np.random.default_rng(3)
    one = rng.normal(0, 1e-3, 200)
    assert backtest_overfitting(np.tile(one, (12, 1))).value == 1.0  # the middle rank: logit 0
    returns = rng.normal(0, 1e-3, (12, 200))
    returns[5] += 2e-3
    assert backtest_overfitting(returns).value == 0.0


def test_bands_of_the_return_cover_what_they_say():
    rng = np.random.default_rng(8)
    inside = 0
    for seed in range(200):
        sample = rng.normal(2e-4, 1e-3, 300)
        band, fall, _ = bootstrap(sample, mean_block(300, 1.0), 300, seed)
        assert band.low < band.median < band.high
        assert fall.low < fall.median < fall.high <= 0.0
        inside += band.low <= 300 * 2e-4 <= band.high
    assert 0.8 <= inside / 200 <= 0.95


def test_bootstrap_is_each_resample_walked_through_period_by_period():
    returns = np.random.default_rng(8).normal(1e-3, 1e-2, 40)
    rows = stationary_rows(40, 5.0, 60, np.random.default_rng(3))
    paths, deepest = [], []
    for order in rows:
        gained, peak, fall, path = 0.0, 1.0, 0.0, []
        for row in order:
            gained += returns[row]
            peak = max(peak, 1.0 + gained)
            fall = min(fall, (1.0 + gained) / peak - 1.0)
            path.append(gained)
        paths.append(path)
        deepest.append(fall)
    told = bootstrap(returns, 5.0, 60, 3)
    for period in range(40):
        expected = np.percentile([path[period] for path in paths], (5, 50, 95))
        np.testing.assert_allclose(told.fan[:, period], expected, rtol=1e-12)
    assert list(told.total) == told.fan[:, -1].tolist()
    np.testing.assert_allclose(told.drawdown, np.percentile(deepest, (5, 50, 95)), rtol=1e-12)


@pytest.mark.parametrize(("cost", "z"), [(0.1, 0.691), (0.3, 1.033), (1.0, 1.714)])
def test_best_entry_is_the_root_of_bertrams_condition(cost, z):
    assert best_entry(cost) == pytest.approx(z, abs=5e-4)

    def condition(at):
        right = math.sqrt(2 / math.pi) * (at - cost) * math.exp(at * at / 2)
        return erfi(at / math.sqrt(2)) - right

    assert best_entry(cost) == pytest.approx(brentq(condition, 0.05, 4.0, xtol=1e-13), abs=1e-9)


def test_best_entry_gives_bertrams_own_example():
    speed, sigma, cost = 180.9670, 0.1538, 0.001
    deviation = sigma / math.sqrt(2 * speed)
    entry = -best_entry(cost / (2 * deviation)) * deviation
    cycle = math.pi / speed * 2 * erfi(-entry * math.sqrt(speed) / sigma)
    assert entry == pytest.approx(-0.00471518, abs=5e-8)
    assert cycle == pytest.approx(0.01712239, abs=5e-8)
    assert (-2 * entry - cost) / cycle == pytest.approx(0.49235833, abs=5e-7)
