"""Writing what was judged: states, episodes, decisions, and the outbox of messages about them.

All of one judged bar is one transaction with the bar's number in it: whoever is killed before it
judges the bar again and finds nothing of it, whoever is killed after it finds the bar judged.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core import episodes
from core.episodes import Episode, Event, Judgement, RuleState
from ingest.store.rules import StoredRule
from ingest.store.transaction import Transaction

_OF_EPISODE = "rule_id = ? AND version = ? AND direction = ? AND start_ms = ?"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one channel that is still to arrive."""

    delivery_id: int
    rule_id: int
    episode: Episode
    episode_id: int
    channel: str
    event: str
    attempts: int
    made_ms: int

    @property
    def key(self) -> str:
        """The same on every attempt, so that a receiver can tell a repeat."""
        version, direction, start_ms = self.episode
        return f"{self.rule_id}.{version}.{direction}.{start_ms}.{self.event}"


def load_state(tx: Transaction, rule: StoredRule) -> RuleState:
    """Where to judge a rule on from: as it was left, see `core.episodes.begin`."""
    stored = tx.run("SELECT state FROM rule_states WHERE rule_id = ?", rule.rule_id).scalar()
    return episodes.begin(
        None if stored is None else episodes.revive(json.loads(stored)), rule.born_ms
    )


def acknowledged(tx: Transaction, rule_id: int) -> frozenset[Episode]:
    """The episodes of a rule that fire and that somebody has seen."""
    rows = tx.run(
        "SELECT version, direction, start_ms FROM episodes WHERE rule_id = ?"
        " AND state <> 'resolved' AND acknowledged_ms IS NOT NULL",
        int(rule_id),
    )
    return frozenset(Episode(*row) for row in rows)


def record(tx: Transaction, rule: StoredRule, judged: Judgement, now_ms: int) -> bool:
    """Keep one judged bar of a rule: state, episodes, messages and the decision itself.

    Returns
    -------
    False, and nothing was written, where that bar of that birth was recorded before or the rule
    has been edited, paused or deleted since: then what is new is to be loaded again.
    """
    if not _is_in_force(tx, rule) or not _move_on(tx, rule, judged, now_ms):
        return False
    for event in judged.events:
        _note(tx, rule, judged, event, now_ms)
    for episode, latch in episodes.open_episodes(judged.after):
        tx.run(
            f"UPDATE episodes SET state = ?, value_peak = ? WHERE {_OF_EPISODE}"
            " AND (state <> ? OR COALESCE(value_peak, 0) <> ?)",
            latch.stage,
            _number(latch.peak),
            rule.rule_id,
            *episode,
            latch.stage,
            _number(latch.peak) or 0.0,
        )
    tx.run(
        "INSERT INTO decisions (rule_id, version, open_time_ms, shown, words, judged_values,"
        " eventful, late) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        # That a bar had not closed in time gives way to the bar when it comes.
        " ON CONFLICT (rule_id, version, open_time_ms) DO UPDATE SET shown = excluded.shown,"
        " words = excluded.words, judged_values = excluded.judged_values,"
        " eventful = decisions.eventful OR excluded.eventful, late = excluded.late",
        rule.rule_id,
        rule.version,
        judged.open_time_ms,
        judged.shown,
        judged.words,
        _json(judged.values),
        bool(judged.events),
        judged.is_late,
    )
    return True


def _is_in_force(tx: Transaction, rule: StoredRule) -> bool:
    sql = "SELECT version FROM rules WHERE id = ? AND deleted_ms IS NULL"
    if not tx.is_sqlite:
        sql += " FOR SHARE"
    return tx.run(sql, rule.rule_id).scalar() == rule.version


def _move_on(tx: Transaction, rule: StoredRule, judged: Judgement, now_ms: int) -> bool:
    after = judged.after
    # A bar that has not closed yet is told of and not judged: it does not move the state on.
    newer = "<" if after.judged_ms == judged.open_time_ms else "<="
    moved = tx.run(
        "INSERT INTO rule_states (rule_id, version, born_ms, judged_ms, judged_at_ms, shown, words,"
        " state) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (rule_id) DO UPDATE SET"
        " version = excluded.version, born_ms = excluded.born_ms, judged_ms = excluded.judged_ms,"
        " judged_at_ms = excluded.judged_at_ms, shown = excluded.shown, words = excluded.words,"
        " state = excluded.state WHERE rule_states.born_ms < excluded.born_ms"
        " OR (rule_states.born_ms = excluded.born_ms AND"
        f" COALESCE(rule_states.judged_ms, -1) {newer} COALESCE(excluded.judged_ms, -1))",
        rule.rule_id,
        rule.version,
        after.born_ms,
        after.judged_ms,
        int(now_ms),
        judged.shown,
        judged.words,
        # NaN stays: it is a state like another, and nobody but `revive` reads this.
        json.dumps(episodes.stored_state(after), separators=(",", ":")),
    )
    return moved.rowcount == 1


