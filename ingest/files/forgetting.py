"""Take back what was imported, or all that is stored, of symbols; beside a running worker too."""

import time
import unicodedata
from collections.abc import Callable, Sequence

from core.errors import StoreError
from core.timeframes import TIMEFRAMES
from ingest.store import imports
from ingest.store.lock import role_lock
from ingest.store.reader import Holdings, Reader
from ingest.store.transaction import WRITE_PAUSE_S, Writer

ROWS_PER_TRANSACTION = 5_000
TOLD_FILES = 5
TOLD_SYMBOLS = 20


def forget(
    symbols: Sequence[str],
    imported_only: bool,
    url: str,
    reader: Reader,
    writer: Writer,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Say what there is of these symbols, then remove it.

    Raises
    ------
    StoreError
        A symbol isn't stored, or a worker streams it and all of it was to go; nothing is removed.
    """
    lock = role_lock(url, "worker")
    is_alone = lock.acquire()
    try:
        found: dict[str, Holdings] = {}
        for name in symbols:
            holdings = reader.holdings(name)
            if holdings is None:
                # Names that no rule allows any more may be stored, and have to be taken back too.
                name = unicodedata.normalize("NFC", name.upper())
                holdings = reader.holdings(name)
            if holdings is None:
                raise StoreError(f"{name} is not stored; stored: {_known(reader)}")
            if holdings.subscribed and not imported_only and not is_alone:
                raise StoreError(
                    f"{name} is streamed by the worker that runs: take it out of SYMBOLS and"
                    " restart, or take back what was imported alone with --imported"
                )
            found[name] = holdings
        for name, holdings in found.items():
            say(f"{name}: {_words(holdings, imported_only)}")
        for name, holdings in found.items():
            bars, trades = _remove(writer, holdings.symbol_id, imported_only, sleep)
            say(f"{name}: removed {bars:,} bars and {trades:,} trades")
    finally:
        if is_alone:
            lock.release()


def _known(reader: Reader) -> str:
    names = [item.symbol for item in reader.symbols()]
    more = f" and {len(names) - TOLD_SYMBOLS} more" if len(names) > TOLD_SYMBOLS else ""
    return (", ".join(names[:TOLD_SYMBOLS]) or "nothing") + more


def _words(holdings: Holdings, imported_only: bool) -> str:
    names = {length: name for name, length in TIMEFRAMES.items()}
    counts = {
        names.get(length, str(length)): imported if imported_only else all_
        for length, (all_, imported) in holdings.bars.items()
    }
    bars = ", ".join(f"{count:,} of {name}" for name, count in counts.items() if count) or "none"
    told = [f"{'imported ' if imported_only else ''}bars: {bars}"]
    if not imported_only:
        told.append(f"trades: {holdings.trades:,}")
    islands = holdings.islands
    files = [f"{item.file} ({item.rows:,} rows)" for item in islands[:TOLD_FILES]]
    if len(islands) > TOLD_FILES:
        files.append(f"{len(islands) - TOLD_FILES:,} more")
    told.append(f"files: {', '.join(files) or 'none'}")
    return "; ".join(told)


def _remove(
    writer: Writer, symbol_id: int, imported_only: bool, sleep: Callable[[float], None]
) -> tuple[int, int]:
    """Remove one symbol in short transactions; return how many bars and trades that were."""

    def drain(step: Callable[..., int], *values: int) -> int:
        total = 0
        while True:
            with writer.transaction() as tx:
                count = step(tx, symbol_id, *values, ROWS_PER_TRANSACTION)
            if not count:
                return total
            total += count
            sleep(WRITE_PAUSE_S)

    bars = 0
    for length in TIMEFRAMES.values():
        bars += drain(imports.forget_bars, length, imported_only)
        if imported_only:
            drain(imports.own_bars, length)
    trades = drain(imports.forget_trades, imported_only)
    with writer.transaction() as tx:
        imports.forget_islands(tx, symbol_id)
        if not imported_only or imports.is_bare(tx, symbol_id):
            imports.forget_symbol(tx, symbol_id)
    return bars, trades
