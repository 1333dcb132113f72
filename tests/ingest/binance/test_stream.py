"""The feed survives whatever the exchange and the network do, without hammering either."""

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any
from urllib.parse import unquote

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response

from core.types import Trade
from ingest.binance.connection import split_streams
from ingest.binance.stream import TradeStream

FOUR = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")
HOUR = 3_600.0
SHUTDOWN = json.dumps({"e": "serverShutdown", "E": 1_700_000_040_000}).encode()


def frame(trade_id: int, symbol: str = "BTCUSDT", **changes: Any) -> bytes:
    payload = {"e": "aggTrade", "E": 1_700_000_040_000, "s": symbol, "a": trade_id, "p": "100.5"}
    payload |= {"q": "0.5", "f": trade_id, "l": trade_id, "T": 1_700_000_040_000, "m": True}
    stream = f"{symbol.lower()}@aggTrade"
    return json.dumps({"stream": stream, "data": payload | changes}).encode()


def refused(status: int, **headers: str) -> InvalidStatus:
    named = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return InvalidStatus(Response(status, "", named))


def closed(code: int = 1001, reason: str = "") -> ConnectionClosedError:
    return ConnectionClosedError(Close(code, reason), None)


class FakeSocket:
    """One connection of the fake exchange: what is fed is received, an exception ends it."""

    def __init__(self, time: Any, url: str) -> None:
        self.url = url
        self.opened_at = time.now
        self.closed_at: float | None = None
        self.sent: list[tuple[float, dict[str, Any]]] = []
        self._time = time
        self._queue: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def feed(self, *items: bytes | Exception) -> None:
        for item in items:
            self._queue.put_nowait(item)

    async def recv(self) -> bytes:
        item = await self._queue.get()
        if isinstance(item, Exception):
            raise item
        return item

    async def send(self, message: str) -> None:
        self.sent.append((self._time.now, json.loads(message)))

    async def close(self) -> None:
        self.closed_at = self._time.now


class FakeExchange:
    """A stream whose connector is a script: `answer(number, url)` feeds a socket or raises."""

    def __init__(self, time: Any) -> None:
        self.time = time
        self.attempts: list[tuple[float, str]] = []
        self.sockets: list[FakeSocket] = []
        self.trades: list[Trade] = []
        self.received_ms: list[int] = []
        self.connected_calls = 0
        self.answer: Callable[[FakeSocket], None] = lambda socket: None

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.attempts]

    def hosts(self) -> list[str]:
        return [url.partition("/stream")[0] for _, url in self.attempts]

    async def connect(self, url: str) -> FakeSocket:
        self.attempts.append((self.time.now, url))
        socket = FakeSocket(self.time, url)
        self.answer(socket)
        self.sockets.append(socket)
        return socket

    def on_trade(self, trade: Trade, received_ms: int) -> None:
        self.trades.append(trade)
        self.received_ms.append(received_ms)

    def on_connected(self) -> None:
        self.connected_calls += 1

    def stream(
        self, symbols: tuple[str, ...] = FOUR, hosts: tuple[str, ...] = ("wss://one",), **more: Any
    ) -> TradeStream:
        return TradeStream(
            hosts,
            symbols,
            more.pop("on_trade", self.on_trade),
            on_connected=self.on_connected,
            connect=self.connect,
            clock=self.time.clock,
            wall_clock=self.time.wall_clock,
            sleep=self.time.sleep,
            rng=Random(3),
            **more,
        )


@pytest.fixture
def exchange(virtual_time: Any) -> FakeExchange:
    return FakeExchange(virtual_time)


