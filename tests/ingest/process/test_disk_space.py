"""Days left are told once they are known, and follow what is in use, not the file's size."""

import pytest

from ingest.process.disk_space import DAY_S, KNOWN_AFTER_S, DiskSpace

GIGABYTE = 2**30


def test_days_left_are_free_space_over_growth_and_unknown_at_first() -> None:
    now = 0.0
    growth = DiskSpace(lambda: now)
    for minute in range(121):
        now = minute * 60.0
        growth.note(GIGABYTE + minute * 2**20, 10 * GIGABYTE)
        if now < KNOWN_AFTER_S:
            assert growth.space.growth_bytes_per_day is None
            assert growth.space.days_left is None
    assert growth.space.growth_bytes_per_day == pytest.approx(1_440 * 2**20)
    assert growth.space.days_left == pytest.approx(10 * GIGABYTE / (1_440 * 2**20))


def test_a_database_that_no_longer_grows_has_no_day_on_which_the_disk_is_full() -> None:
    now = 0.0
    growth = DiskSpace(lambda: now)
    growth.note(GIGABYTE, GIGABYTE)
    now = 0.4 * DAY_S
    growth.note(2 * GIGABYTE, GIGABYTE)
    assert growth.space.days_left == pytest.approx(0.4)
    now = 1.5 * DAY_S  # what was a day ago counts, not the start
    growth.note(2 * GIGABYTE, GIGABYTE)
    now = 1.6 * DAY_S
    growth.note(2 * GIGABYTE - 1, GIGABYTE)
    assert growth.space.growth_bytes_per_day is not None
    assert growth.space.growth_bytes_per_day < 0
    assert growth.space.days_left is None
