"""Workers as processes of their own, to be killed, cut off and judged."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import StoreError
from ingest.simulator import Ledger, SimulatedExchange
from ingest.store.reader import Reader
from tests.support.gaps import missing_ids
from tests.support.ledger_judge import SECOND, SYMBOLS, judge
from tests.support.waiting import HANG_S, wait_until

ROOT = Path(__file__).resolve().parents[2]


class Processes:
    """Workers as processes on one database, against an exchange in a thread of this one."""

    def __init__(self, path: Path, exchange: SimulatedExchange) -> None:
        self.path = path
        self.exchange = exchange
        self.reader = Reader(f"sqlite:///{path}")
        self.started: list[subprocess.Popen[bytes]] = []

    @property
    def ledger(self) -> Ledger:
        return self.exchange.ledger

    def trade(self, trades_per_s: float, seconds: float) -> None:
        self.ledger.burst(trades_per_s, seconds, list(SYMBOLS))

    def made(self) -> int:
        """How many trades the exchange has made of all symbols."""
        return sum(self.ledger.newest_trades(name, 1)[-1].trade_id for name in SYMBOLS)

    def pages_asked(self) -> int:
        """How many pages of trades the exchange was asked for."""
        return self.exchange.rest.asked["/api/v3/aggTrades"]

    def start(self) -> "subprocess.Popen[bytes]":
        environ = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"sqlite:///{self.path}",
            "SOURCE": "binance",
            "SYMBOLS": ",".join(SYMBOLS),
            "BACKFILL_DAYS": "1",
            "BINANCE_REST_URL": self.exchange.rest_url,
            "BINANCE_WS_URL": self.exchange.ws_url,
        }
        with self._log(len(self.started)).open("wb") as log:
            command = [sys.executable, "-m", "ingest"]
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=log)
        self.started.append(process)
        return process

    def _log(self, number: int) -> Path:
        return self.path.with_name(f"worker-{number}.log")

    def has_said(self, process: "subprocess.Popen[bytes]", words: str) -> bool:
        """Whether a worker's log has a line with these words."""
        return words in self._log(self.started.index(process)).read_text()

    def stop(self, process: "subprocess.Popen[bytes]") -> None:
        process.terminate()
        assert process.wait(HANG_S) == 0

    def pid(self) -> int | None:
        """Whose heartbeat was stored last."""
        status = self.reader.status("worker")
        return None if status is None else status.pid

    def state(self) -> str | None:
        """The worker's own word; kept beside the database while that takes nothing."""
        status = self.reader.status("worker")
        return None if status is None else status.state

    def rss_mb(self, process: "subprocess.Popen[bytes]") -> float:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1_024 for line in lines if line.startswith("VmRSS"))

    @staticmethod
    def until(condition: Callable[[], Any], what: str) -> None:
        def holds() -> bool:
            try:
                return bool(condition())
            except StoreError:
                return False  # held for a moment

        wait_until(holds, what)

    def caught_up(self) -> float:
        """Wait until all trades made up to now are stored, nothing missing; how long it took."""
        started = time.monotonic()
        self._stored_up_to_now()
        return time.monotonic() - started

    def _stored_up_to_now(self) -> dict[str, int]:
        newest = {name: self.ledger.newest_trades(name, 1)[-1].trade_id for name in SYMBOLS}

        def is_caught_up() -> bool:
            stored = [self.reader.symbol(name) for name in SYMBOLS]
            return all(
                one is not None and (one.last_id or 0) >= newest[one.symbol] for one in stored
            ) and not any(found.missing for found in missing_ids(self.reader).values())

        self.until(is_caught_up, "everything stored")
        return newest

    def judge(self) -> dict[str, int]:
        """Hold all that is stored against the ledger, once the bars over it are closed."""
        newest_ids = self._stored_up_to_now()
        now_ms = self.ledger.now_ms()

        def is_closed() -> bool:
            ranges = [self.reader.bar_range(name, SECOND) for name in SYMBOLS]
            return all(found is not None and found[1] + SECOND >= now_ms for found in ranges)

        self.until(is_closed, "bars closed")
        for process in self.started:
            if process.poll() is None:
                self.stop(process)
        return judge(self.path, self.ledger, newest_ids)

    def close(self) -> None:
        self.reader.close()
        for number, process in enumerate(self.started):
            if process.poll() is None:
                process.kill()
            process.wait()
            print(self._log(number).read_text(), file=sys.stderr)  # shown when the test fails
