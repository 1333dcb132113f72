"""Files as they really come: good rows stay, bad ones are told, another thing never gets in."""

import os
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from core.errors import ImportFileError
from core.types import Trade
from ingest.files import dumps
from ingest.files.importer import ImportedSymbol, ImportProgress, import_files
from ingest.files.judging import LEAPT, NOT_OVER, OFF_GRID, STEPPED_BACK, STILL_TO_COME, SeenRows
from ingest.files.seconds import second_bars
from ingest.files.summary import ImportResult, RefusedFile
from ingest.store import market
from ingest.store.reader import Reader
from ingest.store.transaction import Writer

DAY = 1_704_412_800_000  # 2024-01-05
DAY_MS = 86_400_000
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
FUTURES_KLINES = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)
CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"

Load = Callable[..., list[ImportResult]]
Save = Callable[[str, Iterable[str]], Path]


def hour(number: int, price: float = 100.0, opens: int | None = None) -> str:
    opens = DAY + number * HOUR if opens is None else opens
    prices = f"{price:.8f},{price * 1.01:.8f},{price * 0.99:.8f},{price:.8f}"
    return f"{opens},{prices},2.00000000,{opens + HOUR - 1},{2 * price:.8f},3,1.00000000,1.0,0"


def aggregate(trade_id: int, time_ms: int, price: float = 100.0) -> str:
    return (
        f"{trade_id},{price:.8f},0.50000000,{trade_id * 2},{trade_id * 2 + 1},{time_ms},True,True"
    )


