"""Load dump files into the store: check a file whole, then write it in short transactions."""

import collections
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

from core.bars import PARENTS, STEP_BACK_MS, roll_up
from core.errors import ImportFileError
from core.symbols import split_symbol
from core.timeframes import DAY_MS, SECOND_MS
from core.types import Bar, Origin, Trade
from ingest.files.dumps import DumpFile, OnBytes, describe, read_lines, size_bytes, state
from ingest.files.judging import (
    TOLD_HOLES,
    Account,
    Hole,
    KlineJudge,
    KnownPrice,
    TradeJudge,
)
from ingest.files.rows import (
    DUMP_COLUMNS,
    BadLine,
    Columns,
    is_note,
    is_trade_heading,
    kline_columns,
)
from ingest.files.seconds import second_bars
from ingest.files.summary import ImportResult, RefusedFile, iso_time
from ingest.store import gaps, imports, market
from ingest.store.market import BarChanges
from ingest.store.transaction import WRITE_PAUSE_S, Transaction, Writer

WRITE_S = 0.05
"""What a transaction aims at; other processes wait for the lock while it lasts."""
TRADES_PER_TRANSACTION = 10_000
HOLES_PER_TRANSACTION = 200


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far one file is; `done` of `total` bytes of its text in this phase."""

    path: Path
    phase: Literal["checking", "writing"]
    done: int
    total: int


class ImportedSymbol(NamedTuple):
    """A symbol as far as a file's name tells."""

    symbol: str
    base: str
    quote: str
    status: str
    price_decimals: int | None = None


Report = Callable[[ImportProgress], None]
Judge = KlineJudge | TradeJudge


