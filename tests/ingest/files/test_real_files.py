"""Files as they really come: good rows stay, bad ones are told, another thing never gets in."""

from pathlib import Path

import pytest

from core.errors import ImportFileError
from core.types import Trade
from ingest.files.importer import ImportedSymbol, import_files
from ingest.files.judging import DENIED, LEAPT, NOT_OVER, OFF_GRID, STEPPED_BACK, STILL_TO_COME
from ingest.files.seconds import second_bars
from ingest.files.summary import ImportResult
from ingest.store import market
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.support.dump_files import DAY, DAY_MS, HOUR, SECOND, Load, Save, aggregate, hour, opens

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"


@pytest.mark.usefixtures("far_from_utc")
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


@pytest.mark.parametrize("factor", [1_000, 1 / 1_000])
def test_an_odd_first_price_is_the_one_left_out_and_not_the_file(
    load: Load, save: Save, reader: Reader, factor: float
) -> None:
    rows = [hour(n, 100 * (factor if n == 0 else 1)) for n in range(6)]
    (result,) = load(save("BTCUSDT-1h-2024-01.csv", rows))
    assert opens(reader) == [1, 2, 3, 4, 5]
    assert reader.bars("BTCUSDT", HOUR).close.tolist() == [100] * 5
    assert result.account.left_out == {DENIED: (1, 1)}
    (result,) = load(save("ETHUSDT-1h-2024-01.csv", [*reversed(rows)]))
    assert result.account.words() == (
        "1 with a price 100 times that of the row before, or a hundredth (line 6)"
    )
    prices = [100 * (factor if n == 0 else 1) for n in range(6)]
    trades = [aggregate(1_000 + n, DAY + n * SECOND, price) for n, price in enumerate(prices)]
    (result,) = load(save("SOLUSDT-aggTrades-2024-01-05.csv", trades))
    assert (result.account.taken, result.account.left_out) == (5, {DENIED: (1, 1)})
    assert reader.bars("SOLUSDT", SECOND).high.max() == 100


def test_a_first_trade_of_a_later_hour_costs_none_of_those_after_it(
    load: Load, save: Save, reader: Reader
) -> None:
    times = [DAY + n * SECOND for n in range(20)]
    times[0] += 20 * HOUR
    lines = [aggregate(100 + n, time_ms) for n, time_ms in enumerate(times)]
    (result,) = load(save("BTCUSDT-aggTrades-2024-01-05.csv", lines))
    assert (result.account.taken, result.account.left_out) == (19, {DENIED: (1, 1)})
    bars = reader.bars("BTCUSDT", SECOND)
    assert (bars.open_time_ms[0], bars.open_time_ms[-1]) == (DAY + SECOND, DAY + 19 * SECOND)


def test_a_second_row_alone_does_not_outweigh_the_first(load: Load, save: Save) -> None:
    for rest in ([100_000, 100], [100_000, 1]):
        rows = [hour(n, price) for n, price in enumerate([100, *rest, 100, 100, 100])]
        (result,) = load(save("BTCUSDT-1h-2024-01.csv", rows))
        assert DENIED not in result.account.left_out


def test_price_may_change_as_it_likes_over_a_long_time_and_at_a_listing(
    load: Load, save: Save, reader: Reader
) -> None:
    late = DAY + 400 * DAY_MS
    load(save("BTCUSDT-1h-2024-01.csv", [hour(0, 0.01), hour(0, 40.0, opens=late)]))
    assert len(reader.bars("BTCUSDT", HOUR)) == 2
    first = [aggregate(n, DAY + n, 0.001 if n < 3 else 2.0) for n in range(10)]
    (result,) = load(save("NEWUSDT-aggTrades-2024-01-05.csv", first))
    assert result.account.taken == 10


def test_taken_back_trades_alone_make_no_bar_and_no_heap() -> None:
    gone = [Trade("X", n, 0.0, 0.0, DAY + n, DAY + n, -1, -1, True) for n in range(3)]
    assert list(second_bars(gone, starts_whole=True, ends_whole=True)) == []


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
