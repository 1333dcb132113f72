"""Ids that are missing in a chain, while somebody may still bring them."""

from dataclasses import dataclass, field

from core.types import Trade


@dataclass(slots=True)
class OpenGap:
    """Missing ids, both ends inclusive, and the times of the trades on either side of them."""

    gap_id: int
    from_id: int
    to_id: int
    from_ms: int
    to_ms: int
    # Ids inside that came by themselves, out of order.
    received: set[int] = field(default_factory=set)

    def trim(self) -> bool:
        """Leave out what came by itself at either end; True when nothing is missing any more."""
        while self.from_id in self.received:
            self.from_id += 1
        while self.to_id > self.from_id and self.to_id in self.received:
            self.to_id -= 1
        return self.from_id > self.to_id

    def cut_before(self, trade: Trade) -> "OpenGap":
        """Begin with this trade; what lay before it is a gap of its own."""
        head = OpenGap(0, self.from_id, trade.trade_id - 1, self.from_ms, trade.trade_time_ms)
        self.from_id, self.from_ms = trade.trade_id, trade.trade_time_ms
        return head
