"""A scan on a Dask cluster: what this machine's cores give, and a worker that dies on the way."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from core.pair_spec import read_pair_spec
from core.scan import Scan, scan
from core.settings import Settings
from core.universe import Universe
from ingest.analysis.executor import open_executor

distributed = pytest.importorskip("distributed", reason="requirements-dask.txt is not installed")

SPEC = read_pair_spec({"timeframe": "1h", "bars": 300}, Settings())


@pytest.fixture
def universe() -> Universe:
    rng = np.random.default_rng(5)
    logs = 4.0 + rng.normal(0, 5e-3, (60, 300)).cumsum(axis=1)
    names = tuple(f"{chr(65 + one // 26)}{chr(65 + one % 26)}USDT" for one in range(60))
    volumes = np.full(60, 1e8)
    return Universe(names, 3_600_000, 0, 300 * 3_600_000, logs, volumes)


@pytest.fixture
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as made:
        yield made


def assert_same(found: Scan, expected: Scan) -> None:
    table, own = found.table, expected.table
    for name in ("leg_a", "leg_b", "lags"):
        np.testing.assert_array_equal(getattr(table, name), getattr(own, name), name)
    for name in ("statistic", "pvalue", "qvalue", "zscore", "half_life_bars"):
        np.testing.assert_allclose(getattr(table, name), getattr(own, name), rtol=1e-9, atol=1e-12)


def test_a_cluster_finds_what_this_machine_finds_though_a_worker_dies(
    universe: Universe, cluster: Any
) -> None:
    with open_executor(None) as here:
        expected = scan(universe, SPEC, here.run, here.cores)
    with open_executor(cluster.scheduler_address) as there:
        assert there.cores == 2
        assert_same(scan(universe, SPEC, there.run, there.cores), expected)
        pids = [worker.pid for worker in cluster.workers.values()]
        done = 0

        def run_and_kill(function: Any, shared: Any, tasks: Sequence[Any]) -> Iterator[Any]:
            nonlocal done
            for result in there.run(function, shared, tasks):
                done += 1
                if done == 3:
                    os.kill(pids[0], signal.SIGKILL)
                yield result

        assert_same(scan(universe, SPEC, run_and_kill, there.cores), expected)
        assert done > 3


def test_a_scheduler_that_is_not_there_is_an_error_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ingest.analysis.executor.JOIN_S", 0.5)
    with pytest.raises(OSError, match=r"127\.0\.0\.1"), open_executor("tcp://127.0.0.1:9"):
        pass


def test_a_desk_without_dask_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(OSError, match=r"requirements-dask\.txt"),
        open_executor("tcp://127.0.0.1:9"),
    ):
        pass
