"""Who is told: each message until it has arrived, each channel by itself, no address anywhere."""

from email.utils import formatdate

import pytest

from core.settings import Settings
from ingest.analysis.channels import open_channels, ping, trial
from ingest.analysis.delivery import MOST_AT_ONCE, Courier, Parcel
from ingest.binance.proxies import DIRECT, Proxies
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.ingest.analysis.test_evaluation import analyst
from tests.support.sink import MailSink, Sink
from tests.support.sink import mail_sink as mail_sink
from tests.support.sink import sink as sink
from tests.support.watching import BORN, Market, create

SECRET = "t0ken-of-mine"
# Apprise's own, on loading its services.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Post:
    """A desk, its judged market and its courier."""

    def __init__(self, writer: Writer, reader: Reader, channels: str) -> None:
        self.desk, self.reader, self.writer = Market(writer), reader, writer
        self.settings = Settings.from_mapping({"ALERT_CHANNELS": channels})
        self.restart()

    def restart(self) -> None:
        channels = open_channels(self.settings, lambda: self.desk.now_ms / 1_000)
        self.courier = Courier(
            self.reader, self.writer, channels, "http://127.0.0.1:8050", lambda: self.desk.now_ms
        )

    def judge(self, rows: int, *names: str, rules: int = 1) -> None:
        """Let bars close one by one, each judged at once."""
        self.desk.close(BORN)
        for _ in range(rules):
            create(self.desk, channels=list(names), paper=False)
        evaluation = analyst(self.reader, self.desk)
        for _ in range(rows):
            self.desk.close()
            evaluation.look()

    def round(self) -> list[str]:
        """Send what is due; the channels it was sent to."""
        parcels = self.courier.due()
        for parcel in parcels:
            self.courier.note(parcel, self.courier.send(parcel))
        return [parcel.channel for parcel in parcels]

    def states(self, channel: str) -> set[str]:
        return {
            sent.state
            for alert in self.reader.alerts()
            for sent in alert.deliveries
            if sent.channel == channel
        }


def hook(sink: Sink) -> str:
    return f"webhook+http://127.0.0.1:{sink.server_port}/hooks/{SECRET}"


def test_a_program_gets_every_number_with_a_stable_key_and_one_end_for_each_start(
    writer: Writer, reader: Reader, sink: Sink
) -> None:
    post = Post(writer, reader, f"bot={hook(sink)}")
    post.judge(120, "bot")
    assert post.round() == ["bot"]
    assert post.round() == []
    ((path, body),) = sink.taken  # a burst is one message
    assert path == f"/hooks/{SECRET}"
    assert body["version"] == 1
    alerts = body["alerts"]
    assert len(alerts) >= 4
    keys = [one["key"] for one in alerts]
    assert len(set(keys)) == len(keys)
    first = alerts[0]
    stored = reader.alerts()[-1]
    assert first["key"] == f"1.1.{stored.direction}.{stored.start_ms}.fired"
    assert (first["value_at_start"], first["values"]) == (stored.value_at_start, stored.values)
    assert {"zscore", "hedge_ratio", "intercept", "spread_mean", "spread_std", "close_a"} <= set(
        first["values"]
    )
    assert first["link"].startswith("http://127.0.0.1:8050/?symbol_a=BTCUSDT&symbol_b=ETHUSDT")
    assert first["link"].endswith(f"&since={stored.born_ms}")
    ends = [one["key"].removesuffix("resolved") for one in alerts if one["event"] == "resolved"]
    starts = [one["key"].removesuffix("fired") for one in alerts if one["event"] == "fired"]
    assert set(ends) <= set(starts)
    assert ends
    assert post.states("bot") == {"delivered"}


def test_a_kill_between_sending_and_noting_sends_again_with_the_same_key(
    writer: Writer, reader: Reader, sink: Sink
) -> None:
    post = Post(writer, reader, f"bot={hook(sink)}")
    post.judge(60, "bot")
    (parcel,) = post.courier.due()
    assert post.courier.send(parcel) is None
    post.restart()  # killed before it could note it
    assert post.round() == ["bot"]
    (_, once), (_, again) = sink.taken
    assert [one["key"] for one in once["alerts"]] == [one["key"] for one in again["alerts"]]
    post.restart()
    assert post.round() == []


