"""`/analytics/pair/expectancy`: what a trade earned by the z that it was entered at."""

from dataclasses import asdict
from typing import Any

from flask import Response
from marshmallow import Schema, fields

from app.api.blueprint import ApiBlueprint, json_answer
from app.api.values import finite_tree, iso, moment, number, spec_fields
from app.requests.pair import PairParameters, pair_request
from app.services import Desk
from app.services.worth import Worth
from core.expectancy import Expectancy
from core.pair_spec import PairSpec

_HALVES = ("whole", "first_half", "second_half")

ExpectedAnswer = Schema.from_dict(
    {
        "trades": fields.Integer(metadata={"description": "closed ones"}),
        "gross": number("mean per trade before costs, bp of the notional; null without a trade"),
        "gross_stderr": number("null under two trades"),
        "net": number("mean per trade after costs, bp of the notional"),
        "net_stderr": number(),
    },
    name="Expected",
)
EntryAnswer = Schema.from_dict(
    {"entry_z": number(), **{name: fields.Nested(ExpectedAnswer) for name in _HALVES}},
    name="Entry",
)
ExpectancyAnswer = Schema.from_dict(
    {
        **spec_fields(),
        "since": moment("first row that counts", null=True),
        "middle": moment(
            "first row of the second half; a trade is where it was entered", null=True
        ),
        "as_of": moment(null=True),
        "cost_bps": number("of a round trip's four fills, bp of the notional"),
        "entries": fields.List(fields.Nested(EntryAnswer)),
        "warnings": fields.List(fields.String()),
    },
    name="Expectancy",
)


def expectancy_routes(desk: Desk) -> ApiBlueprint:
    """Bind the route to a desk."""
    routes = ApiBlueprint(
        "expectancy", __name__, url_prefix="/analytics", description="Which entry would have paid"
    )

    @routes.get("/pair/expectancy")
    @routes.arguments(PairParameters, location="query")
    @routes.response(200, ExpectancyAnswer)
    @routes.problems(400, 404, 429, 503)
    def expectancy(values: dict[str, Any]) -> Response:
        """Mean per trade by entry z, on all rows and on each half of them."""
        spec = pair_request(values, desk.settings).spec
        return json_answer(expectancy_json(spec, desk.worth.expectancy(spec)))

    return routes


def expectancy_json(spec: PairSpec, told: Worth[Expectancy]) -> dict[str, Any]:
    """Body of `/analytics/pair/expectancy`."""
    found = told.value
    return {
        **asdict(spec),
        "since": iso(found.since_ms) if found else None,
        "middle": iso(found.middle_ms) if found else None,
        "as_of": iso(found.end_ms) if found else None,
        "cost_bps": 2.0 * (spec.fee_bps + spec.slippage_bps),
        "entries": [finite_tree(asdict(entry)) for entry in found.entries] if found else [],
        "warnings": _undefined(found) if found else [f"entries: {told.reason}"],
    }


def _undefined(found: Expectancy) -> list[str]:
    """Why entries are missing, or numbers of theirs null."""
    if not found.entries:
        return ["entries: exit_z and stop_z leave none of 1.0 … 6.0"]
    parts = [part for e in found.entries for part in (e.whole, e.first_half, e.second_half)]
    if min(part.trades for part in parts) > 1:
        return []
    return ["entries: gross and net are null without a closed trade, their errors under two"]
