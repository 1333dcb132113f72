"""Stream names, addresses, control messages and live frames of the simulated exchange."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from ingest.simulator import wire
from ingest.simulator.ledger import Ledger
from ingest.simulator.market import BLOCK_MS
from ingest.simulator.publisher import Publisher
from ingest.simulator.stream import Stream, Subscriptions, open_address, parse_stream
from tests.support.simulator import Clock

NOW_MS = 1_788_000_000_500


class Listener:
    """Keeps what it is told."""

    def __init__(self, *names: str, combined: bool = False, unit: int = 1) -> None:
        self.subscriptions = Subscriptions(combined, unit, names)
        self.texts: list[str] = []

    def send(self, texts: Sequence[str]) -> None:
        self.texts += texts

    def frames(self) -> list[Any]:
        return [orjson.loads(text) for text in self.texts]


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_MS)


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(7, 1.0, clock)


def run(publisher: Publisher, clock: Clock, duration_ms: int, step_ms: int = 700) -> None:
    """Let time pass in uneven steps."""
    end = clock.now_ms + duration_ms
    while clock.now_ms < end:
        clock.now_ms = min(end, clock.now_ms + step_ms)
        publisher.publish()


# Names and addresses ------------------------------------------------------------------------


def test_stream_names_are_lower_case_and_others_stay_silent() -> None:
    assert parse_stream("btcusdt@aggTrade") == Stream("aggTrade", "BTCUSDT")
    assert parse_stream("ethusdt@kline_15m") == Stream("kline", "ETHUSDT", "15m")
    assert parse_stream("ethusdt@kline_1d@+08:00") == Stream("kline", "ETHUSDT", "1d", 28_800_000)
    for silent in ("BTCUSDT@aggTrade", "nope@aggTrade", "btcusdt@depth", "btcusdt@kline_7m"):
        assert parse_stream(silent) is None


@pytest.mark.parametrize(
    ("target", "names", "combined", "unit"),
    [
        ("/ws", [], False, 1),
        ("/ws/btcusdt@aggTrade", ["btcusdt@aggTrade"], False, 1),
        ("/ws/a@trade/b@trade/c@trade", ["a@trade", "b@trade", "c@trade"], False, 1),
        ("/ws/btcusdt%40trade?timeUnit=MICROSECOND", ["btcusdt@trade"], False, 1_000),
        ("/stream?streams=a@trade/b@trade", ["a@trade", "b@trade"], True, 1),
        ("/stream?streams=a%40trade%2Fb%40trade", ["a@trade", "b@trade"], True, 1),
        ("/stream?streams=a@trade&timeUnit=microsecond", ["a@trade"], True, 1_000),
        ("/stream", [], True, 1),
    ],
)
def test_addresses(target: str, names: list[str], combined: bool, unit: int) -> None:
    opened = open_address(target)
    assert opened is not None
    assert (list(opened.names), opened.combined, opened.unit) == (names, combined, unit)


def test_addresses_that_are_no_stream() -> None:
    assert open_address("/api/v3/ping") is None
    with pytest.raises(ValueError, match="time unit"):
        open_address("/ws/a@trade?timeUnit=HOUR")
    with pytest.raises(ValueError, match="Too many"):
        open_address("/ws/" + "/".join(f"s{i}@trade" for i in range(1_025)))


# Control messages ---------------------------------------------------------------------------


def test_subscribe_list_and_unsubscribe() -> None:
    opened = Subscriptions(False, 1, ["btcusdt@trade"])
    subscribe = '{"method":"SUBSCRIBE","params":["ethusdt@aggTrade","nope@depth"],"id":1}'
    assert opened.reply(subscribe) == '{"result":null,"id":1}'
    assert opened.reply('{"method":"LIST_SUBSCRIPTIONS","id":"abc"}') == (
        '{"result":["btcusdt@trade","ethusdt@aggTrade","nope@depth"],"id":"abc"}'
    )
    opened.reply('{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":312}')
    assert list(opened.names) == ["ethusdt@aggTrade", "nope@depth"]


def test_the_combined_property() -> None:
    opened = Subscriptions(False, 1, [])
    ask = '{"method":"GET_PROPERTY","params":["combined"],"id":2}'
    assert opened.reply(ask) == '{"result":false,"id":2}'
    set_it = '{"method":"SET_PROPERTY","params":["combined",true],"id":null}'
    assert opened.reply(set_it) == '{"result":null,"id":null}'
    assert opened.combined
    assert opened.reply(ask) == '{"result":true,"id":2}'


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        ('{"method":"SET_PROPERTY","params":["x",true],"id":1}', 0, "Unknown property"),
        ('{"method":"GET_PROPERTY","params":["x"],"id":1}', 0, "Unknown property"),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":1}', 1, "expected Boolean"),
        ('{"method":"SET_PROPERTY","params":[1,true],"id":1}', 2, "name must be a string"),
        ('{"method":"SET_PROPERTY","params":["combined",true,1],"id":1}', 2, "too many parameters"),
        ('{"method":"LIST_SUBSCRIPTIONS","params":["x"],"id":1}', 2, "too many parameters"),
        ('{"method":"SUBSCRIBE","params":["no stream"],"id":1}', 2, "invalid stream"),
        ('{"method":"SUBSCRIBE","params":[],"id":1}', 2, "invalid stream"),
        ('{"method":"SUBSCRIBE","params":["a@trade"],"id":1.5}', 2, "request ID must be"),
        ('{"method":"SUBSCRIBE","params":["a@trade"],"id":"a-b"}', 2, "request ID must be"),
        ('{"method":"HELLO","id":1}', 2, "unknown variant `HELLO`, expected one of `SUBSCRIBE`,"),
        ('{"params":[],"id":1}', 2, "missing field `method` at line 1 column 20"),
        ("[1]", 2, "missing field `method`"),
        ("{oops", 3, "Invalid JSON: expected value at line 1 column 2"),
    ],
)
def test_control_errors(message: str, code: int, words: str) -> None:
    opened = Subscriptions(True, 1, ["btcusdt@trade"])
    reply = orjson.loads(opened.reply(message))
    assert reply["error"]["code"] == code
    assert words in reply["error"]["msg"]
    assert "id" in reply
    assert (list(opened.names), opened.combined) == (["btcusdt@trade"], True)


def test_the_thousand_and_twenty_fifth_stream_is_refused() -> None:
    opened = Subscriptions(True, 1, [f"s{i}@trade" for i in range(1_024)])
    known = '{"method":"SUBSCRIBE","params":["s0@trade"],"id":18}'
    assert opened.reply(known) == '{"result":null,"id":18}'
    assert opened.reply('{"method":"SUBSCRIBE","params":["b@trade"],"id":19}') == (
        '{"error":{"code":4,"msg":"Too many subscriptions"},"id":19}'
    )


# Live frames --------------------------------------------------------------------------------


def test_live_frames_are_the_ledger_without_gap_or_repeat(ledger: Ledger, clock: Clock) -> None:
    # The time runs over the edge of a block.
    clock.now_ms = start = (NOW_MS // BLOCK_MS + 1) * BLOCK_MS - 30_000
    publisher = Publisher(ledger)
    listener = Listener("btcusdt@aggTrade", "dotusdt@aggTrade", combined=True)
    publisher.add(listener)
    run(publisher, clock, 60_000)
    frames = listener.frames()
    for symbol in ("BTCUSDT", "DOTUSDT"):
        told = [f["data"] for f in frames if f["stream"] == f"{symbol.lower()}@aggTrade"]
        trades = ledger.trades_between(symbol, start - 10, clock.now_ms + 1)
        due = [t for t in trades if start < t.event_time_ms <= clock.now_ms]
        assert [f["a"] for f in told] == [t.trade_id for t in due]
        assert len(due) > 20
        for frame, trade in zip(told, due, strict=True):
            assert {k: frame[k] for k in ("a", "p", "q", "f", "l", "T", "m", "M")} == (
                wire.agg_trade_row(trade, 1)
            )
            assert (frame["e"], frame["E"], frame["s"]) == (
                "aggTrade", trade.event_time_ms, symbol
            )  # fmt: skip
    times = [f["data"]["E"] for f in frames]
    assert times == sorted(times)


def test_a_trade_is_told_at_its_event_time_and_not_before(ledger: Ledger, clock: Clock) -> None:
    publisher = Publisher(ledger)
    listener = Listener("btcusdt@aggTrade")
    publisher.add(listener)
    clock.now_ms += 10_000
    coming = next(t for t in ledger.trades_between("BTCUSDT", NOW_MS, clock.now_ms)
                  if t.event_time_ms > NOW_MS)  # fmt: skip
    clock.now_ms = coming.event_time_ms - 1
    publisher.publish()
    assert listener.texts == []
    clock.now_ms += 1
    publisher.publish()
    assert listener.frames()[0]["a"] == coming.trade_id


def test_what_is_unsubscribed_is_told_no_more(ledger: Ledger, clock: Clock) -> None:
    publisher = Publisher(ledger)
    one, other = Listener("ethusdt@aggTrade"), Listener("ethusdt@aggTrade")
    publisher.add(one)
    run(publisher, clock, 10_000)
    publisher.add(other)
    run(publisher, clock, 10_000)
    publisher.remove(one)
    run(publisher, clock, 10_000)
    first = {frame["a"] for frame in one.frames()}
    second = {frame["a"] for frame in other.frames()}
    assert first - second
    assert first & second
    assert second - first
    assert max(first) - min(first) == len(first) - 1
    assert max(second) - min(second) == len(second) - 1


def test_raw_trades_and_microseconds(ledger: Ledger, clock: Clock) -> None:
    publisher = Publisher(ledger)
    listener = Listener("btcusdt@trade", "btcusdt@aggTrade", "btcusdt@bookTicker", unit=1_000)
    publisher.add(listener)
    run(publisher, clock, 10_000)
    frames = listener.frames()
    raw = [f for f in frames if f.get("e") == "trade"]
    aggregates = [f for f in frames if f.get("e") == "aggTrade"]
    books = [f for f in frames if "e" not in f]
    assert [f["t"] for f in raw] == [i for f in aggregates for i in range(f["f"], f["l"] + 1)]
    assert len(books) == len(aggregates)
    assert all(float(book["b"]) < float(book["a"]) for book in books)
    assert all(f["T"] >= NOW_MS * 1_000 - 3_000 for f in raw)


def test_kline_streams_close_every_bar_with_the_rest_figures(ledger: Ledger, clock: Clock) -> None:
    clock.now_ms = start = NOW_MS // 60_000 * 60_000 + 30_000
    publisher = Publisher(ledger)
    listener = Listener("dotusdt@kline_1s", "dotusdt@kline_1m")
    publisher.add(listener)
    run(publisher, clock, 120_000)
    klines = [frame["k"] for frame in listener.frames()]
    seconds = [k for k in klines if k["i"] == "1s"]
    assert [k["t"] for k in seconds] == list(range(start, start + 120_000, 1_000))
    assert all(k["x"] for k in seconds)
    empty = next(k for k in seconds if k["n"] == 0)
    assert (empty["f"], empty["L"]) == (-1, -1)
    assert empty["o"] == empty["h"] == empty["l"] == empty["c"]
    minutes = [k for k in klines if k["i"] == "1m"]
    assert len(minutes) == 60
    closed = [k for k in minutes if k["x"]]
    assert [k["t"] for k in closed] == [start - 30_000, start + 30_000]
    bars = ledger.bars("DOTUSDT", 60_000, start - 30_000, start + 90_000)
    assert [(float(k["o"]), float(k["c"]), float(k["v"]), k["n"]) for k in closed] == [
        (bar.open, bar.close, bar.volume, bar.trade_count) for bar in bars
    ]
    assert all(k["L"] - k["f"] + 1 == k["n"] for k in minutes if k["n"])


def test_mini_tickers(ledger: Ledger, clock: Clock) -> None:
    publisher = Publisher(ledger)
    listener = Listener("btcusdt@miniTicker", "!miniTicker@arr")
    publisher.add(listener)
    run(publisher, clock, 1_000)
    one, everything = listener.frames()
    assert (one["e"], one["s"]) == ("24hrMiniTicker", "BTCUSDT")
    assert one in everything
    assert len(everything) == 20


def test_a_burst_reaches_the_stream_in_full(ledger: Ledger, clock: Clock) -> None:
    publisher = Publisher(ledger)
    listener = Listener("btcusdt@aggTrade")
    publisher.add(listener)
    run(publisher, clock, 2_000)
    ledger.burst(5_000, 3, ["BTCUSDT"])
    run(publisher, clock, 6_000, step_ms=50)
    ids = [frame["a"] for frame in listener.frames()]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert len(ids) > 15_000


def test_after_a_long_sleep_the_stream_goes_on_from_now(ledger: Ledger, clock: Clock) -> None:
    publisher = Publisher(ledger)
    listener = Listener("btcusdt@aggTrade")
    publisher.add(listener)
    run(publisher, clock, 5_000)
    before = len(listener.texts)
    run(publisher, clock, 5 * 3_600_000, step_ms=5 * 3_600_000)
    run(publisher, clock, 5_000)
    assert 0 < len(listener.texts) - before < 1_000