def test_a_channel_that_is_down_is_shown_tried_ever_more_seldom_and_stops_no_other(
    writer: Writer, reader: Reader, sink: Sink
) -> None:
    post = Post(writer, reader, f"bot={hook(sink)} dead=webhook+http://127.0.0.1:9/{SECRET}")
    post.judge(60, "dead", "bot")
    assert sorted(post.round()) == ["bot", "dead"]
    assert post.states("bot") == {"delivered"}
    assert post.states("dead") == {"pending"}
    waits = []
    for _ in range(10):
        start = post.desk.now_s
        while "dead" not in post.round():
            post.desk.now_s += 1.0
        waits.append(post.desk.now_s - start)
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]
    sent = reader.alerts()[-1].deliveries[0]
    assert (sent.channel, sent.attempts) == ("dead", 11)
    assert sent.error == "could not be reached (ConnectError)"
    health = reader.channels(0)["dead"]
    assert health.pending > 0
    assert SECRET not in str(health)


@pytest.mark.parametrize("header", ["120", "date"])
def test_a_wait_that_the_receiver_asks_for_is_obeyed(
    writer: Writer, reader: Reader, sink: Sink, header: str
) -> None:
    post = Post(writer, reader, f"bot={hook(sink)}")
    post.judge(60, "bot")
    if header == "date":
        header = formatdate(post.desk.now_ms / 1_000 + 120, usegmt=True)
    sink.answers = [(429, {"Retry-After": header})]
    post.round()
    assert reader.alerts()[-1].deliveries[0].error == "answered 429"
    post.desk.now_s += 118
    assert post.round() == []
    post.desk.now_s += 3
    assert post.round() == ["bot"]
    assert post.states("bot") == {"delivered"}


