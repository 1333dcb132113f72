"""Who stands by says so, and nobody else does."""

import asyncio

import pytest
from structlog.testing import capture_logs

from ingest.process import turn
from ingest.store.lock import RoleLock


class HeldLock:
    """Somebody else's for so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def acquire(self) -> bool:
        self.looks -= 1
        return self.looks < 0

    def is_held(self) -> bool:
        return True

    def release(self) -> None:
        """It is free again."""


@pytest.mark.parametrize(("looks", "told"), [(0, 0), (1, 0), (2, 1), (5, 1)])
def test_a_lock_that_a_start_holds_for_a_moment_is_not_told_as_another_at_work(
    monkeypatch: pytest.MonkeyPatch, looks: int, told: int
) -> None:
    monkeypatch.setattr(turn, "STANDBY_S", 0.0)
    monkeypatch.setattr(turn, "role_lock", lambda url, role: HeldLock(looks))

    async def work(lock: RoleLock) -> int:
        return 7

    async def take() -> int:
        return await turn.take_turn("sqlite://", "analyst", asyncio.Event(), work)

    with capture_logs() as lines:
        assert asyncio.run(take()) == 7
    assert [line["event"] for line in lines] == ["another analyst is at work; standing by"] * told
