"""The radar beside the pair's own kernel."""

import numpy as np
import pytest

from core.radar import hedge_ratios, radar
from core.regression import rolling_hedge

WINDOW, HEDGE_WINDOW, ROWS = 40, 200, 520


def universe(seed, symbols=14):
    """Legs of one factor at prices of every size; a flat one, duplicates and legs with holes."""
    rng = np.random.default_rng(seed)
    factor = np.cumsum(rng.normal(0, 2e-3, ROWS))
    own = np.cumsum(rng.normal(0, 2e-3, (symbols, ROWS)), axis=1)
    logs = rng.uniform(-10, 11, (symbols, 1)) + rng.uniform(0.3, 1.5, (symbols, 1)) * factor + own
    logs[0] = 4.2
    logs[1] = logs[2]
    logs[3] = logs[4] + 1e-7 * rng.normal(size=ROWS)
    logs[5, :400] = np.nan  # listed late, yet long enough
    logs[6, :490] = np.nan  # listed too late
    logs[7, rng.random(ROWS) < 0.05] = np.nan
    logs[8, -150:-60] = np.nan
    logs[9, 300:] = np.nan  # ended
    logs[10, 3] += 2.0  # a spike that no window reaches
    logs[11, -30] += 0.5
    logs[12, -1] = np.nan
    return logs


def of_pair(logs, i, j, hedge="ols"):
    first = np.flatnonzero(~np.isnan(logs[i] + logs[j]))
    if not len(first):
        return np.full(3, np.nan)
    series = rolling_hedge(
        logs[i, first[0] :], logs[j, first[0] :], hedge=hedge, first_index=int(first[0]),
        hedge_window=HEDGE_WINDOW, window=WINDOW,
    )  # fmt: skip
    return np.array([series.hedge_ratio[-1], series.spread_std[-1], series.zscore[-1]])


@pytest.mark.parametrize("hedge", ["ols", "ratio"])
@pytest.mark.parametrize("seed", range(4))
def test_each_pair_stands_where_its_own_kernel_says(seed, hedge):
    logs = universe(seed)
    seen = radar(logs, window=WINDOW, hedge_window=HEDGE_WINDOW, hedge=hedge)
    for i in range(len(logs)):
        for j in range(len(logs)):
            if i != j:
                expected = of_pair(logs, i, j, hedge)
                got = np.array([field[i, j] for field in seen])
                np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9, err_msg=f"{i} {j}")


@pytest.mark.parametrize("seed", range(2))
def test_hedge_ratios_of_the_row_to_come_are_those_of_each_pair(seed):
    logs = universe(seed)
    logs[12, -1] = logs[12, -2]
    got = hedge_ratios(logs, window=WINDOW, hedge_window=HEDGE_WINDOW)
    longer = np.column_stack((logs, np.full(len(logs), np.nan)))
    for i in range(len(logs)):
        for j in range(len(logs)):
            if i != j:
                expected = of_pair(longer, i, j)[0]
                np.testing.assert_allclose(got[i, j], expected, rtol=1e-9, err_msg=f"{i} {j}")


def test_a_universe_without_a_hole_is_seen_the_same_with_and_without_masks():
    rng = np.random.default_rng(5)
    logs = 5 + np.cumsum(rng.normal(0, 1e-3, (6, ROWS)), axis=1)
    whole = radar(logs, window=WINDOW, hedge_window=HEDGE_WINDOW)
    beside = np.vstack((logs, logs[:1]))
    beside[6, -100] = np.nan
    masked = radar(beside, window=WINDOW, hedge_window=HEDGE_WINDOW)
    for alone, among in zip(whole, masked, strict=True):
        np.testing.assert_allclose(among[:6, :6], alone, rtol=1e-11)
