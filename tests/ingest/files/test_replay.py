"""Recorded frames give the trades and bars that the exchange's own figures tell of."""

import gzip
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import SettingsError
from ingest.files.replay import Replay, find_recordings, read_frames, replay_files
from ingest.live.pipeline import Pipeline
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.support.waiting import HANG_S

ROOT = Path(__file__).resolve().parents[3]
RECORDED = ROOT.parent / "shared" / "data"
FRAMES = RECORDED / "binance_spot_frames"
CRYPTOFEED = RECORDED / "cryptofeed_frames" / "BINANCE_2021-10-12_ws.txt"
FIVE_MINUTES = 300_000
OPEN_23_50, OPEN_23_55 = 1_723_161_000_000, 1_723_161_300_000

needs_recordings = pytest.mark.skipif(
    not FRAMES.is_dir(), reason=f"the recorded frames are not at {FRAMES}"
)


def frame(trade_id: int, time_ms: int, symbol: str = "BTCUSDT", price: str = "100.5") -> str:
    payload = {
        "e": "trade",
        "E": time_ms,
        "s": symbol,
        "t": trade_id,
        "p": price,
        "q": "0.25",
        "T": time_ms,
        "m": True,
        "M": True,
    }
    return json.dumps({"stream": f"{symbol.lower()}@trade", "data": payload})


def run(writer: Writer, paths: list[Path]) -> tuple[Pipeline, Replay]:
    replay = Replay(paths)
    pipeline = Pipeline(writer, replay.clock_ms)
    pipeline.start(replay.symbols(), keep_existing=True)
    replay.run(pipeline)
    return pipeline, replay


@needs_recordings
def test_no_recorded_trade_is_missing_or_stored_twice(
    writer: Writer, reader: Reader, database_url: str
) -> None:
    paths = find_recordings(str(FRAMES))
    _, replay = run(writer, paths)
    assert replay.result.broken == 0
    assert replay.result.others > 50_000
    run(writer, paths)  # once more: every trade is known by then
    with sqlite3.connect(database_url.removeprefix("sqlite:///")) as database:
        counted = database.execute(
            "SELECT symbol, count(*), count(DISTINCT trade_id), max(trade_id) - min(trade_id) + 1"
            " FROM trades JOIN symbols ON symbols.id = symbol_id GROUP BY symbol ORDER BY symbol"
        ).fetchall()
    assert counted == [("BTCUSDT", 9757, 9757, 9757), ("ETHUSDT", 6106, 6106, 6106)]
    assert reader.gaps(None, ("open", "filled", "unfillable")) == []


@needs_recordings
def test_the_recorded_5m_bars_equal_the_exchanges_own(writer: Writer, reader: Reader) -> None:
    run(writer, find_recordings(str(FRAMES / "*.gz")))
    expected = {
        "BTCUSDT": (61828.00, 61860.80, 61583.22, 61685.99, 199.42863, 8863),
        "ETHUSDT": (2682.97, 2685.37, 2679.00, 2682.50, 2091.5828, 5370),
    }
    for symbol, figures in expected.items():
        bars = reader.bars(symbol, FIVE_MINUTES)
        assert list(bars.open_time_ms) == [OPEN_23_50, OPEN_23_55]
        assert list(bars.complete) == [False, True]
        stored = (
            bars.open[1],
            bars.high[1],
            bars.low[1],
            bars.close[1],
            bars.volume[1],
            bars.trade_count[1],
        )
        assert stored == figures
        minutes = reader.bars(symbol, 60_000)
        assert list(minutes.complete) == [False, True, True, True, True, True]


@needs_recordings
def test_seconds_with_a_dot_and_a_header_line_are_understood(
    writer: Writer, reader: Reader
) -> None:
    _, replay = run(writer, [CRYPTOFEED])
    assert replay.result.broken == 0
    assert replay.result.trades > 0
    assert {stored.symbol for stored in reader.symbols()} <= {
        "NKNUSDT",
        "BLZETH",
        "LRCBTC",
        "RUNEEUR",
    }


def test_files_are_merged_by_receive_time(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.gz"
    one.write_text(f"1000000000 {frame(1, 1_000)}\n3000000000 {frame(3, 3_000)}\n")
    two.write_bytes(gzip.compress(f"2.0: {frame(2, 2_000)}\nnot a line\n".encode()))
    stamps = [received_ns for received_ns, _ in read_frames([one, two])]
    assert stamps == [1_000_000_000, 2_000_000_000, 3_000_000_000]


def test_frames_that_are_no_trades_are_passed_over_and_broken_ones_counted(
    writer: Writer, tmp_path: Path
) -> None:
    path = tmp_path / "frames.txt"
    lines = [
        frame(1, 1_000_100),
        '{"lastUpdateId":1,"bids":[],"asks":[]}',
        '{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}}',
        frame(2, 1_000_900, price="NaN"),
        '{"stream":"btcusdt@trade","data":{"e":"trade"',
        frame(2, 1_000_900),
    ]
    path.write_text("".join(f"{1_000 + i}.5 {line}\n" for i, line in enumerate(lines)))
    result = replay_files([path], Pipeline(writer, lambda: 0))
    assert (result.frames, result.trades, result.others, result.broken) == (6, 2, 2, 2)


def test_real_time_waits_as_long_as_the_recording_did(writer: Writer, tmp_path: Path) -> None:
    path = tmp_path / "frames.txt"
    path.write_text("".join(f"{1_000 + i}.0 {frame(i, (1_000 + i) * 1_000)}\n" for i in range(11)))
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    replay = Replay([path], 2.0, monotonic=lambda: now, sleep=sleep)
    pipeline = Pipeline(writer, replay.clock_ms)
    pipeline.start(replay.symbols())
    replay.run(pipeline)
    assert now == pytest.approx(5.0)


def test_a_path_without_recordings_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="allowed: a file, folder or glob"):
        find_recordings(str(tmp_path / "*.gz"))


def test_the_command_replays_into_a_database_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "frames.txt"
    path.write_text("".join(f"{1_000 + i}.0 {frame(i, (1_000 + i) * 1_000)}\n" for i in range(70)))
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/market.db", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-m", "ingest", "replay", str(path)],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "70 trades (70 new)" in done.stdout
    assert not (tmp_path / "market.db").exists()
    reader = Reader(f"sqlite:///{tmp_path}/market-replay.db")
    assert reader.meta()["source"] == "replay"
    assert len(reader.bars("BTCUSDT", 1_000)) >= 69
    reader.close()
