"""The strip at the top: where the numbers come from, and how the feed is; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.services.pairs import PairView
from app.views.text import NONE, duration_text, short


@dataclass(frozen=True, slots=True)
class Badge:
    """Where the numbers come from, at a glance."""

    label: str
    look: Literal["ok", "warn", "bad"]
    words: str


def source_badge(status: Mapping[str, Any], view: PairView | None) -> Badge:
    """Green for a live exchange, amber for anything made up or recorded, red when stale."""
    source = (view.source if view else None) or status.get("source")
    reason = str(status.get("source_reason") or "")
    if source == "simulated":
        return Badge("SIMULATED", "warn", reason or "made-up prices, not a market")
    if source == "replay":
        return Badge("REPLAY", "warn", reason or "recorded frames, not live prices")
    if source == "import":
        return Badge("IMPORTED", "warn", "bars loaded from dump files")
    state = (status.get("feed") or {}).get("state")
    if source is None:
        return Badge("STARTING", "warn", "the worker has not said yet where prices come from")
    if state != "live":
        return Badge("BINANCE · CUT", "bad", "no live connection to the exchange")
    if view is not None and view.result is not None and view.stale:
        return Badge("BINANCE · STALE", "bad", "no new bar of this pair")
    return Badge("LIVE · BINANCE", "ok", "live prices from the exchange")


def status_texts(status: Mapping[str, Any]) -> dict[str, str]:
    """Feed age, missing ids, lag, trades a second; by key."""
    feed = status.get("feed") or {}
    age_ms, lag_ms, rate = (feed.get(key) for key in ("age_ms", "lag_ms_p99", "trades_per_s"))
    missing = sum(item.get("missing_ids") or 0 for item in status.get("symbols") or [])
    return {
        "feed-age": NONE if age_ms is None else _age(age_ms),
        "missing": f"{missing:,}",
        "lag": NONE if lag_ms is None else f"{lag_ms:.0f} ms",
        "rate": NONE if rate is None else short(rate),
    }


def _age(age_ms: float) -> str:
    age_ms = max(0.0, age_ms)
    return f"{age_ms / 1000:.1f} s" if age_ms < 10_000 else duration_text(age_ms)
