"""What was judged or filled on bars that were rewritten since: marked, never judged again.

The record keeps the prices that it hangs on; a stored bar that says otherwise was rewritten.
"""

from collections.abc import Sequence

from core.pair_spec import PairSpec
from ingest.store import episodes, paper
from ingest.store.reader import Kept, Reader
from ingest.store.rules import StoredRule
from ingest.store.transaction import Writer

MOST_COMPARED = 200
"""Of a rule's newest bars and trips: what is rewritten is seldom old."""


def mark_revised(reader: Reader, writer: Writer, rule: StoredRule) -> int:
    """Compare the record of a rule with the bars as they are stored now; return what was marked."""
    rule_id, pair = rule.rule_id, rule.spec.pair
    assert pair is not None, "a data rule hangs on no bar"
    asked = rule_id, rule.born_ms, MOST_COMPARED
    judged = rewritten(reader, pair, reader.judged_prices(*asked))
    filled = rewritten(reader, pair, reader.filled_prices(*asked))
    if not judged and not filled:
        return 0
    with writer.transaction() as tx:
        marked = sum(episodes.mark_revised(tx, rule_id, time_ms) for time_ms in judged)
        return marked + sum(paper.mark_revised(tx, rule_id, time_ms) for time_ms in filled)


def rewritten(reader: Reader, pair: PairSpec, kept: Sequence[Kept]) -> list[int]:
    """Open times of the bars that say otherwise now; one that was pruned says nothing."""
    times = [one.open_time_ms for one in kept]
    legs = [
        reader.prices_at(symbol, pair.timeframe_ms, times)
        for symbol in (pair.symbol_a, pair.symbol_b)
    ]
    found = set()
    for one in kept:
        for bars, price in zip(legs, (one.price_a, one.price_b), strict=True):
            bar = bars.get(one.open_time_ms)
            if bar is not None and (not bar[2] or price != bar[0 if one.is_open else 1]):
                found.add(one.open_time_ms)
    return sorted(found)
