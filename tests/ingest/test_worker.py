"""The worker end to end, as processes, against the simulated exchange."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from core.bars import roll_up
from core.errors import SettingsError, StoreError
from core.settings import Settings
from ingest.simulator import SimulatedExchange
from ingest.store.engine import migrate
from ingest.store.reader import ProcessStatus, Reader
from ingest.worker import Worker
from tests.support.exchange import exchange_in_a_thread
from tests.support.gaps import missing_ids
from tests.support.waiting import HANG_S, wait_until

ROOT = Path(__file__).resolve().parents[2]
SYMBOLS = ("BTCUSDT", "ETHUSDT")
WINDOW = 120
MINUTE = 60_000


@pytest.fixture(scope="module")
def exchange() -> Iterator[SimulatedExchange]:
    # History costs next to nothing at this rate; what is to be seen live comes as a burst.
    with exchange_in_a_thread(rate=0.02) as running:
        yield running


class Workers:
    """Workers on one database."""

    def __init__(self, url: str, rest_url: str, ws_url: str) -> None:
        self.url = url
        self.environ = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self.url,
            "SOURCE": "binance",
            "SYMBOLS": ",".join((*SYMBOLS, "NOSUCHUSDT")),
            "BACKFILL_DAYS": "1",
            "BINANCE_REST_URL": rest_url,
            "BINANCE_WS_URL": ws_url,
        }
        self.reader = Reader(self.url)
        self.started: list[subprocess.Popen[str]] = []

    def start(self, **settings: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "ingest"],
            cwd=ROOT,
            env=self.environ | settings,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def status(self) -> ProcessStatus | None:
        try:
            return self.reader.status("worker")
        except StoreError:
            return None  # not made yet

    def trades(self, symbol: str) -> list[tuple[int, float, float, int]]:
        sql = (
            "SELECT trade_id, price, quantity, trade_time_ms FROM trades JOIN symbols"
            f" ON symbols.id = symbol_id WHERE symbol = '{symbol}' ORDER BY trade_id"
        )
        engine = create_engine(self.url)
        with engine.connect() as connection:
            stored = [tuple(row) for row in connection.exec_driver_sql(sql)]
        engine.dispose()
        return stored

    def close(self) -> None:
        self.reader.close()
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def workers(
    request: pytest.FixtureRequest, tmp_path: Path, exchange: SimulatedExchange
) -> Iterator[Workers]:
    """Workers on an SQLite file, or on what the test asks for."""
    url = f"sqlite:///{tmp_path}/market.db"
    if getattr(request, "param", "sqlite") == "postgresql":
        url = request.getfixturevalue("postgres_url")
    workers = Workers(url, exchange.rest_url, exchange.ws_url)
    yield workers
    workers.close()


def is_ready_for_z(reader: Reader) -> bool:
    """Whether the newest minutes of both legs are there, enough for window 120 and its hedge."""
    try:
        for symbol in SYMBOLS:
            bars = reader.bars(symbol, MINUTE, limit=2 * WINDOW + 1)
            if len(bars) < 2 * WINDOW + 1 or not bars.complete.all():
                return False
            if bars.open_time_ms[-1] - bars.open_time_ms[0] != 2 * WINDOW * MINUTE:
                return False
    except StoreError:
        return False
    return True


@pytest.mark.parametrize("workers", ["sqlite", "postgresql"], indirect=True)
def test_history_live_trades_a_crash_and_a_stand_by_leave_no_missing_ids(
    workers: Workers, exchange: SimulatedExchange
) -> None:
    exchange.ledger.burst(40, 4 * HANG_S, list(SYMBOLS))
    first = workers.start()
    wait_until(lambda: is_ready_for_z(workers.reader), "enough minutes for a z")
    second = workers.start()
    wait_until(lambda: all(len(workers.trades(symbol)) > 20 for symbol in SYMBOLS), "live trades")

    def has_told() -> bool:
        status = workers.status()
        return status is not None and status.payload["symbols_left_out"] == ["NOSUCHUSDT"]

    wait_until(has_told, "the unknown symbol is named")
    status = workers.status()
    assert status is not None
    assert status.pid == first.pid
    assert second.poll() is None

    first.kill()
    first.wait()
    ids_before = {symbol: workers.trades(symbol)[-1][0] for symbol in SYMBOLS}

    def has_taken_over() -> bool:
        taken = workers.status()
        return (
            taken is not None
            and taken.pid == second.pid
            and all(workers.trades(name)[-1][0] > ids_before[name] + 20 for name in SYMBOLS)
            # Asked after those: the first of them tells what is missing.
            and not any(missing.missing for missing in missing_ids(workers.reader).values())
            and all(workers.reader.bar_range(name, 3_600_000) for name in SYMBOLS)
        )

    wait_until(has_taken_over, "the other worker has taken over and repaired")
    second.send_signal(signal.SIGTERM)
    assert second.wait(HANG_S) == 0
    ended = workers.status()
    assert ended is not None
    assert ended.state == "stopped"
    for symbol in SYMBOLS:
        stored = workers.trades(symbol)
        ledger = exchange.ledger.trades(symbol, stored[0][0], len(stored))
        assert stored == [(t.trade_id, t.price, t.quantity, t.trade_time_ms) for t in ledger]
        seconds = workers.reader.bars(symbol, 1_000)
        live = seconds.open_time_ms >= stored[0][3]
        start_ms, end_ms = int(seconds.open_time_ms[live][0]), int(seconds.open_time_ms[-1]) + 1_000
        expected = exchange.ledger.bars(symbol, 1_000, start_ms, end_ms)
        assert seconds.complete[live].all()
        assert list(seconds.close[live]) == [bar.close for bar in expected]
        assert list(seconds.trade_count[live]) == [bar.trade_count for bar in expected]
        assert list(seconds.volume[live]) == [bar.volume for bar in expected]
        hours = workers.reader.bars(symbol, 3_600_000, limit=5)
        minutes = exchange.ledger.bars(
            symbol, MINUTE, int(hours.open_time_ms[-1]), int(hours.open_time_ms[-1]) + 60 * MINUTE
        )
        hour = roll_up(minutes, int(hours.open_time_ms[-1]), 60)
        assert hour is not None
        assert (hours.high[-1], hours.low[-1], hours.close[-1]) == (hour.high, hour.low, hour.close)


def test_symbols_that_nobody_knows_stop_the_start_with_78(workers: Workers) -> None:
    worker = workers.start(SYMBOLS="NOSUCHUSDT,NEITHERUSDT")
    _, errors = worker.communicate(timeout=HANG_S)
    assert worker.returncode == 78
    assert "SYMBOLS=NOSUCHUSDT,NEITHERUSDT is not usable" in errors
    assert "Traceback" not in errors


def test_an_unreachable_exchange_is_waited_for_and_shown(workers: Workers) -> None:
    worker = workers.start(BINANCE_REST_URL="http://127.0.0.1:9", BINANCE_WS_URL="ws://127.0.0.1:9")

    def is_waiting() -> bool:
        status = workers.status()
        return status is not None and status.state == "waiting"

    wait_until(is_waiting, "the state is shown")
    status = workers.status()
    assert status is not None
    assert "refuses connections" in status.payload["feed"]["last_error"]
    assert status.payload["symbols_left_out"] == []
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(HANG_S) == 0


def test_an_exchange_that_refuses_this_location_is_shown_as_that(
    workers: Workers, exchange: SimulatedExchange
) -> None:
    exchange.faults.rest_status, exchange.faults.rest_times = 451, 1_000_000
    try:
        worker = workers.start()

        def is_blocked() -> bool:
            status = workers.status()
            return status is not None and status.payload["feed"]["state"] == "blocked"

        wait_until(is_blocked, "the state is shown")
        status = workers.status()
        assert status is not None
        assert "does not serve this location" in status.payload["feed"]["last_error"]
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(HANG_S) == 0
    finally:
        exchange.faults.rest_times = 0


def test_the_top_symbols_by_volume_are_found(workers: Workers) -> None:
    worker = workers.start(SYMBOLS="TOP:3")

    def are_subscribed() -> bool:
        try:
            return sum(stored.subscribed for stored in workers.reader.symbols()) == 3
        except StoreError:
            return False

    wait_until(are_subscribed, "three symbols")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(HANG_S) == 0


def test_a_replay_is_shown_and_marked_as_ended(workers: Workers, tmp_path: Path) -> None:
    frames = tmp_path / "frames.txt"
    payload = '"e":"trade","s":"BTCUSDT","p":"100","q":"1","m":true'
    frames.write_text(
        "".join(
            f'{second}.0 {{{payload},"t":{second},"E":{second}000,"T":{second}000}}\n'
            for second in range(1_000, 1_200)
        )
    )
    workers.url = workers.url.replace("market.db", "market-replay.db")
    workers.reader.close()
    workers.reader = Reader(workers.url)
    worker = workers.start(SOURCE=f"replay:{frames}")

    def has_ended() -> bool:
        status = workers.status()
        return status is not None and status.state == "ended"

    wait_until(has_ended, "the recording has ended")
    assert len(workers.trades("BTCUSDT")) == 200
    meta = workers.reader.snapshot().meta
    assert meta["source"] == "replay"
    # The database has a name, so that web processes may share what follows from it.
    assert len(meta["name"]) == 32
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(HANG_S) == 0


def test_a_worker_that_refuses_its_settings_leaves_the_reason(
    tmp_path: Path,
) -> None:
    recording = tmp_path / "frames.txt"
    recording.write_text("no frame at all\n")
    path = tmp_path / "market.db"
    settings = Settings.from_mapping(
        {"SOURCE": f"replay:{recording}", "DATABASE_URL": f"sqlite:///{path}"}
    )
    url = settings.resolved_database_url(tmp_path)
    migrate(url)
    with pytest.raises(SettingsError, match="nothing to replay"):
        asyncio.run(Worker(settings, tmp_path, "").work())
    own = Reader(url)
    status = own.status("worker")
    own.close()
    assert status is not None
    assert status.state == "stopped"
    assert "nothing to replay" in status.payload["feed"]["last_error"]