def opens(reader: Reader, symbol: str = "BTCUSDT", length: int = HOUR) -> list[int]:
    return [(int(time) - DAY) // length for time in reader.bars(symbol, length).open_time_ms]


# -- good rows beside bad ones ---------------------------------------------------------------------


def test_rows_off_the_grid_are_left_out_and_those_on_it_are_kept(
    load: Load, save: Save, reader: Reader
) -> None:
    odd = [hour(0, opens=DAY + (2 + n) * HOUR + 94_789) for n in range(3)]
    (result,) = load(save("BTCUSDT-1h-2024-01.csv", [hour(0), hour(1), *odd, hour(6)]))
    assert opens(reader) == [0, 1, 6]
    assert result.account.taken == 3
    assert result.account.left_out[OFF_GRID] == (3, 3)
    assert (result.holes, result.missing) == (1, 4)
    text = "\n".join(result.lines())
    assert "left out: 3 off the grid of the timeframe (from line 3)" in text
    assert "holes: 2024-01-05T02:00:00Z to 2024-01-05T06:00:00Z (4 bars)" in text


@pytest.mark.parametrize(
    "order",
    [
        [0, 0, 1, 1, 1, 2, 3],  # each row by itself
        [0, 1, 2, 3, 0, 1, 2, 3],  # the whole file once more
        [2, 3, 0, 1, 2],  # a block, and out of order
        [3, 2, 1, 0, 0],  # newest first, as other sites write them
    ],
)
def test_repeated_and_shuffled_klines_are_the_same_bars(
    load: Load, save: Save, reader: Reader, order: list[int]
) -> None:
    path = save("BTCUSDT-1h-2024-01.csv", [hour(n, 100 + n) for n in order])
    (result,) = load(path)
    assert opens(reader) == [0, 1, 2, 3]
    assert reader.bars("BTCUSDT", HOUR).close.tolist() == [100, 101, 102, 103]
    assert (result.account.taken, result.account.repeated) == (4, len(order) - 4)
    assert result.holes == 0


@pytest.mark.parametrize("again", ["100.0", "1e2", '"100.00000000"'])
def test_a_repeat_is_one_however_it_is_written(load: Load, save: Save, again: str) -> None:
    rows = [hour(0), hour(0).replace("100.00000000", again, 1), hour(1)]
    (result,) = load(save("BTCUSDT-1h-2024-01.csv", rows))
    assert (result.account.taken, result.account.repeated) == (2, 1)


def test_two_headed_files_joined_into_one_are_read_through(
    load: Load, save: Save, reader: Reader
) -> None:
    heading = "Open time,Open,High,Low,Close,Volume,Close time,Quote volume,Trades,a,b,Ignore"
    load(save("BTCUSDT-1h-2024-01.csv", [heading, hour(0), heading, hour(1)]))
    assert opens(reader) == [0, 1]


def test_repeated_trades_count_once(load: Load, save: Save, reader: Reader) -> None:
    lines = [aggregate(n, DAY + n * 500) for n in range(20)]
    (result,) = load(save("BTCUSDT-aggTrades-2024-01-05.csv", [*lines, *lines, lines[-1]]))
    assert (result.account.taken, result.account.repeated, result.holes) == (20, 21, 0)
    assert sum(reader.bars("BTCUSDT", SECOND).trade_count) == 40


def test_trade_that_only_looks_repeated_refuses_the_file(load: Load, save: Save) -> None:
    lines = [aggregate(n, DAY + n * 500) for n in range(20)]
    with pytest.raises(ImportFileError, match="line 21: the trade id does not rise"):
        load(save("BTCUSDT-aggTrades-2024-01-05.csv", [*lines, aggregate(7, DAY + 3_500, 101)]))


def test_time_that_steps_back_while_ids_rise_is_taken_in_its_own_second(
    load: Load, save: Save, reader: Reader
) -> None:
    steps = {5: -2_400, 6: -900, 13: -5_100}
    lines = [aggregate(n, DAY + 60_000 + n * 1_000 + steps.get(n, 0), 100 + n) for n in range(20)]
    (result,) = load(save("BTCUSDT-aggTrades-2024-01-05.csv", lines))
    assert (result.account.taken, result.account.left_out, result.holes) == (20, {}, 0)
    # The slow twin: every trade into its second, the lowest id opens, the highest closes.
    twin: dict[int, list[int]] = {}
    for n in range(20):
        time = 60_000 + n * 1_000 + steps.get(n, 0)
        twin.setdefault(time - time % SECOND, []).append(100 + n)
    bars = reader.bars("BTCUSDT", SECOND)
    stored = {
        int(time) - DAY: (open_, close, count)
        for time, open_, close, count in zip(
            bars.open_time_ms, bars.open, bars.close, bars.trade_count, strict=True
        )
        if count
    }
    assert stored == {time: (own[0], own[-1], 2 * len(own)) for time, own in twin.items()}
    assert len(bars) == 20  # dense, the empty seconds among them are flat


def test_step_back_across_two_files_loses_no_trade(load: Load, save: Save, reader: Reader) -> None:
    noon = DAY + 12 * HOUR
    lines = [aggregate(n, noon + n * 400) for n in range(100)]
    lines[60] = aggregate(60, noon + 58 * 400 - 1_500)  # in a second of the first file
    load(save("BTCUSDT-aggTrades-2024-01-05.csv", lines[:60]))
    load(save("BTCUSDT-aggTrades-2024-01-06.csv", lines[60:]))
    assert sum(reader.bars("BTCUSDT", SECOND).trade_count) == 200


def test_step_back_beyond_reason_is_left_out_and_told(
    load: Load, save: Save, reader: Reader
) -> None:
    lines = [aggregate(n, DAY + 60_000 + n * 500) for n in range(60)]
    lines[40] = aggregate(40, DAY + 1_000)
    (result,) = load(save("BTCUSDT-aggTrades-2024-01-05.csv", lines))
    assert result.account.left_out[STEPPED_BACK] == (1, 41)
    assert result.holes == 1
    assert reader.bars("BTCUSDT", SECOND).open_time_ms[0] == DAY + 60_000


@pytest.mark.parametrize("odd", [1, 5, 18])
def test_a_trade_dated_hours_ahead_is_the_one_left_out_and_not_those_after_it(
    load: Load, save: Save, reader: Reader, odd: int
) -> None:
    times = [DAY + n * SECOND for n in range(20)]
    times[odd] += 20 * HOUR
    lines = [aggregate(100 + n, time_ms) for n, time_ms in enumerate(times)]
    (result,) = load(save("BTCUSDT-aggTrades-2024-01-05.csv", lines))
    assert result.account.taken == 19
    assert result.account.left_out == {LEAPT: (1, odd + 1)}
    assert [hole.first_id for hole in result.first_holes] == [100 + odd]
    bars = reader.bars("BTCUSDT", SECOND)
    assert bars.open_time_ms[-1] == DAY + 19 * SECOND
    whole = dict(zip(bars.open_time_ms.tolist(), bars.complete.tolist(), strict=True))
    # The last second of a file that ends within the day isn't whole either.
    broken = {DAY + second * SECOND for second in (odd - 1, odd, odd + 1, 19)}
    assert {opens for opens, complete in whole.items() if not complete} == broken & set(whole)


def test_a_leap_that_nothing_denies_is_taken(load: Load, save: Save, reader: Reader) -> None:
    times = [DAY, DAY + HOUR, DAY + HOUR - 8 * SECOND, DAY + 2 * HOUR]
    lines = [aggregate(100 + n, time_ms) for n, time_ms in enumerate(times)]
    (result,) = load(save("BTCUSDT-aggTrades-2024-01-05.csv", lines))
    assert (result.account.taken, result.account.left_out) == (4, {})


def test_stored_trades_of_a_second_are_found_behind_a_step_back(writer: Writer) -> None:
    # More that step back than the walk takes at once.
    times = [1_000, 3_500, 3_600, *[2_100] * 300, 3_700, 9_000]
    trades = [Trade("BTCUSDT", n, 5.0, 1.0, time, time, n, n, True) for n, time in enumerate(times)]
    with writer.transaction() as tx:
        listing = ImportedSymbol("BTCUSDT", "BTC", "USDT", "TRADING")
        (symbol_id,) = market.ensure_symbols(tx, [listing]).values()
        market.insert_trades(tx, symbol_id, trades)
        found = market.trades_around(tx, symbol_id, 3_000, 4_000, 304)
    assert [trade.trade_id for trade in found] == [1, 2, 303]


# -- names and packing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "ADABKRW-1h-2020-8.csv",
        "ADABKRW-1h-2020-8-1.csv",
        "ADABKRW-1h-2020-08.CSV",
        "adabkrw-1h-2020-08.csv",
    ],
)
def test_official_names_of_every_fashion_are_read(
    load: Load, save: Save, reader: Reader, name: str
) -> None:
    load(save(name, [hour(0)]))
    assert opens(reader, "ADABKRW") == [0]


