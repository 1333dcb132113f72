"""Lengths of time, and those that a bar can have."""

from typing import Literal, TypeAlias

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000

Timeframe: TypeAlias = Literal["1s", "1m", "5m", "15m", "1h"]

TIMEFRAMES: dict[str, int] = {
    "1s": 1_000,
    "1m": 60_000,
    "5m": 300_000,
    "15m": 900_000,
    "1h": 3_600_000,
}
"""Length of each timeframe in milliseconds, shortest first."""

LONGER = tuple(name for name, length in TIMEFRAMES.items() if length > TIMEFRAMES["1m"])
"""Those that are made of minutes."""

SCANNED = tuple(name for name in TIMEFRAMES if name != "1s")
"""Those that every pair may be tested on."""
