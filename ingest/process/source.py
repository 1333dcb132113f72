"""Where the market comes from: resolved once, before anything forks, and never switched.

What only some sources need is loaded for those: the supervisor resolves, too, and stays small.
"""

import asyncio
import os
import re
import sys
from collections.abc import Callable, MutableMapping
from pathlib import Path

import structlog

from core.errors import ExchangeError, StoreError
from core.settings import Settings

log = structlog.get_logger()

ANSWER_S = 10.0
READY_S = 60.0
END_S = 5.0
_READY = re.compile(r"simulated exchange on (?P<rest>http://\S+) (?P<ws>ws://\S+)")


def resolve_source(
    settings: Settings, root: Path, environ: MutableMapping[str, str], answer_s: float = ANSWER_S
) -> Settings:
    """Decide what `SOURCE=auto` means, and leave the decision in `environ` for every child.

    Binance where any of its hosts answers; else the simulated exchange, unless the database
    holds imported history, which stays on show. With PostgreSQL it is always Binance.

    Raises
    ------
    SettingsError
        The source is a replay of files that aren't there.
    """
    if settings.replay_path is not None:
        from ingest.files.recordings import find_recordings

        recordings = find_recordings(settings.replay_path)
        environ.setdefault("SOURCE_REASON", ", ".join(path.name for path in recordings))
    if settings.source != "auto":
        environ.setdefault("SOURCE_REASON", "")
        return settings
    source, reason = "binance", ""
    if not settings.is_sqlite:
        reason = "with PostgreSQL the source is always Binance"
    else:
        from ingest.binance.hosts import first_answering, rest_hosts
        from ingest.binance.proxies import Proxies

        answer = asyncio.run(
            first_answering(rest_hosts(settings), answer_s, proxies=Proxies.of(settings))
        )
        reason = answer.reason
        if answer.host is None:
            if _has_imports(settings, root):
                reason += ". Imported history is shown; the worker keeps trying"
            else:
                source = "simulated"
    environ["SOURCE"], environ["SOURCE_REASON"] = source, reason
    log.info("source", source=source, reason=reason)
    return settings.model_copy(update={"source": source})


def _has_imports(settings: Settings, root: Path) -> bool:
    if not Path(settings.sqlite_path(root)).exists():
        return False
    from ingest.store.reader import Reader

    reader = Reader(settings.resolved_database_url(root))
    try:
        return reader.has_imports()
    except StoreError:
        return False
    finally:
        reader.close()


class ExchangeProcess:
    """The simulated exchange as a child process, started again on the same port if it dies.

    Parameters
    ----------
    command : what to run; the port and the parent's pid are added.
    """

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self.process: asyncio.subprocess.Process | None = None
        self._port = 0
        self.rest_url = ""
        self.ws_url = ""

    async def start(self) -> None:
        """Start it and wait until it listens.

        Raises
        ------
        ExchangeError
            It ended or said nothing within a minute.
        """
        self.process = await asyncio.create_subprocess_exec(
            *self._command,
            *("--port", str(self._port), "--parent", str(os.getpid())),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(READY_S):
                while line := await self.process.stdout.readline():
                    ready = _READY.search(line.decode(errors="replace"))
                    if ready:
                        self.rest_url, self.ws_url = ready["rest"], ready["ws"]
                        self._port = int(self.rest_url.rsplit(":", 1)[1])
                        return
        except TimeoutError:
            await self.aclose()
        raise ExchangeError("the simulated exchange did not start")

    async def keep_alive(self, on_restart: Callable[[], None] = lambda: None) -> None:
        """Start it again whenever it ends; until cancelled."""
        while True:
            assert self.process is not None
            assert self.process.stdout is not None
            while await self.process.stdout.readline():
                pass  # its later lines have been read so that it never waits for us
            code = await self.process.wait()
            log.warning("the simulated exchange ended; starting it again", exit_code=code)
            await asyncio.sleep(1.0)
            try:
                await self.start()
            except ExchangeError as error:
                log.error("no simulated exchange", reason=str(error))
            on_restart()

    async def aclose(self) -> None:
        """End it."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            async with asyncio.timeout(END_S):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


def simulate_command(symbols: int) -> list[str]:
    """The command of a simulated exchange that lists so many."""
    return [sys.executable, "-m", "ingest", "simulate", "--symbols", str(symbols)]
