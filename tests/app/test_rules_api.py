"""Rules by API: made, changed and found again with their reasons, by those who may."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from app import create_app
from core.settings import Settings
from core.types import Origin
from ingest.analysis.evaluation import Evaluation
from ingest.store import market
from ingest.store.desk_book import DeskBook
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.app.conftest import FORMING_OPEN_MS, MINUTE, NOW_MS
from tests.support.market import plain_bar

HOME = {"Origin": "http://localhost"}
RULE = {
    "kind": "zscore", "symbol_a": "BTCUSDT", "symbol_b": "ETHUSDT", "window": 30,
    "hedge_window": 100, "entry_z": 0.3, "bars": 240, "paper": True,
}  # fmt: skip


class OwnDesk:
    """A desk over the test's own market, and its analyst."""

    def __init__(self, url: str, writer: Writer, ids: dict[str, int], **settings: str) -> None:
        self.now_ms = NOW_MS
        self.reader, self.writer, self.ids, self.url = Reader(url), writer, ids, url
        self.book = DeskBook(url)
        self.client = self.open(**settings)
        self.closed = 0
        self.analyst = Evaluation(
            self.reader, writer, lambda: self.now_ms, lambda: self.now_ms / 1_000, lambda _: None
        )

    def open(self, **settings: str) -> FlaskClient:
        settings = {"ALERT_CHANNELS": "phone=json://127.0.0.1:9/secret"} | settings
        app = create_app(
            Settings.from_mapping(settings), self.reader, lambda: self.now_ms / 1_000,
            book=self.book,
        )  # fmt: skip
        return app.server.test_client()

    def make(self, **changes: Any) -> Any:
        return self.client.post("/api/rules", json=RULE | changes, headers=HOME)

    def close_bar(self, change: float) -> None:
        """Let a minute close in which leg A moves so much, and judge it."""
        open_ms = FORMING_OPEN_MS + self.closed * MINUTE
        with self.writer.transaction() as tx:
            for symbol, move in (("BTCUSDT", 1 + change), ("ETHUSDT", 1.0)):
                last = float(self.reader.bars(symbol, MINUTE, limit=1).close[-1])
                bar = plain_bar(open_ms, last, last * move)
                market.upsert_bars(tx, self.ids[symbol], MINUTE, [bar], Origin.TRADES)
        self.closed += 1
        self.now_ms += MINUTE
        self.analyst.look()


@pytest.fixture
def own(database_url: str, own_writer: Writer, own_ids: dict[str, int]) -> Iterator[OwnDesk]:
    desk = OwnDesk(database_url, own_writer, own_ids)
    yield desk
    desk.reader.close()
    desk.book.close()


def test_a_note_that_no_log_can_take_is_kept_as_one_that_can_be_written_down(own: OwnDesk) -> None:
    made = own.client.post(
        "/api/rules", data=json.dumps(RULE | {"note": "a\ud800\x1bb\u202ec"}),
        headers=HOME, content_type="application/json",
    )  # fmt: skip
    assert (made.status_code, made.get_json()["note"]) == (201, "a\ufffd\ufffdb\ufffdc")


@pytest.mark.parametrize("body", ["[" * 20_000 + "]" * 20_000, '{"kind": "data"', "{}{}", "\xff"])
def test_a_body_that_is_no_good_json_is_refused_and_no_failure_inside(
    own: OwnDesk, body: str
) -> None:
    answer = own.client.post(
        "/api/rules", data=body.encode("latin-1"), headers=HOME, content_type="application/json"
    )
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert own.client.get("/api/rules").get_json()["rules"] == []


