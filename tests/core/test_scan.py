"""A scan beside each pair's own numbers, and what it says above its table."""

from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from core.regression import rolling_hedge
from core.scan import LIKELY, plan_tiles, scan
from core.selection import hubs, null_range, qvalues
from core.spread import break_even_z, half_life, hurst, return_correlation, zero_crossings
from core.stationarity import engle_granger, mackinnon_pvalue, mackinnon_pvalues
from core.tasks import in_turn
from core.types import Bars
from core.universe import Universe, universe_of

MINUTE = 60_000
WINDOW, HEDGE_WINDOW, ROWS = 40, 200, 640


@pytest.fixture
def spec_of_scan(spec):
    return spec(window=WINDOW, hedge_window=HEDGE_WINDOW)


def universe(logs):
    names = tuple(f"S{number:03}USDT" for number in range(len(logs)))
    end = logs.shape[1] * MINUTE
    return Universe(names, MINUTE, 0, end, logs, np.full(len(logs), 1e7))


def market(seed, symbols, rows=ROWS, factor=1.0):
    """Unrelated walks with a common factor."""
    rng = np.random.default_rng(seed)
    common = np.cumsum(rng.normal(0, 2e-3, rows))
    own = np.cumsum(rng.normal(0, 2e-3, (symbols, rows)), axis=1)
    return 5 + factor * rng.uniform(0.5, 1.5, (symbols, 1)) * common + own


def mixed(seed):
    """Ordinary legs, true pairs, and every kind of hole."""
    rng = np.random.default_rng(seed + 100)
    logs = market(seed, 16)
    for leg, half_life_rows in ((0, 3), (2, 8), (4, 20)):
        phi, spread = 0.5 ** (1 / half_life_rows), np.zeros(ROWS)
        for row in range(1, ROWS):
            spread[row] = phi * spread[row - 1] + rng.normal(0, 1e-3)
        logs[leg] = 1 + 0.8 * logs[leg + 1] + spread
    logs[8, :100] = np.nan
    logs[9, rng.random(ROWS) < 0.04] = np.nan
    logs[10, -300:-210] = np.nan
    logs[11, :] = 4.2
    logs[12, 0] += 3.0
    logs[13, 500:] = np.nan
    return logs


def known_before(y, x, row):
    """The hedge ratio of a row, fitted on the rows before it."""
    first = np.flatnonzero(~np.isnan(y + x))[0]
    fit = rolling_hedge(
        np.append(y[first:row], np.nan), np.append(x[first:row], np.nan), first_index=int(first),
        hedge_window=HEDGE_WINDOW, window=WINDOW,
    )  # fmt: skip
    return fit.hedge_ratio[-1]


def variance_ratio(spread):
    changes = [spread[k:] - spread[:-k] for k in (24, 1)]
    many, one = (np.nanvar(change) for change in changes)
    return many / (24 * one)


