"""How the web is served, and with SQLite the supervised worker beside it.

Settings are checked and the source is resolved here, once, before anything forks.
"""

import errno
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from filelock import FileLock

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from core.errors import PairdeskError, SettingsError  # noqa: E402
from core.settings import Settings  # noqa: E402
from ingest.process.console import LineFormatter, configure_logging  # noqa: E402
from ingest.process.environment import read_dotenv  # noqa: E402
from ingest.process.keeper import Keeper  # noqa: E402
from ingest.process.kernels import keep_kernels  # noqa: E402
from ingest.process.memory import share_arenas, stay_small  # noqa: E402
from ingest.process.source import resolve_source  # noqa: E402
from ingest.process.web_worker import WholeRequestWorker  # noqa: E402
from ingest.store.engine import migrate, sqlite_path  # noqa: E402

CONFIGURATION_ERROR = 78
SWITCH_S = 0.0005


def _checked_settings() -> Settings:
    settings = Settings.from_mapping(os.environ)
    try:
        socket.getaddrinfo(settings.host, settings.port)
    except (OSError, UnicodeError):
        raise SettingsError(
            f"HOST={settings.host!r} is not usable; allowed: an address of this machine,"
            " such as 127.0.0.1, or 0.0.0.0 for all of them"
        ) from None
    return resolve_source(settings, ROOT, os.environ)


configure_logging()
try:
    read_dotenv(ROOT / ".env")
    settings = _checked_settings()
except SettingsError as error:
    print(error, file=sys.stderr)
    sys.exit(CONFIGURATION_ERROR)
kernels = keep_kernels(ROOT, sqlite_path(settings.resolved_database_url(ROOT)), os.environ)

bind = (
    f"[{settings.host}]:{settings.port}"
    if ":" in settings.host
    else (f"{settings.host}:{settings.port}")
)
worker_class = WholeRequestWorker
worker_connections = 500  # below the files that a process may have open by default
workers = settings.web_concurrency
threads = 8
preload_app = True
timeout = 60
graceful_timeout = 5
keepalive = 15
loglevel = "warning"
control_socket_disable = True
# A heartbeat on a disk would wait for it.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def on_starting(server: Any) -> None:
    """See that the address is free, and bring the database to this version's schema."""
    # gunicorn's own lines quote what it was sent, a header of kilobytes if need be.
    for handler in server.log.error_log.handlers:
        handler.setFormatter(LineFormatter(server.log.error_fmt, server.log.datefmt))
    try:
        if "GUNICORN_FD" not in os.environ and "LISTEN_FDS" not in os.environ:
            for address in server.cfg.address:
                if isinstance(address, tuple):
                    _check_address(*address)
        migrate(settings.resolved_database_url(ROOT))
    except PairdeskError as error:
        print(error, file=sys.stderr)
        sys.exit(CONFIGURATION_ERROR if isinstance(error, SettingsError) else 1)


def _check_address(host: str, port: int) -> None:
    """Say at once what gunicorn would say five times, in five seconds."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise SettingsError(
                    f"PORT={port} is in use on {host}; stop what listens there, or set another PORT"
                ) from None
            raise SettingsError(
                f"HOST={host!r} with PORT={port} is not usable ({error.strerror})"
            ) from None


def pre_exec(_server: Any) -> None:
    """Refuse USR2: a second master would resolve the source anew, and might show another market."""
    print("USR2 is not supported: restart the desk, or send HUP for new web workers", flush=True)
    os._exit(CONFIGURATION_ERROR)


def when_ready(server: Any) -> None:
    """Start the supervised worker; say where the page is."""
    if settings.is_sqlite:
        command = [sys.executable, "-m", "ingest", "--supervise", "--parent", str(os.getpid())]
        # Kept at the server: a reload makes this module anew.
        if getattr(server, "supervisor", None) is None:
            server.supervisor = Keeper(command, ROOT)
            server.supervisor.start()
    print(f"Pairdesk is on {settings.page_address}  (Ctrl-C ends it)", flush=True)


def post_fork(_server: Any, _worker: Any) -> None:
    """Keep eight threads from keeping eight heaps, and from waiting long for one that computes."""
    share_arenas(os.environ)
    # An answer takes Python's lock a handful of times, by default up to 5 ms after it asks for it.
    sys.setswitchinterval(SWITCH_S)


def post_worker_init(worker: Any) -> None:
    """Compile the kernels beside the first requests, and hold no memory that nothing uses."""
    stay_small()
    desk = getattr(worker.wsgi, "extensions", {}).get("pairdesk")
    if desk is not None:
        # One process compiles; the others wait for what it leaves on disk.
        turn = (FileLock(kernels / "warm-up.lock"),)
        threading.Thread(
            target=desk.kernels.warm_up, args=turn, name="warm-up", daemon=True
        ).start()


def on_exit(server: Any) -> None:
    """End the supervisor, and with it the worker."""
    supervisor = getattr(server, "supervisor", None)
    if supervisor is not None:
        supervisor.stop()
