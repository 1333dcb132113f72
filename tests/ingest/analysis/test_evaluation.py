"""What the analyst finds while nobody looks: each bar once, whatever kills it in between."""

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from core.bars import align
from core.pair import analyse_pair
from core.row_plan import plan_rows
from core.rule_spec import read_rule_spec
from core.settings import Settings
from core.types import Leg, PairResult
from ingest.analysis.evaluation import Evaluation
from ingest.store import gaps, market, process, rules
from ingest.store.engine import open_engine
from ingest.store.market import FeedCursor
from ingest.store.paper import load_state
from ingest.store.reader import Reader
from ingest.store.transaction import Transaction, Writer
from tests.support.watching import (
    BORN,
    ROWS,
    RULE,
    Market,
    assert_paper_is_the_backtest,
    assert_record_is_the_signals,
    create,
)

MINUTE = 60_000


class Killed(BaseException):
    """Where the analyst died."""


class KilledWriter(Writer):
    """Dies before, within or after the commit of a few of its transactions."""

    def __init__(self, url: str, seed: int) -> None:
        super().__init__(open_engine(url))
        self.random = random.Random(seed)
        self.kills = 0

    def point(self) -> str:
        return self.random.choice(["", "", "before", "within", "after"])

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        point = self.point()
        self.kills += bool(point)
        if point == "before":
            raise Killed
        with super().transaction() as tx:
            yield tx
            if point == "within":
                raise Killed
        if point == "after":
            raise Killed


@pytest.fixture
def desk(writer: Writer) -> Market:
    return Market(writer)


def analyst(reader: Reader, desk: Market, writer: Writer | None = None) -> Evaluation:
    """An analyst that has just started: it knows what is stored and nothing else."""
    return Evaluation(
        reader, writer or desk.writer, lambda: desk.now_ms, lambda: desk.now_s, lambda _: None
    )


@pytest.mark.parametrize("seed", range(20))
def test_an_analyst_killed_at_any_commit_leaves_the_record_and_paper_of_the_backtest(
    database_url: str, writer: Writer, reader: Reader, seed: int
) -> None:
    chance = random.Random(seed)
    desk = Market(writer)
    desk.close(BORN)
    hedge = chance.choice(["ols", "kalman"])
    rule = create(desk, hedge=hedge, exit_rule=chance.choice(["moving", "anchored"]))
    dying = KilledWriter(database_url, seed)
    alive: Evaluation | None = None
    while desk.closed < ROWS:
        desk.close(min(chance.choice([1, 3, 9, 40]), ROWS - desk.closed))
        for _ in range(chance.choice([1, 3])):
            alive = alive or analyst(reader, desk, dying)
            try:
                alive.look()
            except Killed:
                alive = None  # and nothing of its memory is left
    analyst(reader, desk).look()
    assert dying.kills > 10
    assert_paper_is_the_backtest(reader, desk, rule)
    assert_record_is_the_signals(reader, rule)
    times = [each.open_time_ms for each in reader.decisions(rule.rule_id, limit=10_000)]
    assert times == [desk.at(row) for row in range(ROWS - 1, BORN - 1, -1)]
    for episode in reader.alerts(rule_id=rule.rule_id):
        told = [sent.event for sent in episode.deliveries]
        assert told in ([], ["fired"], ["fired", "resolved"])
        assert bool(told) == (episode.told_ms is not None)
        assert ("resolved" in told) == (bool(told) and episode.end_ms is not None)


@pytest.mark.parametrize("hedge", ["ols", "kalman", "ratio"])
def test_paper_is_the_backtest_over_missing_bars_and_from_a_short_history(
    writer: Writer, reader: Reader, hedge: str
) -> None:
    gone = {*range(340, 343), *range(420, 460), 600}
    desk = Market(writer, gone)
    desk.close(70)
    rule = create(desk, 70, hedge=hedge)
    alive = analyst(reader, desk)
    for _ in range(70, ROWS, 5):
        desk.close(5)
        alive.look()
    assert_paper_is_the_backtest(reader, desk, rule)
    words = [each.words for each in reader.decisions(rule.rule_id, limit=10_000)]
    assert any("nothing to judge" in each or "no data" in each for each in words)


