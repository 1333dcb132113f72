"""What was imported by mistake can be taken back, all of it and nothing else."""

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from core.errors import StoreError
from core.timeframes import TIMEFRAMES
from core.types import Bar, Origin, Trade
from ingest.files import forgetting
from ingest.files.forgetting import forget
from ingest.files.importer import ImportedSymbol
from ingest.store import gaps, market
from ingest.store.lock import role_lock
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.support.dump_files import DAY, HOUR, SECOND, Load, Save
from tests.support.waiting import HANG_S

ROOT = Path(__file__).resolve().parents[3]
Forget = Callable[..., list[str]]


def hours(count: int, first: int = 0) -> list[str]:
    return [
        f"{DAY + n * HOUR},100,110,90,105,2,{DAY + (n + 1) * HOUR - 1},205,3,1,100,0"
        for n in range(first, first + count)
    ]


def prints(ids: Iterable[int]) -> list[str]:
    return [f"{n},100.0,0.5,{2 * n},{2 * n + 1},{DAY + n * 500},True,True" for n in ids]


@pytest.fixture
def take_back(database_url: str, writer: Writer, reader: Reader) -> Forget:
    def run(*symbols: str, imported_only: bool = False) -> list[str]:
        said: list[str] = []
        forget(symbols, imported_only, database_url, reader, writer, said.append, lambda _: None)
        return said

    return run


def live_symbol(writer: Writer, name: str = "BTCUSDT", whole_from_ms: int = DAY + HOUR) -> int:
    """A symbol that a worker streams, with a second of its own and a gap."""
    with writer.transaction() as tx:
        listing = ImportedSymbol(name, "BTC", "USDT", "TRADING")
        (symbol_id,) = market.ensure_symbols(tx, [listing]).values()
        market.set_subscribed(tx, [name])
        market.save_cursor(
            tx, symbol_id, market.FeedCursor(10_000, 100.0, DAY + 2 * HOUR, whole_from_ms, DAY)
        )
        own = Bar(DAY + 2 * HOUR, 100, 100, 100, 100, 1, 100, 1, 0, True)
        market.upsert_bars(tx, symbol_id, SECOND, [own], Origin.TRADES)
        time_ms = DAY + 2 * HOUR
        market.insert_trades(
            tx, symbol_id, [Trade(name, 10_000, 100, 1, time_ms, time_ms, 1, 1, True)]
        )
        gaps.open_gap(tx, symbol_id, 9_000, 9_005, DAY, DAY + 1, "missed", DAY)
    return symbol_id


def test_imported_symbol_goes_whole_and_others_stay(
    load: Load, save: Save, reader: Reader, take_back: Forget
) -> None:
    load(save("BADUSDT-1h-2024-01.csv", hours(5)), save("ETHUSDT-1h-2024-01.csv", hours(3)))
    load(save("BADUSDT-aggTrades-2024-01-05.csv", prints([1, 2, 5])))
    said = take_back("badusdt", imported_only=True)
    assert said[0].startswith("BADUSDT: imported bars: ")
    assert "BADUSDT-1h-2024-01.csv (5 rows)" in said[0]
    assert "and 3 trades" in said[1]
    assert [item.symbol for item in reader.symbols()] == ["ETHUSDT"]
    assert len(reader.bars("ETHUSDT", HOUR)) == 3
    assert reader.gaps(None) == []
    with pytest.raises(StoreError, match="BADUSDT is not stored; stored: ETHUSDT"):
        take_back("BADUSDT")


def test_what_a_worker_streamed_stays_when_imports_are_taken_back(
    load: Load, save: Save, writer: Writer, reader: Reader, take_back: Forget
) -> None:
    live_symbol(writer)
    load(
        save("BTCUSDT-1h-2024-01.csv", hours(1)),
        save("BTCUSDT-aggTrades-2024-01-05.csv", prints([1, 2, 5])),
    )
    before = reader.symbol("BTCUSDT")
    assert reader.has_imports()
    take_back("BTCUSDT", imported_only=True)
    after = reader.symbol("BTCUSDT")
    assert before is not None
    assert after is not None
    assert after.revision > before.revision
    assert not reader.has_imports()
    assert reader.bars("BTCUSDT", SECOND).open_time_ms.tolist() == [DAY + 2 * HOUR]
    for length in list(TIMEFRAMES.values())[1:]:
        assert len(reader.bars("BTCUSDT", length)) == 0
    assert [gap.from_id for gap in reader.gaps(["BTCUSDT"])] == [9_000]
    holdings = reader.holdings("BTCUSDT")
    assert holdings is not None
    assert (holdings.trades, holdings.islands) == (1, ())


