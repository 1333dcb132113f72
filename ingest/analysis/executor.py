"""Where equal pieces of work are done: on this machine's cores, or on a Dask cluster."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from core.tasks import Result, Shared, Task, TaskRunner

JOIN_S = 30.0
"""A scheduler that does not answer for so long is not there."""
RETRIES = 3
"""Of a task whose machine was lost."""


class Executor(NamedTuple):
    """How work is shared out, and among how many cores."""

    run: TaskRunner
    cores: int


def usable_cores() -> int:
    """Cores of this machine that this process may use: fewer than there are in a container."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def open_executor(scheduler: str | None) -> Iterator[Executor]:
    """Use the Dask cluster at an address, or without one the cores of this machine.

    Raises
    ------
    OSError
        The cluster can't be reached.
    """
    if scheduler is not None:
        with _on_dask(scheduler) as executor:
            yield executor
        return
    cores = usable_cores()
    with ThreadPoolExecutor(cores) as pool:

        def run(
            function: Callable[[Shared, Task], Result], shared: Shared, tasks: Sequence[Task]
        ) -> Iterable[Result]:
            return pool.map(lambda task: function(shared, task), tasks)

        yield Executor(run, cores)


@contextmanager
def _on_dask(scheduler: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError:
        words = "DASK_SCHEDULER is set and dask is not installed: requirements-dask.txt"
        raise OSError(words) from None

    with Client(scheduler, timeout=JOIN_S, set_as_default=False) as client:

        def run(
            function: Callable[[Shared, Task], Result], shared: Shared, tasks: Sequence[Task]
        ) -> Iterable[Result]:
            # A task of its own and not data of this client: where the machine that holds it is
            # lost, it is made again like any other.
            common = client.submit(_itself, shared, pure=False)
            futures = [
                client.submit(function, common, task, pure=False, retries=RETRIES) for task in tasks
            ]
            return (future.result() for future in futures)

        yield Executor(run, max(1, sum(client.ncores().values())))


def _itself(shared: Shared) -> Shared:
    return shared