def test_symbol_of_any_script_is_imported_and_one_that_no_request_could_name_is_refused(
    load: Load, save: Save, reader: Reader
) -> None:
    load(save("币安人生USDT-1h-2024-01.csv", [hour(0)]))
    assert opens(reader, "币安人生USDT") == [0]
    for name in ("A+BUSDT", "=BTC", "BTC USDT", "B" * 21):
        with pytest.raises(ImportFileError, match="is no symbol; allowed: 1 to 20 letters"):
            load(save(f"{name}-1h-2024-01.csv", [hour(0)]))
    assert [item.symbol for item in reader.symbols()] == ["币安人生USDT"]


@pytest.mark.parametrize(
    "heading", [[], ["Open time,Open,High,Low,Close,Volume,Close time,q,n,b,c,i"]]
)
def test_byte_order_mark_is_no_part_of_the_first_row(
    load: Load, tmp_path: Path, reader: Reader, heading: list[str]
) -> None:
    path = tmp_path / "BTCUSDT-1h-2024-01.csv"
    path.write_text("\n".join([*heading, hour(0), hour(1)]), encoding="utf-8-sig")
    load(path)
    assert opens(reader) == [0, 1]
    path.write_text("\n".join([hour(0), hour(1)]), encoding="utf-16")
    with pytest.raises(ImportFileError, match="UTF-16"):
        load(path)


