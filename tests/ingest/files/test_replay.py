"""Recorded frames give the trades and bars that the exchange's own figures tell of."""

import gzip
import json
import resource
import sqlite3
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from core.errors import SettingsError
from ingest.files.recordings import Unread, find_recordings, read_frames, split_line
from ingest.files.replay import Replay
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
    replay, pipeline = Replay([path]), Pipeline(writer, lambda: 0)
    pipeline.start(replay.symbols(), keep_existing=True)
    result = replay.run(pipeline)
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


@pytest.mark.parametrize(
    ("where", "words"),
    [("~nobody-of-this-name/x.gz", "home directory"), ("/" + "n" * 300, "File name too long")],
)
def test_a_path_that_cannot_be_looked_at_is_a_settings_error(where: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"can't be looked at .*{words}"):
        find_recordings(where)


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
    assert reader.snapshot().meta["source"] == "replay"
    assert len(reader.bars("BTCUSDT", 1_000)) >= 69
    reader.close()


# -- recordings as they really come ----------------------------------------------------------------

SENT = 1_723_161_600_000
CASES = ROOT.parent / "shared" / "cases"


@pytest.mark.parametrize(
    "stamp",
    [
        f"{SENT}000000 ",  # nanoseconds
        f"{SENT}000: ",
        f"{SENT}\t",
        f"{SENT // 1_000}.000 ",
        f"{SENT // 1_000}.0,",
        "2024-08-09T00:00:00Z ",
        "2024-08-09 00:00:00 ",
        "2024-08-09T02:00:00.000+02:00 ",
        "[2024-08-09 00:00:00,000] ",
        "",  # a bare frame: when the exchange sent it
        "\ufeff",
        f"\ufeff{SENT}000000 ",
    ],
)
@pytest.mark.usefixtures("far_from_utc")
def test_receive_time_is_read_in_every_form_recorders_write(stamp: str) -> None:
    raw = frame(1, SENT)
    assert split_line((stamp + raw).encode()) == (SENT * 1_000_000, raw.encode())


@pytest.mark.parametrize(
    "line",
    ["", "# recorder 1.2", "9" * 5_000 + " {}", "1e999 {}", "9999-01-01 {}x", '{"a":1}', "7"],
)
def test_line_without_a_known_time_is_no_frame(line: str) -> None:
    assert split_line(line.encode()) is None


def recorded(count: int, first: int = 0) -> bytes:
    return b"".join(
        f"{SENT + i * 100}000000 {frame(i, SENT + i * 100)}\n".encode()
        for i in range(first, first + count)
    )


def test_what_is_readable_of_a_cut_recording_is_replayed_and_the_cut_is_told(
    writer: Writer, tmp_path: Path
) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(recorded(5_000))[:-2_000])
    _, replay = run(writer, [path])
    result = replay.result
    assert 3_000 < result.trades < 5_000
    assert result.broken <= 1  # the line that was cut
    assert "cut.gz can't be read to its end" in result.words()


def test_recording_with_a_wrong_checksum_or_garbage_behind_it_loses_no_line(
    writer: Writer, tmp_path: Path
) -> None:
    packed = bytearray(gzip.compress(recorded(300).rstrip(b"\n")))
    packed[-6] ^= 0xFF
    (tmp_path / "one.gz").write_bytes(packed)
    (tmp_path / "two.gz").write_bytes(gzip.compress(recorded(300, 300)) + b"garbage")
    (tmp_path / "bad.gz").write_bytes(b"\x1f\x8b" + b"\x00" * 50)
    pipeline, replay = run(writer, sorted(tmp_path.glob("*.gz")))
    assert (replay.result.trades, pipeline.trade_count) == (600, 600)
    assert sorted(replay.result.unread.files) == ["bad.gz", "one.gz", "two.gz"]


def test_lines_that_are_not_understood_are_counted(writer: Writer, tmp_path: Path) -> None:
    path = tmp_path / "frames.txt"
    path.write_bytes(
        b"# heading\n" + recorded(3) + b"noise\n" + b"x" * 9_000_000 + b"\n" + recorded(2, 3)
    )
    _, replay = run(writer, [path])
    assert replay.result.trades == 5
    assert replay.result.unread.lines == 3
    assert "3 lines passed over" in replay.result.words()


def test_long_line_in_a_small_gz_is_never_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(60):
            file.write(b"0" * 2**20)
        file.write(b"\n" + recorded(1))
    unread = Unread()
    tracemalloc.start()
    found = list(read_frames([path], unread))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 1
    assert unread.lines == 1
    assert peak < 20 * 2**20


