"""Reading rules, what they found, who was told and what they trade on paper. Never writes."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from core.radar_spec import legs_of
from ingest.store.connections import ReadConnections, marks, run
from ingest.store.rules import COLUMNS, IN_FORCE, StoredRule, stored_rule


class Sent(NamedTuple):
    """How one message to one channel stands."""

    channel: str
    event: str
    state: str
    attempts: int
    next_ms: int
    delivered_ms: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class StoredEpisode:
    """One thing that fired, and how it ended; see `ingest.store.schema.episodes`."""

    episode_id: int
    rule_id: int
    version: int
    direction: str
    start_ms: int
    end_ms: int | None
    state: str
    outcome: str
    value_at_start: float | None
    value_peak: float | None
    value_at_end: float | None
    words: str
    told_ms: int | None
    acknowledged_by: str | None
    acknowledged_ms: int | None
    late: bool
    """Judged when newer bars had closed already."""
    revised: bool
    """A bar that it hung on was rewritten since."""
    kind: str
    symbol_a: str | None
    symbol_b: str | None
    timeframe: str | None
    born_ms: int
    values: dict[str, Any]
    """What it fired on."""
    deliveries: tuple[Sent, ...]


class Standing(NamedTuple):
    """Where a rule stands: its last judgement."""

    version: int
    judged_ms: int | None
    judged_at_ms: int
    shown: str
    words: str
    values: dict[str, Any]


class Decided(NamedTuple):
    """One judged bar, and why it did or did not fire."""

    version: int
    open_time_ms: int
    shown: str
    words: str
    values: dict[str, Any]
    eventful: bool
    late: bool


class Trip(NamedTuple):
    """One paper trip; what is of its exit is None while it is open."""

    side: str
    entry_ms: int
    entry_z: float | None
    hedge_ratio: float
    entry_price_a: float
    entry_price_b: float
    quantity_a: float
    quantity_b: float
    costs: float
    exit_ms: int | None
    exit_z: float | None
    exit_price_a: float | None
    exit_price_b: float | None
    pnl: float | None
    price_pnl: float | None
    drift_pnl: float | None
    bars: int | None
    exit_reason: str | None
    revised: bool


class Kept(NamedTuple):
    """Prices of both legs that something in the record hangs on: opens or closes of one bar."""

    open_time_ms: int
    price_a: float
    price_b: float
    is_open: bool


class ChannelHealth(NamedTuple):
    """How a channel has taken what was sent to it."""

    pending: int
    next_ms: int | None
    """Of the oldest that waits."""
    failing_since_ms: int | None
    error: str | None
    delivered_ms: int | None
    delivered_since: int
    """Messages that arrived since the time asked for, and those that took more than one try."""
    retried_since: int
    failed_since: int
    """Messages made since then that were refused and have not arrived yet."""


class ChannelTest(NamedTuple):
    """The last try of a channel; it is under way while `tried_ms` is None."""

    asked_ms: int
    tried_ms: int | None
    error: str | None


_OF_RULES = (
    "FROM episodes JOIN rule_versions"
    " ON rule_versions.rule_id = episodes.rule_id AND rule_versions.version = episodes.version"
)
_EPISODE = (
    "SELECT episodes.id, episodes.rule_id, episodes.version, direction, start_ms, end_ms,"
    " episodes.state, outcome, value_at_start, value_peak, value_at_end, words, told_ms,"
    " acknowledged_by, acknowledged_ms, late, revised, kind, symbol_a, symbol_b, timeframe,"
    f" born_ms, values_at_start {_OF_RULES}"
)
_DECIDED = "version, open_time_ms, shown, words, judged_values, eventful, late"


class WatchReader(ReadConnections):
    """What the desk has found while nobody looked."""

    def rules(self) -> list[StoredRule]:
        """Every rule in force, paused ones too, by id."""
        with self._reading() as connection:
            rows = run(connection, f"{IN_FORCE} ORDER BY rules.id").all()
        return [stored_rule(row) for row in rows]

    def rule(self, rule_id: int, version: int | None = None) -> StoredRule | None:
        """One rule: the version in force, or an older one, of a deleted rule too."""
        sql, values = f"{IN_FORCE} AND rules.id = ?", [int(rule_id)]
        if version is not None:
            sql = (
                f"SELECT {COLUMNS.replace('rules.version', 'rule_versions.version')} FROM rules"
                " JOIN rule_versions ON rule_versions.rule_id = rules.id"
                " WHERE rules.id = ? AND rule_versions.version = ?"
            )
            values.append(int(version))
        with self._reading() as connection:
            row = run(connection, sql, *values).first()
        return None if row is None else stored_rule(row)

    def rule_versions(self) -> dict[int, int]:
        """The version in force of every rule, by id: what tells cheaply that any was edited."""
        with self._reading() as connection:
            rows = run(connection, "SELECT id, version FROM rules WHERE deleted_ms IS NULL").all()
        return {row[0]: row[1] for row in rows}

    def alerts(
        self,
        *,
        rule_id: int | None = None,
        kind: str | None = None,
        symbols: tuple[str, str] | None = None,
        since_ms: int | None = None,
        still_open: bool = False,
        before_id: int | None = None,
        limit: int = 100,
    ) -> list[StoredEpisode]:
        """Episodes with their deliveries, the newest record first.

        Parameters
        ----------
        since_ms : those that fired at or after this time.
        still_open : those that have not resolved.
        before_id : the last id of the page before; the next page begins after it.
        """
        where, values = _asked(rule_id, kind, symbols, since_ms, before_id)
        if still_open:
            where += " AND episodes.state <> 'resolved'"
        sql = f"{_EPISODE} {where} ORDER BY episodes.id DESC LIMIT ?"
        with self._reading() as connection:
            rows: Sequence[Any] = run(connection, sql, *values, int(limit)).all()
            sent = defaultdict(list)
            if rows:
                for episode_id, *columns in run(
                    connection,
                    "SELECT episode_id, channel, event, state, attempts, next_ms, delivered_ms,"
                    f" error FROM deliveries WHERE episode_id IN ({marks(rows)}) ORDER BY id",
                    *(row[0] for row in rows),
                ):
                    sent[episode_id].append(Sent(*columns))
        return [_episode(row, sent[row[0]]) for row in rows]

    def count_alerts(self, kind: str | None, symbols: tuple[str, str] | None, since_ms: int) -> int:
        """How many episodes of a kind and pair fired at or after a time."""
        where, values = _asked(None, kind, symbols, since_ms, None)
        with self._reading() as connection:
            (found,) = run(connection, f"SELECT COUNT(*) {_OF_RULES} {where}", *values).one()
        return int(found)

    def alert(self, episode_id: int) -> StoredEpisode | None:
        """One episode."""
        found = self.alerts(before_id=int(episode_id) + 1, limit=1)
        return found[0] if found and found[0].episode_id == episode_id else None

    def standings(self) -> dict[int, Standing]:
        """The last judgement of every rule that has one, by rule: the watchlist's rows."""
        with self._reading() as connection:
            rows: Sequence[Any] = run(
                connection,
                "SELECT rule_states.rule_id, rule_states.version, judged_ms, judged_at_ms,"
                " rule_states.shown, rule_states.words, judged_values FROM rule_states"
                " LEFT JOIN decisions ON decisions.rule_id = rule_states.rule_id"
                " AND decisions.version = rule_states.version AND open_time_ms = judged_ms",
            ).all()
        return {row[0]: Standing(*(*row[1:6], json.loads(row[6] or "{}"))) for row in rows}

    def decisions(
        self,
        rule_id: int,
        *,
        since_ms: int | None = None,
        before_ms: int | None = None,
        limit: int = 100,
    ) -> list[Decided]:
        """Why each bar did or did not fire, newest first."""
        where, values = "rule_id = ?", [int(rule_id)]
        for condition, value in ((">=", since_ms), ("<", before_ms)):
            if value is not None:
                where += f" AND open_time_ms {condition} ?"
                values.append(int(value))
        with self._reading() as connection:
            rows: Sequence[Any] = run(
                connection,
                f"SELECT {_DECIDED} FROM decisions WHERE {where}"
                " ORDER BY open_time_ms DESC, version DESC LIMIT ?",
                *values,
                int(limit),
            ).all()
        return [_decided(row) for row in rows]

    def judged_events(self, rule_id: int, born_ms: int, most: int) -> list[Decided]:
        """The bars since a birth of a rule at which episodes fired and resolved, newest first.

        Before that birth it may have watched another pair. Without those of episodes that are
        marked as revised.
        """
        with self._reading() as connection:
            rows = run(
                connection,
                f"SELECT {_DECIDED} FROM decisions WHERE rule_id = ? AND eventful"
                " AND open_time_ms >= ?"
                " AND EXISTS (SELECT 1 FROM episodes WHERE episodes.rule_id = decisions.rule_id"
                " AND NOT revised AND (start_ms = open_time_ms OR end_ms = open_time_ms))"
                " ORDER BY open_time_ms DESC LIMIT ?",
                int(rule_id),
                int(born_ms),
                int(most),
            ).all()
        return [_decided(row) for row in rows]

    def filled_prices(self, rule_id: int, born_ms: int, most: int) -> list[Kept]:
        """Prices that the newest paper trips of a birth filled at, without those marked so."""
        with self._reading() as connection:
            rows = run(
                connection,
                "SELECT entry_ms, entry_price_a, entry_price_b, exit_ms, exit_price_a,"
                " exit_price_b, exit_reason FROM paper_trips WHERE rule_id = ? AND born_ms = ?"
                " AND NOT revised ORDER BY entry_ms DESC LIMIT ?",
                int(rule_id),
                int(born_ms),
                int(most),
            ).all()
        kept = [Kept(row[0], row[1], row[2], is_open=True) for row in rows]
        # A break is left at the last close before it.
        return kept + [
            Kept(row[3], row[4], row[5], is_open=row[6] != "break")
            for row in rows
            if row[3] is not None
        ]

    def channels(self, since_ms: int) -> dict[str, ChannelHealth]:
        """How every channel that ever had a message stands."""
        waits = "state = 'pending'"
        arrived = "state = 'delivered' AND delivered_ms >= ?"
        with self._reading() as connection:
            rows = run(
                connection,
                f"SELECT channel, SUM(CASE WHEN {waits} THEN 1 ELSE 0 END),"
                f" MIN(CASE WHEN {waits} THEN next_ms END),"
                f" MIN(CASE WHEN {waits} AND attempts > 0 THEN made_ms END),"
                # What is older was tried with the newest, or rests since before it.
                " (SELECT error FROM deliveries AS newest WHERE newest.channel ="
                f" deliveries.channel AND {waits} AND error IS NOT NULL"
                " ORDER BY id DESC LIMIT 1), MAX(delivered_ms),"
                f" SUM(CASE WHEN {arrived} THEN 1 ELSE 0 END),"
                f" SUM(CASE WHEN {arrived} AND attempts > 1 THEN 1 ELSE 0 END),"
                f" SUM(CASE WHEN {waits} AND attempts > 0 AND made_ms >= ? THEN 1 ELSE 0 END)"
                " FROM deliveries GROUP BY channel ORDER BY channel",
                *[int(since_ms)] * 3,
            ).all()
        return {row[0]: ChannelHealth(*row[1:]) for row in rows}

    def channel_tests(self) -> dict[str, ChannelTest]:
        """The last try of every channel that was ever tried."""
        with self._reading() as connection:
            rows = run(
                connection, "SELECT channel, asked_ms, tried_ms, error FROM channel_tests"
            ).all()
        return {row[0]: ChannelTest(*row[1:]) for row in rows}

    def paper_states(self) -> dict[int, list[Any]]:
        """Where the paper of every rule in force stands, by rule, for `core.paper.revive`."""
        with self._reading() as connection:
            rows = run(
                connection,
                "SELECT rule_id, state FROM paper_states JOIN rules ON rules.id = rule_id"
                " WHERE deleted_ms IS NULL ORDER BY rule_id",
            ).all()
        return {row[0]: json.loads(row[1]) for row in rows}

    def paper_trips(self, rule_id: int, born_ms: int) -> list[Trip]:
        """The trips of one birth of a rule, oldest first; the open one last."""
        columns = ", ".join(Trip._fields)
        with self._reading() as connection:
            rows: Sequence[Any] = run(
                connection,
                f"SELECT {columns} FROM paper_trips WHERE rule_id = ? AND born_ms = ?"
                " ORDER BY entry_ms",
                int(rule_id),
                int(born_ms),
            ).all()
        return [Trip(*(*row[:-1], bool(row[-1]))) for row in rows]

    def paper_equity(
        self, rule_id: int, born_ms: int, since_ms: int = 0
    ) -> Sequence[tuple[int, float]]:
        """Open times and equity at the close of the bars of one birth, oldest first."""
        with self._reading() as connection:
            rows = run(
                connection,
                "SELECT open_time_ms, equity FROM paper_marks WHERE rule_id = ? AND born_ms = ?"
                " AND open_time_ms >= ? ORDER BY open_time_ms",
                int(rule_id),
                int(born_ms),
                int(since_ms),
            ).all()
        return [(row[0], row[1]) for row in rows]


