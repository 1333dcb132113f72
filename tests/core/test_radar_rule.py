"""A rule over all pairs: one episode a pair, whichever leg comes first and whatever a scan says."""

import math

from core.episodes import RuleState
from core.radar_rule import Sky, Stretch, judge_radar
from core.radar_spec import legs_of
from core.rule_spec import read_rule_spec
from core.settings import Settings

HOUR = 3_600_000
NAN = math.nan


class Night:
    """A rule that is judged hour by hour."""

    def __init__(self, **changes):
        self.rule = read_rule_spec({"kind": "radar", **changes}, Settings())
        self.state = RuleState(0)
        self.hour = 0

    def sees(self, *stretches, seen=(), is_late=False):
        sky = Sky(10, stretches) if stretches != (None,) else None
        judged = judge_radar(
            self.rule, 1, self.hour * HOUR, sky, self.state, seen=seen, is_late=is_late,
            reason="no scan of 1h yet",
        )  # fmt: skip
        self.state, self.hour = judged.after, self.hour + 1
        return judged


def pair(z, a="A", b="B", level=2.0, passes=True, ratio=1.0):
    return Stretch(a, b, z, ratio, level, passes, 0.01, 0.02, 7.0)


def kinds(judged):
    return [(event.kind, event.episode.direction, event.outcome) for event in judged.events]


def fired(direction):
    return [("fired", direction, ""), ("told", direction, "")]


def test_each_pair_has_an_episode_of_its_own():
    night = Night()
    judged = night.sees(pair(2.1), pair(-2.6, "C", "D"), pair(1.9, "E", "F"))
    assert kinds(judged) == [
        ("fired", "short_spread:A/B", ""), ("fired", "long_spread:C/D", ""),
        ("told", "short_spread:A/B", ""), ("told", "long_spread:C/D", ""),
    ]  # fmt: skip
    assert judged.words == (
        "fired: 2 of 10 pairs that pass are beyond their level: C / D z −2.60, counts from 2.00;"
        " A / B z +2.10, counts from 2.00"
    )
    assert (judged.values["beyond"], judged.values["farthest"]) == (2, "C/D")
    first = judged.events[0].facts
    assert (first.value, first.words) == (2.1, "A / B z +2.10, counts from 2.00")
    assert first.values["half_life_bars"] == 7.0
    assert kinds(night.sees(pair(2.5), pair(-0.4, "C", "D"))) == [
        ("resolved", "long_spread:C/D", "revert")
    ]
    assert night.state.latches["A/B"].peak == 2.5


def test_a_pair_that_a_later_scan_turns_round_or_lets_pass_no_more_goes_on_as_it_fired():
    night = Night()
    night.sees(pair(2.1))
    (held,) = {legs_of(latch.direction) for latch in night.state.latches.values()}
    assert held == ("A", "B")
    assert kinds(night.sees(pair(2.3, passes=False))) == []
    assert kinds(night.sees(pair(1.0, passes=False))) == []
    assert kinds(night.sees(pair(0.5, passes=False))) == [
        ("resolved", "short_spread:A/B", "revert")
    ]
    assert kinds(night.sees(pair(2.1, passes=False))) == []
    turned = night.sees(pair(-2.2, "B", "A"))
    assert kinds(turned) == fired("long_spread:B/A")
    assert list(night.state.latches) == ["A/B"]


def test_a_gap_resolves_nothing_and_the_other_side_is_another_episode():
    night = Night()
    night.sees(pair(2.1))
    assert kinds(night.sees(pair(NAN))) == []
    assert kinds(night.sees(pair(-2.1))) == [
        ("resolved", "short_spread:A/B", "flip"), *fired("long_spread:A/B")
    ]  # fmt: skip


def test_a_pair_whose_legs_do_not_offset_each_other_or_below_its_costs_fires_nothing():
    night = Night()
    judged = night.sees(pair(3.0, ratio=-1.0), pair(3.0, "C", "D", level=3.1), pair(5, level=NAN))
    assert kinds(judged) == []
    assert judged.words == "no: 0 of 10 pairs that pass are beyond their level"


def test_without_a_scan_there_are_no_data_and_nothing_that_fires_resolves():
    night = Night(no_data_after_bars=2)
    night.sees(pair(2.1))
    assert night.sees(None).words == "nothing to judge: no scan of 1h yet, 1 of 2 bars"
    assert kinds(night.sees(None)) == fired("no_data")
    assert kinds(night.sees(pair(0.1))) == [
        ("resolved", "no_data", "back"), ("resolved", "short_spread:A/B", "revert")
    ]  # fmt: skip


def test_for_and_keep_bars_cooldown_and_lateness_hold_as_for_any_rule():
    night = Night(for_bars=2, keep_bars=2, cooldown_s=6 * 3_600)
    assert kinds(night.sees(pair(2.1))) == []
    assert night.state.latches["A/B"].stage == "pending"
    assert kinds(night.sees(pair(2.1))) == fired("short_spread:A/B")
    assert kinds(night.sees(pair(0.1))) == []
    assert kinds(night.sees(pair(0.1))) == [("resolved", "short_spread:A/B", "revert")]
    night.sees(pair(2.1))
    again = night.sees(pair(2.1))
    assert kinds(again) == [("fired", "short_spread:A/B", "")]
    assert again.words.endswith("; held back: in cooldown")
    assert Night().sees(pair(2.1), is_late=True).events[-1].kind == "fired"


def test_pairs_that_are_over_are_not_carried_along_for_ever():
    night = Night(cooldown_s=3_600)
    for number in range(40):
        night.sees(pair(2.1, f"A{number:02}", "B"), pair(0.1, f"A{number - 1:02}", "B"))
    assert len(night.state.latches) <= 3
