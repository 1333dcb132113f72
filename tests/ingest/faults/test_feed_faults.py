"""What a whole worker has stored after each fault equals the exchange's ledger.

The scenarios wait most of their time, so those that were selected run several at once in one
event loop; each test then asks for the outcome of its own.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pytest

from ingest.binance.connection import open_socket
from ingest.binance.stream import TradeStream
from ingest.live import feed, upkeep
from ingest.live.stops import STOP_MS
from ingest.simulator.conduct import Conduct
from tests.support.gaps import missing_ids
from tests.support.ledger_judge import MINUTE, stored_trades
from tests.support.waiting import HANG_S, until

Scenario = Callable[[Any], Awaitable[Any]]
SCENARIOS: dict[str, Scenario] = {}
AT_ONCE = 15
UNDER_WAY = 8
"""Requests that a worker has sent at most when it hears of a ban."""


def scenario(run: Scenario) -> Scenario:
    SCENARIOS[run.__name__] = run
    return run


def has_failed(desk: Any, words: str) -> bool:
    """Whether the desk says so of a connection that ended."""
    return any(words in reason for reason in desk.payload["feed"]["failures"])


@scenario
async def an_exchange_that_stands_still(desks: Any) -> None:
    # First of all, for it takes longest.
    desks = desks.starting_at(time.time())
    async with desks.open() as desk:
        start_ms, end_ms = desks.ledger.stand_still(STOP_MS / 1_000 + 5.0)
        await until(lambda: desks.ledger.now_ms() > end_ms, "it is over")
        await desk.live()
        assert desk.gap_count() == 0
        # Minutes that it cuts are the exchange's own, which are there some seconds after their end.
        first, end = start_ms // MINUTE * MINUTE, -(-end_ms // MINUTE) * MINUTE
        await until(lambda: desks.ledger.now_ms() > end, "its minutes are over")

        def has_minutes(symbol: str) -> bool:
            own = desk.reader.bars(symbol, MINUTE, start_ms=first, end_ms=end)
            told = desks.ledger.bars(symbol, MINUTE, first, end)
            return own.open_time_ms[own.complete].tolist() == [bar.open_time_ms for bar in told]

        await until(lambda: all(map(has_minutes, desk.symbols)), "its minutes are stored")
    for symbol in desk.symbols:
        bars = desk.reader.bars(symbol, 1_000, start_ms=start_ms - 10_000)
        still = (bars.open_time_ms >= start_ms) & (bars.open_time_ms + 1_000 <= end_ms)
        assert not bars.complete[still].any()
        assert bars.complete[~still].all()


@scenario
async def connections_that_end_at_random(desks: Any, times: int = 6) -> list[float]:
    """End a connection again and again; gives how long each end cost."""
    rng = random.Random(times)
    backs_s = []
    async with desks.open() as desk:
        for _ in range(times):
            await asyncio.sleep(rng.uniform(0.0, 1.0))
            before = len(desk.faults.conduct.connects)
            desk.faults.close_all(rng.choice((1000, 1001, 1006, 1008)))
            ended = time.monotonic()
            await until(
                lambda before=before: len(desk.faults.conduct.connects) > before, "reconnected"
            )
            await desk.live()
            backs_s.append(time.monotonic() - ended)
        assert desk.faults.conduct.violations == []
    return backs_s


@scenario
async def a_server_that_shuts_down_with_a_lead(desks: Any) -> None:
    async with desks.open() as desk:
        desk.faults.shut_down(HANG_S)
        conduct, clients = desk.faults.conduct, desk.faults.clients
        await until(lambda: len(conduct.connects) == 2 and len(clients) == 1, "switched over")
        assert conduct.blind_s == 0.0
        assert desk.gap_count() == 0


@scenario
async def connections_that_grow_old(desks: Any) -> None:
    aging = partial(TradeStream, max_age_s=6.0, overlap_s=0.5)
    async with desks.open(open_stream=aging) as desk:
        connects = desk.faults.conduct.connects
        await until(lambda: len(connects) >= 3, "two switch-overs")
        await asyncio.sleep(1.0)
        assert desk.faults.conduct.blind_s == 0.0
        assert desk.gap_count() == 0


@scenario
async def trades_that_are_never_told(desks: Any) -> None:
    async with desks.open() as desk:
        for count in (1, 1_000):
            desk.faults.drop_next = count
            await until(lambda: not desk.faults.drop_next, "dropped")
            await until(desk.gap_count, "the gap is seen")
            await desk.live()
        assert desk.gap_count() >= 2


@scenario
async def fifty_thousand_trades_that_are_never_told(desks: Any) -> None:
    async with desks.open(symbols=("SOLUSDT", "BNBUSDT")) as desk:
        desk.faults.drop_next = 50_000
        desks.ledger.burst(12_000, 5, ["SOLUSDT"])
        await until(lambda: not desk.faults.drop_next, "dropped")
        await desk.live()


@scenario
async def a_server_that_shuts_down_at_once(desks: Any) -> None:
    async with desks.open() as desk:
        desk.faults.shut_down(0.0)
        await until(lambda: len(desk.faults.conduct.connects) > 1, "reconnected")


@scenario
async def a_database_that_lags_five_seconds(desks: Any) -> None:
    async with desks.open() as desk:
        desk.faults.lag_ms = 5_000
        desk.faults.drop_next = 60
        await until(lambda: not desk.faults.drop_next, "dropped")
        await desk.live()
        desk.faults.close_all(1006)
        await asyncio.sleep(1.0)
        await desk.live()


@scenario
async def bans_in_the_middle_of_a_repair(desks: Any) -> Conduct:
    async with desks.open() as desk:
        conduct = desk.faults.conduct

        def is_told(status: int, answers: int) -> bool:
            """Whether the ban was run into; until then it goes on, however slow the machine is."""
            if conduct.ban_answers > answers:
                return True
            desk.faults.ban(status, 4.0)
            return False

        for status in (429, 418):
            answers = conduct.ban_answers
            desk.faults.ban(status, 4.0)
            desk.faults.drop_next = 60
            await until(lambda: not desk.faults.drop_next, "dropped")
            await until(partial(is_told, status, answers), "told of the ban")
            await desk.live()
        assert 2 <= conduct.ban_answers <= 2 * UNDER_WAY
    return conduct


@scenario
async def requests_that_fail_or_come_back_empty(desks: Any) -> None:
    async with desks.open() as desk:
        desk.faults.rest_status, desk.faults.rest_times = 503, 3
        desk.faults.drop_next = 60
        await until(lambda: not desk.faults.drop_next, "dropped")
        await desk.live()
        desk.faults.is_empty = True
        desk.faults.drop_next = 60
        await asyncio.sleep(4.0)
        desk.faults.is_empty = False
        await desk.live()


@scenario
async def frames_told_twice_and_out_of_order(desks: Any) -> None:
    async with desks.open() as desk:
        desk.faults.duplicate_share, desk.faults.reorder_by = 0.1, 50
        await asyncio.sleep(8.0)
        desk.faults.duplicate_share, desk.faults.reorder_by = 0.0, 0
        await desk.live()


@scenario
async def garbage_between_frames(desks: Any) -> None:
    async with desks.open() as desk:
        desk.faults.garbage_every = 5
        await until(lambda: desk.payload["quarantined"] >= 100, "frames set aside")
        desk.faults.garbage_every = 0


@scenario
async def one_symbol_that_stalls(desks: Any) -> None:
    async with desks.open() as desk:
        desk.faults.stalled = frozenset(["BTCUSDT"])
        messages = desk.faults.conduct.messages
        await until(lambda: desk.payload["stalled_symbols"] == ["BTCUSDT"], "the symbol is flagged")
        await desk.live()  # by request, though the stream still says nothing
        assert desk.faults.conduct.messages > messages
        desk.faults.stalled = frozenset()
        await until(lambda: not desk.payload["stalled_symbols"], "the symbol is back")
        assert desk.faults.conduct.violations == []


@scenario
async def a_symbol_whose_ids_begin_again(desks: Any) -> None:
    async with desks.open() as desk:
        before = desk.newest_id("BTCUSDT")
        desk.faults.begun_again = {"BTCUSDT": before + 1}
        await until(lambda: 0 < desk.last_id("BTCUSDT") < before // 2, "a new chain")
        await desk.live()
        await until(lambda: desk.payload["unjudged_symbols"] == [], "its trades are explained")
        assert desk.gap_count() == 0
    ids = [row[0] for row in stored_trades(desk.path, "BTCUSDT")]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def minutes_lacking(desk: Any, symbol: str) -> int:
    """How many of a symbol's last thousand minutes are not there or don't count."""
    bars = desk.reader.bars(symbol, 60_000, limit=1_000)
    return 1_000 - int(bars.complete.sum()) + int((np.diff(bars.open_time_ms) != 60_000).sum())


@scenario
async def odd_rows_in_every_page(desks: Any) -> None:
    """A symbol without history, whose every first page has rows that nobody can use."""
    lacking: list[int] = []

    def look(desk: Any) -> None:
        assert desk.payload["odd_rows"] >= 20
        lacking.append(minutes_lacking(desk, "LTCUSDT"))
        desk.faults.odd_every = 0
        desks.ledger.burst(20, HANG_S, ["LTCUSDT"])

    async with desks.open(
        symbols=("BTCUSDT", "LTCUSDT"), faults={"odd_every": 50}, once_complete=look
    ) as desk:
        assert 20 <= lacking[0] <= 200  # the others were taken
        desk.faults.odd_every = 10
        desk.faults.drop_next = 60
        await until(lambda: not desk.faults.drop_next, "dropped")
        await until(desk.gap_count, "the gap is seen")
        await until(lambda: any(m.missing for m in missing_ids(desk.reader).values()), "told")
        desk.faults.odd_every = 0
        await until(lambda: not minutes_lacking(desk, "LTCUSDT"), "what was set aside is there")


@scenario
async def a_symbol_that_is_halted(desks: Any) -> None:
    def status(desk: Any) -> str:
        return str(desk.reader.symbol("ETHUSDT").status)

    async with desks.open(faults={"statuses": {"ETHUSDT": "BREAK"}}) as desk:
        assert status(desk) == "BREAK"
        for told in ("HALT", "TRADING"):
            desk.faults.statuses = {"ETHUSDT": told}
            await until(lambda told=told: status(desk) == told, "the status is followed")
        assert desk.reader.symbol("BTCUSDT").status == "TRADING"


@scenario
async def a_symbol_whose_entry_cannot_be_read_at_the_start(desks: Any) -> None:
    """It is left out, and taken up while the other one goes on, as soon as it can be read."""

    def mend(desk: Any) -> None:
        assert desk.payload["symbols_left_out"] == ["ETHUSDT"]
        assert desk.payload["odd_rows"] >= 1
        desk.faults.statuses = {}

    async with desks.open(faults={"statuses": {"ETHUSDT": ""}}, once_complete=mend) as desk:
        assert desk.payload["symbols_left_out"] == []
        assert desk.gap_count() == 0
        await until(desk.is_complete, "its history is there")
        connects = len(desk.faults.conduct.connects)
        await asyncio.sleep(3.0)
        assert len(desk.faults.conduct.connects) == connects  # it has begun anew once


@scenario
async def a_connection_that_falls_silent(desks: Any) -> None:
    watchful = partial(TradeStream, silence_limit_s=3.0)
    async with desks.open(open_stream=watchful) as desk:
        desk.faults.mute()
        await until(lambda: len(desk.faults.conduct.connects) > 1, "reconnected")
        await until(lambda: has_failed(desk, "no trade for"), "the silence is told")


@scenario
async def a_peer_behind_a_dead_router(desks: Any) -> None:
    # The pings are scaled from 20 + 20 s, the silence limit is out of the way.
    connect = partial(open_socket, ping_every_s=1.0, pong_within_s=1.0)
    pinging = partial(TradeStream, connect=connect, silence_limit_s=2 * HANG_S)
    async with desks.open(open_stream=pinging) as desk:
        desk.faults.half_open()
        await until(lambda: len(desk.faults.conduct.connects) > 1, "reconnected")
        await until(lambda: has_failed(desk, "ping"), "the missing pong is told")


@scenario
async def wall_clocks_that_step(desks: Any) -> None:
    step_s = 0.0
    async with desks.open(wall_clock=lambda: time.time() + step_s) as desk:
        for step_s in (3_600.0, -3_600.0, 0.0):  # noqa: B007 (read by the clock)
            await asyncio.sleep(2.0)
            desk.faults.close_all(1006)
            await desk.live()
        assert desk.payload["quarantined"] == 0


async def a_night_in_which_clocks_are_turned(desks: Any, turned: datetime) -> None:
    desks = desks.starting_at(turned.timestamp() - 8.0)
    turned_ms = int(turned.timestamp() * 1_000)
    async with desks.open() as desk:
        await until(
            lambda: desks.ledger.now_ms() > turned_ms + 2_000, "the clocks have been turned"
        )
    for symbol in desk.symbols:
        for timeframe_ms, before_ms in ((1_000, 600_000), (60_000, 7_200_000)):
            bars = desk.reader.bars(symbol, timeframe_ms, start_ms=turned_ms - before_ms)
            assert set(np.diff(bars.open_time_ms)) == {timeframe_ms}
            assert bars.open_time_ms[-1] + timeframe_ms >= turned_ms


@scenario
async def the_night_in_which_an_hour_is_left_out(desks: Any) -> None:
    await a_night_in_which_clocks_are_turned(desks, datetime(2026, 3, 29, 1, tzinfo=UTC))


@scenario
async def the_night_in_which_an_hour_comes_twice(desks: Any) -> None:
    await a_night_in_which_clocks_are_turned(desks, datetime(2026, 10, 25, 1, tzinfo=UTC))


@pytest.fixture(scope="module", autouse=True)
def _somewhere_with_summer_time(in_time_zone: Any) -> Iterator[None]:
    """The local time of everything here: its clocks are turned twice a year."""
    with in_time_zone("Europe/Berlin"):
        yield


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, desks: Any) -> dict[str, BaseException | None]:
    """How each selected scenario ended."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upkeep, "REFRESH_EVERY_S", 2.0)
        patch.setattr(feed, "FIRST_LOOK_S", 1.0)
        return _outcomes(request, desks)


