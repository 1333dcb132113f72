"""A z belongs to its bar: whoever asks for it, and for however many bars, gets the same bits."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from core.blocks import Run, block_rows, plan_runs
from core.explain import explain_zscore
from core.kalman import kalman_hedge
from core.pair import analyse_pair
from core.pair_spec import HEDGES
from core.regression import rolling_hedge
from core.row_plan import plan_rows
from core.types import HedgeSeries

MINUTE = 60_000
H, W = 120, 30
L = 2_048  # the smallest power of two from 10·H on
N = 3 * L + 700  # three whole blocks and the beginning of a fourth
FIRST = 1_000 * L  # number of the first stored minute: at the beginning of a block


@pytest.fixture
def asked(spec):
    return lambda **changes: spec(window=W, hedge_window=H, **changes)


@pytest.fixture
def logs(log_pair):
    return log_pair(N, 31, 0.004)


@pytest.fixture
def legs(logs, as_bars):
    return tuple(as_bars(np.exp(leg), FIRST, MINUTE) for leg in logs)


def analyse(spec, legs, rows=N, first=0):
    """What is answered when rows [first, rows) are stored."""
    plan = plan_rows(spec, (FIRST + first) * MINUTE, (FIRST + rows - 1) * MINUTE)
    assert plan.end_ms == (FIRST + rows) * MINUTE
    return analyse_pair(spec, plan, *legs)


def row_of(result, time_ms):
    return (time_ms - result.start_ms) // MINUTE


def assert_same_bars(one, other, name="chosen"):
    """Every value of the rows that both show is the same to the bit."""
    first_ms = max(one.start_ms, other.start_ms)
    count = (min(one.as_of_ms, other.as_of_ms) - first_ms) // MINUTE
    assert count > 0
    for field in HedgeSeries.__slots__:
        a, b = (getattr(r.chosen, field)[row_of(r, first_ms) :][:count] for r in (one, other))
        np.testing.assert_array_equal(a, b, err_msg=field)
    for hedge in HEDGES:
        a, b = (r.hedge_ratios[hedge][row_of(r, first_ms) :][:count] for r in (one, other))
        np.testing.assert_array_equal(a, b, err_msg=hedge)
    a, b = (r.kalman_stderr[row_of(r, first_ms) :][:count] for r in (one, other))
    np.testing.assert_array_equal(a, b)
    a, b = (r.position[row_of(r, first_ms) :][:count] for r in (one, other))
    np.testing.assert_array_equal(a, b)
    return count


@pytest.mark.parametrize("hedge", HEDGES)
@pytest.mark.parametrize("rows", [N, 3 * L + 1, 3 * L, 3 * L - 1])
def test_two_requests_for_other_numbers_of_bars_agree_to_the_bit(asked, legs, hedge, rows):
    """The short one lies in one block, the others begin one and two blocks earlier."""
    results = [
        analyse(asked(hedge=hedge, bars=bars), legs, rows) for bars in (10, 400, 2_500, 5_500)
    ]
    assert len({result.history_start_ms for result in results}) > 2
    for short, long in itertools.pairwise(results):
        assert assert_same_bars(short, long) == len(short.rows)
        assert short.hedges == long.hedges  # the last row's, effectiveness and all
        assert short.next_row == long.next_row
        # NaN where it can't be told from a walk; by the same words then.
        for name in ("half_life_bars", "half_life_interval", "hurst", "correlation"):
            np.testing.assert_equal(getattr(short, name), getattr(long, name), err_msg=name)
        words = [result.reasons.get("half_life_bars") for result in (short, long)]
        assert words[0] == words[1]
        assert (short.signal, short.signal_note) == (long.signal, long.signal_note)


@pytest.mark.parametrize("hedge", HEDGES)
def test_a_seam_among_the_shown_rows_is_invisible(asked, legs, logs, hedge):
    """Each side is its own block's run; a run through the seam differs by next to nothing."""
    result = analyse(asked(hedge=hedge, bars=2_500), legs)
    edge_ms = (FIRST + 3 * L) * MINUTE
    edge = row_of(result, edge_ms)
    assert 1_000 < edge < len(result.rows) - 500
    begin = 3 * L - 10 * H - 2 * W
    options = {"first_index": FIRST + begin, "hedge_window": H, "window": W}
    y, x = (np.where(np.isnan(logs[0] + logs[1]), np.nan, leg)[begin:] for leg in logs)
    if hedge == "kalman":
        own, _ = kalman_hedge(y, x, **options)
    else:
        own = rolling_hedge(y, x, hedge=hedge, **options)
    # Logs of closes that went through exp and back may differ in the last bit.
    np.testing.assert_allclose(
        result.chosen.zscore[edge:], own.zscore[3 * L - begin :], rtol=1e-8, atol=1e-8
    )
    before = result.chosen.zscore[edge - 200 : edge]
    np.testing.assert_allclose(before, own.zscore[3 * L - begin - 200 : 3 * L - begin], atol=5e-5)


