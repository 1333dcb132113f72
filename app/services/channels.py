"""How the channels are that alerts go to: by their names, their addresses are nobody's business."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from app.services.looks import SharedLook
from app.services.refusals import NotThere, writable
from core.rule_spec import HEARTBEAT
from core.settings import Settings
from core.timeframes import DAY_MS
from ingest.store.desk_book import DeskBook
from ingest.store.reader import ChannelHealth, ChannelTest, Reader

State: TypeAlias = Literal["unused", "well", "waiting", "down"]


@dataclass(frozen=True, slots=True)
class ChannelState:
    """One channel, and how it took what was sent to it."""

    name: str
    is_configured: bool
    """`ALERT_CHANNELS` names it; what waits for one that it no longer names goes nowhere."""
    health: ChannelHealth | None
    test: ChannelTest | None

    @property
    def state(self) -> State:
        if self.health is None:
            return "unused"
        if self.health.failing_since_ms is not None:
            return "down"
        return "waiting" if self.health.pending else "well"


class DeadMansSwitch(NamedTuple):
    """The user's own dead man's switch."""

    is_configured: bool
    test: ChannelTest | None


class ChannelRecord(NamedTuple):
    """What the store says of channels."""

    health: dict[str, ChannelHealth]
    tests: dict[str, ChannelTest]


class ChannelService:
    """Tells how channels are, and has them tried by the analyst."""

    def __init__(
        self,
        settings: Settings,
        reader: Reader,
        look: SharedLook[ChannelRecord],
        now_ms: Callable[[], int],
        book: DeskBook | None,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._look = look
        self._now_ms = now_ms
        self._book = book

    def view(self) -> list[ChannelState]:
        """Every channel that `ALERT_CHANNELS` names or that a message still waits for."""
        return self._states(self._look.value())

    def heartbeat(self) -> DeadMansSwitch:
        """Whether there is a dead man's switch, and what came of trying it."""
        return self._heartbeat(self._look.value())

    def _heartbeat(self, record: ChannelRecord) -> DeadMansSwitch:
        return DeadMansSwitch(self._settings.heartbeat_url is not None, record.tests.get(HEARTBEAT))

    def ask_heartbeat(self) -> DeadMansSwitch:
        """Have the dead man's switch asked now, whatever the desk is like; raises as `ask_test`."""
        if self._settings.heartbeat_url is None:
            raise NotThere("there is no HEARTBEAT_URL")
        return self._heartbeat(self._ask(HEARTBEAT))

    def ask_test(self, name: str) -> ChannelState:
        """Have a message sent that only tries a channel; what comes of it is in `view`.

        Raises
        ------
        NotThere
            `ALERT_CHANNELS` has no such name.
        NoRight
            The desk was opened for reading only.
        """
        if name not in self._settings.channels:
            known = ", ".join(self._settings.channels) or "none"
            raise NotThere(f"no channel of this name; ALERT_CHANNELS has {known}")
        return next(one for one in self._states(self._ask(name)) if one.name == name)

    def _ask(self, name: str) -> ChannelRecord:
        writable(self._book).ask_test(name, self._now_ms())
        return read_channels(self._reader, self._now_ms())

    def _states(self, record: ChannelRecord) -> list[ChannelState]:
        configured = self._settings.channels
        left = [name for name, one in record.health.items() if one.pending]
        return [
            ChannelState(name, name in configured, record.health.get(name), record.tests.get(name))
            for name in dict.fromkeys([*configured, *left])
        ]


def read_channels(reader: Reader, now_ms: int) -> ChannelRecord:
    """What the store says of channels, of the last day where it counts."""
    return ChannelRecord(reader.channels(now_ms - DAY_MS), reader.channel_tests())
