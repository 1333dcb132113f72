"""The live feed: connections that are replaced before or after they break, trades handed on.

A `TradeStream` splits its symbols over as many lanes as the exchange's limit on streams asks for,
nearly always one.
"""

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from core.types import Trade
from ingest.binance.connection import MAX_STREAMS, Connection, FrameSorter, Socket, open_socket
from ingest.binance.hosts import host_name
from ingest.binance.lane import FeedState, Gate, Lane, Sleep
from ingest.binance.proxies import DIRECT, Proxies
from ingest.binance.weights import Hold

MAX_AGE_S = 23 * 3_600.0 + 50 * 60.0
"""The exchange cuts a connection at 24 hours."""
OVERLAP_S = 5.0
SILENCE_S = 15.0
FEW_SYMBOLS = 3
MAX_REASONS = 20
FEW_SYMBOLS_SILENCE_S = 60.0
"""With hardly any symbols a quiet quarter of a minute is no fault yet."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """How the feed stands; `reconnects` are all connections after the first."""

    state: FeedState
    host: str | None
    last_frame_ms: int | None
    reconnects: int
    last_error: str | None
    quarantined: int
    silent_symbols: tuple[str, ...]
    # Why connections failed or could not be made, digits aside, and how often.
    failures: dict[str, int] = field(default_factory=dict)


class TradeStream:
    """Streams aggregate trades of symbols until cancelled.

    `on_trade(trade, received_ms)` is called from the read loop and must not block; what it raises
    ends the stream. During a switch-over trades come twice: whoever stores them drops by id.

    `on_connected()` is called when the subscriptions are live, and again after each reconnect: a
    quiet symbol may have missed trades without a later id to show it. `connected` is an event
    for the first time.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        symbols: Sequence[str],
        on_trade: Callable[[Trade, int], None],
        *,
        on_connected: Callable[[], None] | None = None,
        connect: Callable[[str], Coroutine[Any, Any, Socket]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
        rng: Random | None = None,
        max_age_s: float = MAX_AGE_S,
        overlap_s: float = OVERLAP_S,
        silence_limit_s: float | None = None,
        max_streams: int = MAX_STREAMS,
        hold: Hold | None = None,
        proxies: Proxies = DIRECT,
    ) -> None:
        if not hosts or not symbols:
            raise ValueError("at least one host and one symbol are needed")
        self.connected = asyncio.Event()
        self._on_connected = on_connected
        self._clock = clock
        self._sleep = sleep
        self._max_age_s = max_age_s
        self._silence_limit_s = silence_limit_s
        self._failures: dict[str, int] = {}
        self._sorter = FrameSorter(symbols, on_trade, clock, wall_clock)
        gate = Gate(hosts, clock, hold or Hold(wall_clock))
        self._lanes = [
            Lane(
                symbols[start : start + max_streams],
                gate,
                connect=connect or partial(open_socket, proxies=proxies),
                open_connection=self._open_connection,
                on_failure=self._note_failure,
                clock=clock,
                sleep=sleep,
                rng=rng or Random(),
                overlap_s=overlap_s,
            )
            for start in range(0, len(symbols), max_streams)
        ]

    async def run(self) -> None:
        """Keep the feed going until cancelled."""
        tasks = [asyncio.create_task(lane.run()) for lane in self._lanes]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def state(self) -> StreamState:
        """How the feed stands now; of several connections the worst one counts."""
        order: tuple[FeedState, ...] = ("blocked", "down", "connecting", "live")
        worst = min(self._lanes, key=lambda lane: order.index(lane.state))
        sorter = self._sorter
        return StreamState(
            state=worst.state,
            host=host_name(worst.host),
            last_frame_ms=sorter.last_frame_ms,
            reconnects=sum(max(0, lane.connections - 1) for lane in self._lanes),
            last_error=sorter.last_error,
            quarantined=sorter.quarantined,
            silent_symbols=tuple(
                name for lane in self._lanes for name in lane.silent_symbols(sorter.last_trade_at)
            ),
            failures=dict(self._failures),
        )

    def resubscribe(self, symbols: Sequence[str]) -> None:
        """Ask anew for the streams of symbols whose trades don't come though they are made."""
        for lane in self._lanes:
            lane.resubscribe(symbols)

    def _open_connection(
        self, lane: Lane, socket: Socket, host: str, batches: list[list[str]]
    ) -> Connection:
        """Start reading an open socket for a lane."""

        def note_subscribed() -> None:
            lane.subscribed_at = self._clock()
            if all(one.subscribed_at is not None for one in self._lanes):
                self.connected.set()
                if self._on_connected is not None:
                    self._on_connected()

        limit_s = self._silence_limit_s
        if limit_s is None:
            limit_s = SILENCE_S if len(lane.symbols) > FEW_SYMBOLS else FEW_SYMBOLS_SILENCE_S
        return Connection(
            socket,
            host,
            batches,
            self._sorter,
            clock=self._clock,
            sleep=self._sleep,
            silence_limit_s=limit_s,
            max_age_s=self._max_age_s,
            on_subscribed=note_subscribed,
        )

    def _note_failure(self, host: str, words: str) -> None:
        self._sorter.last_error = f"{host_name(host)}: {words}"
        reason = re.sub(r"\d+", "…", words)
        if reason not in self._failures and len(self._failures) >= MAX_REASONS:
            reason = "other"
        self._failures[reason] = self._failures.get(reason, 0) + 1
