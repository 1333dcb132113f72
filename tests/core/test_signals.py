import json

import numpy as np
import pytest
from hypothesis import given as given_examples
from hypothesis import settings
from hypothesis import strategies as st

from core.signals import (
    BORN,
    EXIT_REASONS,
    Conditions,
    conditions,
    decide_positions,
    revive,
)
from core.types import HedgeSeries, PairRows


def series_of(z):
    """A hedge with nothing to it but its z."""
    one = np.ones(len(z))
    return HedgeSeries(one, one, one, one, one, z)


def given(n, tradable=None, may_enter=None, halted=None, breaks=None):
    def flags(rows, default):
        return np.full(n, default) if rows is None else np.array(rows, dtype=bool)

    return Conditions(
        flags(tradable, True), flags(may_enter, True), flags(halted, False), flags(breaks, False)
    )


def decide(spec, z, tradable=None, may_enter=None, halted=None, breaks=None, **changes):
    z = np.array(z, dtype=float)
    facts = given(len(z), tradable, may_enter, halted, breaks)
    position, code = decide_positions(spec(**changes), z, z, series_of(z), facts)
    return position.tolist(), [EXIT_REASONS[c] for c in code]


def twin(z, entry_z, exit_z, stop_z, max_hold, facts=None, anchored=None):
    """The rules in plain words; `anchored(d, row)` is the z of row with everything as at d."""
    facts = given(len(z)) if facts is None else facts
    positions, reasons = [], []
    side, decided, blocked, missing = 0, 0, 0, 0
    market, bought = 0, 0  # what fills have left there, and the row of the last one
    for row, now in enumerate(z):
        reason, value = None, now
        if facts.breaks[row]:
            market = 0
        elif facts.tradable[row] and market != side:
            market, bought = side, row
        if side:
            value = anchored(decided, row) if anchored else now
            missing = missing + 1 if np.isnan(value) else 0
            short, known = side == -1, not np.isnan(value)
            if facts.breaks[row]:
                reason = "break"
            elif facts.halted[row]:
                reason = "halted"
            elif known and stop_z is not None and (value >= stop_z if short else value <= -stop_z):
                reason = "stop"
            elif known and (value <= exit_z if short else value >= -exit_z):
                reason = "revert"
            elif max_hold is not None and market == side and row + 1 - bought >= max_hold:
                reason = "time"
            elif missing > 5:
                reason = "no_data"
            if reason:
                blocked = side if reason in ("stop", "time", "no_data") else 0
                side = 0
        elif not np.isnan(value):
            if (blocked == -1 and value <= exit_z) or (blocked == 1 and value >= -exit_z):
                blocked = 0
            top = np.inf if stop_z is None else stop_z
            if not facts.may_enter[row]:
                pass
            elif entry_z <= value < top and blocked != -1:
                side, decided, missing = -1, row, 0
            elif -top < value <= -entry_z and blocked != 1:
                side, decided, missing = 1, row, 0
        positions.append(side)
        reasons.append(reason)
    return positions, reasons


levels = st.sampled_from([-4.0, -3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, np.nan])


@settings(max_examples=300, deadline=None)
@given_examples(
    z=st.lists(levels, max_size=60),
    stop_z=st.sampled_from([None, 3.0]),
    max_hold=st.sampled_from([None, 1, 3]),
    exit_z=st.sampled_from([0.5, 0.0, -1.0, -2.0]),
    seed=st.integers(0, 1_000),
)
def test_machine_equals_the_rules_in_plain_words(spec_fixture, z, stop_z, max_hold, exit_z, seed):
    random, n = np.random.default_rng(seed), len(z)
    facts = {
        "tradable": random.random(n) < 0.8,
        "may_enter": random.random(n) < 0.9,
        "halted": random.random(n) < 0.03,
        "breaks": random.random(n) < 0.03,
    }
    got = decide(spec_fixture, z, stop_z=stop_z, max_hold_bars=max_hold, exit_z=exit_z, **facts)
    assert got == twin(z, 2.0, exit_z, stop_z, max_hold, given(n, **facts))


