"""What is live: every trade, bar and ticker of the ledger told when its time comes.

The publisher knows who wants what and when the next thing happens; it hands texts to its
listeners and knows nothing of sockets.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from core.types import Trade
from ingest.simulator import wire
from ingest.simulator.ledger import Ledger
from ingest.simulator.listing import SimulatedSymbol
from ingest.simulator.market import BLOCK_BITS
from ingest.simulator.stream import ALL_MINI_TICKERS, Stream, Subscriptions, parse_stream
from ingest.simulator.tape import event_time_ms
from ingest.simulator.ticker import day_ticker

_TRADE_KINDS = ("aggTrade", "trade", "bookTicker")
_SLOWEST_LOOK_S = 0.25
_MAX_BACKLOG_MS = 60_000
_PREPARE_AHEAD_MS = 60_000


class Listener(Protocol):
    """Someone with subscriptions; `send` takes whole text messages in order."""

    subscriptions: Subscriptions

    def send(self, texts: Sequence[str]) -> None: ...


class _Cursor:
    """How far one symbol's trades have been told."""

    def __init__(self, ledger: Ledger, symbol: str, after_ms: int) -> None:
        self._ledger = ledger
        self._symbol = symbol
        self._move_to(after_ms)

    def _move_to(self, after_ms: int) -> None:
        self._block = (after_ms + 1) >> BLOCK_BITS
        times = self._ledger.blocks.get(self._symbol, self._block).trade_time_ms
        self._at = int(np.searchsorted(times | 3, after_ms, side="right"))

    def take(self, until_ms: int) -> list[Trade]:
        """Trades whose event time has come since the last call."""
        if until_ms - (self._block << BLOCK_BITS) > _MAX_BACKLOG_MS + (1 << BLOCK_BITS):
            # The machine slept: like a real stream, what went by meanwhile is not told.
            self._move_to(until_ms)
        found: list[Trade] = []
        while True:
            times = self._ledger.blocks.get(self._symbol, self._block).trade_time_ms
            end = int(np.searchsorted(times[self._at :] | 3, until_ms, side="right")) + self._at
            found += self._ledger.blocks.trades(self._symbol, self._block, self._at, end)
            self._at = end
            if end < len(times) or (self._block + 1) << BLOCK_BITS > until_ms:
                return found
            self._block, self._at = self._block + 1, 0

    def next_ms(self) -> int:
        """Event time of the next trade, or the end of the block."""
        times = self._ledger.blocks.get(self._symbol, self._block).trade_time_ms
        if self._at < len(times):
            return event_time_ms(int(times[self._at]))
        return (self._block + 1) << BLOCK_BITS

    def prepare(self, now_ms: int) -> None:
        """Make the next block a little before it begins, so that it does not begin late."""
        if ((self._block + 1) << BLOCK_BITS) - now_ms < _PREPARE_AHEAD_MS:
            self._ledger.blocks.get(self._symbol, self._block + 1)


