import numpy as np
import pytest
from scipy.linalg import eigh
from statsmodels.tsa.adfvalues import mackinnoncrit, mackinnonp
from statsmodels.tsa.stattools import adfuller
from statsmodels.tsa.vector_ar.vecm import coint_johansen

from core.stationarity import (
    cointegration,
    critical_5pct,
    engle_granger,
    johansen,
    mackinnon_pvalue,
)
from core.unit_root import adf


@pytest.fixture
def same_as_statsmodels(coint_with_lag):
    """Hold a pair to `coint` on centred logs in both directions, and the answer to the lower."""

    def check(y, x):
        answers = []
        for first, second, direction in ((y, x, "a_on_b"), (x, y, "b_on_a")):
            first, second = first - first.mean(), second - second.mean()
            expected, chosen = coint_with_lag(first, second)
            statistic, lags = adf(first - (first @ second) / (second @ second) * second)
            assert statistic == pytest.approx(expected.coint_t, abs=1e-8)
            assert lags == chosen
            answers.append((expected.coint_t, direction, lags, expected))
        _, direction, lags, expected = min(answers)
        got, reason = engle_granger(y, x)
        assert reason is None
        assert got.statistic == pytest.approx(expected.coint_t, abs=1e-8)
        assert got.pvalue == pytest.approx(expected.pvalue, abs=1e-6)
        assert got.pvalue_both == pytest.approx(min(1.0, 2 * expected.pvalue), abs=2e-6)
        assert got.critical_5pct == pytest.approx(expected.critical_values[1], abs=1e-9)
        assert (got.lags, got.direction) == (lags, direction)

    return check


def simulated(seed, longest):
    """Two legs about as far apart as real ones: a walk, and a share of it plus an AR(1)."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(50, longest))
    x = rng.uniform(-10, 11) + np.cumsum(rng.normal(0, 1e-3, n))
    phi, spread = rng.uniform(0, 1), np.zeros(n)
    for i in range(1, n):
        spread[i] = phi * spread[i - 1] + rng.normal(0, 1e-3)
    return 2 + rng.uniform(-1, 2) * x + spread, x


@pytest.mark.parametrize("block", range(10))
def test_five_hundred_random_pairs_equal_statsmodels_both_ways(same_as_statsmodels, block):
    for seed in range(50 * block, 50 * block + 50):
        same_as_statsmodels(*simulated(seed, 700 if seed % 50 < 3 else 120))


@pytest.mark.parametrize("n", [90, 240])
def test_recorded_pairs_equal_statsmodels_both_ways(recorded_logs, same_as_statsmodels, n):
    for a, b in (("BTC", "ETH"), ("SOL", "AVAX"), ("LTC", "BCH"), ("UNI", "AAVE"), ("OP", "ARB")):
        y, x = recorded_logs(a, b)
        for end in range(len(y), len(y) - 6 * 400, -400):
            same_as_statsmodels(y[end - n : end], x[end - n : end])


@pytest.mark.parametrize(("a", "b"), [("BTC", "ETH"), ("SOL", "AVAX"), ("UNI", "AAVE")])
def test_recorded_pairs_of_the_usual_length_equal_statsmodels(
    recorded_logs, same_as_statsmodels, a, b
):
    same_as_statsmodels(*(leg[-1440:] for leg in recorded_logs(a, b)))


def test_the_better_of_two_directions_is_paid_for_twice_and_never_above_one(log_pair):
    """Whoever looks both ways and takes the better one has had two tries."""
    tied, _ = engle_granger(*log_pair(600, 3))
    assert tied.pvalue_both == 2 * tied.pvalue < 0.05
    walks = np.cumsum(np.random.default_rng(4).normal(0, 1, (60, 2, 120)), axis=2)
    found = [engle_granger(y, x)[0] for y, x in walks]
    assert {one.pvalue_both for one in found if one.pvalue > 0.5} == {1.0}
    assert any(one.pvalue > 0.5 for one in found)
    # Of legs that nothing ties one in twenty passes at 5 %; by one direction's p it were more.
    assert sum(one.pvalue_both < 0.05 for one in found) <= 6


def test_critical_value_is_that_of_two_series_not_of_one(log_pair):
    got, _ = engle_granger(*log_pair(5000, 1))
    assert got.critical_5pct == pytest.approx(-3.337, abs=2e-3)  # one series: -2.86


def test_missing_rows_are_dropped(log_pair):
    y, x = log_pair(400, 2)
    holes = y.copy()
    holes[[3, 50, 399]] = np.nan
    keep = ~np.isnan(holes)
    assert engle_granger(holes, x) == engle_granger(y[keep], x[keep])


@pytest.mark.parametrize("seed", range(40))
def test_legs_that_seldom_move_equal_statsmodels_or_have_a_reason(same_as_statsmodels, seed):
    """Lagged changes are all zero then, or the same: a plain inverse of theirs does not exist."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(50, 130))
    y, x = (
        5 + np.cumsum(np.where(rng.random(n) < 0.06, rng.normal(0, 1e-3, n), 0.0)) for _ in range(2)
    )
    result, reason = engle_granger(y, x)
    assert (result is None) == (reason is not None)
    if result is not None:
        same_as_statsmodels(y, x)


@pytest.mark.parametrize("moved", [2, 5, 11, 16])
def test_legs_that_moved_only_at_first_give_a_reason_and_no_error(moved):
    row = np.arange(600)
    result, reason = engle_granger(5 + 1e-3 * (row >= moved), 3 - 2e-3 * (row >= moved + 1))
    assert result is None
    assert reason


