"""What a z-score rule tells: each entry once, with its reason, through gaps, kills and edits."""

import pytest

from core.alerts import judge_silence
from core.episodes import Episode, open_episodes
from tests.support.judging import FIRED, GAP, MINUTE, Desk, kept, rule_of, shorthand


def test_hysteresis_an_episode_is_told_once_until_z_is_back_inside_the_exit():
    desk = Desk(rule_of())
    assert desk.run(1.9, 2.1, 1.0, 2.4, 0.6, 0.4, 2.1) == [
        "normal", FIRED, "firing", "firing", "firing", "normal, !resolved revert", FIRED,
    ]  # fmt: skip


def test_it_waits_for_bars_and_a_bar_below_entry_begins_the_count_anew():
    desk = Desk(rule_of(for_bars=3))
    assert desk.run(2.1, 2.2, 1.9, 2.1, 2.1, 2.1) == [
        "pending", "pending", "normal", "pending", "pending", FIRED,
    ]  # fmt: skip


def test_a_bar_that_may_not_be_entered_on_confirms_nothing():
    desk = Desk(rule_of(for_bars=2))
    desk.bar(2.1)
    judged = desk.bar(2.2, ratio=-1.0)
    assert shorthand(judged) == "normal"
    assert desk.run(2.3, 2.4) == ["pending", FIRED]


def test_recovering_goes_back_to_firing_without_a_word():
    desk = Desk(rule_of(for_bars=2, keep_bars=2))
    assert desk.run(2.1, 2.1, 0.4, 2.2, 0.4, 0.3) == [
        "pending", FIRED, "recovering", "firing", "recovering", "normal, !resolved revert",
    ]  # fmt: skip


def test_words_name_entry_and_exit_as_the_rule_has_them():
    desk = Desk(rule_of(entry_z=1.25, exit_z=0.25))
    desk.run(1.2, 1.3, 0.6, 0.2)
    assert [judged.words for judged in desk.told] == [
        "no: z +1.20 is below 1.25",
        "fired: z +1.30 ≥ 1.25 for 1 of 1 bars, β 1 > 0",
        "still firing: z +0.60, leaves at z ≤ 0.25 for 1 bar",
        "resolved: z +0.20 ≤ 0.25 for 1 of 1 bars",
    ]
    plain = Desk(rule_of(entry_z=2, exit_z=0))
    plain.run(-2.1, -1.0)
    assert plain.told[0].words == "fired: z −2.10 ≤ −2.0 for 1 of 1 bars, β 1 > 0"
    assert plain.told[1].words == "still firing: z −1.00, leaves at z ≥ 0.0 for 1 bar"


def test_a_sign_flip_is_a_new_episode():
    desk = Desk(rule_of(keep_bars=3))
    assert desk.run(2.1, -2.1, -2.2) == [
        FIRED, "recovering", "firing, !resolved flip, fired, !told",
    ]  # fmt: skip
    directions = [event.episode.direction for event in desk.told[-1].events]
    assert directions == ["short_spread", "long_spread", "long_spread"]


def test_a_gap_never_resolves_and_what_fires_after_it_is_the_same_episode():
    desk = Desk(rule_of(no_data_after_bars=100))
    told = desk.run(2.1, *[GAP] * 12, 2.3, 2.2, 0.4, 2.1)
    assert told == [FIRED, *["firing"] * 14, "normal, !resolved revert", FIRED]
    assert desk.told[12].after.progress.state.held == 0  # the signal had given up meanwhile


def test_no_data_waits_is_told_and_recovers_by_itself_and_holds_the_rest_back():
    desk = Desk(rule_of(no_data_after_bars=2))
    assert desk.run(2.1, GAP, GAP, GAP, 2.2) == [
        FIRED, "firing", "no data, fired, !told", "no data", "firing, !resolved back",
    ]  # fmt: skip
    assert [event.episode.direction for event in desk.told[2].events] == ["no_data"] * 2


def test_nothing_fires_before_the_data_have_recovered():
    desk = Desk(rule_of(no_data_after_bars=1))
    assert desk.run(GAP, 2.2) == ["no data, fired, !told", "firing, !resolved back, fired, !told"]
    assert [event.kind for event in desk.told[1].events] == ["resolved", "fired", "told"]


def test_a_stop_ends_it_and_the_side_has_to_re_arm():
    desk = Desk(rule_of(stop_z=3))
    assert desk.run(2.1, 3.2, 2.5, 0.4, 2.1) == [
        FIRED, "normal, !resolved stop", "normal", "normal", FIRED,
    ]  # fmt: skip
    assert desk.told[1].words == "resolved: z +3.20 is at the stop 3"
    assert desk.told[2].words == "no: z +2.50, but it has to come back inside 0.5 first"
    assert desk.told[3].words == "no: re-armed, z +0.40 is back inside 0.5"


def test_nothing_fires_beyond_the_stop_or_without_a_positive_hedge_ratio_or_trades():
    desk = Desk(rule_of(stop_z=3))
    assert desk.bar(3.5).words == "no: z +3.50 is at the stop 3 or beyond"
    assert desk.bar(2.5, ratio=-0.2).words == "no: z +2.50, but β −0.2 is not positive"
    for _ in range(20):
        desk.bar(0.0, traded=False)
    assert desk.bar(-2.5, traded=False).words == "no: z −2.50, but a leg has stopped trading"
    assert not any(judged.events for judged in desk.told)