@pytest.mark.parametrize("hedge", HEDGES)
def test_the_left_edge_moves_and_changes_no_bar(asked, legs, hedge):
    spec = asked(hedge=hedge, bars=1_000)
    edges = set()
    before = analyse(spec, legs, 2 * L - 300)
    for rows in range(2 * L - 300, 2 * L + 1_200, 125):
        after = analyse(spec, legs, rows)
        assert_same_bars(before, after)
        edges.add((after.start_ms, after.history_start_ms))
        before = after
    assert len({start for start, _ in edges}) > 4
    assert len({history for _, history in edges}) == 2


@pytest.mark.parametrize("hedge", ["ols", "kalman"])
def test_history_that_grows_backwards_changes_only_what_hung_on_its_beginning(asked, legs, hedge):
    """Stored from the middle of the first block on, then all of it: later blocks stand."""
    late, early = (analyse(asked(hedge=hedge, bars=5_500), legs, first=first) for first in (900, 0))
    assert late.history_start_ms == (FIRST + 900) * MINUTE
    assert early.history_start_ms == FIRST * MINUTE
    edge_ms = (FIRST + 2 * L) * MINUTE  # its run begins after row 900
    for name in HedgeSeries.__slots__:
        a, b = (getattr(r.chosen, name)[row_of(r, edge_ms) :] for r in (late, early))
        np.testing.assert_array_equal(a, b)
    if hedge == "kalman":
        a, b = (r.chosen.zscore[row_of(r, late.start_ms) :][:200] for r in (late, early))
        assert not np.array_equal(a, b)


