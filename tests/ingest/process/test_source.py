"""What SOURCE=auto means, decided once and told to every child."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from core.errors import SettingsError
from core.settings import Settings
from ingest.process.source import ExchangeProcess, resolve_source, simulate_command
from ingest.store import imports, market
from ingest.store.engine import migrate, open_engine
from ingest.store.transaction import Writer
from tests.support.market import listing
from tests.support.waiting import HANG_S

CLOSED = "http://127.0.0.1:9"


class Ping(BaseHTTPRequestHandler):
    """Answers every request as /api/v3/ping does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def answering_host() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Ping)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def settings(**values: str) -> Settings:
    return Settings.from_mapping({key.upper(): value for key, value in values.items()})


def test_an_answering_exchange_is_used(answering_host: str, tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    resolved = resolve_source(settings(binance_rest_url=answering_host), tmp_path, environ)
    assert resolved.source == "binance"
    assert environ["SOURCE"] == "binance"


def test_without_an_exchange_the_simulated_one_is_used_and_says_why(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    resolved = resolve_source(settings(binance_rest_url=CLOSED), tmp_path, environ, 2.0)
    assert resolved.source == "simulated"
    assert environ["SOURCE"] == "simulated"
    assert "does not answer" in environ["SOURCE_REASON"]
    assert resolved.sqlite_path(tmp_path).name == "market-simulated.db"


def test_imported_history_stays_on_show_without_an_exchange(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/market.db"
    migrate(url)
    writer = Writer(open_engine(url))
    with writer.transaction() as tx:
        key = market.ensure_symbols(tx, [listing("AB")])["ABUSDT"]
        imports.record_import(tx, key, "klines", 60_000, 0, 60_000, None, None, "file", 1, 0)
    writer.close()
    environ: dict[str, str] = {}
    resolved = resolve_source(
        settings(binance_rest_url=CLOSED, database_url=url), tmp_path, environ, 2.0
    )
    assert resolved.source == "binance"
    assert "Imported history is shown" in environ["SOURCE_REASON"]


def test_production_never_falls_back(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    resolved = resolve_source(
        settings(binance_rest_url=CLOSED, database_url="postgres://host/name"), tmp_path, environ
    )
    assert resolved.source == "binance"


def test_a_replay_of_nothing_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="names no file"):
        resolve_source(settings(source=f"replay:{tmp_path}/no.gz"), tmp_path, {})


@pytest.mark.parametrize("source", ["binance", "simulated"])
def test_a_named_source_is_taken_as_it_is(source: str, tmp_path: Path) -> None:
    environ = {"SOURCE_REASON": "said before"}
    chosen = settings(source=source, binance_rest_url=CLOSED)
    assert resolve_source(chosen, tmp_path, environ) == chosen
    assert environ["SOURCE_REASON"] == "said before"


def test_a_simulated_exchange_that_dies_comes_back_on_the_same_port() -> None:
    async def scenario() -> None:
        exchange = ExchangeProcess(simulate_command(20))
        await exchange.start()
        first = exchange.rest_url
        restarted = asyncio.Event()
        keeping = asyncio.create_task(exchange.keep_alive(restarted.set))
        try:
            assert exchange.process is not None
            exchange.process.kill()
            async with asyncio.timeout(HANG_S):
                await restarted.wait()
            assert exchange.rest_url == first
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await exchange.aclose()
        assert exchange.process.returncode is not None

    asyncio.run(scenario())


def test_the_worker_carries_neither_pandas_nor_statsmodels() -> None:
    code = (
        "import sys, ingest.__main__, ingest.worker, ingest.files.commands;"
        "print(sorted({'pandas', 'statsmodels', 'scipy', 'numba', 'dash'} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == "[]"
