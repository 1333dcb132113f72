"""Frames become trades exactly, and nothing broken becomes one."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import FrameError
from core.types import Trade
from ingest.binance.frames import Reply, Shutdown, parse_control, parse_frame

SHARED = Path(__file__).parents[4] / "shared" / "data"

AGGREGATE: dict[str, Any] = {
    "e": "aggTrade",
    "E": 1723161255343,
    "s": "BTCUSDT",
    "a": 3000000001,
    "p": "61837.63000000",
    "q": "0.02000000",
    "f": 3735683259,
    "l": 3735683262,
    "T": 1723161255342,
    "m": True,
    "M": True,
}
PRINT: dict[str, Any] = {
    "e": "trade",
    "E": 1723161255343,
    "s": "BTCUSDT",
    "t": 3735683259,
    "p": "61837.63000000",
    "q": "0.02000000",
    "T": 1723161255342,
    "m": False,
    "M": True,
}


def encoded(payload: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**payload, **changes}).encode()


def combined(payload: dict[str, Any], stream: str = "btcusdt@aggTrade", **changes: Any) -> bytes:
    return json.dumps({"stream": stream, "data": {**payload, **changes}}).encode()


EXPECTED_AGGREGATE = Trade(
    "BTCUSDT",
    3000000001,
    61837.63,
    0.02,
    1723161255342,
    1723161255343,
    3735683259,
    3735683262,
    True,
)


@pytest.mark.parametrize(
    "raw", [encoded(AGGREGATE), combined(AGGREGATE), combined(AGGREGATE).decode()]
)
def test_aggregate_is_read_alike_in_every_form(raw: bytes | str) -> None:
    assert parse_frame(raw) == EXPECTED_AGGREGATE


@pytest.mark.parametrize("raw", [encoded(PRINT), combined(PRINT, "btcusdt@trade")])
def test_single_print_covers_just_its_own_id(raw: bytes) -> None:
    trade = parse_frame(raw)
    assert trade is not None
    assert (trade.trade_id, trade.first_id, trade.last_id) == (3735683259,) * 3
    assert trade.raw_count == 1
    assert trade.buyer_is_maker is False


def test_microsecond_stream_gives_the_same_milliseconds() -> None:
    raw = combined(AGGREGATE, E=1723161255343999, T=1723161255342001)
    assert parse_frame(raw) == EXPECTED_AGGREGATE


def test_key_order_and_unknown_fields_do_not_matter() -> None:
    shuffled = dict(reversed(AGGREGATE.items())) | {"X": [1, {"p": 0}], "nq": "9"}
    assert parse_frame(json.dumps({"data": shuffled, "id": 7, "stream": "x@aggTrade"})) == (
        EXPECTED_AGGREGATE
    )


def test_symbols_beyond_ascii_are_kept() -> None:
    trade = parse_frame(combined(AGGREGATE, "币安人生usdt@aggTrade", s="币安人生USDT"))
    assert trade is not None
    assert trade.symbol == "币安人生USDT"


def test_equal_symbols_share_one_string() -> None:
    first, second = parse_frame(encoded(AGGREGATE)), parse_frame(encoded(PRINT))
    assert first is not None
    assert second is not None
    assert first.symbol is second.symbol


def test_cancelled_aggregate_keeps_its_link_of_the_id_chain() -> None:
    trade = parse_frame(combined(AGGREGATE, p="0", q="0", f=-1, l=-1))
    assert trade is not None
    assert (trade.trade_id, trade.quantity, trade.first_id, trade.raw_count) == (
        3000000001,
        0.0,
        -1,
        1,
    )


@pytest.mark.parametrize("key", ["E", "s", "a", "p", "q", "f", "l", "T", "m"])
def test_aggregate_without_a_needed_field_is_refused(key: str) -> None:
    payload = {name: value for name, value in AGGREGATE.items() if name != key}
    for raw in (encoded(payload), combined(payload), encoded(AGGREGATE, **{key: None})):
        with pytest.raises(FrameError):
            parse_frame(raw)


@pytest.mark.parametrize(
    "changes",
    [
        {"p": 61837.63},
        {"q": 0.02},
        {"p": "NaN"},
        {"p": "Infinity"},
        {"p": "1e999"},
        {"p": "1e19"},
        {"p": "-61837.63"},
        {"p": "0.00000000"},
        {"q": "0.00000000"},
        {"q": "-1"},
        {"p": ""},
        {"p": " 1"},
        {"p": "1_0"},
        {"p": "0x1F"},
        {"p": "１２"},
        {"p": "9" * 400},
        {"a": 2**53 + 1},
        {"l": 2**53 + 1},
        {"a": 2**64},
        {"a": -1},
        {"f": -1},
        {"f": -1, "l": -1},
        {"f": -1, "l": -1, "p": "0"},
        {"p": "0", "q": "0"},
        {"f": 3735683263},
        {"a": 1.0},
        {"a": "3000000001"},
        {"a": True},
        {"T": -1},
        {"E": -1},
        {"T": 10**18},
        {"T": "1723161255342"},
        {"m": 1},
        {"m": "true"},
        {"s": ""},
        {"s": "X" * 41},
        {"s": 5},
        {"e": 5},
    ],
    ids=str,
)
def test_absurd_trade_is_refused_and_not_passed_over(changes: dict[str, Any]) -> None:
    for raw in (encoded(AGGREGATE, **changes), combined(AGGREGATE, **changes)):
        with pytest.raises(FrameError):
            parse_frame(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"5",
        b'"aggTrade"',
        encoded(AGGREGATE)[:-1],
        combined(AGGREGATE)[:-20],
        encoded(AGGREGATE) + b"x",
        encoded(AGGREGATE).replace(b'"61837.63000000"', b"NaN"),
        encoded(AGGREGATE).replace(b'"BTCUSDT"', b'"\\ud800"'),
        "\ud800",
        b"[" * 200_000,
        b'{"data":' * 200_000,
        b'{"stream":"btcusdt@aggTrade","data":null}',
        b'{"stream":"btcusdt@aggTrade","data":{}}',
        b'{"stream":"btcusdt@aggTrade","data":[]}',
        b'{"stream":"btcusdt@trade","data":{"e":"kline"}}',
        b'{"stream":"btcusdt@kline_1m","data":5}',
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_broken_frame_is_refused(raw: bytes | str) -> None:
    with pytest.raises(FrameError):
        parse_frame(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"result":null,"id":1}',
        b'{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":2}',
        b'{"code":2,"msg":"Invalid request","id":"a"}',
        b'{"e":"serverShutdown","E":1770123456789}',
        b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
        b'{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"1","B":"2","a":"3"}}',
        b'{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[],"a":[["1","2"]]}',
        b'{"e":"kline","E":1,"s":"BTCUSDT","k":{"t":1,"f":1,"L":2,"x":true}}',
        b'{"lastUpdateId":1,"bids":[["1","2"]],"asks":[]}',
        b'{"e":"somethingNew","p":7}',
        b'[{"e":"24hrMiniTicker","s":"BTCUSDT"}]',
        b'{"stream":"!miniTicker@arr","data":[{"e":"24hrMiniTicker","s":"BTCUSDT"}]}',
        b"{}",
    ],
)
def test_frames_that_are_no_trades_are_passed_over(raw: bytes) -> None:
    assert parse_frame(raw) is None


def test_other_trade_event_cannot_mix_its_ids_into_the_subscribed_ones() -> None:
    assert parse_frame(combined(AGGREGATE), only="aggTrade") == EXPECTED_AGGREGATE
    with pytest.raises(FrameError, match="a trade frame where aggTrade was subscribed to"):
        parse_frame(encoded(PRINT), only="aggTrade")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200) | st.text(st.characters(exclude_categories=()), max_size=200))
def test_no_bytes_break_the_parser(raw: bytes | str) -> None:
    try:
        parsed = parse_frame(raw)
    except FrameError:
        return
    assert parsed is None or isinstance(parsed, Trade)


json_values = (
    st.sampled_from([None, True, "", "0", "1.5", "-1", "NaN", "aggTrade", "trade", [], {}, [1]])
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([AGGREGATE, PRINT]),
    st.dictionaries(st.sampled_from("eEsatpqflTm"), json_values, max_size=4),
    st.sampled_from(["btcusdt@aggTrade", "btcusdt@trade", "!x", 5, None]),
)
def test_whatever_passes_is_a_sane_trade(
    payload: dict[str, Any], changes: dict[str, Any], stream: Any
) -> None:
    changed = {**payload, **changes}
    for frame in (changed, {"stream": stream, "data": changed}):
        try:
            trade = parse_frame(json.dumps(frame))
        except FrameError:
            continue
        if trade is None:
            assert changed.get("e") not in ("aggTrade", "trade")
            continue
        assert 0 <= trade.trade_id <= 2**53
        assert 0 < trade.price <= 1e18
        assert 0 < trade.quantity <= 1e18
        assert 0 <= trade.trade_time_ms < 10**14
        assert trade.raw_count >= 1


@pytest.mark.parametrize(
    ("raw", "control"),
    [
        (b'{"result":null,"id":1}', Reply(1, None)),
        (b'{"result":["btcusdt@aggTrade"],"id":"x"}', Reply("x", None)),
        (b'{"code":4,"msg":"Too many subscriptions","id":9}', Reply(9, "Too many subscriptions")),
        (b'{"code":3,"msg":"Invalid JSON"}', Reply(None, "Invalid JSON")),
        (b'{"error":{"code":2,"msg":"invalid stream"},"id":2}', Reply(2, "invalid stream")),
        (b'{"e":"serverShutdown","E":1770123456789}', Shutdown()),
        (b'{"stream":"!serverShutdown","data":{"e":"serverShutdown"}}', Shutdown()),
        (b'{"stream":"btcusdt@bookTicker","data":{"u":1}}', None),
        (b'{"lastUpdateId":1}', None),
        (b"[]", None),
        (b"{", None),
    ],
)
def test_control_messages_are_told_apart(raw: bytes, control: Shutdown | Reply | None) -> None:
    read = parse_control(raw)
    if isinstance(control, Reply) and control.error is not None:
        assert isinstance(read, Reply)
        assert read.request_id == control.request_id
        assert read.error is not None
        assert read.error.startswith(control.error)
    else:
        assert read == control


@pytest.mark.parametrize(("name", "count"), [("btcusdt", 9_757), ("ethusdt", 6_106)])
def test_recorded_frames_give_every_trade_and_no_id_is_missing(name: str, count: int) -> None:
    path = SHARED / "binance_spot_frames" / f"{name}_20240808.gz"
    if not path.exists():
        pytest.skip(f"recorded frames are absent: {path}")
    ids: list[int] = []
    with gzip.open(path) as lines:
        for line in lines:
            trade = parse_frame(line.split(b" ", 1)[1])
            if trade is not None:
                assert trade.symbol == name.upper()
                ids.append(trade.trade_id)
    assert len(ids) == count
    assert ids == list(range(ids[0], ids[0] + count))


def test_recorded_mix_of_streams_gives_just_its_aggregates() -> None:
    folder = SHARED / "cryptofeed_frames"
    if not folder.exists():
        pytest.skip(f"recorded frames are absent: {folder}")
    kinds: Counter[str] = Counter()
    for path in folder.glob("*_ws.txt"):
        for line in path.read_text().split("\n")[1:]:
            if not line:
                continue
            raw = line.split(": ", 1)[1]
            trade = parse_frame(raw)
            kinds[json.loads(raw)["stream"].split("@")[1]] += 1
            assert (trade is not None) == ("@aggTrade" in raw)
            if trade is not None:
                assert trade.raw_count >= 1
    assert kinds["aggTrade"] > 0
    assert kinds["bookTicker"] > 0