def test_a_rule_is_made_at_the_forming_bar_with_every_parameter_as_used(own: OwnDesk) -> None:
    made = own.make(note="mine", channels=["phone"])
    assert made.status_code == 201
    body = made.get_json()
    assert (body["id"], body["version"]) == (1, 1)
    assert body["born"] == "2026-11-23T02:31:00Z"
    assert {name: body[name] for name in RULE} == RULE
    assert (body["exit_z"], body["fee_bps"], body["for_bars"]) == (0.075, 10.0, 1)
    assert (body["note"], body["channels"], body["measure"]) == ("mine", ["phone"], None)
    assert body["state"] is None
    (listed,) = own.client.get("/api/rules").get_json()["rules"]
    assert listed == body


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"window": 1}, 400, "window"),
        ({"since": 5}, 400, "since"),
        ({"for_bars": 0}, 400, "for_bars"),
        ({"channels": ["phone", "nobody"]}, 400, "channels"),
        ({"kind": "horoscope"}, 400, "kind"),
        ({"measure": "correlation"}, 400, "measure"),
        ({"symbol_b": "NOPEUSDT"}, 404, "symbol_b"),
    ],
)
def test_a_bad_rule_is_refused_by_name_and_not_kept(
    own: OwnDesk, changes: dict[str, Any], status: int, field: str
) -> None:
    refused = own.make(**changes)
    assert refused.status_code == status
    assert [error["field"] for error in refused.get_json()["errors"]] == [field]
    assert own.client.get("/api/rules").get_json() == {"rules": [], "next": None}


@pytest.mark.parametrize("body", ["[]", '"rule"', "null", "{", "3"])
def test_a_body_that_is_no_object_is_a_problem(own: OwnDesk, body: str) -> None:
    for path in ("/api/rules", "/api/alerts/1/acknowledge"):
        answer = own.client.post(path, data=body, headers=HOME, content_type="application/json")
        assert answer.status_code == 400, path
        assert answer.content_type == "application/problem+json"


def test_an_edit_is_a_new_version_that_keeps_what_was_not_given(own: OwnDesk) -> None:
    own.make()
    own.close_bar(0.0)
    path = "/api/rules/1"
    told = own.client.patch(path, json={"cooldown_s": 60}, headers=HOME).get_json()
    assert (told["version"], told["cooldown_s"], told["window"]) == (2, 60, 30)
    assert told["born"] == "2026-11-23T02:31:00Z"
    traded = own.client.patch(path, json={"window": 40}, headers=HOME).get_json()
    assert (traded["version"], traded["born"]) == (3, "2026-11-23T02:32:00Z")
    for body, field in (({"kind": "data"}, "kind"), ({"window": "x"}, "window")):
        refused = own.client.patch(path, json=body, headers=HOME)
        assert refused.status_code == 400
        assert refused.get_json()["errors"][0]["field"] == field
    assert own.client.patch("/api/rules/9", json={}, headers=HOME).status_code == 404


def test_a_deleted_rule_is_gone_and_what_it_found_stays(own: OwnDesk) -> None:
    own.make()
    own.close_bar(0.02)
    assert own.client.delete("/api/rules/1", headers=HOME).status_code == 204
    assert own.client.delete("/api/rules/1", headers=HOME).status_code == 404
    assert own.client.get("/api/rules").get_json() == {"rules": [], "next": None}
    assert own.client.get("/api/rules/1/why").status_code == 404
    assert len(own.client.get("/api/alerts").get_json()["alerts"]) == 1


def test_what_fired_is_found_with_its_reason_and_is_the_signal_of_its_own_link(
    own: OwnDesk,
) -> None:
    own.make(channels=["phone"])
    own.close_bar(0.02)
    (alert,) = own.client.get("/api/alerts").get_json()["alerts"]
    assert (alert["rule_id"], alert["direction"], alert["state"]) == (1, "short_spread", "firing")
    assert (alert["start_time"], alert["end_time"]) == ("2026-11-23T02:31:00Z", None)
    assert alert["words"].startswith("fired: z +")
    assert [(sent["channel"], sent["state"]) for sent in alert["deliveries"]] == [
        ("phone", "pending")
    ]
    assert alert["link"].startswith("/?symbol_a=BTCUSDT&symbol_b=ETHUSDT&timeframe=1m&window=30")
    query = alert["link"].partition("?")[2]
    pair = own.client.get(f"/analytics/pair?{query}").get_json()
    assert pair["signal"] == "short_spread"
    assert pair["zscore"] == alert["z_at_start"]
    (why,) = own.client.get("/api/rules/1/why").get_json()["decisions"]
    assert why["words"] == alert["words"]
    assert why["values"]["zscore"] == alert["z_at_start"]
    (rule,) = own.client.get("/api/rules").get_json()["rules"]
    assert (rule["state"], rule["judged"]) == ("firing", "2026-11-23T02:31:00Z")


