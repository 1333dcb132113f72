"""`/api/paper`: what rules trade on paper, one by one and as one book."""

from typing import Any

from flask import Response
from marshmallow import Schema, fields

from app.api.blueprint import ApiBlueprint, json_answer
from app.api.rules import page_of
from app.api.values import (
    EXIT_REASONS,
    SIDES,
    choice,
    iso,
    moment,
    next_page,
    number,
    numbers,
    text,
    times,
)
from app.requests.pair import NoParameters
from app.requests.rules import PaperParameters, both_legs
from app.services import Desk
from app.services.alerts import Chosen, books_of
from core.paper import Position
from core.timeframes import TIMEFRAMES
from ingest.store.rules import StoredRule

PositionAnswer = Schema.from_dict(
    {
        "rule_id": fields.Integer(),
        "symbol_a": text(),
        "symbol_b": text(),
        "timeframe": choice(TIMEFRAMES),
        "born": moment("open time of its first bar"),
        "side": choice(SIDES, "null while nothing is held", null=True),
        "entry_time": moment(null=True),
        "next_fill": moment(
            "open of the bar at which the last close's decision is filled; null while none waits",
            null=True,
        ),
        **{name: number() for name in ("quantity_a", "quantity_b", "mark_a", "mark_b")},
        "pnl_open": number("net of what its entry cost"),
        "pnl_realised": number("net of all four fills of each closed trip"),
        "price_pnl": number("before costs, without the drift"),
        "drift_pnl": number("of leg B held in another amount than each bar's hedge ratio asks for"),
        "costs": number(),
        "equity": number(),
    },
    name="PaperPosition",
)
HeldAnswer = Schema.from_dict({"quantity": number(), "value": number()}, name="Held")
BookAnswer = Schema.from_dict(
    {
        "quote": text("currency of all its figures"),
        **{
            name: number()
            for name in ("notional", "equity", "pnl_open", "pnl_realised", "price_pnl",
                         "drift_pnl", "costs")
        },
        "exposure": fields.Dict(
            keys=fields.String(),
            values=fields.Nested(HeldAnswer),
            metadata={"description": "by symbol, largest value first"},
        ),
    },
    name="PaperBook",
)  # fmt: skip
PaperAnswer = Schema.from_dict(
    {
        "positions": fields.List(fields.Nested(PositionAnswer)),
        "books": fields.List(
            fields.Nested(BookAnswer),
            metadata={"description": "of all that was asked for, whatever the page"},
        ),
        "next": next_page("after"),
    },
    name="Paper",
)
TripAnswer = Schema.from_dict(
    {
        "side": choice(SIDES),
        "entry_time": moment(),
        "exit_time": moment("null while it is open", null=True),
        **{
            name: number()
            for name in ("entry_z", "exit_z", "hedge_ratio", "entry_price_a", "entry_price_b",
                         "exit_price_a", "exit_price_b", "quantity_a", "quantity_b", "costs",
                         "pnl", "price_pnl", "drift_pnl")
        },
        "bars": fields.Integer(allow_none=True),
        "exit_reason": choice(EXIT_REASONS, null=True),
        "revised": fields.Boolean(metadata={"description": "a bar it filled at was rewritten"}),
    },
    name="PaperTrip",
)  # fmt: skip
EquityAnswer = Schema.from_dict({"time": times(), "value": numbers()}, name="PaperEquity")
PaperOfRuleAnswer = Schema.from_dict(
    {
        "rule_id": fields.Integer(),
        "born": moment("open time of its first bar"),
        "position": fields.Nested(PositionAnswer, allow_none=True),
        "equity": fields.Nested(EquityAnswer),
        "trips": fields.List(fields.Nested(TripAnswer)),
    },
    name="PaperOfRule",
)


def paper_routes(desk: Desk) -> ApiBlueprint:
    """Bind the routes to a desk."""
    routes = ApiBlueprint("paper", __name__, url_prefix="/api/paper", description="On paper")

    @routes.get("")
    @routes.arguments(PaperParameters, location="query")
    @routes.response(200, PaperAnswer)
    @routes.problems(400, 429, 503)
    def paper(values: dict[str, Any]) -> Response:
        """Paper positions, oldest rule first, and all of one currency together as a book."""
        rules = desk.alerts.rules(Chosen(values["rule_id"], symbols=both_legs(values)))
        held = desk.alerts.positions(rules)
        traded = [rule for rule in rules if rule.rule_id in held]
        quotes = {one.symbol: one.quote for one in desk.market.symbols()}
        pairs = ((rule.spec.pair, held[rule.rule_id]) for rule in traded)
        by_quote = books_of(((pair, one) for pair, one in pairs if pair is not None), quotes)
        books = []
        for quote, book in by_quote.items():
            exposure = {symbol: held._asdict() for symbol, held in book.exposure.items()}
            books.append({"quote": quote} | book._asdict() | {"exposure": exposure})
        found, after = page_of(traded, values)
        positions = [_position(rule, held[rule.rule_id]) for rule in found]
        return json_answer({"positions": positions, "books": books, "next": after})

    @routes.get("/<int:rule_id>")
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, PaperOfRuleAnswer)
    @routes.problems(400, 404, 429, 503)
    def paper_of_rule(values: dict[str, Any], rule_id: int) -> Response:
        """Equity bar by bar and the trips of one rule, since its birth."""
        rule = desk.alerts.rule(rule_id)
        equity = desk.alerts.reader.paper_equity(rule_id, rule.born_ms)
        position = desk.alerts.positions([rule]).get(rule_id)
        trips = [
            {"entry_time": iso(trip.entry_ms), "exit_time": iso(trip.exit_ms)}
            | {key: value for key, value in trip._asdict().items() if not key.endswith("_ms")}
            for trip in desk.alerts.reader.paper_trips(rule_id, rule.born_ms)
        ]
        return json_answer(
            {
                "rule_id": rule_id,
                "born": iso(rule.born_ms),
                "position": _position(rule, position) if position else None,
                "equity": {
                    "time": [time_ms for time_ms, _ in equity],
                    "value": [value for _, value in equity],
                },
                "trips": trips,
            }
        )

    return routes


def _position(rule: StoredRule, position: Position) -> dict[str, Any]:
    told, pair = position._asdict(), rule.spec.pair
    assert pair is not None, "what is held is a pair"
    return {
        "rule_id": rule.rule_id,
        "symbol_a": pair.symbol_a,
        "symbol_b": pair.symbol_b,
        "timeframe": pair.timeframe,
        "born": iso(rule.born_ms),
        "entry_time": iso(told.pop("entry_time_ms")),
        "next_fill": iso(told.pop("next_fill_ms")),
        **told,
    }