def pack(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize(
    "members",
    [
        ["BTCUSDT-1h-2024-01.CSV"],
        ["BTCUSDT-1h-2024-01.csv", "__MACOSX/._BTCUSDT-1h-2024-01.csv", ".DS_Store"],
        ["folder/", "folder/BTCUSDT-1h-2024-01.csv", "folder/Thumbs.db"],
        ["prices.csv"],
    ],
)
def test_zip_is_read_however_it_was_packed(
    load: Load, tmp_path: Path, reader: Reader, members: list[str]
) -> None:
    texts = {
        name: hour(0) if name.lower().endswith("csv") and "._" not in name else ""
        for name in members
    }
    load(pack(tmp_path / "BTCUSDT-1h-2024-01.zip", texts))
    assert opens(reader) == [0]


@pytest.mark.parametrize(
    "member",
    ["ETHUSDT-1h-2024-01.csv", "BTCUSDT-1m-2024-01.csv", "x/BTCUSDT-aggTrades-2024-01.csv"],
)
def test_zip_that_holds_another_thing_than_its_name_says_is_refused(
    load: Load, tmp_path: Path, reader: Reader, member: str
) -> None:
    with pytest.raises(ImportFileError, match=r"the zip holds .*, which is another thing"):
        load(pack(tmp_path / "BTCUSDT-1h-2024-01.zip", {member: hour(0)}))
    assert reader.symbols() == []


@pytest.mark.parametrize("where", ["local", "central"])
def test_zip_whose_names_are_no_text_is_refused_and_stops_no_other(
    writer: Writer, tmp_path: Path, where: str
) -> None:
    odd = pack(tmp_path / "AAAUSDT-1h-2024-01.zip", {"é-1h.csv": hour(0)})
    content, name = odd.read_bytes(), "é".encode()
    at = content.index(name) if where == "local" else content.rindex(name)
    odd.write_bytes(content[:at] + b"\xff" + content[at + 1 :])
    good = pack(tmp_path / "BTCUSDT-1h-2024-01.zip", {"prices.csv": hour(0)})
    told = list(import_files([odd, good], writer, lambda _: None, sleep=lambda _: None))
    assert [type(result) for result in told] == [RefusedFile, ImportResult]
    assert isinstance(told[0], RefusedFile)
    assert "the zip is broken" in told[0].reason


def test_a_refused_file_hides_no_summary(writer: Writer, save: Save, reader: Reader) -> None:
    paths = [
        save("AAAUSDT-1h-2024-01.csv", [hour(0), hour(2)]),
        save("BBBUSDT-1h-2024-01.csv", ["nothing"]),
        save("CCCUSDT-1h-2024-01.csv", [hour(0)]),
    ]
    told = list(import_files(paths, writer, lambda _: None, sleep=lambda _: None))
    assert [type(result) for result in told] == [ImportResult, RefusedFile, ImportResult]
    assert isinstance(told[0], ImportResult)
    assert told[0].first_holes[0][:3] == (DAY + HOUR, DAY + 2 * HOUR, 1)


# -- another market, another time, another unit ----------------------------------------------------


def test_futures_never_come_under_a_spot_name(
    load: Load, save: Save, tmp_path: Path, reader: Reader
) -> None:
    with pytest.raises(ImportFileError, match=r"line 1: the heading is that of .*futures"):
        load(save("BTCUSDT-1h-2024-01.csv", [FUTURES_KLINES, hour(0)]))
    seven = aggregate(0, DAY).rsplit(",", 1)[0]
    with pytest.raises(ImportFileError, match=r"line 1: 7 columns .*another market"):
        load(save("BTCUSDT-aggTrades-2024-01-05.csv", [seven]))
    folder = tmp_path / "data" / "futures" / "um" / "daily"
    folder.mkdir(parents=True)
    (folder / "BTCUSDT-1h-2024-01.csv").write_text(hour(0))
    with pytest.raises(ImportFileError, match="folder of futures dumps"):
        load(folder / "BTCUSDT-1h-2024-01.csv")
    assert reader.symbols() == []


def test_bar_that_is_not_over_yet_is_left_out(writer: Writer, save: Save, reader: Reader) -> None:
    far = hour(0, opens=DAY + 75 * 365 * DAY_MS)  # 2099
    path = save("BTCUSDT-1h-2024-01.csv", [hour(0), hour(1), hour(2), far])
    now_s = (DAY + 3 * HOUR - 1) / 1_000
    (result,) = import_files([path], writer, lambda _: None, clock=lambda: now_s)
    assert isinstance(result, ImportResult)
    assert opens(reader) == [0, 1]
    assert result.account.left_out[NOT_OVER] == (2, 3)


def test_trade_of_a_time_to_come_is_left_out(load: Load, save: Save, reader: Reader) -> None:
    lines = [aggregate(n, DAY + n * 500) for n in range(10)]
    lines.append(aggregate(10, DAY + 75 * 365 * DAY_MS))
    (result,) = load(save("BTCUSDT-aggTrades-2024-01-05.csv", lines))
    assert result.account.left_out[STILL_TO_COME] == (1, 11)
    assert reader.bar_range("BTCUSDT", SECOND) == (DAY, DAY + 4_000)
    with pytest.raises(ImportFileError, match="no row in it that can be taken: 1 of a time"):
        load(save("BTCUSDT-aggTrades-2024-01-06.csv", lines[10:]))


@pytest.mark.parametrize("factor", [1_000, 1 / 1_000])
def test_price_of_another_unit_is_left_out_within_a_file_and_refused_between_files(
    load: Load, save: Save, reader: Reader, factor: float
) -> None:
    rows = [hour(n, 100 * (factor if n == 3 else 1)) for n in range(6)]
    (result,) = load(save("BTCUSDT-1h-2024-01.csv", rows))
    assert opens(reader) == [0, 1, 2, 4, 5]
    assert "1 with a price 100 times that of the row before" in result.account.words()
    later = save("BTCUSDT-1h-2024-02.csv", [hour(n, 100 * factor) for n in range(6, 9)])
    with pytest.raises(ImportFileError, match=r"another thing or unit.*forget BTCUSDT"):
        load(later)
    before = save("BTCUSDT-1h-2023-12.csv", [hour(n, 100 * factor) for n in range(-9, -6)])
    with pytest.raises(ImportFileError, match="another thing or unit"):
        load(before)
    assert opens(reader) == [0, 1, 2, 4, 5]
    trades = [aggregate(n, DAY + 9 * HOUR + n, 100 * factor) for n in range(1_000, 1_009)]
    with pytest.raises(ImportFileError, match="another thing or unit"):
        load(save("BTCUSDT-aggTrades-2024-01-05.csv", trades))


def test_file_that_is_of_another_unit_for_the_most_part_is_refused(
    load: Load, save: Save, reader: Reader
) -> None:
    rows = [hour(n, 100 if n < 3 else 100_000) for n in range(10)]
    with pytest.raises(ImportFileError, match=r"only 3 rows would be taken: 7 with a price"):
        load(save("BTCUSDT-1h-2024-01.csv", rows))
    assert reader.symbols() == []


def test_price_may_change_as_it_likes_over_a_long_time_and_at_a_listing(
    load: Load, save: Save, reader: Reader
) -> None:
    late = DAY + 400 * DAY_MS
    load(save("BTCUSDT-1h-2024-01.csv", [hour(0, 0.01), hour(0, 40.0, opens=late)]))
    assert len(reader.bars("BTCUSDT", HOUR)) == 2
    first = [aggregate(n, DAY + n, 0.001 if n < 3 else 2.0) for n in range(10)]
    (result,) = load(save("NEWUSDT-aggTrades-2024-01-05.csv", first))
    assert result.account.taken == 10


# -- other CSVs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "row"),
    [
        ("time,open,high,low,close,volume", "{s},100,110,90,105,2"),
        ("Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount",
         "{ms},x,BTC/USDT,100,110,90,105,2,205,7"),
        ("close,open,date,low,high,volume", "105,100,{iso},90,110,2"),
        ("time,open,high,low,close,volume", "{s}.000,100,110,90,105,2"),
        ("time,open,high,low,close,volume", "{us}000,100,110,90,105,2"),
        ('"timestamp","open","high","low","close","volume"', '"{us}","100","110","90","105","2"'),
    ],
)  # fmt: skip
def test_another_csv_is_read_by_its_heading(
    load: Load, save: Save, reader: Reader, heading: str, row: str
) -> None:
    lines = [
        row.format(
            s=opens_ms // 1_000,
            ms=opens_ms,
            us=opens_ms * 1_000,
            iso=f"2024-01-05 {(opens_ms - DAY) // HOUR:02d}:00:00",
        )
        for opens_ms in (DAY, DAY + HOUR)
    ]
    load(save("my prices.csv", [heading, *lines]), symbol="btcusdt", timeframe="1h")
    bars = reader.bars("BTCUSDT", HOUR)
    assert bars.open_time_ms.tolist() == [DAY, DAY + HOUR]
    assert (bars.open[0], bars.high[0], bars.low[0], bars.close[0]) == (100, 110, 90, 105)
    assert bars.volume.tolist() == [2, 2]
    assert (bars.trade_count > 0).all()


