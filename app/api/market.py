"""`/api/symbols` and `/api/bars`: what is stored of the market."""

from typing import Any

from flask import Response
from marshmallow import Schema, fields

from app.api.blueprint import ApiBlueprint, json_answer
from app.api.values import choice, text
from app.requests.pair import BarsParameters, NoParameters
from app.services import Desk
from core.timeframes import TIMEFRAMES

BAR_COLUMNS = (
    "open_time_ms",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "trade_count",
    "taker_buy_volume",
    "complete",
)
SymbolAnswer = Schema.from_dict(
    {
        "symbol": text(),
        "base": text(),
        "quote": text(),
        "status": text(),
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
        "symbol": text(),
        "timeframe": choice(TIMEFRAMES),
        "columns": fields.List(choice(BAR_COLUMNS)),
        "rows": fields.List(
            fields.List(
                fields.Raw(
                    metadata={"anyOf": [{"type": "number", "nullable": True}, {"type": "boolean"}]}
                ),
                metadata={"minItems": len(BAR_COLUMNS), "maxItems": len(BAR_COLUMNS)},
            ),
            metadata={
                "description": "a value for each of `columns`; `complete` alone is no number"
            },
        ),
    },
    name="Bars",
)


def market_routes(desk: Desk) -> ApiBlueprint:
    """Bind the routes to a desk."""
    routes = ApiBlueprint("market", __name__, url_prefix="/api", description="Stored")

    @routes.get("/symbols")
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, SymbolsAnswer)
    @routes.problems(400, 429, 503)
    def symbols(values: dict[str, Any]) -> Response:
        """Every symbol with anything stored."""
        rows = [
            {
                "symbol": stored.symbol,
                "base": stored.base,
                "quote": stored.quote,
                "status": stored.status,
                "first_bar_ms": stored.first_bar_ms,
                "last_event_time_ms": stored.last_event_time_ms,
            }
            for stored in desk.market.symbols()
        ]
        return json_answer({"symbols": rows})

    @routes.get("/bars")
    @routes.arguments(BarsParameters, location="query")
    @routes.response(200, BarsAnswer)
    @routes.problems(400, 404, 429, 503)
    def bars(values: dict[str, Any]) -> Response:
        """Closed bars of a symbol, oldest first."""
        found = desk.market.bars(
            values["symbol"],
            TIMEFRAMES[values["timeframe"]],
            values["start"],
            values["end"],
            values["limit"],
        )
        columns = [getattr(found, name).tolist() for name in BAR_COLUMNS]
        return json_answer(
            {
                "symbol": values["symbol"],
                "timeframe": values["timeframe"],
                "columns": BAR_COLUMNS,
                "rows": list(zip(*columns, strict=True)),
            }
        )

    return routes