@settings(max_examples=200, deadline=None)
@given_examples(
    seed=st.integers(0, 10_000),
    stop_z=st.sampled_from([None, 3.0]),
    max_hold=st.sampled_from([None, 5]),
    exit_z=st.sampled_from([0.5, -0.5]),
)
def test_anchored_exits_equal_the_rules_on_the_spread_of_the_decision(
    spec_fixture, seed, stop_z, max_hold, exit_z
):
    random, n = np.random.default_rng(seed), 120
    y, x = np.cumsum(random.normal(0, 0.5, (2, n)), axis=1)
    y[random.random(n) < 0.1] = np.nan
    mean, std = random.normal(0, 0.3, n), random.uniform(0.5, 1.5, n)
    alpha, beta = random.normal(0, 0.3, n), random.uniform(0.5, 1.5, n)
    z = (y - alpha - beta * x - mean) / std
    z[random.random(n) < 0.05] = np.nan
    hedge = HedgeSeries(beta, alpha, y, mean, std, z)

    def anchored(d, row):
        return (y[row] - alpha[d] - beta[d] * x[row] - mean[d]) / std[d]

    spec = spec_fixture(exit_rule="anchored", stop_z=stop_z, max_hold_bars=max_hold, exit_z=exit_z)
    position, code = decide_positions(spec, y, x, hedge, given(n))
    expected = twin(z, 2.0, exit_z, stop_z, max_hold, anchored=anchored)
    assert (position.tolist(), [EXIT_REASONS[c] for c in code]) == expected


def test_enters_at_the_threshold_and_leaves_on_its_own_side_of_zero(spec):
    assert decide(spec, [1.99, 2.0, 0.51, 0.5, 0.0])[0] == [0, -1, -1, 0, 0]
    assert decide(spec, [-1.99, -2.0, -0.51, -0.5, 0.0])[0] == [0, 1, 1, 0, 0]


def test_no_reversal_within_one_bar(spec):
    assert decide(spec, [2.5, -2.5, -2.5])[0] == [-1, 0, 1]


def test_stop_waits_for_the_spread_to_come_back_before_it_enters_again(spec):
    z = [2.5, 3.5, 2.5, 2.5, 0.6, 2.5, 0.5, 2.5]
    position, reason = decide(spec, z, stop_z=3.0)
    assert position == [-1, 0, 0, 0, 0, 0, 0, -1]
    assert reason[1] == "stop"


def test_without_rearming_a_stop_would_enter_again_and_again(spec):
    """A spread that stays out between entry and stop, crossing the stop over and over."""
    z = [2.2, 3.2] * 100
    position, _ = decide(spec, z, stop_z=3.0)
    assert sum(np.diff([0, *position]) == -1) == 1


def test_no_entry_at_or_beyond_the_stop(spec):
    assert decide(spec, [3.0, 5.0, 2.9], stop_z=3.0)[0] == [0, 0, -1]


def test_position_survives_five_missing_rows_and_not_six(spec):
    nan = np.nan
    assert decide(spec, [2.5, *[nan] * 5, 2.5])[0] == [-1] * 7
    position, reason = decide(spec, [2.5, *[nan] * 6, 2.5])
    assert position == [-1] * 6 + [0, 0]
    assert reason[6] == "no_data"


def test_time_stop_counts_bars_between_fills(spec):
    """Decided at row 0, filled at row 1; decided at row 3 it fills at row 4: three bars held."""
    position, reason = decide(spec, [2.5] * 5, max_hold_bars=3)
    assert position == [-1, -1, -1, 0, 0]
    assert reason[3] == "time"


def test_time_stop_starts_when_the_entry_could_fill(spec):
    tradable = [True, False, False, True, True, True, True]
    position, _ = decide(spec, [2.5] * 7, tradable, max_hold_bars=2)
    assert position == [-1, -1, -1, -1, 0, 0, 0]


