"""A rule over every pair, by API and on the page: each episode is one pair's."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from app import create_app
from app.services import Desk
from app.views.alerts import ids, watchlist
from app.views.alerts.asked import read_asked
from app.views.alerts.parts import parts
from core.settings import Settings
from ingest.analysis.evaluation import Evaluation
from ingest.store.desk_book import DeskBook
from tests.app.test_rules_api import HOME
from tests.app.test_scan_api import Scanned
from tests.app.test_scan_api import scanned as scanned  # a market of its own

RULE = {"kind": "radar", "min_z": 0.3, "back_z": 0.1, "max_median": 1, "min_quote_volume": 0}


class Watched:
    """A scanned market whose next hour closes under a radar rule."""

    def __init__(self, market: Scanned) -> None:
        self.market, self.book = market, DeskBook(market.hours.url)
        self.app = create_app(Settings(), market.reader, lambda: market.now_s, book=self.book)
        self.client = self.app.server.test_client()
        self.rule = self.client.post("/api/rules", json=RULE, headers=HOME)
        market.hours.close()
        market.now_s += 3_600
        now_ms = market.now_s * 1_000
        Evaluation(
            market.hours.reader, market.hours.writer, lambda: round(now_ms), lambda: market.now_s,
            lambda _: None,
        ).look()  # fmt: skip

    @property
    def desk(self) -> Desk:
        desk: Desk = self.app.server.extensions["pairdesk"]
        return desk

    def get(self, path: str) -> Any:
        return self.client.get(path).json


@pytest.fixture(scope="module")
def watched(scanned: Scanned) -> Iterator[Watched]:
    made = Watched(scanned)
    yield made
    made.book.close()


def test_a_rule_over_every_pair_is_made_and_said_back_whole(watched: Watched) -> None:
    assert watched.rule.status_code == 201, watched.rule.json
    body = watched.rule.json
    assert {name: body[name] for name in RULE} == RULE
    assert (body["symbol_a"], body["timeframe"], body["link"]) == (None, "1h", "/scanner")
    assert body["fee_bps"] == Settings().fee_bps
    wrong = watched.client.post("/api/rules", json=RULE | {"timeframe": "15m"}, headers=HOME)
    assert wrong.status_code == 400
    assert wrong.json["errors"] == [
        {"field": "timeframe", "message": "15m is not scanned", "allowed": "1h, 5m"}
    ]


def test_each_alert_is_of_one_pair_and_leads_to_its_own_series(watched: Watched) -> None:
    alerts = watched.get("/api/alerts?kind=radar")["alerts"]
    pairs = [frozenset((one["symbol_a"], one["symbol_b"])) for one in alerts]
    assert len(alerts) > 3
    assert len(set(pairs)) == len(pairs)
    one = alerts[0]
    own = watched.get(f"/analytics/pair{one['link'].removeprefix('/')}&points=0")
    assert (own["symbol_a"], own["symbol_b"]) == (one["symbol_a"], one["symbol_b"])
    assert own["zscore"] == one["z_at_start"] == one["values"]["zscore"]
    assert one["direction"] == ("short_spread" if one["z_at_start"] > 0 else "long_spread")
    named = watched.get(f"/api/alerts?symbol_a={one['symbol_a']}&symbol_b={one['symbol_b']}")
    assert [each["id"] for each in named["alerts"]] == [one["id"]]
    (row,) = watched.get("/api/watchlist")["rules"]
    assert (row["kind"], row["state"], len(row["firing"])) == ("radar", "firing", len(alerts))
    assert row["warnings"] == []


def test_the_page_shows_each_pair_with_what_to_do_and_its_chart(watched: Watched) -> None:
    one = watched.get("/api/alerts?kind=radar")["alerts"][0]
    made = parts(watched.desk, read_asked({"alert": one["id"]}))
    a, b = (one[leg].removesuffix("USDT") for leg in ("symbol_a", "symbol_b"))
    shown = {name: str(part) for name, part in made.items()}
    deed = f"sell {a}, buy {b}" if one["z_at_start"] > 0 else f"buy {a}, sell {b}"
    for place in (ids.FIRING, ids.HISTORY):
        assert f"{a} / {b}" in shown[place]
        assert deed in shown[place]
    assert "any pair that passes" in shown[ids.WATCHLIST]
    assert "1h · radar · quarters ≤ 1 · |z| ≥ 0.3" in shown[ids.WATCHLIST]
    assert "No chart" not in shown[ids.EPISODE]
    assert "counts from 0.30" in shown[ids.EPISODE]


def test_a_burst_leaves_the_watchlist_in_sight_and_is_seen_with_one_click(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchlist, "MOST_CARDS", 2)
    alerts = watched.get("/api/alerts?kind=radar&state=open")["alerts"]
    shown = str(parts(watched.desk, read_asked({}))[ids.FIRING])
    assert shown.count("<article") == 2
    assert f"{len(alerts) - 2} more fire: they follow as these are seen." in shown
    every = re.search(r'data-id="([0-9 ]+)"[^>]*>Acknowledge all', shown)
    assert every
    assert sorted(map(int, every[1].split())) == sorted(one["id"] for one in alerts)


def test_an_edit_of_words_announces_nothing_again(watched: Watched) -> None:
    before = watched.get("/api/alerts?kind=radar")["alerts"]
    rule_id = watched.rule.json["id"]
    answer = watched.client.patch(f"/api/rules/{rule_id}", json={"note": "x"}, headers=HOME)
    assert answer.status_code == 200
    assert watched.get("/api/alerts?kind=radar")["alerts"] == before