@pytest.mark.parametrize("hedge", HEDGES)
@pytest.mark.parametrize("back", [1, 400, 701, 1_900])
def test_an_explanation_has_the_bits_of_the_page_for_any_number_of_bars(asked, legs, hedge, back):
    spec = asked(hedge=hedge, bars=4_000)
    result = analyse(spec, legs)
    time_ms = (FIRST + N - back) * MINUTE
    for bars in (back + 1, 4_000):
        plan = plan_rows(
            dataclasses.replace(spec, bars=max(bars, 10)), FIRST * MINUTE, (FIRST + N - 1) * MINUTE
        )
        told = explain_zscore(spec, plan, *legs, time_ms)
        row = row_of(result, time_ms)
        expected = [getattr(result.chosen, name)[row] for name in HedgeSeries.__slots__]
        got = [
            told.hedge_ratio[-1], told.intercept[-1], told.spread[-1], told.spread_mean,
            told.spread_std, told.zscore,
        ]  # fmt: skip
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("hedge", HEDGES)
def test_shown_rows_begin_at_since_and_flat(asked, legs, hedge):
    whole = analyse(asked(hedge=hedge, bars=4_000, fee_bps=0.0), legs)
    held = np.flatnonzero((whole.position[1:-500] != 0) & (whole.position[:-501] != 0)) + 1
    since = int(whole.rows.open_time_ms[held[0]])
    result = analyse(asked(hedge=hedge, bars=10, since=since, fee_bps=0.0), legs)
    assert result.start_ms == since
    assert len(result.rows) == N - (since // MINUTE - FIRST)
    count = len(result.rows)
    np.testing.assert_array_equal(result.chosen.zscore, whole.chosen.zscore[-count:])
    assert result.backtest.inherited is None
    entered = result.position[0]
    assert entered == 0 or abs(result.chosen.zscore[0]) >= 2.0


def test_a_position_held_over_the_first_shown_row_is_inherited_and_not_counted(asked, legs):
    whole = analyse(asked(bars=5_000), legs)
    for bars in range(400, 2_400, 40):
        result = analyse(asked(bars=bars), legs)
        row = row_of(whole, result.start_ms)
        assert result.position[0] == whole.position[row]
        if whole.position[row] and whole.position[row - 1] == whole.position[row]:
            assert result.backtest.inherited is not None
            first = result.backtest.round_trips[:1]
            assert not first or first[0].entry_time_ms > result.start_ms
            break
    else:
        pytest.fail("no position was held over a first row")


@pytest.mark.parametrize("hedge", HEDGES)
def test_nothing_reaches_over_a_break(asked, logs, as_bars, hedge):
    """Leg B is redenominated 1:1000: what follows is as if nothing had been before."""
    row = 3 * L - 900
    y, x = (np.where(np.isnan(logs[0] + logs[1]), np.nan, leg) for leg in logs)
    row += int(np.argmax(~np.isnan(y[row:])))
    broken = x.copy()
    broken[row:] -= math.log(1_000.0)
    bars = [as_bars(np.exp(leg), FIRST, MINUTE) for leg in (y, broken)]
    spec = asked(hedge=hedge, bars=2_400)
    result = analyse(spec, bars)
    at = row_of(result, (FIRST + row) * MINUTE)
    assert np.isnan(result.chosen.hedge_ratio[at : at + W]).all()
    assert np.isfinite(result.chosen.hedge_ratio[at + W + 10 :]).all()
    assert result.position[at] == 0
    assert "BBBUSDT × 0.0009" in result.reasons["breaks"]
    alone = [as_bars(np.exp(np.where(np.arange(N) < row, np.nan, leg)), FIRST, MINUTE)
             for leg in (y, broken)]  # fmt: skip
    fresh = analyse(spec, alone, first=row)
    # Up to the block whose run begins after it.
    for name in HedgeSeries.__slots__:
        np.testing.assert_array_equal(
            getattr(result.chosen, name)[at:], getattr(fresh.chosen, name), err_msg=name
        )
    assert result.correlation == fresh.correlation
    assert result.hedges == fresh.hedges
    assert result.cointegration == fresh.cointegration is not None
    assert result.ols_full_sample == fresh.ols_full_sample
    unbroken = analyse(spec, [bars[0], as_bars(np.exp(x), FIRST, MINUTE)])
    assert "breaks" not in unbroken.reasons
    edge = row_of(result, (FIRST + 3 * L) * MINUTE)
    assert (
        abs(result.chosen.hedge_ratio[edge + 400] - unbroken.chosen.hedge_ratio[edge + 400]) < 0.1
    )


def test_a_break_just_now_leaves_nothing_that_looks_back_over_it(asked, logs, as_bars):
    """Else its one return would be the correlation, and its one step the fit of all rows."""
    y, x = logs
    x[-20:] -= math.log(1_000.0)
    result = analyse(asked(bars=2_400), [as_bars(np.exp(leg), FIRST, MINUTE) for leg in (y, x)])
    assert math.isnan(result.correlation)
    assert result.reasons["correlation"] == f"under 90 % of the last {W} returns are present"
    assert result.cointegration is None
    assert result.reasons["cointegration"].endswith("rows with both legs; 50 are needed")
    for number in (result.half_life_bars, result.hurst, result.hedges["ols"].effectiveness):
        assert math.isnan(number)
    present = ~np.isnan(y + x)[-20:]
    own = np.polyfit(x[-20:][present], y[-20:][present], 1)[0]
    assert result.ols_full_sample == pytest.approx(own)


def test_blocks_are_powers_of_two_of_ten_hedge_windows():
    assert [block_rows(h) for h in (10, 102, 103, 600, 820, 10_000)] == [
        1_024, 1_024, 2_048, 8_192, 16_384, 131_072,
    ]  # fmt: skip


def test_runs_cover_every_row_once_and_begin_long_enough_before_their_block(asked):
    spec = asked()
    begin = 2 * L - 10 * H - 2 * W
    runs = plan_runs(spec, begin, 2 * L + 5, 4 * L + 1)
    assert runs == (
        Run(0, 0, 3 * L - begin),
        Run(L, 3 * L - begin, 4 * L - begin),
        Run(2 * L, 4 * L - begin, 4 * L + 1 - begin),
    )
