"""The backtest of a pair as answers hold it: figures, equity and round trips."""

from typing import Any

import numpy as np
from marshmallow import Schema, fields

from app.api.values import (
    EXIT_REASONS,
    NAN,
    SIDES,
    choice,
    finite,
    finite_tree,
    iso,
    moment,
    number,
    numbers,
    times,
)
from core.types import Inherited, Metrics, PairResult, RoundTrip

ROUND_TRIP_COLUMNS = (
    "side",
    "entry_time",
    "exit_time",
    "entry_z",
    "exit_z",
    "quantity_a",
    "quantity_b",
    "pnl",
    "costs",
    "bars",
    "exit_reason",
)
METRICS = tuple(Metrics.__slots__)

EquityAnswer = Schema.from_dict(
    {"time": times(), "value": numbers(), "drawdown": numbers()}, name="Equity"
)
RoundTripAnswer = Schema.from_dict(
    {
        **{name: number() for name in ROUND_TRIP_COLUMNS},
        "side": choice(SIDES),
        "entry_time": moment(),
        "exit_time": moment(null=True),
        "exit_reason": choice(EXIT_REASONS),
    },
    name="RoundTrip",
)
InheritedAnswer = Schema.from_dict(
    {"side": choice(SIDES), "entry_time": moment("null where it was not filled yet", null=True)},
    name="Inherited",
)
BacktestAnswer = Schema.from_dict(
    {
        "since": moment("only what was decided from this bar on counts", null=True),
        "inherited": fields.Nested(
            InheritedAnswer,
            allow_none=True,
            metadata={"description": "held over `since`, and not counted"},
        ),
        **{name: number() for name in METRICS},
        "equity": fields.Nested(EquityAnswer),
        "trades": fields.List(fields.Nested(RoundTripAnswer)),
    },
    name="Backtest",
)


def backtest_json(result: PairResult | None) -> dict[str, Any]:
    """`backtest` of `/analytics/pair`."""
    tested = result.backtest if result else None
    return {
        "since": iso(tested.since_ms) if tested else None,
        "inherited": _inherited(tested.inherited) if tested else None,
        **finite_tree(metric_values(result)),
        "equity": equity_columns(result),
        "trades": [round_trip_row(trip) for trip in tested.round_trips] if tested else [],
    }


def metric_values(result: PairResult | None) -> dict[str, Any]:
    """Every figure of the backtest; NaN where undefined."""
    if result is None:
        return {name: 0 if name == "total_trades" else NAN for name in METRICS}
    return {name: getattr(result.backtest.metrics, name) for name in METRICS}


def equity_columns(result: PairResult | None) -> dict[str, Any]:
    """Equity and drawdown at the close of every result row."""
    if result is None:
        return {"time": [], "value": [], "drawdown": []}
    return {
        "time": np.ascontiguousarray(result.rows.open_time_ms),
        "value": np.ascontiguousarray(result.backtest.equity),
        "drawdown": np.ascontiguousarray(result.backtest.drawdown),
    }


def round_trip_row(trip: RoundTrip) -> dict[str, Any]:
    """A round trip of the backtest, in the order of `ROUND_TRIP_COLUMNS`."""
    return {
        "side": trip.side,
        "entry_time": iso(trip.entry_time_ms),
        "exit_time": iso(trip.exit_time_ms),
        "entry_z": finite(trip.entry_z),
        "exit_z": finite(trip.exit_z),
        "quantity_a": finite(trip.quantity_a),
        "quantity_b": finite(trip.quantity_b),
        "pnl": finite(trip.pnl),
        "costs": finite(trip.costs),
        "bars": trip.bars,
        "exit_reason": trip.exit_reason,
    }


def _inherited(held: Inherited | None) -> dict[str, Any] | None:
    if held is None:
        return None
    return {"side": held.side, "entry_time": iso(held.entry_time_ms)}


def null_exits(trades: list[dict[str, Any]]) -> list[str]:
    """Say why round trips have no z at their exit."""
    count = sum(trade["exit_z"] is None for trade in trades)
    words = f"null in {count} of {len(trades)} trades, left without a z or still open"
    return [f"backtest.trades.exit_z: {words}"] if count else []
