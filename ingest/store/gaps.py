"""Writing what the live feed missed: gaps in the ids of a symbol, and how they ended."""

from dataclasses import dataclass
from typing import Literal

from ingest.store.transaction import Transaction

GapState = Literal["open", "filled", "unfillable"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Ids of one symbol that the live feed missed, both ends inclusive."""

    gap_id: int
    symbol_id: int
    symbol: str
    from_id: int
    to_id: int
    from_ms: int
    to_ms: int
    state: GapState
    reason: str
    opened_ms: int


def open_gap(
    tx: Transaction,
    symbol_id: int,
    from_id: int,
    to_id: int,
    from_ms: int,
    to_ms: int,
    reason: str,
    now_ms: int,
) -> int:
    """Record ids that were missed, both ends inclusive; return the gap's id."""
    result = tx.run(
        "INSERT INTO gaps (symbol_id, from_id, to_id, from_ms, to_ms, state, reason,"
        " opened_ms) VALUES (?, ?, ?, ?, ?, 'open', ?, ?) RETURNING id",
        *map(int, (symbol_id, from_id, to_id, from_ms, to_ms)),
        reason,
        int(now_ms),
    )
    return int(result.scalar_one())


def close_gap(
    tx: Transaction, gap_id: int, state: Literal["filled", "unfillable"], reason: str, now_ms: int
) -> None:
    """Say how a gap ended."""
    tx.run(
        "UPDATE gaps SET state = ?, reason = ?, closed_ms = ? WHERE id = ?",
        state,
        reason,
        int(now_ms),
        int(gap_id),
    )


def shrink_gap(tx: Transaction, gap_id: int, from_id: int, from_ms: int) -> None:
    """Move the start of a gap that is being filled from its old end."""
    tx.run(
        "UPDATE gaps SET from_id = ?, from_ms = ? WHERE id = ?",
        int(from_id),
        int(from_ms),
        int(gap_id),
    )


def in_state(tx: Transaction, state: GapState) -> list[Gap]:
    """Gaps in one state, oldest first."""
    rows = tx.run(
        "SELECT gaps.id, symbol_id, symbol, from_id, to_id, from_ms, to_ms, state, reason,"
        " opened_ms FROM gaps JOIN symbols ON symbols.id = gaps.symbol_id"
        " WHERE state = ? ORDER BY symbol_id, from_id",
        state,
    )
    return [Gap(*row) for row in rows]
