"""A whole worker against a simulated exchange that misbehaves; the exchange's ledger judges."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.simulator import SimulatedExchange
from tests.support.exchange import exchange_in_a_thread
from tests.support.faulty_desks import Desks
from tests.support.ledger_judge import RATE
from tests.support.worker_processes import Processes


@pytest.fixture(scope="module")
def desks(empty_database: bytes, tmp_path_factory: pytest.TempPathFactory) -> Desks:
    return Desks(tmp_path_factory.mktemp("desks"), empty_database)


@pytest.fixture(scope="module")
def exchange() -> Iterator[SimulatedExchange]:
    with exchange_in_a_thread(RATE) as running:
        yield running


@pytest.fixture
def processes_at(
    empty_database: bytes, exchange: SimulatedExchange
) -> Iterator[Callable[[Path], Processes]]:
    """Makes workers on a database in some folder."""
    made: list[Processes] = []

    def make(folder: Path) -> Processes:
        path = folder / "market.db"
        path.write_bytes(empty_database)
        made.append(Processes(path, exchange))
        return made[-1]

    yield make
    for processes in made:
        processes.close()


@pytest.fixture
def processes(tmp_path: Path, processes_at: Callable[[Path], Processes]) -> Processes:
    return processes_at(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little space; only root can have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
