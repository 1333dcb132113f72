"""Writing what a process says of itself and of its database."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from ingest.store.transaction import Transaction

SAMPLE_MS = 300_000
KEPT_MS = 86_400_000
"""Of what a process said of itself, a word each five minutes of the last day is kept."""

_STATUS_SAVE = (
    "INSERT INTO process_status (role, pid, state, heartbeat_ms, payload) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (role) DO UPDATE SET pid = excluded.pid, state = excluded.state,"
    " heartbeat_ms = excluded.heartbeat_ms, payload = excluded.payload"
)


def save_status(
    tx: Transaction,
    role: str,
    pid: int,
    state: str,
    heartbeat_ms: int,
    payload: Mapping[str, Any],
) -> None:
    """Say that the process of a role lives and what it is doing."""
    text = json.dumps(payload, allow_nan=False, separators=(",", ":"))
    tx.run(_STATUS_SAVE, role, int(pid), state, int(heartbeat_ms), text)
    time_ms = int(heartbeat_ms) // SAMPLE_MS * SAMPLE_MS
    sampled = tx.run(
        "INSERT INTO process_samples (role, time_ms, payload) VALUES (?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        role,
        time_ms,
        text,
    )
    if sampled.rowcount == 1:
        tx.run(
            "DELETE FROM process_samples WHERE role = ? AND time_ms <= ?", role, time_ms - KEPT_MS
        )


def set_meta(tx: Transaction, key: str, value: str) -> None:
    """Set one fact about the database itself."""
    tx.run(
        "INSERT INTO meta (key, value) VALUES (?, ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        key,
        value,
    )


def name_database(tx: Transaction) -> None:
    """Give the database a name of its own, if it has none: what it says holds of no other one."""
    tx.run(
        "INSERT INTO meta (key, value) VALUES ('name', ?) ON CONFLICT (key) DO NOTHING",
        uuid.uuid4().hex,
    )


def used_bytes(tx: Transaction) -> int:
    """Bytes that the database's rows take; pages that wait to be used again are not among."""
    if not tx.is_sqlite:
        return int(tx.run("SELECT pg_database_size(current_database())").scalar_one())
    pages, unused, size = (
        int(tx.run(f"PRAGMA {name}").scalar_one())
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - unused) * size
