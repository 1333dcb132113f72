"""A file is read by what it is: its name, how it was packed, its heading, the market it is of."""

from pathlib import Path

import pytest

from core.errors import ImportFileError
from ingest.files.importer import import_files
from ingest.files.summary import ImportResult, RefusedFile
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.support.dump_files import DAY, HOUR, Load, Save, aggregate, hour, opens, pack

FUTURES_KLINES = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)


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


def test_futures_never_come_under_a_spot_name(
    load: Load, save: Save, tmp_path: Path, reader: Reader
) -> None:
    with pytest.raises(ImportFileError, match=r"line 1: the heading is that of .*futures"):
        load(save("BTCUSDT-1h-2024-01.csv", [FUTURES_KLINES, hour(0)]))
    with pytest.raises(ImportFileError, match=r"line 1: the heading is that of .*futures"):
        load(save("BTCUSDT-1h-2024-01.csv", [FUTURES_KLINES.upper(), hour(0)]))
    seven = aggregate(0, DAY).rsplit(",", 1)[0]
    with pytest.raises(ImportFileError, match=r"line 1: 7 columns .*another market"):
        load(save("BTCUSDT-aggTrades-2024-01-05.csv", [seven]))
    folder = tmp_path / "data" / "futures" / "um" / "daily"
    folder.mkdir(parents=True)
    (folder / "BTCUSDT-1h-2024-01.csv").write_text(hour(0))
    with pytest.raises(ImportFileError, match="folder of futures dumps"):
        load(folder / "BTCUSDT-1h-2024-01.csv")
    inside = {"data/futures/um/daily/BTCUSDT-1h-2024-01.csv": hour(0)}
    with pytest.raises(ImportFileError, match="which is another thing"):
        load(pack(tmp_path / "BTCUSDT-1h-2024-01.zip", inside))
    for contract in ("BTCUSD_PERP", "BTCUSDT_240329", "BTC-240329-50000-C"):
        with pytest.raises(ImportFileError, match=f"{contract} is a futures or options contract"):
            load(save(f"{contract}-1h-2024-01.csv", [hour(0)]))
    assert reader.symbols() == []


@pytest.mark.parametrize("contract_usd", [10, 100])
def test_volumes_in_contracts_give_coin_margined_futures_away(
    load: Load, save: Save, reader: Reader, contract_usd: int
) -> None:
    def row(number: int, price: float, volume: float, quote_volume: float) -> str:
        cells = hour(number, price).split(",")
        cells[5], cells[7], cells[9] = f"{volume:.8f}", f"{quote_volume:.8f}", "0"
        return ",".join(cells)

    prices = [7.0, 7.05, 7.1]
    volumes = [(number, p, 900, 900 * contract_usd / p) for number, p in enumerate(prices)]
    contracts = [row(*each) for each in volumes]
    still = row(3, 7.1, 0, 0)
    with pytest.raises(ImportFileError, match="coin-margined futures: another market"):
        load(save("LINKUSDT-1h-2024-01.csv", [*contracts, still]))
    assert reader.symbols() == []
    # One bar of spot tells that it is none; so do volumes that say nothing of any price.
    load(save("LINKUSDT-1h-2024-01.csv", [*contracts, hour(3, 7.1)]))
    load(save("TESTUSDT-1h-2024-01.csv", [row(n, contract_usd, 1, 1) for n in range(3)]))
    assert opens(reader, "LINKUSDT") == [0, 1, 2, 3]
    assert opens(reader, "TESTUSDT") == [0, 1, 2]


def test_a_zip_made_on_windows_holds_the_file_of_its_name(
    load: Load, tmp_path: Path, reader: Reader
) -> None:
    load(pack(tmp_path / "BTCUSDT-1h-2024-01.zip", {"data\\BTCUSDT-1h-2024-01.csv": hour(0)}))
    assert opens(reader) == [0]


@pytest.mark.parametrize("note", ["https://www.CryptoDataDownload.com", "sep=,", "# mine, all"])
def test_a_line_above_the_heading_that_is_about_the_file_is_passed_over(
    load: Load, save: Save, reader: Reader, note: str
) -> None:
    lines = [note, "time,open,high,low,close", f"{DAY},100,110,90,105"]
    load(save("my prices.csv", lines), symbol="BTCUSDT", timeframe="1h")
    assert opens(reader) == [0]


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
@pytest.mark.usefixtures("far_from_utc")
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
