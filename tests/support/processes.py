"""Processes of the desk as the supervisor starts them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def start_analyst(
    database_url: str, settings: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """An analyst on a database, with the kernels that the tests have compiled."""
    environ = {"PATH": os.environ["PATH"], "DATABASE_URL": database_url, "SOURCE": "binance"}
    environ |= settings or {}
    if "NUMBA_CACHE_DIR" in os.environ:
        environ["NUMBA_CACHE_DIR"] = os.environ["NUMBA_CACHE_DIR"]
    return subprocess.Popen([sys.executable, "-m", "ingest", "analyse"], cwd=ROOT, env=environ)
