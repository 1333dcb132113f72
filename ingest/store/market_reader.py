"""Reading symbols, their bars and what was imported. Never writes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection

from core.timeframes import TIMEFRAMES
from core.types import Bars, Closes, Leg
from ingest.store.columns import read_columns
from ingest.store.connections import ReadConnections, marks, run


@dataclass(frozen=True, slots=True)
class StoredSymbol:
    """What is known of one symbol; None where the live feed or any bar is still to come."""

    symbol: str
    base: str
    quote: str
    status: str
    subscribed: bool
    revision: int
    first_bar_ms: int | None
    last_event_time_ms: int | None
    last_id: int | None
    last_price: float | None


@dataclass(frozen=True, slots=True)
class Freshness:
    """What tells whether anything of a symbol has changed; None before its first live trade."""

    revision: int
    last_event_time_ms: int | None
    last_price: float | None
    newest_bars_ms: dict[int, int]
    """Open time of the newest closed bar, by timeframe in ms; only of those that have bars."""
    quote: str
    status: str
    """As the exchange lists it: TRADING, BREAK …"""
    price_decimals: int | None = None
    """As it quotes prices; None while it has not said."""


class Island(NamedTuple):
    """What one file brought, as recorded when it was imported."""

    file: str
    kind: str
    rows: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """All that is stored of one symbol; bars by timeframe: how many, and how many imported."""

    symbol_id: int
    subscribed: bool
    bars: dict[int, tuple[int, int]]
    trades: int
    islands: tuple[Island, ...]


def _bar_times(extreme: str, lengths: Iterable[int]) -> str:
    """MIN or MAX of a symbol's open times, a column each timeframe.

    Each is one look at the index: a symbol may have millions of bars.
    """
    return "".join(
        f", (SELECT {extreme}(open_time_ms) FROM bars"
        f" WHERE symbol_id = symbols.id AND timeframe_ms = {int(length)})"
        for length in lengths
    )


_WITH_CURSORS = "FROM symbols LEFT JOIN cursors ON cursors.symbol_id = symbols.id"
_SYMBOLS = (
    "SELECT symbol, base, quote, status, subscribed, revision, last_event_time_ms, last_id,"
    f" last_price{_bar_times('MIN', TIMEFRAMES.values())} {_WITH_CURSORS}"
)


class MarketReader(ReadConnections):
    """What may be read of the market itself."""

    def symbols(self) -> list[StoredSymbol]:
        """Every symbol in the store, by name."""
        with self._reading() as connection:
            rows = run(connection, f"{_SYMBOLS} ORDER BY symbol").all()
        return [_stored_symbol(row) for row in rows]

    def symbol(self, name: str) -> StoredSymbol | None:
        """One symbol; None when the store doesn't know it."""
        with self._reading() as connection:
            row = run(connection, f"{_SYMBOLS} WHERE symbol = ?", name).first()
        return None if row is None else _stored_symbol(row)

    def bar_range(self, symbol: str, timeframe_ms: int) -> tuple[int, int] | None:
        """Open times of the first and the last stored bar; None when there is none."""
        of_timeframe = "FROM bars WHERE symbol_id = symbols.id AND timeframe_ms = ?"
        with self._reading() as connection:
            row = run(
                connection,
                f"SELECT (SELECT MIN(open_time_ms) {of_timeframe}),"
                f" (SELECT MAX(open_time_ms) {of_timeframe}) FROM symbols WHERE symbol = ?",
                int(timeframe_ms),
                int(timeframe_ms),
                symbol,
            ).first()
        return None if row is None or row[0] is None else (row[0], row[1])

    def bars(
        self,
        symbol: str,
        timeframe_ms: int,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
    ) -> Bars:
        """Bars with start <= open time < end as columns, oldest first; empty when there are none.

        `limit` keeps the first ones from `start_ms` on, or without a start the newest.
        """
        with self._reading() as connection:
            return Bars(
                *read_columns(connection, Bars, symbol, timeframe_ms, start_ms, end_ms, limit)
            )

    def leg(self, symbol: str, timeframe_ms: int, start_ms: int, end_ms: int) -> Leg:
        """The same bars, of which only what a pair needs is read: half the time."""
        with self._reading() as connection:
            return Leg(*read_columns(connection, Leg, symbol, timeframe_ms, start_ms, end_ms, None))

    def closes(self, symbols: Iterable[str], timeframe_ms: int, start_ms: int) -> dict[str, Closes]:
        """What a scan needs of many symbols' bars from a time on, all of one moment."""
        span = timeframe_ms, start_ms, None, None
        with self._reading() as connection:
            return {
                symbol: Closes(*read_columns(connection, Closes, symbol, *span))
                for symbol in symbols
            }

    def prices_at(
        self, symbol: str, timeframe_ms: int, times: Iterable[int]
    ) -> dict[int, tuple[float, float, bool]]:
        """Open, close and whether it is complete, of each bar that there is at these times."""
        asked = sorted(set(times))
        if not asked:
            return {}
        with self._reading() as connection:
            rows = run(
                connection,
                "SELECT open_time_ms, open, close, complete FROM bars"
                " JOIN symbols ON symbols.id = bars.symbol_id WHERE symbol = ?"
                f" AND timeframe_ms = ? AND open_time_ms IN ({marks(asked)})",
                symbol,
                int(timeframe_ms),
                *map(int, asked),
            ).all()
        return {row[0]: (row[1], row[2], bool(row[3])) for row in rows}

    def holdings(self, symbol: str) -> Holdings | None:
        """Count what is stored of a symbol; None when the store doesn't know it."""
        with self._reading() as connection:
            found = run(
                connection, "SELECT id, subscribed FROM symbols WHERE symbol = ?", symbol
            ).first()
            if found is None:
                return None
            key = int(found[0])
            bars = run(
                connection,
                "SELECT timeframe_ms, COUNT(*), SUM(CASE WHEN imported THEN 1 ELSE 0 END)"
                " FROM bars WHERE symbol_id = ? GROUP BY timeframe_ms ORDER BY timeframe_ms",
                key,
            ).all()
            trades = run(connection, "SELECT COUNT(*) FROM trades WHERE symbol_id = ?", key)
            islands = run(
                connection,
                "SELECT file, kind, rows FROM imports WHERE symbol_id = ? ORDER BY id",
                key,
            ).all()
            return Holdings(
                symbol_id=key,
                subscribed=bool(found[1]),
                bars={row[0]: (int(row[1]), int(row[2])) for row in bars},
                trades=int(trades.scalar_one()),
                islands=tuple(Island(*row) for row in islands),
            )

    def freshness(
        self,
        symbols: Sequence[str] | None = None,
        timeframes_ms: Iterable[int] = tuple(TIMEFRAMES.values()),
    ) -> dict[str, Freshness]:
        """What tells whether anything has changed of these symbols (None: of all), in one query.

        Bars were appended where a timeframe's newest one differs, and rewritten where the
        revision does. A symbol that the store doesn't know is left out. Each symbol and timeframe
        costs one look at the index.
        """
        with self._reading() as connection:
            return read_freshness(connection, symbols, tuple(timeframes_ms))

    def has_imports(self) -> bool:
        """Tell whether anything was imported from dump files."""
        with self._reading() as connection:
            return run(connection, "SELECT 1 FROM imports LIMIT 1").first() is not None