def _asked(
    rule_id: int | None,
    kind: str | None,
    symbols: tuple[str, str] | None,
    since_ms: int | None,
    before_id: int | None,
) -> tuple[str, list[Any]]:
    """The condition that picks episodes, and its values; None where any will do."""
    where, values = ["1 = 1"], list[Any]()
    for condition, value in (
        ("episodes.rule_id = ?", rule_id),
        ("kind = ?", kind),
        ("start_ms >= ?", since_ms),
        ("episodes.id < ?", before_id),
    ):
        if value is not None:
            where.append(condition)
            values.append(value)
    if symbols is not None:
        legs = "/".join(symbols)
        where.append(
            "((symbol_a = ? AND symbol_b = ?) OR (kind = 'radar' AND direction IN (?, ?)))"
        )
        values += [*symbols, f"long_spread:{legs}", f"short_spread:{legs}"]
    return f"WHERE {' AND '.join(where)}", values


def _episode(row: Any, sent: Sequence[Sent]) -> StoredEpisode:
    """The legs of a radar's episode are in its direction."""
    late, revised, values = bool(row[15]), bool(row[16]), json.loads(row[22])
    found = StoredEpisode(*(*row[:15], late, revised, *row[17:22], values, tuple(sent)))
    legs = legs_of(found.direction) if found.kind == "radar" else None
    if legs is None:
        return found
    side = found.direction.partition(":")[0]
    return replace(found, direction=side, symbol_a=legs[0], symbol_b=legs[1])


def _decided(row: Any) -> Decided:
    return Decided(*(*row[:4], json.loads(row[4]), bool(row[5]), bool(row[6])))
