"""Composition root of the web: `gunicorn wsgi:server`. Opens nothing; the first request does."""

import gc
import hashlib
import os
import tempfile
from pathlib import Path

from dotenv import load_dotenv

from core.settings import Settings
from ingest.store.reader import Reader

ROOT = Path(__file__).resolve().parent


def _keep_compiled_code() -> None:
    """Give numba a folder for compiled kernels that belongs to exactly this code.

    It notices a change in a kernel's own file only, and would go on using one that has inlined
    what another file said before.
    """
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    code = hashlib.sha256()
    for path in sorted((ROOT / "core").glob("*.py")):
        code.update(path.read_bytes())
    base = ROOT / ".cache"
    if not os.access(ROOT, os.W_OK):
        base = Path(tempfile.gettempdir()) / f"pairdesk-{os.getuid()}"
    os.environ["NUMBA_CACHE_DIR"] = str(base / f"kernels-{code.hexdigest()[:12]}")


load_dotenv(ROOT / ".env")
_keep_compiled_code()
settings = Settings.from_mapping(os.environ)

# Only now: numba reads its folder when the kernels are imported.
from app import create_app  # noqa: E402

app = create_app(settings, Reader(settings.resolved_database_url(ROOT)))
server = app.server

# What is loaded stays: the collector needn't go over it again at every request that makes garbage.
gc.collect()
gc.freeze()
