"""Dump files: whole or not at all, the same again, and never more certain than they are."""

import zipfile
from pathlib import Path

import pytest

from core.bars import fold_trades
from core.errors import ImportFileError
from core.timeframes import TIMEFRAMES
from core.types import Bars, Trade
from ingest.files.importer import ImportProgress, import_files
from ingest.files.seconds import second_bars
from ingest.store import market, pruning
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.support.dump_files import DAY, DAY_MS, HOUR, MINUTE, SECOND, Load, Save
from tests.support.gaps import missing_ids
from tests.support.market import bars_of, listing

KLINE_HEADER = (
    "Open time,Open,High,Low,Close,Volume,Close time,Quote asset volume,Number of trades,"
    "Taker buy base asset volume,Taker buy quote asset volume,Ignore"
)
TRADE_HEADER = (
    "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,"
    "is_buyer_maker,is_best_match"
)


def kline(number: int, length: int = MINUTE, start: int = DAY, scale: int = 1) -> str:
    open_time = (start + number * length) * scale
    close_time = (start + (number + 1) * length) * scale - 1
    close = 100 + number % 7
    return (
        f"{open_time},100.0,110.0,90.0,{close}.5,2.5,{close_time},251.25,{3 + number},1.25,125.5,0"
    )


def trade(trade_id: int, time_ms: int, price: float = 100.0, scale: int = 1) -> str:
    raw = trade_id * 2
    time = time_ms * scale + (scale - 1 if scale > 1 else 0)
    return f"{trade_id},{price},0.5,{raw},{raw + 1},{time},{trade_id % 2 == 0},True"


def rows(bars: Bars) -> list[tuple[object, ...]]:
    return [(*map(float, row),) for row in bars_of(bars)]


def revision(reader: Reader) -> int:
    symbol = reader.symbol("BTCUSDT")
    assert symbol is not None
    return symbol.revision


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("BTCUSDT-1m-2024-01.csv", [kline(n) for n in range(3)]),
        ("BTCUSDT-1m-2024-01.zip", [kline(n) for n in range(3)]),
        ("BTCUSDT-1m-2024-01-05.csv", [KLINE_HEADER, *(kline(n) for n in range(3))]),
        ("BTCUSDT-1m-2024-01-05.zip", [kline(n, scale=1_000) for n in range(3)]),
        ("BTCUSDT-1m-2024-01-05.csv", [kline(0), *(kline(n, scale=1_000) for n in (1, 2))]),
    ],
)
def test_klines_are_the_same_bars_however_they_are_packed(
    load: Load, save: Save, reader: Reader, name: str, lines: list[str]
) -> None:
    (result,) = load(save(name, lines))
    bars = reader.bars("BTCUSDT", MINUTE)
    assert rows(bars) == [
        (DAY + n * MINUTE, 100, 110, 90, 100.5 + n, 2.5, 251.25, 3 + n, 1.25, True)
        for n in range(3)
    ]
    assert bars.imported.all()
    assert (result.account.taken, result.dump.symbol) == (3, "BTCUSDT")
    assert (result.account.start_ms, result.account.end_ms) == (DAY, DAY + 3 * MINUTE)
    assert reader.has_imports()


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_every_timeframe_of_the_desk_can_be_imported(
    load: Load, save: Save, reader: Reader, timeframe: str
) -> None:
    length = TIMEFRAMES[timeframe]
    load(save(f"BTCUSDT-{timeframe}-2024-01.csv", [kline(n, length) for n in range(4)]))
    assert reader.bar_range("BTCUSDT", length) == (DAY, DAY + 3 * length)


def test_second_import_of_a_file_changes_nothing(load: Load, save: Save, reader: Reader) -> None:
    paths = [
        save("BTCUSDT-1m-2024-01.csv", [kline(n) for n in range(90)]),
        save(
            "BTCUSDT-aggTrades-2024-01-05.csv",
            [trade(n, DAY + n * 700) for n in range(300) if n != 150],
        ),
    ]
    load(*paths)
    before = [rows(reader.bars("BTCUSDT", length)) for length in TIMEFRAMES.values()]
    known, missing = revision(reader), missing_ids(reader)
    assert known > 0
    assert [result.changed_bars for result in load(*paths)] == [0, 0]
    assert [rows(reader.bars("BTCUSDT", length)) for length in TIMEFRAMES.values()] == before
    assert revision(reader) == known
    assert missing_ids(reader) == missing


