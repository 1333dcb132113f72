"""`/analytics/pair/explain`: every number behind one z-score."""

import math
from typing import Any

import numpy as np
from flask import Response
from marshmallow import Schema, fields

from app.api.blueprint import ApiBlueprint, json_answer
from app.api.values import (
    UNDEFINED,
    finite_tree,
    iso,
    moment,
    number,
    numbers,
    spec_fields,
    spec_values,
    times,
)
from app.requests.pair import ExplainParameters, pair_request
from app.services import Desk
from app.services.pairs import RowNotThere
from core.errors import FieldError, ParameterErrors
from core.explain import Explanation
from core.pair_spec import PairSpec
from core.spread import break_even_z, expected_reversion, round_trip_cost

SpanAnswer = Schema.from_dict(
    {
        "start": moment(null=True),
        "end": moment("the last row inside", null=True),
        "rows": fields.Integer(),
    },
    name="Span",
)
ExplainedRowsAnswer = Schema.from_dict(
    {
        "time": times(),
        **{
            name: numbers()
            for name in (
                *("close_a", "close_b", "log_a", "log_b"),
                *("hedge_ratio", "intercept", "spread"),
            )
        },
        "in_z_window": fields.List(fields.Boolean()),
    },
    name="ExplainedRows",
)
ExplainAnswer = Schema.from_dict(
    {
        **spec_fields(),
        "bars": fields.Integer(metadata={"description": "least number of result rows asked for"}),
        "time": moment(),
        "fit": fields.Nested(SpanAnswer, metadata={"description": "rows behind the hedge ratio"}),
        "z_window": fields.Nested(SpanAnswer, metadata={"description": "rows behind mean and std"}),
        **{
            name: number()
            for name in (
                *("hedge_ratio", "intercept", "spread"),
                *("spread_mean", "spread_std", "zscore", "break_even_z"),
            )
        },
        "expected_reversion": number("quote currency, from |z| to exit_z, before costs"),
        "round_trip_cost": number("quote currency, all four fills"),
        "rows": fields.Nested(ExplainedRowsAnswer, metadata={"description": "oldest first"}),
        "warnings": fields.List(fields.String()),
    },
    name="Explanation",
)


def explain_routes(desk: Desk) -> ApiBlueprint:
    """Bind the route to a desk."""
    routes = ApiBlueprint(
        "explain", __name__, url_prefix="/analytics", description="Where a number comes from"
    )

    @routes.get("/pair/explain")
    @routes.arguments(ExplainParameters, location="query")
    @routes.response(200, ExplainAnswer)
    @routes.problems(400, 404, 429, 503)
    def explain(values: dict[str, Any]) -> Response:
        """Every number behind one z-score: windows, fit, mean, deviation and the bars used."""
        spec = pair_request(values, desk.settings).spec
        try:
            explanation = desk.pairs.explain(spec, values["time"])
        except RowNotThere as error:
            words = "is not the open time of a result row"
            raise ParameterErrors([FieldError("time", words, str(error))]) from None
        return json_answer(explain_json(spec, explanation))

    return routes


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
        **spec_values(spec),
        "time": iso(told.open_time_ms),
        "fit": _span(told.fit_start_ms, told.open_time_ms, spec.timeframe_ms),
        "z_window": _span(told.window_start_ms, told.open_time_ms, spec.timeframe_ms),
        **finite_tree(numbers),
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
