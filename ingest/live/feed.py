"""The live feed put together: the stream, and behind it history, repair and what runs beside."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.errors import ExchangeBlocked, ExchangeError
from core.report import BackfillReport, FeedReport, ReconciliationReport, WorkerReport
from core.settings import Settings
from core.timeframes import HOUR_MS, TIMEFRAMES
from ingest.binance.failover import FailoverClient
from ingest.binance.proxies import Proxies
from ingest.binance.rest import RestClient
from ingest.binance.stream import TradeStream
from ingest.binance.weights import Hold
from ingest.live.backfill import Backfill, HistoryProgress, longer_history
from ingest.live.clock import ExchangeClock
from ingest.live.closing import Closing
from ingest.live.intake import Intake, quantiles
from ingest.live.pipeline import Pipeline
from ingest.live.reconcile import Findings, Reconciliation
from ingest.live.repair import Repair
from ingest.live.silence import SilenceWatch
from ingest.live.standstill import Standstill
from ingest.live.stored_bars import floor_to
from ingest.live.symbols import SymbolChoice, choose_symbols
from ingest.live.trade_queue import TradeQueue
from ingest.live.upkeep import Upkeep
from ingest.live.writing_thread import Order, WritingThread
from ingest.store.transaction import Writer

log = structlog.get_logger()

CONNECT_S = 2.0
RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0)
FIRST_LOOK_S, LONGEST_LOOK_S = 60.0, 3_600.0
"""Waits before the exchange is asked again for symbols that were left out."""


class _MoreSymbols(Exception):
    """The exchange has come to list symbols that were left out."""


class LiveFeed:
    """Brings what the exchange tells into the store, until cancelled.

    A frame's way: stream → intake → queue → writing thread → pipeline → stored bars.

    Parameters
    ----------
    pause : called after each transaction.
    wall_clock, open_stream : replaced in tests.
    """

    def __init__(
        self,
        settings: Settings,
        writer: Writer,
        pause: Callable[[], None],
        wall_clock: Callable[[], float] = time.time,
        open_stream: Callable[..., TradeStream] = TradeStream,
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._wall_clock = wall_clock
        self._open_stream = open_stream
        self._retain_ms = settings.retain_trades_hours * HOUR_MS
        self._clock = ExchangeClock(wall_clock)
        self.queue = TradeQueue(time.monotonic)
        self.pipeline = Pipeline(writer, self._clock.now_ms, pause, self._retain_ms)
        self._intake = Intake(self.queue, self._clock)
        self._closing = Closing(self.pipeline, self._clock)
        self._stream: TradeStream | None = None
        self._rest: RestClient | None = None
        self._silence: SilenceWatch | None = None
        self._findings = Findings()
        self.state = "starting"
        self.history = HistoryProgress()
        self._last_error: str | None = None
        self._is_blocked = False
        self._choice = SymbolChoice([], [])

    def after_batch(self) -> None:
        """What follows when a batch has been stored, in the thread that writes."""
        self._closing.after_batch()

    async def run(
        self,
        writing: WritingThread,
        scheduler: AsyncIOScheduler,
        rest_urls: Sequence[str],
        ws_urls: Sequence[str],
        beside: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
    ) -> None:
        """Find the symbols, take up their chains, then stream, fetch and keep up.

        Parameters
        ----------
        beside : what has to go on for as long.

        Raises
        ------
        SettingsError
            The exchange knows none of the symbols.
        """
        proxies = Proxies.of(self._settings)
        hold = Hold(lambda: self._clock.now_ms() / 1_000.0)

        def open_stream(symbols: Sequence[str]) -> TradeStream:
            return self._open_stream(
                ws_urls,
                symbols,
                self._intake.take,
                hold=hold,
                wall_clock=self._clock.now_s,
                proxies=proxies,
            )

        async with contextlib.aclosing(
            RestClient(
                FailoverClient(rest_urls, wall_clock=self._wall_clock, hold=hold, proxies=proxies)
            )
        ) as rest:
            self._rest = rest
            self._choice = await self._find_symbols(rest)
            async with asyncio.TaskGroup() as group:
                for task in beside:
                    group.create_task(task())
                while True:
                    await self._feed(writing, scheduler, rest, open_stream)

    async def _feed(
        self,
        writing: WritingThread,
        scheduler: AsyncIOScheduler,
        rest: RestClient,
        open_stream: Callable[[Sequence[str]], TradeStream],
    ) -> None:
        """Feed until there are more symbols; with them it begins anew, as at every start."""
        listings = self._choice.listings
        await writing.call(lambda: self.pipeline.start(listings), Order.URGENT)
        symbols = [listing.symbol for listing in listings]
        stream = self._stream = open_stream(symbols)
        self.history.done = 0
        backfill = Backfill(
            rest,
            writing.call,
            self.pipeline,
            symbols,
            self._settings.backfill_days,
            progress=self.history,
            longer=longer_history(self._settings),
        )
        rest.on_odd_klines = lambda symbol, timeframe: backfill.doubt(
            symbol, timeframe, self._clock.now_ms()
        )
        self._schedule(scheduler, writing, rest, stream, backfill)
        self.state = "running"
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(stream.run())
                group.create_task(self._fetch_history(backfill, stream))
                group.create_task(self._look_again(rest))
        except* _MoreSymbols:
            log.info("symbols that were left out are listed now: starting with them")

    def _schedule(
        self,
        scheduler: AsyncIOScheduler,
        writing: WritingThread,
        rest: RestClient,
        stream: TradeStream,
        backfill: Backfill,
    ) -> None:
        pipeline, now_ms = self.pipeline, self._clock.now_ms
        ids_first = partial(writing.call, order=Order.IDS)
        repair = Repair(
            rest, ids_first, pipeline, now_ms, time.monotonic, self._retain_ms, backfill.bridge
        )
        self._silence = SilenceWatch(
            rest,
            ids_first,
            pipeline,
            now_ms,
            time.monotonic,
            stream.resubscribe,
            rejoin=lambda symbol: backfill.rejoin(symbol, now_ms()),
        )
        standstill = Standstill(pipeline, backfill, now_ms, time.monotonic)
        reconciliation = Reconciliation(rest, writing.call, pipeline, now_ms, self._findings)
        upkeep = Upkeep(self._settings, self._writer, writing, pipeline, backfill, rest, now_ms)
        self._closing.schedule(scheduler, partial(writing.call, order=Order.URGENT))
        self._clock.schedule(scheduler, rest.server_time)
        self._silence.schedule(scheduler, lambda: stream.state.silent_symbols)
        repair.schedule(scheduler)
        backfill.schedule(scheduler)
        standstill.schedule(scheduler)
        reconciliation.schedule(scheduler)
        upkeep.schedule(scheduler)

    async def _fetch_history(self, backfill: Backfill, stream: TradeStream) -> None:
        """Subscribe first, then fetch what lies before: nothing falls in between."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                await stream.connected.wait()
        await backfill.run(floor_to(self._clock.now_ms(), TIMEFRAMES["1m"]))

    async def _look_again(self, rest: RestClient) -> None:
        """Look for symbols that were left out: an entry that could not be read may be one's own.

        Raises
        ------
        _MoreSymbols
            The exchange lists some of them now, and they are chosen.
        """
        delay_s = FIRST_LOOK_S
        while self._choice.left_out:
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, LONGEST_LOOK_S)
            with contextlib.suppress(ExchangeError):
                listed = await rest.exchange_info(self._choice.left_out)
                if listed:
                    self._choice = self._choice.with_more(listed)
                    raise _MoreSymbols

    async def _find_symbols(self, rest: RestClient) -> SymbolChoice:
        """Ask the exchange which symbols there are; keep asking while it can't be reached."""
        tries = 0
        while True:
            try:
                await self._clock.compare(rest.server_time)
                choice = await choose_symbols(self._settings, rest)
                break
            except ExchangeError as error:
                self.state, self._last_error = "waiting", str(error)
                self._is_blocked = isinstance(error, ExchangeBlocked)
                delay = RETRY_S[min(tries, len(RETRY_S) - 1)]
                tries += 1
                log.warning("the exchange can't be reached", reason=str(error), delay_s=delay)
                await asyncio.sleep(delay)
        if choice.left_out:
            log.warning(
                "symbols are left out: the exchange does not list them, or not so that it can be"
                " read; it is asked again",
                symbols=", ".join(choice.left_out),
            )
        return choice

    # -- what it says of itself ---------------------------------------------------------------

    def report(self) -> WorkerReport:
        """Where feed and history stand; called once a second."""
        quarantined = 0
        if self._stream is not None:
            quarantined = self._stream.state.quarantined + self._intake.absurd
            quarantined += self.pipeline.absurd
        findings = self._findings
        return WorkerReport(
            feed=self._feed_report(),
            quarantined=quarantined,
            queue_depth=len(self.queue),
            dropped=self.queue.dropped_total,
            backfill=BackfillReport(self.history.done, self.history.total, self.history.message),
            symbols_left_out=tuple(self._choice.left_out),
            stalled_symbols=tuple(sorted(self._silence.stalled)) if self._silence else (),
            unjudged_symbols=tuple(sorted(self.pipeline.unjudged)),
            odd_rows=self._rest.odd_rows if self._rest else 0,
            request_weight_share=self._rest.used_weight_share if self._rest else None,
            clock_offset_ms=self._clock.host_ahead_ms() if self._clock.is_measured else None,
            reconciliation=ReconciliationReport(
                findings.checked, findings.repaired, findings.disagreed, tuple(findings.examples)
            ),
        )

    def _feed_report(self) -> FeedReport:
        if self._stream is None:
            return FeedReport(
                state="blocked" if self._is_blocked else "connecting",
                trades_per_s=0.0,
                reconnects=0,
                last_error=self._last_error,
            )
        state = self._stream.state
        lag_ms_p50, lag_ms_p99 = self._intake.lags()
        lags = self.queue.take_lags()
        store_lag_ms_p50, store_lag_ms_p99 = quantiles([stored for stored, _ in lags])
        total_lag_ms_p50, total_lag_ms_p99 = quantiles([total for _, total in lags])
        return FeedReport(
            state=state.state,
            host=state.host,
            last_frame_ms=state.last_frame_ms,
            trades_per_s=self._intake.rate(),
            lag_ms_p50=lag_ms_p50,
            lag_ms_p99=lag_ms_p99,
            reconnects=state.reconnects,
            last_error=state.last_error,
            failures=state.failures,
            store_lag_ms_p50=store_lag_ms_p50,
            store_lag_ms_p99=store_lag_ms_p99,
            total_lag_ms_p50=total_lag_ms_p50,
            total_lag_ms_p99=total_lag_ms_p99,
            trades_received=self._intake.count,
        )
