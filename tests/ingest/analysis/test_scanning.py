"""Scans by schedule and what the store keeps of them, against the scan itself."""

import dataclasses

import numpy as np
import pytest

from core.job_spec import job_body, read_job_spec
from core.pair_spec import read_pair_spec
from core.scan import Scan, scan
from core.settings import Settings
from core.universe import universe_of
from ingest.analysis.scan_times import ScanTimes
from ingest.analysis.scanning import NothingToScan, head_of, keep, read_universe, scan_market
from ingest.analysis.work import NotWanted, Work
from ingest.store import jobs, scans
from tests.support.hours import END_MS, HOUR, Hours

BARS = 300
SPEC = read_job_spec({"kind": "scan", "timeframe": "1h", "bars": BARS}, Settings())
NOW_MS = END_MS + 60_000


def work_of(hours: Hours) -> Work:
    with hours.writer.transaction() as tx:
        jobs.ask(tx, SPEC, "me", NOW_MS)
        claimed = jobs.claim(tx, "scan", NOW_MS)
    assert claimed is not None
    return Work(Settings(), hours.reader, hours.writer, claimed[0], 1, SPEC)


def scanned(hours: Hours) -> Scan:
    """The same bars through `core` alone."""
    legs = {symbol: hours.reader.bars(symbol, HOUR) for symbol in hours.ids}
    universe = universe_of(legs, HOUR, BARS)
    assert universe is not None
    return scan(universe, read_pair_spec({"timeframe": "1h", "bars": BARS}, Settings()))


def test_what_is_stored_is_the_scan_of_the_stored_bars(hours: Hours) -> None:
    hours.fill()
    hours.tell_history(5, 5)
    result, words = scan_market(work_of(hours))
    expected = scanned(hours)
    found = hours.reader.scan_table("1h", BARS)
    assert found is not None
    stored, columns = found
    table = expected.table
    for name in ("leg_a", "leg_b", "lags", "pvalue", "qvalue", "statistic", "zscore"):
        np.testing.assert_allclose(columns[name], getattr(table, name), rtol=1e-9)
    for number in range(4):
        np.testing.assert_allclose(columns[f"p_quarter_{number}"], table.p_quarters[:, number])
    assert stored.as_of_ms == END_MS
    assert stored.head["symbols"] == list(hours.ids)
    assert stored.head["start_ms"] == END_MS - BARS * HOUR
    assert stored.head["found_q05"] == expected.found_q05 >= 1
    assert stored.head["null_range_p05"] == list(expected.null_range_p05)
    assert stored.head["quote_volume_24h"] == [24e6] * 6
    assert stored.head["is_history_whole"] is True
    assert result["pairs_tested"] == len(table) == 15
    assert words.startswith("15 pairs in ")


def test_the_past_of_a_pair_is_what_each_scan_found_of_it(hours: Hours) -> None:
    hours.fill()
    scan_market(work_of(hours))
    before = scanned(hours).table
    hours.close()
    scan_market(work_of(hours))
    for first, second in (("ACOINUSDT", "BCOINUSDT"), ("BCOINUSDT", "ACOINUSDT")):
        past = hours.reader.past_scans("1h", BARS, first, second, 10)
        assert [one.as_of_ms for one in past] == [END_MS, END_MS + HOUR]
        (row,) = np.flatnonzero((np.minimum(before.leg_a, before.leg_b) == 0)
                                & (np.maximum(before.leg_a, before.leg_b) == 1))  # fmt: skip
        assert past[0].pvalue == pytest.approx(before.pvalue[row], rel=1e-6)
        assert past[0].hedge_ratio == pytest.approx(before.hedge_ratio[row], rel=1e-6)
        assert past[0].p_quarters == pytest.approx(before.p_quarters[row], rel=1e-6)
        assert past[0].is_reversed is bool(before.leg_a[row] == 1)
    assert hours.reader.past_scans("1h", BARS, "ACOINUSDT", "NOCOINUSDT", 10) == []
    assert hours.reader.past_scans("5m", BARS, "ACOINUSDT", "BCOINUSDT", 10) == []


def test_a_scan_half_written_is_never_seen_and_goes_with_the_next(hours: Hours) -> None:
    hours.fill()
    with hours.writer.transaction() as tx:
        cut_off = scans.begin(tx, scans.ScanKey("1h", BARS, END_MS, NOW_MS, 15), "{}")
        next(scans.column_pieces(cut_off, {"pvalue": np.ones(15)}))(tx)
    assert hours.reader.newest_scan("1h") is None
    assert hours.reader.scan_table("1h", BARS) is None
    scan_market(work_of(hours))
    with hours.writer.transaction() as tx:
        assert tx.run("SELECT COUNT(*) FROM scans").scalar_one() == 1
        assert tx.run("SELECT COUNT(*) FROM scan_columns WHERE scan_id = ?", cut_off).scalar() == 0