def test_bars_missed_while_it_was_away_are_judged_late_and_told_only_if_still_true(
    desk: Market, reader: Reader
) -> None:
    desk.close(BORN)
    create(desk)
    desk.close(ROWS - BORN)
    assert analyst(reader, desk).look() == ROWS - BORN
    found = reader.alerts()
    assert len(found) > 3
    assert [each.late for each in found[1:]] == [True] * (len(found) - 1)
    assert all(not each.deliveries for each in found if each.state == "resolved")
    for each in found:
        assert [sent.event for sent in each.deliveries] == ["fired"] * (each.state != "resolved")
    late = [each.late for each in reader.decisions(1, limit=10_000)]
    assert late == [False] + [True] * (ROWS - BORN - 1)


def test_a_bar_is_judged_at_the_look_after_it_closed_and_never_again(
    desk: Market, reader: Reader
) -> None:
    desk.close(BORN)
    create(desk)
    alive = analyst(reader, desk)
    assert alive.look() == 0
    desk.close()
    assert [alive.look(), alive.look()] == [1, 0]
    assert analyst(reader, desk).look() == 0
    assert (alive.tally.rules, alive.tally.judged, alive.late_ms_p99) == (1, 1, 0.0)


def test_how_late_judging_is_forgets_a_slow_start_after_a_quarter_of_an_hour(
    desk: Market, reader: Reader
) -> None:
    desk.close(BORN)
    create(desk)
    alive = analyst(reader, desk)
    desk.close()
    desk.now_s += 2.891
    alive.look()
    for _ in range(14):
        desk.close()
        alive.look()
    assert alive.late_ms_p99 == 2_891.0
    desk.now_s += 120.0
    assert alive.late_ms_p99 == 0.0
    desk.now_s += 3_600.0
    assert alive.late_ms_p99 == 0.0


def test_a_bar_that_was_known_late_is_told_apart_from_one_that_waited_for_the_analyst(
    desk: Market, reader: Reader
) -> None:
    desk.close(BORN)
    create(desk)
    alive = analyst(reader, desk)
    end_s = desk.now_s + 60.0
    desk.now_s = end_s + 7.8
    alive.look()  # the last one that did not have the bar
    desk.close()
    desk.now_s = end_s + 8.0
    alive.look()
    assert (alive.late_ms_p99, alive.judging_ms_p99) == (8_000.0, 200.0)


def test_an_edit_a_pause_and_a_deletion_are_seen_at_the_next_look(
    desk: Market, reader: Reader
) -> None:
    desk.close(BORN)
    rule = create(desk)
    alive = analyst(reader, desk)
    desk.close(5)
    assert alive.look() == 5
    with desk.writer.transaction() as tx:
        rules.edit(tx, rule.rule_id, replace(rule.spec, paper=False), desk.at(305), desk.now_ms)
    desk.close()
    alive.look()
    assert reader.decisions(rule.rule_id)[0].version == 2
    paused = replace(rule.spec, watch=replace(rule.spec.watch, enabled=False))
    with desk.writer.transaction() as tx:
        rules.edit(tx, rule.rule_id, paused, desk.at(306), desk.now_ms)
    desk.close()
    assert alive.look() == 0
    with desk.writer.transaction() as tx:
        rules.edit(tx, rule.rule_id, rule.spec, desk.at(307), desk.now_ms)
    desk.close()
    assert alive.look() == 1
    with desk.writer.transaction() as tx:
        rules.delete(tx, rule.rule_id, desk.now_ms)
    desk.close()
    assert (alive.look(), alive.tally.rules) == (0, 0)


def test_an_edit_between_judging_and_storing_is_not_overwritten(
    database_url: str, desk: Market, reader: Reader
) -> None:
    desk.close(BORN)
    rule = create(desk)
    desk.close(3)

    class EditedMeanwhile(Writer):
        """A user's edit comes in right before each transaction that records."""

        calls = 0

        @contextmanager
        def transaction(self) -> Iterator[Transaction]:
            self.calls += 1
            if self.calls == 2:  # the first one loaded the rule
                muted = replace(rule.spec, watch=replace(rule.spec.watch, mute_until=2**40))
                with desk.writer.transaction() as tx:
                    rules.edit(tx, rule.rule_id, muted, desk.at(303), desk.now_ms)
            with super().transaction() as tx:
                yield tx

    alive = analyst(reader, desk, EditedMeanwhile(open_engine(database_url)))
    assert [alive.look(), alive.look()] == [0, 3]
    assert {each.version for each in reader.decisions(rule.rule_id)} == {2}