def test_the_paper_of_a_rule_is_the_backtest_since_its_birth(own: OwnDesk) -> None:
    born = own.make().get_json()["born"]
    for change in (0.02, 0.0, -0.03, 0.0, 0.04, -0.02, 0.01, 0.0, -0.01, 0.0):
        own.close_bar(change)
    query = f"window=30&hedge_window=100&entry_z=0.3&bars=240&since={born}"
    backtest = own.client.get(f"/analytics/pair?{query}").get_json()["backtest"]
    rule = own.reader.rules()[0]
    equity = own.reader.paper_equity(1, rule.born_ms)
    assert [list(column) for column in zip(*equity, strict=True)] == [
        backtest["equity"]["time"], backtest["equity"]["value"],
    ]  # fmt: skip
    paper = own.client.get("/api/paper/1").get_json()
    assert paper["equity"] == {key: backtest["equity"][key] for key in ("time", "value")}
    trips = own.reader.paper_trips(1, rule.born_ms)
    closed = [trade for trade in backtest["trades"] if trade["exit_reason"] != "open"]
    assert len(closed) >= 2
    assert [(trip.pnl, trip.quantity_a) for trip in trips if trip.exit_ms is not None] == [
        (trade["pnl"], trade["quantity_a"]) for trade in closed
    ]


def test_history_and_reasons_come_in_pages_without_a_repeat_or_a_miss(own: OwnDesk) -> None:
    own.make()
    for change in (0.02, -0.03, 0.04, -0.05, 0.06):
        own.close_bar(change)
    for path, key, name in (
        ("/api/alerts", "alerts", "id"),
        ("/api/rules/1/why", "decisions", "time"),
    ):
        every = [one[name] for one in own.client.get(path).get_json()[key]]
        assert len(every) >= 3
        paged, before = list[Any](), ""
        for _ in range(len(every) + 1):
            page = own.client.get(f"{path}?limit=2{before}").get_json()
            paged += [one[name] for one in page[key]]
            if page["next"] is None:
                break
            before = f"&before={page['next']}"
        assert paged == every
    assert own.client.get("/api/alerts?rule_id=2").get_json()["alerts"] == []
    open_ = own.client.get("/api/alerts?state=open").get_json()["alerts"]
    assert {one["state"] for one in open_} <= {"firing", "recovering"}
    refused = own.client.get("/api/alerts?symbol_a=BTCUSDT")
    assert refused.get_json()["errors"][0]["field"] == "symbol_b"


def test_rules_and_paper_are_chosen_and_come_in_pages(own: OwnDesk) -> None:
    for changes in ({}, {"enabled": False}, {"symbol_a": "ETHUSDT", "symbol_b": "BTCUSDT"}):
        own.make(**changes)
    data = {"kind": "data", "symbols": ["BTCUSDT"]}
    assert own.client.post("/api/rules", json=data, headers=HOME).status_code == 201
    own.close_bar(0.02)

    def ids(path: str, key: str = "rules", name: str = "id") -> tuple[list[int], int | None]:
        answer = own.client.get(path).get_json()
        return [one[name] for one in answer[key]], answer["next"]

    assert ids("/api/rules") == ([1, 2, 3, 4], None)
    for asked, found in (
        ("rule_id=3", [3]), ("rule_id=9", []), ("kind=data", [4]), ("kind=zscore", [1, 2, 3]),
        ("symbol_a=BTCUSDT&symbol_b=ETHUSDT", [1, 2]), ("state=paused", [2]),
        ("state=enabled", [1, 3, 4]), ("kind=zscore&state=enabled&rule_id=2", []),
    ):  # fmt: skip
        assert ids(f"/api/rules?{asked}") == (found, None), asked
    assert ids("/api/rules?limit=3") == ([1, 2, 3], 3)
    assert ids("/api/rules?limit=3&after=3") == ([4], None)
    assert ids("/api/rules?limit=2&kind=zscore&state=enabled") == ([1, 3], None)
    held = "positions", "rule_id"
    assert ids("/api/paper", *held) == ([1, 3], None)
    assert ids("/api/paper?rule_id=3", *held) == ([3], None)
    assert ids("/api/paper?symbol_a=BTCUSDT&symbol_b=ETHUSDT", *held) == ([1], None)
    assert ids("/api/paper?limit=1", *held) == ([1], 1)
    assert ids("/api/paper?limit=1&after=1", *held) == ([3], None)
    whole, page = (own.client.get(f"/api/paper{asked}").get_json() for asked in ("", "?limit=1"))
    assert page["books"] == whole["books"]
    alone = own.client.get("/api/paper?rule_id=3").get_json()
    assert alone["books"][0]["notional"] == 10_000
    for path in ("/api/rules", "/api/paper"):
        for asked, field in (("limit=0", "limit"), ("symbol_b=BTCUSDT", "symbol_a"), ("x=1", "x")):
            refused = own.client.get(f"{path}?{asked}")
            assert refused.status_code == 400
            assert refused.get_json()["errors"][0]["field"] == field


