"""No worker is left behind and none stays down, however its parents end; with real processes."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from core.errors import StoreError
from ingest.process.supervisor import STALE_S, HeartbeatWatch, KeptProcess, Role, Supervisor
from ingest.store.heartbeats import LastBeat
from ingest.store.reader import Reader
from tests.support.processes import free_port
from tests.support.waiting import ENDLESS_S, HANG_S, wait_until

ROOT = Path(__file__).resolve().parents[3]
TINY_APP = """
def server(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"up"]
"""
FAILING_WORKERS = f"""
__file__ = {str(ROOT / "gunicorn.conf.py")!r}
exec(compile(open(__file__).read(), __file__, "exec"))
preload_app = False
"""


@dataclass
class Desk:
    """One gunicorn with our configuration and a tiny app, all its processes marked."""

    folder: Path
    port: int
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    master: "subprocess.Popen[str] | None" = None
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.settings.get("DATABASE_URL", f"sqlite:///{self.folder}/market.db")

    def start(self, app: str = TINY_APP, config: Path = ROOT / "gunicorn.conf.py") -> None:
        (self.folder / "tiny.py").write_text(app)
        self._run("gunicorn", "-c", str(config), "--chdir", str(self.folder), "tiny:server")

    def supervise(self) -> None:
        """Start without the web, as beside PostgreSQL."""
        self._run("ingest", "--supervise")

    def _run(self, module: str, *arguments: str) -> None:
        environ = {
            "PATH": os.environ["PATH"],
            "PAIRDESK_MARK": self.mark,
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "1",
            "DATABASE_URL": self.url,
            "SOURCE": "binance",
            # Nobody listens there: the worker lives, and keeps trying.
            "BINANCE_REST_URL": "http://127.0.0.1:9",
            "BINANCE_WS_URL": "ws://127.0.0.1:9",
            **self.settings,
        }
        self.master = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT if module == "ingest" else self.folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def processes(self) -> dict[int, str]:
        """Every living process of this desk, by its mark in the environment."""
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            with suppress(OSError):
                if self.mark.encode() in (folder / "environ").read_bytes():
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if command and "State:\tZ" not in (folder / "status").read_text():
                        found[int(folder.name)] = command
        return found

    def pid(self, role: str = "worker") -> int | None:
        """Who has a role, as its heartbeat tells it."""
        reader = Reader(self.url)
        try:
            status = reader.status(role)
        except StoreError:
            return None  # not migrated yet
        finally:
            reader.close()
        return None if status is None or status.state == "stopped" else status.pid

    def wait_for(self, role: str, but_not: int | None = None) -> int:
        wait_until(lambda: self.pid(role) not in (None, but_not), f"the {role}'s heartbeat")
        pid = self.pid(role)
        assert pid is not None
        return pid

    def output(self) -> str:
        assert self.master is not None
        return self.master.communicate(timeout=HANG_S)[0]

    def close(self) -> None:
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.master is not None:
            self.master.wait(HANG_S)
            if self.master.stdout is not None:
                self.master.stdout.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, free_port())
    yield desk
    desk.close()


def test_one_command_runs_web_and_worker_restarts_the_worker_and_ends_all(desk: Desk) -> None:
    desk.start()
    first = desk.wait_for("worker")
    os.kill(first, signal.SIGKILL)
    second = desk.wait_for("worker", but_not=first)
    assert second != first
    assert desk.master is not None
    desk.master.send_signal(signal.SIGTERM)
    output = desk.output()
    assert desk.master.returncode == 0, output
    assert re.search(rf"Pairdesk is on http://127\.0\.0\.1:{desk.port}", output)
    wait_until(lambda: not desk.processes(), "no process is left")
    reader = Reader(f"sqlite:///{desk.folder}/market.db")
    status = reader.status("worker")
    reader.close()
    assert status is not None
    assert status.state == "stopped"


def test_beside_postgres_a_supervisor_of_its_own_restarts_each_process_and_ends_all(
    desk: Desk, postgres_url: str
) -> None:
    desk.settings["DATABASE_URL"] = postgres_url
    desk.supervise()
    for role in ("worker", "analyst"):
        first = desk.wait_for(role)
        os.kill(first, signal.SIGKILL)
        desk.wait_for(role, but_not=first)
    assert desk.master is not None
    desk.master.send_signal(signal.SIGTERM)
    output = desk.output()
    assert desk.master.returncode == 0, output
    wait_until(lambda: not desk.processes(), "no process is left")


def test_kill_9_of_the_master_leaves_no_orphan(desk: Desk) -> None:
    desk.start()
    desk.wait_for("worker")
    assert desk.master is not None
    desk.master.kill()
    wait_until(lambda: not desk.processes(), "no process is left")


def test_a_port_in_use_leaves_no_worker_behind(desk: Desk) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", desk.port))
        listener.listen()
        desk.start()
        output = desk.output()
    assert desk.master is not None
    assert desk.master.returncode != 0
    assert "in use" in output
    assert not desk.processes()


def test_a_web_worker_that_fails_to_boot_leaves_no_worker_behind(desk: Desk) -> None:
    config = desk.folder / "late.conf.py"
    config.write_text(FAILING_WORKERS)
    desk.start("raise RuntimeError('this app does not start')", config)
    output = desk.output()
    assert desk.master is not None
    assert desk.master.returncode != 0
    assert "this app does not start" in output
    wait_until(lambda: not desk.processes(), "no process is left")


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("PORT", "99999", "a whole number from 1 to 65535"),
        ("HOST", "999.1.1.1", "an address of this machine"),
    ],
)
def test_a_bad_setting_stops_the_start_with_its_name_and_what_is_allowed(
    desk: Desk, key: str, value: str, allowed: str
) -> None:
    desk.settings[key] = value
    desk.start()
    output = desk.output()
    assert desk.master is not None
    assert desk.master.returncode == 78
    assert f"{key}={value!r} is not usable; allowed: {allowed}" in output
    assert "Traceback" not in output
    assert not desk.processes()


def test_a_worker_that_refuses_its_settings_is_not_restarted() -> None:
    refusing = Role("worker", [sys.executable, "-c", "raise SystemExit(78)"], lambda: None)
    assert Supervisor([refusing]).run() == 78


def test_a_worker_whose_heartbeat_stops_is_killed_and_replaced() -> None:
    now = 0.0

    def monotonic() -> float:
        nonlocal now
        now += 10.0  # every look at the clock is ten seconds later
        return now

    def children() -> list[int]:
        found = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()
        return [int(pid) for pid in found.split()]

    others, pids = children(), list[int]()

    def heartbeat() -> LastBeat | None:
        pids.extend(pid for pid in children() if pid not in (*others, *pids))
        if len(pids) > 1:
            supervisor.stop()
        return LastBeat(pids[-1], 1)  # it never changes

    command = [sys.executable, "-c", f"import time; time.sleep({ENDLESS_S})"]
    supervisor = Supervisor([Role("worker", command, heartbeat)], monotonic)
    assert supervisor.run() == 0
    assert len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_one_role_that_refuses_its_settings_or_dies_leaves_the_other_at_work(
    tmp_path: Path,
) -> None:
    starts = tmp_path / "starts"
    starts.touch()
    append = f"open({str(starts)!r}, 'a').write"
    lasting = f"import time; {append}('worker\\n'); time.sleep({ENDLESS_S})"
    refusing = f"{append}('refused\\n'); raise SystemExit(78)"
    failing = f"{append}('analyst\\n'); raise SystemExit(1)"
    now = 0.0

    def monotonic() -> float:
        nonlocal now
        now += 10.0  # past every delay
        if starts.read_text().count("analyst") >= 3:
            supervisor.stop()
        return now

    supervisor = Supervisor(
        [
            Role(name, [sys.executable, "-c", code], lambda: None)
            for name, code in (("worker", lasting), ("refused", refusing), ("analyst", failing))
        ],
        monotonic,
    )
    assert supervisor.run() == 0
    started = starts.read_text().split()
    assert started.count("worker") == 1
    assert started.count("refused") == 1
    assert started.count("analyst") >= 3


def test_a_role_that_keeps_ending_is_started_ever_more_seldom() -> None:
    failing = Role("analyst", [sys.executable, "-c", "raise SystemExit(1)"], lambda: None)
    kept = KeptProcess(failing, 0.0)
    now, starts = 0.0, list[float]()
    while len(starts) < 9:
        kept.look(now)
        if kept.process is None:
            now += 0.25
        else:
            starts.append(now)
            kept.process.wait()
            kept.look(now)
    waits = [later - sooner for sooner, later in pairwise(starts)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_only_the_workers_own_heartbeat_counts() -> None:
    watch = HeartbeatWatch(pid=7, since=0.0)
    assert not watch.is_stale(LastBeat(8, 1), STALE_S + 1)  # it stands by behind another worker
    assert not watch.is_stale(LastBeat(7, 1), 2 * STALE_S)
    assert not watch.is_stale(LastBeat(7, 2), 3 * STALE_S)
    assert not watch.is_stale(LastBeat(7, 2), 4 * STALE_S)
    assert watch.is_stale(LastBeat(7, 2), 4 * STALE_S + 1)


# What the supervisor has loaded once it has started two processes and read their heartbeats.
SUPERVISOR = """
import sys
from ingest.__main__ import main
from ingest.process.supervisor import Supervisor