def test_klines_roll_up_to_every_longer_bar_that_they_fill(
    load: Load, save: Save, reader: Reader
) -> None:
    load(save("BTCUSDT-1m-2024-01.csv", [kline(n) for n in range(59)]))
    assert len(reader.bars("BTCUSDT", 5 * MINUTE)) == 11
    assert len(reader.bars("BTCUSDT", 15 * MINUTE)) == 3
    assert len(reader.bars("BTCUSDT", HOUR)) == 0
    # The minute that was lacking comes in another file and completes the hour.
    load(save("BTCUSDT-1m-2024-02.csv", [kline(59)]))
    assert rows(reader.bars("BTCUSDT", HOUR)) == [
        (DAY, 100, 110, 90, 103.5, 150, 15_075, sum(range(3, 63)), 75, True)
    ]
    assert reader.bars("BTCUSDT", HOUR).imported.all()


def test_aggregate_trades_build_the_bars_that_the_exchanges_klines_show(
    load: Load, save: Save, reader: Reader, writer: Writer
) -> None:
    prices = [100.0, 101.5, 99.25, 100.75]
    lines = [trade(n, DAY + n * 250, prices[n % 4], scale=1_000) for n in range(4 * 60 * 5)]
    (result,) = load(save("BTCUSDT-aggTrades-2025-01-05.zip", [TRADE_HEADER, *lines]))
    assert result.account.taken == 1_200
    minutes = reader.bars("BTCUSDT", MINUTE)
    # Nothing proves that the last second ended with the file: it and all above it are not whole.
    assert minutes.complete.tolist() == [True] * 4 + [False]
    assert rows(minutes)[0] == (
        DAY, 100.0, 101.5, 99.25, 100.75, 120.0, 120 * 100.375, 480, 60.0, True
    )  # fmt: skip
    seconds = reader.bars("BTCUSDT", SECOND)
    assert len(seconds) == 300
    assert seconds.complete.tolist() == [True] * 299 + [False]
    assert seconds.imported.all()
    assert reader.bars("BTCUSDT", 5 * MINUTE).complete.tolist() == [False]
    with writer.transaction() as tx:
        (symbol_id,) = market.ensure_symbols(
            tx, [listing("BTC", base="", quote="", status="")], True
        ).values()
        stored = market.trades_around(tx, symbol_id, DAY, DAY + DAY_MS, 0)
    assert [item.trade_id for item in stored] == list(range(1_200))
    assert stored[1] == Trade("BTCUSDT", 1, 101.5, 0.5, DAY + 250, DAY + 250, 2, 3, False)


def test_file_that_begins_within_the_day_has_no_whole_first_bar(
    load: Load, save: Save, reader: Reader
) -> None:
    noon = DAY + 12 * HOUR
    load(save("BTCUSDT-aggTrades-2024-01-05.csv", [trade(n, noon + n * 500) for n in range(300)]))
    assert reader.bars("BTCUSDT", SECOND).complete.tolist() == [False, *[True] * 148, False]
    assert reader.bars("BTCUSDT", MINUTE).complete.tolist() == [False, True, False]
    assert reader.bars("BTCUSDT", HOUR).complete.tolist() == [False]