class Publisher:
    """Tells listeners what they subscribed to as the ledger's clock passes it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._listeners: dict[Listener, None] = {}
        self._wanted: dict[Stream, list[tuple[Listener, str]]] = {}
        self._cursors: dict[str, _Cursor] = {}
        self._second = ledger.now_ms() // 1_000
        self._changed = asyncio.Event()
        self._prepared = 0

    def add(self, listener: Listener) -> None:
        """Begin telling a listener."""
        self._listeners[listener] = None
        self.refresh()

    def remove(self, listener: Listener) -> None:
        """Tell it nothing more."""
        del self._listeners[listener]
        self.refresh()

    def refresh(self) -> None:
        """Take notice of changed subscriptions: what is new begins now."""
        self.publish()
        wanted: dict[Stream, list[tuple[Listener, str]]] = defaultdict(list)
        for listener in self._listeners:
            for name in listener.subscriptions.names:
                stream = parse_stream(name, self._ledger.listings)
                if stream is not None:
                    wanted[stream].append((listener, name))
        self._wanted = dict(wanted)
        symbols = {stream.symbol for stream in wanted if stream.kind in _TRADE_KINDS}
        now_ms = self._ledger.now_ms()
        self._cursors = {
            symbol: self._cursors.get(symbol) or _Cursor(self._ledger, symbol, now_ms)
            for symbol in sorted(symbols)
        }
        self._changed.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            self._changed.clear()
            self.publish()
            self._prepare()
            pause = (self._next_ms() - self._ledger.now_ms()) / 1_000
            try:
                async with asyncio.timeout(min(max(pause, 0.001), _SLOWEST_LOOK_S)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def publish(self) -> None:
        """Tell everything whose time has come."""
        now_ms = self._ledger.now_ms()
        texts: dict[Listener, list[str]] = defaultdict(list)
        trades = [trade for cursor in self._cursors.values() for trade in cursor.take(now_ms)]
        trades.sort(key=lambda trade: trade.event_time_ms)
        for trade in trades:
            listing = self._ledger.listings[trade.symbol]
            for kind in _TRADE_KINDS:
                wanted = self._wanted.get(Stream(kind, trade.symbol))
                if wanted:
                    for listener, name in wanted:
                        frames = _trade_frames(kind, listing, trade, listener.subscriptions.unit)
                        texts[listener] += _wrapped(listener, name, frames)
        for second in range(max(self._second, now_ms // 1_000 - 60) + 1, now_ms // 1_000 + 1):
            self._publish_second(second * 1_000, texts)
        self._second = now_ms // 1_000
        for listener, found in texts.items():
            listener.send(found)

    def _publish_second(self, time_ms: int, texts: dict[Listener, list[str]]) -> None:
        for stream, wanted in self._wanted.items():
            if stream.kind in _TRADE_KINDS:
                continue
            for listener, name in wanted:
                frame = self._timed_frame(stream, time_ms, listener.subscriptions.unit)
                if frame is not None:
                    texts[listener] += _wrapped(listener, name, [frame])

    def _timed_frame(self, stream: Stream, time_ms: int, unit: int) -> str | None:
        if stream.kind == "kline":
            return self._kline_frame(stream, time_ms, unit)
        symbols = list(self._ledger.listings) if stream is ALL_MINI_TICKERS else [stream.symbol]
        frames = [
            wire.mini_ticker_frame(
                self._ledger.listings[symbol], day_ticker(self._ledger, symbol), time_ms, unit
            )
            for symbol in symbols
        ]
        return f"[{','.join(frames)}]" if stream is ALL_MINI_TICKERS else frames[0]

    def _kline_frame(self, stream: Stream, time_ms: int, unit: int) -> str | None:
        interval_ms = wire.INTERVALS[stream.interval]
        if time_ms % (1_000 if interval_ms == 1_000 else 2_000):
            return None
        # At a boundary the bar that ends there is told for the last time.
        open_ms = (time_ms - 1 + stream.offset_ms) // interval_ms * interval_ms - stream.offset_ms
        rows = self._ledger.rows(stream.symbol, interval_ms, open_ms, open_ms + 1, stream.offset_ms)
        if not len(rows):
            return None  # the symbol stands still
        closed = open_ms + interval_ms == time_ms
        listing = self._ledger.listings[stream.symbol]
        return wire.kline_frame(listing, stream.interval, rows, time_ms, closed, unit)

    def _prepare(self) -> None:
        cursors = list(self._cursors.values())
        if cursors:
            self._prepared = (self._prepared + 1) % len(cursors)
            cursors[self._prepared].prepare(self._ledger.now_ms())

    def _next_ms(self) -> int:
        coming = [cursor.next_ms() for cursor in self._cursors.values()]
        if len(self._wanted) > sum(stream.kind in _TRADE_KINDS for stream in self._wanted):
            coming.append((self._second + 1) * 1_000)
        return min(coming, default=self._ledger.now_ms() + 60_000)


def _trade_frames(kind: str, listing: SimulatedSymbol, trade: Trade, unit: int) -> list[str]:
    if kind == "aggTrade":
        return [wire.agg_trade_frame(trade, unit)]
    if kind == "trade":
        return wire.raw_trade_frames(listing, trade, unit)
    return [wire.book_ticker_frame(listing, trade)]


def _wrapped(listener: Listener, name: str, frames: list[str]) -> list[str]:
    if not listener.subscriptions.combined:
        return frames
    return [f'{{"stream":"{name}","data":{frame}}}' for frame in frames]