Supervisor.run = lambda self: len([role.heartbeat() for role in self._roles])
environ = {"DATABASE_URL": f"sqlite:///{sys.argv[1]}/market.db", "SOURCE": "simulated"}
assert main(["--supervise"], environ) == 2
print(*sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names))
"""


def test_the_supervisor_takes_the_memory_of_settings_and_log_lines_alone(tmp_path: Path) -> None:
    """It lives as long as the desk: with numpy and SQLAlchemy it was three times its size."""
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    loaded = set(shown.split())
    assert {"core", "ingest", "pydantic", "structlog"} <= loaded
    assert not loaded & {
        "alembic", "apscheduler", "filelock", "httpx", "msgspec", "numpy", "orjson", "psycopg",
        "sqlalchemy", "websockets",
    }  # fmt: skip


def start_refused(desk: Desk) -> str:
    """What a start says that ends at once, in words and with nothing left behind."""
    desk.start()
    output = desk.output()
    assert desk.master is not None
    assert desk.master.returncode == 78, output
    assert "Traceback" not in output
    assert not desk.processes()
    return output


def test_a_port_in_use_is_said_in_one_line(desk: Desk) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", desk.port))
        listener.listen()
        output = start_refused(desk)
    assert output.splitlines()[-1] == (
        f"PORT={desk.port} is in use on 127.0.0.1; stop what listens there, or set another PORT"
    )


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///{folder}", "is a folder, not a database file"),
        ("sqlite:///~/market.db", "the home folder written out, not as ~"),
        ("sqlite:////dev/null", "/dev/null is no file"),
        ("sqlite:////proc/market.db", "can't be made, read and written by this user"),
    ],
)
def test_a_database_that_cannot_be_one_is_said_in_one_line(
    desk: Desk, url: str, words: str
) -> None:
    desk.settings["DATABASE_URL"] = url.format(folder=desk.folder)
    assert words in start_refused(desk).splitlines()[-1]


@pytest.mark.parametrize("value", ["0", "65"])
def test_a_number_of_web_workers_out_of_range_is_said(desk: Desk, value: str) -> None:
    desk.settings["WEB_CONCURRENCY"] = value
    assert f"WEB_CONCURRENCY='{value}' is not usable" in start_refused(desk)


def test_usr2_is_refused_in_words_and_the_desk_goes_on(desk: Desk) -> None:
    desk.start()
    worker = desk.wait_for("worker")
    assert desk.master is not None
    assert desk.master.stdout is not None
    desk.master.send_signal(signal.SIGUSR2)
    for line in desk.master.stdout:
        if "USR2 is not supported" in line:
            break
    else:
        raise AssertionError("nothing was said")
    with socket.create_connection(("127.0.0.1", desk.port), timeout=HANG_S) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"\r\nup\r\n" in client.makefile("rb").read()
    assert desk.pid() == worker
