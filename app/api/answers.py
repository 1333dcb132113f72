"""Shapes of the answers, for the documentation; nothing is dumped through them."""

from typing import Any

from marshmallow import Schema, fields

from app.serialise import METRICS, ROUND_TRIP_COLUMNS


def _number(about: str = "") -> fields.Float:
    return fields.Float(allow_none=True, metadata={"description": about} if about else {})


def _text(about: str = "", *, null: bool = False) -> fields.String:
    return fields.String(allow_none=null, metadata={"description": about} if about else {})


def _times() -> fields.List[int]:
    return fields.List(fields.Integer(metadata={"description": "epoch milliseconds"}))


def _numbers() -> fields.List[float]:
    return fields.List(fields.Float(allow_none=True))


def _spec() -> dict[str, fields.Field[Any]]:
    """What was asked for, as used."""
    return {
        "symbol_a": _text(),
        "symbol_b": _text(),
        "timeframe": _text(),
        "window": fields.Integer(),
        "entry_z": _number(),
        "exit_z": _number(),
        "stop_z": _number(),
        "max_hold_bars": fields.Integer(allow_none=True),
        "hedge": _text(),
        "hedge_window": fields.Integer(),
        "fee_bps": _number(),
        "slippage_bps": _number(),
        "notional": _number(),
    }


_ISO = "ISO 8601, UTC"

