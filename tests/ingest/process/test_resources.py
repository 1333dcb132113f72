"""What a process says that it takes."""

import pytest

from ingest.process import resources


def test_share_of_a_core_is_work_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    wall_s, core_s = [100.0], [5.0]
    monkeypatch.setattr(resources.time, "monotonic", lambda: wall_s[0])
    monkeypatch.setattr(resources.time, "process_time", lambda: core_s[0])
    meter = resources.Meter()
    assert meter.read().cpu_share is None
    wall_s[0], core_s[0] = 102.0, 5.5
    assert meter.read().cpu_share == pytest.approx(0.25)
    wall_s[0] = 102.1  # too short to tell: the last word stands
    assert meter.read().cpu_share == pytest.approx(0.25)


def test_memory_grows_by_what_is_held() -> None:
    before = resources.memory_bytes()
    held = bytearray(64 * 2**20)
    held[:: 2**12] = b"x" * (len(held) // 2**12)
    assert resources.memory_bytes() - before > 48 * 2**20