@pytest.mark.parametrize("seed", range(3))
def test_every_column_is_what_the_pair_itself_says(spec_of_scan, seed):
    logs = mixed(seed)
    table = scan(universe(logs), spec_of_scan).table
    assert len(table) > 90
    told = 0
    for k in range(len(table)):
        y, x = logs[table.leg_a[k]], logs[table.leg_b[k]]
        both = ~np.isnan(y + x)
        alone, reason = engle_granger(y, x)
        assert reason is None
        assert alone.direction == "a_on_b"
        assert table.statistic[k] == pytest.approx(alone.statistic, rel=1e-9)
        assert table.lags[k] == alone.lags
        assert table.pvalue[k] == pytest.approx(alone.pvalue, abs=1e-10)
        assert table.pvalue_other[k] >= table.pvalue[k]
        assert table.rows[k] == both.sum()
        quarters = [
            np.nan if part is None else part.pvalue_both
            for part in (
                engle_granger(a, b)[0]
                for a, b in zip(np.array_split(y, 4), np.array_split(x, 4), strict=True)
            )
        ]
        np.testing.assert_allclose(table.p_quarters[k], quarters, atol=1e-9)
        known = [p for p in quarters if p == p]
        median = np.median(known) if len(known) > 1 else np.nan
        np.testing.assert_allclose(table.p_quarters_median[k], median, atol=1e-9)
        slope = np.polyfit(x[both], y[both], 1)[0]
        assert table.hedge_ratio[k] == pytest.approx(slope, rel=1e-7)
        residual = y - slope * x
        assert table.zero_crossings[k] == zero_crossings(residual)

        first = np.flatnonzero(both)[0]
        now = rolling_hedge(
            y[first:], x[first:], first_index=int(first), hedge_window=HEDGE_WINDOW, window=WINDOW
        )
        for column, series in (("hedge_ratio_now", "hedge_ratio"), ("zscore", "zscore"),
                               ("spread_std", "spread_std")):  # fmt: skip
            np.testing.assert_allclose(
                getattr(table, column)[k], getattr(now, series)[-1], rtol=1e-9, atol=1e-9
            )
        even = break_even_z(
            spec_of_scan.exit_z, now.hedge_ratio[-1], now.spread_std[-1],
            spec_of_scan.fee_bps, spec_of_scan.slippage_bps,
        )  # fmt: skip
        np.testing.assert_allclose(table.break_even_z[k], even, rtol=1e-9)

        held = y[-HEDGE_WINDOW:] - known_before(y, x, ROWS - HEDGE_WINDOW) * x[-HEDGE_WINDOW:]
        if np.count_nonzero(~np.isnan(held)) < 0.9 * HEDGE_WINDOW:
            held = np.full(HEDGE_WINDOW, np.nan)
            assert np.isnan(table.variance_ratio_24[k])
        else:
            assert table.variance_ratio_24[k] == pytest.approx(variance_ratio(held), rel=1e-9)
        np.testing.assert_allclose(table.hurst[k], hurst(held), rtol=1e-9)
        if table.pvalue_both[k] < LIKELY or table.p_quarters_median[k] < LIKELY:
            np.testing.assert_allclose(table.half_life_bars[k], half_life(held).bars, rtol=1e-9)
            told += table.half_life_bars[k] > 0
        else:
            assert np.isnan(table.half_life_bars[k])
        correlation = return_correlation(np.exp(y), np.exp(x), WINDOW)
        np.testing.assert_allclose(table.correlation[k], correlation, atol=1e-9)
    assert told >= 1


def test_p_of_many_is_p_of_each():
    statistics = np.array([-30.0, -18.87, -18.85, -5.0, -2.62, -2.61, 0.0, 0.92, 0.93, np.nan])
    expected = [mackinnon_pvalue(value) for value in statistics[:-1]]
    np.testing.assert_allclose(mackinnon_pvalues(statistics)[:-1], expected, atol=1e-15)
    assert np.isnan(mackinnon_pvalues(statistics)[-1])


def test_qvalues_are_those_of_statsmodels():
    pvalues = np.random.default_rng(0).uniform(size=500) ** 2
    np.testing.assert_allclose(qvalues(pvalues), multipletests(pvalues, method="fdr_bh")[1])
    assert len(qvalues(np.array([]))) == 0


def test_every_pair_is_in_one_tile_whatever_the_number_of_cores():
    logs = market(0, 90)
    logs[::3, :50] = np.nan
    for cores in (1, 2, 16):
        seen = np.zeros((90, 90), dtype=int)
        for tile in plan_tiles(logs, cores):
            block = np.ix_(tile.first, tile.second)
            seen[block] += np.triu(np.ones(seen[block].shape, int), 1) if tile.is_diagonal else 1
        np.testing.assert_array_equal(seen + seen.T, 1 - np.eye(90, dtype=int))


def test_the_partition_changes_no_more_than_the_last_bits(spec_of_scan):
    logs = market(1, 60)

    def by_pair(result):
        legs = np.sort([result.table.leg_a, result.table.leg_b], axis=0)
        return result.table.statistic[np.lexsort(legs)]

    one, many = (by_pair(scan(universe(logs), spec_of_scan, in_turn, n)) for n in (1, 16))
    np.testing.assert_allclose(one, many, atol=1e-9)


def test_one_stationary_symbol_among_a_hundred_walks_is_named_as_what_makes_the_finds(spec_of_scan):
    logs = market(2, 101, rows=400, factor=0.0)
    logs[40] = 5 + np.random.default_rng(3).normal(0, 1e-3, 400)
    result = scan(universe(logs), spec_of_scan)
    symbol, count = result.hubs[0]
    assert symbol == 40
    assert count > 60
    assert 40 in result.stationary


def test_few_finds_make_no_hub():
    assert hubs(np.array([0, 1]), np.array([5, 5]), 9) == {}
    assert hubs(np.array([0, 1, 2, 3]), np.array([5, 5, 5, 6]), 9) == {5: 3}