def test_bars_that_the_live_feed_knows_itself_are_its_own_again(
    load: Load, save: Save, writer: Writer, reader: Reader, take_back: Forget
) -> None:
    live_symbol(writer, whole_from_ms=DAY + 10 * SECOND)
    load(save("BTCUSDT-aggTrades-2024-01-05.csv", prints(range(60))))  # 30 seconds
    take_back("BTCUSDT", imported_only=True)
    bars = reader.bars("BTCUSDT", SECOND)
    # The last second of the file was never whole, so it is not the feed's.
    assert ((bars.open_time_ms - DAY) // SECOND).tolist() == [*range(10, 29), 2 * 3_600]
    assert not bars.imported.any()
    holdings = reader.holdings("BTCUSDT")
    assert holdings is not None
    assert holdings.trades == 1 + 40


def test_symbol_that_comes_back_is_not_taken_for_the_old_one(
    load: Load, save: Save, reader: Reader, take_back: Forget
) -> None:
    path = save("BADUSDT-1h-2024-01.csv", hours(5))
    load(path)
    old = reader.symbol("BADUSDT")
    take_back("BADUSDT")
    load(path)
    new = reader.symbol("BADUSDT")
    assert old is not None
    assert new is not None
    assert new.revision > old.revision


def test_nothing_is_removed_where_one_name_is_unknown(
    load: Load, save: Save, reader: Reader, take_back: Forget
) -> None:
    load(save("ETHUSDT-1h-2024-01.csv", hours(3)))
    with pytest.raises(StoreError, match="XUSDT is not stored"):
        take_back("ETHUSDT", "XUSDT")
    assert len(reader.bars("ETHUSDT", HOUR)) == 3


def test_what_a_worker_streams_now_is_not_taken_from_under_it(
    load: Load, save: Save, writer: Writer, reader: Reader, take_back: Forget, database_url: str
) -> None:
    live_symbol(writer)
    load(save("BTCUSDT-1h-2024-01.csv", hours(1)))
    lock = role_lock(database_url, "worker")
    assert lock.acquire()
    with pytest.raises(StoreError, match=r"streamed by the worker that runs.*--imported"):
        take_back("BTCUSDT")
    assert reader.has_imports()
    take_back("BTCUSDT", imported_only=True)
    assert not reader.has_imports()
    lock.release()
    take_back("BTCUSDT")
    assert reader.symbols() == []


def test_other_writers_get_a_turn_while_much_is_removed(
    load: Load,
    save: Save,
    writer: Writer,
    reader: Reader,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load(save("BADUSDT-1h-2024-01.csv", hours(50)))
    monkeypatch.setattr(forgetting, "ROWS_PER_TRANSACTION", 10)
    left: list[int] = []

    def pause(_: float) -> None:
        left.append(len(reader.bars("BADUSDT", HOUR)))

    forget(["BADUSDT"], True, database_url, reader, writer, lambda _: None, pause)
    assert left == [40, 30, 20, 10, 0]


def started(folder: Path, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "ingest", *arguments],
        cwd=ROOT,
        env={
            "DATABASE_URL": f"sqlite:///{folder}/market.db",
            "PATH": "/usr/bin:/bin",
        }
        | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_commands_import_tell_and_forget(tmp_path: Path) -> None:
    good, bad = tmp_path / "AAAUSDT-1h-2024-01.csv", tmp_path / "A+BUSDT-1h-2024-01.csv"
    good.write_text("\n".join(hours(3)))
    bad.write_text("\n".join(hours(3)))

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        with started(tmp_path, *arguments) as running:
            shown, failed = running.communicate(timeout=HANG_S)
        return subprocess.CompletedProcess(arguments, running.returncode, shown, failed)

    loaded = run("import", str(bad), str(good))
    assert loaded.returncode == 1
    assert "AAAUSDT klines of 1h" in loaded.stdout
    assert "3 rows taken" in loaded.stdout
    assert "'A+BUSDT' is no symbol" in loaded.stderr
    assert "1 of 2 files refused" in loaded.stderr
    unknown = run("forget", "BBBUSDT")
    assert (unknown.returncode, unknown.stderr.strip()) == (
        1,
        "BBBUSDT is not stored; stored: AAAUSDT",
    )
    forgotten = run("forget", "AAAUSDT", "--imported")
    assert forgotten.returncode == 0
    assert "removed 3 bars and 0 trades" in forgotten.stdout
    assert run("import", str(good)).returncode == 0
    assert run("import", "--symbol", "AAAUSDT", str(good)).returncode == 2


def test_a_terminal_without_its_letters_is_told_of_any_symbol(tmp_path: Path) -> None:
    foreign = tmp_path / "币安人生USDT-1h-2024-01.csv"
    foreign.write_text("\n".join(hours(3)))
    latin = {"PYTHONIOENCODING": "latin-1"}
    for command, name, told in (
        ("import", str(foreign), "3 rows taken"),
        ("forget", "币安人生USDT", "removed 3 bars"),
    ):
        with started(tmp_path, command, name, **latin) as running:
            shown, failed = running.communicate(timeout=HANG_S)
        assert running.returncode == 0, failed
        assert told in shown
        assert r"\u5e01\u5b89" in shown


def test_a_reader_who_has_seen_enough_gets_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "AAAUSDT-1h-2024-01.csv"
    path.write_text("\n".join(hours(3)))
    with started(tmp_path, "import", str(path)) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert "Traceback" not in running.stderr.read()
    assert running.returncode == 1