def test_whole_day_has_no_incomplete_bar(load: Load, save: Save, reader: Reader) -> None:
    times = range(DAY + 7, DAY + DAY_MS, 30_500)
    last = DAY + DAY_MS - 10
    lines = [trade(n, time) for n, time in enumerate([*times, last])]
    load(save("BTCUSDT-aggTrades-2024-01-05.csv", lines))
    for length in TIMEFRAMES.values():
        bars = reader.bars("BTCUSDT", length)
        assert len(bars) == DAY_MS // length
        assert bars.complete.all()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_files_whose_ids_go_on_leave_no_broken_second_between_them(
    load: Load, save: Save, reader: Reader, order: tuple[int, int]
) -> None:
    noon = DAY + 12 * HOUR
    lines = [trade(n, noon + n * 400) for n in range(600)]
    paths = [
        save("BTCUSDT-aggTrades-2024-01-05.csv", lines[:301]),
        save("BTCUSDT-aggTrades-2024-01-06.csv", lines[301:]),
    ]
    for index in order:
        load(paths[index])
    assert reader.bars("BTCUSDT", SECOND).complete.tolist() == [False, *[True] * 238, False]
    assert reader.bars("BTCUSDT", MINUTE).complete.tolist() == [False, True, True, False]
    assert sum(reader.bars("BTCUSDT", SECOND).trade_count) == 1_200


