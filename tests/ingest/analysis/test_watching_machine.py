"""Whatever happens to bars, desk and channels: the record is what a plain reader of the bars says,
and everybody is told once."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from core.rule_spec import read_rule_spec, rule_body
from core.settings import Settings
from core.types import Origin
from ingest.analysis.channels import Message, Refusal
from ingest.analysis.delivery import Courier
from ingest.analysis.evaluation import Evaluation
from ingest.store import market, rules
from ingest.store.engine import open_engine
from ingest.store.reader import Decided, Reader
from ingest.store.transaction import Writer
from tests.ingest.analysis.test_evaluation import Killed, KilledWriter
from tests.support.machines import tell_stories
from tests.support.plain_rule import PlainRule
from tests.support.watching import BORN, MINUTE, ROWS, RULE, Market, backtest

DAY_S = 86_400
POINTS = st.sampled_from(["", "", "", "before", "within", "after"])
"""Where the analyst dies, if it does."""


class KilledOnce(KilledWriter):
    """Dies where the test says, at the next transaction."""

    at = ""

    def point(self) -> str:
        point, self.at = self.at, ""
        return point


class Phone:
    """A channel that is down when the test says so."""

    def __init__(self) -> None:
        self.is_down = False
        self.taken = Counter[str]()

    def __call__(self, message: Message) -> Refusal | None:
        if self.is_down:
            return Refusal("down")
        self.taken.update(one["key"] for one in message.content["alerts"])
        return None


class Watching(RuleBasedStateMachine):
    """One pair, one rule, one channel."""

    folder: Path
    empty: bytes
    count = 0

    @initialize(
        for_bars=st.integers(1, 2),
        keep_bars=st.integers(1, 2),
        cooldown_s=st.sampled_from([0, 900]),
    )
    def begin(self, for_bars: int, keep_bars: int, cooldown_s: int) -> None:
        type(self).count += 1
        path = self.folder / f"{self.count}.db"
        path.write_bytes(self.empty)
        self.url = f"sqlite:///{path}"
        self.reader, self.writer = Reader(self.url), Writer(open_engine(self.url))
        self.dying = KilledOnce(self.url, 0)
        self.desk = Market(self.writer)
        self.desk.close(BORN)
        asked = {
            "for_bars": for_bars, "keep_bars": keep_bars, "cooldown_s": cooldown_s, "stop_z": 3.0,
            "exit_z": 0.4, "entry_z": 1.5, "no_data_after_bars": 3,
        }  # fmt: skip
        spec = read_rule_spec({**RULE, **asked, "paper": False}, Settings())
        with self.writer.transaction() as tx:
            self.rule = rules.create(tx, spec, self.desk.at(BORN), self.desk.now_ms)
        self.plain = PlainRule({**asked, "mute_until": 0.0})
        self.phone, self.jump_ms = Phone(), 0
        self.seen = set[tuple[int, int, bool]]()
        self.unread = list[tuple[Decided, int]]()
        self.judged = dict[int, float]()
        self.may_repeat = Counter[str]()
        self.evaluation: Evaluation | None = None
        self.courier: Courier | None = None

    def teardown(self) -> None:
        if not hasattr(self, "courier"):
            return
        self.start_again()
        self.phone.is_down = False
        born_row = (self.rule.born_ms - self.desk.at(0)) // MINUTE
        self.desk.close(max(1, born_row + 1 - self.desk.closed))
        for _ in range(3):
            self.look("")
        self.jump_ms += 40 * DAY_S * 1_000  # past every wait of the channel, past every mute
        for _ in range(10):
            self.deliver("")
        self.hold_against_the_bars()
        self.reader.close()
        self.writer.close()
        self.dying.close()
        Path(self.url.removeprefix("sqlite:///")).unlink()

    def now_ms(self) -> int:
        return self.desk.now_ms + self.jump_ms

    def start_again(self, jump_s: int = 0) -> None:
        """The analyst dies and is started again, maybe under a clock that was set meanwhile."""
        self.evaluation = self.courier = None
        self.jump_ms += jump_s * 1_000

    @rule(jump_s=st.sampled_from([0, 0, -3_600, 3_600]))
    def kill(self, jump_s: int) -> None:
        self.start_again(jump_s)

    @rule(bars=st.integers(1, 12), gone=st.sampled_from([0, 0, 0, 1, 4, 8]))
    def close(self, bars: int, gone: int) -> None:
        """Bars close, the first ones of them maybe without leg B."""
        bars = min(bars, ROWS - 60 - self.desk.closed)
        if bars > 0:
            self.desk.gone |= set(range(self.desk.closed, self.desk.closed + min(gone, bars)))
            waited = self.desk.now_s - (self.desk.closed * 60.0)
            self.desk.close(bars)
            self.desk.now_s += max(0.0, waited)

    @rule(minutes=st.integers(3, 25), point=POINTS)
    def watch(self, minutes: int, point: str) -> None:
        """Minutes pass as they do on a quiet day, each judged at once; its last look may kill."""
        for minute in range(minutes):
            if self.desk.closed >= ROWS - 60:
                break
            self.close(1, 0)
            self.judge(point if minute == minutes - 1 else "")
        self.read()
        self.deliver(point)

    @rule(point=POINTS)
    def look(self, point: str) -> None:
        """The analyst looks, and maybe dies at the next thing that it writes."""
        self.judge(point)
        self.read()

    def judge(self, point: str) -> None:
        """Let it look, and note what it decided and which bar was the newest then."""
        newest = max(set(range(self.desk.closed)) - self.desk.gone)
        self.evaluation = self.evaluation or Evaluation(
            self.reader, self.dying, self.now_ms, lambda: self.desk.now_s, lambda _: None
        )
        self.dying.at = point
        try:
            self.evaluation.look()
        except Killed:
            self.start_again()
        self.dying.at = ""
        decided = self.reader.decisions(self.rule.rule_id, limit=10_000)
        new = [one for one in reversed(decided) if self.name(one) not in self.seen]
        self.seen.update(map(self.name, new))
        self.unread += [(one, self.desk.at(newest)) for one in new]

    def name(self, one: Decided) -> tuple[int, int, bool]:
        return one.open_time_ms, one.version, "bars" in one.values

    def read(self) -> None:
        """Let the plain rule judge what was judged, by the page's own result for these bars.

        That is dear: once for all bars that were judged since one was rewritten last.
        """
        new, self.unread = self.unread, []
        figures = dict[int, tuple[float, float]]()
        if any("bars" not in one.values for one, _ in new):
            result = backtest(self.reader, self.rule)
            chosen = zip(result.chosen.zscore, result.chosen.hedge_ratio, strict=True)
            figures = dict(zip(result.rows.open_time_ms.tolist(), chosen, strict=True))
        for one, newest_ms in new:
            bars = one.values.get("bars")
            if bars is not None:
                self.plain.silence(one.open_time_ms, int(bars))
                continue
            assert one.open_time_ms not in self.judged, "judged twice"
            z, ratio = map(float, figures[one.open_time_ms])
            kept = one.values["zscore"]
            assert kept == (None if np.isnan(z) else z)
            assert one.late is (one.open_time_ms < newest_ms)
            self.judged[one.open_time_ms] = z
            self.plain.bar(one.open_time_ms, z, ratio, one.late)

    @rule(point=st.sampled_from(["", "", "before", "sent", "within", "after"]))
    def deliver(self, point: str) -> None:
        """The courier makes a round, and maybe dies before it can note what it has sent."""
        self.courier = self.courier or Courier(
            self.reader, self.dying, {"phone": self.phone}, "http://desk", self.now_ms
        )
        for parcel in self.courier.due():
            before = Counter(self.phone.taken)
            refusal = self.courier.send(parcel)
            self.dying.at = "before" if point == "sent" else point
            try:
                self.courier.note(parcel, refusal)
            except Killed:
                self.courier = None
                self.may_repeat.update(self.phone.taken - before)
                break
            finally:
                self.dying.at = ""

    @rule(is_down=st.booleans())
    def the_channel(self, is_down: bool) -> None:
        self.phone.is_down = is_down

    @rule(bars=st.integers(1, 9))
    def nothing_closes(self, bars: int) -> None:
        self.desk.now_s += bars * 60.0

    @rule(pick=st.integers(0, 10**6), leg=st.integers(0, 1))
    def rewrite(self, pick: int, leg: int) -> None:
        """A repaired trade changes a bar that may have been judged."""
        row = self.desk.closed - 1 - pick % 60
        if row in self.desk.gone:
            return
        bar = self.desk.bars[leg][row]
        changed = bar._replace(close=bar.close * (1.0 + 1e-5 * (1 + pick % 90)))
        self.desk.bars[leg][row] = changed
        number = self.desk.ids[("BTCUSDT", "ETHUSDT")[leg]]
        with self.writer.transaction() as tx:
            market.upsert_bars(tx, number, MINUTE, [changed], Origin.TRADES, keep_better=False)
            market.rise_revision(tx, number)

    @rule(
        for_bars=st.integers(1, 2), cooldown_s=st.sampled_from([0, 900]),
        muted_min=st.sampled_from([0, 0, 15]), entry_z=st.sampled_from([1.5, 1.5, 1.7]),
    )  # fmt: skip
    def edit(self, for_bars: int, cooldown_s: int, muted_min: int, entry_z: float) -> None:
        """Another version; where another entry is asked for the signal begins anew, flat."""
        until = self.desk.at(self.desk.closed + muted_min) if muted_min else None
        changes = {"for_bars": for_bars, "cooldown_s": cooldown_s, "entry_z": entry_z}
        asked = {**rule_body(self.rule.spec), **changes, "mute_until": until}
        forming_ms = self.desk.at(self.desk.closed)
        with self.writer.transaction() as tx:
            edited = rules.edit(
                tx, self.rule.rule_id, read_rule_spec(asked, Settings()), forming_ms, self.now_ms()
            )
        assert edited is not None
        if edited.born_ms != self.rule.born_ms:
            self.plain.begin_anew()
        self.rule = edited
        self.plain.version = edited.version
        self.plain.asked |= {**changes, "mute_until": float(until or 0)}

    @rule(pick=st.integers(0, 10**6))
    def acknowledge(self, pick: int) -> None:
        found = self.reader.alerts(still_open=True)
        if found:
            one = found[pick % len(found)]
            with self.writer.transaction() as tx:
                assert rules.acknowledge(tx, one.episode_id, "somebody", self.now_ms())
            for told in self.plain.episodes:
                if told.key == (one.version, one.direction, one.start_ms):
                    told.is_acknowledged = True

    def hold_against_the_bars(self) -> None:
        """Nothing lost, nothing twice, and what a rewritten bar has moved is marked."""
        born = self.rule.born_ms
        since = [time_ms for time_ms in self.judged if time_ms >= born]
        assert sorted(since) == list(range(born, self.desk.at(self.desk.closed), MINUTE))
        alerts = self.reader.alerts(limit=500)
        assert sorted(
            (one.version, one.direction, one.start_ms, one.end_ms, one.outcome,
             one.told_ms is not None) for one in alerts
        ) == sorted(
            (*one.key, one.end_ms, one.outcome, one.is_told) for one in self.plain.episodes
        )  # fmt: skip
        expected = set[str]()
        for one in self.plain.episodes:
            ends = ["fired", "resolved"] if one.end_ms is not None else ["fired"]
            named = f"{self.rule.rule_id}.{one.version}.{one.direction}.{one.start_ms}"
            expected |= {f"{named}.{event}" for event in ends if one.is_told}
        assert set(self.phone.taken) == expected
        for key, times in self.phone.taken.items():
            assert times <= 1 + self.may_repeat[key], key
        result = backtest(self.reader, self.rule)
        now = dict(
            zip(result.rows.open_time_ms.tolist(), result.chosen.zscore.tolist(), strict=True)
        )
        for alert in alerts:
            at = [time_ms for time_ms in (alert.start_ms, alert.end_ms) if time_ms in now]
            is_moved = any(
                not np.isclose(now[time_ms], self.judged[time_ms], rtol=1e-5, atol=1e-5,
                               equal_nan=True)
                for time_ms in at if time_ms in self.judged
            )  # fmt: skip
            if alert.start_ms >= born:
                assert alert.revised == is_moved, alert


@pytest.fixture
def machine(empty_database: bytes, tmp_path: Path) -> type[Watching]:
    class Machine(Watching):
        folder, empty = tmp_path, empty_database

    return Machine


ONCE = [Phase.generate]
"""A story costs a second: telling it shorter, many minutes."""


def test_every_episode_is_recorded_and_told_once_whatever_happens(machine: type[Watching]) -> None:
    tell_stories(machine, examples=60, steps=25, steady=True, phases=ONCE)


@pytest.mark.soak
def test_every_episode_is_recorded_and_told_once_in_thousands_of_stories(
    machine: type[Watching], soak_times: Callable[[int], int]
) -> None:
    tell_stories(machine, examples=soak_times(1_500), steps=50, steady=False, phases=ONCE)
