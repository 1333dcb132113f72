"""Load dump files into the store: check a file whole, then write it in short transactions."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

from core.bars import PARENTS, SECOND_MS, flat_bar, fold_trades, roll_up
from core.errors import ImportFileError
from core.symbols import split_symbol
from core.types import Bar, Origin, Trade
from ingest.files.dumps import DumpFile, describe, read_klines, read_trades, size_bytes
from ingest.store import gaps, imports, market
from ingest.store.market import BarChanges
from ingest.store.transaction import Transaction, Writer

DAY_MS = 86_400_000
WRITE_S = 0.05
"""What a transaction aims at; other processes wait for the lock while it lasts."""
PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one file is; `done` of `total` bytes of its text in this phase."""

    path: Path
    phase: Literal["checking", "writing"]
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What one file brought. `holes` counts stretches of trade ids that it doesn't have."""

    path: Path
    symbol: str
    kind: str
    timeframe_ms: int | None
    rows: int
    start_ms: int
    end_ms: int
    changed_bars: int
    holes: int


class ImportedSymbol(NamedTuple):
    """A symbol as far as a file's name tells."""

    symbol: str
    base: str
    quote: str
    status: str


class Hole(NamedTuple):
    """Trade ids that a file lacks, both ends inclusive, and the times on either side."""

    from_id: int
    to_id: int
    from_ms: int
    to_ms: int


class Extent(NamedTuple):
    """What checking a file found out about it."""

    rows: int
    start_ms: int
    end_ms: int
    first: Trade | None
    last: Trade | None
    holes: tuple[Hole, ...]


Report = Callable[[Progress], None]


