"""The analyst as a process: one works, it may be killed at any time, each bar is judged once."""

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.rule_spec import HEARTBEAT
from ingest.store import rules
from ingest.store.channels import ask_test
from ingest.store.engine import migrate, open_engine
from ingest.store.reader import Reader
from ingest.store.rules import StoredRule
from ingest.store.transaction import Writer
from tests.support.processes import start_analyst
from tests.support.sink import Sink
from tests.support.sink import sink as sink
from tests.support.waiting import HANG_S, wait_until
from tests.support.watching import (
    BORN,
    ROWS,
    Market,
    assert_paper_is_the_backtest,
    assert_record_is_the_signals,
    create,
)


class Analysts:
    """Analysts on one database, as processes."""

    def __init__(self, url: str) -> None:
        migrate(url)
        self.url = url
        self.reader = Reader(url)
        self.writer = Writer(open_engine(url))
        self.desk = Market(self.writer)
        self.started: list[subprocess.Popen[bytes]] = []
        self.settings: dict[str, str] = {}

    def start(self) -> "subprocess.Popen[bytes]":
        self.started.append(start_analyst(self.url, self.settings))
        return self.started[-1]

    def pid(self) -> int | None:
        """Who works, as the heartbeat tells it."""
        status = self.reader.status("analyst")
        return None if status is None else status.pid

    def judged(self) -> int:
        return len(self.reader.decisions(1, limit=10_000))

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait(HANG_S)
        self.reader.close()
        self.writer.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def analysts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Analysts]:
    url = f"sqlite:///{tmp_path}/market.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    made = Analysts(url)
    yield made
    made.close()


def begin(analysts: Analysts) -> StoredRule:
    analysts.desk.close(BORN)
    return create(analysts.desk)


def test_one_analyst_works_another_stands_by_and_takes_over(analysts: Analysts) -> None:
    rule, desk = begin(analysts), analysts.desk
    first = analysts.start()
    wait_until(lambda: analysts.pid() == first.pid, "a heartbeat")
    second = analysts.start()
    desk.close(200)
    wait_until(lambda: analysts.judged() == 200, "the first one judges")
    assert analysts.pid() == first.pid
    first.kill()
    desk.close(ROWS - BORN - 200)
    wait_until(lambda: analysts.judged() == ROWS - BORN, "the second one takes over")
    assert analysts.pid() == second.pid
    second.send_signal(signal.SIGTERM)
    assert second.wait(HANG_S) == 0
    status = analysts.reader.status("analyst")
    assert status is not None
    assert (status.state, status.payload["rules"]) == ("stopped", 1)
    assert_paper_is_the_backtest(analysts.reader, desk, rule)
    assert_record_is_the_signals(analysts.reader, rule)


def test_the_analyst_delivers_what_it_finds_and_notes_that_it_has_arrived(
    analysts: Analysts, sink: Sink
) -> None:
    address = f"webhook+http://127.0.0.1:{sink.server_port}/hook"
    analysts.settings["ALERT_CHANNELS"] = f"phone={address} nobody=webhook+http://127.0.0.1:9/"
    begin(analysts)
    analysts.start()
    for bars in range(1, ROWS - BORN + 1):
        analysts.desk.close()
        wait_until(lambda: analysts.judged() == bars, "the bar is judged")  # noqa: B023
        if any(one.told_ms for one in analysts.reader.alerts()):
            break
    wait_until(lambda: bool(sink.taken), "the message arrives")
    (alert,) = (one for one in analysts.reader.alerts() if one.told_ms)
    wait_until(lambda: analysts.reader.channels(0)["phone"].delivered_ms is not None, "it is noted")
    ((_, body),) = sink.taken
    assert [one["alert_id"] for one in body["alerts"]] == [alert.episode_id]


def test_the_dead_man_s_switch_is_asked_when_somebody_tries_it(
    analysts: Analysts, sink: Sink
) -> None:
    analysts.settings["HEARTBEAT_URL"] = f"http://127.0.0.1:{sink.server_port}/beat"
    sink.answers = [(500, {})]
    with analysts.writer.transaction() as tx:
        ask_test(tx, HEARTBEAT, 1)
    analysts.start()
    wait_until(
        lambda: analysts.reader.channel_tests()[HEARTBEAT].tried_ms is not None, "it is asked"
    )
    assert sink.asked == ["/beat"]
    assert analysts.reader.channel_tests()[HEARTBEAT].error == "answered 500"


@pytest.mark.soak
def test_two_hundred_kills_leave_the_record_and_paper_of_the_backtest_and_tell_everybody_once(
    analysts: Analysts, sink: Sink, soak_times: Callable[[int], int]
) -> None:
    """Killed while it starts, judges, commits, sends and notes, and while alerts are seen."""
    address = f"webhook+http://127.0.0.1:{sink.server_port}/hook"
    analysts.settings["ALERT_CHANNELS"] = f"phone={address}"
    rule, desk, chance, kills = begin(analysts), analysts.desk, random.Random(2), soak_times(200)
    for kill in range(kills):
        process, before, taken = analysts.start(), analysts.judged(), len(sink.taken)
        desk.close(2)
        for alert in analysts.reader.alerts(still_open=True)[: kill % 2]:
            with desk.writer.transaction() as tx:
                rules.acknowledge(tx, alert.episode_id, "somebody", desk.now_ms)
        if kill % 3 == 0:
            wait_until(lambda: analysts.judged() > before, "something is judged")  # noqa: B023
        elif kill % 3 == 1 and pending(analysts):
            wait_until(lambda: len(sink.taken) > taken, "something is sent")  # noqa: B023
        else:
            time.sleep(chance.uniform(0.0, 4.0))
        process.kill()
        process.wait(HANG_S)
    analysts.start()
    wait_until(lambda: analysts.judged() == 2 * kills, "all is judged")
    wait_until(lambda: not pending(analysts), "all is delivered")
    assert_paper_is_the_backtest(analysts.reader, desk, rule)
    assert_record_is_the_signals(analysts.reader, rule)
    posted = Counter(one["key"] for _, body in sink.taken for one in body["alerts"])
    assert set(posted) == {
        f"{rule.rule_id}.{one.version}.{one.direction}.{one.start_ms}.{sent.event}"
        for one in analysts.reader.alerts(limit=500)
        for sent in one.deliveries
    }
    assert len(posted) >= 2
    print(f"\n{kills} kills, {len(posted)} messages, {posted.total() - len(posted)} repeated")
    assert posted.total() - len(posted) <= kills


def pending(analysts: Analysts) -> int:
    channel = analysts.reader.channels(0).get("phone")
    return 0 if channel is None else channel.pending
