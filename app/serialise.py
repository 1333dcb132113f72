"""View models into JSON and CSV."""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from app.services.pairs import PairView
from core.explain import Explanation
from core.spread import break_even_z, expected_reversion, round_trip_cost
from core.types import FloatArray, PairResult, PairSpec, RoundTrip

NAN = math.nan
UNDEFINED = "undefined on these bars"
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
METRICS = (
    "total_trades",
    "total_return",
    "total_pnl",
    "avg_pnl",
    "win_rate",
    "profit_factor",
    "sharpe",
    "sortino",
    "max_drawdown",
    "calmar",
    "exposure",
    "turnover",
    "costs",
    "avg_hold_bars",
    "reversion_capture",
)
_SERIES = ("close_a", "close_b", "hedge_ratio", "spread", "zscore")


def iso(time_ms: int | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond where there are any."""
    if time_ms is None:
        return None
    moment = datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{time_ms % 1000:03d}Z" if time_ms % 1000 else f"{moment}Z"


def finite(value: float) -> float | None:
    """The number, or None for what JSON can't say."""
    return float(value) if math.isfinite(value) else None


def pair_json(view: PairView, points: int) -> dict[str, Any]:
    """Body of `/analytics/pair`; series stay arrays, whose NaN the JSON encoder writes as null."""
    spec, result = view.spec, view.result
    body: dict[str, Any] = {
        **asdict(spec),
        "points": points,
        "as_of": iso(result.as_of_ms) if result else None,
        "start": iso(result.start_ms) if result else None,
        "history_start": iso(result.history_start_ms) if result else None,
        "source": view.source,
        "bars": len(result.rows) if result else 0,
        "stale": view.stale,
        "gaps": [
            {
                "symbol": gap.symbol,
                "from": iso(gap.from_ms),
                "to": iso(gap.to_ms),
                "reason": gap.reason,
            }
            for gap in view.gaps
        ],
    }
    reasons = dict(result.reasons) if result else {}
    scalars = _scalars(view)
    body.update(_finite_tree(scalars))
    body["signal"] = result.signal if result else "no_data"
    body["cointegration"] = None
    if result and result.cointegration:
        body["cointegration"] = _finite_tree(asdict(result.cointegration))
    body["series"] = _series(result, points)
    metrics = _metrics(result)
    body["backtest"] = {
        **_finite_tree(metrics),
        "equity": _equity(result),
        "trades": [_round_trip(trip) for trip in result.backtest.round_trips] if result else [],
    }
    nulls = [*_nulls(scalars, ""), *_nulls(metrics, "backtest.")]
    if body["cointegration"] is None:
        nulls.append("cointegration")
    body["warnings"] = list(view.warnings)
    if result:
        body["warnings"] += _explained(nulls, reasons, view.warnings)
        body["warnings"] += _null_rows(body["series"])
        body["warnings"] += _null_exits(body["backtest"]["trades"])
    return body


def explain_json(spec: PairSpec, told: Explanation) -> dict[str, Any]:
    """Body of `/analytics/pair/explain`; rows oldest first, the explained one last."""
    rows = told.rows
    before = (told.open_time_ms - rows.open_time_ms) // spec.timeframe_ms
    numbers = {
        "hedge_ratio": told.hedge_ratio[-1],
        "intercept": told.intercept[-1],
        "spread": told.spread[-1],
        "spread_mean": told.spread_mean,
        "spread_std": told.spread_std,
        "zscore": told.zscore,
        "break_even_z": break_even_z(
            spec.exit_z, told.hedge_ratio[-1], told.spread_std, spec.fee_bps, spec.slippage_bps
        ),
        "expected_reversion": float(
            expected_reversion(
                np.asarray(told.zscore),
                spec.exit_z,
                np.asarray(told.hedge_ratio[-1]),
                np.asarray(told.spread_std),
                spec.notional,
            )
        ),
        "round_trip_cost": round_trip_cost(spec.notional, spec.fee_bps, spec.slippage_bps),
    }
    reasons = told.reasons | {"expected_reversion": told.reasons.get("zscore", UNDEFINED)}
    return {
        **asdict(spec),
        "time": iso(told.open_time_ms),
        "fit": _span(told.fit_start_ms, told.open_time_ms, spec.timeframe_ms),
        "z_window": _span(told.window_start_ms, told.open_time_ms, spec.timeframe_ms),
        **_finite_tree(numbers),
        "rows": {
            "time": rows.open_time_ms,
            "close_a": rows.close_a,
            "close_b": rows.close_b,
            "log_a": told.log_a,
            "log_b": told.log_b,
            "hedge_ratio": told.hedge_ratio,
            "intercept": told.intercept,
            "spread": told.spread,
            # A row of the filter's warm-up has prices and yet no spread.
            "in_z_window": (before > 0)
            & (rows.open_time_ms >= told.window_start_ms)
            & ~np.isnan(told.spread),
        },
        "warnings": [
            f"{name}: {reasons.get(name, UNDEFINED)}"
            for name, value in numbers.items()
            if not math.isfinite(value)
        ],
    }


def _span(start_ms: int, end_ms: int, timeframe_ms: int) -> dict[str, Any]:
    """Rows [start, end) as their first and last open time and their number."""
    count = (end_ms - start_ms) // timeframe_ms
    last = iso(end_ms - timeframe_ms) if count else None
    return {"start": iso(start_ms) if count else None, "end": last, "rows": count}


def trades_csv(view: PairView) -> str:
    """Round trips of the backtest, the open one last."""
    trips = view.result.backtest.round_trips if view.result else ()
    rows = [_round_trip(trip) for trip in trips]
    return _csv(ROUND_TRIP_COLUMNS, ([row[name] for name in ROUND_TRIP_COLUMNS] for row in rows))


def equity_csv(view: PairView) -> str:
    """Equity and drawdown at the close of every result row."""
    equity = _equity(view.result)
    rows = zip(
        map(iso, np.asarray(equity["time"]).tolist()),
        map(finite, np.asarray(equity["value"]).tolist()),
        map(finite, np.asarray(equity["drawdown"]).tolist()),
        strict=True,
    )
    return _csv(("time", "value", "drawdown"), rows)


def _scalars(view: PairView) -> dict[str, Any]:
    result = view.result
    if result is None:
        return {
            "hedge_ratio": dict.fromkeys(
                ("ols", "kalman", "kalman_stderr", "ols_full_sample"), NAN
            ),
            "intercept": {"ols": NAN, "kalman": NAN},
            "spread": NAN,
            "zscore": NAN,
            "zscore_provisional": NAN,
            "zscores": {"ols": NAN, "kalman": NAN},
            "break_even_z": NAN,
            "correlation": NAN,
            "half_life_bars": NAN,
            "hurst": NAN,
        }
    ols, kalman, chosen = result.ols, result.kalman, result.chosen
    return {
        "hedge_ratio": {
            "ols": _last(ols.hedge_ratio),
            "kalman": _last(kalman.hedge_ratio),
            "kalman_stderr": _last(result.kalman_stderr),
            "ols_full_sample": result.ols_full_sample,
        },
        "intercept": {"ols": _last(ols.intercept), "kalman": _last(kalman.intercept)},
        "spread": _last(chosen.spread),
        "zscore": _last(chosen.zscore),
        "zscore_provisional": view.zscore_provisional,
        "zscores": {"ols": _last(ols.zscore), "kalman": _last(kalman.zscore)},
        "break_even_z": result.break_even_z,
        "correlation": result.correlation,
        "half_life_bars": result.half_life_bars,
        "hurst": result.hurst,
    }


def _series(result: PairResult | None, points: int) -> dict[str, Any]:
    if result is None:
        return {name: [] for name in ("time", *_SERIES, "position")}
    first = max(0, len(result.rows) - points)
    columns = {
        "time": result.rows.open_time_ms,
        "close_a": result.rows.close_a,
        "close_b": result.rows.close_b,
        "hedge_ratio": result.chosen.hedge_ratio,
        "spread": result.chosen.spread,
        "zscore": result.chosen.zscore,
        "position": result.position,
    }
    return {name: np.ascontiguousarray(column[first:]) for name, column in columns.items()}


def _equity(result: PairResult | None) -> dict[str, Any]:
    if result is None:
        return {"time": [], "value": [], "drawdown": []}
    return {
        "time": np.ascontiguousarray(result.rows.open_time_ms),
        "value": np.ascontiguousarray(result.backtest.equity),
        "drawdown": np.ascontiguousarray(result.backtest.drawdown),
    }


def _metrics(result: PairResult | None) -> dict[str, Any]:
    if result is None:
        return {name: 0 if name == "total_trades" else NAN for name in METRICS}
    return {name: getattr(result.backtest.metrics, name) for name in METRICS}


def _round_trip(trip: RoundTrip) -> dict[str, Any]:
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


def _last(values: FloatArray) -> float:
    return float(values[-1]) if len(values) else NAN


def _finite_tree(values: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            tree[name] = _finite_tree(value)
        else:
            tree[name] = finite(value) if isinstance(value, float) else value
    return tree


def _nulls(values: Mapping[str, Any], prefix: str) -> list[str]:
    names: list[str] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            names += _nulls(value, f"{prefix}{name}.")
        elif isinstance(value, float) and not math.isfinite(value):
            names.append(prefix + name)
    return names


def _explained(nulls: list[str], reasons: Mapping[str, str], given: Iterable[str]) -> list[str]:
    """A line for each null and for every further reason; what is explained already is left out."""
    left = dict(reasons)
    explained = {line.partition(":")[0] for line in given}
    lines = []
    for name in nulls:
        reason = left.pop(name, UNDEFINED)
        if name not in explained:
            lines.append(f"{name}: {reason}")
    return lines + [f"{name}: {reason}" for name, reason in left.items()]


def _null_rows(series: Mapping[str, Any]) -> list[str]:
    lines = []
    for name in _SERIES:
        missing = int(np.count_nonzero(~np.isfinite(series[name])))
        if missing:
            lines.append(
                f"series.{name}: {missing} of {len(series[name])} rows are null, where a bar is"
                " missing or incomplete in a leg, or the window isn't filled yet or does not move"
            )
    return lines


def _null_exits(trades: list[dict[str, Any]]) -> list[str]:
    count = sum(trade["exit_z"] is None for trade in trades)
    words = f"null in {count} of {len(trades)} trades, left without a z or still open"
    return [f"backtest.trades.exit_z: {words}"] if count else []


def _csv(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Keep a spreadsheet from taking text for a formula; numbers may be negative."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
