"""Whoever is shown a gap reads what is behind it, and not what is behind another one."""

import math

import numpy as np
import pytest

from core import kalman, pair
from core.pair import analyse_pair
from core.row_plan import plan_rows
from core.spread import HalfLife
from core.windows import STDERR

MINUTE = 60_000
N = 4_400
NO_BAR = "the last bar is missing or incomplete in one leg"
TOO_SHORT = "too few stored bars to fill the windows"
B_STILL = "leg B does not move"
SPREAD_STILL = "the spread does not move inside the window"


@pytest.fixture
def logs(log_pair):
    return log_pair(N, 5)


@pytest.fixture
def analysed(spec, as_bars):
    """The result at the close of the last row of these log prices."""

    def analyse(y, x, **changes):
        parameters = spec(**changes)
        plan = plan_rows(parameters, 0, (len(y) - 1) * MINUTE)
        return analyse_pair(parameters, plan, *(as_bars(np.exp(leg), 0, MINUTE) for leg in (y, x)))

    return analyse


def reasons_of(result, hedge):
    names = (f"hedge_ratio.{hedge}", f"intercept.{hedge}", f"zscores.{hedge}")
    return tuple(result.reasons.get(name) for name in names)


def test_nothing_is_explained_where_nothing_is_missing(analysed, log_pair):
    given = set(analysed(*log_pair(N, 6)).reasons)
    assert not {name for name in given if not name.startswith("backtest.")}


@pytest.mark.parametrize("hedge", ["ols", "kalman"])
def test_a_missing_last_bar_takes_the_spread_and_leaves_the_hedge_ratio(analysed, logs, hedge):
    y, x = logs
    y[-1] = np.nan
    result = analysed(y, x, hedge=hedge)
    for name in ("spread", "zscore", "zscores.ols", "zscores.kalman"):
        assert result.reasons[name] == NO_BAR
    for name in ("hedge_ratio.ols", "hedge_ratio.kalman", "hedge_ratio.kalman_stderr",
                 "intercept.ols", "break_even_z", "zscore_provisional"):  # fmt: skip
        assert name not in result.reasons


@pytest.mark.parametrize("hedge", ["ols", "kalman"])
def test_a_short_history_is_said_of_each_hedge_by_itself(analysed, logs, hedge):
    y, x = (leg[:100] for leg in logs)
    result = analysed(y, x, hedge=hedge)  # OLS has its 60 rows; the filter began at the 60th
    assert reasons_of(result, "ols") == (None, None, None)
    assert reasons_of(result, "kalman") == (None, None, TOO_SHORT)
    assert result.reasons["hedge_ratio.kalman_stderr"] == TOO_SHORT
    assert result.reasons.get("break_even_z") == (TOO_SHORT if hedge == "kalman" else None)
    assert result.reasons.get("zscore_provisional") == result.reasons.get("break_even_z")
    assert "spread" not in result.reasons
    shorter = analysed(*(leg[:30] for leg in logs), hedge=hedge)
    for name in ("ols", "kalman"):
        assert reasons_of(shorter, name) == (TOO_SHORT,) * 3
    assert shorter.reasons["spread"] == TOO_SHORT
    assert shorter.reasons["half_life_bars"]


def test_a_hole_in_a_window_is_told_from_a_hole_in_the_fit(analysed, logs):
    y, x = logs
    y[-30:-20] = np.nan  # a sixth of the window, a thirtieth of the fit
    result = analysed(y, x)
    assert reasons_of(result, "ols") == (
        None, None, "under 90 % of the window's 60 rows are present",
    )  # fmt: skip
    assert reasons_of(result, "kalman") == reasons_of(result, "ols")
    assert "spread" not in result.reasons
    assert result.reasons["correlation"] == "under 90 % of the last 60 returns are present"
    y[-200:-150] = np.nan
    result = analysed(y, x)
    words = "under 90 % of the 300 rows of the fit are present"
    assert reasons_of(result, "ols") == (words,) * 3
    assert result.reasons["spread"] == result.reasons["half_life_bars"] == words
    assert reasons_of(result, "kalman")[0] is None  # the filter predicts through any hole


def test_a_filter_that_waits_for_rows_says_so(analysed, logs):
    y, x = (leg[:300] for leg in logs)
    y[40:] = np.nan
    words = "under 60 rows are present for the filter to begin"
    result = analysed(y, x, hedge="kalman")
    assert reasons_of(result, "kalman") == (words, words, NO_BAR)


