"""A bar that is rewritten after it was judged is told of where it mattered, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from core.rule_spec import read_rule_spec
from core.settings import Settings
from core.types import Origin
from ingest.store import market, rules
from ingest.store.reader import Reader, StoredEpisode
from ingest.store.rules import StoredRule
from ingest.store.transaction import Writer
from tests.ingest.analysis.test_evaluation import MINUTE, analyst
from tests.support.watching import BORN, ROWS, Market, backtest, create


class Judged:
    """A market that was judged bar by bar, and its analyst."""

    def __init__(self, writer: Writer, reader: Reader, **changes: object) -> None:
        self.desk, self.reader = Market(writer), reader
        self.desk.close(BORN)
        self.rule = create(self.desk, **changes)
        self.analyst = analyst(reader, self.desk)
        while self.desk.closed < ROWS:
            self.desk.close(5)
            self.analyst.look()

    def rewrite(self, time_ms: int, leg: int, **values: float) -> None:
        """Have a repaired trade change a stored bar of one leg."""
        bar = self.desk.bars[leg][(time_ms - self.desk.at(0)) // MINUTE]._replace(**values)
        symbol = ("BTCUSDT", "ETHUSDT")[leg]
        with self.desk.writer.transaction() as tx:
            changes = market.upsert_bars(
                tx, self.desk.ids[symbol], MINUTE, [bar], Origin.TRADES, keep_better=False
            )
            assert changes.rewritten == 1
            market.rise_revision(tx, self.desk.ids[symbol])

    def close_of(self, time_ms: int, leg: int) -> float:
        return self.desk.bars[leg][(time_ms - self.desk.at(0)) // MINUTE].close

    def revised(self) -> tuple[list[int], list[int]]:
        """Start times of the episodes and entry times of the trips that are marked."""
        trips = self.reader.paper_trips(self.rule.rule_id, self.rule.born_ms)
        return (
            [one.start_ms for one in self.episodes() if one.revised],
            [trip.entry_ms for trip in trips if trip.revised],
        )

    def episodes(self) -> list[StoredEpisode]:
        return self.reader.alerts(rule_id=self.rule.rule_id, limit=500)


@pytest.fixture
def judged(writer: Writer, reader: Reader) -> Judged:
    return Judged(writer, reader)


@pytest.mark.parametrize("leg", [0, 1])
@pytest.mark.parametrize("at_end", [False, True])
def test_an_episode_whose_bar_was_rewritten_is_shown_as_revised_and_nothing_else_of_it_changes(
    judged: Judged, leg: int, at_end: bool
) -> None:
    assert judged.revised() == ([], [])
    before = judged.episodes()
    one = before[0] if before[0].end_ms is not None else before[1]
    time_ms = one.end_ms if at_end else one.start_ms
    assert time_ms is not None
    judged.rewrite(time_ms, leg, close=judged.close_of(time_ms, leg) * 1.0001)
    judged.analyst.look()
    marked = judged.revised()[0]
    assert one.start_ms in marked
    assert min(marked) == one.start_ms  # what was before hangs on nothing of it
    # Nothing else of the record is touched, nothing is announced again.
    for old, new in zip(before, judged.episodes(), strict=True):
        assert (new.words, new.value_at_start, new.values, new.deliveries) == (
            old.words, old.value_at_start, old.values, old.deliveries,
        )  # fmt: skip


@pytest.mark.parametrize("column", ["entry_ms", "exit_ms"])
def test_a_fill_whose_bar_was_rewritten_is_shown_as_revised(judged: Judged, column: str) -> None:
    trips = judged.reader.paper_trips(judged.rule.rule_id, judged.rule.born_ms)
    time_ms = getattr(trips[1], column)
    judged.rewrite(time_ms, 1, open=judged.close_of(time_ms, 1) * 1.001)
    judged.analyst.look()
    hit = [trip.entry_ms for trip in trips if time_ms in (trip.entry_ms, trip.exit_ms)]
    assert judged.revised() == ([], hit)  # no z hangs on an open
    assert trips[1].entry_ms in hit


def test_what_was_rewritten_while_the_analyst_was_away_is_seen_when_it_is_back(
    judged: Judged,
) -> None:
    one = judged.episodes()[2]
    judged.rewrite(one.start_ms, 0, close=judged.close_of(one.start_ms, 0) * 0.999)
    analyst(judged.reader, judged.desk).look()
    assert one.start_ms in judged.revised()[0]


def test_bars_that_nothing_hangs_on_and_bars_that_were_pruned_mark_nothing(judged: Judged) -> None:
    first = judged.episodes()[-1]
    judged.rewrite(judged.desk.at(BORN - 100), 0, close=1.0)
    before_ms = first.start_ms - 15 * MINUTE
    with judged.desk.writer.transaction() as tx:
        tx.run("DELETE FROM bars WHERE open_time_ms < ?", before_ms)
        market.rise_revision(tx, judged.desk.ids["BTCUSDT"])
    judged.analyst.look()
    assert judged.revised() == ([], [])


@pytest.mark.parametrize("hedge", ["ols", "kalman", "returns"])
def test_an_episode_is_not_marked_by_bars_before_its_windows_that_were_pruned(
    writer: Writer, reader: Reader, hedge: str
) -> None:
    """Fitted on fewer rows than it was judged by, its z would come out otherwise."""
    judged = Judged(writer, reader, hedge=hedge)
    pair, one = judged.rule.spec.pair, judged.episodes()[1]
    assert pair is not None
    with judged.desk.writer.transaction() as tx:
        kept_ms = one.start_ms - pair.hedge_window * MINUTE
        tx.run("DELETE FROM bars WHERE open_time_ms < ?", kept_ms)
        market.rise_revision(tx, judged.desk.ids["BTCUSDT"])
    judged.analyst.look()
    assert judged.revised() == ([], [])


def test_a_bar_told_not_to_have_closed_and_judged_by_the_next_version_is_not_shown_as_revised(
    writer: Writer, reader: Reader
) -> None:
    desk = Market(writer)
    desk.close(BORN)
    rule = create(desk, no_data_after_bars=3)
    alive = analyst(reader, desk)
    desk.close(5)
    alive.look()
    desk.now_s += 3 * 60.0 + 6.0
    alive.look()
    (episode,) = (one for one in reader.alerts() if one.direction == "no_data")
    muted = replace(rule.spec, watch=replace(rule.spec.watch, mute_until=desk.at(ROWS)))
    with writer.transaction() as tx:
        rules.edit(tx, rule.rule_id, muted, desk.at(desk.closed), desk.now_ms)
    desk.close(10)
    for _ in range(3):
        alive.look()
    judged = [one.version for one in reader.decisions(1) if one.open_time_ms == episode.start_ms]
    assert judged == [2, 1]
    assert not any(one.revised for one in reader.alerts())


def moved_by(judged: Judged, row: int, leg: int, factor: float) -> set[int]:
    """Rewrite one bar; the other bars of the page's own result whose z that moves."""
    before = backtest(judged.reader, judged.rule)
    judged.rewrite(judged.desk.at(row), leg, close=judged.desk.bars[leg][row].close * factor)
    after = backtest(judged.reader, judged.rule)
    z_before, z_after = before.chosen.zscore, after.chosen.zscore
    is_moved = ~np.isclose(z_before, z_after, rtol=1e-5, atol=1e-5, equal_nan=True)
    return set(before.rows.open_time_ms[is_moved].tolist()) - {judged.desk.at(row)}


