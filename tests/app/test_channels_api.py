"""How the channels are that alerts go to: told by name, tried by the analyst, addresses nowhere."""

from typing import Any

import pytest

from app.api.values import iso
from core.rule_spec import HEARTBEAT
from ingest.analysis.channels import Message, Refusal
from ingest.analysis.delivery import Courier
from tests.app.test_rules_api import HOME, OwnDesk
from tests.app.test_rules_api import own as own


class Post:
    """The desk's analyst as far as it sends, and a channel that answers as it is told to.

    The dead man's switch answers likewise.
    """

    def __init__(self, own: OwnDesk) -> None:
        self.own = own
        self.refusal: Refusal | None = None
        self.sent: list[Message] = []
        self.courier = Courier(
            own.reader,
            own.writer,
            {"phone": self.take, HEARTBEAT: self.take},
            "http://127.0.0.1:8050",
            lambda: own.now_ms,
        )

    def take(self, message: Message) -> Refusal | None:
        self.sent.append(message)
        return self.refusal

    def round(self, later_ms: int = 0) -> None:
        self.own.now_ms += later_ms
        for parcel in self.courier.due():
            self.courier.note(parcel, self.courier.send(parcel))

    def phone(self) -> dict[str, Any]:
        self.own.now_ms += 1_000  # the desk's look is a second old at most
        (channel,) = self.own.client.get("/api/channels").get_json()["channels"]
        return dict(channel)


@pytest.fixture
def post(own: OwnDesk) -> Post:
    return Post(own)


def test_a_channel_tells_what_arrived_what_failed_and_what_waits(post: Post) -> None:
    own = post.own
    assert post.phone() == {
        "name": "phone", "configured": True, "state": "unused", "last_sent": None, "sent_24h": 0,
        "retried_24h": 0, "failed_24h": 0, "waiting": 0, "down_since": None, "error": None,
        "next_try": None, "test": None,
    }  # fmt: skip
    own.make(channels=["phone"])
    own.close_bar(0.02)
    made_ms = own.now_ms
    assert (post.phone()["state"], post.phone()["waiting"]) == ("waiting", 1)
    post.refusal = Refusal("answered 503")
    post.round(2_000)
    down = post.phone()
    assert (down["state"], down["error"], down["waiting"]) == ("down", "answered 503", 1)
    assert (down["failed_24h"], down["sent_24h"]) == (1, 0)
    assert down["down_since"] == iso(made_ms)
    assert down["next_try"] == iso(own.now_ms - 1_000 + 5_000)
    post.refusal = None
    post.round(5_000)
    well = post.phone()
    assert (well["state"], well["sent_24h"], well["retried_24h"], well["failed_24h"]) == (
        "well", 1, 1, 0,
    )  # fmt: skip
    assert well["last_sent"] == iso(own.now_ms - 1_000)
    own.now_ms += 86_400_000
    assert post.phone()["sent_24h"] == 0


def test_a_channel_is_tried_by_the_analyst_and_tells_what_came_of_it(post: Post) -> None:
    path = "/api/channels/phone/test"
    asked = post.own.client.post(path, json={}, headers=HOME)
    assert (asked.status_code, asked.get_json()["test"]["state"]) == (202, "pending")
    assert post.sent == []  # the web sends nothing itself
    post.refusal = Refusal("answered 401")
    post.round()
    told = post.phone()["test"]
    assert (told["state"], told["error"]) == ("refused", "answered 401")
    post.round(3_600_000)
    assert len(post.sent) == 1  # it is not tried again by itself
    post.refusal = None
    post.own.client.post(path, json={}, headers=HOME)
    post.round()
    told = post.phone()["test"]
    assert (told["state"], told["error"]) == ("arrived", None)
    assert post.sent[-1].content["test"] is True
    assert "test of the channel phone" in post.sent[-1].body


def test_a_test_that_arrives_ends_the_rest_of_a_channel_that_was_down(post: Post) -> None:
    post.own.make(channels=["phone"])
    post.own.close_bar(0.02)
    post.refusal = Refusal("answered 503", 3_600.0)
    post.round(2_000)
    post.refusal = None
    post.round(10_000)
    assert len(post.sent) == 1  # it rests for an hour
    post.own.client.post("/api/channels/phone/test", json={}, headers=HOME)
    post.round()
    post.round()
    assert [len(message.content["alerts"]) for message in post.sent] == [1, 0, 1]
    assert post.phone()["state"] == "well"


def test_a_channel_that_is_down_tells_the_newest_reason(post: Post) -> None:
    post.own.make(channels=["phone"])
    post.own.close_bar(0.02)
    post.refusal = Refusal("the service failed (TimeoutError)", 3_600.0)
    post.round(2_000)
    assert post.phone()["error"] == "the service failed (TimeoutError)"
    # After a restart nobody knows of the rest: a new message is refused while the old one waits.
    post.own.close_bar(-0.05)
    post = Post(post.own)
    post.refusal = Refusal("answered 503")
    post.round(60_000)
    (message,) = post.sent
    assert len(message.content["alerts"]) == post.phone()["waiting"] - 1
    assert post.phone()["error"] == "answered 503"


def test_the_dead_man_s_switch_is_tried_by_the_analyst(post: Post) -> None:
    path = "/api/heartbeat/test"
    refused = post.own.client.post(path, json={}, headers=HOME)
    assert (refused.status_code, "HEARTBEAT_URL" in refused.get_json()["detail"]) == (404, True)
    client = post.own.open(
        ALERT_CHANNELS="phone=json://127.0.0.1:9/", HEARTBEAT_URL="http://127.0.0.1:9/secret"
    )
    assert client.get("/api/channels").get_json()["heartbeat"]["test"] is None
    assert client.post(path, json={}, headers=HOME).get_json()["test"]["state"] == "pending"
    post.refusal = Refusal("answered 500")
    post.round()
    post.own.now_ms += 1_000
    heartbeat = client.get("/api/channels").get_json()["heartbeat"]
    assert (heartbeat["test"]["state"], heartbeat["test"]["error"]) == ("refused", "answered 500")
    assert [one["name"] for one in client.get("/api/channels").get_json()["channels"]] == ["phone"]
    evil = {"Origin": "http://evil.example"}
    assert client.post(path, json={}, headers=evil).status_code == 403
    assert "secret" not in client.get("/api/channels").get_data(as_text=True)


def test_nobody_has_a_channel_tried_by_an_address_or_from_another_site(post: Post) -> None:
    client = post.own.client
    for name in ("nobody", "https:%2F%2Fevil.example%2F", "json:%2F%2F127.0.0.1:9%2Fsecret"):
        refused = client.post(f"/api/channels/{name}/test", json={}, headers=HOME)
        assert refused.status_code == 404, name
    evil = {"Origin": "http://evil.example"}
    assert client.post("/api/channels/phone/test", json={}, headers=evil).status_code == 403
    refused = client.post("/api/channels/phone/test", json={"to": "me"}, headers=HOME)
    assert refused.status_code == 400
    post.round()
    assert post.sent == []
    assert "secret" not in client.get("/api/channels").get_data(as_text=True)
