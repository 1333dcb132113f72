"""What has traded: every trade and bar of the simulated exchange, by id or by time.

The ledger is the judge in tests: what a client stored is compared with it. It never tells of
anything later than its clock.

History reaches back `BAR_DAYS` for bars and `TRADE_DAYS` for single trades (older ones are pruned,
as a client must expect). While its trades are served a bar is the fold of those very trades. Bars
of the days before come from the archive, a coarser level of the same market: nobody can ask for
their trades any more, and a year of them is there in seconds.
"""

from collections.abc import Callable
from threading import Lock

import numpy as np

from core.types import Bar, Trade
from ingest.simulator.archive import MINUTE_MS, Archive
from ingest.simulator.blocks import Blocks, Changes
from ingest.simulator.burst import burst_prints, shares
from ingest.simulator.cache import Cache
from ingest.simulator.folding import NO_ROWS, BarRows, dense, fold_prints, fold_rows, joined
from ingest.simulator.listing import LISTINGS, Listings
from ingest.simulator.market import BLOCK_BITS, BLOCK_MS, Market
from ingest.simulator.tape import Tape

TRADE_DAYS = 7
BAR_DAYS = 400
DAY_MS = 86_400_000

_CHUNK_BLOCKS = 32
_ARCHIVE_BLOCKS = 1_024
_CACHED_MINUTES = 300_000