def test_hole_in_the_ids_is_shown_and_its_bars_count_as_incomplete(
    load: Load, save: Save, reader: Reader
) -> None:
    lines = [trade(n, DAY + n * 500) for n in range(600) if not 100 <= n < 110]
    (result,) = load(save("BTCUSDT-aggTrades-2024-01-05.csv", lines))
    assert result.holes == 1
    seconds = reader.bars("BTCUSDT", SECOND)
    broken = seconds.open_time_ms[~seconds.complete] - DAY
    assert broken.tolist() == [49 * SECOND, 55 * SECOND, 299 * SECOND]
    assert not set(range(50, 55)) & set((seconds.open_time_ms - DAY) // SECOND)
    assert reader.bars("BTCUSDT", MINUTE).complete.tolist() == [False, True, True, True, False]
    (gap,) = reader.gaps(["BTCUSDT"])
    assert (gap.from_id, gap.to_id, gap.state) == (100, 109, "unfillable")
    assert "BTCUSDT-aggTrades-2024-01-05.csv" in gap.reason


def test_trade_taken_back_by_the_exchange_keeps_the_chain_and_makes_no_bar(
    load: Load, save: Save, reader: Reader
) -> None:
    lines = [trade(n, DAY + n * 500) for n in range(10)]
    lines[5] = f"5,0.00000000,0.00000000,-1,-1,{DAY + 2_500},True,True"
    (result,) = load(save("BTCUSDT-aggTrades-2024-01-05.csv", lines))
    assert result.holes == 0
    seconds = reader.bars("BTCUSDT", SECOND)
    assert seconds.trade_count.tolist() == [4, 4, 2, 4, 4]
    assert seconds.complete.tolist() == [True] * 4 + [False]


def test_seconds_between_trades_are_flat() -> None:
    first = Trade("X", 1, 5.0, 1.0, DAY, DAY, 1, 1, True)
    second = Trade("X", 2, 7.0, 1.0, DAY + 3_000, DAY + 3_000, 2, 2, True)
    bars = list(second_bars([first, second], starts_whole=True, ends_whole=False))
    assert [(bar.open, bar.close, bar.trade_count, bar.complete) for bar in bars] == [
        (5, 5, 1, True),
        (5, 5, 0, True),
        (5, 5, 0, True),
        (7, 7, 1, False),
    ]
    assert bars[0] == fold_trades([first], DAY, complete=True)


GOOD = [kline(n) for n in range(5)]


def spoiled(index: int, value: str, number: int = 2) -> list[str]:
    fields = kline(number).split(",")
    fields[index] = value
    return [*GOOD[:number], ",".join(fields), *GOOD[number + 1 :]]


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        ([*GOOD[:2], "1,2,3", *GOOD[3:]], 3, "3 columns"),
        ([*GOOD[:4], GOOD[4] + ",1"], 5, "13 columns"),
        ([*GOOD[:2], "", *GOOD[2:]], 3, "blank"),
        (spoiled(1, "abc"), 3, "not a number"),
        (spoiled(1, ""), 3, "not a number"),
        (spoiled(1, "1_0.0"), 3, "not a number"),
        (spoiled(4, "nan"), 3, "prices"),
        (spoiled(2, "inf"), 3, "prices"),
        (spoiled(2, "89"), 3, "prices"),
        (spoiled(2, "100.2"), 3, "prices"),
        (spoiled(3, "-1"), 3, "prices"),
        (spoiled(3, "0"), 3, "prices"),
        (spoiled(5, "-1"), 3, "volumes"),
        (spoiled(7, "nan"), 3, "volumes"),
        (spoiled(10, "x"), 3, "not a number"),
        (spoiled(9, "3"), 3, "takers"),
        (spoiled(8, "1.5"), 3, "not a number"),
        (spoiled(8, "-1"), 3, "number of trades"),
        (spoiled(0, str(DAY // 1_000)), 3, "neither"),
        (spoiled(0, "-5"), 3, "neither"),
        (spoiled(0, str(DAY * 1_000_000)), 3, "neither"),
        (spoiled(6, str(DAY + 9 * MINUTE)), 3, "close time"),
        ([*GOOD[:2], GOOD[1].replace("101.5", "101.6"), *GOOD[2:]], 3, "does not rise"),
        (["time,o,h,l,c,v,t,q,n,b,q,i", *GOOD], 1, "not a number"),
        ([*GOOD, "\x00\x01\x02"], 6, "1 columns"),
    ],
)
def test_klines_with_a_bad_line_are_refused_whole_and_the_line_is_named(
    load: Load, save: Save, reader: Reader, lines: list[str], line: int, words: str
) -> None:
    with pytest.raises(ImportFileError, match=rf"BTCUSDT-1m-2024-01.csv: line {line}: .*{words}"):
        load(save("BTCUSDT-1m-2024-01.csv", lines))
    assert reader.symbols() == []
    assert not reader.has_imports()


PRINTS = [trade(n, DAY + n * 300) for n in range(5)]


def misprinted(index: int, value: str) -> list[str]:
    fields = PRINTS[3].split(",")
    fields[index] = value
    return [*PRINTS[:3], ",".join(fields), PRINTS[4]]


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        ([*PRINTS[:3], "3,100.0,0.5"], 4, "3 columns"),
        (misprinted(0, "2"), 4, "id does not rise"),
        (misprinted(0, "-1"), 4, "out of range"),
        (misprinted(0, "x"), 4, "not a number"),
        (misprinted(1, "0"), 4, "above 0"),
        (misprinted(1, "-1"), 4, "above 0"),
        (misprinted(1, "nan"), 4, "above 0"),
        (misprinted(2, "0"), 4, "above 0"),
        (misprinted(2, "inf"), 4, "above 0"),
        (misprinted(3, "8"), 4, "range"),
        (misprinted(5, "12"), 4, "neither"),
        (misprinted(6, "maybe"), 4, "true or false"),
    ],
)
def test_trades_with_a_bad_line_are_refused_whole_and_the_line_is_named(
    load: Load, save: Save, reader: Reader, lines: list[str], line: int, words: str
) -> None:
    name = "BTCUSDT-aggTrades-2024-01-05.csv"
    with pytest.raises(ImportFileError, match=rf"{name}: line {line}: .*{words}"):
        load(save(name, lines))
    assert reader.symbols() == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("BTCUSDT-4h-2024-01.csv", "4h can't be imported; allowed: klines of 1s, 1m, 5m, 15m, 1h"),
        ("BTCUSDT-trades-2024-01.csv", "trades can't be imported"),
        ("prices.csv", "the name must tell"),
        ("BTCUSDT-1m-2024-01.txt", "the name must tell"),
        ("BTCUSDT-1m-2024-01 (1).csv", "the name must tell"),
    ],
)
def test_name_that_does_not_tell_what_is_inside_is_refused(
    load: Load, save: Save, name: str, words: str
) -> None:
    with pytest.raises(ImportFileError) as caught:
        load(save(name, GOOD))
    assert words in str(caught.value)


def test_file_that_cannot_be_read_is_refused_in_words(
    load: Load, save: Save, tmp_path: Path
) -> None:
    with pytest.raises(ImportFileError, match="No such file"):
        load(tmp_path / "BTCUSDT-1m-2024-01.csv")
    with pytest.raises(ImportFileError, match="no row"):
        load(save("BTCUSDT-1m-2024-02.csv", [KLINE_HEADER]))
    (tmp_path / "BTCUSDT-1m-2024-03.zip").write_bytes(b"PK nothing of the kind")
    with pytest.raises(ImportFileError, match="zip is broken"):
        load(tmp_path / "BTCUSDT-1m-2024-03.zip")
    with zipfile.ZipFile(tmp_path / "BTCUSDT-1m-2024-04.zip", "w") as archive:
        archive.writestr("a.csv", "")
        archive.writestr("b.csv", "")
    with pytest.raises(ImportFileError, match="one CSV file"):
        load(tmp_path / "BTCUSDT-1m-2024-04.zip")