def test_an_alert_is_acknowledged_once_and_the_first_word_stands(own: OwnDesk) -> None:
    own.make()
    own.close_bar(0.02)
    path = "/api/alerts/1/acknowledge"
    told = own.client.post(path, json={"by": "Ada"}, headers=HOME).get_json()
    assert told["acknowledged_by"] == "Ada"
    told = own.client.post(path, json={}, headers=HOME).get_json()
    assert told["acknowledged_by"] == "Ada"
    assert own.client.post("/api/alerts/7/acknowledge", json={}, headers=HOME).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "https://localhost"}, 403),
        ({"Origin": "http://localhost:81"}, 403),
        ({**HOME, "X-Forwarded-For": "10.0.0.9"}, 403),
        ({**HOME, "Content-Type": "text/plain"}, 415),
        ({**HOME, "Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_a_page_of_another_site_or_another_machine_writes_nothing(
    own: OwnDesk, headers: dict[str, str], status: int
) -> None:
    content = b'{"kind":"data"}'
    given = {"Content-Type": "application/json"} | headers
    assert own.client.post("/api/rules", data=content, headers=given).status_code == status
    if status == 403:
        assert own.client.delete("/api/rules/1", headers=headers).status_code == 403
    assert own.client.get("/api/rules").get_json() == {"rules": [], "next": None}


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "desk.example.com"])
def test_a_desk_that_others_can_reach_takes_no_writes_and_says_what_would_help(
    own: OwnDesk, host: str
) -> None:
    client = own.open(HOST=host)
    refused = client.post("/api/rules", json=RULE, headers=HOME)
    assert refused.status_code == 403
    assert "HOST=127.0.0.1" in refused.get_json()["detail"]
    assert client.get("/api/rules").status_code == 200


def test_a_desk_opened_for_reading_says_so(client: FlaskClient) -> None:
    refused = client.post("/api/rules", json=RULE, headers=HOME)
    assert refused.status_code == 403
    assert "reading only" in refused.get_json()["detail"]


def test_paper_positions_of_one_currency_are_one_book(own: OwnDesk) -> None:
    assert own.client.get("/api/paper").get_json() == {
        "positions": [], "books": [], "next": None,
    }  # fmt: skip
    own.make()
    own.make(notional=5_000)
    for change in (0.02, 0.0, 0.001):
        own.close_bar(change)
    answer = own.client.get("/api/paper").get_json()
    one, two = answer["positions"]
    assert (one["side"], one["entry_time"]) == ("short_spread", "2026-11-23T02:32:00Z")
    assert two["quantity_a"] == pytest.approx(one["quantity_a"] / 2)
    (book,) = answer["books"]
    assert (book["quote"], book["notional"]) == ("USDT", 15_000)
    for name in ("equity", "pnl_open", "costs"):
        assert book[name] == pytest.approx(one[name] + two[name])
    held = book["exposure"]["BTCUSDT"]
    assert held["quantity"] == pytest.approx(one["quantity_a"] + two["quantity_a"])
    assert held["value"] == pytest.approx(held["quantity"] * one["mark_a"])
    of_rule = own.client.get("/api/paper/1").get_json()
    assert of_rule["position"] == one
    assert [trip["entry_time"] for trip in of_rule["trips"]] == [one["entry_time"]]
    assert own.client.get("/api/paper/9").status_code == 404
