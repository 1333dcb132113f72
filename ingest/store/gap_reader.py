"""Reading what the live feed has missed. Never writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ingest.store.connections import ReadConnections, marks, run


@dataclass(frozen=True, slots=True)
class StoredGap:
    """Ids that the live feed of a symbol missed, both ends inclusive."""

    symbol: str
    from_id: int
    to_id: int
    from_ms: int
    to_ms: int
    state: str
    reason: str


class GapCounts(NamedTuple):
    """Gaps of a symbol by how they ended, and the ids in them."""

    open_gaps: int = 0
    filled_gaps: int = 0
    lost_gaps: int = 0
    open_ids: int = 0
    filled_ids: int = 0
    lost_ids: int = 0


class GapReader(ReadConnections):
    """What may be read of gaps."""

    def gaps(
        self,
        symbols: Sequence[str] | None = None,
        states: Sequence[str] = ("open", "unfillable"),
        start_ms: int | None = None,
    ) -> list[StoredGap]:
        """Gaps of these symbols (None: of all) in these states that end at or after a time."""
        with self._reading() as connection:
            return read_gaps(connection, symbols, states, start_ms)

    def gap_counts(self) -> dict[str, GapCounts]:
        """How the gaps of every symbol that ever had one stand."""
        with self._reading() as connection:
            rows = run(
                connection,
                "SELECT symbol, "
                + ", ".join(
                    f"SUM(CASE WHEN state = '{state}' THEN {what} ELSE 0 END)"
                    for what in ("1", "to_id - from_id + 1")
                    for state in ("open", "filled", "unfillable")
                )
                + " FROM gaps JOIN symbols ON symbols.id = gaps.symbol_id GROUP BY symbol",
            ).all()
        return {row[0]: GapCounts(*map(int, row[1:])) for row in rows}


def read_gaps(
    connection: Connection,
    symbols: Sequence[str] | None,
    states: Sequence[str],
    start_ms: int | None,
) -> list[StoredGap]:
    """`Reader.gaps` over a connection."""
    if not states or (symbols is not None and not symbols):
        return []
    sql = (
        "SELECT symbol, from_id, to_id, from_ms, to_ms, state, reason FROM gaps"
        f" JOIN symbols ON symbols.id = gaps.symbol_id WHERE state IN ({marks(states)})"
    )
    values: list[Any] = list(states)
    if symbols is not None:
        sql += f" AND symbol IN ({marks(symbols)})"
        values += symbols
    if start_ms is not None:
        sql += " AND to_ms >= ?"
        values.append(int(start_ms))
    rows = run(connection, f"{sql} ORDER BY from_ms, symbol, from_id", *values).all()
    return [StoredGap(*row) for row in rows]
