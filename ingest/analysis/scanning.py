"""The scan as a job: bars of the store to what every pair of them is worth, and back."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core.errors import PairdeskError
from core.pair_spec import PairSpec, read_pair_spec
from core.presence import PRESENT_SHARE, newest_common_ms
from core.scan import PairTable, Scan, plan_tiles, scan
from core.selection import NULL_UNIVERSES
from core.tasks import Result, Shared, Task, TaskRunner
from core.timeframes import TIMEFRAMES
from core.types import FloatArray, IntArray
from core.universe import Universe, universe_of
from ingest.analysis.executor import open_executor
from ingest.analysis.scan_times import is_history_whole, newest_bars
from ingest.analysis.work import Work
from ingest.store import scans
from ingest.store.reader import Reader
from ingest.store.transaction import WRITE_PAUSE_S

BEHIND = 100
"""Rows before the newest bar that the last row may be at, for a lack of complete bars."""


class NothingToScan(PairdeskError):
    """There are no two symbols with bars of one time."""


@dataclass(frozen=True, slots=True)
class ScanHead:
    """What stands above the table of a scan; pairs and symbols by their numbers."""

    symbols: tuple[str, ...]
    quote_volume_24h: tuple[float, ...]
    start_ms: int
    """Open time of the first row."""
    window: int
    hedge_window: int
    fee_bps: float
    slippage_bps: float
    pairs_total: int
    pairs_tested: int
    pairs_refused: int
    elapsed_s: float
    found_p05: int
    found_q05: int
    null_range_p05: tuple[int, int]
    hubs: tuple[tuple[int, int], ...]
    detectable_half_life_bars: float
    stationary: tuple[int, ...]
    short: tuple[int, ...]
    """Symbols that lack more than a tenth of the rows."""
    is_history_whole: bool
    """Whether all history had been fetched."""


def scan_spec(timeframe: str, bars: int, work: Work) -> PairSpec:
    """What every pair of a scan is measured by: the defaults, over the rows of the scan."""
    return read_pair_spec({"timeframe": timeframe, "bars": bars}, work.settings)


def scan_market(work: Work) -> tuple[dict[str, Any], str]:
    """Scan every pair of the store, keep what is found, and say what that is."""
    timeframe, bars = work.spec.values["timeframe"], work.spec.values["bars"]
    spec = scan_spec(timeframe, bars, work)
    work.tell(0.0, "reads bars")
    is_whole = is_history_whole(work.reader)
    universe = read_universe(work.reader, timeframe, bars)
    pairs = len(universe.symbols) * (len(universe.symbols) - 1) // 2
    started = time.perf_counter()
    with open_executor(work.settings.dask_scheduler) as executor:
        total = len(plan_tiles(universe.logs, executor.cores)) + NULL_UNIVERSES
        words = f"{pairs:,} pairs of {len(universe.symbols)} symbols, {timeframe}"
        run = told(
            executor.run, total, lambda share: work.tell(0.95 * share, words), work.give_back
        )
        found = scan(universe, spec, run, executor.cores)
    elapsed_s = time.perf_counter() - started
    work.tell(0.95, "keeps what was found")
    head = head_of(found, spec, elapsed_s, is_whole)
    scan_id = keep(work, found, head, timeframe, bars)
    kept = asdict(head)
    told_of = ("pairs_total", "pairs_tested", "pairs_refused", "found_p05", "found_q05",
               "null_range_p05", "elapsed_s")  # fmt: skip
    result = {"scan_id": scan_id, "timeframe": timeframe, "bars": bars,
              "as_of_ms": universe.as_of_ms} | {name: kept[name] for name in told_of}  # fmt: skip
    return result, f"{head.pairs_tested:,} pairs in {elapsed_s:.1f} s"


def read_universe(reader: Reader, timeframe: str, bars: int) -> Universe:
    """Every symbol that is streamed, or where none is every one that was imported.

    Raises
    ------
    NothingToScan
        There are no two with bars of one time.
    """
    step = TIMEFRAMES[timeframe]
    newest = newest_bars(reader, step)
    last_ms = newest_common_ms(newest.values())
    if last_ms is None or len(newest) < 2:
        raise NothingToScan(f"no two symbols have {timeframe} bars")
    start_ms = last_ms - (bars + BEHIND) * step
    present = [name for name, newest_ms in newest.items() if newest_ms >= start_ms]
    universe = universe_of(reader.closes(present, step, start_ms), step, bars)
    if universe is None or len(universe.symbols) < 2:
        raise NothingToScan(f"no two symbols have {timeframe} bars of one time")
    return universe


def told(
    run: TaskRunner, total: int, tell: Callable[[float], None], loaded: Callable[[], None]
) -> TaskRunner:
    """The same way to work tasks off, which says which share of all of them is done.

    `loaded` is called when the first one is: from then on the kernels are there.
    """
    done = 0

    def run_and_tell(
        function: Callable[[Shared, Task], Result], shared: Shared, tasks: Sequence[Task]
    ) -> Iterator[Result]:
        nonlocal done
        for result in run(function, shared, tasks):
            if not done:
                loaded()
            done += 1
            tell(done / total)
            yield result

    return run_and_tell


def head_of(found: Scan, spec: PairSpec, elapsed_s: float, is_whole: bool) -> ScanHead:
    """What is said above the table."""
    universe, count = found.universe, len(found.universe.symbols)
    missing = np.isnan(universe.logs).mean(axis=1)
    return ScanHead(
        symbols=universe.symbols,
        quote_volume_24h=tuple(universe.quote_volume_24h.tolist()),
        start_ms=universe.start_ms,
        window=spec.window,
        hedge_window=spec.hedge_window,
        fee_bps=spec.fee_bps,
        slippage_bps=spec.slippage_bps,
        pairs_total=count * (count - 1) // 2,
        pairs_tested=len(found.table),
        pairs_refused=len(found.refused),
        elapsed_s=elapsed_s,
        found_p05=found.found_p05,
        found_q05=found.found_q05,
        null_range_p05=found.null_range_p05,
        hubs=found.hubs,
        detectable_half_life_bars=found.detectable_half_life_bars,
        stationary=tuple(found.stationary.tolist()),
        short=tuple(np.flatnonzero(missing > 1.0 - PRESENT_SHARE).tolist()),
        is_history_whole=is_whole,
    )


def keep(work: Work, found: Scan, head: ScanHead, timeframe: str, bars: int) -> int:
    """Store a scan in short transactions, and let go of what it takes the place of."""
    table, made_ms = found.table, int(time.time() * 1_000)
    key = scans.ScanKey(timeframe, bars, found.universe.as_of_ms, made_ms, len(table))
    text = json.dumps(asdict(head), allow_nan=False, separators=(",", ":"))
    with work.writer.transaction() as tx:
        scan_id = scans.begin(tx, key, text)
    pieces = [
        *scans.column_pieces(scan_id, columns_of(found)),
        *scans.history_pieces(scan_id, *history_of(table), len(head.symbols)),
    ]
    for save in pieces:
        with work.writer.transaction() as tx:
            save(tx)
        time.sleep(WRITE_PAUSE_S)
    with work.writer.transaction() as tx:
        scans.complete(tx, scan_id)
    is_more = True
    while is_more:
        with work.writer.transaction() as tx:
            is_more = scans.prune_one(tx, timeframe)
        time.sleep(WRITE_PAUSE_S)
    return scan_id


def columns_of(found: Scan) -> dict[str, FloatArray | IntArray]:
    """Every column of the table by name; those of the quarters and of refused pairs one by one."""
    table = found.table
    columns: dict[str, Any] = {
        name: getattr(table, name) for name in PairTable.__slots__ if name != "p_quarters"
    }
    for number, cells in enumerate(table.p_quarters.T):
        columns[f"p_quarter_{number}"] = cells
    for name, cells in zip(("refused_a", "refused_b", "refused_why"), found.refused.T, strict=True):
        columns[name] = cells
    return columns


def history_of(table: PairTable) -> tuple[IntArray, IntArray, FloatArray]:
    """Numbers of the symbols of each pair, the lower one first, and what is kept of it."""
    is_reversed = (table.leg_a > table.leg_b).astype(np.float64)
    kept = table.pvalue, table.p_quarters, table.half_life_bars, table.hedge_ratio, is_reversed
    first = np.minimum(table.leg_a, table.leg_b)
    return first, np.maximum(table.leg_a, table.leg_b), np.column_stack(kept)
