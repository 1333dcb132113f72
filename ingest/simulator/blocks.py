"""Trades and ids of the simulated market, block by block, with what was laid over them."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, chain

from core.types import Trade
from ingest.simulator.cache import Cache
from ingest.simulator.listing import Listings
from ingest.simulator.market import BLOCK_BITS
from ingest.simulator.tape import Prints, Tape, event_time_ms

_CACHED_PRINTS = 600_000


class Changes:
    """What differs from one symbol's tape: trades laid over it, and times without any.

    Ids are dense all the same: those of later blocks shift by what was added or left out before.
    """

    def __init__(
        self,
        tape: Tape,
        symbol: str,
        extra: Mapping[int, Prints] | None = None,
        stops: Sequence[tuple[int, int]] = (),
    ) -> None:
        self._tape, self._symbol = tape, symbol
        self._extra = extra or {}
        self.stops = tuple(stops)
        stopped = (
            range(start >> BLOCK_BITS, ((end - 1) >> BLOCK_BITS) + 1) for start, end in self.stops
        )
        self._blocks = sorted({*self._extra, *chain.from_iterable(stopped)})
        made = [self.prints(block, 1) for block in self._blocks]
        own_ids, own_raws = tape.aggregates_per_block[symbol], tape.raws_per_block[symbol]
        self._ids_before = [0, *accumulate(len(prints) - own_ids for prints in made)]
        raws = (int(prints.raw_count.sum()) - own_raws for prints in made)
        self._raws_before = [0, *accumulate(raws)]

    def prints(self, first_block: int, blocks: int) -> Prints:
        """The trades of some blocks as they are after all changes."""
        prints = self._tape.prints(self._symbol, first_block, blocks)
        for block, extra in self._extra.items():
            if first_block <= block < first_block + blocks:
                prints = prints.merged(extra)
        for start_ms, end_ms in self.stops:
            prints = prints.without(start_ms, end_ms)
        return prints

    def plus(self, found: Mapping[int, Prints]) -> "Changes":
        """The same and trades by block laid over."""
        extra = dict(self._extra)
        for block, prints in found.items():
            extra[block] = extra[block].merged(prints) if block in extra else prints
        return Changes(self._tape, self._symbol, extra, self.stops)

    def stopped(self, start_ms: int, end_ms: int) -> "Changes":
        """The same and a time without any."""
        stops = (*self.stops, (start_ms, end_ms))
        return Changes(self._tape, self._symbol, self._extra, stops)

    def ids_before(self, block: int) -> int:
        """By how much aggregate ids are shifted where a block begins."""
        return self._ids_before[bisect_left(self._blocks, block)]

    def raws_before(self, block: int) -> int:
        """The same of raw trade ids."""
        return self._raws_before[bisect_left(self._blocks, block)]

    def block_of_id(self, trade_id: int) -> int:
        """The block that holds an aggregate id."""
        count = self._tape.aggregates_per_block[self._symbol]
        return _block_of(trade_id, count, self._ids_before, self.ids_before)

    def block_of_raw_id(self, raw_id: int) -> int:
        """The block that holds a raw trade id."""
        count = self._tape.raws_per_block[self._symbol]
        return _block_of(raw_id, count, self._raws_before, self.raws_before)


class Blocks:
    """The tape of every symbol as it is after all changes; it knows no clock.

    A block is a stretch of 2 ** `BLOCK_BITS` milliseconds; those to come are there already.
    """

    def __init__(self, tape: Tape, listings: Listings) -> None:
        self._tape = tape
        self._listings = listings
        self.changes = {symbol: Changes(tape, symbol) for symbol in listings}
        self._kept: Cache[tuple[str, int], Prints] = Cache(
            max(_CACHED_PRINTS, 2 * sum(tape.aggregates_per_block.values()))
        )

    def change(self, changes: Mapping[str, Changes]) -> None:
        """Let the market of some symbols be another from now on."""
        self.changes.update(changes)
        self._kept.clear()

    def get(self, symbol: str, block: int) -> Prints:
        """All trades of one block."""
        return self._kept.get((symbol, block), lambda key: self.made(*key, 1))

    def made(self, symbol: str, first_block: int, blocks: int) -> Prints:
        """All trades of some blocks, which are not kept."""
        return self.changes[symbol].prints(first_block, blocks)

    def first_id(self, symbol: str, block: int) -> int:
        """Aggregate id of the first trade of a block."""
        count = self._tape.aggregates_per_block[symbol]
        return block * count + self.changes[symbol].ids_before(block)

    def first_raw_id(self, symbol: str, block: int) -> int:
        """Raw trade id of the first trade of a block."""
        count = self._tape.raws_per_block[symbol]
        return block * count + self.changes[symbol].raws_before(block)

    def trades(self, symbol: str, block: int, start: int, end: int) -> list[Trade]:
        """Trades `start` to before `end` of a block."""
        if end <= start:
            return []
        prints = self.get(symbol, block)
        listing = self._listings[symbol]
        ticks, steps = 10**listing.price_decimals, 10**listing.quantity_decimals
        first_id = self.first_id(symbol, block)
        raw_id = self.first_raw_id(symbol, block) + int(prints.raw_count[:start].sum())
        rows = prints.part(start, end)
        found = []
        for i, (time_ms, price, quantity, raws, maker) in enumerate(
            zip(
                rows.trade_time_ms.tolist(),
                rows.price.tolist(),
                rows.quantity.tolist(),
                rows.raw_count.tolist(),
                rows.buyer_is_maker.tolist(),
                strict=True,
            ),
            first_id + start,
        ):
            found.append(
                Trade(
                    symbol,
                    i,
                    price / ticks,
                    quantity / steps,
                    time_ms,
                    event_time_ms(time_ms),
                    raw_id,
                    raw_id + raws - 1,
                    maker,
                )
            )
            raw_id += raws
        return found


def _block_of(
    number: int, count: int, shifts: Sequence[int], shift_before: Callable[[int], int]
) -> int:
    """The block that holds an id: each begins `count` after the last, plus the shift before it."""
    low, high = (number - max(shifts)) // count, (number - min(shifts)) // count
    return _last_at_most(number, low, high, lambda block: block * count + shift_before(block))


def _last_at_most(value: int, low: int, high: int, of: Callable[[int], int]) -> int:
    """The last number from `low` to `high` with of(number) ≤ value; `of` never falls."""
    while low < high:
        middle = (low + high + 1) // 2
        if of(middle) <= value:
            low = middle
        else:
            high = middle - 1
    return low
