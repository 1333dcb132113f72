"""Composition root of the web: `gunicorn wsgi:server`. Opens nothing; the first request does."""

import os
import tempfile
from pathlib import Path

from dotenv import load_dotenv

from core.settings import Settings
from ingest.store.reader import Reader

ROOT = Path(__file__).resolve().parent


def _keep_compiled_code() -> None:
    """Give numba a folder to keep compiled kernels in where the code's own can't be written."""
    own = ROOT / "core"
    if "NUMBA_CACHE_DIR" not in os.environ and not os.access(own, os.W_OK):
        os.environ["NUMBA_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"pairdesk-{os.getuid()}")


load_dotenv(ROOT / ".env")
_keep_compiled_code()
settings = Settings.from_mapping(os.environ)

# Only now: numba reads its folder when the kernels are imported.
from app import create_app  # noqa: E402

app = create_app(settings, Reader(settings.resolved_database_url(ROOT)))
server = app.server
