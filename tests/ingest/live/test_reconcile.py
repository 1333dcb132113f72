"""Our minutes are compared with the exchange's own; what differs is mended or told."""

import asyncio
import sqlite3
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import pytest

from core.types import Bar, Trade
from ingest.binance.answers import Rows
from ingest.files.importer import ImportedSymbol
from ingest.live import ports
from ingest.live.pipeline import Pipeline
from ingest.live.reconcile import Reconciliation
from ingest.store.transaction import Writer

T = TypeVar("T")
NAME, OTHER = "AAAUSDT", "BBBUSDT"
MINUTE = 60_000
START = 1_700_000_040_000


class Compared:
    """Twenty minutes of one symbol, stored live, and what compares them."""

    def __init__(self, writer: Writer, market: Any) -> None:
        self.market = market
        self.pipeline = Pipeline(writer, self.now_ms)
        self.pipeline.start(
            [ImportedSymbol(name, name[:3], "USDT", "TRADING") for name in (NAME, OTHER)]
        )
        self.reconciliation = Reconciliation(market, self.store, self.pipeline, self.now_ms)
        while market.trades[market.made].trade_time_ms < START + 20 * MINUTE:
            made = market.make(50)
            # The market as a whole never stands still.
            times = range(self.now_ms() // 5_000 * 5_000, made[-1].trade_time_ms, 5_000)
            self.pipeline.ingest(
                [Trade(OTHER, t // 5_000, 1.0, 1.0, t, t, t, t, False) for t in times]
            )
            self.pipeline.ingest(made)
            self.pipeline.close_bars(self.pipeline.event_time_ms)

    def now_ms(self) -> int:
        return max(START, self.pipeline.event_time_ms)

    async def store(self, work: Callable[[], T], /) -> T:
        return work()

    def look(self) -> tuple[int, int, int]:
        self.pipeline.chains.pop(OTHER, None)  # the exchange here knows of one symbol alone
        asyncio.run(self.reconciliation.run_once())
        findings = self.reconciliation.findings
        return findings.checked, findings.repaired, findings.disagreed

    def minute(self, number: int) -> Bar:
        open_ms = START + number * MINUTE
        return self.pipeline.own_minutes(NAME, open_ms, open_ms + MINUTE)[0]


@pytest.fixture
def compared(writer: Writer, plain_market: Any) -> Compared:
    return Compared(writer, plain_market(NAME, 3, START, 12_000))


def change(database_url: str, sql: str, *values: Any) -> None:
    with sqlite3.connect(database_url.removeprefix("sqlite:///")) as database:
        assert database.execute(sql, values).rowcount > 0
    database.close()


def test_minutes_from_complete_ids_equal_the_exchanges_own_and_are_looked_at_once(
    compared: Compared,
) -> None:
    checked, repaired, disagreed = compared.look()
    assert checked >= 17
    assert (repaired, disagreed) == (0, 0)
    assert compared.look() == (checked, 0, 0)


def test_a_wrong_bar_is_built_again(compared: Compared, database_url: str) -> None:
    right = compared.minute(5)
    change(
        database_url,
        "UPDATE bars SET high = high + 1 WHERE timeframe_ms = ? AND open_time_ms = ?",
        MINUTE,
        START + 5 * MINUTE,
    )
    assert compared.minute(5) != right
    assert compared.look()[1:] == (1, 0)
    assert compared.minute(5) == right


@pytest.mark.parametrize("page_limit", [1_000, 7])
def test_a_trade_that_went_missing_unnoticed_is_fetched_however_many_pages_a_minute_has(
    compared: Compared, database_url: str, page_limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "PAGE_LIMIT", page_limit)
    right = compared.minute(7)
    lost = next(
        t
        for t in compared.market.trades
        if t.trade_time_ms >= START + 7 * MINUTE + 5_000 and t.price < right.high
    )
    change(database_url, "DELETE FROM trades WHERE trade_id = ?", lost.trade_id)
    second = lost.trade_time_ms - lost.trade_time_ms % 1_000
    for length, open_ms in ((1_000, second), (MINUTE, START + 7 * MINUTE)):
        change(
            database_url,
            "UPDATE bars SET trade_count = trade_count - ?, volume = volume - ?"
            " WHERE timeframe_ms = ? AND open_time_ms = ?",
            lost.raw_count,
            lost.quantity,
            length,
            open_ms,
        )
    assert compared.look()[1:] == (1, 0)
    assert compared.minute(7) == right


def test_a_bar_that_stays_different_is_told_and_ours_stands(
    compared: Compared, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = compared.minute(9)
    honest = compared.market.klines

    async def skewed(*asked: Any, **more: Any) -> list[Bar]:
        return [
            bar._replace(close=bar.low / 2, low=bar.low / 2)
            if bar.open_time_ms == START + 9 * MINUTE
            else bar
            for bar in await honest(*asked, **more)
        ]

    monkeypatch.setattr(compared.market, "klines", skewed)
    assert compared.look()[1:] == (0, 1)
    assert compared.minute(9) == ours
    assert NAME in compared.reconciliation.findings.examples[0]


def test_minutes_that_the_exchange_has_not_yet_are_compared_later(compared: Compared) -> None:
    compared.market.lag = 3_000
    few = compared.look()[0]
    compared.market.lag = 0
    assert compared.look()[0] > few


def without(compared: Compared, opens: Collection[int], odd: tuple[str, ...] = ()) -> Any:
    """The exchange's bars but for these minutes."""
    honest = compared.market.klines

    async def klines(*asked: Any, **more: Any) -> list[Bar]:
        found: Rows[Bar] = Rows(
            bar for bar in await honest(*asked, **more) if bar.open_time_ms not in opens
        )
        found.odd = odd
        return found

    return klines


class Halted(Compared):
    """A symbol that didn't trade in minutes 8 to 10, of which the exchange has no bar."""

    minutes = tuple(START + number * MINUTE for number in (8, 9, 10))

    def __init__(self, writer: Writer, market: Any) -> None:
        first, end = self.minutes[0], self.minutes[-1] + MINUTE
        running = [t for t in market.trades if not first <= t.trade_time_ms < end]
        first_id, raw_id = running[0].trade_id, running[0].first_id
        market.trades[:] = [
            t._replace(trade_id=first_id + i, first_id=raw_id + i, last_id=raw_id + i)
            for i, t in enumerate(running)
        ]
        super().__init__(writer, market)


@pytest.fixture
def halted(writer: Writer, plain_market: Any) -> Halted:
    return Halted(writer, plain_market(NAME, 3, START, 12_000))


def states(database_url: str, timeframe_ms: int) -> dict[int, bool]:
    """Of each stored bar after the first minute whether it counts."""
    with sqlite3.connect(database_url.removeprefix("sqlite:///")) as database:
        sql = (
            "SELECT open_time_ms, complete FROM bars JOIN symbols ON symbols.id = symbol_id"
            " WHERE symbol = ? AND timeframe_ms = ? AND open_time_ms >= ?"
        )
        rows = database.execute(sql, (NAME, timeframe_ms, START + MINUTE))
        found = {open_ms: bool(complete) for open_ms, complete in rows}
    database.close()
    return found


def test_flat_minutes_that_the_exchange_has_no_bar_of_are_missing_live_as_in_history(
    halted: Halted, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(states(database_url, MINUTE)[open_ms] for open_ms in halted.minutes)
    monkeypatch.setattr(halted.market, "klines", without(halted, halted.minutes))
    assert halted.look()[1:] == (0, 0)
    for open_ms, complete in states(database_url, MINUTE).items():
        assert complete is (open_ms not in halted.minutes)
    for open_ms, complete in states(database_url, 1_000).items():
        assert complete is (open_ms - open_ms % MINUTE not in halted.minutes)
    five = states(database_url, 5 * MINUTE)
    halted_fives = {open_ms - open_ms % (5 * MINUTE) for open_ms in halted.minutes}
    assert five == {open_ms: open_ms not in halted_fives for open_ms in five}
    assert halted_fives < set(five)


def test_an_odd_row_in_the_exchanges_answer_is_no_sign_of_a_halt(
    halted: Halted, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(halted.market, "klines", without(halted, halted.minutes, ("high 0",)))
    assert halted.look()[1:] == (0, 0)
    assert all(states(database_url, MINUTE)[open_ms] for open_ms in halted.minutes)


def test_a_minute_of_proven_trades_stands_where_the_exchange_has_no_bar_and_is_told(
    compared: Compared, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, open_ms = compared.minute(9), START + 9 * MINUTE
    monkeypatch.setattr(compared.market, "klines", without(compared, [open_ms]))
    assert compared.look()[1:] == (0, 1)
    assert compared.minute(9) == ours
    assert compared.reconciliation.findings.examples[0].endswith("exchange none")
