"""What is known of a symbol's trades: a wrong yes closes bars over trades that are missing."""

from typing import Any

import pytest

from core.types import Trade
from ingest.live.chain import IdVerdict, SymbolChain, TradePage

NAME = "AAAUSDT"
START = 1_700_000_040_000
MARKET_MS = START + 10**9


@pytest.fixture
def trades(plain_market: Any) -> list[Trade]:
    return plain_market(NAME, 5, START, 200).trades  # type: ignore[no-any-return]


@pytest.fixture
def chain(trades: list[Trade]) -> SymbolChain:
    chain = SymbolChain(NAME, 1)
    chain.accept(trades[:100])
    return chain


def second(time_ms: int) -> int:
    return time_ms - time_ms % 1_000


def test_only_a_later_trade_of_its_own_or_a_word_of_rest_makes_a_second_known(
    chain: SymbolChain, trades: list[Trade]
) -> None:
    known_ms = second(trades[99].trade_time_ms)
    assert chain.known_until(MARKET_MS) == known_ms  # however late it is elsewhere
    chain.tell_until(known_ms + 7_900)
    assert chain.known_until(MARKET_MS) == known_ms + 7_000  # whole seconds only
    chain.tell_until(known_ms + 3_000)  # an older answer that came later
    assert chain.known_until(MARKET_MS) == known_ms + 7_000
    chain.accept(trades[100:150])
    assert chain.known_until(0) == max(second(trade.trade_time_ms) for trade in trades[:150])


def test_behind_the_newest_trade_of_the_market_rest_has_told_nothing(
    chain: SymbolChain, trades: list[Trade]
) -> None:
    known_ms = second(trades[99].trade_time_ms)
    chain.tell_until(known_ms + 60_000)
    assert chain.known_until(known_ms + 2_500) == known_ms + 2_000


def other(trade: Trade, **changes: Any) -> Trade:
    return trade._replace(trade_time_ms=trade.trade_time_ms + 90_000, **changes)


def test_an_answer_is_believed_only_if_it_begins_with_our_newest_trade(
    chain: SymbolChain, trades: list[Trade]
) -> None:
    last, following = trades[99], tuple(trades[100:110])
    for answer, newest, verdict in (
        ((last, *following), None, IdVerdict.GOES_ON),
        ((last,), None, IdVerdict.GOES_ON),
        (following, None, IdVerdict.GOES_ON),  # pruned up to there: a gap like any other
        ((), None, IdVerdict.UNSURE),
        ((), trades[60], IdVerdict.UNSURE),  # its database lags
        ((), trades[120], IdVerdict.UNSURE),  # and has caught up meanwhile
        ((), other(trades[60], trade_id=17), IdVerdict.FOREIGN),  # begun again
        ((other(last),), None, IdVerdict.FOREIGN),  # begun again, and past our newest since
        ((other(last, trade_id=2**52),), None, IdVerdict.FOREIGN),
    ):
        assert chain.judge(TradePage(answer, True), newest) is verdict


def test_a_first_live_trade_of_another_chain_is_recognised(trades: list[Trade]) -> None:
    page = TradePage(trades[:100], True)
    for live, is_foreign in (
        (trades[50], False),
        (trades[150], False),
        (trades[50]._replace(trade_id=2**53 - 1), True),
        (trades[50]._replace(trade_id=3, trade_time_ms=START + 30_000), True),
        # Of just before the minute: the exchange's answer begins with a later one.
        (trades[50]._replace(trade_id=900, trade_time_ms=START - 500), False),
    ):
        chain = SymbolChain(NAME, 1)
        chain.accept([live])
        assert chain.is_live_foreign(page, START) is is_foreign
        assert not chain.is_live_foreign(TradePage([], True), START)


def test_trades_that_no_chain_can_have_reached_are_set_aside_until_they_are_judged(
    chain: SymbolChain, trades: list[Trade]
) -> None:
    far = trades[100]._replace(trade_id=2**53 - 1)
    begun_again = other(trades[100], trade_id=1)
    for trade in (far, begun_again):
        accepted = chain.accept([trade])
        assert not accepted.new
        assert not accepted.opened
    assert chain.absurd == 2
    assert chain.unjudged == far
    assert chain.last_id == trades[99].trade_id