NEVER_LEFT = (
    [2.5, 2.5, 0.1, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5],
    [True, True, True, False, True, True, True, True, True],
)
"""Filled at row 1; row 2 decides to leave, which row 3 can't fill, and row 3 enters again."""


def test_time_stop_goes_on_counting_where_an_exit_was_never_filled(spec):
    """Of four bars between the fills at rows 1 and 5; counted from the second entry it were 8."""
    position, reason = decide(spec, *NEVER_LEFT, max_hold_bars=4)
    assert position == [-1, -1, 0, -1, 0, 0, 0, 0, 0]
    assert [at for at, why in enumerate(reason) if why == "time"] == [4]


def test_time_stop_begins_anew_with_a_fill_on_the_other_side(spec):
    """Left at row 2 and short at row 3 before anything could be filled: row 4 fills that."""
    z = [-2.5, -2.5, 0.1, 2.5, 2.5, 2.5, 2.5, 2.5]
    position, reason = decide(spec, z, NEVER_LEFT[1][:8], max_hold_bars=3)
    assert position == [1, 1, 0, -1, -1, -1, 0, 0]
    assert reason[6] == "time"


def test_state_of_an_earlier_version_goes_on_with_the_age_that_it_knew():
    """It was stored without what fills had left; a position that had been filled still is."""
    kept = [-1, 0, 0, 7, 0.1, 1.0, 0.0, 0.02]
    progress = revive([kept, 3, 0])
    assert (progress.state.filled, progress.state.age, progress.still_a) == (-1, 7, 3)
    assert revive([[-1, 0, 0, -1, 0.1, 1.0, 0.0, 0.02], 0, 0]).state.filled == 0
    assert repr(revive(json.loads(json.dumps(BORN)))) == repr(BORN)


def test_stop_goes_before_reversion_before_time(spec):
    assert decide(spec, [2.5, 2.5, 3.5], stop_z=3.0, max_hold_bars=2)[1][2] == "stop"
    assert decide(spec, [2.5, 2.5, 0.1], max_hold_bars=2)[1][2] == "revert"


def test_time_goes_before_missing_data_and_does_not_wait_for_a_z(spec):
    """Filled at row 1, six bars held at row 6, which is the sixth without a z, too."""
    nan = np.nan
    assert decide(spec, [2.5, *[nan] * 6], max_hold_bars=6)[1][6] == "time"
    assert decide(spec, [2.5, *[nan] * 6], max_hold_bars=7)[1][6] == "no_data"


@pytest.mark.parametrize("rule", ["moving", "anchored"])
def test_the_future_never_changes_a_decision(spec, rule):
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, 400)
    z[rng.random(400) < 0.1] = np.nan
    facts = given(400, ~np.isnan(z), None, rng.random(400) < 0.02, rng.random(400) < 0.02)
    y, x = np.cumsum(rng.normal(0, 1, (2, 400)), axis=1)
    parameters = spec(stop_z=4.0, max_hold_bars=7, exit_rule=rule)
    whole = decide_positions(parameters, y, x, series_of(z), facts)
    for n in range(1, 400, 13):
        cut = Conditions(*(flags[:n] for flags in facts))
        part = decide_positions(parameters, y[:n], x[:n], series_of(z[:n]), cut)
        np.testing.assert_array_equal(part, [w[:n] for w in whole])


def test_a_mean_that_catches_up_ends_a_moving_trip_and_not_an_anchored_one(spec):
    """The price stays where it was; only the window's mean comes to it."""
    z = np.array([2.5, 2.0, 1.0, 0.2, 0.0])
    y = np.full(5, 2.5)  # with a mean of 0 and a deviation of 1 at the decision
    x, zero, one = np.zeros(5), np.zeros(5), np.ones(5)
    hedge = HedgeSeries(one, zero, y, y - z, one, z)
    hedge.spread_mean[0] = 0.0
    moving, _ = decide_positions(spec(), y, x, hedge, given(5))
    anchored, _ = decide_positions(spec(exit_rule="anchored"), y, x, hedge, given(5))
    assert moving.tolist() == [-1, -1, -1, 0, 0]
    assert anchored.tolist() == [-1] * 5


