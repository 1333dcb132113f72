"""Outbox to channels: each message until it has arrived, each channel by itself.

At least once: whoever is killed between sending and noting it sends again, with the same key.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ingest.analysis.channels import Channel, Refusal, texts, trial
from ingest.store import channels as channel_store
from ingest.store import episodes
from ingest.store.episodes import Delivery
from ingest.store.reader import Reader
from ingest.store.transaction import Writer

MOST_AT_ONCE = 50
"""Alerts in one message; a burst is one message and not fifty."""
MOST_DUE = 500
FIRST_WAIT_S, LAST_WAIT_S = 5.0, 900.0
GATHER_MS = 2_000
"""A message goes out this long after its first alert was made, with all that came meanwhile."""


class Parcel(NamedTuple):
    """What goes to one channel in one message; without any delivery it only tries the channel."""

    channel: str
    deliveries: list[Delivery]


class Courier:
    """Finds what is due, sends it, and notes what came of it: three steps, so that no network is
    waited for while anything is held.

    Parameters
    ----------
    desk : address of the page, which links begin with.
    """

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        channels: Mapping[str, Channel],
        desk: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._channels = channels
        self._desk = desk
        self._now_ms = now_ms
        self._rests_until_ms: dict[str, int] = {}
        self.delivered = 0
        self.failed = 0

    def due(self) -> list[Parcel]:
        """Messages to be sent now, one parcel a channel; a channel that failed rests as a whole.

        A try that was asked for comes before the channel's messages, rest or not.
        """
        now_ms = self._now_ms()
        with self._writer.transaction() as tx:
            waiting = episodes.due(tx, now_ms, MOST_DUE)
            tried = channel_store.tests_due(tx)
        by_channel = defaultdict[str, list[Delivery]](list)
        for one in waiting:
            if self._rests_until_ms.get(one.channel, 0) <= now_ms:
                by_channel[one.channel].append(one)
        return [Parcel(name, []) for name in tried] + [
            Parcel(name, found[:MOST_AT_ONCE])
            for name, found in by_channel.items()
            if name not in tried and _is_gathered(found, now_ms)
        ]

    def send(self, parcel: Parcel) -> Refusal | None:
        """Send one parcel; None where it has arrived. It takes as long as the channel does."""
        channel = self._channels.get(parcel.channel)
        if channel is None:
            return Refusal("no channel of this name is in ALERT_CHANNELS")
        if not parcel.deliveries:
            return channel(trial(parcel.channel, self._desk))
        return channel(texts([self._told(one) for one in parcel.deliveries], self._desk))

    def note(self, parcel: Parcel, refusal: Refusal | None) -> None:
        """Store what came of a parcel; what was refused is tried again, ever more seldom."""
        numbers = [one.delivery_id for one in parcel.deliveries]
        now_ms = self._now_ms()
        if not numbers:
            with self._writer.transaction() as tx:
                channel_store.tested(tx, parcel.channel, refusal and refusal.reason, now_ms)
            if refusal is None:
                self._rests_until_ms.pop(parcel.channel, None)
            return
        if refusal is None:
            with self._writer.transaction() as tx:
                episodes.delivered(tx, numbers, now_ms)
            self.delivered += len(numbers)
            self._rests_until_ms.pop(parcel.channel, None)
            return
        tries = max(one.attempts for one in parcel.deliveries)
        wait_s = max(min(FIRST_WAIT_S * 2.0 ** min(tries, 20), LAST_WAIT_S), refusal.wait_s)
        next_ms = now_ms + round(wait_s * 1_000)
        with self._writer.transaction() as tx:
            episodes.refused(tx, numbers, refusal.reason, next_ms)
        self.failed += len(numbers)
        self._rests_until_ms[parcel.channel] = next_ms

    def _told(self, one: Delivery) -> dict[str, Any]:
        """An alert with all its numbers, as docs/alerts.md describes them."""
        found = self._reader.alert(one.episode_id)
        assert found is not None, "an episode is never deleted"
        rule = self._reader.rule(found.rule_id, found.version)
        return {
            "key": one.key,
            "event": one.event,
            "attempt": one.attempts + 1,
            "alert_id": found.episode_id,
            "rule_id": found.rule_id,
            "rule_version": found.version,
            "kind": found.kind,
            "symbol_a": found.symbol_a,
            "symbol_b": found.symbol_b,
            "timeframe": found.timeframe,
            "direction": found.direction,
            "state": found.state,
            "outcome": found.outcome,
            "start_time_ms": found.start_ms,
            "end_time_ms": found.end_ms,
            "value_at_start": _finite(found.value_at_start),
            "value_peak": _finite(found.value_peak),
            "value_at_end": _finite(found.value_at_end),
            "words": found.words,
            "values": found.values,
            "late": found.late,
            "revised": found.revised,
            "link": self._desk + (rule.link_of(found.symbol_a, found.symbol_b) if rule else "/"),
        }


def _is_gathered(found: list[Delivery], now_ms: int) -> bool:
    """Whether messages go out now, or wait for others of the same burst."""
    waited_ms = now_ms - min(one.made_ms for one in found)
    is_new = 0 <= waited_ms < GATHER_MS and not any(one.attempts for one in found)
    return len(found) >= MOST_AT_ONCE or not is_new


def _finite(value: float | None) -> float | None:
    """A value that JSON has: a half-life may be without end."""
    return value if value is not None and abs(value) <= 1e300 else None