def import_files(
    paths: Sequence[str | os.PathLike[str]],
    writer: Writer,
    report: Report,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> list[ImportResult]:
    """Load files one after the other; a second run changes nothing.

    Raises
    ------
    ImportFileError
        One or more files were refused, each whole; the message says where and why. The others
        are in the store by then.
    StoreError
        The database can't be written.
    """
    results: list[ImportResult] = []
    refused: list[str] = []
    for path in map(Path, paths):
        try:
            results.append(_FileImport(describe(path), writer, report, clock, sleep).run())
        except ImportFileError as error:
            refused.append(str(error))
    if refused:
        if results:
            refused.append("Imported: " + ", ".join(str(result.path) for result in results))
        raise ImportFileError("\n".join(refused))
    return results


def second_bars(trades: Iterable[Trade], starts_whole: bool, ends_whole: bool) -> Iterator[Bar]:
    """Build the 1s bars of trades in id order, flat ones between; a hole in the ids breaks them.

    Seconds that a hole touches are incomplete, and seconds inside one have no bar. So is the
    first one unless `starts_whole`, and the last unless `ends_whole`.
    """
    pending: list[Trade] = []
    second = last_id = -1
    close: float | None = None
    whole = starts_whole
    for trade in trades:
        opens = trade.trade_time_ms - trade.trade_time_ms % SECOND_MS
        is_hole = last_id >= 0 and trade.trade_id != last_id + 1
        if is_hole:
            whole = False
        if second >= 0 and opens != second:
            for bar in _close_second(pending, second, close, whole):
                close = bar.close
                yield bar
            if not is_hole and close is not None:
                for between in range(second + SECOND_MS, opens, SECOND_MS):
                    yield flat_bar(between, close, complete=True)
            pending = []
            whole = not is_hole
        second, last_id = opens, trade.trade_id
        if trade.quantity > 0:
            pending.append(trade)
    yield from _close_second(pending, second, close, whole and ends_whole)


def _close_second(
    trades: list[Trade], second: int, close: float | None, whole: bool
) -> Iterator[Bar]:
    if trades:
        yield fold_trades(trades, second, whole)
    elif close is not None:
        yield flat_bar(second, close, whole)


class _FileImport:
    """The import of one file."""

    def __init__(
        self,
        dump: DumpFile,
        writer: Writer,
        report: Report,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._dump = dump
        self._writer = writer
        self._report = report
        self._clock = clock
        self._sleep = sleep
        self._changed = 0
        self._symbol_id = 0
        # Rows a transaction; follows from how long the last one took.
        self._chunk = 2_000

    def run(self) -> ImportResult:
        """Check the whole file, then write it."""
        total = size_bytes(self._dump)
        extent = self._check(total)
        self._begin(extent)
        if self._dump.kind == "klines":
            start_ms, end_ms = self._write_klines(extent, total)
        else:
            start_ms, end_ms = self._write_trades(extent, total)
        self._roll_up(start_ms, end_ms)
        return ImportResult(
            path=self._dump.path,
            symbol=self._dump.symbol,
            kind=self._dump.kind,
            timeframe_ms=self._dump.timeframe_ms,
            rows=extent.rows,
            start_ms=extent.start_ms,
            end_ms=extent.end_ms,
            changed_bars=self._changed,
            holes=len(extent.holes),
        )

    def _on_bytes(self, phase: Literal["checking", "writing"], total: int) -> Callable[[int], None]:
        return lambda done: self._report(Progress(self._dump.path, phase, done, total))

    def _check(self, total: int) -> Extent:
        on_bytes = self._on_bytes("checking", total)
        rows = 0
        if self._dump.timeframe_ms is not None:
            first_ms = last_ms = -1
            for bar in read_klines(self._dump, on_bytes):
                first_ms = bar.open_time_ms if rows == 0 else first_ms
                last_ms = bar.open_time_ms
                rows += 1
            return Extent(rows, first_ms, last_ms + self._dump.timeframe_ms, None, None, ())
        first = last = None
        holes: list[Hole] = []
        for trade in read_trades(self._dump, on_bytes):
            if last is None:
                first = trade
            elif trade.trade_id != last.trade_id + 1:
                holes.append(
                    Hole(
                        last.trade_id + 1,
                        trade.trade_id - 1,
                        last.trade_time_ms,
                        trade.trade_time_ms,
                    )
                )
            last = trade
            rows += 1
        assert first is not None  # a file without rows is refused
        assert last is not None
        return Extent(rows, first.trade_time_ms, last.trade_time_ms + 1, first, last, tuple(holes))

    def _begin(self, extent: Extent) -> None:
        """Record the island first: pruning by a running worker must not eat what is coming."""
        symbol = self._dump.symbol
        now_ms = int(self._clock() * 1_000)
        with self._writer.transaction() as tx:
            listing = ImportedSymbol(symbol, *split_symbol(symbol), "IMPORTED")
            self._symbol_id = market.ensure_symbols(tx, [listing], keep_existing=True)[symbol]
            imports.record_import(
                tx,
                self._symbol_id,
                self._dump.kind,
                self._dump.timeframe_ms,
                extent.start_ms,
                extent.end_ms,
                None if extent.first is None else extent.first.trade_id,
                None if extent.last is None else extent.last.trade_id,
                self._dump.path.name,
                extent.rows,
                now_ms,
            )
            known = {
                (gap.from_id, gap.to_id)
                for gap in gaps.in_state(tx, "unfillable")
                if gap.symbol_id == self._symbol_id
            }
            for hole in extent.holes:
                if (hole.from_id, hole.to_id) not in known:
                    gap_id = gaps.open_gap(tx, self._symbol_id, *hole, "imported", now_ms)
                    reason = f"not in the imported file {self._dump.path.name}"
                    gaps.close_gap(tx, gap_id, "unfillable", reason, now_ms)

    def _write_klines(self, extent: Extent, total: int) -> tuple[int, int]:
        assert self._dump.timeframe_ms is not None
        pending: list[Bar] = []
        for bar in read_klines(self._dump, self._on_bytes("writing", total)):
            pending.append(bar)
            if len(pending) >= self._chunk:
                self._write([], self._dump.timeframe_ms, pending, Origin.KLINE)
                pending = []
        self._write([], self._dump.timeframe_ms, pending, Origin.KLINE)
        return extent.start_ms, extent.end_ms

    def _write_trades(self, extent: Extent, total: int) -> tuple[int, int]:
        assert extent.first is not None
        assert extent.last is not None
        head, tail, starts_whole, ends_whole = self._neighbours(extent.first, extent.last)
        trades: list[Trade] = []
        bars: list[Bar] = []

        def collect() -> Iterator[Trade]:
            for trade in read_trades(self._dump, self._on_bytes("writing", total)):
                trades.append(trade)
                yield trade

        for bar in second_bars(chain(head, collect(), tail), starts_whole, ends_whole):
            bars.append(bar)
            if len(trades) + len(bars) >= self._chunk:
                self._write(trades, SECOND_MS, bars, Origin.TRADES)
                trades.clear()
                bars.clear()
        self._write(trades, SECOND_MS, bars, Origin.TRADES)
        first, last = (*head, extent.first)[0], (extent.last, *tail)[-1]
        return (
            first.trade_time_ms - first.trade_time_ms % SECOND_MS,
            last.trade_time_ms - last.trade_time_ms % SECOND_MS + SECOND_MS,
        )

    def _neighbours(self, first: Trade, last: Trade) -> tuple[list[Trade], list[Trade], bool, bool]:
        """Stored trades whose ids go on where the file's end, and whether the ends are whole.

        An end is whole where the next id is stored too: two days imported one after the other
        leave no broken second between them. Or it lies on a day's boundary, as a daily dump does.
        """
        with self._writer.transaction() as tx:
            head = _second_of(tx, self._symbol_id, first.trade_id - 1, first.trade_id, -1)
            tail = _second_of(tx, self._symbol_id, last.trade_id + 1, last.trade_id, 1)
            before, after = (*head, first)[0], (last, *tail)[-1]
            starts_whole = market.trade_by_id(tx, self._symbol_id, before.trade_id - 1) is not None
            ends_whole = market.trade_by_id(tx, self._symbol_id, after.trade_id + 1) is not None
        starts_whole |= before.trade_time_ms % DAY_MS < SECOND_MS
        ends_whole |= after.trade_time_ms % DAY_MS >= DAY_MS - SECOND_MS
        return head, tail, starts_whole, ends_whole

    def _roll_up(self, start_ms: int, end_ms: int) -> None:
        """Roll stored bars up, so that children from another file or the live feed count too."""
        # Half an hour of an exchange's bars says nothing of the hour; of our own trades it does.
        partial = self._dump.kind == "aggTrades"
        smallest = self._dump.timeframe_ms or SECOND_MS
        for parent, child in PARENTS:
            if child < smallest:
                continue
            step = max(1, 2_000 * child // parent) * parent
            stop = end_ms + -end_ms % parent
            for low in range(start_ms - start_ms % parent, stop, step):
                self._roll_up_range(parent, child, low, min(low + step, stop), partial)

    def _roll_up_range(
        self, parent: int, child: int, start_ms: int, end_ms: int, partial: bool
    ) -> None:
        with self._writer.transaction() as tx:
            children: dict[int, list[tuple[Bar, Origin]]] = {}
            for item in market.bars_between(tx, self._symbol_id, child, start_ms, end_ms):
                opens = item[0].open_time_ms
                children.setdefault(opens - opens % parent, []).append(item)
            by_origin: dict[Origin, list[Bar]] = {Origin.TRADES: [], Origin.ROLL_UP: []}
            for opens, items in children.items():
                bar = roll_up([bar for bar, _ in items], opens, parent // child)
                if bar is not None and (bar.complete or partial):
                    is_own = all(origin is Origin.TRADES for _, origin in items)
                    by_origin[Origin.TRADES if is_own else Origin.ROLL_UP].append(bar)
            for origin, bars in by_origin.items():
                self._count(
                    tx, market.upsert_bars(tx, self._symbol_id, parent, bars, origin, imported=True)
                )
        self._sleep(PAUSE_S)

    def _write(
        self, trades: list[Trade], timeframe_ms: int, bars: list[Bar], origin: Origin
    ) -> None:
        rows = len(trades) + len(bars)
        if not rows:
            return
        began = time.perf_counter()
        with self._writer.transaction() as tx:
            market.insert_trades(tx, self._symbol_id, trades)
            self._count(
                tx,
                market.upsert_bars(tx, self._symbol_id, timeframe_ms, bars, origin, imported=True),
            )
        took = time.perf_counter() - began
        self._chunk = max(200, min(10_000, int(rows * WRITE_S / max(took, 1e-6))))
        self._sleep(PAUSE_S)

    def _count(self, tx: Transaction, changes: BarChanges) -> None:
        changed = changes.appended + changes.rewritten
        if changed:
            # Even what is only appended changes the past: it is older than what is on screen.
            market.rise_revision(tx, self._symbol_id)
        self._changed += changed


def _second_of(
    tx: Transaction, symbol_id: int, trade_id: int, edge_id: int, step: int
) -> list[Trade]:
    """Stored trades of the second that a trade lies in, beyond the edge and without a hole."""
    found = market.trade_by_id(tx, symbol_id, trade_id)
    if found is None:
        return []
    second = found.trade_time_ms - found.trade_time_ms % SECOND_MS
    stored = market.trades_around(tx, symbol_id, second, second + SECOND_MS, trade_id)
    if step < 0:
        stored.reverse()
    chained: list[Trade] = []
    for trade in stored:
        if (trade.trade_id - edge_id) * step > 0 and trade.trade_id == trade_id:
            chained.append(trade)
            trade_id += step
    return chained[::step]