def import_files(
    paths: Sequence[str | os.PathLike[str]],
    writer: Writer,
    report: Report,
    *,
    symbol: str | None = None,
    timeframe: str | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[ImportResult | RefusedFile]:
    """Load files one after the other and say of each what it brought; again changes nothing.

    With `symbol` and `timeframe` the files are any CSV of such bars, whatever their names.

    Raises
    ------
    StoreError
        The database can't be written.
    """
    for path in map(Path, paths):
        try:
            dump = describe(path, symbol, timeframe)
            yield _FileImport(dump, writer, report, clock, sleep).run()
        except ImportFileError as error:
            yield RefusedFile(path, str(error))


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
        self._now_ms = int(clock() * 1_000)
        self._sleep = sleep
        self._changed = 0
        self._symbol_id = 0
        # Rows a transaction; follows from how long the last one took.
        self._chunk = 2_000

    def run(self) -> ImportResult:
        """Check the whole file, then write it."""
        total = size_bytes(self._dump)
        before = state(self._dump)
        judge = self._check(total)
        if state(self._dump) != before:  # still being downloaded
            raise ImportFileError(f"{self._dump.path}: changed while it was checked")
        self._begin(judge)
        if isinstance(judge, TradeJudge):
            start_ms, end_ms = self._write_trades(judge, total)
        else:
            start_ms, end_ms = self._write_klines(judge, total)
        self._roll_up(start_ms, end_ms)
        holes = missing = 0
        first_holes: list[Hole] = []
        for hole in judge.holes():
            holes, missing = holes + 1, missing + hole.missing
            if len(first_holes) < TOLD_HOLES:
                first_holes.append(hole)
        return ImportResult(
            self._dump, judge.account, self._changed, holes, missing, tuple(first_holes)
        )

    def _on_bytes(self, phase: Literal["checking", "writing"], total: int) -> Callable[[int], None]:
        return lambda done: self._report(ImportProgress(self._dump.path, phase, done, total))

    def _check(self, total: int) -> Judge:
        judge = self._judged(total)
        if judge.first_row.denied_line:
            judge = self._judged(total, judge.first_row.denied_line)
        account = judge.account
        if not account.taken:
            why = f" that can be taken: {account.words()}" if account.left_out else ""
            raise ImportFileError(f"{self._dump.path}: there is no row in it{why}")
        if account.is_doubtful:
            raise ImportFileError(
                f"{self._dump.path}: only {account.taken:,} rows would be taken:"
                f" {account.words()}; nothing of it was imported"
            )
        if self._dump.is_dump and isinstance(judge, KlineJudge) and judge.is_in_contracts:
            raise ImportFileError(
                f"{self._dump.path}: its volumes are contracts and coins, as those of coin-margined"
                " futures: another market; nothing of it was imported"
            )
        return judge

    def _judged(self, total: int, denied_line: int = 0) -> Judge:
        dump, on_bytes = self._dump, self._on_bytes("checking", total)
        if dump.timeframe_ms is None:
            trades = TradeJudge(dump.symbol, self._now_ms, denied_line=denied_line)
            collections.deque(self._trades(trades, on_bytes), maxlen=0)
            return trades
        klines = KlineJudge(dump.symbol, dump.timeframe_ms, self._now_ms, denied_line)
        collections.deque(self._bars(klines, on_bytes), maxlen=0)
        return klines

    def _bars(self, judge: KlineJudge, on_bytes: OnBytes) -> Iterator[Bar]:
        columns: Columns | None = None
        heading = None
        for number, line in read_lines(self._dump, on_bytes):
            with self._naming(number):
                if number == 1 and not self._dump.is_dump and is_note(line):
                    continue
                if columns is None:
                    columns = kline_columns(line, self._dump.symbol, self._dump.is_dump)
                    if columns is not None:
                        heading = line
                        continue
                    columns = DUMP_COLUMNS
                bar = None if line == heading else judge.judge(number, line, columns)
            if bar is not None:
                yield bar

    def _trades(self, judge: TradeJudge, on_bytes: OnBytes) -> Iterator[Trade]:
        for number, line in read_lines(self._dump, on_bytes):
            if is_trade_heading(line):
                continue
            with self._naming(number):
                trade = judge.judge(number, line)
            if trade is not None:
                yield trade

    @contextmanager
    def _naming(self, number: int) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            words = str(error) if isinstance(error, BadLine) else "not a number"
            raise ImportFileError(
                f"{self._dump.path}: line {number}: {words}; nothing of it was imported"
            ) from None

    def _begin(self, judge: Judge) -> None:
        """Record the island first: pruning by a running worker must not eat what is coming."""
        symbol, account = self._dump.symbol, judge.account
        first, last = (judge.first, judge.last) if isinstance(judge, TradeJudge) else (None, None)
        with self._writer.transaction() as tx:
            listing = ImportedSymbol(symbol, *split_symbol(symbol), "IMPORTED")
            self._symbol_id = market.ensure_symbols(tx, [listing], keep_existing=True)[symbol]
            self._compare_prices(tx, account)
            imports.record_import(
                tx,
                self._symbol_id,
                self._dump.kind,
                self._dump.timeframe_ms,
                account.start_ms,
                account.end_ms,
                None if first is None else first.trade_id,
                None if last is None else last.trade_id,
                self._dump.name,
                account.taken,
                self._now_ms,
            )
        if isinstance(judge, TradeJudge):
            self._record_holes(judge.id_holes)

    def _compare_prices(self, tx: Transaction, account: Account) -> None:
        for time_ms, price in (
            (account.start_ms, account.first_price),
            (account.end_ms - 1, account.last_price),
        ):
            for known in imports.prices_near(tx, self._symbol_id, time_ms):
                if KnownPrice(*known).denies(price, time_ms):
                    raise ImportFileError(
                        f"{self._dump.path}: its price of {iso_time(time_ms)} is {price:g} where"
                        f" {known[1]:g} is stored of {iso_time(known[0])}: another thing or unit;"
                        f" nothing of it was imported (`python -m ingest forget"
                        f" {self._dump.symbol} --imported` takes back what was before)"
                    )

    def _record_holes(self, holes: Sequence[Hole]) -> None:
        reason = f"{imports.HOLE_REASON} {self._dump.name}"
        for first in range(0, len(holes), HOLES_PER_TRANSACTION):
            with self._writer.transaction() as tx:
                known = {
                    (gap.from_id, gap.to_id)
                    for gap in gaps.in_state(tx, "unfillable")
                    if gap.symbol_id == self._symbol_id
                }
                for hole in holes[first : first + HOLES_PER_TRANSACTION]:
                    ids = (hole.first_id, hole.first_id + hole.missing - 1)
                    if ids not in known:
                        times = (hole.start_ms, hole.end_ms)
                        gap_id = gaps.open_gap(
                            tx, self._symbol_id, *ids, *times, "imported", self._now_ms
                        )
                        gaps.close_gap(tx, gap_id, "unfillable", reason, self._now_ms)
            self._sleep(WRITE_PAUSE_S)

    def _write_klines(self, checked: KlineJudge, total: int) -> tuple[int, int]:
        assert self._dump.timeframe_ms is not None
        judge = KlineJudge(
            self._dump.symbol,
            self._dump.timeframe_ms,
            self._now_ms,
            checked.first_row.denied_line,
        )
        pending: list[Bar] = []
        for bar in self._bars(judge, self._on_bytes("writing", total)):
            pending.append(bar)
            if len(pending) >= self._chunk:
                self._write([], self._dump.timeframe_ms, pending, Origin.KLINE)
                pending = []
        self._write([], self._dump.timeframe_ms, pending, Origin.KLINE)
        return checked.account.start_ms, checked.account.end_ms

    def _write_trades(self, checked: TradeJudge, total: int) -> tuple[int, int]:
        assert checked.first is not None
        assert checked.last is not None
        head, tail, starts_whole, ends_whole = self._neighbours(checked.first, checked.last)
        judge = TradeJudge(
            self._dump.symbol, self._now_ms, checked.leapt, checked.first_row.denied_line
        )
        trades: list[Trade] = []
        bars: list[Bar] = []

        def collect() -> Iterator[Trade]:
            for trade in self._trades(judge, self._on_bytes("writing", total)):
                trades.append(trade)
                if len(trades) >= TRADES_PER_TRANSACTION:  # of one moment, or without a price
                    self._write(trades, SECOND_MS, [], Origin.TRADES)
                    trades.clear()
                yield trade

        for bar in second_bars(chain(head, collect(), tail), starts_whole, ends_whole):
            bars.append(bar)
            if len(trades) + len(bars) >= self._chunk:
                self._write(trades, SECOND_MS, bars, Origin.TRADES)
                trades.clear()
                bars.clear()
        self._write(trades, SECOND_MS, bars, Origin.TRADES)
        times = [trade.trade_time_ms for trade in (*head, *tail)]
        start_ms = min([checked.account.start_ms, *times])
        end_ms = max([checked.account.end_ms - 1, *times])
        return start_ms - start_ms % SECOND_MS, end_ms - end_ms % SECOND_MS + SECOND_MS

    def _neighbours(self, first: Trade, last: Trade) -> tuple[list[Trade], list[Trade], bool, bool]:
        """Stored trades whose ids go on where the file's end, and whether the ends are whole.

        An end is whole where the next id is stored too: two days imported one after the other
        leave no broken second between them. Or it lies on a day's boundary, as a daily dump does.
        """
        with self._writer.transaction() as tx:
            head = _stored_beside(tx, self._symbol_id, first.trade_id - 1, first.trade_id, -1)
            tail = _stored_beside(tx, self._symbol_id, last.trade_id + 1, last.trade_id, 1)
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
        if children:  # a file full of holes has thousands of stretches without
            self._sleep(WRITE_PAUSE_S)

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
        self._sleep(WRITE_PAUSE_S)

    def _count(self, tx: Transaction, changes: BarChanges) -> None:
        changed = changes.appended + changes.rewritten
        if changed:
            # Even what is only appended changes the past: it is older than what is on screen.
            market.rise_revision(tx, self._symbol_id)
        self._changed += changed


def _stored_beside(
    tx: Transaction, symbol_id: int, trade_id: int, edge_id: int, step: int
) -> list[Trade]:
    """Stored trades about the second of a trade, beyond the edge and without a hole."""
    found = market.trade_by_id(tx, symbol_id, trade_id)
    if found is None:
        return []
    second = found.trade_time_ms - found.trade_time_ms % SECOND_MS
    stored = market.trades_around(
        tx, symbol_id, second - STEP_BACK_MS, second + SECOND_MS + STEP_BACK_MS, trade_id
    )
    if step < 0:
        stored.reverse()
    chained: list[Trade] = []
    for trade in stored:
        if (trade.trade_id - edge_id) * step > 0 and trade.trade_id == trade_id:
            chained.append(trade)
            trade_id += step
    return chained[::step]