def play(stream: TradeStream, script: Callable[[], Any]) -> None:
    """Run a stream while a script turns the clock and looks."""

    async def both() -> None:
        task = asyncio.create_task(stream.run())
        acting = asyncio.create_task(script())
        await asyncio.wait((task, acting), return_when=asyncio.FIRST_COMPLETED)
        acting.cancel()
        task.cancel()
        outcomes = await asyncio.gather(task, acting, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    asyncio.run(both())


def most_in_five_minutes(times: list[float]) -> int:
    return max(sum(start <= at < start + 300.0 for at in times) for start in times)


def test_trades_arrive_with_the_time_they_were_received(exchange: FakeExchange) -> None:
    stream = exchange.stream()
    assert stream.state.state == "connecting"

    async def script() -> None:
        await exchange.time.settle()
        assert stream.connected.is_set()
        assert exchange.connected_calls == 1
        assert stream.state.state == "connecting"
        await exchange.time.advance(2.5)
        exchange.sockets[0].feed(frame(1), frame(2, "ETHUSDT"))
        await exchange.time.settle()
        assert [(trade.symbol, trade.trade_id) for trade in exchange.trades] == [
            ("BTCUSDT", 1),
            ("ETHUSDT", 2),
        ]
        assert exchange.received_ms == [1_700_000_042_500] * 2
        state = stream.state
        assert (state.state, state.host, state.reconnects) == ("live", "one", 0)
        assert (state.last_frame_ms, state.last_error) == (1_700_000_042_500, None)

    play(stream, script)
    assert exchange.sockets[0].url == (
        "wss://one/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade/solusdt@aggTrade/bnbusdt@aggTrade"
    )
    assert exchange.sockets[0].closed_at is not None


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


@pytest.mark.parametrize("status", [429, 418])
def test_wait_asked_for_holds_all_hosts(exchange: FakeExchange, status: int) -> None:
    def answer(socket: FakeSocket) -> None:
        if exchange.time.now < 90.0:
            raise refused(status, Retry_After="90")

    exchange.answer = answer
    stream = exchange.stream(hosts=("wss://one", "wss://two"))

    async def script() -> None:
        await exchange.time.advance(100.0)

    play(stream, script)
    assert exchange.times == [0.0, 90.0]


def test_an_upgrade_refused_until_a_date_is_tried_again_at_that_date(
    exchange: FakeExchange,
) -> None:
    # The epoch of these tests is 2023-11-14 22:14:00.
    def answer(socket: FakeSocket) -> None:
        if exchange.time.now < 90.0:
            raise refused(429, Retry_After="Tue, 14 Nov 2023 22:15:30 GMT")

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


@pytest.mark.parametrize(("symbols", "limit_s"), [(FOUR, 15.0), (FOUR[:3], 60.0)])
def test_connection_that_falls_silent_is_replaced(
    exchange: FakeExchange, symbols: tuple[str, ...], limit_s: float
) -> None:
    stream = exchange.stream(symbols)

    async def script() -> None:
        await exchange.time.advance(10.0)
        exchange.sockets[0].feed(frame(1))
        await exchange.time.advance(limit_s - 1.0)
        assert len(exchange.attempts) == 1
        await exchange.time.advance(3.0)
        assert len(exchange.attempts) == 2
        assert f"no trade for {limit_s:.0f} s" in (stream.state.last_error or "")
        assert exchange.sockets[0].closed_at == 10.0 + limit_s
        assert stream.state.reconnects == 1
        assert exchange.connected_calls == 2

    play(stream, script)


def test_silence_is_noticed_though_other_frames_arrive(exchange: FakeExchange) -> None:
    async def script() -> None:
        for _ in range(20):
            for socket in exchange.sockets:
                socket.feed(b'{"result":null,"id":1}')
            await exchange.time.advance(1.0)
        assert len(exchange.attempts) == 2

    play(exchange.stream(), script)


def test_symbol_without_trades_is_named(exchange: FakeExchange) -> None:
    stream = exchange.stream()

    async def script() -> None:
        for second in range(14):
            await exchange.time.advance(1.0)
            exchange.sockets[0].feed(frame(second), frame(second, "ETHUSDT"))
            if second == 5:
                exchange.sockets[0].feed(frame(1, "SOLUSDT"))
            if second < 11:
                assert stream.state.silent_symbols == ()
        await exchange.time.settle()
        assert stream.state.silent_symbols == ("BNBUSDT",)
        assert stream.state.state == "live"

    play(stream, script)


def test_a_stalled_symbol_is_asked_for_anew_without_a_flood_of_messages(
    exchange: FakeExchange,
) -> None:
    stream = exchange.stream()

    async def script() -> None:
        await exchange.time.advance(1.0)
        for _ in range(300):
            stream.resubscribe(["BNBUSDT", "ELSEUSDT"])
            stream.resubscribe(["BTCUSDT"])
        await exchange.time.advance(5.0)
        sent = exchange.sockets[0].sent
        assert [message["method"] for _, message in sent] == ["UNSUBSCRIBE", "SUBSCRIBE"]
        streams = ["bnbusdt@aggTrade", "btcusdt@aggTrade"]
        assert all(message["params"] == streams for _, message in sent)
        stream.resubscribe(["BNBUSDT"])
        await exchange.time.advance(5.0)
        assert [message["params"] for _, message in sent[2:]] == [streams[:1]] * 2
        assert len({message["id"] for _, message in sent}) == 4
        # Our ping and our pong may fall into the same second: three and two make five.
        assert all(later - earlier >= 0.5 for (earlier, _), (later, _) in pairwise(sent))

    play(stream, script)


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


def test_broken_and_foreign_frames_are_set_aside_and_counted(exchange: FakeExchange) -> None:
    stream = exchange.stream()

    async def script() -> None:
        await exchange.time.settle()
        good, broken = frame(1), frame(2)[:-9]
        raw_trade = json.dumps(
            {"e": "trade", "E": 1, "s": "BTCUSDT", "t": 5, "p": "1", "q": "1", "T": 1, "m": True}
        ).encode()
        exchange.sockets[0].feed(good, broken, frame(3, p="NaN"), frame(4, "XRPUSDT"), raw_trade)
        await exchange.time.settle()
        assert stream.state.quarantined == 4
        assert "a trade frame where aggTrade was subscribed" in (stream.state.last_error or "")
        exchange.sockets[0].feed(frame(6, "XRPUSDT"))
        await exchange.time.settle()
        assert stream.state.last_error == "frame set aside: XRPUSDT was not asked for"
        assert [trade.trade_id for trade in exchange.trades] == [1]
        assert stream.state.state == "live"

    play(stream, script)


@pytest.mark.parametrize(
    "reply",
    [
        b'{"code":2,"msg":"Invalid request: invalid stream","id":1}',
        b'{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":1}',
    ],
)
def test_refused_subscription_is_told_in_words(exchange: FakeExchange, reply: bytes) -> None:
    stream = exchange.stream()

    async def script() -> None:
        await exchange.time.settle()
        exchange.sockets[0].feed(b'{"result":null,"id":1}')
        await exchange.time.settle()
        assert stream.state.last_error is None
        exchange.sockets[0].feed(reply)
        await exchange.time.settle()
        assert stream.state.last_error == (
            "the exchange refused a subscription: Invalid request: invalid stream (code 2)"
        )
        assert stream.state.quarantined == 0

    play(stream, script)


def test_thousand_symbols_are_all_subscribed_within_the_exchanges_limits(
    exchange: FakeExchange,
) -> None:
    symbols = (*(f"COIN{number}USDT" for number in range(999)), "币安人生USDT")
    stream = exchange.stream(symbols, on_trade=lambda trade, received_ms: None)

    async def script() -> None:
        await exchange.time.settle()
        assert not stream.connected.is_set()
        await exchange.time.advance(5.0)
        assert stream.connected.is_set()

    play(stream, script)
    (socket,) = exchange.sockets
    assert len(socket.url) <= 8_000
    names = unquote(socket.url.partition("streams=")[2]).split("/")
    for _, message in socket.sent:
        assert message["method"] == "SUBSCRIBE"
        names += message["params"]
    assert sorted(names) == sorted(f"{symbol.lower()}@aggTrade" for symbol in symbols)
    times = [at for at, _ in socket.sent]
    assert len(times) > 1
    # Five a second are allowed, and pongs count too.
    assert all(later - earlier >= 0.25 for earlier, later in pairwise(times))
    assert len({message["id"] for _, message in socket.sent}) == len(times)


def test_symbols_beyond_ascii_stay_within_the_url_limit() -> None:
    symbols = [f"币安人生{number}USDT" for number in range(400)]
    url, batches = split_streams("wss://one", symbols)
    assert len(url) <= 8_000
    assert url.isascii()
    in_url = unquote(url.partition("streams=")[2]).split("/")
    assert in_url + [name for batch in batches for name in batch] == [
        f"{symbol.lower()}@aggTrade" for symbol in symbols
    ]


def test_more_streams_than_a_connection_takes_are_spread_over_several(
    exchange: FakeExchange,
) -> None:
    stream = exchange.stream(FOUR, max_streams=2)

    async def script() -> None:
        await exchange.time.settle()
        assert stream.connected.is_set()
        exchange.sockets[0].feed(frame(1))
        await exchange.time.settle()
        assert stream.state.state == "connecting"
        exchange.sockets[1].feed(frame(1, "SOLUSDT"))
        await exchange.time.settle()
        assert stream.state.state == "live"
        assert stream.state.reconnects == 0

    play(stream, script)
    assert [socket.url.partition("streams=")[2] for socket in exchange.sockets] == [
        "btcusdt@aggTrade/ethusdt@aggTrade",
        "solusdt@aggTrade/bnbusdt@aggTrade",
    ]


@pytest.mark.parametrize("during_overlap", [False, True])
def test_defect_of_ours_ends_the_stream_instead_of_looking_like_the_network(
    exchange: FakeExchange, during_overlap: bool
) -> None:
    def on_trade(trade: Trade, received_ms: int) -> None:
        if trade.trade_id == 13:
            raise ZeroDivisionError("a defect")

    async def script() -> None:
        await exchange.time.settle()
        exchange.sockets[0].feed(frame(1))
        if during_overlap:
            await exchange.time.advance(100.0)
            exchange.sockets[0].feed(SHUTDOWN)
            await exchange.time.settle()
            assert len(exchange.sockets) == 2
        exchange.sockets[0].feed(frame(13))
        await exchange.time.advance(60.0)

    with pytest.raises(ZeroDivisionError, match="a defect"):
        play(exchange.stream(on_trade=on_trade, silence_limit_s=HOUR), script)
    assert all(socket.closed_at is not None for socket in exchange.sockets)


def test_stream_without_hosts_or_symbols_is_refused(exchange: FakeExchange) -> None:
    with pytest.raises(ValueError, match="at least one"):
        exchange.stream(())
    with pytest.raises(ValueError, match="at least one"):
        exchange.stream(hosts=())
