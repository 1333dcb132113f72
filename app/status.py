"""The state of worker, feed and database, as `/api/status` and the page's strip show it."""

from typing import Any

from core.errors import StoreError
from core.settings import Settings
from ingest.store.reader import Reader

SILENT_AFTER_MS = 30_000
"""The supervisor gives a worker up after this long without a heartbeat."""


def status_view(settings: Settings, reader: Reader, now_ms: int) -> dict[str, object]:
    """Describe the desk as of `now_ms`; a store that can't be read is part of the description."""
    kind = None if settings.source_kind == "auto" else settings.source_kind
    view: dict[str, object] = {
        "source": kind,
        "source_reason": None,
        "worker": {"state": "absent", "pid": None, "heartbeat_age_ms": None},
        "feed": _feed({}, "down", now_ms),
        "symbols": [],
        "quarantined": None,
        "queue_depth": None,
        "backfill": None,
        "symbols_left_out": [],
        "database": {
            "kind": "sqlite" if settings.is_sqlite else "postgresql",
            "size_bytes": None,
            "wal_bytes": None,
            "error": None,
        },
        "now_ms": now_ms,
    }
    try:
        _fill(view, reader, now_ms)
    except StoreError as error:
        view["database"] = {**_part(view["database"]), "error": str(error)}
    return view


def _fill(view: dict[str, object], reader: Reader, now_ms: int) -> None:
    database = reader.database()
    view["database"] = {
        "kind": database.kind,
        "size_bytes": database.size_bytes,
        "wal_bytes": database.wal_bytes,
        "error": None,
    }
    meta = reader.meta()
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
        view["backfill"] = payload.get("backfill")
        view["symbols_left_out"] = payload.get("symbols_left_out", [])
    missing = reader.missing_ids()
    rows = []
    for stored in reader.symbols():
        missing_ids, open_gaps, unfillable_gaps = missing.get(stored.symbol, (0, 0, 0))
        rows.append(
            {
                "symbol": stored.symbol,
                "last_id": stored.last_id,
                "last_event_time_ms": stored.last_event_time_ms,
                "missing_ids": missing_ids,
                "open_gaps": open_gaps,
                "unfillable_gaps": unfillable_gaps,
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
    }


def _part(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
