"""Schemathesis over every route: examples, edges, random values and sequences of requests."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from app import create_app
from app.api import limits
from core.settings import Settings
from ingest.store.reader import Reader

NOW_S = 1_795_401_080.0
"""The stored market's present: the desk is ready."""


class Quiet(WSGIRequestHandler):
    def log_request(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def served(market_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The stored market behind a real socket, without limits of how often one may ask."""
    for kind in limits.ALLOWANCES:
        monkeypatch.setitem(limits.ALLOWANCES, kind, limits.Allowance(*[1_000_000_000] * 3))
    reader = Reader(market_url)
    app = create_app(Settings.from_mapping({}), reader, clock=lambda: NOW_S)
    server = make_server("127.0.0.1", 0, app.server, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    reader.close()


def run_schemathesis(url: str, folder: Path, *options: str) -> None:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--checks", "all", "--seed", "1", "--no-color", "--request-timeout", "120"),
        # What two parameters must be to each other, and which symbols there are, no schema says.
        *("--exclude-checks", "positive_data_acceptance,negative_data_rejection"),
        *options,
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅ {phase}" in done.stdout, done.stdout[-3_000:]


@pytest.mark.soak
def test_no_request_that_the_description_allows_is_answered_otherwise(
    served: str, tmp_path: Path, soak_times: Callable[[int], int]
) -> None:
    run_schemathesis(served, tmp_path, "--max-examples", str(soak_times(200)))