def _note(tx: Transaction, rule: StoredRule, judged: Judgement, event: Event, now_ms: int) -> None:
    key = (rule.rule_id, *event.episode)
    words, value, values = event.facts or (judged.words, judged.value, judged.values)
    if event.kind == "fired":
        tx.run(
            "INSERT INTO episodes (rule_id, version, direction, start_ms, state, outcome,"
            " value_at_start, value_peak, words, values_at_start, late, revised)"
            " VALUES (?, ?, ?, ?, 'firing', '', ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            *key,
            _number(value),
            _number(value),
            words,
            _json(values),
            judged.is_late,
            False,
        )
    elif event.kind == "told":
        tx.run(f"UPDATE episodes SET told_ms = ? WHERE {_OF_EPISODE}", int(now_ms), *key)
        _post(tx, key, rule.spec.watch.channels, "fired", now_ms, 0)
    else:
        tx.run(
            "UPDATE episodes SET state = 'resolved', outcome = ?, end_ms = ?, value_at_end = ?"
            f" WHERE {_OF_EPISODE}",
            event.outcome,
            # Where no bar had closed in time, the one that was missed first comes back first.
            max(judged.open_time_ms, event.episode.start_ms),
            _number(value),
            *key,
        )
        if event.tell:
            # Whoever was told that it fires is told that it is over, whatever the rule says now.
            rows = tx.run(
                "SELECT channel FROM deliveries JOIN episodes ON episodes.id = episode_id"
                f" WHERE event = 'fired' AND {_OF_EPISODE} ORDER BY deliveries.id",
                *key,
            )
            channels = [row[0] for row in rows]
            _post(tx, key, channels, "resolved", now_ms, event.not_before_ms)


def _post(
    tx: Transaction,
    key: tuple[Any, ...],
    channels: Sequence[str],
    event: str,
    now_ms: int,
    not_before_ms: int,
) -> None:
    episode_id = tx.run(f"SELECT id FROM episodes WHERE {_OF_EPISODE}", *key).scalar_one()
    tx.many(
        "INSERT INTO deliveries (episode_id, channel, event, state, attempts, next_ms, made_ms)"
        " VALUES (?, ?, ?, 'pending', 0, ?, ?) ON CONFLICT DO NOTHING",
        [
            (episode_id, channel, event, max(int(now_ms), not_before_ms), int(now_ms))
            for channel in channels
        ],
    )


def due(tx: Transaction, now_ms: int, limit: int) -> list[Delivery]:
    """Messages that are to be tried now, oldest first; nobody claims any: there is one sender.

    One that was made in times to come is due: the clock has been set back since.
    """
    rows = tx.run(
        "SELECT deliveries.id, rule_id, version, direction, start_ms, episode_id, channel, event,"
        " attempts, made_ms FROM deliveries JOIN episodes ON episodes.id = episode_id"
        " WHERE deliveries.state = 'pending' AND (next_ms <= ? OR made_ms > ?)"
        " ORDER BY deliveries.id LIMIT ?",
        int(now_ms),
        int(now_ms),
        int(limit),
    )
    return [Delivery(row[0], row[1], Episode(*row[2:5]), *row[5:]) for row in rows]


def delivered(tx: Transaction, delivery_ids: Sequence[int], now_ms: int) -> None:
    """Say that messages have arrived. A kill before this sends them again, with the same key."""
    tx.many(
        "UPDATE deliveries SET state = 'delivered', attempts = attempts + 1, delivered_ms = ?,"
        " error = NULL WHERE id = ? AND state = 'pending'",
        [(int(now_ms), int(number)) for number in delivery_ids],
    )


def refused(tx: Transaction, delivery_ids: Sequence[int], error: str, next_ms: int) -> None:
    """Say why messages have not arrived, and when they are tried again; none is ever given up."""
    tx.many(
        "UPDATE deliveries SET attempts = attempts + 1, error = ?, next_ms = ?"
        " WHERE id = ? AND state = 'pending'",
        [(error, int(next_ms), int(number)) for number in delivery_ids],
    )


def mark_revised(tx: Transaction, rule_id: int, open_time_ms: int) -> int:
    """Show of episodes that the bar they fired or resolved at was rewritten; return how many."""
    return tx.run(
        "UPDATE episodes SET revised = ? WHERE rule_id = ? AND (start_ms = ? OR end_ms = ?)"
        " AND NOT revised",
        True,
        int(rule_id),
        int(open_time_ms),
        int(open_time_ms),
    ).rowcount


def prune_decisions(
    tx: Transaction, rule_id: int, quiet_before_ms: int, before_ms: int, limit: int
) -> int:
    """Delete up to `limit` of a rule's oldest decisions; return how many.

    Those at which nothing happened go before `quiet_before_ms`, the others before `before_ms`.
    Episodes keep their own values: what fires lives as long as it fires.
    """
    return tx.run(
        "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE rule_id = ?"
        " AND (open_time_ms < ? OR (NOT eventful AND open_time_ms < ?))"
        " ORDER BY open_time_ms LIMIT ?)",
        int(rule_id),
        int(before_ms),
        int(quiet_before_ms),
        int(limit),
    ).rowcount


def _number(value: float) -> float | None:
    return None if value != value else float(value)


def _json(values: Any) -> str:
    return json.dumps(dict(values), allow_nan=False, separators=(",", ":"))
