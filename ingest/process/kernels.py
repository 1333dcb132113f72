"""Where a root keeps numba's compiled kernels. numba unpickles what it finds there: whoever can
write to that folder can run code in this process."""

import atexit
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

import structlog

log = structlog.get_logger()

VARIABLE = "NUMBA_CACHE_DIR"
OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_kernels(root: Path, database: Path | None, environ: MutableMapping[str, str]) -> Path:
    """Choose the folder of compiled kernels, and leave it in `environ` for numba and every child.

    It is to be called before the kernels are imported, for numba reads the variable only then. A
    folder that the user has named stands. Else it is one in the project: who can write there
    could change the code itself. Where this process can't, it is a private folder beside the
    database, and where there is none either, one that is gone with this process.

    Parameters
    ----------
    root : the project's folder.
    database : the SQLite file; None for another database.
    """
    if VARIABLE not in environ:
        base = _in_project(root) or _beside(database) or _passing()
        environ[VARIABLE] = str(base / f"kernels-{_version(root)}")
    return Path(environ[VARIABLE])


def _version(root: Path) -> str:
    """Tell this code from any other: numba notices a change in a kernel's own file only, and would
    go on using one that has inlined what another file said before."""
    code = hashlib.sha256()
    for path in sorted((root / "core").rglob("*.py")):
        code.update(path.read_bytes())
    return code.hexdigest()[:12]


def _in_project(root: Path) -> Path | None:
    folder = root / ".cache"
    return folder if os.access(folder if folder.exists() else root, os.W_OK) else None


def _beside(database: Path | None) -> Path | None:
    """The private folder beside the database, made where it is missing; None if it isn't ours."""
    if database is None:
        return None
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        folder = database.parent.resolve() / ".kernels"
        folder.mkdir(mode=0o700, exist_ok=True)
        if is_private(folder):
            return folder
        log.warning("others can write to the folder of kernels; it is not used", folder=str(folder))
    except OSError as error:
        log.warning("no kernels are kept beside the database", reason=str(error))
    return None


def is_private(folder: Path) -> bool:
    """Whether this user alone can change what is in a folder, and nobody can put another there.

    Any folder above it will do for that, so all of them are looked at.
    """
    own = folder.lstat()
    return (
        stat.S_ISDIR(own.st_mode)  # a link is none
        and own.st_uid == os.geteuid()
        and not own.st_mode & OPEN_TO_OTHERS
        and all(_holds_its_entries(above) for above in folder.parents)
    )


def _holds_its_entries(folder: Path) -> bool:
    """Whether nobody but root and this user can replace what is in it."""
    found = folder.lstat()
    is_open = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
    return stat.S_ISDIR(found.st_mode) and found.st_uid in (0, os.geteuid()) and not is_open


def _passing() -> Path:
    """A folder of a name that nobody can guess, removed when the process that made it ends."""
    folder, maker = Path(tempfile.mkdtemp(prefix="pairdesk-kernels-")), os.getpid()

    def remove() -> None:
        if os.getpid() == maker:  # a fork ends earlier
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder
