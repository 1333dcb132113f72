"""The feed reads, subscribes and notices silence as the exchange's rules have it."""

import json
from itertools import pairwise
from urllib.parse import unquote

import pytest

from core.types import Trade
from ingest.binance.connection import split_streams
from tests.support.fake_stream import FOUR, HOUR, SHUTDOWN, FakeExchange, frame, play


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
