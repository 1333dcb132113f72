"""A bar that is rewritten after it was judged is told of where it mattered, and nowhere else."""

from dataclasses import replace

import pytest

from core.types import Origin
from ingest.store import market, rules
from ingest.store.reader import Reader, StoredEpisode
from ingest.store.rules import StoredRule
from ingest.store.transaction import Writer
from tests.ingest.analysis.test_evaluation import MINUTE, analyst
from tests.support.watching import BORN, ROWS, Market, create


class Judged:
    """A market that was judged bar by bar, and its analyst."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self.desk, self.reader = Market(writer), reader
        self.desk.close(BORN)
        self.rule = create(self.desk)
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
def test_an_episode_whose_bar_was_rewritten_is_shown_as_revised_and_no_other(
    judged: Judged, leg: int, at_end: bool
) -> None:
    assert judged.revised() == ([], [])
    before = judged.episodes()
    one = before[3]
    time_ms = one.end_ms if at_end else one.start_ms
    assert time_ms is not None
    judged.rewrite(time_ms, leg, close=judged.close_of(time_ms, leg) * 1.0001)
    judged.analyst.look()
    ended_there = {each.start_ms for each in before if time_ms in (each.start_ms, each.end_ms)}
    assert judged.revised() == (sorted(ended_there, reverse=True), [])
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
    assert judged.revised() == ([], hit)
    assert trips[1].entry_ms in hit


def test_what_was_rewritten_while_the_analyst_was_away_is_seen_when_it_is_back(
    judged: Judged,
) -> None:
    one = judged.episodes()[2]
    judged.rewrite(one.start_ms, 0, close=judged.close_of(one.start_ms, 0) * 0.999)
    analyst(judged.reader, judged.desk).look()
    assert one.start_ms in judged.revised()[0]


def test_a_bar_that_nothing_hangs_on_marks_nothing_and_a_bar_that_is_gone_neither(
    judged: Judged,
) -> None:
    found = judged.episodes()
    busy = {time_ms for one in found for time_ms in (one.start_ms, one.end_ms)}
    trips = judged.reader.paper_trips(judged.rule.rule_id, judged.rule.born_ms)
    busy |= {time_ms for trip in trips for time_ms in (trip.entry_ms, trip.exit_ms)}
    quiet = next(time for time in map(judged.desk.at, range(BORN, ROWS)) if time not in busy)
    judged.rewrite(quiet, 0, close=1.0)
    with judged.desk.writer.transaction() as tx:
        tx.run("DELETE FROM bars WHERE open_time_ms = ?", found[1].start_ms)
        market.rise_revision(tx, judged.desk.ids["BTCUSDT"])
    judged.analyst.look()
    assert judged.revised() == ([], [])


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

    def counted(reader: Reader, writer: Writer, rule: StoredRule) -> int:
        asked.append(rule.rule_id)
        return 0

    monkeypatch.setattr("ingest.analysis.evaluation.mark_revised", counted)
    judged.analyst.look()
    assert asked == []
    judged.rewrite(judged.desk.at(BORN), 0, close=1.0)
    judged.analyst.look()
    judged.analyst.look()
    assert asked == [judged.rule.rule_id]
