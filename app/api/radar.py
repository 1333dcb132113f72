"""`/analytics/radar`: who is far from the mean at the last closed bar, of all pairs."""

import math
from typing import Any

from flask import Response
from marshmallow import Schema, fields

from app.api.blueprint import ApiBlueprint, json_answer
from app.api.values import choice, finite, iso, moment, number, text
from app.requests.scan import RadarParameters, radar_asked
from app.services import Desk
from core.timeframes import SCANNED

FarOutAnswer = Schema.from_dict(
    {
        "symbol_a": text(),
        "symbol_b": text(),
        **{
            name: number()
            for name in ("zscore", "hedge_ratio", "break_even_z", "qvalue", "p_quarters_median",
                         "half_life_bars")
        },
        "since_bars": fields.Integer(metadata={"description": "bars in a row that it is far out"}),
    },
    name="FarOut",
)  # fmt: skip
RadarAnswer = Schema.from_dict(
    {
        "as_of": moment("close of the bar", null=True),
        "timeframe": choice(SCANNED),
        "pairs": fields.Integer(metadata={"description": "that were looked over"}),
        "far_out": fields.Integer(metadata={"description": "of them, `limit` aside"}),
        "elapsed_ms": number(),
        "rows": fields.List(fields.Nested(FarOutAnswer)),
        "warnings": fields.List(text()),
    },
    name="Radar",
)


def radar_routes(desk: Desk) -> ApiBlueprint:
    """Bind the route to a desk."""
    routes = ApiBlueprint("radar", __name__, url_prefix="/analytics", description="Every pair now")

    @routes.get("/radar")
    @routes.arguments(RadarParameters, location="query")
    @routes.response(200, RadarAnswer)
    @routes.problems(400, 429, 503)
    def radar(values: dict[str, Any]) -> Response:
        """Who is far from the mean at the last closed bar, of all pairs, the farthest first."""
        seen = desk.radar.seen(values["timeframe"])
        if seen is None:
            words = "rows: no two symbols have bars of one time"
            body: dict[str, Any] = {"as_of": None, "timeframe": values["timeframe"], "pairs": 0,
                    "far_out": 0, "elapsed_ms": None, "rows": [], "warnings": [words]}  # fmt: skip
            return json_answer(body)
        rows, count = desk.radar.far_out(
            seen, radar_asked(values), values["min_z"], values["limit"]
        )
        names = FarOutAnswer._declared_fields
        warnings = []
        if rows and all(math.isnan(row.qvalue) for row in rows):
            warnings = ["qvalue, p_quarters_median, half_life_bars: no scan of this timeframe yet"]
        symbols = len(seen.rows.symbols)
        return json_answer(
            {
                "as_of": iso(seen.as_of_ms),
                "timeframe": seen.timeframe,
                "pairs": symbols * (symbols - 1) // 2,
                "far_out": count,
                "elapsed_ms": seen.elapsed_ms,
                "rows": [{name: _plain(getattr(row, name)) for name in names} for row in rows],
                "warnings": warnings,
            }
        )

    return routes


def _plain(value: Any) -> Any:
    return finite(value) if isinstance(value, float) else value