def test_legs_without_chance_give_a_reason_and_no_nan():
    row = np.arange(200.0)
    for y, x in ((np.sin(row / 9), np.cos(row / 9)), (row**2, row), (np.sin(row), row)):
        result, reason = engle_granger(y, x)
        assert (result is None) == (reason is not None)
        assert result is None or np.isfinite([result.statistic, result.pvalue]).all()


UNDEFINED = [
    (np.arange(49.0), np.arange(49.0) ** 2, "49 rows"),
    (np.full(200, 3.0), np.arange(200.0), "does not move"),
    (np.arange(200.0), np.full(200, 3.0), "does not move"),
    (np.arange(200.0), 2 * np.arange(200.0) + 1, "collinear"),
    (np.full(200, np.nan), np.arange(200.0), "0 rows"),
]


@pytest.mark.parametrize(("y", "x", "why"), UNDEFINED)
@pytest.mark.parametrize("test", [engle_granger, johansen])
def test_undefined_test_gives_a_reason_and_no_number(test, y, x, why):
    result, reason = test(y, x)
    assert result is None
    assert why in reason


def trace_by_hand(y, x):
    """Johansen's trace from its definition: canonical correlations of changes and levels."""
    levels = np.column_stack((y, x))
    levels = levels - levels.mean(axis=0)
    change = np.diff(levels, axis=0)
    now, before, level = change[1:], change[:-1], levels[1:-1]
    constant = np.column_stack((np.ones(len(now)), before))
    now = now - constant @ np.linalg.lstsq(constant, now, rcond=None)[0]
    level = level - constant @ np.linalg.lstsq(constant, level, rcond=None)[0]
    t = len(now)
    s00, s11, s01 = now.T @ now / t, level.T @ level / t, now.T @ level / t
    squared = eigh(s01.T @ np.linalg.solve(s00, s01), s11, eigvals_only=True)[::-1]
    return [-t * np.log(1 - squared[r:]).sum() for r in (0, 1)]


@pytest.mark.parametrize("seed", range(20))
def test_johansen_equals_statsmodels_and_its_own_definition(seed):
    y, x = simulated(seed, 700)
    got, reason = johansen(y, x)
    assert reason is None
    tested = coint_johansen(np.column_stack((y - y.mean(), x - x.mean())), 0, 1)
    np.testing.assert_allclose(got.trace, tested.trace_stat, rtol=1e-9)
    # statsmodels demeans the levels' rows that the lag leaves once more.
    np.testing.assert_allclose(got.trace, trace_by_hand(y, x), rtol=1e-8)
    assert got.critical_5pct == (15.4943, 3.8415)
    assert got.rank == (got.trace[0] > 15.4943) * (1 + (got.trace[1] > 3.8415))


def test_johansen_tells_cointegrated_legs_from_independent_walks_and_stationary_ones():
    rng = np.random.default_rng(11)
    noise, walks = rng.normal(0, 1e-3, (2, 800)), np.cumsum(rng.normal(0, 1e-3, (2, 800)), axis=1)
    assert johansen(*walks)[0].rank == 0
    assert johansen(2 + 0.7 * walks[0] + noise[0], walks[0])[0].rank == 1
    assert johansen(*noise)[0].rank == 2


def test_johansen_drops_missing_rows(log_pair):
    y, x = log_pair(400, 2)
    holes = y.copy()
    holes[[3, 50, 399]] = np.nan
    keep = ~np.isnan(holes)
    assert johansen(holes, x) == johansen(y[keep], x[keep])


@pytest.mark.parametrize("y", [np.arange(200.0), np.sin(np.arange(200.0))])
def test_johansen_of_a_leg_without_chance_gives_a_reason_and_no_infinity(y):
    """A straight line leaves nothing of its changes; a sine is foretold by its lag in full."""
    x = np.cumsum(np.random.default_rng(0).normal(size=200))
    result, reason = johansen(y, x)
    assert (result is None) == (reason is not None)
    assert result is None or np.isfinite(result.trace).all()


@pytest.mark.parametrize("statistic", [0.93, 0.92, 0.0, -1.0, -2.61, -2.62, -2.63, -5.0, -18.9])
def test_pvalue_and_critical_value_are_mackinnons(statistic):
    expected = mackinnonp(statistic, regression="c", N=2)
    assert mackinnon_pvalue(statistic) == pytest.approx(expected, abs=1e-12)
    for observations in (49, 500, 100_000):
        expected = mackinnoncrit(N=2, regression="c", nobs=observations)[1]
        assert critical_5pct(observations) == pytest.approx(expected, abs=1e-12)


def test_a_leg_is_called_stationary_by_itself_below_one_in_a_hundred_and_not_above():
    rng, told, between = np.random.default_rng(6), 0, 0
    for persistence in np.linspace(0.9, 1.0, 24):
        leg = np.zeros(400)
        for row, shock in enumerate(rng.normal(0, 1, 399), start=1):
            leg[row] = persistence * leg[row - 1] + shock
        walk = rng.normal(0, 1, 400).cumsum()
        pvalue, of_walk = (adfuller(series, result_object=False)[1] for series in (leg, walk))
        named = cointegration(leg, walk)[1].get("cointegration", "")
        assert ("leg A" in named) == (pvalue < 0.01), (persistence, pvalue)
        assert ("leg B" in named) == (of_walk < 0.01)
        told += pvalue < 0.01
        between += 0.01 <= pvalue < 0.2
    assert told > 3
    assert between > 3
