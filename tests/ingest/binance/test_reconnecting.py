"""The feed comes back after whatever cuts it, without hammering the exchange."""

from itertools import pairwise

import pytest

from tests.support.fake_stream import (
    HOUR,
    FakeExchange,
    FakeSocket,
    closed,
    frame,
    most_in_five_minutes,
    play,
    refused,
)


def test_accept_then_close_loop_does_not_hammer_the_exchange(exchange: FakeExchange) -> None:
    exchange.answer = lambda socket: socket.feed(closed())
    stream = exchange.stream(hosts=("wss://one", "wss://two"))

    async def script() -> None:
        await exchange.time.advance(HOUR)
        assert stream.state.state == "down"
        assert "the exchange closed the connection (1001)" in (stream.state.last_error or "")

    play(stream, script)
    assert most_in_five_minutes(exchange.times) <= 60
    pauses = [later - earlier for earlier, later in pairwise(exchange.times)]
    assert pauses[0] <= 0.5
    assert all(15.0 <= pause <= 30.0 for pause in pauses[10:])
    assert set(exchange.hosts()) == {"wss://one", "wss://two"}


def test_refused_connects_do_not_hammer_either(exchange: FakeExchange) -> None:
    def answer(socket: FakeSocket) -> None:
        raise ConnectionRefusedError(111, "refused")

    exchange.answer = answer
    stream = exchange.stream()

    async def script() -> None:
        await exchange.time.advance(HOUR)
        assert stream.state.state == "down"
        assert stream.state.last_error == "one: the host refuses connections"

    play(stream, script)
    assert 100 < len(exchange.attempts) < 260
    assert most_in_five_minutes(exchange.times) <= 60


def test_feed_that_worked_is_back_within_two_seconds(exchange: FakeExchange) -> None:
    def answer(socket: FakeSocket) -> None:
        if exchange.time.now < 600.0:
            raise OSError(101, "Network is unreachable")

    exchange.answer = answer

    async def script() -> None:
        await exchange.time.advance(700.0)
        for _ in range(5):
            before = len(exchange.attempts)
            exchange.sockets[-1].feed(frame(1), closed(1006))
            lost_at = exchange.time.now
            await exchange.time.advance(2.0)
            assert len(exchange.attempts) == before + 1
            assert exchange.times[-1] - lost_at <= 2.0

    play(exchange.stream(silence_limit_s=HOUR), script)


def test_trade_then_close_loop_stays_within_the_exchanges_limit(exchange: FakeExchange) -> None:
    exchange.answer = lambda socket: socket.feed(frame(1), closed())

    async def script() -> None:
        await exchange.time.advance(900.0)

    play(exchange.stream(), script)
    assert most_in_five_minutes(exchange.times) <= 150
    pauses = [later - earlier for earlier, later in pairwise(exchange.times)]
    assert all(pause <= 2.0 for pause in pauses[:100])
    assert all(pause >= 1.0 for pause in pauses[3:])


def test_refusing_host_is_left_for_the_next_one_at_once(exchange: FakeExchange) -> None:
    def answer(socket: FakeSocket) -> None:
        if socket.url.startswith("wss://one"):
            raise refused(451)

    exchange.answer = answer
    stream = exchange.stream(hosts=("wss://one", "wss://two"))

    async def script() -> None:
        await exchange.time.settle()
        assert exchange.attempts[0][0] == exchange.attempts[1][0] == 0.0
        exchange.sockets[0].feed(frame(1))
        await exchange.time.settle()
        assert (stream.state.state, stream.state.host) == ("live", "two")
        assert "does not serve this location" in (stream.state.last_error or "")

    play(stream, script)
    assert exchange.hosts() == ["wss://one", "wss://two"]


def test_blocked_hosts_are_tried_once_in_five_minutes_each(exchange: FakeExchange) -> None:
    def answer(socket: FakeSocket) -> None:
        raise refused(451 if socket.url.startswith("wss://one") else 403)

    exchange.answer = answer
    stream = exchange.stream(hosts=("wss://one", "wss://two"))

    async def script() -> None:
        for _ in range(60):
            await exchange.time.advance(60.0)
            assert stream.state.state == "blocked"

    play(stream, script)
    for host in ("wss://one", "wss://two"):
        times = [at for at, url in exchange.attempts if url.startswith(host)]
        assert len(times) in (12, 13)
        assert all(later - earlier >= 300.0 for earlier, later in pairwise(times))


def test_host_beside_a_blocked_one_is_tried_with_growing_pauses(exchange: FakeExchange) -> None:
    def answer(socket: FakeSocket) -> None:
        raise refused(451) if socket.url.startswith("wss://one") else TimeoutError()

    exchange.answer = answer
    stream = exchange.stream(hosts=("wss://one", "wss://two"))

    async def script() -> None:
        await exchange.time.advance(HOUR)
        assert stream.state.state == "down"

    play(stream, script)
    assert exchange.hosts().count("wss://one") in (12, 13)
    assert most_in_five_minutes(exchange.times) <= 60


# The epoch of these tests is 2023-11-14 22:14:00.
@pytest.mark.parametrize(
    ("status", "until"),
    [(429, "90"), (418, "90"), (429, "Tue, 14 Nov 2023 22:15:30 GMT")],
    ids=["429", "418", "429 until a date"],
)
def test_wait_asked_for_holds_all_hosts(exchange: FakeExchange, status: int, until: str) -> None:
    def answer(socket: FakeSocket) -> None:
        if exchange.time.now < 90.0:
            raise refused(status, Retry_After=until)

    exchange.answer = answer
    stream = exchange.stream(hosts=("wss://one", "wss://two"))

    async def script() -> None:
        await exchange.time.advance(100.0)

    play(stream, script)
    assert exchange.times == [0.0, 90.0]


def test_a_host_that_asks_for_a_rest_is_left_alone_and_is_not_called_blocked(
    exchange: FakeExchange,
) -> None:
    def answer(socket: FakeSocket) -> None:
        raise refused(503, Retry_After="200")

    exchange.answer = answer
    stream = exchange.stream()
    states = []

    async def script() -> None:
        await exchange.time.advance(210.0)
        states.append(stream.state.state)

    play(stream, script)
    assert exchange.times == [0.0, 200.0]
    assert states == ["down"]
