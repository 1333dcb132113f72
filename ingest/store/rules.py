"""Writing the user's rules and what he says of their episodes.

A rule is never rewritten: an edit makes a new version, a deleted one keeps its record.
"""

import json
from dataclasses import dataclass
from urllib.parse import urlencode

from sqlalchemy import Row

from core.pair_spec import PAIR_PARAMETERS
from core.rule_spec import RuleSpec, is_reborn, read_rule_spec, rule_body, same_subject
from core.settings import Settings
from ingest.store.transaction import Transaction

COLUMNS = "rules.id, rules.version, born_ms, made_ms, body"
"""What `stored_rule` is made of."""
IN_FORCE = (
    f"SELECT {COLUMNS} FROM rules JOIN rule_versions"
    " ON rule_versions.rule_id = rules.id AND rule_versions.version = rules.version"
    " WHERE deleted_ms IS NULL"
)


@dataclass(frozen=True, slots=True)
class StoredRule:
    """One version of a rule; `born_ms` is the open time of the bar that it begins at, flat."""

    rule_id: int
    version: int
    born_ms: int
    made_ms: int
    spec: RuleSpec

    @property
    def link(self) -> str:
        """Path of the page with the rule's own pair and series, since its birth."""
        return self.link_of(None, None)

    def link_of(self, symbol_a: str | None, symbol_b: str | None) -> str:
        """The same of an episode, which is of one of many pairs where the rule is a radar's."""
        pair = self.spec.pair_of(symbol_a, symbol_b)
        if pair is None:
            return "/health" if self.spec.radar is None else "/scanner"
        values = {name: getattr(pair, name) for name in PAIR_PARAMETERS}
        asked = {name: value for name, value in values.items() if value is not None}
        return "/?" + urlencode(asked | {"since": self.born_ms})


def stored_rule(row: Row[*tuple[object, ...]]) -> StoredRule:
    """Make a rule of `COLUMNS`; every parameter is in its body, so no setting of today counts."""
    rule_id, version, born_ms, made_ms, body = row
    assert isinstance(body, str)
    spec = read_rule_spec(json.loads(body), Settings())
    return StoredRule(int(str(rule_id)), int(str(version)), int(str(born_ms)),
                      int(str(made_ms)), spec)  # fmt: skip


def enabled(tx: Transaction) -> list[StoredRule]:
    """Every rule that is to be judged."""
    rows = tx.run(f"{IN_FORCE} AND enabled ORDER BY rules.id").all()
    return [stored_rule(row) for row in rows]


def get(tx: Transaction, rule_id: int) -> StoredRule | None:
    """The version in force; None where there is no such rule, or none any more."""
    row = tx.run(f"{IN_FORCE} AND rules.id = ?", int(rule_id)).first()
    return None if row is None else stored_rule(row)


def create(tx: Transaction, spec: RuleSpec, born_ms: int, now_ms: int) -> StoredRule:
    """Keep a new rule that begins at a bar: the one that is forming now, by its open time."""
    rule_id = int(tx.run("INSERT INTO rules (version) VALUES (1) RETURNING id").scalar_one())
    return _keep(tx, StoredRule(rule_id, 1, int(born_ms), int(now_ms), spec))


def edit(
    tx: Transaction, rule_id: int, spec: RuleSpec, born_ms: int, now_ms: int
) -> StoredRule | None:
    """Make a new version; None where there is no such rule.

    It keeps its birth unless something of what trades has changed; then it begins anew at
    `born_ms`. What fires goes on firing, except where it watches something else now or nothing.
    """
    _hold(tx, rule_id)
    old = get(tx, rule_id)
    if old is None:
        return None
    if is_reborn(old.spec, spec):
        born_ms = max(int(born_ms), old.born_ms + spec.timeframe_ms)
    else:
        born_ms = old.born_ms
    if not spec.watch.enabled:
        _end(tx, rule_id, "paused", now_ms)
    elif not same_subject(old.spec, spec):
        _end(tx, rule_id, "edited", now_ms)
    tx.run("UPDATE rules SET version = ? WHERE id = ?", old.version + 1, int(rule_id))
    return _keep(tx, StoredRule(old.rule_id, old.version + 1, born_ms, int(now_ms), spec))


def delete(tx: Transaction, rule_id: int, now_ms: int) -> bool:
    """Judge a rule no more; False where there is no such rule."""
    changed = tx.run(
        "UPDATE rules SET deleted_ms = ? WHERE id = ? AND deleted_ms IS NULL",
        int(now_ms),
        int(rule_id),
    ).rowcount
    if changed:
        _end(tx, rule_id, "deleted", now_ms)
    return bool(changed)


def acknowledge(tx: Transaction, episode_id: int, who: str, now_ms: int) -> bool:
    """Say that an episode was seen; False where there is none that still fires.

    The first word stands: two people who press at once are no error.
    """
    tx.run(
        "UPDATE episodes SET acknowledged_by = ?, acknowledged_ms = ? WHERE id = ?"
        " AND state <> 'resolved' AND acknowledged_ms IS NULL",
        who,
        int(now_ms),
        int(episode_id),
    )
    found = tx.run(
        "SELECT 1 FROM episodes WHERE id = ? AND acknowledged_ms IS NOT NULL", int(episode_id)
    ).first()
    return found is not None


def _hold(tx: Transaction, rule_id: int) -> None:
    """Let nobody judge or edit a rule until the transaction ends; SQLite has one writer anyway."""
    if not tx.is_sqlite:
        tx.run("SELECT 1 FROM rules WHERE id = ? FOR UPDATE", int(rule_id))


def _keep(tx: Transaction, rule: StoredRule) -> StoredRule:
    pair = rule.spec.pair
    tx.run(
        "INSERT INTO rule_versions (rule_id, version, born_ms, made_ms, kind, symbol_a, symbol_b,"
        " timeframe, enabled, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rule.rule_id,
        rule.version,
        rule.born_ms,
        rule.made_ms,
        rule.spec.kind,
        None if pair is None else pair.symbol_a,
        None if pair is None else pair.symbol_b,
        rule.spec.timeframe,
        rule.spec.watch.enabled,
        json.dumps(rule_body(rule.spec), allow_nan=False, separators=(",", ":")),
    )
    return rule


def _end(tx: Transaction, rule_id: int, outcome: str, now_ms: int) -> None:
    """End what fires of a rule, which nobody is told: it was the user who did it."""
    tx.run(
        "UPDATE episodes SET state = 'resolved', outcome = ?, end_ms = ?"
        " WHERE rule_id = ? AND state <> 'resolved'",
        outcome,
        int(now_ms),
        int(rule_id),
    )
    tx.run("DELETE FROM rule_states WHERE rule_id = ?", int(rule_id))
