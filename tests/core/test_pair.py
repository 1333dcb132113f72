import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from core.bars import align
from core.pair import analyse_pair, expectancy_by_entry, provisional_zscore, trade_rows
from core.pair_spec import HEDGES, read_pair_spec
from core.row_plan import plan_rows
from core.settings import Settings
from core.types import Bars, Listing
from ingest.live.backfill import PAGE

MINUTE = 60_000
FIRST = 29_000_000  # absolute number of the first stored minute
N = 6000


@pytest.fixture
def legs(log_pair, as_bars):
    y, x = log_pair(N, 21, 0.002)
    return tuple(as_bars(np.exp(leg), FIRST, MINUTE) for leg in (y, x))


def until(bars, rows):
    """What was stored when bar number `rows` (exclusive) was still to come."""
    keep = bars.open_time_ms < (FIRST + rows) * MINUTE
    return Bars(*(getattr(bars, name)[keep] for name in Bars.__slots__))


def analyse(spec, legs, rows=N):
    plan = plan_rows(spec, FIRST * MINUTE, (FIRST + rows - 1) * MINUTE)
    return analyse_pair(spec, plan, *(until(leg, rows) for leg in legs))


@pytest.mark.parametrize("bars", [1, 3, 10, 100, 1000, 4320])
def test_left_edge_stands_on_a_step_and_leaves_enough_rows(spec, bars):
    parameters = spec(bars=bars)
    step = 2 ** max(0, math.floor(math.log2(bars / 4)))
    for last in range(9_000_000, 9_000_000 + 2 * step, max(1, step // 16)):
        plan = plan_rows(parameters, 0, last * MINUTE)
        start, end = plan.start_ms // MINUTE, plan.end_ms // MINUTE
        assert start % step == 0
        assert bars <= end - start < bars + step
        begin = plan.history_start_ms // MINUTE
        assert (begin + 10 * 300 + 2 * 60) % 4096 == 0  # the run of a block
        assert 0 <= start - (begin + 10 * 300 + 2 * 60) < 4096
        assert plan.present_ms // MINUTE == end - bars
        assert plan.missing_rows == 0


def test_results_begin_where_stored_history_does_when_it_is_short(spec, legs):
    parameters = spec(bars=20_000)
    result = analyse(parameters, legs)
    assert result.start_ms == result.history_start_ms == FIRST * MINUTE
    assert result.reasons["history"].startswith("begins ")


def test_the_newest_page_of_history_alone_gives_every_hedge_a_z(log_pair, as_bars):
    """A first start fetches it of every symbol and timeframe before anything deeper."""
    parameters = read_pair_spec({}, Settings())
    legs = [as_bars(np.exp(leg), 0, MINUTE) for leg in log_pair(PAGE, 4)]
    result = analyse_pair(parameters, plan_rows(parameters, 0, (PAGE - 1) * MINUTE), *legs)
    assert all(math.isfinite(now.zscore) for now in result.hedges.values())
    assert "the fit has not all its rows yet" in result.reasons["history"]


@pytest.mark.parametrize(
    ("hedge", "reach", "effect"),
    [
        ("ols", 300, "the fit has not all its rows yet"),
        ("ratio", 300, "the fit has not all its rows yet"),
        ("shrunk", 300, "the fit has not all its rows yet"),
        ("returns", 310, "the fit has not all its rows yet"),
        ("kalman", 3_120, "the filter has not yet forgotten where it began"),
    ],
)
def test_a_short_history_is_warned_of_only_where_it_changes_the_shown_rows(
    spec, legs, hedge, reach, effect
):
    """Bars that no number hangs on are not missed: hours are kept for 400 days, 960 under 10,560.

    With enough of them the first rows have the bits that they have with all bars.
    """
    parameters = spec(hedge=hedge, bars=1_024)
    enough = FIRST + N - 1_024 - reach
    result = analyse_pair(
        parameters, plan_rows(parameters, enough * MINUTE, (FIRST + N - 1) * MINUTE), *legs
    )
    assert "history" not in result.reasons
    if hedge != "kalman":
        whole = analyse(parameters, legs)
        np.testing.assert_allclose(
            result.chosen.zscore[-1_024:], whole.chosen.zscore[-1_024:], rtol=1e-9
        )
    plan = plan_rows(parameters, (enough + 1) * MINUTE, (FIRST + N - 1) * MINUTE)
    start = plan.start_ms // MINUTE
    words = analyse_pair(parameters, plan, *legs).reasons["history"]
    assert words == (
        f"begins {enough + 1 - (start - reach)} bars later than the first rows look back to:"
        f" there {effect}"
    )


@pytest.mark.parametrize("hedge", HEDGES)
def test_a_later_request_shows_the_same_past_to_the_bit(spec, legs, hedge):
    """While `start` stands: z, positions, equity and every closed trade are what they were."""
    parameters = spec(hedge=hedge, bars=1000)
    before = analyse(parameters, legs, 5000)
    compared = 0
    for rows in (5001, 5002, 5060, 5130):
        after = analyse(parameters, legs, rows)
        if after.start_ms != before.start_ms:
            continue
        compared += 1
        n = len(before.rows)
        for name in ("hedge_ratio", "intercept", "spread", "spread_mean", "spread_std", "zscore"):
            np.testing.assert_array_equal(
                getattr(before.chosen, name), getattr(after.chosen, name)[:n]
            )
        for name in HEDGES:
            np.testing.assert_array_equal(before.hedge_ratios[name], after.hedge_ratios[name][:n])
        np.testing.assert_array_equal(before.position, after.position[:n])
        np.testing.assert_array_equal(before.backtest.equity, after.backtest.equity[:n])
        closed = [t for t in before.backtest.round_trips if t.exit_reason != "open"]
        assert list(after.backtest.round_trips[: len(closed)]) == closed
    assert compared >= 2


@pytest.mark.parametrize("hedge", HEDGES)
def test_provisional_z_becomes_the_z_of_the_bar_that_closes_there(spec, legs, hedge):
    parameters = spec(hedge=hedge)
    for rows in (5000, 5050, 5100):
        now, then = analyse(parameters, legs, rows), analyse(parameters, legs, rows + 1)
        if now.start_ms != then.start_ms:
            continue
        z = provisional_zscore(now, then.rows.close_a[-1], then.rows.close_b[-1])
        assert z == pytest.approx(then.chosen.zscore[-1], abs=1e-9)
    assert math.isnan(provisional_zscore(now, math.nan, 1.0))


def test_every_undefined_number_has_a_reason(spec, legs):
    result = analyse(spec(), legs, 30)
    assert result.signal == "no_data"
    for name in ("zscore", "spread", "hedge_ratio.ols", "hedge_ratio.kalman", "break_even_z",
                 "cointegration", "half_life_bars", "hurst", "correlation"):  # fmt: skip
        assert result.reasons[name], name


def test_missing_last_bar_gives_no_z_and_says_so(spec, legs):
    cut = 5000
    a = until(legs[0], cut - 1)
    plan = plan_rows(spec(), FIRST * MINUTE, (FIRST + cut - 1) * MINUTE)
    result = analyse_pair(spec(), plan, a, until(legs[1], cut))
    assert math.isnan(result.chosen.zscore[-1])
    assert "missing or incomplete" in result.reasons["zscore"]


def test_incomplete_bar_gives_no_z(spec, legs):
    complete = legs[0].complete.copy()
    complete[-1] = False
    result = analyse(spec(), (dataclasses.replace(legs[0], complete=complete), legs[1]))
    assert math.isnan(result.chosen.zscore[-1])


def test_hedges_are_what_drives_signal_and_backtest(spec, legs):
    ols, kalman = analyse(spec(hedge="ols"), legs), analyse(spec(hedge="kalman"), legs)
    assert ols.hedges == kalman.hedges
    for result in (ols, kalman):
        now = result.hedges[result.spec.hedge]
        assert result.chosen.zscore[-1] == now.zscore
        assert result.chosen.intercept[-1] == now.intercept
        np.testing.assert_array_equal(
            result.chosen.hedge_ratio, result.hedge_ratios[result.spec.hedge]
        )
    assert not np.array_equal(ols.position, kalman.position)


def test_at_most_three_of_twenty_pairs_of_independent_walks_report_a_half_life(spec, as_bars):
    """A spread fitted on the rows it is measured on has one in ninety-nine cases of a hundred."""
    rng, n = np.random.default_rng(12), 4_000
    parameters = spec(window=120, hedge_window=600, bars=500)
    plan = plan_rows(parameters, 0, (n - 1) * MINUTE)
    told = []
    for _ in range(20):
        walks = np.exp(8 + np.cumsum(rng.normal(0, 1e-3, (2, n)), axis=1))
        told.append(analyse_pair(parameters, plan, *(as_bars(leg, 0, MINUTE) for leg in walks)))
    found = [result for result in told if not math.isnan(result.half_life_bars)]
    assert len(found) <= 3
    words = [result.reasons["half_life_bars"] for result in told if result not in found]
    assert all("cannot be told from a random walk over 600 bars" in reason for reason in words)
    assert all(math.isnan(result.half_life_interval[0]) for result in told if result not in found)


def test_legs_of_different_money_have_a_z_and_no_backtest(spec, legs):
    plan = plan_rows(spec(), FIRST * MINUTE, (FIRST + N - 1) * MINUTE)
    result = analyse_pair(spec(), plan, *legs, Listing("USDT", "BTC", "TRADING", "TRADING"))
    assert not math.isnan(result.chosen.zscore[-1])
    assert result.position.any()
    assert result.backtest.round_trips == ()
    assert np.isnan(result.backtest.equity).all()
    assert math.isnan(result.backtest.metrics.total_pnl)
    words = "the legs are quoted in USDT and BTC, which do not add up"
    assert result.reasons["backtest"] == result.reasons["required_z"] == words
    same = analyse_pair(spec(), plan, *legs, Listing("USDT", "USDT"))
    assert "backtest" not in same.reasons
    assert same.backtest.round_trips


def test_a_suspended_leg_is_not_entered_and_is_told(spec, legs):
    plan = plan_rows(spec(entry_z=0.1, exit_z=-0.1), FIRST * MINUTE, (FIRST + N - 1) * MINUTE)
    asked = spec(entry_z=0.1, exit_z=-0.1)
    trading = analyse_pair(asked, plan, *legs, Listing("USDT", "USDT", "TRADING", "TRADING"))
    assert trading.position[-1]
    assert trading.signal_note is None
    stopped = analyse_pair(asked, plan, *legs, Listing("USDT", "USDT", "TRADING", "BREAK"))
    assert stopped.position[-1] == 0
    assert stopped.signal == "flat"
    assert stopped.signal_note.startswith("no entry: ")
    assert "has not traded since" in stopped.signal_note
    assert "BBBUSDT" in stopped.signal_note
    assert stopped.signal_note.endswith("(listed as BREAK)")
    other = analyse_pair(asked, plan, *legs, Listing("USDT", "USDT", "HALT", "TRADING"))
    assert other.signal_note.startswith("no entry: AAAUSDT has not traded since")
    np.testing.assert_array_equal(stopped.position[:-1], trading.position[:-1])
    # Nothing of the last decision is filled yet: noise and other entries need not know of it.
    assert repr(stopped.backtest.metrics) == repr(trading.backtest.metrics)
    imported = analyse_pair(asked, plan, *legs, Listing("USDT", "USDT", "TRADING", "IMPORTED"))
    assert imported.signal_note is None


def test_the_local_time_of_the_host_moves_no_time_in_words(spec, legs, in_time_zone):
    """Neither that of a leg that has stopped nor that of a break."""
    asked = spec()
    a, b = (until(leg, N) for leg in legs)
    for price in (a.open, a.close):
        price[4_000:] *= 8.0
    plan = plan_rows(asked, FIRST * MINUTE, (FIRST + N - 1) * MINUTE)
    stopped = Listing("USDT", "USDT", "TRADING", "BREAK")
    with in_time_zone("Asia/Kolkata"):
        result = analyse_pair(asked, plan, a, b, stopped)
    close_ms = int(b.open_time_ms[-1]) + MINUTE
    assert f"since {pd.Timestamp(close_ms, unit='ms'):%Y-%m-%d %H:%M:%S} UTC" in result.signal_note
    moment = pd.Timestamp(int(a.open_time_ms[4_000]), unit="ms")
    assert f"at {moment:%Y-%m-%dT%H:%M:%SZ}" in result.reasons["breaks"]


def test_a_leg_that_reverts_by_itself_is_named_beside_the_test_it_makes_worthless(spec, as_bars):
    rng, n = np.random.default_rng(2), 3_000
    coin = 1.0 + rng.normal(0, 1e-4, n)
    walk = np.exp(8 + np.cumsum(rng.normal(0, 1e-3, n)))
    plan = plan_rows(spec(), 0, (n - 1) * MINUTE)
    result = analyse_pair(spec(), plan, as_bars(coin, 0, MINUTE), as_bars(walk, 0, MINUTE))
    assert result.cointegration.pvalue_both < 0.05
    assert result.reasons["cointegration"].startswith("leg A (p ")
    assert "proves nothing" in result.reasons["cointegration"]


def test_expectancy_is_that_of_the_rows_that_the_backtest_counts(spec, legs):
    asked = spec(entry_z=2.0, bars=2_000)
    plan = plan_rows(asked, FIRST * MINUTE, (FIRST + N - 1) * MINUTE)
    told = expectancy_by_entry(asked, plan, *legs)
    backtest = analyse_pair(asked, plan, *legs).backtest
    (at_two,) = [entry.whole for entry in told.entries if entry.entry_z == 2.0]
    assert at_two.trades == backtest.metrics.total_trades
    assert at_two.net == pytest.approx(backtest.metrics.avg_pnl)  # of 10,000: bp are units
    assert at_two.net_stderr == pytest.approx(backtest.metrics.avg_pnl_stderr)
    assert told.since_ms == backtest.since_ms


@pytest.mark.parametrize("hedge", HEDGES)
def test_sweeps_and_placebo_trade_the_hedge_that_the_pair_trades(spec, legs, hedge):
    asked = spec(hedge=hedge, entry_z=1.5, bars=2_000)
    plan = plan_rows(asked, FIRST * MINUTE, (FIRST + N - 1) * MINUTE)
    rows = align(*legs, MINUTE, plan.history_start_ms, plan.end_ms)
    _, backtest, _ = trade_rows(asked, plan, rows)
    of_the_pair = analyse_pair(asked, plan, *legs).backtest
    np.testing.assert_array_equal(backtest.equity, of_the_pair.equity)
    assert backtest.metrics.total_trades == of_the_pair.metrics.total_trades > 5


def test_a_result_that_is_kept_keeps_no_history_with_it(spec, legs):
    """Of some 16 results in memory each would be twice as large with the rows before the shown."""
    result = analyse(spec(), legs)
    parts = [result.rows, result.chosen, result.backtest, result]
    arrays = [
        array
        for part in parts
        for field in dataclasses.fields(part)
        if isinstance(array := getattr(part, field.name), np.ndarray)
    ]
    arrays += result.hedge_ratios.values()
    assert len(arrays) == 7 + 6 + 2 + 2 + len(HEDGES)
    assert all(array.base is None for array in arrays)
