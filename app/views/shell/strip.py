"""The strip at the top: where the numbers come from, and how the feed is; pure."""

from dataclasses import dataclass
from typing import Literal

from app.services.pair_states import PairState
from app.services.status import DeskStatus
from app.views.text import NONE
from core.words import short


@dataclass(frozen=True, slots=True)
class Badge:
    """Where the numbers come from, at a glance."""

    label: str
    look: Literal["ok", "warn", "bad"]
    words: str


def source_badge(status: DeskStatus, pair: PairState | None) -> Badge:
    """Green for a live exchange, amber for anything made up or recorded, red when stale."""
    source = (pair.source if pair else None) or status.source
    reason = status.source_reason or ""
    if source == "simulated":
        return Badge("SIMULATED", "warn", reason or "made-up prices, not a market")
    if source == "replay":
        return Badge("REPLAY", "warn", reason or "recorded frames, not live prices")
    if source == "import":
        return Badge("IMPORTED", "warn", "bars loaded from dump files")
    if source is None:
        return Badge("STARTING", "warn", "the worker has not said yet where prices come from")
    if status.worker_is_due:
        return Badge("STARTING", "warn", "the worker is on its way")
    if status.feed.state != "live":
        return Badge("BINANCE · CUT", "bad", "no live connection to the exchange")
    if pair is not None and pair.closed is not None and pair.stale:
        return Badge("BINANCE · STALE", "bad", "no new bar of this pair")
    return Badge("LIVE · BINANCE", "ok", "live prices from the exchange")


def status_texts(status: DeskStatus) -> dict[str, str]:
    """Missing ids, lag, trades a second; by key. Ages go on in the browser."""
    lag_ms, rate = status.feed.lag_ms_p99, status.feed.trades_per_s
    missing = sum(symbol.missing_ids for symbol in status.symbols)
    return {
        "missing": f"{missing:,}",
        "lag": NONE if lag_ms is None else f"{lag_ms:.0f} ms",
        "rate": NONE if rate is None else short(rate),
    }
