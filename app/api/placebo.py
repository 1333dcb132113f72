"""`/analytics/pair/placebo`: what noise gives for every figure of a pair."""

import math
from dataclasses import asdict
from typing import Any

from flask import Response
from marshmallow import Schema, fields

from app.api.blueprint import ApiBlueprint, json_answer
from app.api.values import UNDEFINED, finite_tree, number, spec_fields, spec_values
from app.requests.pair import PlaceboParameters, pair_request
from app.services import Desk
from app.services.worth import Worth
from core.honesty import Placebo
from core.pair_spec import PairSpec

NoiseAnswer = Schema.from_dict(
    {
        "value": number("the pair's own"),
        "low": number("5th percentile of the walks"),
        "median": number(),
        "high": number("95th percentile of the walks"),
        "rank": number("share of walks below the pair, in percent; null where all are alike"),
        "defined": fields.Integer(metadata={"description": "walks that have the figure"}),
    },
    name="Noise",
)
PlaceboAnswer = Schema.from_dict(
    {
        **spec_fields(),
        "runs": fields.Integer(),
        "correlation": number("of the walks' returns, as of the legs'"),
        "traded_a": number("share of bars with trades, of walk and leg"),
        "traded_b": number(),
        "figures": fields.Dict(
            keys=fields.String(),
            values=fields.Nested(NoiseAnswer),
            metadata={
                "description": "every figure of the backtest; beyond_entry, the share of rows with"
                " |z| from entry_z on; half_life_bars; half_life_found, 1 or 0; pvalue_both,"
                " hedge_effectiveness of the hedge that trades, correlation"
            },
        ),
        "warnings": fields.List(fields.String()),
    },
    name="Placebo",
)


def placebo_routes(desk: Desk) -> ApiBlueprint:
    """Bind the route to a desk."""
    routes = ApiBlueprint(
        "placebo", __name__, url_prefix="/analytics", description="What noise would say"
    )

    @routes.get("/pair/placebo")
    @routes.arguments(PlaceboParameters, location="query")
    @routes.response(200, PlaceboAnswer)
    @routes.problems(400, 404, 429, 503)
    def placebo(values: dict[str, Any]) -> Response:
        """The same rules on random walks in place of the legs, and the pair's rank among them."""
        spec, runs = pair_request(values, desk.settings).spec, values["runs"]
        return json_answer(placebo_json(spec, desk.worth.placebo(spec, runs)))

    return routes


def placebo_json(spec: PairSpec, told: Worth[Placebo]) -> dict[str, Any]:
    """Body of `/analytics/pair/placebo`."""
    found = told.value
    return {
        **spec_values(spec),
        "runs": found.runs if found else 0,
        "correlation": found.correlation if found else None,
        "traded_a": found.traded_a if found else None,
        "traded_b": found.traded_b if found else None,
        "figures": {name: finite_tree(asdict(noise)) for name, noise in found.figures.items()}
        if found
        else {},
        "warnings": _undefined(found) if found else [f"figures: {told.reason}"],
    }


def _undefined(found: Placebo) -> list[str]:
    """A line for each null: what the pair hasn't got, what no walk has, what has no rank."""
    lines = []
    for name, noise in found.figures.items():
        is_told = math.isfinite(noise.value)
        if not is_told:
            lines.append(f"figures.{name}.value: {found.reasons.get(name, UNDEFINED)}")
        if not noise.defined:
            lines.append(f"figures.{name}: no walk has it, so there is nothing to compare with")
        elif math.isnan(noise.rank):
            why = "all walks are alike" if is_told else "the pair has no value"
            lines.append(f"figures.{name}.rank: {why}")
    return lines
