"""Routes under `/analytics`: a pair as JSON and its backtest as CSV."""

from typing import Any

from flask import Response

from app.api.answers import ExplainAnswer, PairAnswer
from app.api.blueprint import ApiBlueprint, csv_answer, json_answer
from app.api.parameters import FieldError, ParameterErrors
from app.api.schemas import ExplainParameters, PairParameters, PairRequest, pair_request
from app.serialise import equity_csv, explain_json, pair_json, trades_csv
from app.services import Desk
from app.services.pairs import RowNotThere

CSV = {"type": "string"}


def analytics_routes(desk: Desk) -> ApiBlueprint:
    """Bind the routes to a service."""
    routes = ApiBlueprint(
        "analytics", __name__, url_prefix="/analytics", description="Computed from stored bars"
    )

    def asked(values: dict[str, Any]) -> PairRequest:
        return pair_request(values, desk.settings)

    @routes.get("/pair")
    @routes.arguments(PairParameters, location="query")
    @routes.response(200, PairAnswer)
    @routes.problems(400, 404, 429, 503)
    def pair(values: dict[str, Any]) -> Response:
        """Hedge ratios, spread, z-score, signal and backtest of a pair."""
        request = asked(values)
        return json_answer(pair_json(desk.pairs.view(request.spec), request.points))

    @routes.get("/pair/trades.csv")
    @routes.arguments(PairParameters, location="query")
    @routes.response(200, CSV, content_type="text/csv")
    @routes.problems(400, 404, 429, 503)
    def trades(values: dict[str, Any]) -> Response:
        """Round trips of the backtest as CSV, the open one last."""
        request = asked(values)
        return csv_answer(trades_csv(desk.pairs.view(request.spec)), _file_name(request, "trades"))

    @routes.get("/pair/equity.csv")
    @routes.arguments(PairParameters, location="query")
    @routes.response(200, CSV, content_type="text/csv")
    @routes.problems(400, 404, 429, 503)
    def equity(values: dict[str, Any]) -> Response:
        """Equity and drawdown of the backtest as CSV, a row a bar."""
        request = asked(values)
        return csv_answer(equity_csv(desk.pairs.view(request.spec)), _file_name(request, "equity"))

    @routes.get("/pair/explain")
    @routes.arguments(ExplainParameters, location="query")
    @routes.response(200, ExplainAnswer)
    @routes.problems(400, 404, 429, 503)
    def explain(values: dict[str, Any]) -> Response:
        """Every number behind one z-score: windows, fit, mean, deviation and the bars used."""
        given = dict(values)
        time_ms = given.pop("time")
        spec = asked(given).spec
        try:
            explanation = desk.pairs.explain(spec, time_ms)
        except RowNotThere as error:
            words = "is not the open time of a result row"
            raise ParameterErrors([FieldError("time", words, str(error))]) from None
        return json_answer(explain_json(spec, explanation))

    return routes


def _file_name(request: PairRequest, what: str) -> str:
    spec = request.spec
    return f"{spec.symbol_a}-{spec.symbol_b}-{spec.timeframe}-{what}.csv"