def test_columns_stay_of_the_newest_scan_and_history_of_so_many(
    hours: Hours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "FEWEST_KEPT", 3)
    monkeypatch.setattr(scans, "KEPT_PAIRS", 45)
    hours.fill()
    found, work = scanned(hours), work_of(hours)
    spec = read_pair_spec({"timeframe": "1h", "bars": BARS}, Settings())
    head = head_of(found, spec, 0.1, False)
    for hour in range(5):
        later = dataclasses.replace(found.universe, as_of_ms=END_MS + hour * HOUR)
        keep(work, dataclasses.replace(found, universe=later), head, "1h", BARS)
    heads = hours.reader.scan_heads("1h", BARS, 10)
    assert [one.as_of_ms - END_MS for one in heads] == [2 * HOUR, 3 * HOUR, 4 * HOUR]
    with hours.writer.transaction() as tx:
        whole = tx.run("SELECT DISTINCT scan_id FROM scan_columns").scalars().all()
        past = tx.run("SELECT DISTINCT scan_id FROM scan_history ORDER BY scan_id").scalars().all()
    assert whole == [heads[-1].scan_id]
    assert past == [one.scan_id for one in heads]


def test_a_scan_that_nobody_waits_for_ends(hours: Hours) -> None:
    hours.fill()
    work = work_of(hours)
    with hours.writer.transaction() as tx:
        jobs.cancel(tx, work.job_id, NOW_MS)
    with pytest.raises(NotWanted):
        scan_market(work)
    assert hours.reader.newest_scan("1h") is None


def test_a_symbol_that_ended_long_ago_is_left_out_and_one_alone_is_no_market(hours: Hours) -> None:
    hours.fill(symbols=10)
    with pytest.raises(NothingToScan):
        read_universe(hours.reader, "5m", BARS)
    names = tuple(hours.ids)
    hours.close(*names[1:], count=BARS + 101)
    assert read_universe(hours.reader, "1h", BARS).symbols == names[1:]


class Schedule:
    """Looks of a schedule, and what they asked for."""

    def __init__(self, hours: Hours) -> None:
        self.hours = hours
        settings = Settings.from_mapping({"SCAN_TIMEFRAMES": "1h,5m"})
        self.times = ScanTimes(hours.reader, hours.writer, settings, lambda: NOW_MS)
        self.hourly = read_job_spec({"kind": "scan", "timeframe": "1h"}, settings)

    def look(self) -> list[dict[str, object]]:
        """What waits after another look; it is taken for done."""
        self.times.look()
        asked = self.hours.reader.open_jobs()
        with self.hours.writer.transaction() as tx:
            for one in asked:
                jobs.cancel(tx, one.job_id, NOW_MS)
        assert all(one.asked_by == "schedule" for one in asked)
        return [one.body for one in asked]


def test_the_market_is_scanned_once_after_each_bar_that_nearly_all_have(hours: Hours) -> None:
    hours.fill(symbols=10)
    schedule = Schedule(hours)
    hourly = [job_body(schedule.hourly)]
    assert schedule.look() == hourly, "5m has no bars"
    assert schedule.look() == []
    names = list(hours.ids)
    hours.close(*names[:8])
    assert schedule.look() == [], "two of ten have not closed"
    hours.close(names[8])
    assert schedule.look() == hourly
    assert schedule.look() == []
    hours.tell_history(3, 5)
    assert schedule.look() == []
    hours.tell_history(5, 5)
    assert schedule.look() == hourly, "what was scanned before had holes"
    assert schedule.look() == []


def test_the_first_scan_waits_for_the_history_or_the_next_bar(hours: Hours) -> None:
    hours.fill()
    hours.tell_history(3, 5)
    schedule = Schedule(hours)
    assert schedule.look() == []
    assert schedule.look() == []
    hours.tell_history(5, 5)
    assert len(schedule.look()) == 1
    slow = Schedule(hours)
    hours.tell_history(3, 5)
    assert slow.look() == []
    hours.close()
    assert len(slow.look()) == 1


def test_no_scan_is_asked_for_beside_one_that_waits_or_of_a_bar_that_is_scanned(
    hours: Hours,
) -> None:
    hours.fill()
    schedule = Schedule(hours)
    with hours.writer.transaction() as tx:
        jobs.ask(tx, schedule.hourly, "me", NOW_MS)
    schedule.times.look()
    assert [one.asked_by for one in hours.reader.open_jobs()] == ["me"]
    with hours.writer.transaction() as tx:
        jobs.cancel(tx, 1, NOW_MS)
        key = scans.ScanKey("1h", schedule.hourly.values["bars"], END_MS, NOW_MS, 15)
        scans.complete(tx, scans.begin(tx, key, '{"is_history_whole":false}'))
    assert schedule.look() == []
    hours.tell_history(5, 5)
    assert len(schedule.look()) == 1
