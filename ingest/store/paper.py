"""Writing what a rule trades on paper: its state, its trips and its equity, bar by bar."""

import json

from core.paper import Mark, PaperState, revive
from ingest.store.rules import StoredRule
from ingest.store.transaction import Transaction

_OF_TRIP = "rule_id = ? AND born_ms = ? AND entry_ms = ?"


def load_state(tx: Transaction, rule: StoredRule) -> PaperState:
    """Where to trade a rule on from; anew where it was born anew."""
    stored = tx.run(
        "SELECT state FROM paper_states WHERE rule_id = ? AND born_ms = ?",
        rule.rule_id,
        rule.born_ms,
    ).scalar()
    return PaperState(rule.born_ms) if stored is None else revive(json.loads(stored))


def record(tx: Transaction, rule: StoredRule, mark: Mark) -> None:
    """Keep what one bar made of a position; in the transaction of `episodes.record`, once it is.

    That one refuses a bar that was recorded before, and with it this.
    """
    key = (rule.rule_id, rule.born_ms)
    tx.run(
        "INSERT INTO paper_states (rule_id, born_ms, as_of_ms, state) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (rule_id) DO UPDATE SET born_ms = excluded.born_ms,"
        " as_of_ms = excluded.as_of_ms, state = excluded.state",
        *key,
        mark.open_time_ms,
        json.dumps(mark.state, separators=(",", ":")),
    )
    tx.run(
        "INSERT INTO paper_marks (rule_id, born_ms, open_time_ms, equity) VALUES (?, ?, ?, ?)",
        *key,
        mark.open_time_ms,
        mark.equity,
    )
    if mark.left is not None:
        trip = mark.left.trip
        tx.run(
            "UPDATE paper_trips SET exit_ms = ?, exit_z = ?, exit_price_a = ?, exit_price_b = ?,"
            " costs = ?, pnl = ?, price_pnl = ?, drift_pnl = ?, bars = ?, exit_reason = ?"
            f" WHERE {_OF_TRIP}",
            trip.exit_time_ms,
            _number(trip.exit_z),
            mark.left.price_a,
            mark.left.price_b,
            trip.costs,
            trip.pnl,
            mark.left.price_pnl,
            mark.left.drift_pnl,
            trip.bars,
            trip.exit_reason,
            *key,
            trip.entry_time_ms,
        )
    if mark.entered is not None:
        entered = mark.entered
        tx.run(
            "INSERT INTO paper_trips (rule_id, born_ms, side, entry_ms, entry_z, hedge_ratio,"
            " entry_price_a, entry_price_b, quantity_a, quantity_b, costs, revised)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *key,
            *entered,
            False,
        )


def mark_revised(tx: Transaction, rule_id: int, open_time_ms: int) -> int:
    """Show of trips that a bar they filled at was rewritten since; return how many."""
    return tx.run(
        "UPDATE paper_trips SET revised = ? WHERE rule_id = ? AND (entry_ms = ? OR exit_ms = ?)"
        " AND NOT revised",
        True,
        int(rule_id),
        int(open_time_ms),
        int(open_time_ms),
    ).rowcount


def prune_marks(tx: Transaction, rule_id: int, before_ms: int, limit: int) -> int:
    """Delete up to `limit` of a rule's oldest equity; return how many. Trips stay."""
    return tx.run(
        "DELETE FROM paper_marks WHERE id IN (SELECT id FROM paper_marks WHERE rule_id = ?"
        " AND open_time_ms < ? ORDER BY open_time_ms LIMIT ?)",
        int(rule_id),
        int(before_ms),
        int(limit),
    ).rowcount


def _number(value: float) -> float | None:
    return None if value != value else float(value)
