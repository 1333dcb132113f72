"""What a rule tells of its bars: each entry once, with why, through gaps, kills and edits."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core import episodes
from core.alerts import (
    DataFacts,
    SymbolFacts,
    judge_data,
    judge_measure,
    judge_silence,
    judge_zscore,
    z_bars,
)
from core.episodes import Episode, RuleState, begin, move, open_episodes, stored_state
from core.rule_spec import read_rule_spec
from core.settings import Settings
from core.signals import conditions, decide_positions
from core.types import HedgeSeries, PairRows

MINUTE = 60_000
GAP = math.nan


def rule_of(kind="zscore", **asked):
    pair = {} if kind == "data" else {"symbol_a": "AAAUSDT", "symbol_b": "BBBUSDT"}
    return read_rule_spec({"kind": kind, **pair, **asked}, Settings())


def rows_of(z, first=0, ratio=1.0, traded=True, broken=False):
    """Rows with these z, as columns: (rows, y, x, hedge, breaks)."""
    z = np.asarray(z, float)
    n = len(z)
    price = np.where(np.isnan(z), math.nan, 100.0)
    times = MINUTE * (first + np.arange(n, dtype=np.int64))
    was_traded = ~np.isnan(z) & traded
    rows = PairRows(times, price, price, price, price, was_traded, was_traded)
    hedge = HedgeSeries(np.full(n, ratio), z * 0, z, z * 0, z * 0 + 1, z)
    return rows, np.log(price), np.log(price), hedge, np.full(n, broken)


def kept(state):
    """A state as the store gives it back after a kill."""
    return episodes.revive(json.loads(json.dumps(stored_state(state))))


class Desk:
    """Judges bar by bar, killed after each."""

    def __init__(self, asked, version=1):
        self.rule, self.version = asked, version
        self.state = RuleState(0)
        self.next = 0
        self.told = []

    def bar(self, z, *, is_late=False, seen=(), **row):
        _, _, _, bars = z_bars(self.rule.pair, *rows_of([z], self.next, **row), self.state.progress)
        judged = judge_zscore(
            self.rule, self.version, bars[0], self.state, is_late=is_late, seen=seen
        )
        self.state = kept(judged.after)
        self.next += 1
        self.told.append(judged)
        return judged

    def run(self, *zs):
        return [shorthand(self.bar(z)) for z in zs]

    def edit(self, asked, reborn=True):
        self.rule, self.version = asked, self.version + 1
        self.state = begin(self.state, self.next * MINUTE if reborn else self.state.born_ms)


def shorthand(judged):
    marks = [
        ("!" if event.tell else "") + event.kind + (f" {event.outcome}" if event.outcome else "")
        for event in judged.events
    ]
    return ", ".join(["no data" if judged.shown == "no_data" else judged.shown, *marks])


FIRED = "firing, fired, !told"

TABLE = [
    # stage, bars so far, verdict → stage, bars (fires after 2, resolves after 2)
    ("normal", 0, "on", "pending", 1),
    ("normal", 0, "between", "normal", 0),
    ("normal", 0, "off", "normal", 0),
    ("normal", 0, "over", "normal", 0),
    ("normal", 0, "unknown", "normal", 0),
    ("pending", 1, "on", "firing", 0),
    ("pending", 1, "between", "normal", 0),
    ("pending", 1, "off", "normal", 0),
    ("pending", 1, "over", "normal", 0),
    ("pending", 1, "unknown", "pending", 1),
    ("firing", 0, "on", "firing", 0),
    ("firing", 0, "between", "firing", 0),
    ("firing", 0, "off", "recovering", 1),
    ("firing", 0, "over", "normal", 0),
    ("firing", 0, "unknown", "firing", 0),
    ("recovering", 1, "on", "firing", 0),
    ("recovering", 1, "between", "firing", 0),
    ("recovering", 1, "off", "normal", 0),
    ("recovering", 1, "over", "normal", 0),
    ("recovering", 1, "unknown", "recovering", 1),
]


@pytest.mark.parametrize(("stage", "bars", "verdict", "after", "then"), TABLE)
def test_every_transition_is_the_one_of_the_table(stage, bars, verdict, after, then):
    assert move(stage, bars, verdict, 2, 2) == (after, then)


def test_one_bar_is_enough_where_nothing_else_is_asked_for():
    assert move("normal", 0, "on", 1, 1) == ("firing", 0)
    assert move("firing", 0, "off", 1, 1) == ("normal", 0)


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
    assert desk.told[2].words.endswith("; not told: in cooldown")


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


# -- relationships and data ---------------------------------------------------------------------


def measures(asked, *values):
    state, told = RuleState(0), []
    for number, value in enumerate(values):
        judged = judge_measure(asked, 1, number * MINUTE, value, state)
        state = kept(judged.after)
        told.append(judged)
    return told


def test_a_bound_fires_beyond_it_and_resolves_only_behind_its_hysteresis():
    asked = rule_of("relationship", measure="pvalue_both", above=0.2, hysteresis=0.1)
    told = measures(asked, 0.172, 0.25, 0.15, 0.1, 0.21)
    assert [shorthand(judged) for judged in told] == [
        "normal", FIRED, "firing", "normal, !resolved back", FIRED,
    ]  # fmt: skip
    assert [judged.words for judged in told[:2]] == [
        "no: p both 0.172 is not above 0.2",
        "fired: p both 0.25 is above 0.2",
    ]


def test_both_bounds_of_a_measure_are_episodes_of_their_own():
    asked = rule_of("relationship", measure="hedge_ratio", below=0.5, above=1.5)
    told = measures(asked, 0.4, 1.6, GAP, 1.0)
    assert [shorthand(judged) for judged in told] == [
        FIRED, "firing, !resolved back, fired, !told", "firing", "normal, !resolved back",
    ]  # fmt: skip
    assert told[0].after.latches["below"].peak == 0.4


def data(asked, *facts):
    state, told = RuleState(0), []
    for number, fact in enumerate(facts):
        judged = judge_data(asked, 1, number * MINUTE, fact, state)
        state = kept(judged.after)
        told.append(judged)
    return told


def facts(*symbols, age=0.5, days=None):
    return DataFacts(symbols, age, days)


def test_a_silent_symbol_is_told_once_and_its_return_too():
    well, silent = (SymbolFacts("LTCUSDT", "TRADING", s, 0) for s in (1.0, 180.0))
    told = data(rule_of("data"), facts(well), facts(silent), facts(silent), facts(well))
    assert [shorthand(judged) for judged in told] == [
        "normal", FIRED, "firing", "normal, !resolved back",
    ]  # fmt: skip
    assert told[0].words == "1 of 1 well"
    assert told[1].words == "fired: LTCUSDT silent for 180 s"


def test_a_dead_feed_is_one_episode_and_not_one_a_symbol():
    silent = [SymbolFacts(name, "TRADING", 500.0, 0) for name in ("AUSDT", "BUSDT")]
    (judged,) = data(rule_of("data"), facts(*silent, age=90.0))
    assert [event.episode.direction for event in judged.events] == ["stale", "stale"]


def test_what_stopped_trading_misses_ids_or_is_short_of_space_is_named():
    halted = SymbolFacts("AUSDT", "BREAK", 1.0, 0)
    holed = SymbolFacts("BUSDT", "TRADING", 1.0, 12)
    (judged, gone) = data(rule_of("data"), facts(halted, holed, days=1.5), facts(days=1.5))
    assert judged.words == (
        "fired: the disk lasts for 1.5 days, AUSDT is BREAK, BUSDT misses 12 ids"
    )
    assert sorted(event.outcome for event in gone.events) == ["gone", "gone"]


def test_only_the_symbols_asked_for_are_watched():
    other = SymbolFacts("AUSDT", "BREAK", 1.0, 0)
    (judged,) = data(rule_of("data", symbols=["BUSDT"]), facts(other))
    assert not judged.events


# -- the record against the whole -----------------------------------------------------------------


zs = st.lists(
    st.tuples(
        st.sampled_from([-3.5, -2.5, -1.0, -0.3, 0.0, 0.6, 2.0, 2.5, 3.2, GAP]), st.integers(1, 8)
    ),
    min_size=1,
    max_size=25,
).map(lambda runs: [z for z, n in runs for _ in range(n)])


@settings(max_examples=200, deadline=None)
@given(z=zs, stop_z=st.sampled_from([None, 3.0]), max_hold=st.sampled_from([None, 4]))
def test_alerts_fire_at_the_entries_of_the_backtest_and_at_no_others(z, stop_z, max_hold):
    asked = rule_of(stop_z=stop_z, max_hold_bars=max_hold)
    rows, y, x, hedge, breaks = rows_of(z)
    given = conditions(asked.pair, rows, hedge.hedge_ratio, breaks)
    position, _ = decide_positions(asked.pair, y, x, hedge, given)
    before = np.concatenate([[0], position[:-1]])
    entries = np.flatnonzero((position != 0) & (position != before))
    desk = Desk(asked)
    desk.run(*z)
    fired = [
        (event.episode.start_ms // MINUTE, event.episode.direction)
        for judged in desk.told
        for event in judged.events
        if event.kind == "fired" and event.episode.direction != "no_data"
    ]
    sides = {1: "long_spread", -1: "short_spread"}
    assert fired == [(row, sides[position[row]]) for row in entries]


class Rule(RuleBasedStateMachine):
    """Bars, gaps, kills, edits and acknowledgements in any order."""

    @initialize(
        for_bars=st.integers(1, 3), keep_bars=st.integers(1, 3), cooldown=st.sampled_from([0, 300])
    )
    def start(self, for_bars, keep_bars, cooldown):
        self.asked = {"for_bars": for_bars, "keep_bars": keep_bars, "cooldown_s": cooldown,
                      "no_data_after_bars": 3, "stop_z": 3.0}  # fmt: skip
        self.desk = Desk(rule_of(**self.asked))
        self.open, self.seen, self.messages = {}, set(), {}

    @rule(
        z=st.sampled_from([-3.5, -2.5, -0.3, 0.0, 0.6, 2.0, 2.5, GAP]),
        times=st.integers(1, 5),
        is_late=st.booleans(),
        ratio=st.sampled_from([1.0, 1.0, 1.0, -1.0]),
    )
    def bars(self, z, times, is_late, ratio):
        for _ in range(times):
            held = dict(self.open)
            judged = self.desk.bar(z, is_late=is_late, seen=self.seen, ratio=ratio)
            for event in judged.events:
                self.note(event, z, is_late, ratio)
            if math.isnan(z):  # a gap never resolves
                kept_open = [e for e in held.values() if e.direction != "no_data"]
                assert all(episode in self.open.values() for episode in kept_open)

    def note(self, event, z, is_late, ratio):
        episode = event.episode
        kind = "no_data" if episode.direction == "no_data" else "spread"
        if event.kind == "fired":
            assert kind not in self.open  # re-armed only by resolving
            self.open[kind] = episode
            if kind == "spread":
                assert 2.0 <= abs(z) < 3.0
                assert ratio > 0
        else:
            assert self.open.get(kind) == episode
        if event.kind == "told":
            assert not is_late
            assert episode not in self.seen
        if event.kind == "resolved":
            del self.open[kind]
            assert event.tell == ((episode, "told") in self.messages)
        if event.tell:
            key = (episode, event.kind)
            assert key not in self.messages  # nothing twice
            self.messages[key] = True

    @rule(window=st.sampled_from([60, 120]), entry_z=st.sampled_from([2.0, 2.2]))
    def edit(self, window, entry_z):
        self.desk.edit(rule_of(**self.asked, window=window, entry_z=entry_z))

    @rule()
    def acknowledge(self):
        self.seen |= set(self.open.values())

    @invariant()
    def what_is_open_is_what_the_state_says(self):
        if hasattr(self, "desk"):
            stated = {episode for episode, _ in open_episodes(self.desk.state)}
            assert stated == set(self.open.values())


TestRule = Rule.TestCase
TestRule.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_replaying_all_bars_after_a_kill_gives_the_same_record():
    random = np.random.default_rng(5)
    z = np.convolve(random.normal(0, 0.9, 403), np.ones(4), "valid")
    z[random.random(400) < 0.1] = GAP
    records = []
    for _ in range(2):
        desk = Desk(rule_of(for_bars=2, keep_bars=2, cooldown_s=600))
        desk.run(*z)
        records.append([replace(judged, after=None) for judged in desk.told])
    assert repr(records[0]) == repr(records[1])
    assert sum(bool(judged.events) for judged in desk.told) > 20