@pytest.mark.parametrize("text", [b"", b"\x00\xff" * 500, b"hello\nworld\n", b"{}\n", b"5 {}\n"])
def test_recording_of_which_nothing_is_understood_is_a_configuration_error(
    tmp_path: Path, text: bytes
) -> None:
    path = tmp_path / "frames.txt"
    path.write_bytes(text)
    with pytest.raises(SettingsError, match=r"frames.txt: nothing to replay.*allowed"):
        Replay([path]).symbols()


def test_worker_whose_recording_is_not_understood_ends_for_good(tmp_path: Path) -> None:
    path = tmp_path / "frames.txt"
    path.write_text("hello\n")
    # With this code the supervisor doesn't start it again.
    done = subprocess.run(
        [sys.executable, "-m", "ingest"],
        cwd=ROOT,
        env={
            "DATABASE_URL": f"sqlite:///{tmp_path}/market.db",
            "SOURCE": f"replay:{path}",
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert done.returncode == 78
    assert "nothing to replay" in done.stderr
    assert "Traceback" not in done.stderr


def test_absurd_times_and_symbols_make_no_bars(
    writer: Writer, reader: Reader, tmp_path: Path
) -> None:
    path = tmp_path / "frames.txt"
    far = SENT + 50 * 365 * 86_400_000
    lines = [
        f"{SENT}000000 {frame(0, far)}",
        *(f"{SENT + i * 100}000000 {frame(i, SENT + i * 100)}" for i in range(1, 30)),
        f"{SENT + 3_000}000000 {frame(30, SENT + 3_000, symbol='A+BUSDT')}",
        f"{far}000000 {frame(31, SENT + 3_100)}",
    ]
    path.write_text("\n".join(lines))
    _, replay = run(writer, [path])
    assert (replay.result.trades, replay.result.broken) == (29, 3)
    assert [item.symbol for item in reader.symbols()] == ["BTCUSDT"]
    assert reader.bar_range("BTCUSDT", 1_000) == (SENT, SENT + 2_000)


@pytest.mark.parametrize("odd", [0, 15], ids=["first", "between"])
@pytest.mark.parametrize("stamp", [1, 1_300_000_000_000, SENT + 20 * 86_400_000, 4_040_000_000_000])
def test_one_absurd_receive_time_loses_no_other_frame(
    writer: Writer, tmp_path: Path, odd: int, stamp: int
) -> None:
    path = tmp_path / "frames.txt"
    stamps = [SENT + i * 100 for i in range(30)]
    lines = [f"{at} {frame(i, at)}" for i, at in enumerate(stamps)]
    lines[odd] = f"{stamp} {frame(odd, stamps[odd])}"
    path.write_text("\n".join(lines))
    _, replay = run(writer, [path])
    assert (replay.result.trades, replay.result.broken) == (29, 1)


def test_a_year_of_recordings_by_a_clock_that_is_wrong_is_replayed_whole(
    writer: Writer, reader: Reader, tmp_path: Path
) -> None:
    path = tmp_path / "frames.txt"
    month, off = 30 * 86_400_000, 11 * 365 * 86_400_000  # a machine whose clock lost its battery
    sent = [SENT + i * month for i in range(13)]
    path.write_text("\n".join(f"{at - off} {frame(i, at)}" for i, at in enumerate(sent)))
    _, replay = run(writer, [path])
    assert (replay.result.trades, replay.result.broken) == (13, 0)
    seconds = reader.bars("BTCUSDT", 1_000)
    assert set(sent[:-1]) <= set(
        seconds.open_time_ms.tolist()
    )  # nothing tells that the last is over
    assert len(seconds) < 4 * 13  # no flat ones of all the months between


def test_files_are_opened_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{number}.txt" for number in range(40)]
    for number, path in enumerate(paths):
        path.write_bytes(recorded(3, number * 10))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 5, limits[1]))
    try:
        unread = Unread()
        stamps = [received_ns for received_ns, _ in read_frames(paths[::-1], unread)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert not unread.files
    assert len(stamps) == 120
    assert stamps == sorted(stamps)


@pytest.mark.skipif(not CASES.is_dir(), reason=f"the reported recordings are not at {CASES}")
@pytest.mark.parametrize(
    ("pattern", "trades"),
    [("20-*/cut.gz", 300), ("21-*/bom.txt", 30), ("21-*/iso.txt", 30), ("21-*/jsonl.txt", 30)],
)
def test_reported_recordings_are_replayed_as_far_as_they_can_be_read(
    writer: Writer, pattern: str, trades: int
) -> None:
    _, replay = run(writer, list(CASES.glob(pattern)))
    assert replay.result.trades >= trades
    assert replay.result.unread.lines == 0
