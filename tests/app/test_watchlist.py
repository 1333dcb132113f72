"""The desk at a glance: every rule with its pair's own numbers, in one call of a bounded cost."""

import itertools
import math
from typing import Any

import pytest

from app.services import Desk
from app.services import pairs as pair_services
from app.services.watchlist import WatchlistService, distance_to_entry, distance_to_exit
from core.rule_spec import read_rule_spec
from core.settings import Settings
from ingest.store.transaction import Writer
from tests.app.test_rules_api import HOME, RULE, OwnDesk
from tests.app.test_rules_api import own as own

QUERY = "window=30&hedge_window=100&entry_z=0.3&bars=240&points=120"


def listed(own: OwnDesk) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = own.client.get("/api/watchlist").get_json()["rules"]
    return rules


def services(own: OwnDesk) -> Desk:
    desk: Desk = own.client.application.extensions["pairdesk"]
    return desk


def test_a_row_has_the_numbers_that_the_pair_s_own_page_has(own: OwnDesk) -> None:
    own.make(note="mine", exit_z=-0.1)
    for change in (0.02, 0.0):
        own.close_bar(change)
    (row,) = listed(own)
    pair = own.client.get(f"/analytics/pair?{QUERY}&exit_z=-0.1").get_json()
    for name in ("as_of", "zscore", "zscore_provisional", "half_life_bars", "required_z"):
        assert row[name] == pair[name], name
    assert row["pvalue_both"] == pair["cointegration"]["pvalue_both"]
    assert row["sparkline"] == pair["series"]["zscore"]
    assert len(row["sparkline"]) == 120
    assert (row["state"], row["side"], row["note"]) == ("firing", "short_spread", "mine")
    assert row["distance_to_entry"] == pytest.approx(0.3 - pair["zscore"])
    assert row["distance_to_exit"] == pytest.approx(pair["zscore"] + 0.1)
    assert row["newest"]
    (firing,) = row["firing"]
    (alert,) = own.client.get("/api/alerts").get_json()["alerts"]
    assert firing == {name: alert[name] for name in firing}
    assert row["pnl_open"] == own.client.get("/api/paper/1").get_json()["position"]["pnl_open"]
    missing = {name for name in ("half_life_bars", "required_z") if row[name] is None}
    assert missing <= {line.partition(":")[0] for line in row["warnings"]}


def test_relationships_and_data_stand_in_the_list_by_what_they_watch(own: OwnDesk) -> None:
    relationship = {name: value for name, value in RULE.items() if name != "paper"}
    relationship |= {"kind": "relationship", "measure": "correlation", "below": -0.5}
    own.client.post("/api/rules", json=relationship, headers=HOME)
    own.client.post("/api/rules", json={"kind": "data"}, headers=HOME)
    own.close_bar(0.0)
    one, data = listed(own)
    why = own.client.get("/api/rules/1/why").get_json()["decisions"][0]
    assert one["value"] == why["values"]["value"]
    assert one["distance_to_entry"] == pytest.approx(one["value"] + 0.5)
    assert one["zscore"] is not None
    assert (data["zscore"], data["value"], data["symbol_a"]) == (None, None, None)
    assert data["words"].startswith("fired: nothing from the exchange")


def test_a_paused_rule_says_so_and_one_without_a_bar_yet_has_no_state(own: OwnDesk) -> None:
    own.make()
    own.make(enabled=False)
    assert [row["state"] for row in listed(own)] == [None, "paused"]


