"""Figures of the last 24 hours."""

from dataclasses import dataclass

from ingest.simulator.archive import MINUTE_MS
from ingest.simulator.ledger import DAY_MS, Ledger


@dataclass(frozen=True, slots=True)
class DayTicker:
    """One symbol over the last 24 hours, to the minute; prices in ticks, volumes in steps."""

    open_time_ms: int
    close_time_ms: int
    price_before: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    first_raw_id: int
    trade_count: int


def day_ticker(ledger: Ledger, symbol: str) -> DayTicker:
    """Fold the last 24 hours; they begin at a whole minute."""
    now_ms = ledger.now_ms()
    start_ms = (now_ms - DAY_MS) // MINUTE_MS * MINUTE_MS
    rows = ledger.rows(symbol, MINUTE_MS, start_ms, now_ms + 1)
    traded = rows.first_raw_id[rows.first_raw_id >= 0]
    return DayTicker(
        open_time_ms=start_ms,
        close_time_ms=now_ms,
        price_before=ledger.price_before(symbol, start_ms),
        open=int(rows.open[0]),
        high=int(rows.high.max()),
        low=int(rows.low.min()),
        close=int(rows.close[-1]),
        volume=int(rows.volume.sum()),
        quote_volume=int(rows.quote_volume.sum()),
        first_raw_id=int(traded[0]) if len(traded) else -1,
        trade_count=int(rows.trade_count.sum()),
    )
