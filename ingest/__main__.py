"""`python -m ingest [analyse | job | compile | import | forget | replay | backup | simulate]`; else
the worker."""

import argparse
import asyncio
import os
import sys
from collections.abc import MutableMapping, Sequence
from functools import partial
from pathlib import Path

from core.errors import PairdeskError, SettingsError, StoreError
from core.settings import FEWEST_SIMULATED, MAX_SYMBOLS, Settings
from core.timeframes import TIMEFRAMES
from ingest.process.console import configure_logging
from ingest.process.environment import read_dotenv
from ingest.process.kernels import keep_kernels
from ingest.process.lifeline import follow_parent
from ingest.process.memory import give_back, share_arenas, stay_small
from ingest.process.source import resolve_source
from ingest.process.supervisor import CONFIGURATION_ERROR, supervise
from ingest.store.heartbeats import LastBeat, last_heartbeat

ROOT = Path(__file__).resolve().parent.parent
NICE = 10


def main(arguments: Sequence[str], environ: MutableMapping[str, str]) -> int:
    """Run one command; the exit code is 78 where the settings are at fault, else 1 on failure."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "import" and (options.symbol is None) != (options.timeframe is None):
        parser.error("--symbol and --timeframe go together")
    if options.parent is not None:
        follow_parent(options.parent)
    try:
        return _run(options, environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return CONFIGURATION_ERROR
    except PairdeskError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Who read what is printed has gone, as `head` does; nothing more can be told to him.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ingest", description="Pairdesk's worker.")
    parser.add_argument(
        "--supervise", action="store_true", help="run worker and analyst, each again when it ends"
    )
    parser.set_defaults(parent=None)
    _add_parent(parser)
    commands = parser.add_subparsers(dest="command", metavar="command")
    _add_parent(commands.add_parser("analyse", help="judge the user's rules on closed bars"))
    working = commands.add_parser("job", help="do one job that the analyst has claimed")
    working.add_argument("job_id", type=int, metavar="ID")
    _add_parent(working)
    commands.add_parser("compile", help="compile what jobs need, before the first of them")
    importing = commands.add_parser("import", help="load Binance public-dump files")
    importing.add_argument("files", nargs="+", metavar="FILE", help="csv or zip")
    importing.add_argument("--symbol", help="the files are other CSVs, with a heading, of this")
    importing.add_argument("--timeframe", choices=tuple(TIMEFRAMES), help="and of this length")
    forgetting = commands.add_parser("forget", help="remove what is stored of a symbol")
    forgetting.add_argument("symbols", nargs="+", metavar="SYMBOL")
    forgetting.add_argument(
        "--imported", action="store_true", help="only what was imported from files"
    )
    replaying = commands.add_parser("replay", help="send recorded frames through the pipeline")
    replaying.add_argument("files", nargs="+", metavar="FILE", help="gzip allowed; also a folder")
    replaying.add_argument(
        "--speed", type=_speed, help="1 is real time; without it as fast as possible"
    )
    backing_up = commands.add_parser("backup", help="copy the SQLite database while it is in use")
    backing_up.add_argument("file", metavar="FILE", type=Path, help="the copy to make")
    backing_up.add_argument("--force", action="store_true", help="replace FILE if it is there")
    backing_up.add_argument(
        "--own", action="store_true", help="only what is yours; the market can be fetched again"
    )
    simulating = commands.add_parser("simulate", help="run the simulated exchange")
    simulating.add_argument("--port", type=_port, required=True, help="0 takes a free one")
    simulating.add_argument("--seed", type=int, default=7, help="decides the whole market")
    simulating.add_argument("--rate", type=_speed, default=1.0, help="how busy the market is")
    simulating.add_argument(
        "--symbols", type=_count, default=FEWEST_SIMULATED, help="how many it lists, 20 to 1000"
    )
    simulating.add_argument(
        "--with-parent", action="store_true", help="end when the parent process does"
    )
    _add_parent(simulating)
    return parser


def _add_parent(parser: argparse.ArgumentParser) -> None:
    # The pid that has to live on. A subcommand's default would hide what stands before it.
    parser.add_argument("--parent", type=int, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def _speed(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


def _count(text: str) -> int:
    value = int(text)
    if not FEWEST_SIMULATED <= value <= MAX_SYMBOLS:
        raise ValueError
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise ValueError
    return value


def _run(options: argparse.Namespace, environ: MutableMapping[str, str]) -> int:
    configure_logging()
    if options.command == "simulate":
        from ingest.simulator.server import run

        return run(options.port, options.seed, options.rate, options.symbols, options.with_parent)
    read_dotenv(ROOT / ".env")
    settings = Settings.from_mapping(environ)
    if options.command == "compile":
        return _compile(settings, environ)
    if options.command == "import":
        return _import(options, settings)
    if options.command == "forget":
        return _forget(options, settings)
    if options.command == "replay":
        return _replay(options.files, options.speed, settings)
    if options.command == "backup":
        return _back_up(options.file, options.force, options.own, settings)
    settings = resolve_source(settings, ROOT, environ)
    if options.supervise:
        return _supervise(settings)
    from ingest.store.engine import migrate

    migrate(settings.resolved_database_url(ROOT))
    if options.command == "analyse":
        return _analyse(settings, environ)
    if options.command == "job":
        return _do_job(options.job_id, settings, environ)
    _stay_small(environ)
    from ingest.worker import Worker

    async def work() -> int:
        return await Worker(settings, ROOT, environ.get("SOURCE_REASON", "")).run()

    return asyncio.run(work())


def _supervise(settings: Settings) -> int:
    """Keep worker and analyst at work; each of them migrates, this process stays small."""
    worker = sys.executable, "-m", "ingest"
    commands = {"worker": worker, "analyst": (*worker, "analyse")}
    if settings.is_sqlite:
        return supervise(commands, partial(last_heartbeat, Path(settings.sqlite_path(ROOT))))
    from ingest.store.reader import Reader

    reader = Reader(settings.resolved_database_url(ROOT))

    def read_heartbeat(role: str) -> LastBeat | None:
        try:
            status = reader.status(role)
        except StoreError:
            return None
        return None if status is None else LastBeat(status.pid, status.heartbeat_ms)

    return supervise(commands, read_heartbeat)


def _analyse(settings: Settings, environ: MutableMapping[str, str]) -> int:
    _keep_kernels(settings, environ)
    _stay_small(environ)
    # Only now: numba reads its folder when the kernels are imported.
    from ingest.analyst import Analyst

    async def work() -> int:
        return await Analyst(settings, ROOT, environ).run()

    return asyncio.run(work())


def _stay_small(environ: MutableMapping[str, str]) -> None:
    """Hold no memory that nothing uses: a process that runs for months, with a dozen threads."""
    share_arenas(environ)
    stay_small()


def _do_job(job_id: int, settings: Settings, environ: MutableMapping[str, str]) -> int:
    _keep_kernels(settings, environ)
    share_arenas(environ)  # before the threads of a scan start
    os.nice(NICE)  # feed and page come first
    from ingest.analysis.job import work_off

    return work_off(job_id, settings, settings.resolved_database_url(ROOT), give_back)


def _compile(settings: Settings, environ: MutableMapping[str, str]) -> int:
    _keep_kernels(settings, environ)
    from ingest.analysis.warming import compile_kernels

    compile_kernels()
    return 0


def _keep_kernels(settings: Settings, environ: MutableMapping[str, str]) -> None:
    keep_kernels(ROOT, Path(settings.sqlite_path(ROOT)) if settings.is_sqlite else None, environ)


def _import(options: argparse.Namespace, settings: Settings) -> int:
    from ingest.files.commands import load_dumps

    return load_dumps(options.files, _real_market(settings), options.symbol, options.timeframe)


def _forget(options: argparse.Namespace, settings: Settings) -> int:
    from ingest.files.commands import forget_symbols

    return forget_symbols(options.symbols, options.imported, _real_market(settings))


def _back_up(target: Path, force: bool, own: bool, settings: Settings) -> int:
    from ingest.store.backup import back_up

    url = _real_market(settings)
    size = back_up(url, target, force=force, own=own)
    what = "what is yours in" if own else "one sound copy of"
    print(f"{target}: {size / 1e6:,.1f} MB, {what} {url.removeprefix('sqlite:///')}")
    return 0


def _real_market(settings: Settings) -> str:
    """The database that a command is about; `auto` means the real market's, unasked."""
    if settings.source_kind == "auto":
        settings = settings.model_copy(update={"source": "binance"})
    return settings.resolved_database_url(ROOT)


def _replay(files: Sequence[str], speed: float | None, settings: Settings) -> int:
    from ingest.files.commands import replay_recordings

    settings = settings.model_copy(update={"source": f"replay:{files[0]}"})
    return replay_recordings(files, speed, settings.resolved_database_url(ROOT))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
