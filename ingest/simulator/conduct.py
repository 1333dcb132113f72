"""How clients behave towards the exchange: what a real one would punish, counted."""

from dataclasses import dataclass, field
from typing import Any

CONNECTS_PER_5_MIN = 300
IN_FLIGHT_S = 0.25
"""Requests that were sent before their sender could know of a ban break no rule."""


@dataclass(slots=True)
class Conduct:
    """Connects, messages and requests, and the rules that they broke; times on the loop's clock."""

    connects: list[float] = field(default_factory=list)
    upgrades_refused: int = 0
    messages: int = 0
    calls: int = 0
    ban_answers: int = 0
    # Of those the requests that were sent although their sender knew.
    calls_in_ban: int = 0
    violations: list[str] = field(default_factory=list)
    # Seconds in which nobody was connected, after the first connection.
    blind_s: float = 0.0
    _blind_since: float | None = None
    _open: int = 0
    _ban_known_at: float | None = None

    def count_connect(self, now: float, accepted: bool) -> None:
        """Take note of an upgrade."""
        self.connects.append(now)
        self.upgrades_refused += not accepted
        if self.most_connects(300.0) > CONNECTS_PER_5_MIN:
            self.violations.append("more than 300 connects in 5 minutes")

    def most_connects(self, seconds: float) -> int:
        """The most connects that lie within any such time."""
        most, first = 0, 0
        for last, at in enumerate(self.connects):
            while at - self.connects[first] > seconds:
                first += 1
            most = max(most, last - first + 1)
        return most

    def opened(self, now: float) -> None:
        """A connection stands."""
        if self._blind_since is not None:
            self.blind_s += now - self._blind_since
            self._blind_since = None
        self._open += 1

    def closed(self, now: float) -> None:
        """A connection has ended."""
        self._open -= 1
        if self._open == 0:
            self._blind_since = now

    def too_many_messages(self) -> None:
        """A connection was cut for sending more than it may."""
        self.violations.append("more than 5 messages in a second")

    def begin_ban(self) -> None:
        """A ban that its victims don't know of yet."""
        self._ban_known_at = None

    def tell_ban(self, now: float) -> None:
        """A request was answered with the ban."""
        self.ban_answers += 1
        if self._ban_known_at is None:
            self._ban_known_at = now
        elif now - self._ban_known_at > IN_FLIGHT_S:
            self.calls_in_ban += 1
            self.violations.append("a request inside a ban")

    def summary(self) -> dict[str, Any]:
        """What there is to say, for the control route."""
        return {
            "connects": len(self.connects),
            "upgrades_refused": self.upgrades_refused,
            "messages": self.messages,
            "calls": self.calls,
            "calls_in_ban": self.calls_in_ban,
            "blind_ms": round(self.blind_s * 1_000),
            "violations": self.violations[-20:],
        }