@pytest.mark.parametrize("leg", [0, 1])
def test_an_episode_and_a_trip_are_marked_where_a_bar_of_their_windows_was_rewritten(
    judged: Judged, leg: int
) -> None:
    found = judged.episodes()
    trips = judged.reader.paper_trips(judged.rule.rule_id, judged.rule.born_ms)
    busy = {time for one in found for time in (one.start_ms, one.end_ms)}
    busy |= {time for trip in trips for time in (trip.entry_ms, trip.exit_ms)}
    row = next(row for row in range(BORN + 100, ROWS) if judged.desk.at(row) not in busy)
    moved = moved_by(judged, row, leg, 1.001)
    judged.analyst.look()
    # Every bar trades, so that what a close decided is filled at the next open.
    decided = {time_ms + MINUTE for time_ms in moved}
    episodes = [one.start_ms for one in found if {one.start_ms, one.end_ms} & moved]
    hit = [trip.entry_ms for trip in trips if {trip.entry_ms, trip.exit_ms} & decided]
    assert judged.revised() == (episodes, hit)
    assert 0 < len(episodes) < len(found)
    assert 0 < len(hit) < len(trips)


def test_the_way_out_of_an_anchored_trip_is_compared_too(writer: Writer, reader: Reader) -> None:
    judged = Judged(writer, reader, exit_rule="anchored")
    trips = judged.reader.paper_trips(judged.rule.rule_id, judged.rule.born_ms)
    trip = next(trip for trip in trips[2:] if (trip.bars or 0) >= 4)
    assert trip.exit_ms is not None
    busy = {time for one in trips for time in (one.entry_ms, one.exit_ms)}
    row = (trip.exit_ms - judged.desk.at(0)) // MINUTE - 2
    assert judged.desk.at(row) not in busy
    moved = moved_by(judged, row, 0, 1.001)
    judged.analyst.look()
    assert trip.exit_ms - MINUTE in moved
    assert trip.entry_ms in judged.revised()[1]


