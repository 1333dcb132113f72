"""How far the ids of a symbol are trusted: a wrong yes closes bars over trades that are missing."""

from collections.abc import Callable

import pytest

from ingest.live.chain import SymbolChain

LIVE_MS = 1_700_000_040_000
Event = Callable[[SymbolChain], None]
PROVED, DOUBTED, STALLED, CONNECTED = (
    SymbolChain.prove,
    SymbolChain.doubt,
    SymbolChain.stall,
    SymbolChain.doubt_connection,
)


@pytest.mark.parametrize(
    ("events", "is_proven", "is_stalled"),
    [
        ((), False, False),
        ((PROVED,), True, False),
        ((PROVED, DOUBTED), False, False),
        ((PROVED, STALLED), False, True),
        ((STALLED, DOUBTED), False, True),  # dropped trades don't bring its stream back
        ((STALLED, CONNECTED), False, False),  # another connection has other subscriptions
        ((STALLED, PROVED), True, False),
        ((PROVED, CONNECTED), False, False),
    ],
)
def test_bars_close_with_the_clock_only_while_the_newest_id_is_known_to_be_the_edge(
    events: tuple[Event, ...], is_proven: bool, is_stalled: bool
) -> None:
    chain = SymbolChain("AAAUSDT", 1)
    for event in events:
        event(chain)
    assert (chain.is_proven, chain.is_stalled) == (is_proven, is_stalled)
    assert chain.known_until(LIVE_MS) == (LIVE_MS if is_proven else 0)


def test_what_rest_has_told_stays_known_whatever_the_stream_does() -> None:
    chain = SymbolChain("AAAUSDT", 1)
    chain.stall()
    chain.tell_until(LIVE_MS - 5_001)
    assert chain.known_until(LIVE_MS) == LIVE_MS - 6_000  # whole seconds only
    chain.tell_until(LIVE_MS - 9_000)  # an older answer that came later
    chain.doubt_connection()
    assert chain.known_until(LIVE_MS) == LIVE_MS - 6_000
    chain.prove()
    assert chain.known_until(LIVE_MS) == LIVE_MS