def test_another_csv_must_say_what_a_bar_needs_and_be_what_the_user_says(
    load: Load, save: Save
) -> None:
    said = {"symbol": "BTCUSDT", "timeframe": "1h"}
    with pytest.raises(ImportFileError, match=r"line 1: .*it names no low"):
        load(save("a.csv", ["time,open,high,close", "1,2,3,4"]), **said)
    with pytest.raises(ImportFileError, match="its name says ETHUSDT 1h"):
        load(save("ETHUSDT-1h-2024-01.csv", [hour(0)]), **said)
    heading = "time,symbol,open,high,low,close"
    with pytest.raises(ImportFileError, match="line 2: the row is of another symbol"):
        load(save("b.csv", [heading, f"{DAY},ETHUSDT,1,2,1,2"]), **said)
    with pytest.raises(ImportFileError, match="--symbol and --timeframe"):
        load(save("c.csv", [heading]))


# -- sizes -----------------------------------------------------------------------------------------


def test_sizes_are_refused_before_they_cost_memory_or_time(
    load: Load, save: Save, tmp_path: Path, reader: Reader
) -> None:
    years = [aggregate(0, DAY), aggregate(1, DAY + 400 * DAY_MS)]
    with pytest.raises(ImportFileError, match="line 2: the trades lie more than 32 days apart"):
        load(save("BTCUSDT-aggTrades-2024-01.csv", years))
    second = hour(0).replace(str(DAY + HOUR - 1), str(DAY + SECOND - 1))
    late = second.replace(str(DAY), str(DAY + 400 * DAY_MS)).replace(
        str(DAY + SECOND - 1), str(DAY + 400 * DAY_MS + SECOND - 1)
    )
    with pytest.raises(ImportFileError, match="line 2: the rows lie more than 10,000,000 bars"):
        load(save("BTCUSDT-1s-2024-01.csv", [second, late]))
    for field, words in (("9" * 3_000, "not a number"), ("1" + "0" * 39, "sane")):
        cells = hour(1).split(",")
        cells[2] = field
        with pytest.raises(ImportFileError, match=f"line 2: .*{words}"):
            load(save("BTCUSDT-1h-2024-01.csv", [hour(0), ",".join(cells)]))
    with pytest.raises(ImportFileError, match="line 2: not a number"):
        load(save("BTCUSDT-1h-2024-01.csv", [hour(0), "9" * 3_000 + hour(1)]))
    with pytest.raises(ImportFileError, match=r"line 2: .*sane"):
        load(save("BTCUSDT-1h-2024-01.csv", [hour(0), hour(1).replace("100.0", "1e308", 1)]))
    holed = [aggregate(2 * n, DAY + n) for n in range(2_100)]
    with pytest.raises(ImportFileError, match="skip more than 2,000 times"):
        load(save("BTCUSDT-aggTrades-2024-01.csv", holed))
    assert reader.symbols() == []