GapAnswer = Schema.from_dict(
    {"symbol": _text(), "from": _text(_ISO), "to": _text(_ISO), "reason": _text()},
    name="Gap",
)
HedgeRatioAnswer = Schema.from_dict(
    {
        "ols": _number("rolling, from the rows before"),
        "kalman": _number("prior of the last row"),
        "kalman_stderr": _number(),
        "ols_full_sample": _number("in-sample; drives nothing"),
    },
    name="HedgeRatio",
)
BothHedgesAnswer = Schema.from_dict({"ols": _number(), "kalman": _number()}, name="BothHedges")
CointegrationAnswer = Schema.from_dict(
    {
        "statistic": _number(),
        "pvalue": _number(),
        "lags": fields.Integer(),
        "direction": _text("a_on_b or b_on_a, the stronger one"),
        "critical_5pct": _number(),
    },
    name="Cointegration",
)
SeriesAnswer = Schema.from_dict(
    {
        "time": _times(),
        **{name: _numbers() for name in ("close_a", "close_b", "hedge_ratio", "spread", "zscore")},
        "position": fields.List(fields.Integer()),
    },
    name="Series",
)
SpanAnswer = Schema.from_dict(
    {
        "start": _text(_ISO, null=True),
        "end": _text("the last row inside", null=True),
        "rows": fields.Integer(),
    },
    name="Span",
)
ExplainAnswer = Schema.from_dict(
    {
        **_spec(),
        "bars": fields.Integer(metadata={"description": "least number of result rows asked for"}),
        "time": _text(_ISO),
        "fit": fields.Nested(SpanAnswer, metadata={"description": "rows behind the hedge ratio"}),
        "z_window": fields.Nested(SpanAnswer, metadata={"description": "rows behind mean and std"}),
        **{
            name: _number()
            for name in (
                *("hedge_ratio", "intercept", "spread"),
                *("spread_mean", "spread_std", "zscore", "break_even_z"),
            )
        },
        "expected_reversion": _number("quote currency, from |z| to exit_z, before costs"),
        "round_trip_cost": _number("quote currency, all four fills"),
        "rows": fields.Dict(keys=fields.String(), values=fields.List(fields.Raw())),
        "warnings": fields.List(fields.String()),
    },
    name="Explanation",
)
EquityAnswer = Schema.from_dict(
    {"time": _times(), "value": _numbers(), "drawdown": _numbers()}, name="Equity"
)
_ROUND_TRIP_TEXTS = ("side", "entry_time", "exit_time", "exit_reason")
RoundTripAnswer = Schema.from_dict(
    {
        name: _text(null=name == "exit_time") if name in _ROUND_TRIP_TEXTS else _number()
        for name in ROUND_TRIP_COLUMNS
    },
    name="RoundTrip",
)
BacktestAnswer = Schema.from_dict(
    {
        **{name: _number() for name in METRICS},
        "equity": fields.Nested(EquityAnswer),
        "trades": fields.List(fields.Nested(RoundTripAnswer)),
    },
    name="Backtest",
)
PairAnswer = Schema.from_dict(
    {
        **_spec(),
        "points": fields.Integer(),
        "as_of": _text(f"close of the last closed bar of both legs; {_ISO}", null=True),
        "start": _text(_ISO, null=True),
        "history_start": _text(_ISO, null=True),
        "source": _text("binance, simulated, replay or import", null=True),
        "bars": fields.Integer(metadata={"description": "result rows computed"}),
        "stale": fields.Boolean(),
        "gaps": fields.List(fields.Nested(GapAnswer)),
        "hedge_ratio": fields.Nested(HedgeRatioAnswer),
        "intercept": fields.Nested(BothHedgesAnswer),
        "spread": _number("log units"),
        "zscore": _number("at the close of the last bar"),
        "zscore_provisional": _number("the forming bar taken as the next"),
        "zscores": fields.Nested(BothHedgesAnswer),
        "break_even_z": _number(),
        "signal": _text("long_spread, short_spread, flat or no_data"),
        "correlation": _number("of log returns over the window"),
        "half_life_bars": _number(),
        "hurst": _number(),
        "cointegration": fields.Nested(CointegrationAnswer, allow_none=True),
        "series": fields.Nested(SeriesAnswer),
        "backtest": fields.Nested(BacktestAnswer),
        "warnings": fields.List(fields.String(metadata={"description": "field: reason"})),
    },
    name="Pair",
)
SymbolAnswer = Schema.from_dict(
    {
        "symbol": _text(),
        "base": _text(),
        "quote": _text(),
        "status": _text(),
        "first_bar_ms": fields.Integer(allow_none=True),
        "last_event_time_ms": fields.Integer(allow_none=True),
    },
    name="SymbolInfo",
)
SymbolsAnswer = Schema.from_dict(
    {"symbols": fields.List(fields.Nested(SymbolAnswer))}, name="Symbols"
)
BarsAnswer = Schema.from_dict(
    {
        "symbol": _text(),
        "timeframe": _text(),
        "columns": fields.List(fields.String()),
        "rows": fields.List(fields.List(fields.Raw())),
    },
    name="Bars",
)
WorkerAnswer = Schema.from_dict(
    {
        "state": _text("absent without a worker; silent after 30 s without a heartbeat"),
        "pid": fields.Integer(allow_none=True),
        "heartbeat_age_ms": fields.Integer(allow_none=True),
    },
    name="Worker",
)
FeedAnswer = Schema.from_dict(
    {
        "state": _text("live, connecting, down or blocked"),
        "host": _text(null=True),
        "age_ms": fields.Integer(allow_none=True),
        "trades_per_s": _number(),
        "lag_ms_p50": _number(),
        "lag_ms_p99": _number(),
        "reconnects": fields.Integer(allow_none=True),
        "last_error": _text(null=True),
        "failures": fields.Dict(
            keys=fields.String(),
            values=fields.Integer(),
            metadata={"description": "why connections ended or failed, and how often"},
        ),
        "store_lag_ms_p50": _number("received to stored"),
        "store_lag_ms_p99": _number(),
        "total_lag_ms_p50": _number("event to stored"),
        "total_lag_ms_p99": _number(),
        "trades_received": fields.Integer(allow_none=True),
    },
    name="Feed",
)
SymbolFeedAnswer = Schema.from_dict(
    {
        "symbol": _text(),
        "last_id": fields.Integer(allow_none=True),
        "last_event_time_ms": fields.Integer(allow_none=True),
        "age_ms": fields.Integer(allow_none=True),
        "subscribed": fields.Boolean(),
        "missing_ids": fields.Integer(),
        "lost_ids": fields.Integer(metadata={"description": "of those, lost for good"}),
        "open_gaps": fields.Integer(),
        "filled_gaps": fields.Integer(),
        "unfillable_gaps": fields.Integer(),
    },
    name="SymbolFeed",
)
DatabaseAnswer = Schema.from_dict(
    {
        "kind": _text(),
        "size_bytes": fields.Integer(allow_none=True),
        "wal_bytes": fields.Integer(allow_none=True),
        "used_bytes": fields.Integer(allow_none=True),
        "free_bytes": fields.Integer(allow_none=True, metadata={"description": "on its disk"}),
        "growth_bytes_per_day": _number("null until known"),
        "days_left": _number("until the disk is full at this rate; null until known"),
        "notice": _text("what a start did to it, such as setting a damaged file aside", null=True),
        "error": _text("why it can't be read", null=True),
    },
    name="Database",
)
PausedAnswer = Schema.from_dict(
    {"reason": _text("why nothing is written"), "since_ms": fields.Integer()}, name="Paused"
)
StatusAnswer = Schema.from_dict(
    {
        "source": _text(null=True),
        "source_reason": _text(null=True),
        "worker": fields.Nested(WorkerAnswer),
        "feed": fields.Nested(FeedAnswer),
        "symbols": fields.List(fields.Nested(SymbolFeedAnswer)),
        "quarantined": fields.Integer(allow_none=True),
        "queue_depth": fields.Integer(allow_none=True),
        "dropped": fields.Integer(
            allow_none=True, metadata={"description": "trades that found the queue full"}
        ),
        "paused": fields.Nested(PausedAnswer, allow_none=True),
        "backfill": fields.Dict(allow_none=True),
        "symbols_left_out": fields.List(fields.String()),
        "stalled_symbols": fields.List(fields.String()),
        "reconciliation": fields.Dict(allow_none=True),
        "database": fields.Nested(DatabaseAnswer),
        "now_ms": fields.Integer(),
    },
    name="Status",
)
HealthAnswer = Schema.from_dict({"status": _text()}, name="Health")
ReadyAnswer = Schema.from_dict(
    {"ready": fields.Boolean(), "reasons": fields.List(fields.String())}, name="Ready"
)