def test_a_negative_exit_waits_until_the_spread_is_beyond_its_mean(spec):
    assert decide(spec, [2.5, 0.5, 0.0, -0.99, -1.0], exit_z=-1.0)[0] == [-1, -1, -1, -1, 0]
    assert decide(spec, [-2.5, -0.5, 0.0, 0.99, 1.0], exit_z=-1.0)[0] == [1, 1, 1, 1, 0]


def test_break_goes_before_halted_before_all_else(spec):
    on = [False, True, False]
    assert decide(spec, [2.5, 0.0, 0.0], halted=on, breaks=on)[1][1] == "break"
    assert decide(spec, [2.5, 4.0, 0.0], halted=on, stop_z=3.0)[1][1] == "halted"


def test_after_a_break_or_a_halt_nothing_has_to_rearm(spec):
    on = [False, True, False]
    assert decide(spec, [2.5, 2.5, 2.5], breaks=on)[0] == [-1, 0, -1]
    assert decide(spec, [2.5, 2.5, 2.5], halted=on)[0] == [-1, 0, -1]


def rows_of(traded_a, traded_b=None, present=None):
    n = len(traded_a)
    price = np.where(np.ones(n, bool) if present is None else present, 1.0, np.nan)
    traded_b = np.ones(n, bool) if traded_b is None else np.array(traded_b)
    return PairRows(np.arange(n), price, price, price, price, np.array(traded_a), traded_b)


def facts_of(parameters, rows, ratio=None, **more):
    n = len(rows)
    ratio = np.ones(n) if ratio is None else np.array(ratio)
    return conditions(parameters, rows, ratio, np.zeros(n, bool), **more)


@pytest.mark.parametrize(("timeframe", "longest"), [("1s", 600), ("1m", 20), ("1h", 20)])
def test_a_leg_that_stands_still_for_20_bars_and_10_minutes_has_stopped(spec, timeframe, longest):
    traded = np.zeros(longest + 5, bool)
    traded[0] = traded[-1] = True
    facts = facts_of(spec(timeframe=timeframe), rows_of(traded))
    assert np.flatnonzero(facts.halted).tolist() == [longest, longest + 1, longest + 2, longest + 3]
    assert not facts.may_enter[longest]
    assert not facts.tradable[1:-1].any()
    assert facts.may_enter[-1]
    other_leg = facts_of(spec(timeframe=timeframe), rows_of(np.ones_like(traded), traded))
    np.testing.assert_array_equal(other_leg.halted, facts.halted)


def test_missing_bars_are_not_taken_for_bars_without_a_trade(spec):
    traded, present = np.zeros(40, bool), np.ones(40, bool)
    traded[0], present[5:30] = True, False
    assert not facts_of(spec(), rows_of(traded, present=present)).halted.any()
    other_leg = rows_of(np.ones_like(traded), traded, present)
    assert not facts_of(spec(), other_leg).halted.any()


def test_nothing_enters_where_both_legs_would_stand_on_one_side(spec):
    facts = facts_of(spec(), rows_of([True] * 4), [1.0, 0.0, -0.5, np.nan])
    assert facts.may_enter.tolist() == [True, False, False, False]
    assert decide(spec, [1.0, 2.5, 2.5, 2.5], may_enter=facts.may_enter)[0] == [0, 0, 0, 0]


def test_a_leg_that_the_exchange_has_suspended_stops_the_last_row(spec):
    facts = facts_of(spec(), rows_of([True] * 3), suspended=True)
    assert facts.halted.tolist() == [False, False, True]
    assert decide(spec, [2.5, 2.5, 2.5], halted=facts.halted)[1] == [None, None, "halted"]