@pytest.mark.parametrize(
    ("changes", "value", "directions", "to_entry", "to_exit"),
    [
        ({"entry_z": 2, "exit_z": 0.5}, 1.5, [], 0.5, None),
        ({"entry_z": 2, "exit_z": 0.5}, -1.5, [], 0.5, None),
        ({"entry_z": 2, "exit_z": 0.5}, 2.75, ["short_spread"], -0.75, 2.25),
        ({"entry_z": 2, "exit_z": 0.5}, -1.25, ["long_spread"], 0.75, 0.75),
        ({"entry_z": 2, "exit_z": -0.5}, 0.25, ["no_data", "long_spread"], 1.75, 0.25),
        ({"measure": "correlation", "below": 0.25}, 0.5, [], 0.25, None),
        ({"measure": "correlation", "below": 0.25}, 0.125, ["below"], -0.125, 0.125),
        ({"measure": "correlation", "above": 0.75, "hysteresis": 0.25}, 1.0, ["above"], -0.25, 0.5),
        ({"measure": "correlation", "below": 0.25, "above": 0.75}, 0.625, [], 0.125, None),
        ({"measure": "correlation", "below": 0.25}, math.nan, [], None, None),
    ],
)
def test_the_distance_is_what_the_value_lacks_to_fire_or_to_resolve(
    changes: dict[str, Any],
    value: float,
    directions: list[str],
    to_entry: float | None,
    to_exit: float | None,
) -> None:
    kind = "relationship" if "measure" in changes else "zscore"
    spec = read_rule_spec({"kind": kind, **changes}, Settings())
    entry, leave = distance_to_entry(spec, value), distance_to_exit(spec, value, directions)
    assert (None if math.isnan(entry) else entry) == to_entry
    assert (None if math.isnan(leave) else leave) == to_exit


@pytest.fixture
def analyses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which pairs were computed, by their window."""
    done = list[str]()
    analyse = pair_services.pairs.analyse_pair

    def counted(spec: Any, *rest: Any) -> Any:
        done.append(spec.window)
        return analyse(spec, *rest)

    monkeypatch.setattr(pair_services.pairs, "analyse_pair", counted)
    return done


def test_rules_of_one_pair_are_computed_once_and_asking_again_computes_nothing(
    own: OwnDesk, analyses: list[int]
) -> None:
    for changes in ({}, {"note": "the same pair"}, {"window": 40}):
        own.make(**changes)
    listed(own)
    assert analyses == [30, 40]
    first = services(own).watchlist.view()
    assert services(own).watchlist.view() is first
    own.close_bar(0.0)
    assert [row["as_of"] for row in listed(own)] == ["2026-11-23T02:32:00Z"] * 3
    assert analyses == [30, 40, 30, 40]


def test_what_time_does_not_suffice_for_shows_what_was_known_and_comes_with_the_next_call(
    own: OwnDesk, analyses: list[int]
) -> None:
    for window in (30, 40, 50):
        own.make(window=window)
    desk = services(own)
    ticks = itertools.count()
    # Each look at this clock is a quarter of a second later: one pair, perhaps two in one go.
    slow = WatchlistService(
        desk.pairs, desk.watchlist._look, desk.watchlist._record, lambda: next(ticks) / 4
    )
    seen = []
    for _ in range(4):
        view = slow.view()
        seen.append(([row.pair is not None for row in view.rules], view.is_whole))
    assert seen == [
        ([True, False, False], False),
        ([True, True, False], False),
        ([True, True, True], True),
        ([True, True, True], True),
    ]
    assert analyses == [30, 40, 50]
    own.close_bar(0.0)
    view = slow.view()
    newest = [row.pair.is_newest for row in view.rules if row.pair]
    assert newest == [True, False, False]
    assert all(row.pair and row.pair.closed for row in view.rules)


def test_a_rule_whose_symbol_was_forgotten_says_so_and_hides_no_other(
    own: OwnDesk, own_writer: Writer
) -> None:
    own.make(symbol_b="DOGEUSDT")
    own.make()
    with own_writer.transaction() as tx:
        tx.run("DELETE FROM cursors WHERE symbol_id = ?", own.ids["DOGEUSDT"])
        tx.run("DELETE FROM symbols WHERE symbol = 'DOGEUSDT'")
    own.now_ms += 1_000
    gone, there = listed(own)
    assert gone["warnings"] == ["pair: DOGEUSDT: not ingested here"]
    assert (gone["zscore"], gone["newest"]) == (None, False)
    assert there["zscore"] is not None