@pytest.mark.parametrize("hedge", ["ols", "kalman"])
def test_a_leg_or_a_spread_that_stands_still_is_named(analysed, logs, hedge):
    y, _ = logs
    result = analysed(y, np.full(N, 5.0), hedge=hedge)
    for name in ("ols", "kalman"):
        assert reasons_of(result, name) == (B_STILL,) * 3
    assert result.reasons["hedge_ratio.ols_full_sample"] == B_STILL
    assert result.reasons["correlation"] == "a leg does not move"
    one = analysed(y, y, hedge=hedge)
    for name in ("zscore", "zscores.ols", "zscores.kalman", "break_even_z", "zscore_provisional"):
        assert one.reasons[name] == SPREAD_STILL
    assert "spread" not in one.reasons
    assert one.reasons["hurst"] == "the spread does not move"


def test_one_hedge_without_a_z_does_not_lend_its_reason_to_the_other(analysed, logs):
    """Leg B stood still through the fit's window and is not forgotten by the filter."""
    y, x = logs
    x[-400:] = x[-400]
    result = analysed(y, x)
    assert reasons_of(result, "ols") == (B_STILL,) * 3
    assert reasons_of(result, "kalman") == (None, None, None)
    assert math.isfinite(result.hedges["kalman"].zscore)


def test_errors_too_persistent_for_a_band_are_named(analysed, logs, monkeypatch):
    advance = kalman.advance

    def bandless(*arguments):
        after = advance(*arguments)
        arguments[-1][STDERR] = np.nan
        return after

    monkeypatch.setattr(kalman, "advance", bandless)
    words = "the filter's errors are too persistent for a band"
    assert analysed(*logs).reasons["hedge_ratio.kalman_stderr"] == words


def test_half_life_and_hurst_of_the_filter_need_nine_tenths_of_their_rows(analysed, logs):
    y, x = logs
    y[-130:-101] = np.nan
    kept = analysed(y, x, hedge="kalman")  # 29 of 300 are missing
    assert "half_life_bars" not in kept.reasons
    assert "hurst" not in kept.reasons
    y[-140:-101] = np.nan
    result = analysed(y, x, hedge="kalman")
    words = "under 90 % of the last 300 rows have a spread"
    assert math.isnan(result.half_life_bars)
    assert math.isnan(result.hurst)
    assert result.reasons["half_life_bars"] == result.reasons["hurst"] == words
    assert math.isfinite(result.hedges["kalman"].zscore)


def test_half_life_says_whether_rows_or_reversion_are_lacking(analysed, logs):
    y, x = logs
    short = analysed(y, x, window=10, hedge_window=15)
    assert short.reasons["half_life_bars"] == "under 50 rows"
    assert short.reasons["hurst"] == "under 22 rows"
    y = 0.9 * x + 1e-3 * (np.arange(N) % 2)  # jumps back by all of its deviation, and beyond
    jumping = analysed(y, x)
    assert jumping.reasons["half_life_bars"] == "comes back within a bar"


@pytest.mark.parametrize(("high", "told"), [(math.nan, True), (90.0, False)])
def test_a_half_life_without_an_upper_end_says_why(analysed, logs, monkeypatch, high, told):
    monkeypatch.setattr(pair, "half_life", lambda spread: HalfLife(40.0, 20.0, high, ""))
    reasons = analysed(*logs).reasons
    words = "no upper end: a random walk is within its error"
    assert reasons.get("half_life_interval") == (words if told else None)
    assert "half_life_bars" not in reasons


def test_a_hedge_ratio_that_hedges_nothing_enters_nothing_and_says_so(analysed, logs):
    y, x = logs
    result = analysed(y - 1.5 * x, x, fee_bps=0.0)  # the hedge ratio is about -0.7
    assert result.chosen.hedge_ratio.max() < 0.0
    assert (np.abs(result.chosen.zscore) > 2.0).sum() > 20
    assert result.backtest.round_trips == ()
    assert not result.position.any()
    assert "both legs would stand on one side" in result.signal_note
    still = analysed(np.full(N, 5.0), x)
    assert still.chosen.hedge_ratio[-1] == 0.0
    assert still.signal_note.startswith("no entry: the hedge ratio 0 is not positive")
    assert analysed(y, x).signal_note is None


@pytest.mark.parametrize("hedge", ["ols", "kalman", "ratio", "returns"])
def test_a_pair_without_a_z_says_when_it_has_one_again(analysed, logs, hedge):
    y, x = logs
    parameters = {"hedge": hedge, "window": 120, "hedge_window": 600}
    assert analysed(y, x, **parameters).wait is None, "there is a z"
    end = 3_700
    y[end - 100 : end] = np.nan
    told = analysed(y[:end], x[:end], **parameters).wait
    for bars in (told.bars - 1, told.bars):
        zscore = analysed(y[: end + bars], x[: end + bars], **parameters).chosen.zscore[-1]
        assert math.isfinite(zscore) == (bars == told.bars)


def test_what_no_bar_helps_against_is_not_waited_for(analysed, logs):
    y, _ = logs
    result = analysed(y, np.full(N, math.log(3_000.0)))
    assert result.reasons["zscore"] == B_STILL
    assert result.wait is None
