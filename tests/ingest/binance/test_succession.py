"""A connection that has to go is followed by the next one before a trade is lost."""

import asyncio
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from tests.support.fake_stream import (
    HOUR,
    SHUTDOWN,
    FakeExchange,
    FakeSocket,
    closed,
    frame,
    most_in_five_minutes,
    play,
)


@pytest.mark.parametrize("combined", [False, True])
def test_server_shutdown_opens_the_new_connection_before_the_old_one_goes(
    exchange: FakeExchange, combined: bool
) -> None:
    wrapped = b'{"stream":"!serverShutdown","data":' + SHUTDOWN + b"}"
    stream = exchange.stream()

    async def script() -> None:
        await exchange.time.settle()
        old = exchange.sockets[0]
        for trade_id in range(10):
            old.feed(frame(trade_id))
            await exchange.time.advance(10.0)
        old.feed(wrapped if combined else SHUTDOWN)
        await exchange.time.settle()
        assert exchange.times == [0.0, 100.0]
        new = exchange.sockets[1]
        # Both are read: what either brings is handed on.
        old.feed(frame(10))
        new.feed(frame(11))
        await exchange.time.advance(4.0)
        assert old.closed_at is None
        old.feed(frame(11))
        await exchange.time.advance(1.0)
        assert old.closed_at == 105.0
        assert new.closed_at is None
        new.feed(frame(12))
        await exchange.time.settle()
        assert [trade.trade_id for trade in exchange.trades] == [*range(12), 11, 12]
        assert stream.state.state == "live"

    play(stream, script)


def test_day_old_connection_is_replaced_before_the_exchange_cuts_it(
    exchange: FakeExchange,
) -> None:
    async def script() -> None:
        await exchange.time.settle()
        for _ in range(3 * 24 * 60):
            for socket in exchange.sockets:
                if socket.closed_at is None:
                    socket.feed(frame(1))
            await exchange.time.advance(60.0)

    play(exchange.stream(silence_limit_s=120.0), script)
    day = 23 * HOUR + 50 * 60.0
    assert exchange.times == pytest.approx([0.0, day, 2 * day, 3 * day], abs=1.0)
    for old, new in pairwise(exchange.sockets):
        assert old.closed_at is not None
        assert old.closed_at >= new.opened_at + 5.0
        assert old.closed_at - old.opened_at < 24 * HOUR


def test_old_connection_goes_on_while_its_successor_cannot_be_had(
    exchange: FakeExchange,
) -> None:
    def answer(socket: FakeSocket) -> None:
        number = len(exchange.attempts)
        if 2 <= number <= 4:
            raise OSError(101, "Network is unreachable")
        if number in (5, 6):
            socket.feed(closed())

    exchange.answer = answer
    stream = exchange.stream()

    async def script() -> None:
        for second in range(180):
            await exchange.time.advance(1.0)
            exchange.sockets[0].feed(frame(second))
            if second == 100:
                exchange.sockets[0].feed(SHUTDOWN)
            if len(exchange.sockets) == 4 and not exchange.sockets[3].closed_at:
                exchange.sockets[3].feed(frame(second))
            await exchange.time.settle()
            assert stream.state.state == "live"

    play(stream, script)
    assert len(exchange.attempts) == 7
    assert {trade.trade_id for trade in exchange.trades} == set(range(180))


def test_loss_of_the_old_connection_hastens_its_successor(exchange: FakeExchange) -> None:
    def answer(socket: FakeSocket) -> None:
        if exchange.sockets:
            raise OSError(101, "Network is unreachable")

    exchange.answer = answer

    async def script() -> None:
        await exchange.time.settle()
        old = exchange.sockets[0]
        for second in range(300):
            old.feed(frame(second), *([SHUTDOWN] if second == 65 else []))
            await exchange.time.advance(1.0)
        # By now the pauses between attempts are long.
        assert exchange.times[-1] - exchange.times[-2] >= 15.0
        lost_at = exchange.times[-1] + 3.0
        await exchange.time.advance(max(0.0, lost_at - exchange.time.now))
        tried = len(exchange.attempts)
        old.feed(closed())
        lost_at = exchange.time.now
        await exchange.time.advance(2.0)
        assert len(exchange.attempts) > tried
        assert exchange.times[tried] - lost_at <= 2.0

    play(exchange.stream(), script)


def test_a_second_shutdown_soon_after_the_first_finds_no_delay(exchange: FakeExchange) -> None:
    """Announced a second ahead: who waits to be polite is blind for a while."""

    async def script() -> None:
        await exchange.time.settle()
        for number in range(30):
            exchange.sockets[-1].feed(frame(number))
            await exchange.time.advance(8.0)
            exchange.sockets[-1].feed(SHUTDOWN)
            told_at = exchange.time.now
            await exchange.time.settle()
            assert exchange.times[-1] == told_at
            exchange.sockets[-1].feed(frame(number))
            await exchange.time.advance(6.0)

    play(exchange.stream(), script)


def test_a_server_that_says_over_and_over_that_it_shuts_down_fills_no_log(
    exchange: FakeExchange,
) -> None:
    async def script() -> None:
        await exchange.time.settle()
        for trade_id in range(10):
            exchange.sockets[0].feed(frame(trade_id))
            await exchange.time.advance(10.0)
        exchange.sockets[0].feed(*[SHUTDOWN] * 50)
        await exchange.time.settle()
        assert len(exchange.sockets) == 2

    with capture_logs() as lines:
        play(exchange.stream(), script)
    assert [line["event"] for line in lines].count("server is shutting down") == 1


@pytest.mark.parametrize("closes_after_s", [None, 0.1])
def test_new_connections_that_are_told_to_go_at_once_do_not_loop(
    exchange: FakeExchange, closes_after_s: float | None
) -> None:
    closing: list[asyncio.Task[None]] = []

    def answer(socket: FakeSocket) -> None:
        async def close_later(after_s: float) -> None:
            await exchange.time.sleep(after_s)
            socket.feed(closed())

        socket.feed(SHUTDOWN)
        if closes_after_s is not None:
            closing.append(asyncio.create_task(close_later(closes_after_s)))

    exchange.answer = answer

    async def script() -> None:
        await exchange.time.advance(HOUR)

    play(exchange.stream(), script)
    assert len(exchange.attempts) > 20
    assert most_in_five_minutes(exchange.times) <= 60
