"""The state of worker, feed and database, as `/api/status` and the page's strip show it."""

from collections.abc import Callable
from typing import Any

from core.errors import StoreError
from core.settings import Settings
from ingest.store.reader import GapCounts, Reader

SILENT_AFTER_MS = 30_000
"""The supervisor gives a worker up after this long without a heartbeat."""
QUIET_FEED_MS = 15_000
"""A feed without a frame for longer isn't ready."""


_SPACE = ("used_bytes", "free_bytes", "growth_bytes_per_day", "days_left")
_FEED = (
    *("store_lag_ms_p50", "store_lag_ms_p99", "total_lag_ms_p50", "total_lag_ms_p99"),
    "trades_received",
)


class StatusService:
    """Says how the desk is; answers without a worker and without a database too."""

    def __init__(self, settings: Settings, reader: Reader, now_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._reader = reader
        self._now_ms = now_ms

    def view(self) -> dict[str, Any]:
        """The body of `/api/status`; ages are as of now."""
        return status_view(self._settings, self._reader, self._now_ms())

    def readiness(self) -> list[str]:
        """Why the desk isn't ready, in words; empty when it is."""
        status = self.view()
        feed, database, paused = status["feed"], status["database"], status["paused"]
        reasons = []
        if feed["state"] != "live":
            reasons.append(f"feed: {feed['state']}")
        elif feed["age_ms"] is None or feed["age_ms"] > QUIET_FEED_MS:
            reasons.append(f"feed: nothing for more than {QUIET_FEED_MS // 1000} s")
        if database["error"] is not None:
            reasons.append(f"database: {database['error']}")
        elif not self._is_writable():
            reasons.append("database: not writable")
        elif paused:
            reasons.append(f"nothing is stored: {paused['reason']}")
        return reasons

    def _is_writable(self) -> bool:
        try:
            return self._reader.is_writable()
        except StoreError:
            return False


def status_view(settings: Settings, reader: Reader, now_ms: int) -> dict[str, Any]:
    """Describe the desk as of `now_ms`; a store that can't be read is part of the description."""
    kind = None if settings.source_kind == "auto" else settings.source_kind
    view: dict[str, Any] = {
        "source": kind,
        "source_reason": None,
        "worker": {"state": "absent", "pid": None, "heartbeat_age_ms": None},
        "paused": None,
        "feed": _feed({}, "down", now_ms),
        "symbols": [],
        "quarantined": None,
        "queue_depth": None,
        "dropped": None,
        "backfill": None,
        "symbols_left_out": [],
        "stalled_symbols": [],
        "reconciliation": None,
        "database": {
            "kind": "sqlite" if settings.is_sqlite else "postgresql",
            "size_bytes": None,
            "wal_bytes": None,
            **dict.fromkeys(_SPACE),
            "notice": None,
            "error": None,
        },
        "now_ms": now_ms,
    }
    try:
        _fill(view, reader, now_ms)
    except StoreError as error:
        view["database"] = {**_part(view["database"]), "error": str(error)}
    return view


def _fill(view: dict[str, Any], reader: Reader, now_ms: int) -> None:
    info, meta = reader.database(), reader.meta()
    database: dict[str, object] = {
        "kind": info.kind,
        "size_bytes": info.size_bytes,
        "wal_bytes": info.wal_bytes,
        **dict.fromkeys(_SPACE),
        "notice": meta.get("notice"),
        "error": None,
    }
    view["database"] = database
    view["source"] = meta.get("source", view["source"])
    view["source_reason"] = meta.get("source_reason")
    worker = reader.status()
    if worker is not None:
        age_ms = max(0, now_ms - worker.heartbeat_ms)
        silent = age_ms > SILENT_AFTER_MS
        payload = worker.payload
        view["worker"] = {
            "state": "silent" if silent else worker.state,
            "pid": worker.pid,
            "heartbeat_age_ms": age_ms,
        }
        feed = _part(payload.get("feed"))
        # What a silent worker last said of its feed no longer holds.
        view["feed"] = _feed(feed, "down" if silent else feed.get("state", "down"), now_ms)
        view["quarantined"] = payload.get("quarantined")
        view["queue_depth"] = payload.get("queue_depth")
        view["dropped"] = payload.get("dropped")
        view["paused"] = None if silent else payload.get("paused")
        space = _part(payload.get("space"))
        database |= {name: space.get(name) for name in _SPACE}
        view["stalled_symbols"] = payload.get("stalled_symbols", [])
        view["reconciliation"] = payload.get("reconciliation")
        view["backfill"] = payload.get("backfill")
        view["symbols_left_out"] = payload.get("symbols_left_out", [])
    counts = reader.gap_counts()
    rows = []
    for stored in reader.symbols():
        gaps = counts.get(stored.symbol, GapCounts())
        last_ms = stored.last_event_time_ms
        rows.append(
            {
                "symbol": stored.symbol,
                "last_id": stored.last_id,
                "last_event_time_ms": stored.last_event_time_ms,
                "age_ms": None if last_ms is None else max(0, now_ms - last_ms),
                "subscribed": stored.subscribed,
                "missing_ids": gaps.open_ids + gaps.lost_ids,
                "lost_ids": gaps.lost_ids,
                "open_gaps": gaps.open_gaps,
                "filled_gaps": gaps.filled_gaps,
                "unfillable_gaps": gaps.lost_gaps,
            }
        )
    view["symbols"] = rows


def _feed(feed: dict[str, Any], state: str, now_ms: int) -> dict[str, object]:
    last_frame_ms = feed.get("last_frame_ms")
    return {
        "state": state,
        "host": feed.get("host"),
        "age_ms": None if last_frame_ms is None else max(0, now_ms - last_frame_ms),
        "trades_per_s": feed.get("trades_per_s"),
        "lag_ms_p50": feed.get("lag_ms_p50"),
        "lag_ms_p99": feed.get("lag_ms_p99"),
        "reconnects": feed.get("reconnects"),
        "last_error": feed.get("last_error"),
        "failures": feed.get("failures") or {},
        **{name: feed.get(name) for name in _FEED},
    }


def _part(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
