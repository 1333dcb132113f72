"""No file costs more memory or time than its good rows are worth."""

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from core.errors import ImportFileError
from ingest.files import dumps
from ingest.files.importer import ImportProgress, import_files
from ingest.files.judging import SeenRows
from ingest.files.summary import RefusedFile
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.support.dump_files import (
    DAY,
    DAY_MS,
    HOUR,
    SECOND,
    Load,
    Save,
    aggregate,
    hour,
    opens,
    pack,
)


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


def test_a_zip_of_very_many_members_is_not_listed(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []

    class Listing(zipfile.ZipInfo):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            listed.append(self.filename)

    members = {f"{number:0200}.csv": "" for number in range(5_000)}
    path = pack(tmp_path / "BTCUSDT-1h-2024-01.zip", members)
    monkeypatch.setattr(zipfile, "ZipInfo", Listing)
    with pytest.raises(ImportFileError, match="its list of members is too long"):
        load(path)
    assert listed == []


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
