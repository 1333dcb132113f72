"""Every pair of two blocks beside statsmodels and beside the pair's own test."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from core import tiles
from core.stationarity import engle_granger
from core.tiles import FORETOLD, IS_COLLINEAR, STILL, TOO_FEW_ROWS, engle_granger_blocks

ROWS = 420


def pathological(seed=0, symbols=24):
    """Every kind of symbol that a real universe has, each among ordinary ones."""
    rng = np.random.default_rng(seed)
    factor = np.cumsum(rng.normal(0, 2e-3, ROWS))
    own = np.cumsum(rng.normal(0, 2e-3, (symbols, ROWS)), axis=1)
    logs = rng.uniform(-10, 11, (symbols, 1)) + rng.uniform(0.3, 1.5, (symbols, 1)) * factor + own
    logs[0] = 4.2  # its mean taken off leaves 9e-16
    logs[1] = logs[2]
    logs[3] = 2 * logs[4] + 1e-5 * rng.normal(size=ROWS)
    logs[5, 0] += 5.0  # a spike in the first bar
    logs[6, 0] -= 50.0
    logs[7, -1] += 5.0
    logs[8, 200] += 3.0
    logs[9, :150] = np.nan  # listed late
    logs[10, :380] = np.nan  # too late
    logs[11, 300:] = np.nan  # ended
    logs[12, rng.random(ROWS) < 0.1] = np.nan
    logs[13] = 0.01 + 1e-6 * np.cumsum(rng.normal(size=ROWS))  # all but still
    logs[14] = np.repeat(logs[14, ::20], 20)  # seldom moves
    logs[15] = 3 + 1e-3 * rng.normal(size=ROWS)  # stationary by itself
    logs[16] = logs[17] + 1e-9 * np.cumsum(rng.normal(size=ROWS))
    return logs


@pytest.fixture
def of_statsmodels(coint_with_lag):
    """`coint` of centred legs with the lag that it keeps to itself."""

    def ask(y, x):
        present = ~np.isnan(y + x)
        y, x = y[present], x[present]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer, lags = coint_with_lag(y - y.mean(), x - x.mean())
        return answer.coint_t, lags

    return ask


def every_pair(logs):
    return np.triu(np.ones((len(logs), len(logs)), dtype=bool), 1)


def found(logs):
    return engle_granger_blocks(logs, logs, every_pair(logs))


def test_every_kind_of_symbol_equals_statsmodels_in_both_directions(of_statsmodels):
    logs = pathological(0)
    result = found(logs)
    compared = 0
    for i, j in np.argwhere(every_pair(logs) & (result.refusal == tiles.TESTED)):
        for way, (y, x) in enumerate(((logs[i], logs[j]), (logs[j], logs[i]))):
            statistic, lags = of_statsmodels(y, x)
            assert result.statistic[way, i, j] == pytest.approx(statistic, rel=1e-8, abs=1e-8)
            assert result.lags[way, i, j] == lags, (i, j)
            compared += 1
    assert compared > 350


@pytest.mark.parametrize("seed", range(6))
def test_a_pair_is_refused_for_the_reason_that_its_own_test_gives(seed):
    logs = pathological(seed)
    result = found(logs)
    words = {TOO_FEW_ROWS: "rows with both legs", STILL: "does not move",
             IS_COLLINEAR: "collinear", FORETOLD: "foretell"}  # fmt: skip
    seen = set()
    for i, j in np.argwhere(every_pair(logs)):
        alone, reason = engle_granger(logs[i], logs[j])
        refusal = int(result.refusal[i, j])
        assert (alone is None) == (refusal != tiles.TESTED), (i, j, reason)
        if alone is None:
            assert words[refusal] in reason
            seen.add(refusal)
        else:
            assert result.statistic[:, i, j].min() == pytest.approx(alone.statistic, rel=1e-8)
    assert {TOO_FEW_ROWS, STILL, IS_COLLINEAR} <= seen


@pytest.mark.parametrize("fewest", [1, 1_000])
def test_products_and_rows_say_the_same(monkeypatch, fewest):
    logs = pathological(3)
    usual = found(logs)
    monkeypatch.setattr(tiles, "FEWEST_TOGETHER", fewest)
    other = found(logs)
    np.testing.assert_array_equal(other.refusal, usual.refusal)
    np.testing.assert_array_equal(other.lags, usual.lags)
    np.testing.assert_allclose(other.statistic, usual.statistic, rtol=1e-8, atol=1e-9)


def test_a_spike_in_the_first_bar_costs_no_digits(monkeypatch):
    """It fills the sums, and the lag then takes off nearly all of them."""
    rng = np.random.default_rng(0)
    logs = 5 + np.cumsum(rng.normal(0, 2e-3, (12, ROWS)), axis=1)
    logs[:6, 0] += 100.0
    usual = found(logs)
    monkeypatch.setattr(tiles, "FEWEST_TOGETHER", 1_000)
    np.testing.assert_allclose(usual.statistic, found(logs).statistic, rtol=0, atol=2e-9)


def test_unequal_blocks_give_what_one_block_gives():
    logs = pathological(4)
    whole, part = found(logs), engle_granger_blocks(logs[:9], logs[9:], np.ones((9, 15), bool))
    np.testing.assert_allclose(part.statistic, whole.statistic[:, :9, 9:], rtol=1e-8, atol=1e-9)
    np.testing.assert_array_equal(part.lags, whole.lags[:, :9, 9:])


def test_two_scans_at_once_give_what_each_gives_alone():
    logs = [pathological(seed) for seed in range(4)]
    alone = [found(each) for each in logs]
    with ThreadPoolExecutor(4) as threads:
        for one, other in zip(alone, threads.map(found, logs), strict=True):
            np.testing.assert_array_equal(one.statistic, other.statistic)
