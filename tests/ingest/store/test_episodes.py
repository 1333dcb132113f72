"""What fired is in the record once, with its messages and its paper, through kills and replays."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from core.alerts import judge_silence, judge_zscore, z_bars
from core.backtest import run_backtest
from core.episodes import Episode, Judgement
from core.paper import position_of, revive, trade_bars
from core.rule_spec import RuleSpec, read_rule_spec
from core.settings import Settings
from core.signals import conditions, decide_positions
from core.types import HedgeSeries, PairRows
from ingest.store import episodes, paper, rules
from ingest.store.engine import migrate, open_engine
from ingest.store.reader import Reader
from ingest.store.rules import StoredRule
from ingest.store.transaction import Writer, durable_writer

MINUTE = 60_000
BODY = {"symbol_a": "BTCUSDT", "symbol_b": "ETCUSDT", "channels": ["phone", "bot"], "paper": True}


def spec(**changes: object) -> RuleSpec:
    return read_rule_spec({**BODY, **changes}, Settings())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("database_url"))
    made = str(request.getfixturevalue("postgres_url"))
    migrate(made)
    return made


@pytest.fixture
def writer(url: str) -> Iterator[Writer]:
    made = durable_writer(url)
    yield made
    made.close()


@pytest.fixture
def reader(url: str) -> Iterator[Reader]:
    made = Reader(url)
    yield made
    made.close()


class Killed(Exception):
    """Where the analyst died."""


class Analyst:
    """Judges stored rules bar by bar, each time from what the store has of them."""

    def __init__(self, writer: Writer, z: list[float], prices: np.ndarray | None = None) -> None:
        self.writer, self.n = writer, len(z)
        column = np.array(z, float)
        rng = np.random.default_rng(3)
        close_a, close_b = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, (2, len(z))), axis=1))
        for close in (close_a, close_b):
            close[np.isnan(column)] = math.nan
        there = ~np.isnan(column)
        times = MINUTE * np.arange(len(z), dtype=np.int64)
        self.rows = PairRows(times, close_a, close_a, close_b, close_b, there, there)
        one = np.ones(len(z))
        self.hedge = HedgeSeries(one, one, column, one * 0, one, column)
        self.breaks = np.zeros(len(z), bool)

    def judge(
        self, bar: int, kill: str = "", rule_id: int = 1, now_ms: int | None = None
    ) -> Judgement | None:
        """One bar of one rule; None where it was judged before."""
        now_ms = (bar + 1) * MINUTE if now_ms is None else now_ms
        with self.writer.transaction() as tx:
            rule = rules.get(tx, rule_id)
            assert rule is not None
            state = episodes.load_state(tx, rule)
            if state.judged_ms is not None and state.judged_ms >= bar * MINUTE:
                return None
            seen = episodes.acknowledged(tx, rule_id)
            traded = paper.load_state(tx, rule)
        one = slice(bar, bar + 1)
        rows = PairRows(*(getattr(self.rows, name)[one] for name in PairRows.__slots__))
        hedge = HedgeSeries(*(getattr(self.hedge, name)[one] for name in HedgeSeries.__slots__))
        y, x = np.log(rows.close_a), np.log(rows.close_b)
        pair = rule.spec.pair
        assert pair is not None
        given, position, code, bars = z_bars(
            pair, rows, y, x, hedge, self.breaks[one], state.progress
        )
        judged = judge_zscore(rule.spec, rule.version, bars[0], state, seen=seen)
        (mark,) = trade_bars(pair, rows, y, x, hedge, given, position, code, traded)
        if kill == "before":
            raise Killed
        with self.writer.transaction() as tx:
            assert episodes.record(tx, rule, judged, now_ms)
            paper.record(tx, rule, mark)
            if kill == "within":
                raise Killed
        return judged

    def run(self, *kills: str) -> None:
        for bar in range(self.n):
            for kill in (*kills, ""):
                try:
                    self.judge(bar, kill)
                except Killed:
                    continue


def create(writer: Writer, **changes: object) -> StoredRule:
    with writer.transaction() as tx:
        return rules.create(tx, spec(**changes), 0, 5)


def test_an_episode_its_messages_and_its_reason_are_stored_and_read(
    writer: Writer, reader: Reader
) -> None:
    rule = create(writer)
    Analyst(writer, [1.0, -2.1, -3.0, -1.0, 0.2, 2.4]).run()
    firing, over = reader.alerts()
    assert (over.rule_id, over.version, over.direction, over.kind) == (
        1,
        1,
        "long_spread",
        "zscore",
    )
    assert (over.start_ms, over.end_ms, over.state, over.outcome) == (
        MINUTE, 4 * MINUTE, "resolved", "revert",
    )  # fmt: skip
    assert (over.value_at_start, over.value_peak, over.value_at_end) == (-2.1, -3.0, 0.2)
    assert over.words == "fired: z −2.10 ≤ −2.0 for 1 of 1 bars, β 1 > 0"
    assert (over.values["zscore"], over.values["spread_std"]) == (-2.1, 1.0)
    assert (over.symbol_a, over.symbol_b, over.timeframe, over.born_ms) == (
        "BTCUSDT", "ETCUSDT", "1m", rule.born_ms,
    )  # fmt: skip
    assert [(sent.channel, sent.event, sent.state) for sent in over.deliveries] == [
        ("phone", "fired", "pending"), ("bot", "fired", "pending"),
        ("phone", "resolved", "pending"), ("bot", "resolved", "pending"),
    ]  # fmt: skip
    assert (firing.state, firing.direction, firing.end_ms) == ("firing", "short_spread", None)
    assert reader.alert(over.episode_id) == over
    assert reader.alert(99) is None
    why = reader.decisions(1, limit=2)
    assert [(each.open_time_ms, each.eventful) for each in why] == [
        (5 * MINUTE, True), (4 * MINUTE, True),
    ]  # fmt: skip
    assert reader.decisions(1, before_ms=MINUTE)[0].words == "no: z +1.00 is below 2.0"
    standing = reader.standings()[1]
    assert (standing.shown, standing.judged_ms, standing.values["zscore"]) == (
        "firing", 5 * MINUTE, 2.4,
    )  # fmt: skip


def test_history_is_filtered_and_paged_without_a_repeat_or_a_miss(
    writer: Writer, reader: Reader
) -> None:
    create(writer)
    create(writer, symbol_a="SOLUSDT")
    desk = Analyst(writer, [2.1, 0.0] * 4)
    for bar in range(8):
        for rule_id in (1, 2):
            desk.judge(bar, rule_id=rule_id)
    everything = [each.episode_id for each in reader.alerts()]
    assert len(everything) == 8
    first = reader.alerts(limit=3)
    rest = reader.alerts(before_id=first[-1].episode_id)
    assert [each.episode_id for each in first + rest] == everything
    assert {each.rule_id for each in reader.alerts(rule_id=2)} == {2}
    assert {each.rule_id for each in reader.alerts(symbols=("SOLUSDT", "ETCUSDT"))} == {2}
    assert len(reader.alerts(since_ms=4 * MINUTE)) == 4
    assert reader.alerts(still_open=True) == reader.alerts(kind="data") == []


@pytest.mark.parametrize("kills", [("before",), ("within",), ("within", "before", "within")])
def test_a_kill_around_any_commit_loses_nothing_and_makes_nothing_twice(
    writer: Writer, reader: Reader, kills: tuple[str, ...]
) -> None:
    random = np.random.default_rng(7)
    z = np.convolve(random.normal(0, 0.9, 63), np.ones(4), "valid")
    z[20:28] = math.nan
    create(writer)
    desk = Analyst(writer, z.tolist())
    desk.run(*kills)
    for bar in range(desk.n):  # a restart that asks for all of it again
        assert desk.judge(bar) is None
    pair = spec().pair
    assert pair is not None
    y, x = np.log(desk.rows.close_a), np.log(desk.rows.close_b)
    given = conditions(pair, desk.rows, desk.hedge.hedge_ratio, desk.breaks)
    position, code = decide_positions(pair, y, x, desk.hedge, given)
    whole, _ = run_backtest(pair, desk.rows, y, x, desk.hedge, given, position, code)
    before = np.concatenate([[0], position[:-1]])
    entries = np.flatnonzero((position != 0) & (position != before))
    fired = [each for each in reader.alerts() if each.direction != "no_data"][::-1]
    assert len(entries) > 3
    assert [each.start_ms // MINUTE for each in fired] == entries.tolist()
    for each in fired:
        messages = [(sent.channel, sent.event) for sent in each.deliveries]
        assert len(messages) == len(set(messages)) == (4 if each.end_ms else 2)
    equity = reader.paper_equity(1, 0)
    assert [value for _, value in equity] == whole.equity.tolist()
    trips = reader.paper_trips(1, 0)
    assert [
        (trip.entry_ms, trip.exit_ms, trip.pnl, trip.exit_reason) for trip in trips if trip.exit_ms
    ] == [
        (trip.entry_time_ms, trip.exit_time_ms, trip.pnl, trip.exit_reason)
        for trip in whole.round_trips
        if trip.exit_reason != "open"
    ]
    state = revive(reader.paper_states()[1])
    assert position_of(pair, state).equity == whole.equity[-1]


def test_an_edit_tells_nothing_again_and_keeps_the_episode_and_the_old_version(
    writer: Writer, reader: Reader
) -> None:
    create(writer)
    desk = Analyst(writer, [2.1, 2.2, 2.3, 0.1])
    desk.judge(0)
    with writer.transaction() as tx:
        edited = rules.edit(tx, 1, spec(entry_z=1.5, channels=["mail"]), MINUTE, 7)
    assert edited is not None
    assert (edited.version, edited.born_ms) == (2, MINUTE)
    for bar in (1, 2, 3):
        desk.judge(bar)
    (only,) = reader.alerts()
    assert (only.version, only.state) == (1, "resolved")
    assert [(sent.channel, sent.event) for sent in only.deliveries] == [
        ("phone", "fired"), ("bot", "fired"), ("phone", "resolved"), ("bot", "resolved"),
    ]  # fmt: skip
    old = reader.rule(1, version=1)
    assert old is not None
    assert old.spec == spec()
    assert [rule.version for rule in reader.rules()] == [2]


def test_words_and_channels_change_without_a_new_birth(writer: Writer) -> None:
    create(writer)
    with writer.transaction() as tx:
        edited = rules.edit(tx, 1, spec(note="watch this"), 9 * MINUTE, 7)
    assert edited is not None
    assert (edited.version, edited.born_ms) == (2, 0)


@pytest.mark.parametrize(
    ("change", "outcome"), [({"enabled": False}, "paused"), ({"symbol_b": "ETHUSDT"}, "edited")]
)
def test_what_is_paused_or_watches_something_else_ends_without_a_word(
    writer: Writer, reader: Reader, change: dict[str, object], outcome: str
) -> None:
    create(writer)
    Analyst(writer, [2.1]).run()
    with writer.transaction() as tx:
        rules.edit(tx, 1, spec(**change), 3 * MINUTE, 2 * MINUTE)
        assert [rule.rule_id for rule in rules.enabled(tx)] == [1] * (outcome == "edited")
    (only,) = reader.alerts()
    assert (only.state, only.outcome, len(only.deliveries)) == ("resolved", outcome, 2)
    assert reader.standings() == {}


def test_a_judgement_of_a_rule_that_was_edited_meanwhile_is_refused(
    writer: Writer, reader: Reader
) -> None:
    rule = create(writer)
    judged = Analyst(writer, [2.1]).judge(0)
    assert judged is not None
    for act in (
        lambda tx: rules.edit(tx, 1, spec(note="x"), 0, 7),
        lambda tx: rules.delete(tx, 1, 8),
    ):
        with writer.transaction() as tx:
            act(tx)
            assert not episodes.record(tx, rule, judged, 9)
    with writer.transaction() as tx:
        assert not rules.delete(tx, 1, 9)
        assert rules.edit(tx, 1, spec(), 0, 9) is None
        assert rules.get(tx, 1) is None
    (kept,) = reader.alerts()  # the record of a deleted rule stays
    assert kept.outcome == "deleted"


def test_a_message_that_is_refused_is_tried_again_with_its_key_until_it_arrives(
    writer: Writer, reader: Reader
) -> None:
    create(writer)
    Analyst(writer, [2.1]).run()
    with writer.transaction() as tx:
        (first, second) = episodes.due(tx, 0, 10)  # made in times to come: the clock was set back
        assert first.made_ms == second.made_ms == MINUTE
        phone, bot = episodes.due(tx, MINUTE, 10)
        episodes.delivered(tx, [phone.delivery_id], MINUTE + 5)
        episodes.refused(tx, [bot.delivery_id], "answer 503", 2 * MINUTE)
    assert phone.key == "1.1.short_spread.0.fired"
    assert (bot.episode, bot.channel, bot.attempts) == (Episode(1, "short_spread", 0), "bot", 0)
    health = reader.channels(0)
    assert (health["phone"].pending, health["phone"].delivered_since) == (0, 1)
    assert (health["bot"].pending, health["bot"].error, health["bot"].next_ms) == (
        1, "answer 503", 2 * MINUTE,
    )  # fmt: skip
    assert health["bot"].failing_since_ms == MINUTE
    with writer.transaction() as tx:
        assert episodes.due(tx, 2 * MINUTE - 1, 10) == []
        (again,) = episodes.due(tx, 2 * MINUTE, 10)
        assert (again.key, again.attempts) == (bot.key, 1)
        episodes.delivered(tx, [again.delivery_id], 2 * MINUTE)
        episodes.refused(tx, [again.delivery_id], "too late", 3 * MINUTE)
        assert episodes.due(tx, 10 * MINUTE, 10) == []
    assert reader.channels(0)["bot"].retried_since == 1


def test_the_first_who_acknowledges_is_named_and_what_is_over_can_not_be(
    writer: Writer, reader: Reader
) -> None:
    create(writer)
    desk = Analyst(writer, [2.1, 0.0])
    desk.judge(0)
    with writer.transaction() as tx:
        assert rules.acknowledge(tx, 1, "ann", 11)
        assert rules.acknowledge(tx, 1, "bob", 12)
        assert episodes.acknowledged(tx, 1) == {Episode(1, "short_spread", 0)}
    desk.judge(1)
    (over,) = reader.alerts()
    assert (over.acknowledged_by, over.acknowledged_ms) == ("ann", 11)
    with writer.transaction() as tx:
        assert not rules.acknowledge(tx, 99, "ann", 13)
        assert episodes.acknowledged(tx, 1) == frozenset()


def test_silence_is_told_without_moving_the_record_of_z_on(writer: Writer, reader: Reader) -> None:
    rule = create(writer, no_data_after_bars=2)
    desk = Analyst(writer, [2.1, 2.2])
    desk.judge(0)
    for bars in (1, 2, 3):
        with writer.transaction() as tx:
            state = episodes.load_state(tx, rule)
            judged = judge_silence(rule.spec, 1, bars, state)
            assert episodes.record(tx, rule, judged, bars * MINUTE)
    assert reader.standings()[1].shown == "no_data"
    desk.judge(1)
    assert [(each.direction, each.state) for each in reader.alerts()] == [
        ("no_data", "resolved"), ("short_spread", "firing"),
    ]  # fmt: skip


def test_old_decisions_go_and_what_happened_stays_longer(writer: Writer, reader: Reader) -> None:
    create(writer)
    Analyst(writer, [2.1, 2.2, 2.3, 0.0, 0.1, 0.2]).run()
    with writer.transaction() as tx:
        assert episodes.prune_decisions(tx, 1, 5 * MINUTE, 2 * MINUTE, 100) == 4
        assert paper.prune_marks(tx, 1, 4 * MINUTE, 100) == 4
    assert [each.open_time_ms // MINUTE for each in reader.decisions(1)] == [5, 3]
    assert [time // MINUTE for time, _ in reader.paper_equity(1, 0)] == [4, 5]
    assert reader.alerts()[0].values["zscore"] == 2.1


def test_a_bar_that_is_rewritten_after_it_was_judged_is_shown(
    writer: Writer, reader: Reader
) -> None:
    create(writer)
    Analyst(writer, [2.1, 2.2, 0.0, 0.0]).run()
    with writer.transaction() as tx:
        assert episodes.mark_revised(tx, 1, 0) == 1
        assert episodes.mark_revised(tx, 1, 0) == 0
        assert paper.mark_revised(tx, 1, 3 * MINUTE) == 1
    assert reader.alerts()[0].revised
    assert [trip.revised for trip in reader.paper_trips(1, 0)] == [True]


def test_what_is_told_is_on_the_disk_at_once(database_url: str) -> None:
    for writer, level in (
        (durable_writer(database_url), 2),
        (Writer(open_engine(database_url)), 1),
    ):
        with writer.transaction() as tx:
            assert tx.run("PRAGMA synchronous").scalar() == level
        writer.close()


def test_a_rule_of_another_desk_setting_reads_back_with_its_own_costs(
    writer: Writer, reader: Reader
) -> None:
    with writer.transaction() as tx:
        rules.create(tx, read_rule_spec(BODY, Settings(fee_bps=3.5)), 0, 0)
    (rule,) = reader.rules()
    assert rule.spec.pair is not None
    assert rule.spec.pair.fee_bps == 3.5
