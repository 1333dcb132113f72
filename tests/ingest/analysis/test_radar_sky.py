"""Radar rules over the bars and the scan of the store, beside each pair's own z."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from core.job_spec import SCANNED_BARS, read_job_spec
from core.pair_spec import read_pair_spec
from core.regression import rolling_hedge
from core.rule_spec import read_rule_spec
from core.settings import Settings
from core.spread import break_even_z
from ingest.analysis.channels import open_channels
from ingest.analysis.delivery import GATHER_MS, Courier
from ingest.analysis.evaluation import Evaluation
from ingest.analysis.scanning import scan_market
from ingest.analysis.work import Work
from ingest.store import jobs, rules
from ingest.store.rules import StoredRule
from tests.support.hours import END_MS, HOUR, Hours
from tests.support.sink import Sink
from tests.support.sink import sink as sink

ROWS, WATCHED = 1_500, 40
RULE = {"kind": "radar", "max_median": 1.0, "min_quote_volume": 0.0, "channels": ["phone"]}
Found = set[tuple[str, str, str, int, int | None]]


@pytest.fixture
def market(database_url: str) -> Iterator[Hours]:
    hours = Hours(database_url)
    hours.fill(rows=ROWS)
    yield hours
    hours.shut()


def do_scan(hours: Hours) -> None:
    spec = read_job_spec({"kind": "scan", "timeframe": "1h", "bars": SCANNED_BARS}, Settings())
    with hours.writer.transaction() as tx:
        jobs.ask(tx, spec, "me", END_MS)
        claimed = jobs.claim(tx, "scan", END_MS)
    assert claimed is not None
    scan_market(Work(Settings(), hours.reader, hours.writer, *claimed, spec))


def create(hours: Hours, bars: int = WATCHED, **changes: object) -> StoredRule:
    spec = read_rule_spec({**RULE, **changes}, Settings())
    with hours.writer.transaction() as tx:
        return rules.create(tx, spec, END_MS - bars * HOUR, END_MS)


def analyst(hours: Hours) -> Evaluation:
    """One whose clock goes on by a minute at each look at it."""
    clock = itertools.count(step=60.0)
    return Evaluation(
        hours.reader, hours.writer, lambda: hours.end_ms, lambda: next(clock), lambda _: None
    )


def expected(hours: Hours, rule: StoredRule, bars: int = WATCHED) -> Found:
    """What fires, by the plain z of each pair that the scan has, bar by bar."""
    watch, table = rule.spec.radar, hours.reader.scan_table("1h", SCANNED_BARS)
    assert watch is not None
    assert table is not None
    stored, columns = table
    names, pair = stored.head["symbols"], read_pair_spec({}, Settings())
    closes = {name: np.log(hours.reader.bars(name, HOUR).close) for name in names}
    found: Found = set()
    for row, (first, second) in enumerate(zip(columns["leg_a"], columns["leg_b"], strict=True)):
        if watch.max_q is not None and not columns["qvalue"][row] <= watch.max_q:
            continue
        a, b = names[int(first)], names[int(second)]
        hedge = rolling_hedge(
            closes[a], closes[b], first_index=0, hedge_window=watch.hedge_window,
            window=watch.window,
        )  # fmt: skip
        held, start = 0, 0
        for bar in range(ROWS - bars, ROWS):
            z, ratio, std = (
                float(column[bar]) for column in (hedge.zscore, hedge.hedge_ratio, hedge.spread_std)
            )
            even = break_even_z(watch.back_z, ratio, std, pair.fee_bps, pair.slippage_bps)
            beyond = ratio > 0 and abs(z) >= (watch.min_z or even)
            side = 1 if z < 0 else -1
            time_ms = END_MS - (ROWS - bar) * HOUR
            name = {1: "long_spread", -1: "short_spread"}
            if held and ((beyond and side != held) or -held * z <= watch.back_z):
                found.remove((a, b, name[held], start, None))
                found.add((a, b, name[held], start, time_ms))
                held = 0
            if not held and beyond:
                held, start = side, time_ms
                found.add((a, b, name[held], start, None))
    return found


def recorded(hours: Hours, rule: StoredRule) -> Found:
    return {
        (str(one.symbol_a), str(one.symbol_b), one.direction, one.start_ms, one.end_ms)
        for one in hours.reader.alerts(rule_id=rule.rule_id, limit=1_000)
    }


@pytest.mark.parametrize("changes", [{"min_z": 2.0}, {}, {"min_z": 1.5, "max_q": 0.05}])
def test_what_fires_is_who_is_far_out_by_the_pair_s_own_z(
    market: Hours, changes: dict[str, float]
) -> None:
    do_scan(market)
    rule = create(market, **changes)
    assert analyst(market).look() == WATCHED
    found = recorded(market, rule)
    assert found == expected(market, rule)
    assert any(end is not None for *_, end in found)
    sent = [one for alert in market.reader.alerts() for one in alert.deliveries]
    assert len(sent) == sum(end is None for *_, end in found), "of what still fires, and no more"


def test_an_episode_has_its_pair_its_own_words_and_the_pair_s_own_series(market: Hours) -> None:
    do_scan(market)
    rule = create(market, min_z=2.0)
    analyst(market).look()
    one = next(alert for alert in market.reader.alerts() if alert.state == "firing")
    assert one.values["zscore"] == one.value_at_start
    assert one.words.startswith(f"{one.symbol_a} / {one.symbol_b} z ")
    assert f"symbol_a={one.symbol_a}&symbol_b={one.symbol_b}" in rule.link_of(
        one.symbol_a, one.symbol_b
    )
    assert rule.link == "/scanner"
    assert one.symbol_a is not None
    assert one.symbol_b is not None
    same = market.reader.alerts(symbols=(one.symbol_a, one.symbol_b))
    assert one.episode_id in [each.episode_id for each in same]
    assert {(each.symbol_a, each.symbol_b) for each in same} == {(one.symbol_a, one.symbol_b)}
    assert market.reader.alerts(symbols=(one.symbol_b, one.symbol_a)) == []


def test_pairs_that_fire_together_come_in_one_message_each_with_its_own_link(
    market: Hours, sink: Sink
) -> None:
    do_scan(market)
    rule = create(market, bars=1, min_z=0.3, back_z=0.1)
    analyst(market).look()
    fired = market.reader.alerts(still_open=True)
    assert len(fired) > 3
    address = f"phone=webhook+http://127.0.0.1:{sink.server_port}/hook"
    settings, now_ms = Settings.from_mapping({"ALERT_CHANNELS": address}), market.end_ms
    channels = open_channels(settings, lambda: now_ms / 1_000)
    courier = Courier(market.reader, market.writer, channels, "http://desk", lambda: now_ms)
    assert courier.due() == [], "others may still fire at this bar"
    now_ms += GATHER_MS
    (parcel,) = courier.due()
    courier.note(parcel, courier.send(parcel))
    assert courier.due() == []
    ((_, body),) = sink.taken
    assert {(one["key"], one["link"]) for one in body["alerts"]} == {
        (f"{rule.rule_id}.1.{one.direction}:{one.symbol_a}/{one.symbol_b}.{one.start_ms}.fired",
         f"http://desk{rule.link_of(one.symbol_a, one.symbol_b)}")
        for one in fired
    }  # fmt: skip
    assert len(body["alerts"]) == len(fired)


def test_a_restart_judges_no_bar_twice_and_announces_nothing_again(market: Hours) -> None:
    do_scan(market)
    rule = create(market, min_z=2.0)
    analyst(market).look()
    before = market.reader.alerts(limit=1_000)
    assert analyst(market).look() == 0
    assert market.reader.alerts(limit=1_000) == before
    market.close()
    assert analyst(market).look() == 1
    (newest, *_) = market.reader.decisions(rule.rule_id, limit=1)
    assert newest.open_time_ms == END_MS
    assert not newest.late


def test_without_a_scan_the_rule_says_so_and_begins_when_there_is_one(market: Hours) -> None:
    rule = create(market, bars=1, min_z=2.0)
    judge = analyst(market)
    judge.look()
    standing = market.reader.standings()[rule.rule_id]
    assert standing.words == "nothing to judge: no scan of 1h yet, 1 of 5 bars"
    do_scan(market)
    market.close()
    judge.look()
    assert "pairs that pass" in market.reader.standings()[rule.rule_id].words


def test_an_edit_of_words_leaves_what_fires_as_it_is(market: Hours) -> None:
    do_scan(market)
    rule = create(market, bars=1, min_z=0.3, back_z=0.1)
    analyst(market).look()
    before = market.reader.alerts(still_open=True)
    assert len(before) > 3
    edited = replace(rule.spec, watch=replace(rule.spec.watch, note="seen"))
    with market.writer.transaction() as tx:
        rules.edit(tx, rule.rule_id, edited, END_MS, END_MS)
    market.close()
    analyst(market).look()
    still = {one.episode_id: one for one in market.reader.alerts(still_open=True)}
    assert still
    assert all(one.version == 1 for one in still.values() if one.start_ms < END_MS)
    told = [one.deliveries for one in market.reader.alerts() if one.episode_id in still]
    assert all([sent.event for sent in sents] == ["fired"] for sents in told)
