"""Settings of the whole test run, made before anything of ours is imported."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from ingest.process.kernels import keep_kernels

# The folder that wsgi.py takes: a desk started after the tests has nothing left to compile.
keep_kernels(Path(__file__).parents[1], None, os.environ)
# Products of statsmodels are small: threads that wait for each other took eight times the CPU.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Imported after this file, so that it finds that folder.
pytest_plugins = ["tests.support.databases"]

WAITING = ("faults", "test_jobs.py", "test_supervision.py", "test_analyst.py", "test_worker.py")
"""Files and folders whose tests wait for processes and exchanges more than they compute."""

# How long an example takes tells of the machine, not of the code.
slow = [HealthCheck.too_slow]
settings.register_profile("any machine", deadline=None, suppress_health_check=slow)
settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what waits longest: all else is computed beside it."""

    def rank(item: pytest.Item) -> int:
        return next((i for i, name in enumerate(WAITING) if name in item.path.parts), len(WAITING))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def soak_times() -> Callable[[int], int]:
    """How often a long test does what it does; `SOAK_SHARE=0.05` makes the hours minutes."""
    share = float(os.environ.get("SOAK_SHARE", "1"))
    return lambda times: max(1, round(times * share))


@pytest.fixture(scope="session")
def in_time_zone() -> Callable[[str], AbstractContextManager[None]]:
    """Gives this process another local time for a while."""

    @contextmanager
    def change(name: str) -> Iterator[None]:
        before = os.environ.get("TZ")
        os.environ["TZ"] = name
        time.tzset()
        yield
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()

    return change


@pytest.fixture
def far_from_utc(
    in_time_zone: Callable[[str], AbstractContextManager[None]],
) -> Iterator[None]:
    """Another local time than UTC: where one comes into a number, it is seen."""
    with in_time_zone("Asia/Kolkata"):
        yield