def test_two_trades_weeks_apart_make_no_million_bars(
    load: Load, save: Save, reader: Reader
) -> None:
    times = [DAY, DAY + 20 * HOUR, DAY + 20 * DAY_MS]
    lines = [aggregate(n, time_ms, 100.0 + n) for n, time_ms in enumerate(times)]
    (result,) = load(save("BTCUSDT-aggTrades-2024-01.csv", lines))
    assert (result.account.taken, result.holes) == (3, 0)
    seconds = reader.bars("BTCUSDT", SECOND)
    made = ((seconds.open_time_ms - DAY) // SECOND).tolist()
    day, weeks = 20 * 3_600, 20 * 86_400
    assert made == [*range(day + 1), *range(weeks - 10, weeks + 1)]
    assert seconds.close[[0, day, -1]].tolist() == [100.0, 101.0, 102.0]


def test_endless_line_in_a_zip_is_not_read_to_its_end(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    class Counting(zipfile.ZipExtFile):
        def read(self, n: int | None = -1) -> bytes:
            found = super().read(n)
            read.append(len(found))
            return found

    monkeypatch.setattr(zipfile, "ZipExtFile", Counting)
    path = pack(tmp_path / "BTCUSDT-1h-2024-01.zip", {"a.csv": hour(0) + "\n" + "1" * 50_000_000})
    with pytest.raises(ImportFileError, match="line 2: longer than 4,096 characters"):
        load(path)
    assert 0 < sum(read) < 100_000


def test_blank_lines_end_a_file_but_not_without_end(load: Load, save: Save, reader: Reader) -> None:
    load(save("BTCUSDT-1h-2024-01.csv", [hour(0), "", "", ""]))
    assert opens(reader) == [0]
    with pytest.raises(ImportFileError, match="line 2: the line is blank"):
        load(save("BTCUSDT-1h-2024-02.csv", [hour(0), *[""] * 200]))


def test_what_is_no_regular_file_is_not_opened(load: Load, tmp_path: Path) -> None:
    pipe = tmp_path / "BTCUSDT-1h-2024-01.csv"
    os.mkfifo(pipe)
    with pytest.raises(ImportFileError, match="is no regular file"):
        load(pipe)
    (tmp_path / "BTCUSDT-1h-2024-02.csv").mkdir()
    with pytest.raises(ImportFileError, match="is a folder"):
        load(tmp_path / "BTCUSDT-1h-2024-02.csv")
    (tmp_path / "BTCUSDT-1h-2024-03.csv").symlink_to("/dev/zero")
    with pytest.raises(ImportFileError, match="is no regular file"):
        load(tmp_path / "BTCUSDT-1h-2024-03.csv")


def test_file_that_changes_while_it_is_checked_is_refused_whole(
    writer: Writer, save: Save, reader: Reader
) -> None:
    path = save("BTCUSDT-1h-2024-01.csv", [hour(n) for n in range(5)])

    def append(_: ImportProgress) -> None:
        with path.open("a") as file:
            file.write("half a row of a download")

    (result,) = import_files([path], writer, append, sleep=lambda _: None)
    assert isinstance(result, RefusedFile)
    assert "changed while it was checked" in result.reason
    assert reader.symbols() == []


def test_text_beyond_the_limit_is_refused_by_its_size(
    load: Load, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dumps, "MAX_TEXT_BYTES", 1_000)
    with pytest.raises(ImportFileError, match="GB of text"):
        load(save("BTCUSDT-1h-2024-01.zip", [hour(n) for n in range(50)]))


def test_seen_rows_tell_a_repeat_from_a_contradiction_in_bounded_memory() -> None:
    seen = SeenRows(pages=2)
    assert seen.add(5, b"a") == "new"
    assert seen.add(5, b"a") == "same"
    assert seen.add(5, b"b") == "other"
    assert seen.add(4_096 + 9, b"c") == "new"
    assert list(seen.gaps()) == [(6, 4_105)]
    assert seen.add(-3, b"d") == "new"  # the oldest page gives way
    assert seen.add(5, b"a") == "new"


def test_taken_back_trades_alone_make_no_bar_and_no_heap() -> None:
    gone = [Trade("X", n, 0.0, 0.0, DAY + n, DAY + n, -1, -1, True) for n in range(3)]
    assert list(second_bars(gone, starts_whole=True, ends_whole=True)) == []


# -- the cases themselves --------------------------------------------------------------------------


@pytest.mark.skipif(not CASES.is_dir(), reason=f"the reported files are not at {CASES}")
@pytest.mark.parametrize(
    ("pattern", "taken", "repeated", "left_out", "missing"),
    [
        ("01-*/BTCUSDT-1h-2018-02.csv", 31, 0, 42, 74),
        ("01-*/ETHUSDT-1m-2018-02.csv", 1, 0, 60, 0),
        ("02-*/BTCUSDT-aggTrades-2024-01-01.csv", 50, 50, 0, 0),
        ("02-*/JUVUSDT-1h-2024-01.csv", 31, 62, 0, 0),
        ("02-*/JUVUSDT-1h-2024-02.csv", 31, 31, 0, 0),
        ("03-*/BTCUSDT-aggTrades-2017-12-04.csv", 4, 0, 0, 0),
        ("07-*/ADABKRW-1h-2020-8.csv", 30, 0, 0, 0),
        ("07-*/BBBUSDT-1h-2024-01.csv", 30, 0, 0, 0),
        ("07-*/CAPUSDT-1h-2024-01.zip", 30, 0, 0, 0),
        ("07-*/MACUSDT-1h-2024-01.zip", 30, 0, 0, 0),
        ("13-*/币安人生USDT-1h-2024-01.csv", 30, 0, 0, 0),
        ("22-*/AAAUSDT-1h-2024-01.csv", 643, 0, 0, 57),
    ],
)
def test_reported_files_are_taken_as_far_as_they_are_good(
    load: Load, pattern: str, taken: int, repeated: int, left_out: int, missing: int
) -> None:
    (path,) = CASES.glob(pattern)
    (result,) = load(path)
    account = result.account
    rows_left_out = sum(item.rows for item in account.left_out.values())
    assert (account.taken, account.repeated, rows_left_out) == (taken, repeated, left_out)
    assert result.missing == missing
