"""A PostgreSQL server of the tests' own, from Debian's package, on a free port of loopback."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import OperationalError

from tests.support.processes import free_port
from tests.support.waiting import HANG_S, wait_until

OWNER = "postgres"
"""Whom the package makes; the server refuses to run as root."""
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # What a power failure would leave behind is nobody's concern here.
    "fsync": "off",
    "full_page_writes": "off",
}


class NoPostgres(Exception):
    """Why there can be no server here."""


def programs() -> Path:
    """Give the folder of the newest server that is installed.

    Raises
    ------
    NoPostgres
        There is none.
    """
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not found:
        raise NoPostgres("no PostgreSQL server on this machine: apt-get install postgresql")
    return max(found, key=lambda folder: int(folder.parent.name))


def _as_owner() -> list[str]:
    """What stands before a command so that it is not run as root, and ends with us."""
    if shutil.which("setpriv") is None:
        raise NoPostgres("no setpriv to start a PostgreSQL server with")
    command = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() != 0:
        return command
    try:
        pwd.getpwnam(OWNER)
    except KeyError:
        raise NoPostgres(f"PostgreSQL refuses root, and there is no user {OWNER}") from None
    return [*command, "--reuid", OWNER, "--regid", OWNER, "--clear-groups"]


@contextmanager
def server() -> Iterator[Engine]:
    """Run a server with an empty data folder; gives its administrator's engine.

    Raises
    ------
    NoPostgres
        It can't be had on this machine.
    """
    folder, as_owner = programs(), _as_owner()
    # Pytest's own folders are closed to the server's user.
    with tempfile.TemporaryDirectory(prefix="pairdesk-postgres-") as made:
        data = Path(made) / "data"
        data.mkdir()
        if os.geteuid() == 0:
            Path(made).chmod(0o711)
            shutil.chown(data, OWNER, OWNER)
        options = ["--username=pairdesk", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        done = subprocess.run(
            [*as_owner, str(folder / "initdb"), f"--pgdata={data}", "--no-sync", *options],
            cwd=data,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise NoPostgres(f"PostgreSQL makes no data folder: {done.stderr.strip()}")
        port = free_port()
        command = [*as_owner, str(folder / "postgres"), "-D", str(data), "-p", str(port)]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        url = f"postgresql+psycopg://pairdesk@127.0.0.1:{port}/postgres"
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with (Path(made) / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=data, stdout=log, stderr=log)

        def answers() -> bool:
            assert process.poll() is None, (Path(made) / "log").read_text()
            try:
                engine.connect().close()
            except OperationalError:
                return False
            return True

        try:
            wait_until(answers, "PostgreSQL answers")
            yield engine
        finally:
            engine.dispose()
            process.send_signal(signal.SIGINT)  # it ends its sessions
            process.wait(HANG_S)


@contextmanager
def database(administrator: Engine) -> Iterator[str]:
    """Make an empty database, give its URL, and drop it."""
    name = f"test_{uuid.uuid4().hex}"
    with administrator.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield administrator.url.set(database=name).render_as_string(hide_password=False)
    with administrator.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
