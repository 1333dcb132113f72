"""A Redis server of the tests' own, from Debian's package, on a free port of loopback."""

import shutil
import subprocess
from pathlib import Path

import redis

from tests.support.processes import free_port
from tests.support.waiting import HANG_S, wait_until

PASSWORD = "hush/hush"


class NoRedis(Exception):
    """Why there can be no server here."""


class RedisServer:
    """One that can be ended and started again, empty, where it was."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise NoRedis("no Redis server on this machine: apt-get install redis-server")
        port = free_port()
        self.url = f"redis://:hush%2Fhush@127.0.0.1:{port}/2"
        self.socket_url = f"unix://:hush%2Fhush@{folder}/redis.sock?db=2"
        self.client = redis.Redis(port=port, db=2, password=PASSWORD)
        self._command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        self._command += ["--unixsocket", str(folder / "redis.sock"), "--requirepass", PASSWORD]
        if shutil.which("setpriv"):  # it ends with us, however we end
            self._command = ["setpriv", "--pdeathsig", "TERM", *self._command]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, stdout=log, stderr=log
            )
        wait_until(self._answers, "Redis answers")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self.client.close()
            self._process.terminate()
            self._process.wait(HANG_S)
            self._process = None