def test_a_relationship_is_judged_by_the_figure_that_the_page_shows(
    desk: Market, reader: Reader
) -> None:
    desk.close(BORN)
    asked = {name: value for name, value in RULE.items() if name != "paper"}
    measures: dict[str, Callable[[PairResult], float]] = {
        "pvalue_both": lambda result: result.cointegration.pvalue_both,  # type: ignore[union-attr]
        "half_life_bars": lambda result: result.half_life_bars,
        "correlation": lambda result: result.correlation,
        "hedge_ratio": lambda result: result.hedges["ols"].hedge_ratio,
        "hedge_effectiveness": lambda result: result.hedges["ols"].effectiveness,
    }
    for measure in measures:
        spec = read_rule_spec(
            {**asked, "kind": "relationship", "measure": measure, "below": -1e9}, Settings()
        )
        with desk.writer.transaction() as tx:
            rules.create(tx, spec, desk.at(BORN), desk.now_ms)
    desk.close()
    assert analyst(reader, desk).look() == len(measures)
    pair = spec.pair
    assert pair is not None
    plan = plan_rows(pair, desk.at(0), desk.at(BORN))
    legs = (
        reader.leg(leg, MINUTE, plan.history_start_ms, plan.end_ms)
        for leg in ("BTCUSDT", "ETHUSDT")
    )
    result = analyse_pair(pair, plan, *legs)
    for rule_id, (measure, figure) in enumerate(measures.items(), start=1):
        (decided,) = reader.decisions(rule_id)
        value = figure(result)
        assert decided.values["measure"] == measure
        assert decided.values["value"] == (value if math.isfinite(value) else None), measure


def test_a_pair_whose_bars_stop_coming_is_told_once_and_its_return_too(
    desk: Market, reader: Reader
) -> None:
    desk.close(BORN)
    create(desk, no_data_after_bars=3)
    alive = analyst(reader, desk)
    desk.close()
    alive.look()
    for waited in (60, 120, 184, 186, 240, 900):
        desk.now_s = (BORN + 1) * 60.0 + waited
        alive.look()
        told = [each for each in reader.alerts() if each.direction == "no_data"]
        assert len(told) == (waited > 185), waited
    desk.close(15)
    alive.look()
    (episode,) = (each for each in reader.alerts() if each.direction == "no_data")
    assert [(sent.event, sent.state) for sent in episode.deliveries] == [
        ("fired", "pending"), ("resolved", "pending"),
    ]  # fmt: skip
    assert episode.end_ms == episode.start_ms
    assert_record_has_every_bar(reader, desk)
    # The bar that was said not to have closed has its own values now that it has come.
    silent = [each for each in reader.decisions(1, limit=500) if "bars" in each.values]
    assert silent == []
    told = {each.open_time_ms: each.eventful for each in reader.decisions(1, limit=500)}
    assert told[episode.start_ms]


def assert_record_has_every_bar(reader: Reader, desk: Market) -> None:
    judged = {each.open_time_ms for each in reader.decisions(1, limit=10_000)}
    assert judged == {desk.at(row) for row in range(BORN, desk.closed)}


def test_the_data_are_judged_once_a_minute_by_what_the_worker_says(
    desk: Market, reader: Reader
) -> None:
    desk.close(BORN)
    spec = read_rule_spec(
        {"kind": "data", "silent_after_s": 60, "stale_after_s": 60, "missing_ids": 3}, Settings()
    )
    with desk.writer.transaction() as tx:
        rules.create(tx, spec, desk.at(BORN), desk.now_ms)
        for symbol, age_ms in (("BTCUSDT", 5_000), ("ETHUSDT", 90_000)):
            cursor = FeedCursor(9, 1.0, desk.now_ms - age_ms, 0, desk.now_ms)
            market.save_cursor(tx, desk.ids[symbol], cursor)
        gaps.open_gap(
            tx, desk.ids["BTCUSDT"], 1, 4, desk.now_ms - 9, desk.now_ms, "reconnect", desk.now_ms
        )
        report = {"feed": {"last_frame_ms": desk.now_ms - 1_000}, "space": {"days_left": 2.5}}
        process.save_status(tx, "worker", 1, "running", desk.now_ms, report)
    alive = analyst(reader, desk)
    assert [alive.look(), alive.look()] == [1, 0]
    (decided,) = reader.decisions(1)
    assert decided.values["wrong"] == (
        "the disk lasts for 2.5 days, BTCUSDT misses 4 ids, ETHUSDT silent for 90 s"
    )
    assert {each.direction for each in reader.alerts()} == {
        "no_space", "missing_ids:BTCUSDT", "silent:ETHUSDT",
    }  # fmt: skip
    desk.now_s += 60
    assert alive.look() == 1


