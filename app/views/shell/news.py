"""What fired, in words: for toasts, the count beside Alerts, and whoever was away; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.services.alerts import Record
from app.services.found import NEWEST
from app.views.links import query_of
from app.views.text import coin, signed, time_text
from core.rule_spec import Z_KINDS
from core.settings import Settings
from core.timeframes import TIMEFRAMES
from core.words import duration_text
from ingest.store.reader import StoredEpisode
from ingest.store.rules import StoredRule

TOASTS = 12
"""Newest episodes that a page may still announce; who missed more was away."""
NAMED = 3


@dataclass(frozen=True, slots=True)
class Away:
    """What happened while nobody looked; `fired` is empty where nothing did."""

    fired: int
    heading: str
    words: str


def pair_words(one: StoredEpisode) -> str:
    """Whose episode it is: coins of a pair, or the data."""
    if one.symbol_a is None or one.symbol_b is None:
        return "Data"
    return f"{coin(one.symbol_a)} / {coin(one.symbol_b)}"


def direction_words(one: StoredEpisode) -> str:
    """What an episode says to do, or what is wrong."""
    a, b = coin(one.symbol_a or ""), coin(one.symbol_b or "")
    if one.direction == "long_spread":
        return f"buy {a}, sell {b}"
    if one.direction == "short_spread":
        return f"sell {a}, buy {b}"
    return one.direction.replace("_", " ").replace(":", ": ")


def mark_of(direction: str) -> str:
    """The sign of a side; nothing where there is none."""
    return {"long_spread": "▲", "short_spread": "▼"}.get(direction, "")


def news_of(record: Record, newest: Sequence[StoredEpisode], settings: Settings) -> dict[str, Any]:
    """What every page is told: how many unseen alerts fire, and the newest ones."""
    rules = {rule.rule_id: rule for rule in record.rules}
    firing = [one for rule_id in rules for one in record.firing.get(rule_id, ())]
    return {
        "count": sum(one.acknowledged_ms is None for one in firing),
        "newest": [_toast(one, rules.get(one.rule_id), settings) for one in newest[:TOASTS]],
    }


def away_since(newest: Sequence[StoredEpisode], last_id: int, since_ms: int, now_ms: int) -> Away:
    """Sum up what was recorded after the last episode that was seen, at a moment."""
    fired = [one for one in newest if one.episode_id > last_id]
    if not fired:
        return Away(0, "", "")
    over = sum(one.state == "resolved" for one in fired)
    names = list(dict.fromkeys(pair_words(one) for one in fired))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    waiting = {
        sent.channel for one in fired for sent in one.deliveries
        if sent.state == "pending" and sent.attempts
    }  # fmt: skip
    late = f" Messages wait: {', '.join(sorted(waiting))}." if waiting else ""
    some = "at least " if len(fired) >= NEWEST else ""
    resolved = "none" if not over else "all" if over == len(fired) else str(over)
    return Away(
        len(fired),
        f"While you were away: {some}{len(fired):,} fired, {resolved} resolved.",
        f"{time_text(since_ms)} – {time_text(now_ms)}, {duration_text(now_ms - since_ms)}:"
        f" {', '.join(names[:NAMED])}{more}.{late}",
    )


def _toast(one: StoredEpisode, rule: StoredRule | None, settings: Settings) -> dict[str, Any]:
    name = f"{pair_words(one)} {one.timeframe or ''}".rstrip()
    value = one.value_at_start
    at = f" at {signed(value)}" if value is not None and one.kind in Z_KINDS else ""
    words = direction_words(one) if one.kind in Z_KINDS else one.words
    seen = f", seen by {one.acknowledged_by}" if one.acknowledged_by else ""
    entry = None
    if rule is not None and rule.spec.pair is not None and one.kind == "zscore":
        # The page's own entry of the same parameters at the same bar: one of the two is enough.
        entry = f"{query_of(rule.spec.pair, settings)}@{one.start_ms}"
    return {
        "id": one.episode_id,
        "entry": entry,
        "ms": one.start_ms + TIMEFRAMES.get(one.timeframe or "", 0),
        "mark": mark_of(one.direction),
        "heading": f"{name} fired{at}",
        "words": f"{time_text(one.start_ms)} UTC · {words}{seen}",
        "name": pair_words(one),
        "href": f"/alerts#alert-{one.episode_id}",
        # Nobody is called for what is over already.
        "quiet": one.acknowledged_ms is not None or one.state == "resolved",
    }