def test_a_burst_comes_in_few_messages_and_loses_none(
    writer: Writer, reader: Reader, sink: Sink
) -> None:
    post = Post(writer, reader, f"bot={hook(sink)}")
    post.judge(30, "bot", rules=30)
    expected = sum(len(alert.deliveries) for alert in reader.alerts())
    assert expected > MOST_AT_ONCE
    while post.round():
        pass
    told = [one["key"] for _, body in sink.taken for one in body["alerts"]]
    assert len(told) == len(set(told)) == expected
    assert len(sink.taken) == -(-expected // MOST_AT_ONCE)


def test_alerts_of_one_burst_are_one_message_though_they_come_one_after_the_other(
    writer: Writer, reader: Reader, sink: Sink
) -> None:
    post = Post(writer, reader, f"bot={hook(sink)}")
    post.desk.close(BORN)
    for _ in range(4):
        create(post.desk, channels=["bot"], paper=False, entry_z=0.5)
    with writer.transaction() as tx:
        tx.run("UPDATE rules SET deleted_ms = 1 WHERE id > 1")
    evaluation = analyst(reader, post.desk)
    while not reader.alerts():
        post.desk.close()
        evaluation.look()
    assert post.round() == []  # others may be on their way
    post.desk.now_s += 1.5
    with writer.transaction() as tx:
        tx.run("UPDATE rules SET deleted_ms = NULL")
    evaluation.look()
    expected = sum(len(alert.deliveries) for alert in reader.alerts())
    assert expected >= 4
    assert post.round() == []
    post.desk.now_s += 0.5
    assert post.round() == ["bot"]
    ((_, body),) = sink.taken
    assert len(body["alerts"]) == expected


def test_a_clock_that_is_set_back_holds_up_no_message(
    writer: Writer, reader: Reader, sink: Sink
) -> None:
    post = Post(writer, reader, f"bot={hook(sink)}")
    post.judge(60, "bot")
    waiting = sum(len(alert.deliveries) for alert in reader.alerts())
    post.desk.now_s -= 7_200
    post.restart()
    sink.answers = [(503, {})]
    assert post.round() == ["bot"]
    assert post.round() == []  # the channel rests, by the clock of today
    post.desk.now_s += 5
    assert post.round() == ["bot"]
    assert len(sink.taken[0][1]["alerts"]) == waiting
    assert post.states("bot") == {"delivered"}


def test_mail_arrives_in_words_with_the_link_and_is_tried_again_where_it_is_refused(
    writer: Writer, reader: Reader, mail_sink: MailSink
) -> None:
    address = f"mailto://127.0.0.1:{mail_sink.port}?smtp=127.0.0.1&mode=insecure"
    post = Post(writer, reader, f"mail={address}&from=desk@example.com&to=ada@example.com")
    post.judge(40, "mail")
    mail_sink.is_full = True
    assert post.round() == ["mail"]
    assert post.states("mail") == {"pending"}
    assert reader.alerts()[-1].deliveries[0].error == "the service did not take it"
    mail_sink.is_full = False
    post.desk.now_s += 5
    assert post.round() == ["mail"]
    (mail,) = mail_sink.mails
    assert "ada@example.com" in mail["To"]
    assert mail["Subject"].startswith("Pairdesk: ")
    body = mail.get_body(("html", "plain"))
    assert body is not None
    words = body.get_content()
    assert "BTCUSDT / ETHUSDT 1m" in words
    assert "fired: z " in words
    assert post.states("mail") == {"delivered"}


def test_the_dead_man_s_switch_is_asked_and_tells_why_it_did_not_answer(sink: Sink) -> None:
    address = f"http://127.0.0.1:{sink.server_port}/{SECRET}"
    assert ping(address, DIRECT) == ""
    assert sink.asked == [f"/{SECRET}"]
    sink.answers = [(500, {})]
    assert ping(address, DIRECT) == "answered 500"
    assert ping("http://127.0.0.1:9/", DIRECT) == "ConnectError"


# Ordinary on a company's machine; the HTTP library's own reading of it ends in errors.
@pytest.mark.parametrize(
    "environment",
    [
        {"NO_PROXY": "localhost,::1,fd00::/8,[fe80::1]:80,10.0.0.0/8"},
        {"ALL_PROXY": "socks://127.0.0.1:9"},
        {},
    ],
)
def test_webhooks_and_the_dead_man_s_switch_go_the_way_that_the_environment_names(
    sink: Sink, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    environment = {"HTTP_PROXY": f"127.0.0.1:{sink.server_port}"} | environment
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    hooked = {"ALERT_CHANNELS": "bot=webhook+http://hook.invalid/x"}
    settings = Settings.from_mapping(environment | hooked)
    assert open_channels(settings, lambda: 0.0)["bot"](trial("bot", "http://desk")) is None
    ((path, body),) = sink.taken
    assert (path, body["test"]) == ("http://hook.invalid/x", True)
    assert ping("http://switch.invalid/y", Proxies.of(settings)) == ""
    assert sink.asked == ["http://switch.invalid/y"]


def test_certificates_that_are_not_there_are_told_and_no_message_is_taken_for_sent(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    hooked = {"ALERT_CHANNELS": f"bot={hook(sink)}"}
    channels = open_channels(Settings.from_mapping(hooked), lambda: 0.0)
    refusal = channels["bot"](trial("bot", "http://desk"))
    assert refusal is not None
    assert refusal.reason == "could not be reached (SettingsError)"
    assert ping("https://switch.invalid/", DIRECT) == "SettingsError"
    assert sink.taken == []


def test_people_are_told_through_apprise_in_words_with_the_link(
    writer: Writer, reader: Reader, sink: Sink
) -> None:
    post = Post(writer, reader, f"phone=json://u:{SECRET}@127.0.0.1:{sink.server_port}/")
    post.judge(40, "phone")
    sink.answers = [(500, {})]
    assert post.round() == ["phone"]
    assert reader.alerts()[-1].deliveries[0].error == "the service did not take it"
    post.desk.now_s += 6
    assert post.round() == ["phone"]
    ((_, body),) = sink.taken
    assert "BTCUSDT / ETHUSDT 1m" in body["message"]
    assert "fired: z " in body["message"]
    assert "http://127.0.0.1:8050/?symbol_a=BTCUSDT" in body["message"]
    assert post.states("phone") == {"delivered"}


def test_a_channel_that_is_not_configured_or_not_usable_says_so(
    writer: Writer, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    post = Post(writer, reader, f"odd=nosuchservice://{SECRET}")
    post.judge(60, "odd", "gone")
    post.round()
    errors = {sent.channel: sent.error for sent in reader.alerts()[-1].deliveries}
    assert errors == {
        "odd": "its address in ALERT_CHANNELS can't be used",
        "gone": "no channel of this name is in ALERT_CHANNELS",
    }
    assert SECRET not in caplog.text


def test_parcels_hold_no_address(writer: Writer, reader: Reader, sink: Sink) -> None:
    post = Post(writer, reader, f"bot={hook(sink)}")
    post.judge(60, "bot")
    parcels: list[Parcel] = post.courier.due()
    assert parcels
    assert SECRET not in repr(parcels) + repr(post.settings)