def found_of_true_pairs(seeds, spec):
    """Share of the true pairs that pass q < .05, and mean share of the finds that are false.

    Half-lives of rows/160: what the head calls detectable, with room.
    """
    rng, true, found, false = np.random.default_rng(7), 0, 0, []
    for seed in seeds:
        logs = market(seed, 40, rows=1_440)
        for leg in range(0, 8, 2):
            phi, spread = 0.5 ** (1 / 9.0), np.zeros(1_440)
            for row in range(1, 1_440):
                spread[row] = phi * spread[row - 1] + rng.normal(0, 1e-3)
            logs[leg] = logs[leg + 1] + spread
        table = scan(universe(logs), spec).table
        first = np.minimum(table.leg_a, table.leg_b)
        is_true = (np.abs(table.leg_a - table.leg_b) == 1) & (first < 8) & (first % 2 == 0)
        passes = table.qvalue < 0.05
        true, found = true + is_true.sum(), found + (is_true & passes).sum()
        false.append((passes & ~is_true).sum() / max(passes.sum(), 1))
    return found / true, np.mean(false)


def inside_the_range(seeds, spec):
    """In how many of unrelated markets the head's range holds the number found."""
    inside = []
    for seed in seeds:
        result = scan(universe(market(seed, 24, rows=300)), spec)
        low, high = result.null_range_p05
        inside.append(low <= result.found_p05 <= high)
    return np.mean(inside)


def test_true_pairs_are_found_among_unrelated_ones_and_little_else(spec_of_scan):
    recall, false = found_of_true_pairs(range(5), spec_of_scan)
    assert recall >= 0.95
    assert false <= 0.1


def test_an_unrelated_market_finds_as_many_as_the_head_says(spec_of_scan):
    assert inside_the_range(range(20), spec_of_scan) >= 0.85


@pytest.mark.soak
def test_what_the_head_promises_holds_over_fifty_markets(spec_of_scan):
    recall, false = found_of_true_pairs(range(100, 150), spec_of_scan)
    inside = inside_the_range(range(100, 150), spec_of_scan)
    print(f"recall {recall:.3f}, false finds {false:.3f}, range holds in {inside:.2f}")
    assert recall >= 0.95
    assert false <= 0.1
    assert inside >= 0.9


def test_the_same_prices_have_the_same_null_range():
    logs = market(3, 20, rows=200)
    assert null_range(logs, in_turn) == null_range(logs, in_turn)


def bars(first, last, close, volume=1.0):
    times = MINUTE * np.arange(first, last, dtype=np.int64)
    ones = np.ones(len(times))
    return Bars(times, *(close * ones,) * 4, ones, volume * ones, ones.astype(np.int64), ones,
                ones.astype(bool), np.zeros(len(times), bool))  # fmt: skip


def test_symbols_that_end_at_different_times_are_scanned_as_of_a_bar_that_nearly_all_have():
    held = {f"S{number}": bars(0, 100, 2.0) for number in range(18)}
    held |= {"AHEAD": bars(0, 103, 3.0), "STOPPED": bars(0, 60, 4.0)}
    found = universe_of(held, MINUTE, 50)
    assert found.as_of_ms == 100 * MINUTE
    assert found.start_ms == 50 * MINUTE
    assert found.logs.shape == (20, 50)
    rows = dict(zip(found.symbols, np.isfinite(found.logs).sum(axis=1), strict=True))
    assert (rows["S0"], rows["AHEAD"], rows["STOPPED"]) == (50, 50, 10)


def test_no_row_before_a_break_is_scanned():
    broken = bars(0, 100, 2.0)
    close = broken.close.copy()
    close[70:] *= 1_000.0
    found = universe_of({"A": replace(broken, close=close), "B": broken}, MINUTE, 50)
    np.testing.assert_array_equal(np.isnan(found.logs[0]), np.arange(50) < 20)
    assert not np.isnan(found.logs[1]).any()


def test_an_incomplete_bar_is_a_missing_row():
    part = bars(0, 100, 2.0)
    complete = part.complete.copy()
    complete[80] = False
    held = {"A": replace(part, complete=complete)} | {f"B{n}": part for n in range(10)}
    found = universe_of(held, MINUTE, 50)
    assert np.flatnonzero(np.isnan(found.logs[0])).tolist() == [30]


def test_a_day_of_quote_volume_is_told_of_the_rows_of_a_day():
    held = {name: bars(0, 3_000, 2.0, volume) for name, volume in (("A", 1.0), ("B", 5.0))}
    np.testing.assert_allclose(universe_of(held, MINUTE, 2_000).quote_volume_24h, [1_440, 7_200])
    np.testing.assert_allclose(universe_of(held, MINUTE, 720).quote_volume_24h, [1_440, 7_200])


def test_nothing_is_scanned_where_no_bar_is_common():
    assert universe_of({}, MINUTE, 50) is None
    assert universe_of({"A": bars(0, 10, 1.0), "B": bars(20, 30, 1.0)}, MINUTE, 50) is None