@pytest.mark.parametrize("measure", ["correlation", "hedge_ratio"])
def test_a_relationship_is_marked_where_its_figure_comes_out_otherwise_now(
    writer: Writer, reader: Reader, measure: str
) -> None:
    desk = Market(writer)
    desk.close(BORN)
    asked = {"kind": "relationship", "symbol_a": "BTCUSDT", "symbol_b": "ETHUSDT", "window": 20,
             "hedge_window": 60, "bars": 240, "measure": measure, "above": -1e6}  # fmt: skip
    with writer.transaction() as tx:
        rule = rules.create(tx, read_rule_spec(asked, Settings()), desk.at(BORN), desk.now_ms)
    alive = analyst(reader, desk)
    desk.close()
    alive.look()
    (before,) = reader.alerts()
    assert not before.revised
    for row, is_revised in ((10, False), (BORN - 5, True)):
        bar = desk.bars[1][row]
        with writer.transaction() as tx:
            bars = [bar._replace(close=bar.close * 1.01)]
            market.upsert_bars(
                tx, desk.ids["ETHUSDT"], MINUTE, bars, Origin.TRADES, keep_better=False
            )
            market.rise_revision(tx, desk.ids["ETHUSDT"])
        alive.look()
        (found,) = reader.alerts(rule_id=rule.rule_id)
        assert found.revised is is_revised, row
    assert found.values == before.values


def test_an_edit_to_another_pair_marks_nothing_of_the_old_one(judged: Judged) -> None:
    spec, desk = judged.rule.spec, judged.desk
    assert spec.pair is not None
    turned = replace(spec.pair, symbol_a=spec.pair.symbol_b, symbol_b=spec.pair.symbol_a)
    with desk.writer.transaction() as tx:
        rules.edit(tx, judged.rule.rule_id, replace(spec, pair=turned), desk.at(ROWS), desk.now_ms)
    judged.rewrite(desk.at(ROWS - 1), 0, close=1.0)
    judged.analyst.look()
    assert judged.revised() == ([], [])


def test_a_look_compares_only_where_bars_were_rewritten(
    judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()

    def counted(reader: Reader, writer: Writer, rule: StoredRule, figures: object) -> int:
        asked.append(rule.rule_id)
        return 0

    monkeypatch.setattr("ingest.analysis.evaluation.mark_revised", counted)
    judged.analyst.look()
    assert asked == []
    judged.rewrite(judged.desk.at(BORN), 0, close=1.0)
    judged.analyst.look()
    judged.analyst.look()
    assert asked == [judged.rule.rule_id]