def _outcomes(request: pytest.FixtureRequest, desks: Any) -> dict[str, BaseException | None]:
    wanted = [
        item.callspec.params["name"]
        for item in request.session.items
        if getattr(item, "module", None) is request.module and hasattr(item, "callspec")
    ]

    async def run() -> list[BaseException | None]:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with slots:
                await SCENARIOS[name](desks)

        return await asyncio.gather(*map(one, wanted), return_exceptions=True)

    return dict(zip(wanted, asyncio.run(run()), strict=True))


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_stored_is_the_ledger_after(
    outcomes: dict[str, BaseException | None], name: str
) -> None:
    error = outcomes[name]
    if error is not None:
        raise error


def fresh(desks: Any) -> Any:
    """Desks whose history ends now: what others traded for half an hour is none of theirs."""
    return desks.starting_at(time.time())


@pytest.mark.soak
def test_five_hundred_ends_of_connections_cost_no_trade(
    desks: Any, soak_times: Callable[[int], int]
) -> None:
    times = soak_times(500)
    backs_s = asyncio.run(connections_that_end_at_random(fresh(desks), times))
    slowest = sorted(backs_s)[times * 99 // 100]
    print(f"\nback after {slowest:.1f} s at the 99th percentile")
    assert slowest <= 5.0


@pytest.mark.soak
def test_no_request_is_sent_once_a_ban_has_been_told(desks: Any) -> None:
    assert asyncio.run(bans_in_the_middle_of_a_repair(fresh(desks))).calls_in_ban == 0


@pytest.mark.soak
def test_fifty_switch_overs_cost_no_trade_and_no_millisecond(
    desks: Any, soak_times: Callable[[int], int]
) -> None:
    rng = random.Random(50)

    async def run(desks: Any) -> None:
        async with desks.open() as desk:
            for number in range(soak_times(50)):
                lead_s = rng.uniform(1.0, 10.0)
                desk.faults.shut_down(lead_s)
                await asyncio.sleep(lead_s + 3.0)
                assert len(desk.faults.conduct.connects) == number + 2
            assert desk.faults.conduct.blind_s == 0.0
            assert desk.gap_count() == 0

    asyncio.run(run(fresh(desks)))