def test_zip_that_was_cut_short_is_refused_whole(load: Load, save: Save, reader: Reader) -> None:
    path = save("BTCUSDT-1m-2024-01.zip", [kline(n) for n in range(2_000)])
    packed = bytearray(path.read_bytes())
    packed[len(packed) // 2] ^= 0xFF
    path.write_bytes(packed)
    with pytest.raises(ImportFileError):
        load(path)
    assert reader.symbols() == []


def test_one_bad_file_does_not_keep_the_others_out(load: Load, save: Save, reader: Reader) -> None:
    bad = save("ETHUSDT-1m-2024-01.csv", [*GOOD, "x"])
    good = save("BTCUSDT-1m-2024-01.csv", GOOD)
    with pytest.raises(ImportFileError, match=r"ETHUSDT-1m.*line 6"):
        load(bad, good)
    assert [item.symbol for item in reader.symbols()] == ["BTCUSDT"]
    assert len(reader.bars("BTCUSDT", MINUTE)) == 5


def test_other_writers_get_a_turn_between_short_writes(
    writer: Writer, save: Save, reader: Reader
) -> None:
    pauses: list[float] = []
    path = save("BTCUSDT-1s-2024-01-05.csv", [kline(n, SECOND) for n in range(6_000)])
    list(import_files([path], writer, lambda _: None, sleep=pauses.append))
    assert len(pauses) >= 3
    assert min(pauses) >= 0.02


def test_progress_runs_to_the_end_twice(writer: Writer, save: Save) -> None:
    seen: list[ImportProgress] = []
    path = save("BTCUSDT-1s-2024-01-05.zip", [kline(n, SECOND) for n in range(20_000)])
    list(import_files([path], writer, seen.append, sleep=lambda _: None))
    for phase in ("checking", "writing"):
        done = [item.done for item in seen if item.phase == phase]
        assert len(done) > 2
        assert done == sorted(done)
        assert done[-1] == seen[0].total


def test_import_neither_subscribes_a_symbol_nor_renames_a_known_one(
    load: Load, save: Save, writer: Writer, reader: Reader
) -> None:
    with writer.transaction() as tx:
        market.ensure_symbols(tx, [listing("BTC")])
        market.set_subscribed(tx, ["BTCUSDT"])
    load(save("BTCUSDT-1m-2024-01.csv", GOOD), save("PEPEFDUSD-1m-2024-01.csv", GOOD))
    shown = [(item.symbol, item.base, item.quote, item.subscribed) for item in reader.symbols()]
    assert shown == [("BTCUSDT", "BTC", "USDT", True), ("PEPEFDUSD", "PEPE", "FDUSD", False)]


def test_retention_never_prunes_what_was_imported(
    load: Load, save: Save, writer: Writer, reader: Reader
) -> None:
    load(
        save("BTCUSDT-aggTrades-2024-01-05.csv", [trade(n, DAY + n * 500) for n in range(500)]),
        save("BTCUSDT-1h-2024-01.csv", [kline(n, HOUR) for n in range(5)]),
    )
    before = [rows(reader.bars("BTCUSDT", length)) for length in TIMEFRAMES.values()]
    with writer.transaction() as tx:
        (symbol_id,) = market.ensure_symbols(
            tx, [listing("BTC", base="", quote="", status="")], True
        ).values()
        assert pruning.prune_trades(tx, symbol_id, DAY + 10**12, 1_000) == 0
        for length in TIMEFRAMES.values():
            assert pruning.prune_bars(tx, length, DAY + 10**12, 1_000) == 0
    assert [rows(reader.bars("BTCUSDT", length)) for length in TIMEFRAMES.values()] == before
