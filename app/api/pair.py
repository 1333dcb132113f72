"""`/analytics/pair`: everything about a pair as JSON."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, get_args

import numpy as np
from flask import Response, request
from marshmallow import Schema, fields

from app.api.backtest import BacktestAnswer, backtest_json, metric_values, null_exits
from app.api.blueprint import ApiBlueprint
from app.api.kept import kept_json
from app.api.values import (
    DIRECTIONS,
    NAN,
    UNDEFINED,
    choice,
    finite,
    finite_tree,
    iso,
    moment,
    nulls,
    number,
    numbers,
    spec_fields,
    spec_values,
    text,
    times,
)
from app.requests.pair import PairParameters, PairRequest, pair_request
from app.services import Desk
from app.services.cache import BoundedCache
from app.services.pair_states import PairView
from core.pair_spec import HEDGES
from core.types import FloatArray, PairResult, Signal

JUDGED_BYTES = 2**20
"""Requests by their query string: some 500 of the longest, which a parser takes 0.2 ms for."""
_SERIES = ("close_a", "close_b", "hedge_ratio", "spread", "zscore")

GapAnswer = Schema.from_dict(
    {"symbol": text(), "from": moment(), "to": moment(), "reason": text()},
    name="Gap",
)
HedgeRatioAnswer = Schema.from_dict(
    {
        **{hedge: number(f"{words}, known before the last row") for hedge, words in HEDGES.items()},
        "kalman_stderr": number("if the filter's errors were white"),
        "ols_full_sample": number("in-sample; drives nothing"),
    },
    name="HedgeRatio",
)
HedgesAnswer = Schema.from_dict({hedge: number() for hedge in HEDGES}, name="Hedges")
SubwindowsAnswer = Schema.from_dict(
    {
        "passing": fields.Integer(metadata={"description": "sixths whose pvalue_both < 0.1"}),
        "of": fields.Integer(),
    },
    name="Subwindows",
)
CointegrationAnswer = Schema.from_dict(
    {
        "statistic": number(),
        "pvalue": number("of the better of two directions, so too low"),
        "pvalue_both": number("min(1, 2p); in-sample like all of this test"),
        "lags": fields.Integer(),
        "direction": choice(DIRECTIONS, "the stronger one"),
        "critical_5pct": number(),
        "subwindows": fields.Nested(SubwindowsAnswer, allow_none=True),
    },
    name="Cointegration",
)
SeriesAnswer = Schema.from_dict(
    {
        "time": times(),
        **{name: numbers() for name in ("close_a", "close_b", "hedge_ratio", "spread", "zscore")},
        "position": fields.List(fields.Integer()),
    },
    name="Series",
)
PairAnswer = Schema.from_dict(
    {
        **spec_fields(),
        "points": fields.Integer(),
        "as_of": moment("close of the last closed bar of both legs", null=True),
        "start": moment(null=True),
        "history_start": moment(null=True),
        "source": choice(("binance", "simulated", "replay", "import"), null=True),
        "bars": fields.Integer(metadata={"description": "result rows computed"}),
        "stale": fields.Boolean(),
        "gaps": fields.List(fields.Nested(GapAnswer)),
        "hedge_ratio": fields.Nested(HedgeRatioAnswer),
        "intercept": fields.Nested(HedgesAnswer),
        "hedge_effectiveness": fields.Nested(
            HedgesAnswer,
            metadata={"description": "share of leg A's variance that each took away of late"},
        ),
        "spread": number("log units"),
        "zscore": number("at the close of the last bar; null while a leg has stopped"),
        "zscore_provisional": number("the forming bar taken as the next"),
        "zscores": fields.Nested(HedgesAnswer),
        "break_even_z": number("pays the four fills if the frozen spread reverts in full"),
        "required_z": number("the entry that would have paid at the capture of these rows"),
        "signal": choice(get_args(Signal)),
        "signal_note": text("why nothing is entered, whatever z is", null=True),
        "correlation": number("of log returns over the window"),
        "half_life_bars": number("out of sample; null where it can't be told from noise"),
        "half_life_interval": fields.List(
            fields.Float(allow_none=True),
            allow_none=True,
            metadata={"description": "90 %: low and high, which is null where it has no end"},
        ),
        "hurst": number(),
        "cointegration": fields.Nested(CointegrationAnswer, allow_none=True),
        "series": fields.Nested(SeriesAnswer),
        "backtest": fields.Nested(BacktestAnswer, allow_none=True),
        "warnings": fields.List(fields.String(metadata={"description": "field: reason"})),
    },
    name="Pair",
)


def pair_routes(desk: Desk) -> ApiBlueprint:
    """Bind the route to a desk."""
    routes = ApiBlueprint(
        "pair", __name__, url_prefix="/analytics", description="Computed from stored bars"
    )

    # What a query string asks for hangs on nothing else: judged once, it needn't be again.
    judged = BoundedCache(JUDGED_BYTES)

    @routes.before_request
    def again() -> Response | None:
        if request.endpoint != "pair.pair" or request.method != "GET":
            return None
        asked: PairRequest | None = judged.get(request.query_string)
        return None if asked is None else answer(asked)

    @routes.get("/pair")
    @routes.arguments(PairParameters(), location="query")
    @routes.response(200, PairAnswer)
    @routes.problems(400, 404, 429, 503)
    def pair(values: dict[str, Any]) -> Response:
        """Hedge ratios, spread, z-score, signal and backtest of a pair."""
        asked = pair_request(values, desk.settings)
        judged.set(request.query_string, asked)
        return answer(asked)

    def answer(asked: PairRequest) -> Response:
        view = desk.pairs.view(asked.spec)
        return kept_json(
            desk.answers,
            ("pair", *view.decided_by, asked.points),
            lambda: pair_json(view, asked.points),
            desk.shared_answers,
        )

    return routes


def pair_json(view: PairView, points: int) -> dict[str, Any]:
    """Body of `/analytics/pair`; series stay arrays, whose NaN the JSON encoder writes as null."""
    spec, result = view.spec, view.result
    body: dict[str, Any] = {
        **spec_values(spec),
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
    scalars = _scalars(view)
    body.update(finite_tree(scalars))
    body["signal"] = result.signal if result else "no_data"
    body["signal_note"] = result.signal_note if result else None
    body["half_life_interval"] = None
    if result and math.isfinite(result.half_life_bars):
        body["half_life_interval"] = [finite(bars) for bars in result.half_life_interval]
    body["cointegration"] = None
    if result and result.cointegration:
        body["cointegration"] = finite_tree(asdict(result.cointegration))
    body["series"] = _series(result, points)
    is_tested = result is None or "backtest" not in result.reasons
    body["backtest"] = backtest_json(result) if is_tested else None
    body["warnings"] = list(view.warnings)
    if result:
        body["warnings"] += _warnings(body, result, nulls(scalars, ""))
    return body


def _warnings(body: Mapping[str, Any], result: PairResult, missing: list[str]) -> list[str]:
    """Why what is null is null; `missing` names the scalars, `body` has the warnings so far."""
    reasons = dict(result.reasons)
    if body["backtest"]:
        missing += nulls(metric_values(result), "backtest.")
    if body["half_life_interval"] is None and "half_life_bars" in reasons:
        missing.append("half_life_interval")
        reasons["half_life_interval"] = reasons["half_life_bars"]
    if body["cointegration"] is None:
        missing.append("cointegration")
    lines = _explained(missing, reasons, body["warnings"])
    lines += _missing_bars(result) + _null_rows(body["series"])
    return lines + null_exits(body["backtest"]["trades"]) if body["backtest"] else lines


def _scalars(view: PairView) -> dict[str, Any]:
    result = view.result
    nothing = dict.fromkeys(HEDGES, NAN)
    if result is None:
        return {
            "hedge_ratio": nothing | {"kalman_stderr": NAN, "ols_full_sample": NAN},
            "intercept": nothing,
            "hedge_effectiveness": nothing,
            "spread": NAN,
            "zscore": NAN,
            "zscore_provisional": NAN,
            "zscores": nothing,
            "break_even_z": NAN,
            "required_z": NAN,
            "correlation": NAN,
            "half_life_bars": NAN,
            "hurst": NAN,
        }
    now = result.hedges
    return {
        "hedge_ratio": {
            **{hedge: now[hedge].hedge_ratio for hedge in HEDGES},
            "kalman_stderr": _last(result.kalman_stderr),
            "ols_full_sample": result.ols_full_sample,
        },
        "intercept": {hedge: now[hedge].intercept for hedge in HEDGES},
        "hedge_effectiveness": {hedge: now[hedge].effectiveness for hedge in HEDGES},
        "spread": _last(result.chosen.spread),
        "zscore": result.zscore,
        "zscore_provisional": view.zscore_provisional,
        "zscores": {hedge: now[hedge].zscore for hedge in HEDGES},
        "break_even_z": result.break_even_z,
        "required_z": result.required_z,
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


def _last(values: FloatArray) -> float:
    return float(values[-1]) if len(values) else NAN


def _explained(missing: list[str], reasons: Mapping[str, str], given: Iterable[str]) -> list[str]:
    """A line for each null and for every further reason; what is explained already is left out."""
    left = dict(reasons)
    explained = {line.partition(":")[0] for line in given}
    lines = []
    for name in missing:
        reason = left.pop(name, UNDEFINED)
        if name not in explained:
            lines.append(f"{name}: {reason}")
    return lines + [f"{name}: {reason}" for name, reason in left.items()]


def _missing_bars(result: PairResult) -> list[str]:
    """Tell of all the rows, not only of the points that are sent, where either leg has no bar."""
    missing = np.flatnonzero(np.isnan(result.rows.close_a))
    if not len(missing):
        return []
    first, last = result.rows.open_time_ms[missing[[0, -1]]]
    return [
        f"bars: {len(missing)} of {len(result.rows)} rows have no whole bar of both legs, between"
        f" {iso(int(first))} and {iso(int(last) + result.spec.timeframe_ms)}"
    ]


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
