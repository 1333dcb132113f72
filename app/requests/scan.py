"""What may be asked of scans and of the radar."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.requests.fields import parameters
from core.job_spec import SCAN_PARAMETERS, SCANNED_BARS
from core.pair_spec import OTHER_LEG
from core.parameters import Choice, Number, Symbol, Text, WholeNumber
from core.scan_query import FLAGS, SORTS, THIN_QUOTE_VOLUME, ScanQuery

_TIMEFRAME = SCAN_PARAMETERS["timeframe"]
_FILTERS = {
    "timeframe": _TIMEFRAME,
    "bars": SCAN_PARAMETERS["bars"],
    "max_q": Number(0, 1, label="q ≤", about="Largest q-value", without="any"),
    "max_median": Number(
        0, 1, label="quarters median ≤", about="Largest median p of the quarters", without="any"
    ),
    "max_half_life": Number(
        0, 10_000, label="Half-life ≤", unit="bars", about="Longest half-life", without="any"
    ),
    "min_quote_volume": Number(
        0, 1e15, label="Thinner leg ≥", about="Quote units that the thinner leg trades a day",
        default=THIN_QUOTE_VOLUME,
    ),
    "flags": Choice(
        {"all": "show all", "none": "without a flag"} | {name: name for name in FLAGS},
        label="Flags", about="Pairs with any flag or none, without one, or with this one: "
        + "; ".join(f"{name}: {words}" for name, words in FLAGS.items()),
        default="all",
    ),
    "find": Text(
        label="Find", about="Part of a symbol, or of both with a slash between", default="",
        longest=60,
    ),
    "sort": Choice(
        {name: name for name in SORTS}, label="Order", default="p_quarters_median",
        about="By which column; z by its size. Correlation and past profit are no orders: out of"
        " sample they earned nothing",
    ),
    "order": Choice(
        {"": "as the column is read", "asc": "rising", "desc": "falling"},
        about="Rising or falling; by itself the smallest first, of z, crossings and volume the"
        " largest",
        default="",
    ),
}  # fmt: skip

ScanParameters = parameters(
    "ScanParameters",
    {
        **_FILTERS,
        "limit": WholeNumber(1, 1_000, about="Most rows", default=100),
        "offset": WholeNumber(0, 10_000_000, about="Rows before them", default=0),
    },
)
"""Parameters of `/analytics/scan`."""

ScanTableParameters = parameters("ScanTableParameters", _FILTERS)
"""Parameters of `/analytics/scan/pairs.csv`."""

RadarParameters = parameters(
    "RadarParameters",
    {
        "timeframe": _TIMEFRAME,
        "min_z": Number(
            0.1, 100, about="|z| from which on a pair is told",
            without="where a full reversion pays its costs",
        ),
        **{name: _FILTERS[name] for name in ("max_q", "max_median", "max_half_life")},
        "min_quote_volume": replace(_FILTERS["min_quote_volume"], default=0.0),
        "limit": WholeNumber(1, 500, about="Most rows, the farthest first", default=20),
    },
)  # fmt: skip
"""Parameters of `/analytics/radar`."""

HistoryParameters = parameters(
    "HistoryParameters",
    {
        "symbol_a": Symbol(about="One leg", required=True),
        "symbol_b": Symbol(about="The other", required=True, check=OTHER_LEG),
        "timeframe": _TIMEFRAME,
        "bars": SCAN_PARAMETERS["bars"],
    },
)
"""Parameters of `/analytics/scan/history`."""


def asked_of(values: Mapping[str, Any]) -> ScanQuery:
    """Which pairs are asked for, of values that were judged."""
    return ScanQuery(**{name: values[name] for name in _FILTERS})


def radar_asked(values: Mapping[str, Any]) -> ScanQuery:
    """Which pairs of a radar, by the newest scan."""
    names = "timeframe", "max_q", "max_median", "max_half_life", "min_quote_volume"
    return ScanQuery(bars=SCANNED_BARS, **{name: values[name] for name in names})
