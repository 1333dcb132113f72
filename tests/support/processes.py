"""Processes of the desk as the supervisor starts them, and a port for one."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_analyst(
    database_url: str, settings: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """An analyst on a database, with the kernels that the tests have compiled."""
    environ = {"PATH": os.environ["PATH"], "DATABASE_URL": database_url, "SOURCE": "binance"}
    environ |= settings or {}
    if "NUMBA_CACHE_DIR" in os.environ:
        environ["NUMBA_CACHE_DIR"] = os.environ["NUMBA_CACHE_DIR"]
    return subprocess.Popen([sys.executable, "-m", "ingest", "analyse"], cwd=ROOT, env=environ)