class Ledger:
    """Trades and bars of every listed symbol up to the clock.

    Parameters
    ----------
    seed, rate, listings : decide the whole market together with the time.
    clock : seconds since the epoch, as `time.time`.
    """

    def __init__(
        self,
        seed: int,
        rate: float,
        clock: Callable[[], float],
        listings: Listings = LISTINGS,
    ) -> None:
        self.seed = seed
        self.rate = rate
        self.listings = listings
        self._clock = clock
        market = Market(seed, listings)
        self._tape = Tape(market, seed, rate)
        self._archive = Archive(market, self._tape, seed)
        self.blocks = Blocks(self._tape, listings)
        self._chunks: Cache[tuple[str, int], BarRows] = Cache(_CACHED_MINUTES)
        self._archived: Cache[tuple[str, int], BarRows] = Cache(_CACHED_MINUTES)
        self._changing = Lock()

    def now_ms(self) -> int:
        """The exchange's own time."""
        return int(self._clock() * 1_000)

    def oldest_id(self, symbol: str) -> int:
        """The first id not pruned."""
        return self.blocks.first_id(symbol, (self.now_ms() - TRADE_DAYS * DAY_MS) >> BLOCK_BITS)

    def archived_until_ms(self) -> int:
        """Bars that end by this, a day's start, are the archive's."""
        return (self.now_ms() - TRADE_DAYS * DAY_MS - BLOCK_MS) // DAY_MS * DAY_MS

    def oldest_bar_ms(self) -> int:
        """Bars open at or after this."""
        return (self.now_ms() - BAR_DAYS * DAY_MS) // DAY_MS * DAY_MS

    def burst(
        self, trades_per_s: float, seconds: float, symbols: list[str] | None = None
    ) -> tuple[int, int]:
        """Lay extra trades over the market from now on; returns how many and when they begin.

        All later ids shift by them, for REST, streams and bars alike, as long as this object
        lives: a new one knows nothing of them.
        """
        total, duration_ms = round(trades_per_s * seconds), round(seconds * 1_000)
        counts = shares(self.listings, symbols or list(self.listings), total)

        def laid_over(symbol: str, start_ms: int) -> Changes:
            return self.blocks.changes[symbol].plus(
                burst_prints(self._tape, symbol, start_ms, duration_ms, counts[symbol])
            )

        return total, self._change(list(counts), laid_over)

    def stand_still(self, seconds: float, symbols: list[str] | None = None) -> tuple[int, int]:
        """Let nothing trade from now on for a while; from when until when.

        As after a stop of the exchange no id is missing, and of times that lie wholly inside there
        is no bar, not even a flat one.
        """
        duration_ms = round(seconds * 1_000)

        def stopped(symbol: str, start_ms: int) -> Changes:
            return self.blocks.changes[symbol].stopped(start_ms, start_ms + duration_ms)

        start_ms = self._change(symbols or list(self.listings), stopped)
        return start_ms, start_ms + duration_ms

    def _change(self, symbols: list[str], changed: Callable[[str, int], Changes]) -> int:
        """Change the market of some symbols from a moment on that is still to come; that moment."""
        with self._changing:
            lead_ms = 250
            while True:
                # What has been told already must not change: begin ahead of the clock, and start
                # again when making the trades took longer than that.
                start_ms = self.now_ms() + lead_ms
                changes = {symbol: changed(symbol, start_ms) for symbol in symbols}
                if self.now_ms() < start_ms:
                    break
                lead_ms *= 2
            self.blocks.change(changes)
            self._chunks.clear()
            return start_ms

    # Trades ---------------------------------------------------------------------------------

    def trades(
        self, symbol: str, from_id: int, limit: int, now_ms: int | None = None
    ) -> list[Trade]:
        """Up to `limit` trades with ids from `from_id` on; pruned ones are skipped in silence.

        `now_ms` may be earlier than the clock: a database that lags knows of nothing later.
        """
        from_id = max(from_id, self.oldest_id(symbol))
        now_ms = self.now_ms() if now_ms is None else now_ms
        found: list[Trade] = []
        block = self.blocks.changes[symbol].block_of_id(from_id)
        start = from_id - self.blocks.first_id(symbol, block)
        while len(found) < limit and block << BLOCK_BITS <= now_ms:
            times = self.blocks.get(symbol, block).trade_time_ms
            visible = int(np.searchsorted(times, now_ms, side="right"))
            end = min(start + limit - len(found), visible)
            found += self.blocks.trades(symbol, block, start, end)
            block, start = block + 1, 0
        return found

    def trades_between(
        self, symbol: str, start_ms: int, end_ms: int, limit: int | None = None
    ) -> list[Trade]:
        """Trades at or after `start_ms` and before `end_ms`, oldest first; the oldest `limit`."""
        now_ms = self.now_ms()
        end_ms = min(end_ms, now_ms + 1)
        found: list[Trade] = []
        block = max(start_ms, now_ms - TRADE_DAYS * DAY_MS) >> BLOCK_BITS
        while block << BLOCK_BITS < end_ms and (limit is None or len(found) < limit):
            times = self.blocks.get(symbol, block).trade_time_ms
            low, high = (int(i) for i in np.searchsorted(times, (start_ms, end_ms)))
            if limit is not None:
                high = min(high, low + limit - len(found))
            found += self.blocks.trades(symbol, block, low, high)
            block += 1
        return found

    def trades_from_raw(self, symbol: str, raw_id: int, limit: int) -> list[Trade]:
        """Trades from the one that covers a raw id on."""
        block = self.blocks.changes[symbol].block_of_raw_id(raw_id)
        oldest_id = self.oldest_id(symbol)
        if self.blocks.first_id(symbol, block) < oldest_id:
            return self.trades(symbol, oldest_id, limit)
        if block << BLOCK_BITS > self.now_ms():
            return []
        ends = np.cumsum(self.blocks.get(symbol, block).raw_count) + self.blocks.first_raw_id(
            symbol, block
        )
        before = int(np.searchsorted(ends, raw_id, side="right"))
        return self.trades(symbol, self.blocks.first_id(symbol, block) + before, limit)

    def newest_trades(self, symbol: str, limit: int, end_ms: int | None = None) -> list[Trade]:
        """The last `limit` trades before `end_ms`, oldest first; up to now when it is not given."""
        now_ms = self.now_ms()
        end_ms = now_ms + 1 if end_ms is None else min(end_ms, now_ms + 1)
        oldest_block = (now_ms - TRADE_DAYS * DAY_MS) >> BLOCK_BITS
        block = (end_ms - 1) >> BLOCK_BITS
        found: list[Trade] = []
        while len(found) < limit and block >= oldest_block:
            times = self.blocks.get(symbol, block).trade_time_ms
            end = int(np.searchsorted(times, end_ms))
            found = self.blocks.trades(symbol, block, max(0, end - limit + len(found)), end) + found
            block -= 1
        return found

    # Bars -----------------------------------------------------------------------------------

    def rows(
        self,
        symbol: str,
        interval_ms: int,
        start_ms: int,
        end_ms: int,
        offset_ms: int = 0,
        now_ms: int | None = None,
    ) -> BarRows:
        """Bars that open at or after `start_ms` and before `end_ms`, the open one last.

        They are dense but for times in which the symbol stood still.
        """
        now_ms = self.now_ms() if now_ms is None else now_ms
        first = -(-(max(start_ms, self.oldest_bar_ms()) + offset_ms) // interval_ms)
        first_open = first * interval_ms - offset_ms
        end_ms = min(end_ms, now_ms + 1)
        last_open = (end_ms - 1 + offset_ms) // interval_ms * interval_ms - offset_ms
        until_ms = min(last_open + interval_ms, now_ms + 1)
        if first_open > last_open:
            return NO_ROWS
        if interval_ms % MINUTE_MS:
            found = self._folded(symbol, first_open, until_ms, interval_ms)
        else:
            whole_until = until_ms // MINUTE_MS * MINUTE_MS
            found = joined(
                (
                    self._minutes(symbol, first_open, whole_until),
                    self._folded(symbol, whole_until, until_ms, MINUTE_MS),
                )
            )
            found = fold_rows(found, interval_ms, offset_ms)
        starts_whole = len(found) and int(found.open_time_ms[0]) == first_open
        close_before = 0 if starts_whole else self.price_before(symbol, first_open)
        found = dense(found, first_open, end_ms, interval_ms, close_before)
        for start, end in self.blocks.changes[symbol].stops:
            inside = (found.open_time_ms >= start) & (found.open_time_ms + interval_ms <= end)
            found = found.where(~inside)
        return found

    def bars(self, symbol: str, timeframe_ms: int, start_ms: int, end_ms: int) -> list[Bar]:
        """Bars with open times from `start_ms` to before `end_ms`, up to now."""
        listing = self.listings[symbol]
        ticks, steps = 10**listing.price_decimals, 10**listing.quantity_decimals
        now_ms = self.now_ms()
        rows = self.rows(symbol, timeframe_ms, start_ms, end_ms)
        return [
            Bar(
                open_time_ms=int(rows.open_time_ms[i]),
                open=int(rows.open[i]) / ticks,
                high=int(rows.high[i]) / ticks,
                low=int(rows.low[i]) / ticks,
                close=int(rows.close[i]) / ticks,
                volume=int(rows.volume[i]) / steps,
                quote_volume=int(rows.quote_volume[i]) / (ticks * steps),
                trade_count=int(rows.trade_count[i]),
                taker_buy_volume=int(rows.taker_buy_volume[i]) / steps,
                complete=int(rows.open_time_ms[i]) + timeframe_ms <= now_ms,
            )
            for i in range(len(rows))
        ]

    def price_before(self, symbol: str, time_ms: int) -> int:
        """Ticks paid in the last trade before a time."""
        block = time_ms >> BLOCK_BITS
        prints = self.blocks.get(symbol, block)
        at = int(np.searchsorted(prints.trade_time_ms, time_ms)) - 1
        while at < 0:
            block -= 1
            prints = self.blocks.get(symbol, block)
            at = len(prints) - 1
        return int(prints.price[at])

    def _folded(self, symbol: str, start_ms: int, end_ms: int, interval_ms: int) -> BarRows:
        parts = [NO_ROWS]
        for block in range(start_ms >> BLOCK_BITS, ((end_ms - 1) >> BLOCK_BITS) + 1):
            prints = self.blocks.get(symbol, block)
            low, high = (int(i) for i in np.searchsorted(prints.trade_time_ms, (start_ms, end_ms)))
            raw_id = self.blocks.first_raw_id(symbol, block) + int(prints.raw_count[:low].sum())
            parts.append(fold_prints(prints.part(low, high), raw_id, interval_ms))
        # A bar across the edge of a block is in both parts: fold them once more.
        return fold_rows(joined(parts), interval_ms)

    def _minutes(self, symbol: str, start_ms: int, end_ms: int) -> BarRows:
        """Minute rows from `start_ms` to before `end_ms`, both whole minutes."""
        archived_ms = min(max(self.archived_until_ms(), start_ms), end_ms)
        old = _chunks_over(start_ms, archived_ms, _ARCHIVE_BLOCKS)
        new = _chunks_over(archived_ms, end_ms, _CHUNK_BLOCKS)
        archived = [self._archived.get((symbol, chunk), self._archive_chunk) for chunk in old]
        folded = [self._chunks.get((symbol, chunk), self._chunk) for chunk in new]
        # A minute across the edge of two chunks of trades is in both: fold them once more.
        recent = fold_rows(joined([NO_ROWS, *folded]), MINUTE_MS).between(archived_ms, end_ms)
        return joined([joined([NO_ROWS, *archived]).between(start_ms, archived_ms), recent])

    def _archive_chunk(self, key: tuple[str, int]) -> BarRows:
        symbol, chunk = key
        return self._archive.minutes(symbol, chunk * _ARCHIVE_BLOCKS, _ARCHIVE_BLOCKS)

    def _chunk(self, key: tuple[str, int]) -> BarRows:
        symbol, chunk = key
        first_block = chunk * _CHUNK_BLOCKS
        prints = self.blocks.made(symbol, first_block, _CHUNK_BLOCKS)
        return fold_prints(prints, self.blocks.first_raw_id(symbol, first_block), MINUTE_MS)


def _chunks_over(start_ms: int, end_ms: int, blocks: int) -> range:
    """Numbers of the chunks of so many blocks that [start, end) touches."""
    if start_ms >= end_ms:
        return range(0)
    return range(start_ms // (blocks * BLOCK_MS), -(-end_ms // (blocks * BLOCK_MS)))
