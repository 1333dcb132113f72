import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.signals import EXIT_REASONS, decide_positions


def decide(spec, z, complete=None, **changes):
    z = np.array(z, dtype=float)
    complete = np.ones(len(z), dtype=bool) if complete is None else np.array(complete)
    position, code = decide_positions(z, complete, spec(**changes))
    return position.tolist(), [EXIT_REASONS[c] for c in code]


def twin(z, entry_z, exit_z, stop_z, max_hold):
    """The rules in plain words, for rows that are all complete."""
    positions, reasons = [], []
    side, entered, blocked, missing = 0, None, 0, 0
    for row, value in enumerate(z):
        reason = None
        missing = missing + 1 if np.isnan(value) else 0
        if side:
            short, known = side == -1, not np.isnan(value)
            if known and stop_z is not None and (value >= stop_z if short else value <= -stop_z):
                reason = "stop"
            elif known and (value <= exit_z if short else value >= -exit_z):
                reason = "revert"
            elif max_hold is not None and row - entered >= max_hold:
                reason = "time"
            elif missing > 5:
                reason = "no_data"
            if reason:
                blocked = side if reason != "revert" else 0
                side = 0
        elif not np.isnan(value):
            if (blocked == -1 and value <= exit_z) or (blocked == 1 and value >= -exit_z):
                blocked = 0
            top = np.inf if stop_z is None else stop_z
            if entry_z <= value < top and blocked != -1:
                side, entered = -1, row
            elif -top < value <= -entry_z and blocked != 1:
                side, entered = 1, row
        positions.append(side)
        reasons.append(reason)
    return positions, reasons


levels = st.sampled_from([-4.0, -3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, np.nan])


@settings(max_examples=300, deadline=None)
@given(
    z=st.lists(levels, max_size=60),
    stop_z=st.sampled_from([None, 3.0]),
    max_hold=st.sampled_from([None, 1, 3]),
)
def test_machine_equals_the_rules_in_plain_words(spec_fixture, z, stop_z, max_hold):
    got = decide(spec_fixture, z, stop_z=stop_z, max_hold_bars=max_hold)
    # A row without z is not complete for the twin's count of held bars only in the time stop.
    assert got == twin(z, 2.0, 0.5, stop_z, max_hold)


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
    complete = [True, False, False, True, True, True, True]
    position, _ = decide(spec, [2.5] * 7, complete, max_hold_bars=2)
    assert position == [-1, -1, -1, -1, 0, 0, 0]


def test_stop_goes_before_reversion_before_time(spec):
    assert decide(spec, [2.5, 2.5, 3.5], stop_z=3.0, max_hold_bars=2)[1][2] == "stop"
    assert decide(spec, [2.5, 2.5, 0.1], max_hold_bars=2)[1][2] == "revert"


def test_time_goes_before_missing_data_and_does_not_wait_for_a_z(spec):
    """Filled at row 1, six bars held at row 6, which is the sixth without a z, too."""
    nan = np.nan
    assert decide(spec, [2.5, *[nan] * 6], max_hold_bars=6)[1][6] == "time"
    assert decide(spec, [2.5, *[nan] * 6], max_hold_bars=7)[1][6] == "no_data"


def test_the_future_never_changes_a_decision(spec):
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, 400)
    z[rng.random(400) < 0.1] = np.nan
    complete = ~np.isnan(z)
    parameters = spec(stop_z=4.0, max_hold_bars=7)
    whole = decide_positions(z, complete, parameters)
    for n in range(1, 400, 13):
        part = decide_positions(z[:n], complete[:n], parameters)
        np.testing.assert_array_equal(part, [w[:n] for w in whole])
