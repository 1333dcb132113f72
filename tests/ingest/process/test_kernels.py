"""Compiled kernels are unpickled: they must come from a folder that nobody else can write to."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.process import kernels
from ingest.process.kernels import is_private, keep_kernels

ROOT = Path(__file__).parents[3]


@pytest.fixture
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that this process can't write to, whoever runs the test."""
    root = tmp_path / "project"
    (root / "core").mkdir(parents=True)
    (root / "core" / "windows.py").write_text("def mean(): ...\n")
    access = os.access
    monkeypatch.setattr(
        kernels.os, "access", lambda path, mode: Path(path) != root and access(path, mode)
    )
    return root


@pytest.fixture
def database(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    return folder / "market.db"


def test_the_project_keeps_its_kernels_and_other_code_has_others(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "windows.py").write_text("def mean(): ...\n")
    first = keep_kernels(tmp_path, None, {})
    assert first.parent == tmp_path / ".cache"
    assert keep_kernels(tmp_path, None, {}) == first
    (tmp_path / "core" / "windows.py").write_text("def mean(): return 0\n")
    assert keep_kernels(tmp_path, None, {}) != first


def test_a_folder_that_the_user_names_stands(tmp_path: Path) -> None:
    environ = {"NUMBA_CACHE_DIR": "/somewhere/else"}
    assert keep_kernels(tmp_path, None, environ) == Path("/somewhere/else")
    assert environ == {"NUMBA_CACHE_DIR": "/somewhere/else"}


def test_a_sealed_project_keeps_its_kernels_privately_beside_the_database(
    sealed: Path, database: Path
) -> None:
    environ: dict[str, str] = {}
    folder = keep_kernels(sealed, database, environ)
    assert environ["NUMBA_CACHE_DIR"] == str(folder)
    assert folder.parent == database.parent / ".kernels"
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert keep_kernels(sealed, database, {}) == folder  # and finds them again


def _open(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def _group(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o770)


def _link(folder: Path) -> None:
    target = folder.parent / "planted"
    target.mkdir(mode=0o700)
    folder.symlink_to(target)


def _file(folder: Path) -> None:
    folder.touch(mode=0o700)


def _replaceable(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    folder.parent.chmod(0o777)


def _replaceable_from_above(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    folder.parent.parent.chmod(0o777)


@pytest.mark.parametrize(
    "plant", [_open, _group, _link, _file, _replaceable, _replaceable_from_above]
)
def test_a_planted_folder_is_refused(sealed: Path, database: Path, plant) -> None:
    plant(database.parent / ".kernels")
    folder = keep_kernels(sealed, database, {})
    assert database.parent not in folder.parents
    assert database.parent.joinpath("planted") not in folder.parents
    assert is_private(folder.parent)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(sealed: Path, database: Path) -> None:
    planted = database.parent / ".kernels"
    planted.mkdir(mode=0o700)
    os.chown(planted, 12_345, -1)
    folder = keep_kernels(sealed, database, {})
    assert database.parent not in folder.parents


ENDS = """
import os, sys
from pathlib import Path
from ingest.process import kernels

kernels.os.access = lambda *_: False
folder = kernels.keep_kernels(Path(sys.argv[1]), None, {})
folder.mkdir()
assert kernels.is_private(folder.parent)
child = os.fork()
if child == 0:
    sys.exit()
os.waitpid(child, 0)
assert folder.exists()
print(folder)
"""


def test_without_a_folder_of_ones_own_nothing_is_kept_after_the_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS, str(ROOT)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    folder = Path(done.stdout.strip())
    assert folder.is_absolute()
    assert not folder.parent.exists()
