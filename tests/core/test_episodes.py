"""The states of a rule: every transition, and the record of any story beside the backtest's."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.episodes import move, open_episodes
from core.signals import conditions, decide_positions
from tests.support.judging import GAP, MINUTE, Desk, rows_of, rule_of

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
