"""Whatever bytes arrive, the parser answers with a sane trade, nothing, or its own error."""

import math
import random
from collections.abc import Callable

import pytest

from core.errors import FrameError
from ingest.binance.frames import MAX_ID, parse_control, parse_frame
from ingest.simulator.faults import GARBAGE, UNKNOWN_EVENT

FRAME = (
    b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1790000000001,"s":"BTCUSDT",'
    b'"a":26129,"p":"64000.10000000","q":"0.00500000","f":100,"l":105,"T":1790000000000,'
    b'"m":true,"M":true}}'
)
RAW_TRADE = FRAME.replace(b"aggTrade", b"trade").replace(b'"a":', b'"t":')
SEEDS = (FRAME, RAW_TRADE, *(text.encode() for text in GARBAGE))
PIECES = (
    *(b"null", b"NaN", b"-1", b"1e400", b"9007199254740993", b"0", b"0.0", b'""', b"[]", b"{}"),
    *(b'"', b"\\", b"\x00", b"\xff\xfe", b"\\ud800", b'"a":', b'"p":"-0"', b",", b"}", b"true"),
)


def mutated(rng: random.Random) -> bytes:
    frame = bytearray(SEEDS[rng.randrange(2)] if rng.random() < 0.8 else rng.choice(SEEDS))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(frame) + 1)
        kind = rng.randrange(9)
        if kind > 4 and frame:
            digits = rng.random() < 0.5
            frame[at % len(frame)] = rng.choice(b"0123456789.-") if digits else rng.randrange(256)
        elif kind == 1:
            frame[at:at] = rng.choice(PIECES)
        elif kind == 2:
            del frame[at : at + rng.randint(1, 12)]
        elif kind == 3:
            end = at + rng.randint(1, 16)
            frame[at:end] = rng.choice(PIECES)
        else:
            del frame[at:]
    return bytes(frame)


def fuzz(count: int, seed: int) -> None:
    rng = random.Random(seed)
    trades = refused = 0
    for _ in range(count):
        frame = mutated(rng)
        try:
            trade = parse_frame(frame)
        except FrameError:
            refused += 1
            continue
        if trade is None:
            parse_control(frame)
            continue
        trades += 1
        assert 0 <= trade.trade_id <= MAX_ID
        assert math.isfinite(trade.price)
        assert math.isfinite(trade.quantity)
        assert trade.trade_time_ms >= 0
        is_tombstone = trade.price == trade.quantity == 0.0 and trade.first_id == -1
        assert is_tombstone or (trade.price > 0.0 and trade.quantity > 0.0)
    # The mutations reach both sides of the line.
    assert trades > count // 50
    assert refused > count // 50


def test_mutated_frames_are_sane_trades_or_typed_errors() -> None:
    assert parse_frame(UNKNOWN_EVENT) is None
    fuzz(20_000, seed=1)


@pytest.mark.soak
def test_a_million_mutated_frames_are_sane_trades_or_typed_errors(
    soak_times: Callable[[int], int],
) -> None:
    fuzz(soak_times(1_000_000), seed=2)