@pytest.mark.parametrize("jump_s", [-7_200, 7_200])
def test_a_clock_that_is_set_stops_no_data_rule_and_judges_no_bar_twice(
    desk: Market, reader: Reader, jump_s: int
) -> None:
    """The desk starts again under a clock that was set, as a laptop does that finds its time."""
    desk.close(BORN)
    rule = create(desk)
    spec = read_rule_spec({"kind": "data", "stale_after_s": 60}, Settings())
    with desk.writer.transaction() as tx:
        data_rule = rules.create(tx, spec, desk.at(BORN), desk.now_ms)
        report = {"feed": {"last_frame_ms": desk.now_ms}}
        process.save_status(tx, "worker", 1, "running", desk.now_ms, report)
    desk.close(5)
    analyst(reader, desk).look()
    wall = {"jump_ms": jump_s * 1_000}
    alive = Evaluation(
        reader,
        desk.writer,
        lambda: desk.now_ms + wall["jump_ms"],
        lambda: desk.now_s,
        lambda _: None,
    )
    for _ in range(10):
        desk.close()
        alive.look()
        alive.look()
    assert_record_has_every_bar(reader, desk)
    assert len(reader.decisions(rule.rule_id, limit=500)) == 15
    times = [each.open_time_ms for each in reader.decisions(data_rule.rule_id, limit=500)]
    assert 10 <= len(times) <= 11
    assert len(set(times)) == len(times)


def test_one_rule_that_cannot_be_judged_holds_up_no_other(
    desk: Market, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.close(BORN)
    create(desk, window=30)
    create(desk)

    def broken(leg_a: Leg, leg_b: Leg, *span: int) -> object:
        rows = align(leg_a, leg_b, *span)
        if not calls:
            calls.append(1)
            raise ArithmeticError("a defect in one rule's numbers")
        return rows

    calls = list[int]()
    monkeypatch.setattr("core.pair.align", broken)
    desk.close()
    alive = analyst(reader, desk)
    assert alive.look() == 1
    assert [len(reader.decisions(rule_id)) for rule_id in (1, 2)] == [0, 1]
    assert alive.look() == 1  # tried again, and nothing of it is lost
    assert [len(reader.decisions(rule_id)) for rule_id in (1, 2)] == [1, 1]


def test_paper_goes_on_to_the_bit_from_what_is_stored(desk: Market, reader: Reader) -> None:
    desk.close(BORN)
    rule = create(desk)
    for _ in range(20):
        desk.close(20)
        analyst(reader, desk).look()  # begins with nothing but the store, each time
    assert_paper_is_the_backtest(reader, desk, rule)
    with desk.writer.transaction() as tx:
        assert load_state(tx, rule).book.rows == ROWS - BORN


def test_reasons_of_quiet_bars_and_old_equity_go_and_what_happened_stays(
    desk: Market, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.analysis.evaluation.QUIET_BARS", 50)
    desk.close(BORN)
    first, second = create(desk), create(desk)
    alive = analyst(reader, desk)
    desk.close(200)
    while alive.look():
        pass
    expected = [
        one
        for one in reader.decisions(1, limit=500)
        if one.eventful or one.open_time_ms >= desk.at(BORN + 199 - 50)
    ]
    assert 50 < len(expected) < 150
    episodes_before = reader.alerts()
    for _ in range(2):  # a rule a call
        alive.prune(7, 400)
    for rule in (first, second):
        assert reader.decisions(rule.rule_id, limit=500) == expected
        assert len(reader.paper_equity(rule.rule_id, rule.born_ms)) == 200
    alive.prune(0, 0)
    assert len(reader.paper_equity(1, first.born_ms)) == 1
    assert len(reader.paper_equity(2, second.born_ms)) == 200
    assert reader.alerts() == episodes_before