def test_a_break_ends_what_fires():
    desk = Desk(rule_of())
    desk.bar(2.1)
    judged = desk.bar(GAP, broken=True)
    assert shorthand(judged) == "normal, !resolved break"
    assert judged.words == "resolved: a price jumped as only a redenomination does"


def test_cooldown_holds_the_next_message_back_and_not_the_record():
    desk = Desk(rule_of(cooldown_s=240))
    assert desk.run(2.1, 0.4, 2.1, 2.1, 2.1, 2.1) == [
        FIRED, "normal, !resolved revert", "firing, fired", "firing", "firing, !told", "firing",
    ]  # fmt: skip
    assert desk.told[2].words.endswith("; held back: in cooldown")


def test_what_nobody_was_told_of_has_no_resolved():
    desk = Desk(rule_of(cooldown_s=600))
    assert desk.run(2.1, 0.4, 2.1, 0.4)[2:] == ["firing, fired", "normal, resolved revert"]


def test_a_muted_rule_tells_what_still_fires_when_the_mute_ends():
    desk = Desk(rule_of(mute_until=4 * MINUTE))
    assert desk.run(2.1, 0.4, 2.2, 2.2) == [
        "firing, fired", "normal, resolved revert", "firing, fired", "firing, !told",
    ]  # fmt: skip


def test_the_end_of_what_was_told_waits_for_the_mute_to_end():
    desk = Desk(rule_of())
    desk.bar(2.1)
    desk.edit(rule_of(mute_until=100 * MINUTE), reborn=False)
    (event,) = desk.bar(0.4).events
    assert (event.kind, event.tell, event.not_before_ms) == ("resolved", True, 100 * MINUTE)


def test_late_bars_are_recorded_and_told_only_if_still_true_at_the_newest():
    desk = Desk(rule_of())
    late = [desk.bar(z, is_late=True) for z in (2.1, 0.4, -2.1, -2.2)]
    assert [shorthand(judged) for judged in late] == [
        "firing, fired", "normal, resolved revert", "firing, fired", "firing",
    ]  # fmt: skip
    assert shorthand(desk.bar(-2.3)) == "firing, !told"
    (event,) = desk.told[-1].events
    assert event.episode == Episode(1, "long_spread", 2 * MINUTE)


def test_what_is_acknowledged_is_quiet_until_it_resolves():
    desk = Desk(rule_of(mute_until=2 * MINUTE))
    (event,) = desk.bar(2.1).events
    assert shorthand(desk.bar(2.2, seen={event.episode})) == "firing"
    assert shorthand(desk.bar(0.4, seen={event.episode})) == "normal, resolved revert"
    assert shorthand(desk.bar(2.1)) == FIRED


def test_an_edit_announces_nothing_again_and_the_episode_keeps_its_name():
    desk = Desk(rule_of())
    desk.bar(2.1)
    desk.edit(rule_of(window=60, note="shorter"))
    assert desk.run(2.2, 2.1) == ["firing", "firing"]
    (event,) = desk.bar(0.4).events
    assert event.episode == Episode(1, "short_spread", 0)
    (fired, _) = desk.bar(2.1).events
    assert fired.episode == Episode(2, "short_spread", 4 * MINUTE)


def test_a_bar_is_not_judged_twice():
    desk = Desk(rule_of())
    desk.bar(2.1)
    desk.next = 0
    with pytest.raises(ValueError, match="has been judged"):
        desk.bar(2.1)


def test_a_judgement_has_its_values_and_says_why():
    desk = Desk(rule_of())
    assert [desk.bar(z).words for z in (-1.92, -2.08, -1.12, -0.4)] == [
        "no: z −1.92 is above −2.0",
        "fired: z −2.08 ≤ −2.0 for 1 of 1 bars, β 1 > 0",
        "still firing: z −1.12, leaves at z ≥ −0.5 for 1 bar",
        "resolved: z −0.40 ≥ −0.5 for 1 of 1 bars",
    ]
    judged = desk.told[1]
    assert (judged.value, judged.values["close_a"], judged.values["hedge_ratio"]) == (
        -2.08, 100.0, 1.0,
    )  # fmt: skip
    assert desk.bar(GAP).values["zscore"] is None
    assert desk.told[-1].words == "nothing to judge: no z, 1 of 5 bars"


def test_the_peak_is_the_z_farthest_out_since_it_fired():
    desk = Desk(rule_of())
    desk.run(-2.1, -3.4, GAP, -2.2)
    assert [latch.peak for _, latch in open_episodes(desk.state)] == [-3.4]


def test_bars_that_never_close_are_told_of_and_judged_when_they_come():
    desk = Desk(rule_of(no_data_after_bars=3))
    desk.bar(2.1)
    quiet = judge_silence(desk.rule, 1, 2, desk.state)
    loud = judge_silence(desk.rule, 1, 3, quiet.after)
    again = judge_silence(desk.rule, 1, 4, loud.after)
    assert [shorthand(each) for each in (quiet, loud, again)] == [
        "firing", "no data, fired, !told", "no data",
    ]  # fmt: skip
    assert loud.words == "no data: 3 bars have not closed"
    desk.state = kept(again.after)
    assert shorthand(desk.bar(2.2)) == "firing, !resolved back"