def _stored_symbol(row: Any) -> StoredSymbol:
    first_bars = [value for value in row[9:] if value is not None]
    return StoredSymbol(
        symbol=row[0],
        base=row[1],
        quote=row[2],
        status=row[3],
        subscribed=bool(row[4]),
        revision=row[5],
        first_bar_ms=min(first_bars, default=None),
        last_event_time_ms=row[6],
        last_id=row[7],
        last_price=row[8],
    )


def read_freshness(
    connection: Connection, symbols: Sequence[str] | None, lengths: tuple[int, ...]
) -> dict[str, Freshness]:
    """`Reader.freshness` over a connection."""
    if symbols is not None and not symbols:
        return {}
    sql = (
        "SELECT symbol, quote, status, price_decimals, revision, last_event_time_ms, last_price"
        f"{_bar_times('MAX', lengths)} {_WITH_CURSORS}"
    )
    if symbols is not None:
        sql += f" WHERE symbol IN ({marks(symbols)})"
    rows = run(connection, sql, *(symbols or ())).all()
    return {
        row[0]: Freshness(
            revision=row[4],
            last_event_time_ms=row[5],
            last_price=row[6],
            newest_bars_ms={
                length: open_time_ms
                for length, open_time_ms in zip(lengths, row[7:], strict=True)
                if open_time_ms is not None
            },
            quote=row[1],
            status=row[2],
            price_decimals=row[3],
        )
        for row in rows
    }
