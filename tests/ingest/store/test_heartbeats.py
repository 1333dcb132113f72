"""The supervisor sees who lives, without all that the store's own readers need."""

from pathlib import Path

from ingest.store import process
from ingest.store.engine import migrate, open_engine
from ingest.store.heartbeats import LastBeat, last_heartbeat
from ingest.store.pulse import Pulse
from ingest.store.transaction import Writer


def test_a_stored_heartbeat_is_seen_by_role_and_a_missing_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "mar?ket.db"
    assert last_heartbeat(path, "worker") is None  # before anything has made the file
    migrate(f"sqlite:///{path}")
    assert last_heartbeat(path, "worker") is None
    writer = Writer(open_engine(f"sqlite:///{path}"))
    with writer.transaction() as tx:
        process.save_status(tx, "worker", 7, "running", 1_000, {})
        process.save_status(tx, "analyst", 8, "running", 2_000, {})
    assert last_heartbeat(path, "worker") == LastBeat(7, 1_000)
    assert last_heartbeat(path, "analyst") == LastBeat(8, 2_000)
    writer.close()


def test_a_worker_that_waits_for_a_full_disk_is_seen_to_live(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    migrate(f"sqlite:///{path}")
    writer, pulse = Writer(open_engine(f"sqlite:///{path}")), Pulse(path)
    with writer.transaction() as tx:
        process.save_status(tx, "worker", 7, "running", 1_000, {})
        process.save_status(tx, "analyst", 8, "running", 1_000, {})
    writer.close()
    pulse.prepare()
    pulse.beat(7, "paused", 3_000, {})
    assert last_heartbeat(path, "worker") == LastBeat(7, 3_000)
    assert last_heartbeat(path, "analyst") == LastBeat(8, 1_000)
    pulse.beat(7, "paused", 500, {})
    assert last_heartbeat(path, "worker") == LastBeat(7, 1_000)
